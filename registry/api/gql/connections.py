"""Lists of the schema: Relay's connections over keyset pages.

A cursor is a page token: opaque, deterministic, valid for the list and the query that gave it. Totals are counted only where
they are asked for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import graphene
from graphql.execution.collect_fields import collect_sub_fields
from graphql.type import get_named_type

from registry.api.gql.cohorts import Context, Numbered, One, by_id, together
from registry.catalog.pages import COUNTED, Page, Search, Total
from registry.catalog.relations import NOBODY, Members, Window
from registry.errors import InvalidArgument, InvalidPageToken
from registry.filtering.keyset import Place, check_place, place_of, token_of
from registry.names import check_text

T = TypeVar("T", bound=Numbered)
R = TypeVar("R", bound=Numbered)
MAX_FIRST = 200


class PageInfo(graphene.ObjectType):
    has_next_page = graphene.Boolean(required=True)
    has_previous_page = graphene.Boolean(required=True, description="True for any page that was asked for with `after`.")
    start_cursor = graphene.String()
    end_cursor = graphene.String(description="`after` of the page that follows.")


class TotalCount(graphene.ObjectType):
    """Counted only where it is asked for, and only to 10,000."""

    value = graphene.Int(required=True)
    exact = graphene.Boolean(required=True, description="False where there are more than were counted.")


@dataclass(frozen=True)
class Edge:
    node: Any
    cursor: str


@dataclass(frozen=True)
class Connection:
    edges: Sequence[Edge]
    more: bool
    continued: bool
    total_count: Total | None

    @property
    def nodes(self) -> list[Any]:
        return [edge.node for edge in self.edges]

    @property
    def page_info(self) -> dict[str, Any]:
        return {
            "has_next_page": self.more,
            "has_previous_page": self.continued,
            "start_cursor": self.edges[0].cursor if self.edges else None,
            "end_cursor": self.edges[-1].cursor if self.edges else None,
        }


def connection(name: str, of: Any, *, counted: bool = True) -> Any:
    """The type `<name>Connection` and its edge; `of`: the node's type, or a function that gives it."""
    edge = type(
        f"{name}Edge",
        (graphene.ObjectType,),
        {"node": graphene.Field(of, required=True), "cursor": graphene.String(required=True)},
    )
    fields = {
        "edges": graphene.List(graphene.NonNull(edge), required=True),
        "nodes": graphene.List(graphene.NonNull(of), required=True),
        "page_info": graphene.Field(PageInfo, required=True),
    }
    if counted:
        fields["total_count"] = graphene.Field(TotalCount)
    return type(f"{name}Connection", (graphene.ObjectType,), fields)


def page_arguments(first: int = 50) -> dict[str, Any]:
    return {"first": graphene.Int(required=True, default_value=first), "after": graphene.String()}


def search_arguments() -> dict[str, Any]:
    return {
        "filter": graphene.String(required=True, default_value=""),
        "order_by": graphene.String(required=True, default_value=""),
        **page_arguments(),
    }


def text(value: str, field: str, *, limit: int = 512) -> str:
    """Raises InvalidArgument: too long, or characters that no database takes."""
    return check_text(value, field, limit=limit)


def checked_first(first: int) -> int:
    """Raises InvalidArgument."""
    if not 1 <= first <= MAX_FIRST:
        raise InvalidArgument(f"first is 1 to {MAX_FIRST}", field="first")
    return first


def asks(info: Any, field: str) -> bool:
    """Whether the operation wants this field of what is being resolved, by its name in the schema; also under another name."""
    here = get_named_type(info.return_type)
    found = collect_sub_fields(info.schema, info.fragments, info.variable_values, here, info.field_nodes)
    return any(node.name.value == field for nodes in found.values() for node in nodes)


def listed(
    info: Any,
    list_: Callable[..., Page[T]],
    *,
    first: int,
    after: str | None = None,
    filter: str = "",
    order_by: str = "",
    **of: Any,
) -> Connection:
    """A page of a list of the catalog; `of` are its own arguments.

    Raises as the list, and InvalidPageToken: `after` is no cursor of this list and query.
    """
    context: Context = info.context
    text(filter, "filter", limit=10_000)
    text(order_by, "orderBy", limit=1_000)
    own = sorted((key, str(value)) for key, value in of.items() if key != "fields")
    query = (list_.__name__, context.actor.workspace, own, filter, order_by)
    place = place_of(after, *query) if after else None
    search = Search(filter, order_by, place, checked_first(first), asks(info, "totalCount"))
    page = list_(context.session, context.actor, search, **of)
    edges = [Edge(one, token_of(at, *query)) for one, at in zip(together(page.records), page.places, strict=True)]
    return Connection(edges, page.end is not None, bool(after), page.total)


def members(
    one: One[T],
    info: Any,
    find: Callable[..., Mapping[int, Members]],
    read: Callable[..., Sequence[R]],
    *,
    first: int,
    after: str | None = None,
) -> Connection:
    """A page of what belongs to the record; `find` and `read` are called once for its whole cohort."""
    context: Context = info.context

    def load(ids: Sequence[int], window: Window) -> tuple[Mapping[int, Members], dict[int, One[R]]]:
        found = find(context.session, context.actor, ids, window)
        wanted = sorted({id for own in found.values() for id in own.ids})
        return found, by_id(read(context.session, context.actor, wanted) if wanted else ())

    return paged(one, info, find.__name__, load, first=first, after=after)


def paged(
    one: One[T],
    info: Any,
    name: str,
    load: Callable[[Sequence[int], Window], tuple[Mapping[int, Any], Mapping[int, One[R]]]],
    *,
    first: int,
    after: str | None,
) -> Connection:
    """`load`: each owner's `Members` (or `Uses`), and the records by their ids. `name`: of the list, for its cursors."""
    context: Context = info.context
    query = (name, context.actor.workspace, one.record.id)
    window = Window(checked_first(first), last_id(after, *query), asks(info, "totalCount"))
    found, ones = one.cohort.once((name, window), lambda records: load([record.id for record in records], window))
    own = found.get(one.record.id, NOBODY)
    edges = [Edge(ones[id], token_of([id], *query)) for id in own.ids if id in ones]
    total = None
    if window.total:
        count = own.total or 0
        total = Total(min(count, COUNTED), count <= COUNTED)
    return Connection(edges, own.more, bool(after), total)


def last_id(after: str | None, *query: object) -> int | None:
    """Raises InvalidPageToken."""
    place: Place | None = check_place(place_of(after, *query), [int]) if after else None
    if place is None:
        return None
    if not isinstance(place[0], int):
        raise InvalidPageToken("after is not a cursor that this server gave")
    return place[0]
