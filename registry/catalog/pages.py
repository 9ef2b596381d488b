"""Lists of records: a page of those that a filter is true for, in an order, and how many there are.

Each kind of record has one list function, which says with typed arguments what the caller may see; what can be filtered and
ordered by is declared in `subjects.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import sqlalchemy as sa

from registry.catalog.best_first import best_first, may_be_best_first
from registry.catalog.subjects import condition_of, ordered, terms_of
from registry.db.session import Session
from registry.filtering import OrderTerm, Tree
from registry.filtering.keyset import Keyset, Place
from registry.filtering.subject import Query, Subject
from registry.names import Lifecycle

COUNTED = 10_000
T = TypeVar("T")
Row = sa.Row[tuple[Any, ...]]


@dataclass(frozen=True)
class Search:
    """What a list is asked for: in the core grammar, or as a tree and terms that a door's own grammar became.

    `after`: the `end` of the page before; `total`: count what there is, one statement more.
    """

    filter: str | Tree = ""
    order_by: str | Sequence[OrderTerm] = ""
    after: Place | None = None
    limit: int = 100
    total: bool = False


FIRST_PAGE = Search()
"""By id."""


@dataclass(frozen=True)
class Total:
    """`exact` is False where there are more than are counted: 10,000."""

    value: int
    exact: bool


@dataclass(frozen=True)
class Page(Generic[T]):
    """`end` is where the next page begins, None on the last one; `total` is there where it was asked for.

    `places` has one for each record: where a page that follows it begins.
    """

    records: Sequence[T]
    end: Place | None
    total: Total | None
    places: Sequence[Place] = ()


def find_page(
    session: Session,
    subject: Subject,
    where: Sequence[sa.ColumnElement[bool]],
    search: Search,
    *,
    rows: Query,
    read: Callable[[Session, Sequence[Row]], Sequence[T]],
) -> Page[T]:
    """Records of the kind for which `where` and the filter hold.

    `rows` selects, from the kind's table and what it joins, the rows that `read` makes records of. One statement, and one for
    each key of a filter or order that is not cached: the ids are found first, then the rows of those only. In the order of a
    metric up to two more, of which the first says whether there are many.

    Raises:
        InvalidFilter: filter or order do not parse or type-check; says which and where.
        InvalidPageToken: `after` is no place of this order.
    """
    among = sa.select(subject.id).where(*where)
    condition = condition_of(session, subject, search.filter)
    kept = among if condition is None else among.where(condition)
    total = _count(session, kept) if search.total else None
    terms = terms_of(subject, search.order_by)
    wanted = search.limit + 1  # one more says that there are more

    def find(query: Query, keyset: Keyset) -> tuple[Sequence[Row], Keyset]:
        page = keyset.page(query, after=search.after, limit=wanted).subquery("page")
        order = keyset.over(page)
        of_page = rows.join(page, page.c.id == subject.id).add_columns(*order.values)
        return session.all(of_page.order_by(*order.order_by)), order

    best = None
    if may_be_best_first(session, subject, among, terms, limit=wanted):
        best = best_first(session, subject, kept, terms, after=search.after, limit=wanted)
    found, order = ((), None) if best is None else find(*best)
    if order is None or len(found) < wanted:
        query, keys = ordered(session, subject, kept, terms)
        found, order = find(query, Keyset(keys, subject.id))
    shown = found[: search.limit]
    places = _Places(shown, order)
    return Page(read(session, shown), places[-1] if len(found) > search.limit else None, total, places)


class _Places(Sequence[Place]):
    """Made when they are asked for: most doors need the last one alone."""

    def __init__(self, rows: Sequence[Row], order: Keyset) -> None:
        self._rows = rows
        self._order = order

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return _Places(self._rows[index], self._order)
        return self._order.place(self._rows[index])


def of_workspace(column: sa.Column[int], workspace: int, *, narrower: bool) -> sa.ColumnElement[bool]:
    """`narrower`: other conditions find fewer rows by an index of their own. A planner without statistics would go through all
    of the workspace in the order of ids for a page of a record that has three.
    """
    return (column + sa.literal_column("0", sa.Integer()) if narrower else column) == workspace


def of_lifecycle(column: sa.Column[int], lifecycle: Lifecycle | None) -> sa.ColumnElement[bool]:
    """None: whatever is not deleted."""
    return column != Lifecycle.DELETED if lifecycle is None else column == lifecycle


def _count(session: Session, query: Query) -> Total:
    some = query.limit(COUNTED + 1).subquery()
    found = int(session.scalar(sa.select(sa.func.count()).select_from(some)))
    return Total(min(found, COUNTED), found <= COUNTED)
