"""Routes of serving environments."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from registry.api.rest.answers import IdempotencyKey, IfMatch, answer, create, expected_version, problems, word
from registry.api.rest.graph_schemas import EnvironmentIn, EnvironmentOut, EnvironmentPage, EnvironmentPatch
from registry.api.rest.paging import PageSize, PageToken, by_id, cut, id_position
from registry.api.services import ActorOf, ServicesOf, now_ms
from registry.catalog import environments as catalog
from registry.names import IdPrefix, Role, parse_id

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


def shown(environment: catalog.Environment) -> Response:
    return answer(rendered(environment), version=environment.version)


@router.post(
    "", status_code=201, operation_id="createEnvironment", response_model=EnvironmentOut, responses=problems(409, 413, 422)
)
async def create_environment(
    request: Request, body: EnvironmentIn, services: ServicesOf, actor: ActorOf, idempotency_key: IdempotencyKey = None
) -> Response:
    actor.require(Role.CONTRIBUTOR)
    return await create(
        request,
        services,
        actor,
        idempotency_key,
        lambda session, now: rendered(catalog.create_environment(session, actor, now=now, **body.model_dump())),
    )


@router.get("", operation_id="listEnvironments", response_model=EnvironmentPage, responses=problems())
async def list_environments(
    services: ServicesOf, actor: ActorOf, page_size: PageSize = 100, page_token: PageToken = None
) -> Response:
    query = ("environments", actor.workspace)
    after = id_position(page_token, *query)
    found = await services.runner.aread(
        lambda session: catalog.list_environments(session, actor, after=after, limit=page_size + 1)
    )
    page, token = cut(found, page_size, by_id, *query)
    return answer(EnvironmentPage(environments=[rendered(one) for one in page], next_page_token=token))


@router.get("/{id}", operation_id="getEnvironment", response_model=EnvironmentOut, responses=problems(404))
async def get_environment(id: EnvironmentPath, services: ServicesOf, actor: ActorOf) -> Response:
    number = parse_id(IdPrefix.ENVIRONMENT, id)
    return shown(await services.runner.aread(lambda session: catalog.get_environment(session, actor, number)))


@router.patch("/{id}", operation_id="updateEnvironment", response_model=EnvironmentOut, responses=problems(404, 409, 412, 413))
async def update_environment(
    id: EnvironmentPath, body: EnvironmentPatch, services: ServicesOf, actor: ActorOf, if_match: IfMatch = None
) -> Response:
    actor.require(Role.CONTRIBUTOR)
    number, expected, now = parse_id(IdPrefix.ENVIRONMENT, id), expected_version(if_match), now_ms()
    changed = await services.runner.awrite(
        lambda session: catalog.update_environment(
            session, actor, number, now=now, description=body.description, expected_version=expected
        )
    )
    return shown(changed)


@router.delete(
    "/{id}",
    status_code=204,
    operation_id="deleteEnvironment",
    response_class=Response,
    responses=problems(404, 409, 412),
)
async def delete_environment(id: EnvironmentPath, services: ServicesOf, actor: ActorOf, if_match: IfMatch = None) -> Response:
    """Refused (409) while it holds a deployment that is not deleted; its name is free then."""
    actor.require(Role.CONTRIBUTOR)
    number, expected, now = parse_id(IdPrefix.ENVIRONMENT, id), expected_version(if_match), now_ms()
    await services.runner.awrite(
        lambda session: catalog.delete_environment(session, actor, number, now=now, expected_version=expected)
    )
    return Response(status_code=204)
