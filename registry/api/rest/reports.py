"""The routes of the persistence agent: a report of a Kubernetes object, with the whole object once it is final, or several."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from registry.api.envelope import received
from registry.api.problems import TABLE
from registry.api.rendering import encode
from registry.api.rest.answers import answer, problems
from registry.api.rest.quick import Answer, Quick, head_of
from registry.api.rest.runs import RunPath
from registry.api.services import ActorOf, Services, ServicesOf, now_ms
from registry.catalog.actors import Actor
from registry.catalog.reports.applying import Applied, apply_report, find_applied
from registry.catalog.reports.record import Report, parse
from registry.catalog.reports.sources import MEDIA_TYPE, Source, find_source, is_kept, keep_source, source_of
from registry.db.session import Session
from registry.errors import InvalidArgument, RegistryError
from registry.names import Role, parse_run_id
from storage.errors import StorageError

MAX_REPORTS = 100
"""In one call."""

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
            return 200, encode(await self.done(actor, body)), None

        await self._answered(scope, receive, send, head, said)
        return None

    async def done(self, actor: Actor, body: bytes) -> BaseModel:
        return await applied(self.services, actor, body)


class OutcomeOut(BaseModel):
    """`status`: what the report would have been answered by itself; 200 with `result`, else why not in `detail`."""

    status: int
    result: Literal["applied", "unchanged", "stale"] | None
    run: str | None
    warnings: list[str]
    detail: str | None


class OutcomesOut(BaseModel):
    """In the order of the reports."""

    results: list[OutcomeOut]


class _Reports(msgspec.Struct):
    reports: Annotated[list[msgspec.Raw], msgspec.Meta(max_length=MAX_REPORTS)]


@router.post(
    "/batch",
    operation_id="applyReports",
    response_model=OutcomesOut,
    responses=problems(413),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["reports"],
                        "properties": {
                            "reports": {
                                "type": "array",
                                "maxItems": MAX_REPORTS,
                                "items": {"$ref": "#/components/schemas/Report"},
                            }
                        },
                    }
                }
            },
        },
    },
)
async def apply_several(request: Request, services: ServicesOf, actor: ActorOf) -> Response:
    """Several reports, each as `applyReport` takes it; one that is refused leaves the others alone. Cheaper than one by one."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise InvalidArgument(f"send {MEDIA_TYPE}", field="content-type")
    return answer(await several(services, actor, await request.body()))


class QuickReports(QuickReport):
    """The same past the router."""

    path = "/api/v1/reports/batch"
    paths = re.compile(re.escape(path))

    async def done(self, actor: Actor, body: bytes) -> OutcomesOut:
        return await several(self.services, actor, body)


async def several(services: Services, actor: Actor, body: bytes) -> OutcomesOut:
    """Raises RegistryError: nothing was done."""
    try:
        bodies = msgspec.json.decode(body, type=_Reports).reports
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(f"the body is no list of reports: {error}") from error
    return OutcomesOut(results=[_outcome(one) for one in await told(services, actor, [bytes(one) for one in bodies])])


def _outcome(one: AppliedOut | RegistryError) -> OutcomeOut:
    if isinstance(one, RegistryError):
        return OutcomeOut(status=TABLE[type(one)].status, result=None, run=None, warnings=[], detail=str(one))
    return OutcomeOut(status=200, result=one.result, run=one.run, warnings=one.warnings, detail=None)


async def applied(services: Services, actor: Actor, body: bytes) -> AppliedOut:
    """Raises RegistryError."""
    [one] = await told(services, actor, [body])
    if isinstance(one, RegistryError):
        raise one
    return one


@dataclass(slots=True)
class _Told:
    """A report on its way. `known`: it was here before, and nothing is left to be done."""

    report: Report
    source: Source | None
    known: Applied | None = None
    warnings: tuple[str, ...] = ()

    @property
    def may_be_known(self) -> bool:
        """Most of those of a run that goes on say something new."""
        return self.report.run is None or self.report.status.is_final


async def told(services: Services, actor: Actor, bodies: Sequence[bytes]) -> list[AppliedOut | RegistryError]:
    """What came of each. Their sources are stored at the same time, and on SQLite they share a transaction."""
    actor.require(Role.CONTRIBUTOR)
    now, found = now_ms(), [_read(body) for body in bodies]
    asked = [one for one in found if isinstance(one, _Told) and one.may_be_known]

    def find(session: Session) -> None:
        for one in asked:
            known = find_applied(session, actor, one.report)
            if known is not None and (one.source is None or is_kept(session, known.object_id, one.source)):
                one.known = known

    if asked:
        await services.runner.aread(find)
    came = [one for one in found if isinstance(one, _Told) and one.known is None]
    await asyncio.gather(*(_store(services, one) for one in came if one.source is not None))
    written = await asyncio.gather(
        *(services.runner.awrite(partial(_write, actor, one, now), replayable=True) for one in came), return_exceptions=True
    )
    done = iter(written)
    return [
        one if isinstance(one, RegistryError) else _answer(one, next(done) if one.known is None else one.known) for one in found
    ]


def _read(body: bytes) -> _Told | RegistryError:
    try:
        report = parse(body)
        return _Told(report, source_of(body, report))
    except RegistryError as error:
        return error


async def _store(services: Services, one: _Told) -> None:
    source = one.source
    assert source is not None  # noqa: S101 - what it is called for
    try:
        await asyncio.to_thread(services.store.put, source.key, [source.data], media_type=MEDIA_TYPE)
    except StorageError as error:  # what the report says matters more; sent again, it is stored then
        one.source, one.warnings = None, (f"The whole object was not stored: {error}",)


def _write(actor: Actor, one: _Told, now: int, session: Session) -> Applied:
    told = apply_report(session, actor, one.report, now=now)
    if one.source is not None:
        keep_source(session, told.object_id, one.report, one.source, now=now)
    return told


def _answer(one: _Told, told: Applied | BaseException) -> AppliedOut | RegistryError:
    if isinstance(told, RegistryError):
        return told
    if isinstance(told, BaseException):
        raise told
    run = None if told.run_hex is None else f"run_{told.run_hex}"
    return AppliedOut(result=told.result, run=run, warnings=[*told.warnings, *one.warnings])  # type: ignore[arg-type]


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
