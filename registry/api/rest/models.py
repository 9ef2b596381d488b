"""Routes of registered models."""

import re
from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Request, Response

from registry.api.rendering import encode
from registry.api.rest.answers import IdempotencyKey, IfMatch, answer, problems, word
from registry.api.rest.model_schemas import ModelIn, ModelOut, ModelPage, ModelPatch, TagsIn
from registry.api.rest.paging import Asked, ExactName
from registry.api.rest.quick import FewPairs, QuickWrite, ShortName, ShortText
from registry.api.rest.records import Records
from registry.api.rest.runs import KeyPath
from registry.api.rest.schemas import LifecycleWord
from registry.api.services import ActorOf, ServicesOf, now_ms
from registry.catalog import models as catalog
from registry.catalog.actors import Actor
from registry.catalog.model_creation import HOT_CREATE_MODEL, NewModel, RegisteredModel
from registry.names import IdPrefix, Lifecycle, Role

router = APIRouter(prefix="/api/v1/models", tags=["models"])
ModelPath = Annotated[str, Path(pattern=r"^model_[1-9][0-9]{0,17}$", examples=["model_1"])]


def rendered(model: RegisteredModel) -> ModelOut:
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


records = Records(IdPrefix.MODEL, rendered)


class _Model(msgspec.Struct, forbid_unknown_fields=True):
    name: ShortName
    description: ShortText | None = None
    owner: Annotated[str, msgspec.Meta(max_length=512)] | None = None
    tags: FewPairs = {}


class QuickCreateModel(QuickWrite[_Model]):
    path = "/api/v1/models"
    paths = re.compile(r"/api/v1/models")
    body = _Model

    async def write(self, actor: Actor, path: re.Match[str], body: _Model) -> tuple[int, bytes]:
        actor.require(Role.CONTRIBUTOR)
        new = NewModel(actor, body.name, now_ms(), body.description, body.owner, body.tags)
        return 201, encode(rendered(await self.services.runner.agroup(HOT_CREATE_MODEL, new)))


@router.post("", status_code=201, operation_id="createModel", response_model=ModelOut, responses=problems(409, 413, 422))
async def create_model(
    request: Request, body: ModelIn, services: ServicesOf, actor: ActorOf, idempotency_key: IdempotencyKey = None
) -> Response:
    return await records.create(request, services, actor, catalog.create_model, key=idempotency_key, fields=body.model_dump())


@router.get("", operation_id="listModels", response_model=ModelPage, responses=problems())
async def list_models(
    services: ServicesOf,
    actor: ActorOf,
    asked: Asked,
    lifecycle: LifecycleWord = "active",
    name: ExactName = None,
) -> Response:
    listing = asked.of("models", actor.workspace, lifecycle, name)
    state = Lifecycle[lifecycle.upper()]
    page = await services.runner.aread(
        lambda session: catalog.list_models(session, actor, listing.search, lifecycle=state, name=name)
    )
    return answer(ModelPage(models=[rendered(one) for one in page.records], **listing.ends(page)))


@router.get("/{id}", operation_id="getModel", response_model=ModelOut, responses=problems(404))
async def get_model(id: ModelPath, services: ServicesOf, actor: ActorOf) -> Response:
    return await records.get(services, actor, id, catalog.get_model)


@router.patch("/{id}", operation_id="updateModel", response_model=ModelOut, responses=problems(404, 409, 412, 413))
async def update_model(
    id: ModelPath, body: ModelPatch, services: ServicesOf, actor: ActorOf, if_match: IfMatch = None
) -> Response:
    """A rename also renames the links to files that bore the model's old name."""
    return await records.change(services, actor, id, catalog.update_model, if_match=if_match, fields=body.model_dump())


@router.delete("/{id}", status_code=204, operation_id="deleteModel", response_class=Response, responses=problems(404, 409, 412))
async def delete_model(id: ModelPath, services: ServicesOf, actor: ActorOf, if_match: IfMatch = None) -> Response:
    """Its versions, their aliases and stages go with it; refused (409) while a live deployment serves one of them."""
    return await records.delete(services, actor, id, catalog.delete_model, if_match=if_match)


@router.post("/{id}/restore", operation_id="restoreModel", response_model=ModelOut, responses=problems(404, 409))
async def restore_model(id: ModelPath, services: ServicesOf, actor: ActorOf) -> Response:
    """From the archive, or from deletion with the versions that were deleted with it."""
    return await records.move(services, actor, id, catalog.restore_model)


@router.post("/{id}/archive", operation_id="archiveModel", response_model=ModelOut, responses=problems(404, 409))
async def archive_model(id: ModelPath, services: ServicesOf, actor: ActorOf) -> Response:
    return await records.move(services, actor, id, catalog.archive_model)


@router.post(
    "/{id}/tags", status_code=204, operation_id="setModelTags", response_class=Response, responses=problems(404, 409, 413)
)
async def set_tags(id: ModelPath, body: TagsIn, services: ServicesOf, actor: ActorOf) -> Response:
    return await records.set_tags(services, actor, id, catalog.set_model_tags, body.tags)


@router.delete(
    "/{id}/tags/{key:path}",
    status_code=204,
    operation_id="deleteModelTag",
    response_class=Response,
    responses=problems(404, 409),
)
async def delete_tag(id: ModelPath, key: KeyPath, services: ServicesOf, actor: ActorOf) -> Response:
    return await records.delete_tag(services, actor, id, catalog.delete_model_tag, key)
