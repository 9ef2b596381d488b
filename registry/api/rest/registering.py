"""The route that makes a version of files in one call."""

from fastapi import APIRouter, Request, Response

from registry.api.rest.answers import IdempotencyKey, create, problems
from registry.api.rest.graph_schemas import RegisterIn
from registry.api.rest.model_schemas import VersionOut
from registry.api.rest.versions import rendered
from registry.api.services import ActorOf, ServicesOf
from registry.catalog.actors import Actor
from registry.catalog.registering import register as catalog_register
from registry.db.session import Session
from registry.names import IdPrefix, Role, parse_id, parse_run_id

router = APIRouter(prefix="/api/v1", tags=["models"])


def _register(session: Session, actor: Actor, body: RegisterIn, now: int) -> VersionOut:
    made = catalog_register(
        session,
        actor,
        body.model,
        now=now,
        output=body.output,
        uri=body.uri,
        artifact=None if body.artifact_id is None else parse_id(IdPrefix.ARTIFACT, body.artifact_id),
        run=None if body.run_id is None else parse_run_id(body.run_id),
        version_name=body.version_name,
        description=body.description,
        tags=body.tags,
        alias=body.alias,
        stage=body.stage,
    )
    return rendered(made)


@router.post(
    "/register",
    status_code=201,
    operation_id="registerModel",
    response_model=VersionOut,
    responses=problems(404, 409, 413, 422),
)
async def register(
    request: Request, body: RegisterIn, services: ServicesOf, actor: ActorOf, idempotency_key: IdempotencyKey = None
) -> Response:
    """A new version of the model, which is made where it is missing, with alias and stage: all of it or nothing."""
    actor.require(Role.CONTRIBUTOR)
    return await create(request, services, actor, idempotency_key, lambda session, now: _register(session, actor, body, now))
