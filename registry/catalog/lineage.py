"""Lineage over the records: walks, paths and impact of what one workspace may see.

Nodes are artifacts, executions (steps and others) and of the contexts runs, model versions and deployments. The walking is
the package `lineage`'s, the SQL is in `lineage_edges.py` and `lineage_cards.py`.
"""

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from lineage import impact as listing
from lineage import paths as connecting
from lineage import walks
from lineage.graph import Direction, Node, NodeCard, NodeKind
from lineage.impact import ImpactLimits, ImpactPage, Place, Trail
from lineage.limits import NEVER, Deadline, Limits
from lineage.paths import PathLimits, Paths
from lineage.trails import Trails
from lineage.walks import Walk
from registry.catalog.lineage_cards import CardKind, SqlCards
from registry.catalog.lineage_edges import SqlEdges
from registry.catalog.run_lookup import get_run_ref
from registry.db.session import Session
from registry.errors import InvalidArgument, InvalidName, NotFound
from registry.names import IdPrefix, own_id, parse_id, parse_run_id
from registry.tables.graph import associations
from registry.tables.runs import runs

_KINDS = {
    IdPrefix.ARTIFACT: NodeKind.ARTIFACT,
    IdPrefix.STEP: NodeKind.EXECUTION,
    IdPrefix.EXECUTION: NodeKind.EXECUTION,
    IdPrefix.VERSION: NodeKind.CONTEXT,
    IdPrefix.DEPLOYMENT: NodeKind.CONTEXT,
}
_WORDS = {
    IdPrefix.STEP: CardKind.STEP,
    IdPrefix.VERSION: CardKind.MODEL_VERSION,
    IdPrefix.DEPLOYMENT: CardKind.DEPLOYMENT,
}


def find_node(session: Session, id: str, *, workspace: int) -> Node:
    """The node behind an own id: `run_<hex>`, `art_3`, `step_9`, `exec_9`, `mv_7`, `dep_4`. The execution of a run is the run.

    Raises:
        InvalidName: not the id of something that takes part in lineage.
        NotFound: absent, or in another workspace.
    """
    word = id.partition("_")[0]
    if word == IdPrefix.RUN:
        return Node(NodeKind.CONTEXT, get_run_ref(session, workspace, parse_run_id(id)).id)
    prefix = next((prefix for prefix in _KINDS if prefix == word), None)
    if prefix is None:
        allowed = ", ".join(f"{prefix}_<integer>" for prefix in _KINDS)
        raise InvalidName(f"{id[:80]!r} is no node of lineage: run_<hex>, {allowed}", field="id")
    node, card = _seen(session, Node(_KINDS[prefix], parse_id(prefix, id)), workspace)
    if prefix in _WORDS and card.kind != _WORDS[prefix]:
        raise NotFound(_WORDS[prefix].lower().replace("_", " "), id)
    return node


def cards(session: Session, nodes: Sequence[Node], *, workspace: int) -> dict[Node, NodeCard]:
    """Of those that the workspace may see; at most three statements up to 10,000 nodes of a kind."""
    return dict(SqlCards(session, workspace).cards(nodes))


def walk(
    session: Session,
    root: Node,
    *,
    workspace: int,
    direction: Direction = Direction.BOTH,
    depth: int = 2,
    max_nodes: int = 200,
    per_hop: int = 50,
    kinds: Collection[str] | None = None,
    deadline: Deadline = NEVER,
) -> Walk:
    """What lies around the root, each node with its card. At most three statements a level and way, however wide it is, and three
    for the cards; with `kinds` six a level and way.

    `kinds` are words of `CardKind`: what is shown; the walk passes through the rest.

    Raises:
        NotFound: the root is absent, or in another workspace.
        InvalidArgument: a kind that is none, or a limit that makes no sense.
    """
    try:
        limits = Limits(depth=depth, max_nodes=max_nodes, per_hop=per_hop, deadline=deadline)
    except ValueError as error:
        raise InvalidArgument(str(error)) from error
    words = _kinds(kinds)
    start, _ = _seen(session, root, workspace)
    return walks.walk(SqlEdges(session, workspace), [start], direction, limits, cards=SqlCards(session, workspace), kinds=words)


def find_paths(
    session: Session,
    start: Node,
    goal: Node,
    *,
    workspace: int,
    direction: Direction = Direction.BOTH,
    max_paths: int = 10,
    max_hops: int = 100,
    deadline: Deadline = NEVER,
) -> Paths:
    """The shortest paths between two nodes, with edges as they point; `cards` has what the nodes are called.

    Raises:
        NotFound: an end is absent, or in another workspace.
        InvalidArgument: a limit that makes no sense.
    """
    try:
        limits = PathLimits(max_paths=max_paths, max_hops=max_hops, deadline=deadline)
    except ValueError as error:
        raise InvalidArgument(str(error)) from error
    first, _ = _seen(session, start, workspace)
    last, _ = _seen(session, goal, workspace)
    return connecting.find_paths(SqlEdges(session, workspace), first, last, direction, limits)


def impact(
    session: Session,
    root: Node,
    *,
    workspace: int,
    kinds: Collection[str] | None = None,
    direction: Direction = Direction.DOWNSTREAM,
    first: int = 100,
    after: Place | None = None,
    depth: int = 100,
    deadline: Deadline = NEVER,
    trails: Trails | None = None,
) -> ImpactPage:
    """A page of everything that depends on the root (upstream: that it depends on), by depth, then node.

    With `trails` all pages together walk each level once, as it was when the first page came or later.

    Raises:
        NotFound: the root is absent, or in another workspace.
        InvalidArgument: a kind that is none, a limit that makes no sense, or a direction that is not one way.
    """
    words = _kinds(kinds)
    start, _ = _seen(session, root, workspace)
    key = (workspace, start, direction, depth)
    trail = (trails.take(key) if trails is not None and after is not None else None) or Trail([start])
    try:
        page = listing.impact(
            SqlEdges(session, workspace),
            [start],
            kinds=words,
            direction=direction,
            first=first,
            after=after,
            cards=SqlCards(session, workspace),
            limits=ImpactLimits(depth=depth, deadline=deadline),
            trail=trail,
        )
    except ValueError as error:
        raise InvalidArgument(str(error)) from error
    if trails is not None and page.next is not None:
        trails.keep(key, trail)
    return page


def _kinds(kinds: Collection[str] | None) -> list[CardKind] | None:
    if kinds is None:
        return None
    known = {kind.value for kind in CardKind}
    for kind in kinds:
        if kind not in known:
            raise InvalidArgument(f"{kind[:80]!r} is no kind of node: {', '.join(sorted(known))}", field="kinds")
    return [CardKind(kind) for kind in kinds]


def _seen(session: Session, node: Node, workspace: int) -> tuple[Node, NodeCard]:
    """The node, or the run for a run's execution, with its card."""
    if node.kind is NodeKind.EXECUTION:
        query = sa.select(runs.c.id).join(associations, associations.c.context == runs.c.id)
        run = session.scalar(
            query.where(associations.c.execution == node.id, runs.c.execution == node.id).order_by(runs.c.id).limit(1)
        )
        node = node if run is None else Node(NodeKind.CONTEXT, run)
    card = SqlCards(session, workspace).cards([node]).get(node)
    if card is None:
        raise NotFound(node.kind.value, _id_of(node))
    return node, card


def _id_of(node: Node) -> str:
    prefixes = {NodeKind.ARTIFACT: IdPrefix.ARTIFACT, NodeKind.EXECUTION: IdPrefix.EXECUTION, NodeKind.CONTEXT: IdPrefix.CONTEXT}
    return own_id(prefixes[node.kind], node.id)
