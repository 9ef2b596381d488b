"""Rows that ML Metadata's reads and walks take by the hundred, by statements whose text is made once (db/row_reads)."""

from collections import namedtuple
from functools import cache
from typing import Any

import sqlalchemy as sa

from registry.catalog.actors import INSTALL, Actor, Reach
from registry.catalog.nodes import TABLES
from registry.db.row_reads import RowRead, Rows, among
from registry.db.session import Session
from registry.names import EventType, NodeKind
from registry.tables.graph import artifacts, associations, attributions, contexts, events, executions

NODE = ("id", "type_id", "listed", "name", "external_id", "state", "created_at", "updated_at", "deleted_at", "properties", "uri")
"""Columns of a node's row here, in this order; `uri` is NULL on all but artifacts."""

EVENT = ("id", "artifact", "execution", "type", "at", "port", "path")
"""Columns of an event's row here."""

_PART = 5_000
_WORKSPACE = sa.bindparam("workspace", type_=sa.BigInteger)
Column = sa.ColumnElement[Any]


def node_columns(kind: NodeKind) -> list[Column]:
    table = TABLES[kind]
    return [table.c[name] if name in table.c else sa.null().label(name) for name in NODE]


def shown_name(table: sa.Table) -> Column:
    """The node's name as reads have it: an artifact of ours is called as on other doors, where several may have one name; files
    of a version that have none as the model.
    """
    if table is not artifacts:
        return table.c.name
    link = attributions.alias("link")
    linked = sa.select(sa.func.min(link.c.name_key)).where(link.c.artifact == table.c.id).correlate(table).scalar_subquery()
    called = sa.func.coalesce(table.c.name, table.c.display_name, linked)
    return sa.case((table.c.listed == sa.literal_column("1"), table.c.name), else_=called)


def is_present(table: sa.Table) -> sa.ColumnElement[bool]:
    """Deleted ones of ours are in no list; a client's own node is deleted for other doors only."""
    return sa.or_(table.c.deleted_at.is_(None), table.c.listed == sa.literal_column("1"))


def _seen(reach: Reach, column: Column) -> sa.ColumnElement[bool]:
    """As `Actor.sees`; not by the workspace's index, where ids lead."""
    if reach is Reach.INSTALL:
        return sa.true()
    own = column + sa.literal_column("0")
    return own == _WORKSPACE if reach is Reach.WORKSPACE else sa.or_(own == _WORKSPACE, own == sa.literal_column(str(INSTALL)))


def _run(session: Session, actor: Actor, read: RowRead, ids: list[int]) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    for start in range(0, len(ids), _PART):
        found += read.run(session, ids[start : start + _PART], workspace=actor.workspace)
    return found


# ---- nodes ----------------------------------------------------------------------------------------------------------


def read_nodes(session: Session, actor: Actor, kind: NodeKind, ids: list[int]) -> list[tuple[Any, ...]]:
    """`NODE` of those that are here, by id; one statement for each 5,000. `ids` ascend."""
    return sorted(_run(session, actor, _nodes(kind, actor.reach), ids))


@cache
def _nodes(kind: NodeKind, reach: Reach) -> RowRead:
    table = TABLES[kind]
    return RowRead(lambda: sa.select(*node_columns(kind)).where(among(table.c.id), _seen(reach, table.c.workspace)), packed=True)


def read_here(session: Session, actor: Actor, kind: NodeKind, ids: list[int]) -> set[int]:
    """Those of the nodes that are here."""
    return {row[0] for row in _run(session, actor, _here(kind, actor.reach), ids)}


@cache
def _here(kind: NodeKind, reach: Reach) -> RowRead:
    table = TABLES[kind]
    return RowRead(lambda: sa.select(table.c.id).where(among(table.c.id), _seen(reach, table.c.workspace)))


def read_whole(session: Session, actor: Actor, kind: NodeKind, ids: list[int], *, lock: bool) -> list[Any]:
    """All columns of the nodes that are here, by name; by id, which is the order in which they are locked."""
    wide = _Wide[kind]
    return sorted((wide._make(row) for row in _run(session, actor, _whole(kind, actor.reach, lock), ids)), key=lambda row: row.id)


_Wide: dict[NodeKind, Any] = {
    kind: namedtuple(kind.name.title(), [column.name for column in table.columns])  # noqa: PYI024  (the table has the types)
    for kind, table in TABLES.items()
}


@cache
def _whole(kind: NodeKind, reach: Reach, lock: bool) -> RowRead:
    table = TABLES[kind]

    def make() -> sa.Select[Any]:
        query = sa.select(table).where(among(table.c.id), _seen(reach, table.c.workspace)).order_by(table.c.id)
        return query.with_for_update() if lock else query

    return RowRead(make)


def read_members(session: Session, actor: Actor, kind: NodeKind, context: int) -> Rows:
    """`NODE` of the artifacts or executions in a context, by id; of a user's one only those of users' types."""
    return sorted(_members(kind, actor.reach).run(session, [context], workspace=actor.workspace))


@cache
def _members(kind: NodeKind, reach: Reach) -> RowRead:
    table = TABLES[kind]
    edges, far = (attributions, "artifact") if kind is NodeKind.ARTIFACT else (associations, "execution")

    def make() -> sa.Select[Any]:
        rows = edges.join(table, table.c.id == edges.c[far]).join(contexts, contexts.c.id == edges.c.context)
        both = sa.or_(contexts.c.listed == sa.literal_column("0"), table.c.listed == sa.literal_column("1"))
        who = _seen(reach, table.c.workspace), _seen(reach, contexts.c.workspace)
        return sa.select(*node_columns(kind)).select_from(rows).where(among(edges.c.context), both, is_present(table), *who)

    return RowRead(make, packed=True)


# ---- edges ----------------------------------------------------------------------------------------------------------


def read_events(session: Session, actor: Actor, kind: NodeKind, ids: list[int]) -> list[tuple[Any, ...]]:
    """`EVENT` of the executions or artifacts that are here, in no order; one statement for each 5,000."""
    return _run(session, actor, _events(kind, actor.reach), ids)


@cache
def _events(kind: NodeKind, reach: Reach) -> RowRead:
    near, far = (artifacts, executions)[:: 1 if kind is NodeKind.ARTIFACT else -1]

    def make() -> sa.Select[Any]:
        rows = events.join(near, near.c.id == events.c[_END[kind]])
        where = [among(events.c[_END[kind]]), _seen(reach, near.c.workspace)]
        if reach is Reach.SHARED:  # what all share is used by what not all may see
            rows = rows.join(far, far.c.id == events.c[_END[_OTHER[kind]]])
            where.append(_seen(reach, far.c.workspace))
        return sa.select(*(events.c[name] for name in EVENT)).select_from(rows).where(*where)

    return RowRead(make, packed=True)


_END = {NodeKind.ARTIFACT: "artifact", NodeKind.EXECUTION: "execution"}
_OTHER = {NodeKind.ARTIFACT: NodeKind.EXECUTION, NodeKind.EXECUTION: NodeKind.ARTIFACT}


def read_hop(
    session: Session, actor: Actor, kind: NodeKind, ids: list[int], followed: tuple[EventType, ...]
) -> list[tuple[Any, ...]]:
    """`EVENT` and the type of the node at the other end, of events of these types from nodes of the kind; in no order."""
    return _run(session, actor, _hop(kind, actor.reach, followed), ids)


@cache
def _hop(kind: NodeKind, reach: Reach, followed: tuple[EventType, ...]) -> RowRead:
    far = TABLES[_OTHER[kind]]

    def make() -> sa.Select[Any]:
        rows = events.join(far, far.c.id == events.c[_END[_OTHER[kind]]])
        types = sa.or_(*(events.c.type == sa.literal_column(str(int(one))) for one in followed))
        columns = (*(events.c[name] for name in EVENT), far.c.type_id)
        return sa.select(*columns).select_from(rows).where(among(events.c[_END[kind]]), types, _seen(reach, far.c.workspace))

    return RowRead(make, packed=True)


def read_memberships(session: Session, actor: Actor, kind: NodeKind, ids: list[int]) -> list[tuple[int, int]]:
    """(context, node) of the nodes, sorted; contexts of another workspace are not shown."""
    return sorted((row[0], row[1]) for row in _run(session, actor, _memberships(kind, actor.reach), ids))


@cache
def _memberships(kind: NodeKind, reach: Reach) -> RowRead:
    edges = attributions if kind is NodeKind.ARTIFACT else associations
    near = edges.c[_END[kind]]

    def make() -> sa.Select[Any]:
        rows = edges.join(contexts, contexts.c.id == edges.c.context)
        return sa.select(edges.c.context, near).select_from(rows).where(among(near), _seen(reach, contexts.c.workspace))

    return RowRead(make, packed=True)
