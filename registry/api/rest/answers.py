"""Small things that all routes need: JSON bytes, ETags, `If-Match`, creates that may be sent again."""

import hashlib
import re
from collections.abc import Callable
from enum import Enum
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import Header, Request, Response
from pydantic import BaseModel

from registry.api.rest.schemas import Problem
from registry.api.services import ActorOf, Services, now_ms
from registry.catalog.idempotency import once
from registry.db.session import Session
from registry.errors import InvalidArgument, PreconditionFailed

T = TypeVar("T")

_PROBLEM: dict[str, Any] = {
    "model": Problem,
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
    422: "The Idempotency-Key was used with another request.",
    500: "A fault of the server; the log has it under the request id.",
    503: "Try again after `Retry-After` seconds; nothing changed.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route: those named, and those that every route can give."""
    return {status: _PROBLEM | {"description": _WORDS[status]} for status in (400, 401, 403, *statuses, 500, 503)}


IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$", description="Makes the create safe to repeat."),
]
IfMatch = Annotated[
    str | None, Header(max_length=255, pattern=r"^[\x20-\x7e]*$", description='The ETag that the change is meant for, as `"7"`.')
]


def expected_version(if_match: str | None) -> int | None:
    """Raises PreconditionFailed: a header that is no ETag of ours can match nothing."""
    if if_match is None or if_match.strip() == "*":
        return None
    found = re.fullmatch(r'\s*"([0-9]{1,18})"\s*', if_match)
    if found is None:
        raise PreconditionFailed(f"If-Match {if_match!r} is not an ETag of this server")
    return int(found.group(1))


def answer(body: BaseModel, *, status: int = 200, version: int | None = None) -> Response:
    headers = {} if version is None else {"ETag": f'"{version}"'}
    return Response(encode(body), status, headers=headers, media_type="application/json")


def encode(body: BaseModel) -> bytes:
    return orjson.dumps(body.model_dump())


async def create(
    request: Request, services: Services, actor: ActorOf, key: str | None, make: Callable[[Session, int], BaseModel]
) -> Response:
    """201 with what `make(session, now)` gives; with a key the first answer again."""
    body = await request.body()
    digest = hashlib.sha256(b"\x00".join([request.method.encode(), request.url.path.encode(), body])).hexdigest()
    now = now_ms()

    def write(session: Session) -> tuple[int, bytes]:
        return once(session, actor, key, digest, lambda: (201, encode(make(session, now))), now=now)

    status, content = await services.runner.awrite(write, replayable=key is not None)
    return Response(content, status, media_type="application/json")


def refuse_empty(**given: object) -> None:
    """Raises InvalidArgument where a PATCH changes nothing."""
    if all(value is None for value in given.values()):
        raise InvalidArgument(f"nothing to change: give one of {', '.join(given)}")


def word(value: Enum) -> Any:
    """How an enumeration is written on the wire: its name in lower case."""
    return value.name.lower()
