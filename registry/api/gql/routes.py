"""`POST /graphql`: JSON only, so that no form of another site can send one."""

from typing import Any

import msgspec
import orjson
from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from registry.api.gql.execution import Context, Documents, formatted, run
from registry.api.gql.schema import schema
from registry.api.services import ActorOf, ServicesOf
from registry.errors import InvalidArgument

router = APIRouter(tags=["graphql"])
documents = Documents(schema.graphql_schema)


class Operation(msgspec.Struct):
    """The body, as GraphQL over HTTP has it."""

    query: str
    variables: dict[str, Any] | None = None
    operation_name: str | None = msgspec.field(name="operationName", default=None)
    extensions: dict[str, Any] | None = None


@router.post("/graphql", include_in_schema=False)
async def graphql(request: Request, services: ServicesOf, actor: ActorOf) -> Response:
    """200 with data and errors; 400 where the document is none, 415 where the body is not said to be JSON."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "send application/json")
    try:
        operation = msgspec.json.decode(await request.body(), type=Operation)
    except msgspec.MsgspecError as error:
        raise InvalidArgument(f"the body is no GraphQL request: {error}") from error
    document = documents.get(operation.query)
    if isinstance(document, list):
        return _json(400, {"errors": [formatted(error) for error in document]})
    variables = operation.variables or {}
    answer = await services.runner.aread(
        lambda session: run(schema.graphql_schema, document, Context(session, actor), variables, operation.operation_name)
    )
    return _json(200 if "data" in answer else 400, answer)


def _json(status: int, body: dict[str, Any]) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")
