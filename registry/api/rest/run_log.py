"""The log call, the hottest of all: the route as declared, and its shortcut."""

import re
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Response
from msgspec import Meta

from registry.api.rest.answers import problems
from registry.api.rest.quick import QuickWrite
from registry.api.rest.runs import RunPath, points_of
from registry.api.rest.schemas import LogIn
from registry.api.services import ActorOf, Services, ServicesOf, now_ms
from registry.catalog.actors import Actor
from registry.catalog.hot_log import HOT_LOG
from registry.catalog.merging import KFP_TAG, log_claiming
from registry.catalog.metrics import MAX_POINTS, Batch, Point
from registry.names import Role, parse_run_id

_Key = Annotated[str, Meta(min_length=1, max_length=250)]
_Pairs = Annotated[dict[_Key, Annotated[str, Meta(max_length=10_000)]], Meta(max_length=10_000)]


class _Metric(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    key: _Key
    value: float | Literal["NaN", "Infinity", "-Infinity"]
    at: Annotated[int, Meta(ge=0, lt=2**53)] | None = None
    step: Annotated[int, Meta(gt=-(2**53), lt=2**53)] = 0


class _Log(msgspec.Struct, forbid_unknown_fields=True):
    metrics: Annotated[list[_Metric], Meta(max_length=MAX_POINTS)] = []
    params: _Pairs = {}
    tags: _Pairs = {}

    def points(self, now: int) -> list[Point]:
        """`now` is the time of those that name none."""
        return [Point(one.key, float(one.value), now if one.at is None else one.at, one.step) for one in self.metrics]


_decode = msgspec.json.Decoder(_Log).decode


class QuickLog(QuickWrite[_Log]):
    path = "/api/v1/runs/{id}/log"
    paths = re.compile(r"/api/v1/runs/(?:run_)?([0-9a-f]{32})/log")
    body = _Log

    async def write(self, actor: Actor, path: re.Match[str], body: _Log) -> tuple[int, bytes]:
        await _log(self.services, actor, Batch(actor.workspace, path[1], body.points(now_ms()), body.params, body.tags))
        return 204, b""


async def _log(services: Services, actor: Actor, batch: Batch) -> None:
    actor.require(Role.CONTRIBUTOR)
    if KFP_TAG in batch.tags:  # the run may become one with the one that its workflow has
        now = now_ms()
        await services.runner.awrite(lambda session: log_claiming(session, actor, batch, now=now), replayable=True)
    else:
        await services.runner.agroup(HOT_LOG, batch)


router = APIRouter(prefix="/api/v1/runs", tags=["runs"])


@router.post("/{id}/log", status_code=204, operation_id="log", response_class=Response, responses=problems(404, 409, 413))
async def log(id: RunPath, body: LogIn, services: ServicesOf, actor: ActorOf) -> Response:
    """Metrics, params and tags in one batch: all or nothing. A repeat changes nothing (give `at`: now differs)."""
    points = points_of(body.metrics, now_ms())
    await _log(services, actor, Batch(actor.workspace, parse_run_id(id), points, body.params, body.tags))
    return Response(status_code=204)
