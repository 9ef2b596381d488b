"""Pages behind a place: the sort values of the last row say where the next page begins, so no page reads those before it.

Missing values come last in both directions. Sort values are numbers and short texts, never whole long ones.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from registry.db.session import Session
from registry.errors import InvalidArgument, InvalidPageToken
from registry.names import check_text

COUNTED = 10_000
Place = Sequence[Any]
"""Sort values of a row, the id last; what a page token holds."""


@dataclass(frozen=True)
class Total:
    """`exact` is False where there are more than could be counted: 10,000."""

    value: int
    exact: bool


@dataclass(frozen=True)
class SortKey:
    """`value` may be NULL; `kind` is what it is in Python."""

    value: sa.ColumnElement[Any]
    kind: type
    descending: bool = False


def page_of(
    session: Session,
    query: "sa.Select[Any]",
    id: sa.ColumnElement[int],
    keys: Sequence[SortKey],
    *,
    after: Place | None,
    limit: int,
) -> list[tuple[int, Place]]:
    """(id, place) of the next `limit` rows of `query`, whose columns are replaced. One statement.

    Raises InvalidPageToken: `after` is no place of this order.
    """
    parts: list[tuple[sa.ColumnElement[Any], bool]] = []
    for key in keys:
        parts += [(sa.case((key.value.is_(None), 1), else_=0), False), (key.value, key.descending)]
    parts.append((id, False))
    if after is not None:
        query = query.where(_behind(parts, _values(keys, after)))
    query = query.with_only_columns(*(part.label(f"k{index}") for index, (part, _) in enumerate(parts)))
    query = query.order_by(None).order_by(*(part.desc() if descending else part.asc() for part, descending in parts))
    found: list[tuple[int, Place]] = []
    for row in session.all(query.limit(limit)):
        values: list[Any] = list(row)
        last: int = values[-1]
        found.append((last, [*values[1:-1:2], last]))
    return found


def count_up_to(session: Session, query: "sa.Select[Any]", id: sa.ColumnElement[int]) -> Total:
    """How many rows `query` has, counted to 10,000. One statement."""
    some = query.with_only_columns(id).order_by(None).limit(COUNTED + 1).subquery()
    found = int(session.scalar(sa.select(sa.func.count()).select_from(some)))
    return Total(min(found, COUNTED), found <= COUNTED)


def is_sound(value: object) -> bool:
    """Whether a value from a token can be compared in every database: a 64-bit integer, a finite double, text, or None.

    Tokens are not secret, so anybody can write one.
    """
    if value is None:
        return True
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    if isinstance(value, float):
        return math.isfinite(value)
    if not isinstance(value, str):
        return False
    try:
        check_text(value, "page_token")
    except InvalidArgument:
        return False
    return True


def _values(keys: Sequence[SortKey], after: Place) -> list[Any]:
    """The values that `parts` are compared with; a missing one stands for "is NULL"."""
    good = len(after) == len(keys) + 1 and type(after[-1]) is int and all(is_sound(value) for value in after)
    for key, value in zip(keys, after, strict=False):
        good = good and (value is None or isinstance(value, int | float if key.kind is float else key.kind))
    if not good:
        raise InvalidPageToken("page_token is not one that this server gave")
    found: list[Any] = []
    for value in after[:-1]:
        found += [int(value is None), value]
    return [*found, after[-1]]


def _behind(parts: Sequence[tuple[sa.ColumnElement[Any], bool]], values: Sequence[Any]) -> sa.ColumnElement[bool]:
    """Lexicographically greater, each part in its own direction."""
    wider: list[sa.ColumnElement[bool]] = []
    same: list[sa.ColumnElement[bool]] = []
    for (part, descending), value in zip(parts, values, strict=True):
        if value is None:  # the part before has said that it is NULL
            continue
        wider.append(sa.and_(*same, part < value if descending else part > value))
        same.append(part == value)
    return sa.or_(*wider)
