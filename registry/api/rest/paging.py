"""Page tokens: opaque, deterministic, valid for the list and the query that gave them."""

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Query

from registry.api.rest.schemas import TotalOut
from registry.catalog.keyset import Total, is_sound
from registry.errors import InvalidPageToken

T = TypeVar("T")
MAX_PAGE = 1000
PageSize = Annotated[int, Query(ge=1, le=MAX_PAGE, description="Rows of a page.")]
PageToken = Annotated[
    str | None, Query(max_length=16_384, pattern=r"^[A-Za-z0-9_-]*$", description="`next_page_token` of the page before.")
]

Filter = Annotated[
    str,
    Query(max_length=10_000, pattern=r"^[^\x00]*$", description="What must be true: fields, AND OR NOT, IN, LIKE, IS NULL."),
]
OrderBy = Annotated[
    str, Query(max_length=1000, pattern=r"^[^\x00]*$", description="`metrics.acc DESC, started_at`; missing values come last.")
]
WithTotal = Annotated[bool, Query(description="Count what there is, up to 10,000.")]


def token_of(last: Sequence[Any], *query: object) -> str:
    """What continues behind the row whose sort values are `last`, in the list that `query` describes."""
    body = json.dumps([_digest(query), list(last)], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(body.encode()).decode().rstrip("=")


def place(token: str | None, *query: object) -> list[Any] | None:
    """The sort values of a token, however many; None without one. Raises as `position`."""
    return position(token, None, *query)


def rendered_total(total: Total | None) -> TotalOut | None:
    return None if total is None else TotalOut(value=total.value, exact=total.exact)


def position(token: str | None, count: int | None, *query: object) -> list[Any] | None:
    """The `count` sort values of a token (any number where None); None without one.

    Raises InvalidPageToken: not a token, or of another list or query.
    """
    if not token:
        return None
    try:
        digest, last = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, TypeError, RecursionError):  # RecursionError: brackets without end
        raise InvalidPageToken("page_token is not one that this server gave") from None
    if digest != _digest(query) or not isinstance(last, list) or len(last) != (count or len(last)):
        raise InvalidPageToken("page_token belongs to another list or query")
    if not all(is_sound(value) for value in last):
        raise InvalidPageToken("page_token is not one that this server gave")
    return last


def id_position(token: str | None, *query: object) -> int:
    """For lists in the order of ids: the last id, 0 for the first page."""
    last = position(token, 1, *query)
    if last is None:
        return 0
    if type(last[0]) is not int or not 0 <= last[0] < 2**63:
        raise InvalidPageToken("page_token is not one that this server gave")
    return last[0]


def _digest(query: Sequence[object]) -> str:
    text = json.dumps(query, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def cut(
    found: Sequence[T], page_size: int, place: Callable[[T], Sequence[Any]], *query: object
) -> tuple[Sequence[T], str | None]:
    """The page of `found`, which has one row more than the page where another page follows, and that page's token."""
    page = found[:page_size]
    return page, token_of(place(page[-1]), *query) if len(found) > page_size else None


def by_id(record: Any) -> list[int]:
    """The place of a record in a list in the order of ids."""
    return [record.id]


def before_position(token: str | None, *query: object) -> int | None:
    """For lists with the newest first: the last id; None for the first page."""
    return id_position(token, *query) or None


def text_position(token: str | None, *query: object) -> str:
    """For lists in the order of a unique text: the last one, "" for the first page."""
    last = position(token, 1, *query)
    if last is None:
        return ""
    if not isinstance(last[0], str):
        raise InvalidPageToken("page_token is not one that this server gave")
    return last[0]
