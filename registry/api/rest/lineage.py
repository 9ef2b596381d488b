"""Routes of lineage: the picture around a record, how two hang together, what depends on one."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from lineage.graph import Direction, Edge, EdgeKind, Node, NodeCard, NodeKind
from lineage.impact import Place
from lineage.limits import Deadline
from lineage.walks import Reached
from registry.api.rest.answers import answer, problems
from registry.api.rest.lineage_schemas import (
    ImpactPage,
    LineageEdge,
    LineageGraph,
    LineageNode,
    LineagePath,
    LineagePaths,
    LineageStub,
)
from registry.api.rest.paging import PageSize, PageToken, position
from registry.api.services import ActorOf, ServicesOf
from registry.catalog import lineage as catalog
from registry.catalog.lineage_cards import CardKind
from registry.db.session import Session
from registry.errors import InvalidPageToken
from registry.filtering.keyset import token_of

router = APIRouter(prefix="/api/v1/lineage", tags=["lineage"])
DEADLINE_S = 5.0
_ID = r"(run_[0-9a-f]{32}|(art|step|exec|mv|dep)_[1-9][0-9]{0,17})"
NodeId = Annotated[str, Query(pattern=f"^{_ID}$", description="A run, artifact, step, model version or deployment.")]
_KIND = "|".join(kind.value.lower() for kind in CardKind)
Kinds = Annotated[
    str | None,
    Query(pattern=f"^({_KIND})(,({_KIND})){{0,20}}$", description="What is shown, commas between; the rest is passed through."),
]
Both = Literal["upstream", "downstream", "both", "any"]
_KIND_WORDS: dict[str, Any] = {kind: kind.value.lower() for kind in CardKind}
_EDGE_WORDS = {kind: kind.value for kind in EdgeKind}
_WAY_WORDS: dict[Direction | None, Any] = {None: None, **{way: way.value for way in (Direction.UPSTREAM, Direction.DOWNSTREAM)}}


def _deadline() -> Deadline:
    clock = Deadline().clock
    return Deadline(clock() + DEADLINE_S, clock)


def _ids(cards: Iterable[NodeCard]) -> dict[Node, str]:
    return {card.node: str(card.shown_id) for card in cards}


def _node(card: NodeCard, depth: int = 0, way: Direction | None = None) -> LineageNode:
    return {
        "id": str(card.shown_id),
        "kind": _KIND_WORDS[card.kind],
        "name": card.name,
        "type": card.type,
        "status": card.status,
        "created_at": card.created_at,
        "depth": depth,
        "way": _WAY_WORDS[way],
    }


def _reached(nodes: Iterable[Reached]) -> list[LineageNode]:
    return [_node(card, depth, way) for _, depth, way, card in nodes if card is not None]


def _edge(edge: Edge, ids: Mapping[Node, str]) -> LineageEdge:
    source, target, kind, role, inferred, at = edge
    return {
        "source": ids[source],
        "target": ids[target],
        "kind": _EDGE_WORDS[kind],
        "role": role,
        "inferred": inferred,
        "at": at,
    }


def _words(kinds: str | None) -> list[str] | None:
    return None if kinds is None else kinds.upper().split(",")


@router.get("", operation_id="getLineage", response_model=LineageGraph, responses=problems(404))
async def get_lineage(
    services: ServicesOf,
    actor: ActorOf,
    root: NodeId,
    direction: Both = "both",
    depth: Annotated[int, Query(ge=0, le=50)] = 2,
    max_nodes: Annotated[int, Query(ge=1, le=5000)] = 200,
    per_hop: Annotated[int, Query(ge=1, le=1000, description="Edges of one node one way.")] = 50,
    kinds: Kinds = None,
) -> Response:
    """What it comes from and what it went into, level by level; what was left out is said."""

    def read(session: Session) -> LineageGraph:
        start = catalog.find_node(session, root, workspace=actor.workspace)
        found = catalog.walk(
            session,
            start,
            workspace=actor.workspace,
            direction=Direction(direction),
            depth=depth,
            max_nodes=max_nodes,
            per_hop=per_hop,
            kinds=_words(kinds),
            deadline=_deadline(),
        )
        ids = _ids(one.card for one in found.nodes if one.card is not None)
        frontier: list[LineageStub] = [
            {"node": ids[stub.node], "way": _WAY_WORDS[stub.way], "hidden": stub.hidden} for stub in found.stubs
        ]
        cut: list[Any] = [reason.value for reason in found.cut]
        return LineageGraph(
            root=ids[start],
            nodes=_reached(found.nodes),
            edges=[_edge(edge, ids) for edge in found.edges],
            frontier=frontier,
            truncated=found.truncated,
            cut=cut,
            depth_reached=found.depth_reached,
        )

    return answer(await services.runner.aread(read))


@router.get("/paths", operation_id="getLineagePaths", response_model=LineagePaths, responses=problems(404))
async def get_paths(
    services: ServicesOf,
    actor: ActorOf,
    start: NodeId,
    goal: NodeId,
    direction: Both = "both",
    max_paths: Annotated[int, Query(ge=1, le=100)] = 10,
    max_hops: Annotated[int, Query(ge=0, le=200)] = 100,
) -> Response:
    """How two records hang together: the shortest paths between them."""

    def read(session: Session) -> LineagePaths:
        here = {"workspace": actor.workspace}
        ends = [catalog.find_node(session, id, **here) for id in (start, goal)]
        found = catalog.find_paths(
            session,
            *ends,
            workspace=actor.workspace,
            direction=Direction(direction),
            max_paths=max_paths,
            max_hops=max_hops,
            deadline=_deadline(),
        )
        cards = catalog.cards(session, sorted({node for path in found.paths for node in path.nodes}), **here)
        ids = _ids(cards.values())
        cut: list[Any] = [reason.value for reason in found.cut]
        return LineagePaths(
            paths=[
                LineagePath(
                    nodes=[ids[node] for node in path.nodes],
                    steps=[[_edge(edge, ids) for edge in step] for step in path.steps],
                )
                for path in found.paths
                if all(node in ids for node in path.nodes)
            ],
            nodes=[_node(card) for card in cards.values()],
            cut=cut,
        )

    return answer(await services.runner.aread(read))


def _place(token: str | None, *query: object) -> Place | None:
    values: Any = position(token, [int, str, int], *query)
    if values is None:
        return None
    depth, kind, id = values
    if kind not in {one.value for one in NodeKind}:
        raise InvalidPageToken("page_token is not one that this server gave")
    return Place(depth, Node(NodeKind(kind), id))


@router.get("/impact", operation_id="getImpact", response_model=ImpactPage, responses=problems(404))
async def get_impact(
    services: ServicesOf,
    actor: ActorOf,
    root: NodeId,
    direction: Literal["upstream", "downstream"] = "downstream",
    kinds: Kinds = None,
    depth: Annotated[int, Query(ge=1, le=200)] = 100,
    page_size: PageSize = 100,
    page_token: PageToken = None,
) -> Response:
    """Everything that depends on it (upstream: that it depends on), nearest first; later pages are up to a minute old."""
    query = ("impact", actor.workspace, root, direction, kinds, depth)
    after = _place(page_token, *query)

    def read(session: Session) -> ImpactPage:
        found = catalog.impact(
            session,
            catalog.find_node(session, root, workspace=actor.workspace),
            workspace=actor.workspace,
            kinds=_words(kinds),
            direction=Direction(direction),
            first=page_size,
            after=after,
            depth=depth,
            deadline=_deadline(),
            trails=services.trails,
        )
        token = None
        if found.next is not None:
            token = token_of([found.next.depth, found.next.node.kind.value, found.next.node.id], *query)
        cut: list[Any] = [reason.value for reason in found.cut]
        return ImpactPage(items=_reached(found.items), next_page_token=token, cut=cut)

    return answer(await services.runner.aread(read))
