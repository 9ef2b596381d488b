"""List options and page tokens, in the form of ML Metadata's own: web-safe base64 of the last row's place and the options."""

import base64
import binascii
from typing import Any

from google.protobuf.message import DecodeError

from registry.api.mlmd.filter_query import parse_filter_query
from registry.api.mlmd.requests import message
from registry.catalog.graph_reads import ALL, Listing, Page
from registry.errors import InvalidArgument, InvalidPageToken
from registry.names import NodeKind

MAX_PAGE = 100
_COLUMNS = {1: "created_at", 2: "updated_at", 3: "id"}


def listing_of(request: Any, kind: NodeKind, field: str = "options") -> Listing:
    """Everything where the request has no options.

    Raises:
        InvalidArgument: a size below 1, no order, a filter that cannot be one.
        InvalidPageToken: a token of another order, or none at all.
    """
    if not request.HasField(field):
        return ALL
    options = getattr(request, field)
    if options.max_result_size <= 0:
        raise InvalidArgument(f"max_result_size must be at least 1, not {options.max_result_size}", field="max_result_size")
    column = _COLUMNS.get(options.order_by_field.field)
    if column is None:
        raise InvalidArgument("order_by_field has no field", field="order_by_field")
    tree = parse_filter_query(options.filter_query, kind)
    after = _place(options) if options.next_page_token else None
    return Listing(
        limit=min(options.max_result_size, MAX_PAGE),
        order=column,
        ascending=options.order_by_field.is_asc,
        after=after,
        filter=tree,
    )


def _place(options: Any) -> tuple[int, int]:
    token = message("ListOperationNextPageToken")
    text = options.next_page_token
    try:
        token.ParseFromString(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (DecodeError, binascii.Error, ValueError) as error:
        raise InvalidPageToken("next_page_token is not one that this server gave") from error
    if not (token.HasField("id_offset") and token.HasField("field_offset") and token.HasField("set_options")):
        raise InvalidPageToken("next_page_token is not one that this server gave")
    held, asked = token.set_options.order_by_field, options.order_by_field
    if (held.field, held.is_asc) != (asked.field, asked.is_asc):
        raise InvalidPageToken("next_page_token is of a list in another order")
    return token.field_offset, token.id_offset


def next_token(request: Any, page: Page) -> str | None:
    """None on the last page."""
    if page.next is None:
        return None
    value, id = page.next
    token = message("ListOperationNextPageToken", id_offset=id, field_offset=value)
    token.set_options.CopyFrom(request.options)
    token.set_options.ClearField("next_page_token")
    token.set_options.ClearField("filter_query")
    return base64.urlsafe_b64encode(token.SerializeToString(deterministic=True)).decode().rstrip("=")
