"""Routes of deployments and the history of their traffic."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from registry.api.rest.answers import IdempotencyKey, IfMatch, answer, problems, word
from registry.api.rest.graph_schemas import (
    DeploymentIn,
    DeploymentOut,
    DeploymentPage,
    DeploymentPatch,
    RevisionList,
    RevisionOut,
    ShareIn,
    ShareOut,
    TrafficHistory,
    TrafficOut,
)
from registry.api.rest.paging import Asked
from registry.api.rest.records import Records
from registry.api.rest.schemas import LifecycleWord
from registry.api.services import ActorOf, ServicesOf
from registry.catalog import deployments as catalog
from registry.catalog.traffic import Shares
from registry.names import DesiredState, IdPrefix, Lifecycle, own_id, parse_id

router = APIRouter(prefix="/api/v1/deployments", tags=["deployments"])
DeploymentPath = Annotated[str, Path(pattern=r"^dep_[1-9][0-9]{0,17}$", examples=["dep_1"])]


def rendered(deployment: catalog.Deployment) -> DeploymentOut:
    return DeploymentOut(
        id=deployment.own_id,
        name=deployment.name,
        description=deployment.description,
        environment_id=own_id(IdPrefix.ENVIRONMENT, deployment.environment),
        environment=deployment.environment_name,
        model_id=_own(IdPrefix.MODEL, deployment.model),
        model_name=deployment.model_name,
        model_version_id=_own(IdPrefix.VERSION, deployment.model_version),
        model_version_number=deployment.model_version_number,
        desired_state=word(deployment.desired_state),
        actual_state=deployment.actual_state,
        runtime=deployment.runtime,
        url=deployment.url,
        uid=deployment.uid,
        conditions=deployment.conditions,
        shares=_shares(deployment.shares),
        lifecycle=word(deployment.lifecycle),
        tags=dict(deployment.tags),
        created_at=deployment.created_at,
        updated_at=deployment.updated_at,
        version=deployment.version,
    )


records = Records(IdPrefix.DEPLOYMENT, rendered)


def _own(prefix: IdPrefix, number: int | None) -> str | None:
    return None if number is None else own_id(prefix, number)


def _shares(shares: Shares) -> list[ShareOut]:
    return [
        ShareOut(
            version=_own(IdPrefix.VERSION, share.get("version")),
            revision=share.get("revision"),
            uri=share.get("uri"),
            percent=share["percent"],
            tag=share.get("tag"),
        )
        for share in shares
    ]


def _given(shares: list[ShareIn] | None) -> Shares | None:
    if shares is None:
        return None
    return [
        share.model_dump() | {"version": None if share.version is None else parse_id(IdPrefix.VERSION, share.version)}
        for share in shares
    ]


def _fields(body: DeploymentIn | DeploymentPatch) -> dict[str, Any]:
    """The body as the catalog's keywords."""
    fields = body.model_dump(exclude={"model_id", "model_version_id"})
    fields["model"] = None if body.model_id is None else parse_id(IdPrefix.MODEL, body.model_id)
    version = body.model_version_id
    fields["model_version"] = None if version is None else parse_id(IdPrefix.VERSION, version)
    if body.desired_state is not None:
        fields["desired_state"] = DesiredState[body.desired_state.upper()]
    fields["shares"] = _given(body.shares)
    return fields


@router.post(
    "", status_code=201, operation_id="createDeployment", response_model=DeploymentOut, responses=problems(404, 409, 413, 422)
)
async def create_deployment(
    request: Request, body: DeploymentIn, services: ServicesOf, actor: ActorOf, idempotency_key: IdempotencyKey = None
) -> Response:
    fields = _fields(body)
    return await records.create(request, services, actor, catalog.create_deployment, key=idempotency_key, fields=fields)


@router.get("", operation_id="listDeployments", response_model=DeploymentPage, responses=problems())
async def list_deployments(
    services: ServicesOf,
    actor: ActorOf,
    asked: Asked,
    lifecycle: LifecycleWord = "active",
    environment_id: Annotated[str | None, Query(pattern=r"^env_[1-9][0-9]{0,17}$")] = None,
    model_id: Annotated[str | None, Query(pattern=r"^model_[1-9][0-9]{0,17}$")] = None,
) -> Response:
    listing = asked.of("deployments", actor.workspace, lifecycle, environment_id, model_id)
    of: dict[str, Any] = {
        "lifecycle": Lifecycle[lifecycle.upper()],
        "environment": None if environment_id is None else parse_id(IdPrefix.ENVIRONMENT, environment_id),
        "model": None if model_id is None else parse_id(IdPrefix.MODEL, model_id),
    }
    page = await services.runner.aread(lambda session: catalog.list_deployments(session, actor, listing.search, **of))
    return answer(DeploymentPage(deployments=[rendered(one) for one in page.records], **listing.ends(page)))


@router.get("/{id}", operation_id="getDeployment", response_model=DeploymentOut, responses=problems(404))
async def get_deployment(id: DeploymentPath, services: ServicesOf, actor: ActorOf) -> Response:
    return await records.get(services, actor, id, catalog.get_deployment)


@router.patch("/{id}", operation_id="updateDeployment", response_model=DeploymentOut, responses=problems(404, 409, 412, 413))
async def update_deployment(
    id: DeploymentPath, body: DeploymentPatch, services: ServicesOf, actor: ActorOf, if_match: IfMatch = None
) -> Response:
    """`unpin` lets it serve the model's newest version again."""
    return await records.change(services, actor, id, catalog.update_deployment, if_match=if_match, fields=_fields(body))


@router.delete("/{id}", operation_id="deleteDeployment", status_code=204, response_class=Response, responses=problems(404, 412))
async def delete_deployment(id: DeploymentPath, services: ServicesOf, actor: ActorOf, if_match: IfMatch = None) -> Response:
    return await records.delete(services, actor, id, catalog.delete_deployment, if_match=if_match)


@router.post("/{id}/restore", operation_id="restoreDeployment", response_model=DeploymentOut, responses=problems(404, 409))
async def restore_deployment(id: DeploymentPath, services: ServicesOf, actor: ActorOf) -> Response:
    return await records.move(services, actor, id, catalog.restore_deployment)


@router.post("/{id}/archive", operation_id="archiveDeployment", response_model=DeploymentOut, responses=problems(404, 409))
async def archive_deployment(id: DeploymentPath, services: ServicesOf, actor: ActorOf) -> Response:
    """It is no longer live, so what it served may be deleted."""
    return await records.move(services, actor, id, catalog.archive_deployment)


@router.get("/{id}/revisions", operation_id="deploymentRevisions", response_model=RevisionList, responses=problems(404))
async def revisions(id: DeploymentPath, services: ServicesOf, actor: ActorOf) -> Response:
    """What each revision that a report told of serves, and which model version that is."""
    number = parse_id(IdPrefix.DEPLOYMENT, id)
    found = await services.runner.aread(lambda session: catalog.revisions_of(session, actor, number))
    shown = [
        RevisionOut(name=one.name, uri=one.uri, version=_own(IdPrefix.VERSION, one.version), inferred=one.inferred)
        for one in found
    ]
    return answer(RevisionList(revisions=shown))


@router.get("/{id}/history", operation_id="deploymentHistory", response_model=TrafficHistory, responses=problems(404))
async def history(
    id: DeploymentPath,
    services: ServicesOf,
    actor: ActorOf,
    at: Annotated[int | None, Query(ge=0, lt=2**53, description="Only the list in force at that time (ms).")] = None,
) -> Response:
    """Which version got which traffic from when on."""
    number = parse_id(IdPrefix.DEPLOYMENT, id)
    found = await services.runner.aread(lambda session: catalog.history(session, actor, number, at=at))
    return answer(TrafficHistory(history=[TrafficOut(at=one.at, shares=_shares(one.shares)) for one in found]))
