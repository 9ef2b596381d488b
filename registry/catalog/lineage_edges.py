"""The edges of the lineage graph in SQL: one statement per level, direction and kind of node, however wide the level.

Each kind of edge is one SELECT; what a kind of node has one way is their UNION ALL, and window functions take the first
edges of each node and count the rest. The order is `newest_first`; an edge without a time of its own has the creation of
its target. A run is one node, its context: the execution that stands for it in events is never shown. One that read or wrote
an artifact in several ways did so once.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import sqlalchemy as sa

from lineage.graph import Direction, Edge, EdgeBatch, EdgeKind, Node
from lineage.graph import NodeKind as LineageKind
from registry.db.session import Session
from registry.names import INPUT_EVENTS, OUTPUT_EVENTS, LinkKind, NodeKind
from registry.tables.graph import artifacts, associations, contexts, derivations, events, executions, links
from registry.tables.models import deployments, model_versions
from registry.tables.runs import runs

SHARED = 0
"""The workspace of artifacts that the whole installation may read."""

BATCH = 10_000
"""Nodes in one statement: SQLite takes 32,766 parameters."""

_EDGE_KINDS = sorted(EdgeKind)
_NODE_KINDS = sorted(LineageKind)
_FROM_NAMES = {
    NodeKind.ARTIFACT: LineageKind.ARTIFACT,
    NodeKind.CONTEXT: LineageKind.CONTEXT,
    NodeKind.EXECUTION: LineageKind.EXECUTION,
}
_FROM_LINEAGE = {there: here for here, there in _FROM_NAMES.items()}

Select = sa.Select[Any]
Column = sa.ColumnElement[Any]
Ids = sa.BindParameter[Any]
Workspace = int | sa.BindParameter[Any]
End = tuple[Column, Column]
"""Number of the kind (its place in `_NODE_KINDS`), id."""


@dataclass(frozen=True)
class SqlEdges:
    """An `EdgeSource` over what one workspace may see."""

    session: Session
    workspace: int

    def edges(self, frontier: Sequence[Node], direction: Direction, limit: int) -> EdgeBatch:
        """See `EdgeSource.edges`. One statement per kind of node in the frontier and 10,000 nodes."""
        found: dict[Edge, None] = {}
        hidden: dict[Node, int] = {}
        for kind in _NODE_KINDS:
            ids = [node.id for node in frontier if node.kind is kind]
            for begin in range(0, len(ids), BATCH):
                given = {"ids": ids[begin : begin + BATCH], "workspace": self.workspace, "limit": limit}
                for row in self.session.all(_statement(kind, direction), given):
                    found[_edge(row)] = None
                    if row.total > limit:
                        hidden[Node(kind, row.near)] = row.total - limit
        return EdgeBatch(list(found), hidden)


@cache
def _statement(kind: LineageKind, direction: Direction) -> Select:
    """Takes `ids`, `workspace` and `limit`. Made once: to make it costs more than to run it."""
    # The ids are written into the text: SQLite would count them once for each part.
    ids = sa.bindparam("ids", type_=sa.BigInteger, expanding=True, literal_execute=True)
    workspace = sa.bindparam("workspace", type_=sa.BigInteger)
    parts = [*_PARTS[kind, direction](ids, workspace), *_linked(kind, direction, ids, workspace)]
    return _limited(parts, sa.bindparam("limit", type_=sa.BigInteger))


def visible_artifacts(workspace: Workspace) -> Column:
    return (artifacts.c.workspace + 0).in_((workspace, SHARED))


def of(table: sa.FromClause, workspace: Workspace) -> Column:
    """The row is the workspace's. Not by index: a planner without statistics would start from a whole workspace."""
    return table.c.workspace + 0 == workspace


def own_run(execution: Column) -> Column:
    """Id of the run that the execution stands for, or NULL. `runs.execution` has no index, so by the association."""
    belongs, run = associations.alias(), runs.alias()
    query = sa.select(sa.func.min(run.c.id)).select_from(belongs).join(run, run.c.id == belongs.c.context)
    return (
        query.where(belongs.c.execution == execution, run.c.execution == execution)
        .scalar_subquery()
        .correlate(events, associations, links)
    )


def _limited(parts: Sequence[Select], limit: Column) -> Select:
    all_edges = sa.union_all(*parts).subquery()
    column = all_edges.c
    order = (column.at.desc(), column.kind, column.source_kind, column.source, column.target_kind, column.target)
    ranked = sa.select(
        all_edges,
        sa.func.row_number().over(partition_by=column.near, order_by=order).label("place"),
        sa.func.count().over(partition_by=column.near).label("total"),
    ).subquery()
    return sa.select(ranked).where(ranked.c.place <= limit).order_by(ranked.c.near, ranked.c.place)


def _edge(row: sa.Row[Any]) -> Edge:
    return Edge(
        Node(_NODE_KINDS[row.source_kind], row.source),
        Node(_NODE_KINDS[row.target_kind], row.target),
        _EDGE_KINDS[row.kind],
        row.role,
        bool(row.inferred),
        row.at,
    )


def _number(value: int) -> Column:
    return sa.literal_column(str(value), sa.Integer)


def _end(kind: LineageKind, id: Column) -> End:
    return _number(_NODE_KINDS.index(kind)), id


def _artifact(id: Column) -> End:
    return _end(LineageKind.ARTIFACT, id)


def _context(id: Column) -> End:
    return _end(LineageKind.CONTEXT, id)


def _execution(id: Column) -> End:
    return _end(LineageKind.EXECUTION, id)


def _execution_or_run(id: Column) -> End:
    run = own_run(id)
    kind = sa.case((run.is_(None), _execution(id)[0]), else_=_context(id)[0])
    return kind, sa.func.coalesce(run, id)


def _select(
    near: Column,
    kind: EdgeKind,
    source: End,
    target: End,
    *,
    at: Column,
    role: Column | None = None,
    inferred: Column | None = None,
) -> Select:
    return sa.select(
        near.label("near"),
        _number(_EDGE_KINDS.index(kind)).label("kind"),
        source[0].label("source_kind"),
        source[1].label("source"),
        target[0].label("target_kind"),
        target[1].label("target"),
        at.label("at"),
        (sa.null() if role is None else role).label("role"),
        (_number(0) if inferred is None else inferred).label("inferred"),
    )


_LAST, _PORT = sa.func.max(events.c.at), sa.func.min(events.c.port)


def _used_by(kind: EdgeKind, ids: Ids, workspace: Workspace) -> Select:
    """From artifacts to who read or wrote them."""
    ends = _artifact(events.c.artifact), _execution_or_run(events.c.execution)
    source, target = ends if kind is EdgeKind.INPUT else ends[::-1]
    return (
        _select(events.c.artifact, kind, source, target, at=_LAST, role=_PORT)
        .join(executions, executions.c.id == events.c.execution)
        .where(events.c.artifact.in_(ids), events.c.type.in_(_types(kind)), of(executions, workspace))
        .group_by(events.c.artifact, events.c.execution)
    )


def _uses(kind: EdgeKind, ids: Ids, workspace: Workspace) -> Select:
    """From executions to what they read or wrote."""
    ends = _artifact(events.c.artifact), _execution(events.c.execution)
    source, target = ends if kind is EdgeKind.INPUT else ends[::-1]
    return (
        _select(events.c.execution, kind, source, target, at=_LAST, role=_PORT)
        .join(artifacts, artifacts.c.id == events.c.artifact)
        .where(events.c.execution.in_(ids), events.c.type.in_(_types(kind)), visible_artifacts(workspace))
        .group_by(events.c.execution, events.c.artifact)
    )


def _uses_of_runs(kind: EdgeKind, ids: Ids, workspace: Workspace) -> Select:
    """From runs to what they themselves, in no step, read or wrote."""
    ends = _artifact(events.c.artifact), _context(runs.c.id)
    source, target = ends if kind is EdgeKind.INPUT else ends[::-1]
    return (
        _select(runs.c.id, kind, source, target, at=_LAST, role=_PORT)
        .select_from(runs)
        .join(events, events.c.execution == runs.c.execution)
        .join(artifacts, artifacts.c.id == events.c.artifact)
        .where(runs.c.id.in_(ids), events.c.type.in_(_types(kind)), visible_artifacts(workspace))
        .group_by(runs.c.id, events.c.artifact)
    )


def _types(kind: EdgeKind) -> tuple[int, ...]:
    return INPUT_EVENTS if kind is EdgeKind.INPUT else OUTPUT_EVENTS


def _derived(near: Column, far: Column, ids: Ids, workspace: Workspace) -> Select:
    ends = _artifact(derivations.c.source), _artifact(derivations.c.target)
    return (
        _select(near, EdgeKind.DERIVATION, *ends, at=derivations.c.at, inferred=derivations.c.inferred)
        .join(artifacts, artifacts.c.id == far)
        .where(near.in_(ids), visible_artifacts(workspace))
    )


def _steps(near: Column, ids: Ids, workspace: Workspace) -> Select:
    """Between runs and the executions in them, either way: what belongs to a run has its workspace."""
    return (
        _select(near, EdgeKind.CONTAINS, _context(runs.c.id), _execution(associations.c.execution), at=executions.c.created_at)
        .select_from(associations)
        .join(runs, runs.c.id == associations.c.context)
        .join(executions, executions.c.id == associations.c.execution)
        .where(near.in_(ids), of(runs, workspace), of(executions, workspace))
        .where(own_run(associations.c.execution).is_(None))
    )


def _nested(near: Column, ids: Ids, workspace: Workspace) -> Select:
    parent = runs.alias("parents")
    return (
        _select(near, EdgeKind.CONTAINS, _context(runs.c.parent), _context(runs.c.id), at=contexts.c.created_at)
        .select_from(runs)
        .join(parent, parent.c.id == runs.c.parent)
        .join(contexts, contexts.c.id == runs.c.id)
        .where(near.in_(ids), of(runs, workspace), of(parent, workspace))
    )


def _registered_artifact(near: Column, ids: Ids, workspace: Workspace) -> Select:
    ends = _artifact(model_versions.c.artifact), _context(model_versions.c.id)
    return (
        _select(near, EdgeKind.REGISTERED_AS, *ends, at=contexts.c.created_at)
        .select_from(model_versions)
        .join(contexts, contexts.c.id == model_versions.c.id)
        .join(artifacts, artifacts.c.id == model_versions.c.artifact)
        .where(near.in_(ids), of(model_versions, workspace), visible_artifacts(workspace))
    )


def _registered_run(near: Column, ids: Ids, workspace: Workspace) -> Select:
    ends = _context(model_versions.c.run), _context(model_versions.c.id)
    return (
        _select(near, EdgeKind.REGISTERED_AS, *ends, at=contexts.c.created_at)
        .select_from(model_versions)
        .join(contexts, contexts.c.id == model_versions.c.id)
        .join(runs, runs.c.id == model_versions.c.run)
        .where(near.in_(ids), of(model_versions, workspace), of(runs, workspace))
    )


def _deployed(near: Column, ids: Ids, workspace: Workspace) -> Select:
    ends = _context(deployments.c.model_version), _context(deployments.c.id)
    return (
        _select(near, EdgeKind.DEPLOYED_AS, *ends, at=contexts.c.created_at)
        .select_from(deployments)
        .join(contexts, contexts.c.id == deployments.c.id)
        .join(model_versions, model_versions.c.id == deployments.c.model_version)
        .where(near.in_(ids), of(deployments, workspace), of(model_versions, workspace))
    )


def _linked(kind: LineageKind, direction: Direction, ids: Ids, workspace: Workspace) -> Iterator[Select]:
    """Links name the later one first: `from` was reused from `to`. SAME_AS has no direction."""
    far_of_reuse = "from" if direction is Direction.DOWNSTREAM else "to"
    for link, edge_kind, far in (
        (LinkKind.REUSED_FROM, EdgeKind.REUSED_FROM, far_of_reuse),
        (LinkKind.SAME_AS, EdgeKind.SAME_AS, "from"),
        (LinkKind.SAME_AS, EdgeKind.SAME_AS, "to"),
    ):
        near = "to" if far == "from" else "from"
        first, second = _link_end("from"), _link_end("to")
        ends = (second, first) if link is LinkKind.REUSED_FROM else (first, second)
        near_node = links.c[f"{near}_node"]
        yield _select(near_node, edge_kind, *ends, at=links.c.at, inferred=links.c.inferred).where(
            links.c.kind == int(link),
            links.c[f"{near}_kind"] == int(_FROM_LINEAGE[kind]),
            near_node.in_(ids),
            _is_visible(links.c[f"{far}_kind"], links.c[f"{far}_node"], workspace),
        )


def _link_end(end: str) -> End:
    numbers = {int(here): _NODE_KINDS.index(there) for here, there in _FROM_NAMES.items()}
    return sa.case(numbers, value=links.c[f"{end}_kind"]), links.c[f"{end}_node"]


def _is_visible(kind: Column, id: Column, workspace: Workspace) -> Column:
    def there(node_kind: NodeKind, table: sa.Table, *conditions: Column) -> Column:
        return sa.and_(kind == int(node_kind), sa.exists().where(table.c.id == id, *conditions).correlate(links))

    return sa.or_(
        there(NodeKind.ARTIFACT, artifacts, visible_artifacts(workspace)),
        there(NodeKind.CONTEXT, contexts, of(contexts, workspace)),
        sa.and_(there(NodeKind.EXECUTION, executions, of(executions, workspace)), own_run(id).is_(None)),
    )


def _above_artifacts(ids: Ids, workspace: Workspace) -> list[Select]:
    return [
        _used_by(EdgeKind.OUTPUT, ids, workspace),
        _derived(derivations.c.target, derivations.c.source, ids, workspace),
    ]


def _below_artifacts(ids: Ids, workspace: Workspace) -> list[Select]:
    return [
        _used_by(EdgeKind.INPUT, ids, workspace),
        _derived(derivations.c.source, derivations.c.target, ids, workspace),
        _registered_artifact(model_versions.c.artifact, ids, workspace),
    ]


def _above_executions(ids: Ids, workspace: Workspace) -> list[Select]:
    return [_uses(EdgeKind.INPUT, ids, workspace), _steps(associations.c.execution, ids, workspace)]


def _below_executions(ids: Ids, workspace: Workspace) -> list[Select]:
    return [_uses(EdgeKind.OUTPUT, ids, workspace)]


def _above_contexts(ids: Ids, workspace: Workspace) -> list[Select]:
    return [
        _uses_of_runs(EdgeKind.INPUT, ids, workspace),
        _nested(runs.c.id, ids, workspace),
        _registered_artifact(model_versions.c.id, ids, workspace),
        _registered_run(model_versions.c.id, ids, workspace),
        _deployed(deployments.c.id, ids, workspace),
    ]


def _below_contexts(ids: Ids, workspace: Workspace) -> list[Select]:
    return [
        _uses_of_runs(EdgeKind.OUTPUT, ids, workspace),
        _steps(associations.c.context, ids, workspace),
        _nested(runs.c.parent, ids, workspace),
        _registered_run(model_versions.c.run, ids, workspace),
        _deployed(deployments.c.model_version, ids, workspace),
    ]


_PARTS: dict[tuple[LineageKind, Direction], Callable[[Ids, Workspace], list[Select]]] = {
    (LineageKind.ARTIFACT, Direction.UPSTREAM): _above_artifacts,
    (LineageKind.ARTIFACT, Direction.DOWNSTREAM): _below_artifacts,
    (LineageKind.EXECUTION, Direction.UPSTREAM): _above_executions,
    (LineageKind.EXECUTION, Direction.DOWNSTREAM): _below_executions,
    (LineageKind.CONTEXT, Direction.UPSTREAM): _above_contexts,
    (LineageKind.CONTEXT, Direction.DOWNSTREAM): _below_contexts,
}
