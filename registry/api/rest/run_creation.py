"""Making a run: the route as declared, and its shortcut."""

import re
from typing import Annotated

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec import Meta

from registry.api.rendering import encode
from registry.api.rest.answers import IdempotencyKey, create, problems
from registry.api.rest.quick import NO_NUL, FewPairs, QuickWrite, ShortName
from registry.api.rest.runs import rendered
from registry.api.rest.schemas import RunIn, RunOut, StatusWord
from registry.api.services import ActorOf, ServicesOf, now_ms
from registry.catalog.actors import Actor
from registry.catalog.experiments import get_or_create_experiment
from registry.catalog.hot_runs import HOT_CREATE
from registry.catalog.merging import KFP_TAG, create_claiming
from registry.catalog.run_creation import NewRun
from registry.catalog.runs import get_runs
from registry.db.session import Session
from registry.errors import InvalidArgument
from registry.names import IdPrefix, Role, Status, new_run_hex, parse_id, parse_run_id


class _Run(msgspec.Struct, forbid_unknown_fields=True):
    """What most calls send; one with an id of its own is left to the route, since a second one is refused."""

    experiment_id: Annotated[str, Meta(pattern=r"^exp_[1-9][0-9]{0,17}$")] | None = None
    name: ShortName | None = None
    status: StatusWord = "running"
    started_at: Annotated[int, Meta(ge=0, lt=2**53)] | None = None
    user: Annotated[str, Meta(max_length=512, pattern=NO_NUL)] | None = None
    parent: Annotated[str, Meta(pattern=r"^run_[0-9a-f]{32}$")] | None = None
    tags: FewPairs = {}


class QuickCreate(QuickWrite[_Run]):
    path = "/api/v1/runs"
    paths = re.compile(r"/api/v1/runs")
    body = _Run

    def takes(self, body: _Run) -> bool:
        return KFP_TAG not in body.tags

    async def write(self, actor: Actor, path: re.Match[str], body: _Run) -> tuple[int, bytes]:
        actor.require(Role.CONTRIBUTOR)
        new = NewRun(
            actor,
            now_ms(),
            new_run_hex(),
            parse_id(IdPrefix.EXPERIMENT, body.experiment_id) if body.experiment_id else None,
            body.name,
            Status[body.status.upper()],
            body.started_at,
            body.user,
            parse_run_id(body.parent) if body.parent else None,
            tags=body.tags,
        )
        return 201, encode(rendered(await self.services.runner.agroup(HOT_CREATE, new)))


router = APIRouter(prefix="/api/v1/runs", tags=["runs"])


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


def _create(session: Session, actor: Actor, body: RunIn, hex: str, now: int) -> RunOut:
    experiment = parse_id(IdPrefix.EXPERIMENT, body.experiment_id) if body.experiment_id else None
    if body.experiment_name:
        experiment = get_or_create_experiment(session, actor, body.experiment_name, now=now).id
    made = create_claiming(
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
    return rendered(get_runs(session, actor, [made])[0])
