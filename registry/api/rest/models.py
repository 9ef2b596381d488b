"""Routes of registered models."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from registry.api.rest.answers import IdempotencyKey, IfMatch, answer, create, expected_version, problems, word
from registry.api.rest.model_schemas import ModelIn, ModelOut, ModelPage, ModelPatch, TagsIn
from registry.api.rest.paging import PageSize, PageToken, by_id, cut, id_position
from registry.api.rest.runs import KeyPath
from registry.api.rest.schemas import LifecycleWord
from registry.api.services import ActorOf, ServicesOf, now_ms
from registry.catalog import models as catalog
from registry.names import IdPrefix, Lifecycle, Role, parse_id
from registry.tables.models import registered_models as table

router = APIRouter(prefix="/api/v1/models", tags=["models"])
ModelPath = Annotated[str, Path(pattern=r"^model_[1-9][0-9]{0,17}$", examples=["model_1"])]


def rendered(model: catalog.RegisteredModel) -> ModelOut:
    return ModelOut(
        id=model.own_id,
        name=model.name,
        description=model.description,
        owner=model.owner,
        last_number=model.last_number,
        lifecycle=word(model.lifecycle),
        aliases=dict(model.aliases),
        tags=dict(model.tags),
        created_at=model.created_at,
        updated_at=model.updated_at,
        version=model.version,
    )


def shown(model: catalog.RegisteredModel) -> Response:
    return answer(rendered(model), version=model.version)


@router.post("", status_code=201, operation_id="createModel", response_model=ModelOut, responses=problems(409, 413, 422))
async def create_model(
    request: Request, body: ModelIn, services: ServicesOf, actor: ActorOf, idempotency_key: IdempotencyKey = None
) -> Response:
    actor.require(Role.CONTRIBUTOR)
    return await create(
        request,
        services,
        actor,
        idempotency_key,
        lambda session, now: rendered(catalog.create_model(session, actor, **body.model_dump(), now=now)),
    )


@router.get("", operation_id="listModels", response_model=ModelPage, responses=problems())
async def list_models(
    services: ServicesOf,
    actor: ActorOf,
    page_size: PageSize = 100,
    page_token: PageToken = None,
    lifecycle: LifecycleWord = "active",
    name: Annotated[str | None, Query(max_length=512, pattern=r"^[^\x00]*$", description="Exactly this name.")] = None,
) -> Response:
    query = ("models", actor.workspace, lifecycle, name)
    after = id_position(page_token, *query)
    where = [table.c.lifecycle == Lifecycle[lifecycle.upper()]]
    if name is not None:
        where.append(table.c.name == name)
    found = await services.runner.aread(
        lambda session: catalog.list_models(session, actor, *where, after=after, limit=page_size + 1, deleted=True)
    )
    page, token = cut(found, page_size, by_id, *query)
    return answer(ModelPage(models=[rendered(one) for one in page], next_page_token=token))


@router.get("/{id}", operation_id="getModel", response_model=ModelOut, responses=problems(404))
async def get_model(id: ModelPath, services: ServicesOf, actor: ActorOf) -> Response:
    number = parse_id(IdPrefix.MODEL, id)
    return shown(await services.runner.aread(lambda session: catalog.get_model(session, actor, number)))


@router.patch("/{id}", operation_id="updateModel", response_model=ModelOut, responses=problems(404, 409, 412, 413))
async def update_model(
    id: ModelPath, body: ModelPatch, services: ServicesOf, actor: ActorOf, if_match: IfMatch = None
) -> Response:
    """A rename also renames the links to files that bore the model's old name."""
    actor.require(Role.CONTRIBUTOR)
    number, expected, now = parse_id(IdPrefix.MODEL, id), expected_version(if_match), now_ms()
    changed = await services.runner.awrite(
        lambda session: catalog.update_model(session, actor, number, now=now, expected_version=expected, **body.model_dump())
    )
    return shown(changed)


@router.delete("/{id}", status_code=204, operation_id="deleteModel", response_class=Response, responses=problems(404, 409, 412))
async def delete_model(id: ModelPath, services: ServicesOf, actor: ActorOf, if_match: IfMatch = None) -> Response:
    """Its versions, their aliases and stages go with it; refused (409) while a live deployment serves one of them."""
    actor.require(Role.CONTRIBUTOR)
    number, expected, now = parse_id(IdPrefix.MODEL, id), expected_version(if_match), now_ms()
    await services.runner.awrite(lambda session: catalog.delete_model(session, actor, number, now=now, expected_version=expected))
    return Response(status_code=204)


@router.post("/{id}/restore", operation_id="restoreModel", response_model=ModelOut, responses=problems(404, 409))
async def restore_model(id: ModelPath, services: ServicesOf, actor: ActorOf) -> Response:
    """From the archive, or from deletion with the versions that were deleted with it."""
    actor.require(Role.CONTRIBUTOR)
    number, now = parse_id(IdPrefix.MODEL, id), now_ms()
    restored = await services.runner.awrite(
        lambda session: catalog.restore_model(session, actor, number, now=now), replayable=True
    )
    return shown(restored)


@router.post("/{id}/archive", operation_id="archiveModel", response_model=ModelOut, responses=problems(404, 409))
async def archive_model(id: ModelPath, services: ServicesOf, actor: ActorOf) -> Response:
    actor.require(Role.CONTRIBUTOR)
    number, now = parse_id(IdPrefix.MODEL, id), now_ms()
    archived = await services.runner.awrite(
        lambda session: catalog.archive_model(session, actor, number, now=now), replayable=True
    )
    return shown(archived)


@router.post(
    "/{id}/tags", status_code=204, operation_id="setModelTags", response_class=Response, responses=problems(404, 409, 413)
)
async def set_tags(id: ModelPath, body: TagsIn, services: ServicesOf, actor: ActorOf) -> Response:
    actor.require(Role.CONTRIBUTOR)
    number = parse_id(IdPrefix.MODEL, id)
    await services.runner.awrite(lambda session: catalog.set_model_tags(session, actor, number, body.tags), replayable=True)
    return Response(status_code=204)


@router.delete(
    "/{id}/tags/{key:path}",
    status_code=204,
    operation_id="deleteModelTag",
    response_class=Response,
    responses=problems(404, 409),
)
async def delete_tag(id: ModelPath, key: KeyPath, services: ServicesOf, actor: ActorOf) -> Response:
    actor.require(Role.CONTRIBUTOR)
    number = parse_id(IdPrefix.MODEL, id)
    await services.runner.awrite(lambda session: catalog.delete_model_tag(session, actor, number, key))
    return Response(status_code=204)
