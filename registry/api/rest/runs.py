"""Routes of runs: what pipeline steps log, and what people search and read."""

import math
import re
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import orjson
from fastapi import APIRouter, Path, Query, Response

from registry.api.rendering import encode
from registry.api.rest.answers import IfMatch, answer, expected_version, problems, word
from registry.api.rest.paging import Asked, PageToken, cut, position
from registry.api.rest.quick import QuickRead
from registry.api.rest.schemas import HistoryPage, LifecycleWord, MetricIn, MetricOut, RunOut, RunPage, RunPatch
from registry.api.services import ActorOf, Services, ServicesOf, now_ms
from registry.catalog import runs as catalog
from registry.catalog.actors import Actor
from registry.catalog.fragments import Built, RunRead, list_run_reads, read_run
from registry.catalog.metrics import Point, history_rows
from registry.catalog.metrics import shown as shown_value
from registry.catalog.pages import Page
from registry.catalog.run_lookup import get_run_ref
from registry.db.session import Session
from registry.names import FragmentKind, IdPrefix, Lifecycle, Role, Status, own_id, parse_id, parse_run_id

router = APIRouter(prefix="/api/v1/runs", tags=["runs"])
RunPath = Annotated[str, Path(pattern=r"^(run_)?[0-9a-f]{32}$", examples=["run_" + "0" * 32])]
KeyPath = Annotated[str, Path(min_length=1, max_length=250, pattern=r"^[^\x00]+$")]
FIELDS = ("metrics", "params", "tags")
FieldList = Annotated[
    str | None,
    Query(
        pattern=r"^(metrics|params|tags)(\.[^,\x00]+)?(,(metrics|params|tags)(\.[^,\x00]+)?)*$|^none$",
        max_length=10_000,
        description="What to read beside the run itself: `metrics,params.lr`, `none`; default all.",
    ),
]


def wanted(text: str | None) -> catalog.Fields:
    """`metrics.acc,params` as the keys to read."""
    if text is None:
        return catalog.ALL_FIELDS
    keys: dict[str, list[str] | None] = {name: [] for name in FIELDS}
    for part in text.split(",") if text != "none" else []:
        name, dot, key = part.partition(".")
        held = keys[name]
        if not dot:
            keys[name] = None
        elif held is not None:
            held.append(key)
    return catalog.Fields(**keys)


def number(value: float) -> Any:
    """A double as JSON can carry it."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def points_of(metrics: Sequence[MetricIn], now: int) -> list[Point]:
    """`now` is the time of those that name none."""
    return [Point(item.key, float(item.value), now if item.at is None else item.at, item.step) for item in metrics]


def rendered_metric(point: Point) -> MetricOut:
    return {"key": point.key, "value": number(point.value), "at": point.at, "step": point.step}


def rendered(run: catalog.Run) -> RunOut:
    whole: RunOut = {**_head(run), **_values(run)}  # type: ignore[typeddict-item]
    return whole


def _head(run: catalog.Run) -> dict[str, Any]:
    return {
        "id": run.own_id,
        "name": run.name,
        "experiment_id": None if run.experiment is None else own_id(IdPrefix.EXPERIMENT, run.experiment),
        "experiment_name": run.experiment_name,
        "status": None if run.status is None else word(run.status),
        "phase": run.phase,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "user": run.user_name,
        "parent": run.parent,
        "artifact_root": run.artifact_root,
        "lifecycle": word(run.lifecycle),
        "created_at": run.created_at,
        "updated_at": run.updated_at,
        "version": run.version,
    }


def _values(run: catalog.Run) -> dict[str, Any]:
    """What a fragment stores: the last fields of the run's JSON, as an object of their own."""
    return {
        "metrics": [rendered_metric(point) for point in run.metrics.values()],
        "params": dict(run.params),
        "tags": dict(run.tags),
    }


def _whole(read: RunRead) -> tuple[bytes, Built | None]:
    """The same bytes as `rendered` gives, and what may be kept of them."""
    values = orjson.dumps(_values(read.run)) if read.fragment is None else read.fragment
    built = Built(read.run.id, read.run.version, values) if read.may_keep else None
    return orjson.dumps(_head(read.run))[:-1] + b"," + values[1:], built


def shown(run: catalog.Run) -> Response:
    return answer(rendered(run), version=run.version)


@router.get("", operation_id="listRuns", response_model=RunPage, responses=problems())
async def list_runs(
    services: ServicesOf,
    actor: ActorOf,
    asked: Asked,
    experiment_id: Annotated[str | None, Query(pattern=r"^exp_[1-9][0-9]{0,17}$")] = None,
    lifecycle: LifecycleWord = "active",
    fields: FieldList = None,
) -> Response:
    """Those that the filter is true for: `metrics.acc > 0.9 AND params.lr = '0.1'`; by id where no order is given."""
    listing = asked.of("runs", actor.workspace, experiment_id, lifecycle)
    of: dict[str, Any] = {
        "lifecycle": Lifecycle[lifecycle.upper()],
        "experiment": None if experiment_id is None else parse_id(IdPrefix.EXPERIMENT, experiment_id),
    }
    if fields is not None:
        of["fields"] = wanted(fields)
        page = await services.runner.aread(lambda session: catalog.list_runs(session, actor, listing.search, **of))
        ends = listing.ends(page)
        found = [rendered(run) for run in page.records]
        return answer(RunPage(runs=found, next_page_token=ends["next_page_token"], total=ends["total"]))
    kind, now = FragmentKind.RUN_VALUES_JSON, now_ms()

    def read(session: Session) -> tuple[Page[RunRead], list[tuple[bytes, Built | None]]]:
        page = list_run_reads(session, actor, listing.search, kind, now=now, **of)
        return page, [_whole(one) for one in page.records]

    reads, whole = await services.runner.aread(read)
    services.keeper.keep(kind, [built for _, built in whole if built is not None])
    rest = encode(listing.ends(reads))
    body = b'{"runs":[' + b",".join([run for run, _ in whole]) + b"]," + rest[1:]
    return Response(body, media_type="application/json")


@router.get("/{id}", operation_id="getRun", response_model=RunOut, responses=problems(404))
async def get_run(id: RunPath, services: ServicesOf, actor: ActorOf, fields: FieldList = None) -> Response:
    hex = parse_run_id(id)
    if fields is not None:
        return shown(await services.runner.aread(lambda session: catalog.get_run(session, actor, hex, wanted(fields))))
    body, version = await _read_whole(services, actor, hex)
    return Response(body, headers={"ETag": f'"{version}"'}, media_type="application/json")


async def _read_whole(services: Services, actor: Actor, hex: str) -> tuple[bytes, int]:
    """From what is kept of it, where that is valid."""
    kind, now = FragmentKind.RUN_VALUES_JSON, now_ms()
    found = await services.runner.aread(lambda session: read_run(session, actor, hex, kind, now=now))
    whole, built = _whole(found)
    if built is not None:
        services.keeper.keep(kind, [built])
    return whole, found.run.version


class QuickRun(QuickRead):
    path = "/api/v1/runs/{id}"
    paths = re.compile(r"/api/v1/runs/((?:run_)?[0-9a-f]{32})")

    async def read(self, actor: Actor, path: re.Match[str]) -> tuple[bytes, int]:
        return await _read_whole(self.services, actor, parse_run_id(path[1]))


@router.patch("/{id}", operation_id="updateRun", response_model=RunOut, responses=problems(404, 409, 412, 413))
async def update_run(id: RunPath, body: RunPatch, services: ServicesOf, actor: ActorOf, if_match: IfMatch = None) -> Response:
    """Rename, finish or reopen; the last write wins."""
    actor.require(Role.CONTRIBUTOR)
    hex, expected, now = parse_run_id(id), expected_version(if_match), now_ms()
    status = None if body.status is None else Status[body.status.upper()]
    changed = await services.runner.awrite(
        lambda session: catalog.update_run(
            session,
            actor,
            hex,
            now=now,
            name=body.name,
            status=status,
            ended_at=body.ended_at,
            expected_version=expected,
        ),
        replayable=expected is None,
    )
    return shown(changed)


async def _move(id: str, lifecycle: Lifecycle, services: ServicesOf, actor: ActorOf) -> Response:
    actor.require(Role.CONTRIBUTOR)
    hex, now = parse_run_id(id), now_ms()
    moved = await services.runner.awrite(
        lambda session: catalog.set_run_lifecycle(session, actor, hex, lifecycle, now=now), replayable=True
    )
    return shown(moved)


@router.delete("/{id}", operation_id="deleteRun", response_model=RunOut, responses=problems(404))
async def delete_run(id: RunPath, services: ServicesOf, actor: ActorOf) -> Response:
    return await _move(id, Lifecycle.DELETED, services, actor)


@router.post("/{id}/restore", operation_id="restoreRun", response_model=RunOut, responses=problems(404, 409))
async def restore_run(id: RunPath, services: ServicesOf, actor: ActorOf) -> Response:
    return await _move(id, Lifecycle.ACTIVE, services, actor)


@router.post("/{id}/archive", operation_id="archiveRun", response_model=RunOut, responses=problems(404))
async def archive_run(id: RunPath, services: ServicesOf, actor: ActorOf) -> Response:
    return await _move(id, Lifecycle.ARCHIVED, services, actor)


@router.delete(
    "/{id}/tags/{key:path}", status_code=204, operation_id="deleteRunTag", response_class=Response, responses=problems(404, 409)
)
async def delete_run_tag(id: RunPath, key: KeyPath, services: ServicesOf, actor: ActorOf) -> Response:
    actor.require(Role.CONTRIBUTOR)
    hex = parse_run_id(id)
    await services.runner.awrite(lambda session: catalog.delete_run_tag(session, actor, hex, key))
    return Response(status_code=204)


class _Point(msgspec.Struct, gc=False):
    """A `MetricOut` of which there are many: half the cost of a dictionary."""

    key: str
    value: float | str
    at: int
    step: int


_encode_points = msgspec.json.Encoder().encode


@router.get("/{id}/metrics/{key:path}", operation_id="metricHistory", response_model=HistoryPage, responses=problems(404))
async def metric_history(
    id: RunPath,
    key: KeyPath,
    services: ServicesOf,
    actor: ActorOf,
    page_size: Annotated[int, Query(ge=1, le=25_000)] = 1000,
    page_token: PageToken = None,
) -> Response:
    """All points in the order timestamp, step, value; an unknown key has none."""
    hex = parse_run_id(id)
    query = ("history", actor.workspace, hex, key)
    after: Any = position(page_token, [int, int, float, int], *query)

    def read(session: Session) -> tuple[bytes, str | None]:
        ref = get_run_ref(session, actor.workspace, hex)
        found = history_rows(session, ref.id, key, limit=page_size + 1, after=after)
        rows, token = cut(found, page_size, tuple, *query)
        points = [
            _Point(key, number(shown_value(value, special)) if special else value, at, step) for at, step, value, special in rows
        ]
        return _encode_points(points), token

    points, token = await services.runner.aread(read)
    body = b'{"metrics":' + points + b',"next_page_token":' + orjson.dumps(token) + b"}"
    return Response(body, media_type="application/json")
