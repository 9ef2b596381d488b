"""Routes of experiments."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from registry.api.rest.answers import IdempotencyKey, IfMatch, answer, create, expected_version, problems, word
from registry.api.rest.paging import PageSize, PageToken, id_position, token_of
from registry.api.rest.schemas import ExperimentIn, ExperimentOut, ExperimentPage, ExperimentPatch, LifecycleWord
from registry.api.services import ActorOf, ServicesOf, now_ms
from registry.catalog import experiments as catalog
from registry.names import IdPrefix, Lifecycle, Role, parse_id
from registry.tables.runs import experiments as table

router = APIRouter(prefix="/api/v1/experiments", tags=["experiments"])
ExperimentPath = Annotated[str, Path(pattern=r"^exp_[1-9][0-9]{0,17}$", examples=["exp_1"])]


def rendered(experiment: catalog.Experiment) -> ExperimentOut:
    return ExperimentOut(
        id=experiment.own_id,
        name=experiment.name,
        description=experiment.description,
        artifact_location=experiment.artifact_location,
        lifecycle=word(experiment.lifecycle),
        derived=experiment.derived,
        tags=dict(experiment.tags),
        created_at=experiment.created_at,
        updated_at=experiment.updated_at,
        version=experiment.version,
    )


def shown(experiment: catalog.Experiment) -> Response:
    return answer(rendered(experiment), version=experiment.version)


@router.post(
    "", status_code=201, operation_id="createExperiment", response_model=ExperimentOut, responses=problems(409, 413, 422)
)
async def create_experiment(
    request: Request, body: ExperimentIn, services: ServicesOf, actor: ActorOf, idempotency_key: IdempotencyKey = None
) -> Response:
    actor.require(Role.CONTRIBUTOR)
    return await create(
        request,
        services,
        actor,
        idempotency_key,
        lambda session, now: rendered(catalog.create_experiment(session, actor, **body.model_dump(), now=now)),
    )


@router.get("", operation_id="listExperiments", response_model=ExperimentPage, responses=problems())
async def list_experiments(
    services: ServicesOf,
    actor: ActorOf,
    page_size: PageSize = 100,
    page_token: PageToken = None,
    lifecycle: LifecycleWord = "active",
    name: Annotated[str | None, Query(max_length=512, description="Exactly this name.")] = None,
) -> Response:
    query = ("experiments", actor.workspace, lifecycle, name)
    where = [table.c.id > id_position(page_token, *query), table.c.lifecycle == Lifecycle[lifecycle.upper()]]
    if name is not None:
        where.append(table.c.name == name)
    found = await services.runner.aread(
        lambda session: catalog.list_experiments(session, actor, *where, order=[table.c.id], limit=page_size + 1)
    )
    token = token_of([found[page_size - 1].id], *query) if len(found) > page_size else None
    return answer(ExperimentPage(experiments=[rendered(one) for one in found[:page_size]], next_page_token=token))


@router.get("/{id}", operation_id="getExperiment", response_model=ExperimentOut, responses=problems(404))
async def get_experiment(id: ExperimentPath, services: ServicesOf, actor: ActorOf) -> Response:
    number = parse_id(IdPrefix.EXPERIMENT, id)
    return shown(await services.runner.aread(lambda session: catalog.get_experiment(session, actor, number)))


@router.patch("/{id}", operation_id="updateExperiment", response_model=ExperimentOut, responses=problems(404, 409, 412, 413))
async def update_experiment(
    id: ExperimentPath, body: ExperimentPatch, services: ServicesOf, actor: ActorOf, if_match: IfMatch = None
) -> Response:
    actor.require(Role.CONTRIBUTOR)
    number, expected, now = parse_id(IdPrefix.EXPERIMENT, id), expected_version(if_match), now_ms()
    changed = await services.runner.awrite(
        lambda session: catalog.update_experiment(session, actor, number, now=now, expected_version=expected, **body.model_dump())
    )
    return shown(changed)


async def _move(id: str, lifecycle: Lifecycle, services: ServicesOf, actor: ActorOf) -> Response:
    actor.require(Role.CONTRIBUTOR)
    number, now = parse_id(IdPrefix.EXPERIMENT, id), now_ms()
    moved = await services.runner.awrite(
        lambda session: catalog.set_experiment_lifecycle(session, actor, number, lifecycle, now=now), replayable=True
    )
    return shown(moved)


@router.delete("/{id}", operation_id="deleteExperiment", response_model=ExperimentOut, responses=problems(404))
async def delete_experiment(id: ExperimentPath, services: ServicesOf, actor: ActorOf) -> Response:
    """Its runs go with it; `:restore` brings all of them back."""
    return await _move(id, Lifecycle.DELETED, services, actor)


@router.post("/{id}/restore", operation_id="restoreExperiment", response_model=ExperimentOut, responses=problems(404))
async def restore_experiment(id: ExperimentPath, services: ServicesOf, actor: ActorOf) -> Response:
    return await _move(id, Lifecycle.ACTIVE, services, actor)


@router.post("/{id}/archive", operation_id="archiveExperiment", response_model=ExperimentOut, responses=problems(404))
async def archive_experiment(id: ExperimentPath, services: ServicesOf, actor: ActorOf) -> Response:
    return await _move(id, Lifecycle.ARCHIVED, services, actor)
