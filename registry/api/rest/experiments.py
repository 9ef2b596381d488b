"""Routes of experiments."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel

from registry.api.rest.answers import IdempotencyKey, IfMatch, answer, problems, word
from registry.api.rest.paging import Asked, ExactName
from registry.api.rest.records import Records
from registry.api.rest.schemas import ExperimentIn, ExperimentOut, ExperimentPage, ExperimentPatch, LifecycleWord
from registry.api.services import ActorOf, ServicesOf
from registry.catalog import experiments as catalog
from registry.catalog.searching import find_search
from registry.names import IdPrefix, Lifecycle, parse_id

router = APIRouter(prefix="/api/v1/experiments", tags=["experiments"])
ExperimentPath = Annotated[str, Path(pattern=r"^exp_[1-9][0-9]{0,17}$", examples=["exp_1"])]


class BestTrialOut(BaseModel):
    """`recomputed`: the search itself does not say; it is the best of the trials that are here. Values are texts, as reported."""

    name: str
    run: str | None
    parameters: dict[str, Any]
    metrics: dict[str, Any]
    recomputed: bool


class SearchOut(BaseModel):
    """`search`: as the experiment's object says, texts as written; `suggestion`: what the algorithm's object says."""

    search: dict[str, Any]
    suggestion: dict[str, Any]
    best_trial: BestTrialOut | None


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


records = Records(IdPrefix.EXPERIMENT, rendered)


@router.post(
    "", status_code=201, operation_id="createExperiment", response_model=ExperimentOut, responses=problems(409, 413, 422)
)
async def create_experiment(
    request: Request, body: ExperimentIn, services: ServicesOf, actor: ActorOf, idempotency_key: IdempotencyKey = None
) -> Response:
    return await records.create(
        request, services, actor, catalog.create_experiment, key=idempotency_key, fields=body.model_dump()
    )


@router.get("", operation_id="listExperiments", response_model=ExperimentPage, responses=problems())
async def list_experiments(
    services: ServicesOf,
    actor: ActorOf,
    asked: Asked,
    lifecycle: LifecycleWord = "active",
    name: ExactName = None,
) -> Response:
    listing = asked.of("experiments", actor.workspace, lifecycle, name)
    state = Lifecycle[lifecycle.upper()]
    page = await services.runner.aread(
        lambda session: catalog.list_experiments(session, actor, listing.search, lifecycle=state, name=name)
    )
    return answer(ExperimentPage(experiments=[rendered(one) for one in page.records], **listing.ends(page)))


@router.get("/{id}", operation_id="getExperiment", response_model=ExperimentOut, responses=problems(404))
async def get_experiment(id: ExperimentPath, services: ServicesOf, actor: ActorOf) -> Response:
    return await records.get(services, actor, id, catalog.get_experiment)


@router.get("/{id}/search", operation_id="getExperimentSearch", response_model=SearchOut, responses=problems(404))
async def get_search(id: ExperimentPath, services: ServicesOf, actor: ActorOf) -> Response:
    """What a Katib experiment searches for and how far it is, with its best trial. 404 also where it is no search."""
    number = parse_id(IdPrefix.EXPERIMENT, id)
    found = await services.runner.aread(lambda session: find_search(session, actor, number))
    best = found.best_trial
    shown = None
    if best is not None:
        shown = BestTrialOut(
            name=best.name,
            run=None if best.run_hex is None else f"run_{best.run_hex}",
            parameters=dict(best.parameters),
            metrics=dict(best.metrics),
            recomputed=best.recomputed,
        )
    return answer(SearchOut(search=dict(found.said), suggestion=dict(found.suggestion), best_trial=shown))


@router.patch("/{id}", operation_id="updateExperiment", response_model=ExperimentOut, responses=problems(404, 409, 412, 413))
async def update_experiment(
    id: ExperimentPath, body: ExperimentPatch, services: ServicesOf, actor: ActorOf, if_match: IfMatch = None
) -> Response:
    return await records.change(services, actor, id, catalog.update_experiment, if_match=if_match, fields=body.model_dump())


@router.delete("/{id}", operation_id="deleteExperiment", response_model=ExperimentOut, responses=problems(404))
async def delete_experiment(id: ExperimentPath, services: ServicesOf, actor: ActorOf) -> Response:
    """Its runs go with it; `:restore` brings all of them back."""
    return await records.move(services, actor, id, catalog.set_experiment_lifecycle, lifecycle=Lifecycle.DELETED)


@router.post("/{id}/restore", operation_id="restoreExperiment", response_model=ExperimentOut, responses=problems(404))
async def restore_experiment(id: ExperimentPath, services: ServicesOf, actor: ActorOf) -> Response:
    return await records.move(services, actor, id, catalog.set_experiment_lifecycle, lifecycle=Lifecycle.ACTIVE)


@router.post("/{id}/archive", operation_id="archiveExperiment", response_model=ExperimentOut, responses=problems(404))
async def archive_experiment(id: ExperimentPath, services: ServicesOf, actor: ActorOf) -> Response:
    return await records.move(services, actor, id, catalog.set_experiment_lifecycle, lifecycle=Lifecycle.ARCHIVED)
