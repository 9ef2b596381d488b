"""The log call, the hottest of all: where nothing about it is unusual it is read and answered without the general machinery.

What the quick reader does not take (a wrong value, a NUL, a query, another content type) it leaves to the route as declared,
which knows the errors. It takes nothing that the route would refuse.
"""

import re
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from msgspec import Meta

from registry.api.rest.answers import problems
from registry.api.rest.runs import RunPath, points_of
from registry.api.rest.schemas import LogIn
from registry.api.services import ActorOf, Services, ServicesOf, actor_of, now_ms, services_of
from registry.catalog.actors import Actor
from registry.catalog.merging import KFP_TAG, log_claiming
from registry.catalog.metrics import HOT_LOG, MAX_POINTS, Batch, Point
from registry.names import Role, parse_run_id

_Key = Annotated[str, Meta(min_length=1, max_length=250)]
_Pairs = Annotated[dict[_Key, Annotated[str, Meta(max_length=10_000)]], Meta(max_length=10_000)]
_NUL = b"\\u0000"
"""The only form in which JSON can have the character that no text of ours may have."""

_RUN = re.compile(r"/api/v1/runs/(?:run_)?([0-9a-f]{32})/log")


class _Metric(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    key: _Key
    value: float | Literal["NaN", "Infinity", "-Infinity"]
    at: Annotated[int, Meta(ge=0, lt=2**53)] | None = None
    step: Annotated[int, Meta(gt=-(2**53), lt=2**53)] = 0


class _Log(msgspec.Struct, forbid_unknown_fields=True):
    metrics: Annotated[list[_Metric], Meta(max_length=MAX_POINTS)] = []
    params: _Pairs = {}
    tags: _Pairs = {}


_decode = msgspec.json.Decoder(_Log).decode


class _HotRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        declared = super().get_route_handler()

        async def handle(request: Request) -> Response:
            said = await _read(request)
            if said is None:
                return await declared(request)
            actor = await actor_of(request)
            hex, body = said
            now = now_ms()
            points = [Point(one.key, float(one.value), now if one.at is None else one.at, one.step) for one in body.metrics]
            return await _log(services_of(request), actor, Batch(actor.workspace, hex, points, body.params, body.tags))

        return handle


async def _read(request: Request) -> tuple[str, _Log] | None:
    path = _RUN.fullmatch(request.scope["path"])
    if path is None or request.scope["query_string"] or request.headers.get("content-type") != "application/json":
        return None
    body = await request.body()
    if _NUL in body:
        return None
    try:
        return path[1], _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


async def _log(services: Services, actor: Actor, batch: Batch) -> Response:
    actor.require(Role.CONTRIBUTOR)
    if KFP_TAG in batch.tags:  # the run may become one with the one that its workflow has
        now = now_ms()
        await services.runner.awrite(lambda session: log_claiming(session, actor, batch, now=now), replayable=True)
    else:
        await services.runner.agroup(HOT_LOG, batch)
    return Response(status_code=204)


router = APIRouter(prefix="/api/v1/runs", tags=["runs"], route_class=_HotRoute)


@router.post("/{id}/log", status_code=204, operation_id="log", response_class=Response, responses=problems(404, 409, 413))
async def log(id: RunPath, body: LogIn, services: ServicesOf, actor: ActorOf) -> Response:
    """Metrics, params and tags in one batch: all or nothing. A repeat changes nothing (give `at`: now differs)."""
    points = points_of(body.metrics, now_ms())
    return await _log(services, actor, Batch(actor.workspace, parse_run_id(id), points, body.params, body.tags))
