"""Routes of serving environments."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from registry.api.rest.answers import IdempotencyKey, IfMatch, answer, problems, word
from registry.api.rest.graph_schemas import EnvironmentIn, EnvironmentOut, EnvironmentPage, EnvironmentPatch
from registry.api.rest.paging import Asked
from registry.api.rest.records import Records
from registry.api.services import ActorOf, ServicesOf
from registry.catalog import environments as catalog
from registry.names import IdPrefix

router = APIRouter(prefix="/api/v1/environments", tags=["deployments"])
EnvironmentPath = Annotated[str, Path(pattern=r"^env_[1-9][0-9]{0,17}$", examples=["env_1"])]


def rendered(environment: catalog.Environment) -> EnvironmentOut:
    return EnvironmentOut(
        id=environment.own_id,
        name=environment.name,
        description=environment.description,
        lifecycle=word(environment.lifecycle),
        created_at=environment.created_at,
        updated_at=environment.updated_at,
        version=environment.version,
    )


records = Records(IdPrefix.ENVIRONMENT, rendered)


@router.post(
    "", status_code=201, operation_id="createEnvironment", response_model=EnvironmentOut, responses=problems(409, 413, 422)
)
async def create_environment(
    request: Request, body: EnvironmentIn, services: ServicesOf, actor: ActorOf, idempotency_key: IdempotencyKey = None
) -> Response:
    return await records.create(
        request, services, actor, catalog.create_environment, key=idempotency_key, fields=body.model_dump()
    )


@router.get("", operation_id="listEnvironments", response_model=EnvironmentPage, responses=problems())
async def list_environments(services: ServicesOf, actor: ActorOf, asked: Asked) -> Response:
    listing = asked.of("environments", actor.workspace)
    page = await services.runner.aread(lambda session: catalog.list_environments(session, actor, listing.search))
    return answer(EnvironmentPage(environments=[rendered(one) for one in page.records], **listing.ends(page)))


@router.get("/{id}", operation_id="getEnvironment", response_model=EnvironmentOut, responses=problems(404))
async def get_environment(id: EnvironmentPath, services: ServicesOf, actor: ActorOf) -> Response:
    return await records.get(services, actor, id, catalog.get_environment)


@router.patch("/{id}", operation_id="updateEnvironment", response_model=EnvironmentOut, responses=problems(404, 409, 412, 413))
async def update_environment(
    id: EnvironmentPath, body: EnvironmentPatch, services: ServicesOf, actor: ActorOf, if_match: IfMatch = None
) -> Response:
    return await records.change(services, actor, id, catalog.update_environment, if_match=if_match, fields=body.model_dump())


@router.delete(
    "/{id}",
    status_code=204,
    operation_id="deleteEnvironment",
    response_class=Response,
    responses=problems(404, 409, 412),
)
async def delete_environment(id: EnvironmentPath, services: ServicesOf, actor: ActorOf, if_match: IfMatch = None) -> Response:
    """Refused (409) while it holds a deployment that is not deleted; its name is free then."""
    return await records.delete(services, actor, id, catalog.delete_environment, if_match=if_match)
