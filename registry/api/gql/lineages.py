"""The lineage graph: walks, paths and impact. Nodes come with flat cards; the whole records are read where they are asked for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import graphene

from lineage.graph import Direction, NodeCard, NodeKind
from lineage.graph import Edge as LineageEdgeRecord
from lineage.graph import Node as Key
from lineage.impact import Place as Position
from lineage.limits import Deadline
from lineage.walks import Reached
from registry.api.gql import words
from registry.api.gql.cohorts import Context, One, together
from registry.api.gql.connections import Connection, Edge, checked_first, connection, page_arguments
from registry.api.gql.nodes import Node, find_nodes
from registry.api.gql.scalars import Int64
from registry.catalog import lineage
from registry.errors import InvalidArgument, InvalidPageToken
from registry.filtering.keyset import check_place, place_of, token_of

DEADLINE_S = 10.0
"""A walk gives what it has by then and says so."""

MAX_DEPTH, MAX_NODES, MAX_PER_HOP = 50, 1_000, 200
MAX_PATHS, MAX_HOPS = 100, 200


@dataclass(frozen=True)
class ShownNode:
    """A node with its card. `id` is its place in the answer, `own_id` what clients know."""

    id: int
    card: NodeCard
    depth: int | None = None
    way: Direction | None = None

    @property
    def own_id(self) -> str:
        return str(self.card.shown_id)


class LineageNode(graphene.ObjectType):
    """A node of the graph as a picture shows it."""

    id = graphene.ID(required=True)
    kind = words.LineageKind(required=True)
    name = graphene.String(required=True)
    type = graphene.String(description="The type's name in ML Metadata.")
    status = graphene.String()
    group = graphene.ID(description="What it belongs to: a step's run, a version's model.")
    created_at = Int64()
    deleted = graphene.Boolean(required=True, description="A tombstone: the record is deleted, its place in the graph is kept.")
    depth = graphene.Int(description="The least number of edges from the root.")
    way = words.OneWay(description="Where from the root it was met.")
    record = graphene.Field(Node, description="All of it.")

    def resolve_id(self: Any, info: Any) -> str:
        return str(self.own_id)

    def resolve_kind(self: Any, info: Any) -> str:
        return str(self.card.kind).lower()

    def resolve_name(self: Any, info: Any) -> str:
        return str(self.card.name)

    def resolve_type(self: Any, info: Any) -> Any:
        return self.card.type

    def resolve_status(self: Any, info: Any) -> Any:
        return self.card.status

    def resolve_group(self: Any, info: Any) -> Any:
        return self.card.group

    def resolve_created_at(self: Any, info: Any) -> Any:
        return self.card.created_at

    def resolve_deleted(self: Any, info: Any) -> bool:
        return bool(self.card.deleted)

    def resolve_way(self: Any, info: Any) -> str | None:
        return words.word(self.way)

    def resolve_record(self: Any, info: Any) -> Any:
        def load(nodes: Sequence[ShownNode]) -> dict[str, One[Any] | None]:
            ids = [node.own_id for node in nodes]
            return dict(zip(ids, find_nodes(info.context, ids), strict=True))

        return self.cohort.once("records", load)[self.own_id]


class LineageEdge(graphene.ObjectType):
    source = graphene.ID(required=True)
    target = graphene.ID(required=True)
    kind = words.LineageEdgeKind(required=True)
    role = graphene.String(description="The port or path under which it took part.")
    inferred = graphene.Boolean(required=True, description="Nobody said so; it follows from who read and wrote.")
    at = Int64()


class LineageStub(graphene.ObjectType):
    """Where the walk stopped."""

    node = graphene.ID(required=True)
    way = words.OneWay(required=True)
    hidden = graphene.Int(description="Edges that were not followed; null where nobody counted.")


class LineageGraph(graphene.ObjectType):
    """Nodes by level, nearest first, and the edges between them."""

    root = graphene.ID(required=True)
    nodes = graphene.List(graphene.NonNull(LineageNode), required=True)
    edges = graphene.List(graphene.NonNull(LineageEdge), required=True)
    frontier = graphene.List(graphene.NonNull(LineageStub), required=True)
    truncated = graphene.Boolean(required=True)
    cut = graphene.List(graphene.NonNull(words.LineageCut), required=True, description="Why it is truncated.")
    depth_reached = graphene.Int(required=True)


class LineagePath(graphene.ObjectType):
    nodes = graphene.List(graphene.NonNull(graphene.ID), required=True, description="From start to goal.")
    edges = graphene.List(
        graphene.NonNull(LineageEdge), required=True, description="Between them, in order; parallel ones together."
    )


class LineagePaths(graphene.ObjectType):
    """Shortest first."""

    paths = graphene.List(graphene.NonNull(LineagePath), required=True)
    nodes = graphene.List(graphene.NonNull(LineageNode), required=True, description="Those of all paths, each once.")
    truncated = graphene.Boolean(required=True)
    cut = graphene.List(graphene.NonNull(words.LineageCut), required=True)


ImpactConnection: Any = connection("Impact", LineageNode, counted=False)


def _given(default: Any) -> str:
    """The word of an enumeration's argument, whether it was given or is the default."""
    return str(getattr(default, "value", default))


def walk_arguments() -> dict[str, Any]:
    return {
        "direction": words.LineageDirection(required=True, default_value="both"),
        "depth": graphene.Int(required=True, default_value=2, description=f"In edges; at most {MAX_DEPTH}."),
        "kinds": graphene.List(
            graphene.NonNull(words.LineageKind), description="What is shown; the walk passes through the rest."
        ),
        "max_nodes": graphene.Int(required=True, default_value=200, description=f"At most {MAX_NODES}."),
        "per_hop": graphene.Int(
            required=True, default_value=50, description=f"Edges of one node one way; at most {MAX_PER_HOP}."
        ),
    }


def walked(
    context: Context, root: str, *, direction: Any, depth: int, max_nodes: int, per_hop: int, kinds: Sequence[Any] | None = None
) -> dict[str, Any]:
    """A `LineageGraph`. Raises NotFound, InvalidName, InvalidArgument."""
    _within("depth", depth, 0, MAX_DEPTH)
    _within("maxNodes", max_nodes, 1, MAX_NODES)
    _within("perHop", per_hop, 1, MAX_PER_HOP)
    workspace = context.actor.workspace
    found = lineage.walk(
        context.session,
        lineage.find_node(context.session, root, workspace=workspace),
        workspace=workspace,
        direction=Direction(_given(direction)),
        depth=depth,
        max_nodes=max_nodes,
        per_hop=per_hop,
        kinds=_kinds(kinds),
        deadline=_deadline(),
    )
    nodes, ids = _shown(found.nodes)
    return {
        "root": ids[found.nodes[0].node],
        "nodes": nodes,
        "edges": [_edge(edge, ids) for edge in found.edges],
        "frontier": [{"node": ids[stub.node], "way": stub.way.value, "hidden": stub.hidden} for stub in found.stubs],
        "truncated": found.truncated,
        "cut": [reason.value for reason in found.cut],
        "depth_reached": found.depth_reached,
    }


def path_arguments() -> dict[str, Any]:
    return {
        "start": graphene.ID(required=True),
        "goal": graphene.ID(required=True),
        "direction": words.LineageDirection(required=True, default_value="both"),
        "max_paths": graphene.Int(required=True, default_value=10, description=f"At most {MAX_PATHS}."),
        "max_hops": graphene.Int(required=True, default_value=100, description=f"At most {MAX_HOPS}."),
    }


def paths(context: Context, *, start: str, goal: str, direction: Any, max_paths: int, max_hops: int) -> dict[str, Any]:
    """`LineagePaths`. Raises as `walked`."""
    _within("maxPaths", max_paths, 1, MAX_PATHS)
    _within("maxHops", max_hops, 0, MAX_HOPS)
    workspace = context.actor.workspace
    ends = [lineage.find_node(context.session, id, workspace=workspace) for id in (start, goal)]
    found = lineage.find_paths(
        context.session,
        *ends,
        workspace=workspace,
        direction=Direction(_given(direction)),
        max_paths=max_paths,
        max_hops=max_hops,
        deadline=_deadline(),
    )
    wanted = list(dict.fromkeys(node for path in found.paths for node in path.nodes))
    known = lineage.cards(context.session, wanted, workspace=workspace)
    ids = {node: str(card.shown_id) for node, card in known.items()}
    return {
        "paths": [
            {
                "nodes": [ids[node] for node in path.nodes],
                "edges": [_edge(edge, ids) for step in path.steps for edge in step],
            }
            for path in found.paths
            if all(node in ids for node in path.nodes)
        ],
        "nodes": together([ShownNode(place, known[node]) for place, node in enumerate(wanted) if node in known]),
        "truncated": bool(found.cut),
        "cut": [reason.value for reason in found.cut],
    }


def impact_arguments() -> dict[str, Any]:
    return {
        "node": graphene.ID(required=True),
        "direction": words.OneWay(required=True, default_value="downstream"),
        "depth": graphene.Int(required=True, default_value=100, description="In edges; at most 200."),
        "kinds": graphene.List(graphene.NonNull(words.LineageKind)),
        **page_arguments(),
    }


def impact(
    context: Context,
    *,
    node: str,
    direction: Any,
    depth: int,
    first: int,
    kinds: Sequence[Any] | None = None,
    after: str | None = None,
) -> Connection:
    """A page of everything that depends on the node (upstream: that it depends on), nearest first. Raises as `walked`."""
    _within("depth", depth, 1, 200)
    workspace, way, shown = context.actor.workspace, _given(direction), _kinds(kinds)
    query = ("gql impact", workspace, node, way, shown, depth)
    found = lineage.impact(
        context.session,
        lineage.find_node(context.session, node, workspace=workspace),
        workspace=workspace,
        kinds=shown,
        direction=Direction(way),
        first=checked_first(first),
        after=_position(after, *query),
        depth=depth,
        deadline=_deadline(),
        trails=context.trails,
    )
    nodes, _ = _shown(found.items)
    edges = [Edge(one, token_of([one.record.depth, one.card.node.kind.value, one.card.node.id], *query)) for one in nodes]
    return Connection(edges, found.next is not None, bool(after), None)


def _position(after: str | None, *query: object) -> Position | None:
    if not after:
        return None
    values: Any = check_place(place_of(after, *query), [int, str, int])
    depth, kind, id = values
    if kind not in {one.value for one in NodeKind}:
        raise InvalidPageToken("after is not a cursor that this server gave")
    return Position(depth, Key(NodeKind(kind), id))


def _shown(reached: Iterable[Reached]) -> tuple[list[One[ShownNode]], dict[Key, str]]:
    nodes = [ShownNode(place, one.card, one.depth, one.way) for place, one in enumerate(reached) if one.card is not None]
    return together(nodes), {node.card.node: node.own_id for node in nodes}


def _edge(edge: LineageEdgeRecord, ids: dict[Key, str]) -> dict[str, Any]:
    return {
        "source": ids[edge.source],
        "target": ids[edge.target],
        "kind": words.word(edge.kind),
        "role": edge.role,
        "inferred": edge.inferred,
        "at": edge.at,
    }


def _kinds(kinds: Sequence[Any] | None) -> list[str] | None:
    return None if kinds is None else [_given(kind).upper() for kind in kinds]


def _within(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InvalidArgument(f"{name} is {least} to {most}", field=name)


def _deadline() -> Deadline:
    clock = Deadline().clock
    return Deadline(clock() + DEADLINE_S, clock)
