"""Pages behind a place: the sort values of the last row say where the next page begins. And the tokens that carry a place.

Missing values come last in both directions, the id decides between equals. A token can be forged, so that nothing of it reaches
a statement before it is what a column of its kind can hold.
"""

import base64
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from registry.errors import InvalidPageToken
from registry.filtering.operands import Condition

MAX_TOKEN = 33_000
"""Characters: eight texts of 512 fit, whatever is in them."""
Scalar = int | float | str | None
Place = Sequence[Scalar]
"""Sort values of a row, None where missing, the id last."""

_FOREIGN = "page_token is not one that this server gave"
_INT64 = 2**63


@dataclass(frozen=True, slots=True)
class SortKey:
    """`kind`: int, float or str. `nullable` False spares the column its test for NULL, so that an index can give the order."""

    value: sa.ColumnElement[Any]
    kind: type
    descending: bool = False
    nullable: bool = True


@dataclass(frozen=True)
class Keyset:
    """An order of rows whose last part is the id, ascending."""

    keys: Sequence[SortKey]
    id: sa.ColumnElement[int]

    def page(self, query: "sa.Select[Any]", *, after: Place | None, limit: int) -> "sa.Select[Any]":
        """The next `limit` rows of `query` in this order: their sort values and id, in place of what it selects.

        Raises InvalidPageToken: `after` is no place of this order.
        """
        if after is not None:
            query = query.where(self.behind(after))
        columns = query.with_only_columns(*self.values, self.id.label("id"))
        return columns.order_by(None).order_by(*self.order_by).limit(limit)

    def over(self, page: sa.FromClause) -> "Keyset":
        """The same order by the columns of a `page` that has become a subquery."""
        return Keyset([replace(key, value=page.c[f"k{index}"]) for index, key in enumerate(self.keys)], page.c.id)

    @property
    def values(self) -> Sequence[sa.ColumnElement[Any]]:
        """What a statement must select for `place`, beside the id."""
        return [key.value.label(f"k{index}") for index, key in enumerate(self.keys)]

    def place(self, row: sa.Row[Any]) -> Place:
        """Of a row that has `values` and the id."""
        return [*(getattr(row, f"k{index}") for index in range(len(self.keys))), row.id]

    @property
    def order_by(self) -> Sequence[sa.ColumnElement[Any]]:
        return [part.desc() if descending else part.asc() for part, descending in self._parts]

    def behind(self, place: Place) -> Condition:
        """True for rows after `place`.

        Raises InvalidPageToken: it is no place of this order.
        """
        if len(place) != len(self.keys) + 1 or not _fits(place[-1], int):
            raise InvalidPageToken(_FOREIGN)
        values: list[Scalar] = []
        for key, value in zip(self.keys, place, strict=False):
            if not (key.nullable if value is None else _fits(value, key.kind)):
                raise InvalidPageToken(_FOREIGN)
            values += [int(value is None), value] if key.nullable else [value]
        return _after(self._parts, [*values, place[-1]])

    @property
    def _parts(self) -> list[tuple[sa.ColumnElement[Any], bool]]:
        parts: list[tuple[sa.ColumnElement[Any], bool]] = []
        for key in self.keys:
            if key.nullable:
                parts.append((sa.case((key.value.is_(None), 1), else_=0), False))
            parts.append((key.value, key.descending))
        return [*parts, (self.id, False)]


def _after(parts: Sequence[tuple[sa.ColumnElement[Any], bool]], values: Sequence[Scalar]) -> Condition:
    """Lexicographically greater, each part in its own direction."""
    wider: list[Condition] = []
    same: list[Condition] = []
    for (part, descending), value in zip(parts, values, strict=True):
        if value is None:  # the part before has said that it is NULL
            continue
        bound = sa.literal(
            value, sa.Text() if isinstance(value, str) else sa.Double() if isinstance(value, float) else sa.BigInteger()
        )
        wider.append(sa.and_(*same, part < bound if descending else part > bound))
        same.append(part == bound)
    return sa.or_(*wider)


def check_place(place: Place, kinds: Sequence[type]) -> Place:
    """For lists in an order of their own: the place, if it has a value of each kind (int, float, str), as `Keyset.behind` asks.

    Raises InvalidPageToken.
    """
    if len(place) != len(kinds) or not all(_fits(value, kind) for value, kind in zip(place, kinds, strict=True)):
        raise InvalidPageToken(_FOREIGN)
    return place


def _fits(value: Scalar, kind: type) -> bool:
    """Whether a column of this kind can hold it, on every database."""
    if isinstance(value, bool) or not isinstance(value, int | float if kind is float else kind):
        return False
    match value:
        case str():
            return not any(character == "\0" or "\ud800" <= character <= "\udfff" for character in value)
        case float():
            return math.isfinite(value)
        case _:
            return value is not None and -_INT64 <= value < _INT64


def token_of(place: Place, *query: object) -> str:
    """What continues behind `place` in the list that `query` (JSON-able) describes; the same for the same."""
    body = json.dumps([_digest(query), list(place)], ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return base64.urlsafe_b64encode(body.encode()).decode().rstrip("=")


def place_of(token: str, *query: object) -> Place:
    """The place in a token; `Keyset.behind` sees whether it is one of its order.

    Raises InvalidPageToken: garbage, or a token of another list or query.
    """
    if len(token) > MAX_TOKEN:
        raise InvalidPageToken(_FOREIGN)
    try:
        digest, place = json.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
    except (ValueError, TypeError, RecursionError):  # RecursionError: brackets without end
        raise InvalidPageToken(_FOREIGN) from None
    if digest != _digest(query):
        raise InvalidPageToken("page_token belongs to another list or query")
    if not isinstance(place, list) or not all(value is None or isinstance(value, int | float | str) for value in place):
        raise InvalidPageToken(_FOREIGN)
    return place


def _digest(query: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(query, sort_keys=True).encode()).hexdigest()[:16]
