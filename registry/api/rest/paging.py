"""Page tokens: opaque, deterministic, valid for the list and the query that gave them."""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Query

from registry.errors import InvalidPageToken

MAX_PAGE = 1000
PageSize = Annotated[int, Query(ge=1, le=MAX_PAGE, description="Rows of a page.")]
PageToken = Annotated[
    str | None, Query(max_length=4096, pattern=r"^[A-Za-z0-9_-]*$", description="`next_page_token` of the page before.")
]


def token_of(last: Sequence[Any], *query: object) -> str:
    """What continues behind the row whose sort values are `last`, in the list that `query` describes."""
    body = json.dumps([_digest(query), list(last)], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(body.encode()).decode().rstrip("=")


def position(token: str | None, count: int, *query: object) -> list[Any] | None:
    """The `count` sort values of a token; None without one.

    Raises InvalidPageToken: not a token, or of another list or query.
    """
    if not token:
        return None
    try:
        digest, last = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, TypeError, binascii.Error):
        raise InvalidPageToken("page_token is not one that this server gave") from None
    if digest != _digest(query) or not isinstance(last, list) or len(last) != count:
        raise InvalidPageToken("page_token belongs to another list or query")
    return last


def id_position(token: str | None, *query: object) -> int:
    """For lists in the order of ids: the last id, 0 for the first page."""
    last = position(token, 1, *query)
    if last is None:
        return 0
    if not isinstance(last[0], int):
        raise InvalidPageToken("page_token is not one that this server gave")
    return last[0]


def _digest(query: Sequence[object]) -> str:
    text = json.dumps(query, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
