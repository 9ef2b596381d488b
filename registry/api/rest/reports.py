"""The route of the persistence agent: one report of one Kubernetes object, with the whole object once it is final."""

import asyncio
import re
from typing import Any, Literal

import msgspec
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from registry.api.envelope import received
from registry.api.rendering import encode
from registry.api.rest.answers import answer, problems
from registry.api.rest.quick import Answer, Quick, head_of
from registry.api.rest.runs import RunPath
from registry.api.services import ActorOf, Services, ServicesOf, now_ms
from registry.catalog.actors import Actor
from registry.catalog.reports.applying import Applied, apply_report, find_applied
from registry.catalog.reports.record import Report, parse
from registry.catalog.reports.sources import MEDIA_TYPE, find_source, is_kept, keep_source, source_of
from registry.db.session import Session
from registry.errors import InvalidArgument
from registry.names import Role, parse_run_id
from storage.errors import StorageError

router = APIRouter(prefix="/api/v1/reports", tags=["reports"])
sources = APIRouter(prefix="/api/v1/runs", tags=["runs"])


_FORMS: dict[tuple[str, str], dict[str, Any]] = {
    ("ObjectRef", "kind"): {"minLength": 1, "maxLength": 255},
    ("ObjectRef", "cluster"): {"maxLength": 512},
    ("ObjectRef", "namespace"): {"maxLength": 512},
    ("ObjectRef", "name"): {"maxLength": 512},
    ("ObjectRef", "uid"): {"maxLength": 255},
    ("Run", "id"): {"minLength": 1},
    ("Experiment", "name"): {"minLength": 1},
    ("Revision", "name"): {"minLength": 1, "maxLength": 255},
    ("Share", "revision"): {"maxLength": 512},
    ("Share", "tag"): {"maxLength": 512},
    ("Task", "key"): {"minLength": 1},
    ("Task", "name"): {"minLength": 1},
}
"""What the use cases ask of a text beyond its type."""


def report_schemas() -> dict[str, Any]:
    """The components that `#/components/schemas/Report` needs, from the types that decode it."""
    _, made = msgspec.json.schema_components([Report], ref_template="#/components/schemas/Reported{name}")
    made["Report"]["properties"]["source"] = {"anyOf": [{"type": "object"}, {"type": "null"}], "default": None}
    made["ObjectRef"]["anyOf"] = [{"required": [name], "properties": {name: {"type": "string"}}} for name in ("uid", "name")]
    for (owner, name), form in _FORMS.items():
        schema = made[owner]["properties"][name]
        next((kind for kind in schema.get("anyOf", []) if kind["type"] == "string"), schema).update(form)
    return {"Report" if name == "Report" else f"Reported{name}": _without_nul(schema) for name, schema in made.items()}


def _without_nul(schema: Any) -> Any:
    if isinstance(schema, dict):
        form = {"pattern": r"^[^\x00]*$"} if schema.get("type") == "string" else {}
        return form | {key: _without_nul(value) for key, value in schema.items()}
    return [_without_nul(item) for item in schema] if isinstance(schema, list) else schema


class AppliedOut(BaseModel):
    """`stale`: a newer report of this run was here before; `unchanged`: this very one was."""

    result: Literal["applied", "unchanged", "stale"]
    run: str | None
    warnings: list[str]


@router.post(
    "",
    operation_id="applyReport",
    response_model=AppliedOut,
    responses=problems(409, 413),
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Report"}}}},
    },
)
async def apply(request: Request, services: ServicesOf, actor: ActorOf) -> Response:
    """A report as `lineal-agent translate` prints it (agent/report.schema.json). Idempotent; the order does not matter.

    `source`, the whole object, is kept if the report is final: `GET /api/v1/runs/{id}/source`.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise InvalidArgument(f"send {MEDIA_TYPE}", field="content-type")  # which no form of another site can
    return answer(await applied(services, actor, await request.body()))


class QuickReport(Quick):
    """The same past the router: an agent sends a report for every change of its cluster."""

    method = "POST"
    path = "/api/v1/reports"
    paths = re.compile(re.escape(path))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Receive | None:
        head = head_of(scope)
        if scope["query_string"] or head.get(b"content-type") != MEDIA_TYPE.encode():
            return receive
        body = await received(receive)

        async def said(actor: Actor) -> Answer:
            return 200, encode(await applied(self.services, actor, body)), None

        await self._answered(scope, receive, send, head, said)
        return None


async def applied(services: Services, actor: Actor, body: bytes) -> AppliedOut:
    """Raises RegistryError."""
    actor.require(Role.CONTRIBUTOR)
    now, report = now_ms(), parse(body)
    source, warnings = source_of(body, report), []

    def find(session: Session) -> Applied | None:
        found = find_applied(session, actor, report)
        return found if found is None or source is None or is_kept(session, found.object_id, source) else None

    goes_on = report.run is not None and not report.status.is_final  # and most of these say something new
    known = None if goes_on else await services.runner.aread(find)
    if known is None and source is not None:
        try:
            await asyncio.to_thread(services.store.put, source.key, [source.data], media_type=MEDIA_TYPE)
        except StorageError as error:  # what the report says matters more; sent again, it is stored then
            source, warnings = None, [f"The whole object was not stored: {error}"]

    def write(session: Session) -> Applied:
        told = apply_report(session, actor, report, now=now)
        if source is not None:
            keep_source(session, told.object_id, report, source, now=now)
        return told

    told: Applied = known if known is not None else await services.runner.awrite(write, replayable=True)
    run = None if told.run_hex is None else f"run_{told.run_hex}"
    return AppliedOut(result=told.result, run=run, warnings=[*told.warnings, *warnings])  # type: ignore[arg-type]


@sources.get(
    "/{id}/source",
    operation_id="getRunSource",
    response_class=Response,
    responses=problems(404)
    | {200: {"description": "The object.", "content": {"application/json": {"schema": {"type": "object"}}}}},
)
async def get_run_source(id: RunPath, services: ServicesOf, actor: ActorOf) -> Response:
    """The whole Kubernetes object that a finished run comes from. 404 also where none was sent, or the run goes on."""
    hex = parse_run_id(id)
    key = await services.runner.aread(lambda session: find_source(session, actor, hex))
    return Response(await asyncio.to_thread(services.store.read, key), media_type=MEDIA_TYPE)
