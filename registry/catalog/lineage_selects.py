"""What SELECTs of lineage edges are made of: their columns, their ends, and who may see which rows."""

from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa

from lineage.graph import EdgeKind
from lineage.graph import NodeKind as LineageKind
from registry.tables.graph import artifacts

End = TypeVar("End")
SHARED = 0
"""The workspace of artifacts that the whole installation may read."""

WORKSPACE = sa.bindparam("workspace", type_=sa.BigInteger)
EDGE_KINDS = sorted(EdgeKind)
NODE_KINDS = sorted(LineageKind)
"""Kinds are numbers in SQL, their places here: they sort alike."""

Select = sa.Select[Any]
Column = sa.ColumnElement[Any]
Rows = sa.FromClause


def number(value: int) -> Column:
    """In the text: a parameter would need a name."""
    return sa.literal_column(str(int(value)), sa.Integer)


@dataclass(frozen=True)
class Part:
    """`rows` and `where` are the SELECT. `near` is the end whose ids are given, `far` the other, of `far_kind` (its number).

    `code`: twice the number of the edge's kind, and one more where `near` is its source. `run`: if not NULL the far end is this
    run instead. `is_repeated`: several rows may be one edge, of the last `at` and the first `role`.
    """

    code: Column
    near: Column
    far_kind: Column
    far: Column
    rows: Rows
    where: tuple[Column, ...]
    at: Column
    run: Column | None = None
    role: Column | None = None
    inferred: Column | None = None
    is_repeated: bool = False

    def edges(self, *, merged: bool) -> Select:
        """near, code, far_kind, far, run, at, role, inferred. `merged`: one row per edge, not per use."""
        grouped = merged and self.is_repeated
        role = sa.null() if self.role is None else self.role
        query = self._select(
            self.near.label("near"),
            self.code.label("code"),
            *self._far(),
            (sa.func.max(self.at) if grouped else self.at).label("at"),
            (sa.func.min(role) if grouped and self.role is not None else role).label("role"),
            (number(0) if self.inferred is None else self.inferred).label("inferred"),
        )
        return query.group_by(self.near, self.far) if grouped else query

    def neighbours(self) -> Select:
        """far_kind, far, run."""
        return self._select(*self._far())

    def _far(self) -> tuple[Column, Column, Column]:
        run = sa.cast(sa.null(), sa.BigInteger) if self.run is None else self.run
        return self.far_kind.label("far_kind"), self.far.label("far"), run.label("run")

    def _select(self, *columns: Column) -> Select:
        return sa.select(*columns).select_from(self.rows).where(*self.where)


def is_here(table: sa.Table, id: Column) -> Column:
    """The row with this id is one that the workspace may see: its own or, of artifacts, a shared one.

    A subquery that has one row and is no join: by no statistics, nor without any, would a planner start from a whole workspace.
    """
    seen = table.alias()
    workspace = sa.select(seen.c.workspace).where(seen.c.id == id).correlate_except(seen).scalar_subquery()
    found: Column = workspace.in_((WORKSPACE, number(SHARED))) if table is artifacts else workspace == WORKSPACE
    return found


def kind_of(kind: LineageKind) -> Column:
    return number(NODE_KINDS.index(kind))


def code_of(kind: EdgeKind, *, outward: bool) -> Column:
    return number(2 * EDGE_KINDS.index(kind) + outward)


ARTIFACT, CONTEXT, EXECUTION = kind_of(LineageKind.ARTIFACT), kind_of(LineageKind.CONTEXT), kind_of(LineageKind.EXECUTION)


def ends(source: End, target: End, *, outward: bool) -> tuple[End, End]:
    """Near and far."""
    return (source, target) if outward else (target, source)
