"""Routes of runs: what pipeline steps log, and what people search and read."""

import math
from collections.abc import Sequence
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query, Request, Response

from registry.api.rest.answers import IdempotencyKey, IfMatch, answer, create, expected_version, problems, word
from registry.api.rest.paging import Asked, PageSize, PageToken, cut, position
from registry.api.rest.schemas import HistoryPage, LifecycleWord, MetricIn, MetricOut, RunIn, RunOut, RunPage, RunPatch
from registry.api.services import ActorOf, ServicesOf, now_ms
from registry.catalog import runs as catalog
from registry.catalog.actors import Actor
from registry.catalog.experiments import get_or_create_experiment
from registry.catalog.fragments import read_run
from registry.catalog.metrics import Point, history
from registry.catalog.run_lookup import get_run_ref
from registry.db.session import Session
from registry.errors import InvalidArgument
from registry.names import FragmentKind, IdPrefix, Lifecycle, Role, Status, new_run_hex, own_id, parse_id, parse_run_id

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
    return RunOut(
        id=run.own_id,
        name=run.name,
        experiment_id=None if run.experiment is None else own_id(IdPrefix.EXPERIMENT, run.experiment),
        experiment_name=run.experiment_name,
        status=None if run.status is None else word(run.status),
        phase=run.phase,
        started_at=run.started_at,
        ended_at=run.ended_at,
        user=run.user_name,
        parent=run.parent,
        artifact_root=run.artifact_root,
        lifecycle=word(run.lifecycle),
        created_at=run.created_at,
        updated_at=run.updated_at,
        version=run.version,
        metrics=[rendered_metric(point) for point in run.metrics.values()],
        params=dict(run.params),
        tags=dict(run.tags),
    )


def _value_bytes(run: catalog.Run) -> bytes:
    """What a fragment stores: the last fields of the run's JSON, as an object of their own."""
    whole = rendered(run)
    return orjson.dumps({"metrics": whole["metrics"], "params": whole["params"], "tags": whole["tags"]})


def _whole(run: catalog.Run, values: bytes) -> Response:
    """The same bytes as `shown` gives of a run that was read whole."""
    head = orjson.dumps({name: value for name, value in rendered(run).items() if name not in FIELDS})
    return Response(head[:-1] + b"," + values[1:], headers={"ETag": f'"{run.version}"'}, media_type="application/json")


def shown(run: catalog.Run) -> Response:
    return answer(rendered(run), version=run.version)


def _create(session: Session, actor: Actor, body: RunIn, hex: str, now: int) -> RunOut:
    experiment = parse_id(IdPrefix.EXPERIMENT, body.experiment_id) if body.experiment_id else None
    if body.experiment_name:
        experiment = get_or_create_experiment(session, actor, body.experiment_name, now=now).id
    made = catalog.create_run(
        session,
        actor,
        now=now,
        experiment=experiment,
        name=body.name,
        hex=hex,
        status=Status[body.status.upper()],
        started_at=body.started_at,
        user_name=body.user,
        parent=parse_run_id(body.parent) if body.parent else None,
        tags=body.tags,
    )
    fresh = catalog.Fields(metrics=[], params=[], tags=None if body.tags else [])  # it has no others yet
    return rendered(catalog.get_runs(session, actor, [made], fresh)[0])


@router.post("", status_code=201, operation_id="createRun", response_model=RunOut, responses=problems(404, 409, 413, 422))
async def create_run(
    request: Request, body: RunIn, services: ServicesOf, actor: ActorOf, idempotency_key: IdempotencyKey = None
) -> Response:
    """In an experiment by id or by name (made where missing), or in none."""
    actor.require(Role.CONTRIBUTOR)
    if body.experiment_id and body.experiment_name:
        raise InvalidArgument("give experiment_id or experiment_name, not both", field="experiment_id")
    hex = parse_run_id(body.id) if body.id else new_run_hex()
    return await create(request, services, actor, idempotency_key, lambda session, now: _create(session, actor, body, hex, now))


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
        "fields": wanted(fields),
    }
    page = await services.runner.aread(lambda session: catalog.list_runs(session, actor, listing.search, **of))
    ends = listing.ends(page)
    found = [rendered(run) for run in page.records]
    return answer(RunPage(runs=found, next_page_token=ends["next_page_token"], total=ends["total"]))


@router.get("/{id}", operation_id="getRun", response_model=RunOut, responses=problems(404))
async def get_run(id: RunPath, services: ServicesOf, actor: ActorOf, fields: FieldList = None) -> Response:
    hex = parse_run_id(id)
    if fields is not None:
        return shown(await services.runner.aread(lambda session: catalog.get_run(session, actor, hex, wanted(fields))))
    kind, now = FragmentKind.RUN_VALUES_JSON, now_ms()
    found = await services.runner.aread(lambda session: read_run(session, actor, hex, kind, now=now))
    values = _value_bytes(found.run) if found.fragment is None else found.fragment
    if found.may_keep:
        services.keeper.keep(found.run.id, kind, found.run.version, values)
    return _whole(found.run, values)


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


@router.get("/{id}/metrics/{key:path}", operation_id="metricHistory", response_model=HistoryPage, responses=problems(404))
async def metric_history(
    id: RunPath, key: KeyPath, services: ServicesOf, actor: ActorOf, page_size: PageSize = 1000, page_token: PageToken = None
) -> Response:
    """All points in the order timestamp, step, value; an unknown key has none."""
    hex = parse_run_id(id)
    query = ("history", actor.workspace, hex, key)
    after: Any = position(page_token, [int, int, float, int], *query)

    def read(session: Session) -> list[Point]:
        ref = get_run_ref(session, actor.workspace, hex)
        return history(session, ref.id, key, limit=page_size + 1, after=after)

    points, token = cut(await services.runner.aread(read), page_size, lambda point: point.sort_key, *query)
    return answer(HistoryPage(metrics=[rendered_metric(point) for point in points], next_page_token=token))
