"""What a field is in SQL: how a `Resolver` tells the compiler where values lie.

Two shapes. A value in the record's own row is an `Operand` with a column. Values in rows of another table (params, tags,
aliases, neighbours) have a `Scope` too, which says how a condition on such a row becomes one on the record.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

import sqlalchemy as sa

from registry.filtering.tree import Field

PREFIX_LENGTH = 200
"""Characters of a text that its index column holds (`Operand.prefix`)."""


class Storage(Enum):
    """How a column keeps its values."""

    INTEGER = int
    REAL = float
    TEXT = str
    BOOLEAN = bool


Condition = sa.ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Scope:
    """`wrap` makes a condition on the record of one on the other row: "there is such a row". Its answer is never NULL.

    Operands whose scopes have the same `alias` (not None) speak of one row within an AND, so the resolver must give the same
    table object for them, and `wrap` must let conditions on other tables through (`neighbour` does).
    """

    wrap: Callable[[Condition], Condition]
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class Operand:
    """`columns`: the value by how it is stored; several where the type of the value decides.

    - `prefix`: the indexed column with the first `PREFIX_LENGTH` characters of the text.
    - `nullable`: whether the columns can be NULL where the row is there.
    - `is_nan`: whether the row's value is NaN, whatever its column holds.
    - `order`: what to sort by, ascending, where it is not the one column.
    """

    columns: Mapping[Storage, sa.ColumnElement[Any]]
    prefix: sa.ColumnElement[str] | None = None
    nullable: bool = True
    scope: Scope | None = None
    is_nan: Condition | None = None
    order: tuple[sa.ColumnElement[Any], ...] = field(default=())


class Resolver(Protocol):
    def operand(self, field: Field) -> Operand:
        """Where the values of a checked field lie; an accessor leaves only its own column.

        Raises FilterError: the record kind cannot be asked for it.
        """


def rows(record: sa.ColumnElement[Any], owner: sa.ColumnElement[Any], *where: Condition) -> Scope:
    """Rows of another table whose `owner` is the record's id. Not correlated, so that the index of the key can lead.

    The conditions may speak of the other table only.
    """

    def wrap(condition: Condition) -> Condition:
        if isinstance(condition, sa.False_):
            return condition  # an AND with it would be it alone, and the tables left without what joins them
        found = record.in_(sa.select(owner).where(*where, condition).correlate(None))
        # NULL IN (…) is NULL, and so would be its NOT: a run without a parent has to answer `parent IS NULL`.
        return sa.and_(record.is_not(None), found) if getattr(record, "nullable", True) else found

    return Scope(wrap)


def neighbour(alias: str, table: sa.FromClause, *join: Condition) -> Scope:
    """A row of `table` (a table alias of its own for each filter alias) that `join` ties to the record."""

    def wrap(condition: Condition) -> Condition:
        return sa.exists(sa.select(sa.literal_column("1")).select_from(table).where(*join, condition).correlate_except(table))

    return Scope(wrap, alias)
