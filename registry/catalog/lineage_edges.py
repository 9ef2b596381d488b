"""The edges of the lineage graph in SQL: one statement per level, direction and kind of node, however wide the level.

What a kind of node has one way is the UNION ALL of its parts (`lineage_parts.py`). The first edges of each node are taken here,
where they can be sorted once; where there are so many that they should not come here, by window functions. The order is
`newest_first`.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from lineage.graph import Direction, Edge, EdgeBatch, Node, NodeKind, newest_first
from registry.catalog.lineage_parts import parts
from registry.catalog.lineage_selects import EDGE_KINDS, NODE_KINDS, number
from registry.db.row_reads import RowRead
from registry.db.session import Session

BATCH = 10_000
"""Nodes in one statement."""

MOST_ROWS = 50_000
"""Edges of one statement that are sorted here, hidden ones included."""

LIMIT = sa.bindparam("limit", type_=sa.BigInteger)
_WAYS = (Direction.UPSTREAM, Direction.DOWNSTREAM)
_CONTEXT = NodeKind.CONTEXT
_AT = itemgetter(5)
_Row = tuple[Any, ...]
Statement = sa.Select[Any] | sa.CompoundSelect[Any]


@dataclass(frozen=True)
class SqlEdges:
    """An `EdgeSource` over what one workspace may see."""

    session: Session
    workspace: int
    most_rows: int = MOST_ROWS

    def __post_init__(self) -> None:
        """PostgreSQL would plan each level anew for its ids, which takes longer than to read it, and there is one good plan."""
        if self.session.dialect == "postgresql":
            self.session.begin()
            self.session.connection.exec_driver_sql("SET LOCAL plan_cache_mode = force_generic_plan")

    def edges(self, frontier: Sequence[Node], direction: Direction, limit: int) -> EdgeBatch:
        """See `EdgeSource.edges`. One statement per kind of node in the frontier and 10,000 nodes; two where rows are many."""
        edges: dict[Node, Sequence[Edge]] = {}
        hidden: dict[Node, int] = {}
        for kind, nodes in _batches(frontier):
            own: dict[int, list[_Row]] = {}
            given = {"workspace": self.workspace, "limit": self.most_rows + 1}
            rows = _EDGES[kind, direction].run(self.session, list(nodes), **given)
            if len(rows) > self.most_rows:
                given = {"workspace": self.workspace, "limit": limit}
                rows = _FIRST_EDGES[kind, direction].run(self.session, list(nodes), **given)
                hidden |= {nodes[row[0]]: row[8] - limit for row in rows if row[8] > limit}
                rows = [row[:8] for row in rows]
            for row in rows:
                own.setdefault(row[0], []).append(row)
            for id, found in own.items():
                node = nodes[id]
                if len(found) > 1:
                    if len({row[3] for row in found}) < len(found):
                        found = _merged(found)
                    found.sort(key=_AT, reverse=True)
                if len(found) > limit:
                    hidden[node] = len(found) - limit
                    found = _newest(found, limit)
                edges[node] = _sorted(node, found)[:limit]
        return EdgeBatch(edges, hidden)

    def neighbours(self, frontier: Sequence[Node], direction: Direction, limit: int) -> Collection[Node]:
        """See `EdgeSource.neighbours`; statements as for `edges`."""
        found: set[Node] = set()
        for kind, nodes in _batches(frontier):
            rows = _NEIGHBOURS[kind, direction].run(self.session, list(nodes), workspace=self.workspace, limit=limit)
            found.update([_far(*row) for row in rows])
        return found


def _batches(frontier: Sequence[Node]) -> Iterator[tuple[NodeKind, dict[int, Node]]]:
    """Nodes of one kind by their ids."""
    for kind in NODE_KINDS:
        nodes = [node for node in frontier if node.kind is kind]
        for begin in range(0, len(nodes), BATCH):
            yield kind, {node.id: node for node in nodes[begin : begin + BATCH]}


def _far(kind: int, id: int, run: int | None) -> Node:
    return Node(NODE_KINDS[kind], id) if run is None else Node(_CONTEXT, run)


def _merged(rows: list[_Row]) -> list[_Row]:
    """One row per edge: a step may have read an artifact in several ways (`Part.is_repeated`)."""
    found: dict[_Row, _Row] = {}
    for row in rows:
        key = row[1:5]
        other = found.get(key)
        if other is None:
            found[key] = row
        else:
            roles = [role for role in (row[6], other[6]) if role is not None]
            found[key] = (*row[:5], max(row[5], other[5]), min(roles, default=None), *row[7:])
    return list(found.values())


def _newest(rows: list[_Row], limit: int) -> list[_Row]:
    """Of rows by time those that may be among the first `limit`: as new as the last of them."""
    end = limit
    while end < len(rows) and rows[end][5] == rows[limit - 1][5]:
        end += 1
    return rows[:end]


def _sorted(near: Node, rows: list[_Row]) -> list[Edge]:
    """The edges of rows by time, `newest_first`."""
    edges = []
    for _, code, far_kind, far_id, run, at, role, inferred in rows:
        far = Node(NODE_KINDS[far_kind], far_id) if run is None else Node(_CONTEXT, run)
        ends = (near, far) if code & 1 else (far, near)
        edges.append(Edge(*ends, EDGE_KINDS[code >> 1], role, bool(inferred), at))
    if len(rows) > 1 and len({row[5] for row in rows}) < len(rows):
        edges.sort(key=newest_first)
    return edges


def _edges(kind: NodeKind, direction: Direction) -> Statement:
    """In no order, `limit` rows in all, unmerged."""
    return sa.union_all(*(part.edges(merged=False) for part in parts(kind, direction))).limit(LIMIT)


def _first_edges(kind: NodeKind, direction: Direction) -> Statement:
    """`limit` of each node, and in a ninth column how many it has."""
    union = sa.union_all(*(part.edges(merged=True) for part in parts(kind, direction))).subquery()
    column = union.c
    far = (
        sa.case((column.run.is_(None), column.far_kind), else_=number(NODE_KINDS.index(_CONTEXT))),
        sa.func.coalesce(column.run, column.far),
    )
    near = (number(NODE_KINDS.index(kind)), column.near)
    outward = column.code % number(2)
    is_source = outward == number(1)
    source = [sa.case((is_source, here), else_=there) for here, there in zip(near, far, strict=True)]
    target = [sa.case((is_source, there), else_=here) for here, there in zip(near, far, strict=True)]
    ranked = sa.select(
        union,
        sa.func.count().over(partition_by=column.near).label("total"),
        sa.func.row_number()
        .over(partition_by=column.near, order_by=(column.at.desc(), column.code - outward, *source, *target))
        .label("place"),
    ).subquery()
    columns = [one for one in ranked.c if one.name != "place"]
    return sa.select(*columns).where(ranked.c.place <= LIMIT)


def _neighbours(kind: NodeKind, direction: Direction) -> Statement:
    union = sa.union_all(*(part.neighbours() for part in parts(kind, direction))).subquery()
    order = (union.c.far_kind, union.c.far, union.c.run)
    return sa.select(union).distinct().order_by(*order).limit(LIMIT)


def _reads(make: Callable[[NodeKind, Direction], Statement]) -> dict[tuple[NodeKind, Direction], RowRead]:
    return {(kind, way): RowRead(partial(make, kind, way)) for kind in NODE_KINDS for way in _WAYS}


_EDGES, _FIRST_EDGES, _NEIGHBOURS = _reads(_edges), _reads(_first_edges), _reads(_neighbours)
