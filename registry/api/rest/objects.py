"""Routes of Kubernetes objects: what runs, steps, deployments and searches come from; schedules, notebooks and pipelines too."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel

from registry.api.rest.answers import answer, problems
from registry.api.rest.paging import Asked, ExactName
from registry.api.rest.runs import RunPath
from registry.api.rest.schemas import Found
from registry.api.services import ActorOf, ServicesOf
from registry.catalog import objects as catalog
from registry.db.session import Session
from registry.names import IdPrefix, own_id, parse_id, parse_run_id

router = APIRouter(prefix="/api/v1/objects", tags=["reports"])
of_runs = APIRouter(prefix="/api/v1/runs", tags=["runs"])
ObjectPath = Annotated[str, Path(pattern=r"^obj_[1-9][0-9]{0,17}$", examples=["obj_1"])]


class ObjectOut(BaseModel):
    """As the newest report said. `cluster` is null for the home cluster; the last four are what it became and belongs to."""

    id: str
    cluster: str | None
    namespace: str | None
    kind: str
    name: str
    uid: str | None
    resource_version: str | None
    phase: str | None
    deleted: bool
    received_at: int
    owner_uid: str | None
    run: str | None
    step_id: str | None
    deployment_id: str | None
    experiment_id: str | None


class ObjectWithDetails(ObjectOut):
    """`details`: what the report says beside this and the tasks: a schedule, a notebook, replicas, metrics as texts, warnings."""

    details: dict[str, Any]


class ObjectPage(Found):
    objects: list[ObjectOut]


def _fields(one: catalog.KubernetesObject) -> dict[str, Any]:
    def own(prefix: IdPrefix, number: int | None) -> str | None:
        return None if number is None else own_id(prefix, number)

    return {
        "id": one.own_id,
        "cluster": one.cluster or None,
        "namespace": one.namespace or None,
        "kind": one.kind,
        "name": one.name,
        "uid": one.uid,
        "resource_version": one.resource_version,
        "phase": one.phase,
        "deleted": one.deleted,
        "received_at": one.received_at,
        "owner_uid": one.owner_uid,
        "run": None if one.run_hex is None else f"run_{one.run_hex}",
        "step_id": own(IdPrefix.STEP, one.step),
        "deployment_id": own(IdPrefix.DEPLOYMENT, one.deployment),
        "experiment_id": own(IdPrefix.EXPERIMENT, one.experiment),
    }


@router.get("", operation_id="listObjects", response_model=ObjectPage, responses=problems())
async def list_objects(
    services: ServicesOf,
    actor: ActorOf,
    asked: Asked,
    kind: Annotated[str | None, Query(max_length=255, pattern=r"^[^\x00]*$", examples=["Notebook"])] = None,
    name: ExactName = None,
    run_id: Annotated[str | None, Query(pattern=r"^run_[0-9a-f]{32}$")] = None,
    deployment_id: Annotated[str | None, Query(pattern=r"^dep_[1-9][0-9]{0,17}$")] = None,
    experiment_id: Annotated[str | None, Query(pattern=r"^exp_[1-9][0-9]{0,17}$")] = None,
) -> Response:
    """The Kubernetes objects that reports told of."""
    listing = asked.of("objects", actor.workspace, kind, name, run_id, deployment_id, experiment_id)
    of: dict[str, Any] = {
        "kind": kind,
        "name": name,
        "run": None if run_id is None else parse_run_id(run_id),
        "deployment": None if deployment_id is None else parse_id(IdPrefix.DEPLOYMENT, deployment_id),
        "experiment": None if experiment_id is None else parse_id(IdPrefix.EXPERIMENT, experiment_id),
    }
    page = await services.runner.aread(lambda session: catalog.list_objects(session, actor, listing.search, **of))
    return answer(ObjectPage(objects=[ObjectOut(**_fields(one)) for one in page.records], **listing.ends(page)))


@of_runs.get("/{id}/notebook", operation_id="getRunNotebook", response_model=ObjectWithDetails, responses=problems(404))
async def get_run_notebook(id: RunPath, services: ServicesOf, actor: ActorOf) -> Response:
    """The notebook that the run was logged from, by its tag `lineal.notebook`. 404 also where none was reported."""
    hex = parse_run_id(id)

    def read(session: Session) -> tuple[catalog.KubernetesObject, dict[int, Mapping[str, Any]]]:
        found = catalog.find_notebook(session, actor, hex)
        return found, catalog.read_details(session, [found.id])

    found, details = await services.runner.aread(read)
    return answer(ObjectWithDetails(**_fields(found), details=dict(details.get(found.id, {}))))


@router.get("/{id}", operation_id="getObject", response_model=ObjectWithDetails, responses=problems(404))
async def get_object(id: ObjectPath, services: ServicesOf, actor: ActorOf) -> Response:
    """With all that its newest report says and no other record shows."""
    number = parse_id(IdPrefix.OBJECT, id)
    found, details = await services.runner.aread(
        lambda session: (catalog.get_object(session, actor, number), catalog.read_details(session, [number]))
    )
    return answer(ObjectWithDetails(**_fields(found), details=dict(details.get(number, {}))))
