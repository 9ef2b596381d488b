"""The routes of a run's steps, and of what may stand for a step that need not run."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from registry.api.rest.answers import answer, problems, word
from registry.api.rest.paging import PageSize, PageToken, by_id, cut, id_position
from registry.api.rest.runs import RunPath
from registry.api.rest.schemas import JoinIn, JoinOut, ReusableOut, StepOut, StepPage
from registry.api.services import ActorOf, ServicesOf, now_ms
from registry.catalog import cache
from registry.catalog import steps as catalog
from registry.catalog.joining import Pod
from registry.catalog.joining import join_step as join
from registry.errors import NotFound
from registry.names import IdPrefix, Role, Status, own_id, parse_id, parse_run_id

router = APIRouter(prefix="/api/v1", tags=["runs"])
StepPath = Annotated[str, Path(pattern=r"^step_[1-9][0-9]{0,17}$", examples=["step_1"])]


def rendered(step: catalog.Step) -> StepOut:
    return StepOut(
        id=step.own_id,
        run=step.run,
        parent=None if step.parent is None else own_id(IdPrefix.STEP, step.parent),
        path=step.path,
        name=step.name,
        display_name=step.display_name,
        status=None if step.status is None else word(step.status),
        phase=step.phase,
        message=step.message,
        iteration=step.iteration,
        attempts=step.attempts,
        started_at=step.started_at,
        ended_at=step.ended_at,
        node_id=step.node_id,
        pod_name=step.pod_name,
        log_uri=step.log_uri,
        fingerprint=step.fingerprint,
        depends_on=list(step.detail.get("depends_on") or []),
        inputs=dict(step.detail.get("inputs") or {}),
        outputs=step.outputs,
        visualizations=list(step.fetched.get("visualizations", ())),
    )


@router.get("/runs/{id}/steps", operation_id="listSteps", response_model=StepPage, responses=problems(404))
async def list_steps(
    id: RunPath, services: ServicesOf, actor: ActorOf, page_size: PageSize = 100, page_token: PageToken = None
) -> Response:
    """What its workflow did, by id."""
    hex = parse_run_id(id)
    query = ("steps", actor.workspace, hex)
    after = id_position(page_token, *query)
    found = await services.runner.aread(lambda session: catalog.list_steps(session, actor, hex, after=after, limit=page_size + 1))
    page, token = cut(found, page_size, by_id, *query)
    return answer(StepPage(steps=[rendered(step) for step in page], next_page_token=token))


@router.post("/steps/join", operation_id="joinStep", response_model=JoinOut, responses=problems(409, 413))
async def join_step(body: JoinIn, services: ServicesOf, actor: ActorOf) -> Response:
    """The run and step that a process in a pod logs to; made to wait where no report of its workflow is there. Idempotent."""
    actor.require(Role.CONTRIBUTOR)
    pod = Pod(body.node_id, body.pod_name, body.pod_uid, body.run_id)
    status, now = None if body.status is None else Status[body.status.upper()], now_ms()
    joined = await services.runner.awrite(
        lambda session: join(session, actor, pod, now=now, name=body.name, experiment=body.experiment, status=status),
        replayable=True,
    )
    return answer(JoinOut(run=f"run_{joined.run}", step=own_id(IdPrefix.STEP, joined.step), reported=joined.reported))


@router.get("/cache", operation_id="findReusable", response_model=ReusableOut, responses=problems(404))
async def find_reusable(
    services: ServicesOf, actor: ActorOf, fingerprint: Annotated[str, Query(min_length=1, max_length=512)]
) -> Response:
    """The newest step that has succeeded with this fingerprint, through whichever door it came: its outputs may be used again."""
    found = await services.runner.aread(lambda session: cache.find_reusable(session, actor, fingerprint))
    if found is None:
        raise NotFound("step", f"with fingerprint {fingerprint[:80]}")
    outputs = [own_id(IdPrefix.ARTIFACT, id) for id in found.outputs]
    return answer(ReusableOut(step=own_id(IdPrefix.STEP, found.step), run=found.hex, seconds=found.seconds, outputs=outputs))


@router.get("/steps/{id}", operation_id="getStep", response_model=StepOut, responses=problems(404))
async def get_step(id: StepPath, services: ServicesOf, actor: ActorOf) -> Response:
    number = parse_id(IdPrefix.STEP, id)
    return answer(rendered(await services.runner.aread(lambda session: catalog.get_step(session, actor, number))))
