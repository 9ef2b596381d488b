"""Lists over HTTP: what they can be asked for, and page tokens, valid for the list and the query that gave them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Query

from registry.api.rest.schemas import TotalOut
from registry.catalog.pages import Page, Search
from registry.filtering.keyset import MAX_TOKEN, Place, check_place, place_of, token_of

T = TypeVar("T")
MAX_PAGE = 1000
PageSize = Annotated[int, Query(ge=1, le=MAX_PAGE, description="Rows of a page.")]
PageToken = Annotated[
    str | None, Query(max_length=MAX_TOKEN, pattern=r"^[A-Za-z0-9_-]*$", description="`next_page_token` of the page before.")
]
Filter = Annotated[
    str,
    Query(max_length=10_000, pattern=r"^[^\x00]*$", description="What must be true: fields, AND OR NOT, IN, LIKE, IS NULL."),
]
OrderBy = Annotated[
    str, Query(max_length=1000, pattern=r"^[^\x00]*$", description="`metrics.acc DESC, started_at`; missing values come last.")
]
WithTotal = Annotated[bool, Query(description="Count what there is, up to 10,000.")]
ExactName = Annotated[str | None, Query(max_length=512, pattern=r"^[^\x00]*$", description="Exactly this name.")]


@dataclass(frozen=True)
class Listing:
    """A search, and the query that its tokens are valid for."""

    search: Search
    query: Sequence[object]

    def ends(self, page: Page[Any]) -> dict[str, Any]:
        """What each page has beside its records (`schemas.Found`)."""
        token = None if page.end is None else token_of(page.end, *self.query)
        total = None if page.total is None else TotalOut(value=page.total.value, exact=page.total.exact)
        return {"next_page_token": token, "total": total}


@dataclass(frozen=True)
class ListQuery:
    """The query parameters of every list that has a filter."""

    page_size: int
    page_token: str | None
    filter: str
    order_by: str
    total: bool

    def of(self, *what: object) -> Listing:
        """`what`: the list, the workspace, and its own parameters. Raises InvalidPageToken."""
        query = (*what, self.filter, self.order_by)
        after = place_of(self.page_token, *query) if self.page_token else None
        return Listing(Search(self.filter, self.order_by, after, self.page_size, self.total), query)


async def _asked(
    page_size: PageSize = 100,
    page_token: PageToken = None,
    filter: Filter = "",
    order_by: OrderBy = "",
    total: WithTotal = False,
) -> ListQuery:
    """A coroutine: FastAPI would call a class in a thread."""
    return ListQuery(page_size, page_token, filter, order_by, total)


Asked = Annotated[ListQuery, Depends(_asked)]

# ---- lists in an order of their own ----------------------------------------------------------------------------------


def position(token: str | None, kinds: Sequence[type], *query: object) -> Place | None:
    """The sort values of a token, one of each kind (int, float, str); None without one.

    Raises InvalidPageToken: not a token, or of another list or query.
    """
    return check_place(place_of(token, *query), kinds) if token else None


def id_position(token: str | None, *query: object) -> int:
    """For lists in the order of ids: the last id, 0 for the first page."""
    last: Any = position(token, [int], *query)
    return 0 if last is None else last[0]


def before_position(token: str | None, *query: object) -> int | None:
    """For lists with the newest first: the last id; None for the first page."""
    return id_position(token, *query) or None


def text_position(token: str | None, *query: object) -> str:
    """For lists in the order of a unique text: the last one, "" for the first page."""
    last: Any = position(token, [str], *query)
    return "" if last is None else last[0]


def cut(found: Sequence[T], page_size: int, place: Callable[[T], Place], *query: object) -> tuple[Sequence[T], str | None]:
    """The page of `found`, which has one row more than the page where another page follows, and that page's token."""
    page = found[:page_size]
    return page, token_of(place(page[-1]), *query) if len(found) > page_size else None


def by_id(record: Any) -> list[int]:
    """The place of a record in a list in the order of ids."""
    return [record.id]
