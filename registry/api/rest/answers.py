"""Small things that all routes need: JSON bytes, ETags, `If-Match`, creates that may be sent again, strict queries."""

import hashlib
from collections.abc import Callable
from enum import Enum
from typing import Annotated, Any, TypeVar

from fastapi import Header, Request, Response
from fastapi.dependencies.models import Dependant

from registry.api.rendering import Body, encode
from registry.api.services import ActorOf, Services, now_ms
from registry.catalog.idempotency import once
from registry.db.session import Session
from registry.errors import InvalidArgument

T = TypeVar("T")

_PROBLEM: dict[str, Any] = {
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_WORDS = {
    400: "The input is wrong; nothing changed.",
    401: "A token is needed, or this one is not known.",
    403: "The identity has no right to this.",
    404: "Absent, or in another workspace.",
    409: "A name is taken, or the state forbids it.",
    412: "`If-Match` differs from what is stored.",
    413: "The body is too large.",
    416: "The range lies behind the end.",
    422: "The Idempotency-Key was used with another request, or the content is not what its name says.",
    429: "More work in hand than the server takes on: try again after `Retry-After` seconds; nothing was begun.",
    500: "A fault of the server; the log has it under the request id.",
    507: "No room left.",
    503: "Try again after `Retry-After` seconds; nothing changed.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route: those named, and those that every route can give."""
    return {status: _PROBLEM | {"description": _WORDS[status]} for status in (400, 401, 403, 404, *statuses, 429, 500, 503)}


IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$", description="Makes the create safe to repeat."),
]
IfMatch = Annotated[
    str | None,
    Header(pattern=r'^("[0-9]{1,18}"|[0-9]{1,18}|\*)$', description='The ETag that the change is meant for, as `"7"`.'),
]


def _query_names(dependant: Dependant) -> set[str]:
    own = {parameter.alias for parameter in dependant.query_params}
    return own.union(*(_query_names(inner) for inner in dependant.dependencies))


_known: dict[int, tuple[object, set[str]]] = {}
"""By the id of a route, which is kept so that no other gets its id."""


async def known_query(request: Request) -> None:
    """Raises InvalidArgument: a query parameter that the operation does not have, or one given twice."""
    if not request.url.query:
        return
    route = request.scope["route"]
    _, names = _known.setdefault(id(route), (route, _query_names(route.dependant)))
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name not in names:
            raise InvalidArgument(f"{name[:80]!r} is no query parameter of this operation", field=name[:80])
        if given.count(name) > 1:
            raise InvalidArgument(f"query parameter {name!r} is given twice", field=name)


def expected_version(if_match: str | None) -> int | None:
    """The version of an ETag of ours; None where any will do."""
    return None if if_match in {None, "*"} else int(str(if_match).strip('"'))


def answer(body: Body, *, status: int = 200, version: int | None = None) -> Response:
    headers = {} if version is None else {"ETag": f'"{version}"'}
    return Response(encode(body), status, headers=headers, media_type="application/json")


async def create(
    request: Request, services: Services, actor: ActorOf, key: str | None, make: Callable[[Session, int], Body]
) -> Response:
    """201 with what `make(session, now)` gives; with a key the first answer again."""
    body = await request.body()
    digest = hashlib.sha256(b"\x00".join([request.method.encode(), request.url.path.encode(), body])).hexdigest()
    now = now_ms()

    def write(session: Session) -> tuple[int, bytes]:
        return once(session, actor, key, digest, lambda: (201, encode(make(session, now))), now=now)

    status, content = await services.runner.awrite(write, replayable=key is not None)
    return Response(content, status, media_type="application/json")


def word(value: Enum) -> Any:
    """How an enumeration is written on the wire: its name in lower case."""
    return value.name.lower()
