"""`POST /graphql`, as GraphQL over HTTP has it. JSON only, so that no form of another site can send one; one operation a request.

The schema is imported with the first request, in a thread: graphene takes longer than the rest of the server needs to start.
"""

import asyncio
import functools
import logging
from typing import TYPE_CHECKING, Any

import msgspec
from fastapi import APIRouter, Request, Response
from starlette.requests import ClientDisconnect

from registry.api.gql.refusals import extensions
from registry.api.problems import TABLE, request_id
from registry.api.rendering import encode
from registry.api.services import ServicesOf, actor_of
from registry.errors import InvalidArgument, RegistryError

if TYPE_CHECKING:
    from registry.api.gql.execution import Documents

log = logging.getLogger("lineal.gql")
router = APIRouter(tags=["graphql"])
JSON = "application/json"
RESPONSE = "application/graphql-response+json"


class Operation(msgspec.Struct):
    """The body."""

    query: str
    variables: dict[str, Any] | None = None
    operation_name: str | None = msgspec.field(name="operationName", default=None)
    extensions: dict[str, Any] | None = None


@functools.cache
def _documents() -> "Documents":
    from registry.api.gql.execution import Documents
    from registry.api.gql.schema import schema

    return Documents(schema.graphql_schema)


@router.post("/graphql", include_in_schema=False)
async def graphql(request: Request, services: ServicesOf) -> Response:
    """200 with what was executed, errors of fields among it.

    What was not begun is 400, as far as the client takes `application/graphql-response+json` (or names nothing); one that takes
    `application/json` only is told by `errors` alone, with 200. 406: it takes neither. 415: the body is not said to be JSON.
    """
    media_type = _accepted(request.headers.get("accept", "*/*"))
    try:
        if media_type is None:
            return _failed(406, f"the answer is {RESPONSE} or {JSON}", request, RESPONSE)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
            return _failed(415, f"send {JSON}", request, media_type)
        return await _answer(request, services, media_type)
    except RegistryError as error:
        return _refusal(request, error, media_type or RESPONSE)
    except ClientDisconnect:
        raise
    except Exception:
        log.exception("a resolver failed", extra={"data": {"request_id": request_id(request)}})
        return _failed(500, "the server failed; its log has the reason", request, media_type or RESPONSE, "INTERNAL")


async def _answer(request: Request, services: ServicesOf, media_type: str) -> Response:
    """Raises RegistryError."""
    actor = await actor_of(request)
    try:
        asked = msgspec.json.decode(await request.body(), type=Operation)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidArgument(f"the body is no GraphQL request: {error}") from error
    documents = await asyncio.to_thread(_documents)
    document = await asyncio.to_thread(documents.get, asked.query)
    from registry.api.gql import execution
    from registry.api.gql.cohorts import Context

    def formatted(errors: Any) -> list[dict[str, Any]]:
        return [execution.formatted(error, request_id(request)) for error in errors or ()]

    refused = 400 if media_type == RESPONSE else 200
    if isinstance(document, list):
        return _json(refused, {"errors": formatted(document)}, media_type)
    variables = asked.variables or {}
    result = await services.runner.aread(
        lambda session: execution.run(
            documents.schema, document, Context(session, actor, services.trails), variables, asked.operation_name
        )
    )
    if execution.is_refused(result):
        return _json(refused, {"errors": formatted(result.errors)}, media_type)
    body: dict[str, Any] = {"data": result.data}
    if result.errors:
        body = {"errors": formatted(result.errors)} | body
    return _json(200, body, media_type)


def _refusal(request: Request, error: RegistryError, media_type: str) -> Response:
    """Who may not ask, and what cannot be answered now."""
    status = TABLE[type(error)].status
    body = {"errors": [{"message": error.message, "extensions": extensions(error, request_id(request))}]}
    answer = _json(status, body, media_type)
    if status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    if status == 503:
        answer.headers["Retry-After"] = "1"
    return answer


def _failed(status: int, message: str, request: Request, media_type: str, code: str = "BAD_REQUEST") -> Response:
    error = {"message": message, "extensions": {"code": code, "requestId": request_id(request)}}
    return _json(status, {"errors": [error]}, media_type)


def _json(status: int, body: dict[str, Any], media_type: str) -> Response:
    return Response(encode(body), status, media_type=media_type)


def _accepted(header: str) -> str | None:
    """The media type of the answer that the client likes best; None if it takes neither."""
    liked = {JSON: 0.0, RESPONSE: 0.0}
    for part in header.split(","):
        words = [word.strip().lower() for word in part.split(";")]
        quality = next((_quality(word[2:]) for word in words[1:] if word.startswith("q=")), 1.0)
        for media_type, before in liked.items():
            if words[0] in {media_type, "application/*", "*/*"}:
                liked[media_type] = max(before, quality)
    best = RESPONSE if liked[RESPONSE] >= liked[JSON] else JSON
    return best if liked[best] > 0 else None


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
