"""Making a version of a registered model: the route as declared, and its shortcut."""

import re
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec import Meta

from registry.api.rendering import encode
from registry.api.rest.answers import IdempotencyKey, problems
from registry.api.rest.model_schemas import ReadinessWord, VersionIn, VersionOut
from registry.api.rest.models import ModelPath
from registry.api.rest.quick import FewPairs, QuickWrite, ShortName, ShortText
from registry.api.rest.versions import records
from registry.api.services import ActorOf, ServicesOf, now_ms
from registry.catalog import versions as catalog
from registry.catalog.actors import Actor
from registry.catalog.version_creation import HOT_CREATE_VERSION, NewVersion
from registry.errors import AlreadyExists
from registry.names import IdPrefix, Readiness, Role, parse_id, parse_run_id


class _Version(msgspec.Struct, forbid_unknown_fields=True):
    """What most calls send; one with an artifact is left to the route, which locks it."""

    name: ShortName | None = None
    description: ShortText | None = None
    author: Annotated[str, Meta(max_length=512)] | None = None
    source: Annotated[str, Meta(max_length=2048)] | None = None
    run_id: Annotated[str, Meta(pattern=r"^run_[0-9a-f]{32}$")] | None = None
    readiness: ReadinessWord = "ready"
    status_message: ShortText | None = None
    tags: FewPairs = {}


class QuickCreateVersion(QuickWrite[_Version]):
    path = "/api/v1/models/{id}/versions"
    paths = re.compile(r"/api/v1/models/(model_[1-9][0-9]{0,17})/versions")
    body = _Version

    async def write(self, actor: Actor, path: re.Match[str], body: _Version) -> tuple[int, bytes]:
        actor.require(Role.CONTRIBUTOR)
        fields: dict[str, Any] = {
            "name": body.name,
            "description": body.description,
            "author_name": body.author,
            "source": body.source,
            "run": None if body.run_id is None else parse_run_id(body.run_id),
            "readiness": Readiness[body.readiness.upper()],
            "status_message": body.status_message,
            "tags": body.tags,
        }
        model, now, runner = parse_id(IdPrefix.MODEL, path[1]), now_ms(), self.services.runner
        try:
            made = await runner.agroup(HOT_CREATE_VERSION, NewVersion(actor, model, now, **fields))
        except AlreadyExists:
            if body.name is not None:
                raise
            # Another version bears its number as a free name: it gets a name of its own, which nobody else needs care for.
            made = await runner.awrite(lambda session: catalog.create_version(session, actor, model, now=now, **fields))
        return 201, encode(records.rendered(made))


router = APIRouter(prefix="/api/v1", tags=["models"])


@router.post(
    "/models/{id}/versions",
    status_code=201,
    operation_id="createModelVersion",
    response_model=VersionOut,
    responses=problems(404, 409, 413, 422),
)
async def create_version(
    id: ModelPath,
    request: Request,
    body: VersionIn,
    services: ServicesOf,
    actor: ActorOf,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """The next number of the model, from files of a run, an artifact or a URI."""
    fields = body.model_dump(include={"name", "description", "source", "status_message", "tags"}) | {
        "model": parse_id(IdPrefix.MODEL, id),
        "author_name": body.author,
        "run": None if body.run_id is None else parse_run_id(body.run_id),
        "artifact": None if body.artifact_id is None else parse_id(IdPrefix.ARTIFACT, body.artifact_id),
        "readiness": Readiness[body.readiness.upper()],
    }
    return await records.create(request, services, actor, catalog.create_version, key=idempotency_key, fields=fields)
