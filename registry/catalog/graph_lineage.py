"""Lineage as ML Metadata asks for it: from the nodes that a filter finds, hop by hop over events.

One statement a hop (more where a hop meets thousands of nodes): SQL does not recurse. A hop goes from artifacts to executions or
back; it follows an event upstream from an output to its maker and from an execution to its inputs, downstream the other way.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.graph_filters import condition_of
from registry.catalog.graph_found import in_parts
from registry.catalog.graph_rows import EVENT, read_hop, read_memberships
from registry.catalog.nodes import TABLES
from registry.db.session import Session
from registry.errors import NotFound, TooLarge
from registry.filtering.tree import Tree
from registry.names import INPUT_EVENTS, OUTPUT_EVENTS, EventType, NodeKind

MAX_HOPS = 100
MAX_STARTS = 101
"""As measured on ML Metadata, whose documentation says 100."""


class Direction(IntEnum):
    """ML Metadata's numbers; none said is both ways."""

    UPSTREAM = 1
    DOWNSTREAM = 2
    BIDIRECTIONAL = 3


@dataclass(frozen=True)
class Ending:
    """Nodes at which the walk ends: where `filter` holds. `included`: they and the edges to them are shown."""

    filter: Tree
    included: bool


@dataclass(frozen=True)
class Walk:
    """`start` None: all of the kind that are listed. `ends` by kind.

    `max_nodes`: how many nodes an answer may have; `cut`: one that would have more ends there, instead of being refused.
    """

    start_kind: NodeKind
    start: Tree | None
    hops: int
    direction: Direction
    ends: dict[NodeKind, Ending]
    max_nodes: int
    max_starts: int = MAX_STARTS
    cut: bool = False


@dataclass
class Subgraph:
    """Ids of nodes, and the edges between them; `types`: of the artifacts and executions. Filled as the walk goes.

    `events` by id: `graph_rows.EVENT`, and what `read_hop` has behind it.
    """

    artifacts: set[int] = field(default_factory=set)
    executions: set[int] = field(default_factory=set)
    contexts: list[int] = field(default_factory=list)
    events: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    attributions: list[tuple[int, int]] = field(default_factory=list)
    associations: list[tuple[int, int]] = field(default_factory=list)
    types: set[int] = field(default_factory=set)

    def nodes(self, kind: NodeKind) -> set[int]:
        return self.artifacts if kind is NodeKind.ARTIFACT else self.executions


_OTHER = {NodeKind.ARTIFACT: NodeKind.EXECUTION, NodeKind.EXECUTION: NodeKind.ARTIFACT}
_ALL = tuple(one for one in EventType if one is not EventType.UNKNOWN)
_FOLLOWED = {
    (NodeKind.ARTIFACT, Direction.UPSTREAM): OUTPUT_EVENTS,
    (NodeKind.ARTIFACT, Direction.DOWNSTREAM): INPUT_EVENTS,
    (NodeKind.EXECUTION, Direction.UPSTREAM): INPUT_EVENTS,
    (NodeKind.EXECUTION, Direction.DOWNSTREAM): OUTPUT_EVENTS,
}


def walk_lineage(session: Session, actor: Actor, walk: Walk, *, memberships: bool = True) -> Subgraph:
    """(attributions and associations are (context, node); left out, with the contexts, unless `memberships`.)

    Raises:
        NotFound: no node to start from.
        TooLarge: more than `max_nodes` nodes; the message names the setting.
        InvalidFilter.
    """
    found = Subgraph()
    table = TABLES[walk.start_kind]
    present = sa.or_(table.c.deleted_at.is_(None), table.c.listed == 1)
    query = (
        sa.select(table.c.id, table.c.type_id)
        .where(table.c.scope == actor.scope, actor.sees(table.c.workspace), present)
        .where(table.c.listed == 1 if walk.start is None else condition_of(session, actor, walk.start_kind, walk.start))
    )
    starts = session.all(query.order_by(table.c.id).limit(walk.max_starts))
    if not starts:
        raise NotFound(walk.start_kind.name.lower(), "to start from")
    ids = [row.id for row in starts]
    ended = _ended(session, actor, walk, walk.start_kind, ids)
    ending = walk.ends.get(walk.start_kind)
    shown = {id for id in ids if id not in ended or (ending is not None and ending.included)}
    found.nodes(walk.start_kind).update(shown)
    found.types.update(row.type_id for row in starts if row.id in shown)
    _expand(session, actor, walk, found, sorted(shown - ended))
    if memberships:
        _add_memberships(session, actor, found)
    return found


def _expand(session: Session, actor: Actor, walk: Walk, found: Subgraph, frontier: list[int]) -> None:
    kind = walk.start_kind
    dropped: dict[NodeKind, set[int]] = {NodeKind.ARTIFACT: set(), NodeKind.EXECUTION: set()}
    for _hop in range(walk.hops):
        if not frontier:
            return
        far = _OTHER[kind]
        end, type_id = EVENT.index("execution" if far is NodeKind.EXECUTION else "artifact"), len(EVENT)
        rows = read_hop(session, actor, kind, frontier, _FOLLOWED.get((kind, walk.direction), _ALL))
        if dropped[far]:
            rows = [row for row in rows if row[end] not in dropped[far]]
        new = {row[end] for row in rows} - found.nodes(far)
        ended = _ended(session, actor, walk, far, sorted(new))
        ending = walk.ends.get(far)
        if ending is not None and not ending.included:
            dropped[far] |= ended
            rows = [row for row in rows if row[end] not in ended]
            new -= ended
        if walk.cut:
            room = walk.max_nodes - len(found.artifacts) - len(found.executions)
            beyond = set(sorted(new)[room:])
            rows = [row for row in rows if row[end] not in beyond]
            new -= beyond
        found.events.update((row[0], row) for row in rows)
        found.nodes(far).update(new)
        found.types.update(row[type_id] for row in rows)
        if len(found.artifacts) + len(found.executions) > walk.max_nodes:
            raise TooLarge(f"the lineage has more than {walk.max_nodes} nodes: the setting mlmd_lineage_max_nodes bounds it")
        frontier, kind = sorted(new - ended), far


def _ended(session: Session, actor: Actor, walk: Walk, kind: NodeKind, ids: Sequence[int]) -> set[int]:
    ending = walk.ends.get(kind)
    if ending is None or not ids:
        return set()
    table = TABLES[kind]
    query = sa.select(table.c.id).where(condition_of(session, actor, kind, ending.filter))
    return {id for part in in_parts(ids) for id in session.scalars(query.where(table.c.id.in_(part)))}


def _add_memberships(session: Session, actor: Actor, found: Subgraph) -> None:
    """The contexts of what was found; those of another workspace are not shown."""
    found.attributions = read_memberships(session, actor, NodeKind.ARTIFACT, sorted(found.artifacts))
    found.associations = read_memberships(session, actor, NodeKind.EXECUTION, sorted(found.executions))
    found.contexts = sorted({context for context, _ in (*found.attributions, *found.associations)})
