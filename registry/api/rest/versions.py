"""Routes of model versions."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from registry.api.rest.answers import IdempotencyKey, IfMatch, answer, create, expected_version, problems, word
from registry.api.rest.model_schemas import TagsIn, VersionIn, VersionLogIn, VersionOut, VersionPage, VersionPatch
from registry.api.rest.models import ModelPath
from registry.api.rest.paging import PageSize, PageToken, by_id, cut, id_position
from registry.api.rest.runs import FieldList, KeyPath, points_of, rendered_metric, wanted
from registry.api.rest.schemas import LifecycleWord
from registry.api.services import ActorOf, ServicesOf, now_ms
from registry.catalog import versions as catalog
from registry.catalog.actors import Actor
from registry.catalog.run_lookup import get_run_ref
from registry.db.session import Session
from registry.names import IdPrefix, Lifecycle, Readiness, Role, own_id, parse_id, parse_run_id
from registry.tables.models import model_versions as table

router = APIRouter(prefix="/api/v1", tags=["models"])
VersionPath = Annotated[str, Path(pattern=r"^mv_[1-9][0-9]{0,17}$", examples=["mv_1"])]


def rendered(version: catalog.ModelVersion) -> VersionOut:
    return VersionOut(
        id=version.own_id,
        model_id=own_id(IdPrefix.MODEL, version.model),
        model_name=version.model_name,
        number=version.number,
        name=version.name,
        description=version.description,
        author=version.author_name,
        lifecycle=word(version.lifecycle),
        readiness=word(version.readiness),
        status_message=version.status_message,
        stage=version.stage,
        aliases=list(version.aliases),
        source=version.source,
        run_id=version.run,
        artifact_id=None if version.artifact is None else own_id(IdPrefix.ARTIFACT, version.artifact),
        digest=version.digest,
        created_at=version.created_at,
        updated_at=version.updated_at,
        version=version.version,
        metrics=[rendered_metric(point) for point in version.metrics.values()],
        params=dict(version.params),
        tags=dict(version.tags),
    )


def shown(version: catalog.ModelVersion) -> Response:
    return answer(rendered(version), version=version.version)


def _create(session: Session, actor: Actor, model: int, body: VersionIn, now: int) -> VersionOut:
    made = catalog.create_version(
        session,
        actor,
        model,
        now=now,
        name=body.name,
        description=body.description,
        author_name=body.author,
        source=body.source,
        run=None if body.run_id is None else parse_run_id(body.run_id),
        artifact=None if body.artifact_id is None else parse_id(IdPrefix.ARTIFACT, body.artifact_id),
        readiness=Readiness[body.readiness.upper()],
        status_message=body.status_message,
        tags=body.tags,
    )
    return rendered(made)


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
    actor.require(Role.CONTRIBUTOR)
    model = parse_id(IdPrefix.MODEL, id)
    return await create(request, services, actor, idempotency_key, lambda session, now: _create(session, actor, model, body, now))


@router.get("/model-versions", operation_id="listModelVersions", response_model=VersionPage, responses=problems(404))
async def list_versions(
    services: ServicesOf,
    actor: ActorOf,
    page_size: PageSize = 100,
    page_token: PageToken = None,
    model_id: Annotated[str | None, Query(pattern=r"^model_[1-9][0-9]{0,17}$")] = None,
    run_id: Annotated[str | None, Query(pattern=r"^(run_)?[0-9a-f]{32}$")] = None,
    lifecycle: LifecycleWord = "active",
    fields: FieldList = None,
) -> Response:
    """Of one model, of one run, or all of the workspace; by id."""
    query = ("versions", actor.workspace, model_id, run_id, lifecycle)
    after = id_position(page_token, *query)
    model = None if model_id is None else parse_id(IdPrefix.MODEL, model_id)
    where = table.c.lifecycle == Lifecycle[lifecycle.upper()]

    def read(session: Session) -> list[catalog.ModelVersion]:
        run = None if run_id is None else get_run_ref(session, actor.workspace, parse_run_id(run_id)).id
        size: dict[str, Any] = {"after": after, "limit": page_size + 1, "deleted": True}
        return catalog.list_versions(session, actor, where, model=model, run=run, fields=wanted(fields), **size)

    page, token = cut(await services.runner.aread(read), page_size, by_id, *query)
    return answer(VersionPage(versions=[rendered(one) for one in page], next_page_token=token))


@router.get("/model-versions/{id}", operation_id="getModelVersion", response_model=VersionOut, responses=problems(404))
async def get_version(id: VersionPath, services: ServicesOf, actor: ActorOf, fields: FieldList = None) -> Response:
    number = parse_id(IdPrefix.VERSION, id)
    return shown(await services.runner.aread(lambda session: catalog.get_version(session, actor, number, wanted(fields))))


@router.patch(
    "/model-versions/{id}",
    operation_id="updateModelVersion",
    response_model=VersionOut,
    responses=problems(404, 409, 412, 413),
)
async def update_version(
    id: VersionPath, body: VersionPatch, services: ServicesOf, actor: ActorOf, if_match: IfMatch = None
) -> Response:
    """Number, source and run do not change."""
    actor.require(Role.CONTRIBUTOR)
    number, expected, now = parse_id(IdPrefix.VERSION, id), expected_version(if_match), now_ms()
    readiness = None if body.readiness is None else Readiness[body.readiness.upper()]
    changed = await services.runner.awrite(
        lambda session: catalog.update_version(
            session,
            actor,
            number,
            now=now,
            name=body.name,
            description=body.description,
            author_name=body.author,
            readiness=readiness,
            status_message=body.status_message,
            expected_version=expected,
        )
    )
    return shown(changed)


@router.delete(
    "/model-versions/{id}",
    status_code=204,
    operation_id="deleteModelVersion",
    response_class=Response,
    responses=problems(404, 409, 412),
)
async def delete_version(id: VersionPath, services: ServicesOf, actor: ActorOf, if_match: IfMatch = None) -> Response:
    """Its aliases and its stage go with it; refused (409) while a live deployment serves it."""
    actor.require(Role.CONTRIBUTOR)
    number, expected, now = parse_id(IdPrefix.VERSION, id), expected_version(if_match), now_ms()
    await services.runner.awrite(
        lambda session: catalog.delete_version(session, actor, number, now=now, expected_version=expected)
    )
    return Response(status_code=204)


@router.post(
    "/model-versions/{id}/restore",
    operation_id="restoreModelVersion",
    response_model=VersionOut,
    responses=problems(404, 409),
)
async def restore_version(id: VersionPath, services: ServicesOf, actor: ActorOf) -> Response:
    actor.require(Role.CONTRIBUTOR)
    number, now = parse_id(IdPrefix.VERSION, id), now_ms()
    restored = await services.runner.awrite(
        lambda session: catalog.restore_version(session, actor, number, now=now), replayable=True
    )
    return shown(restored)


@router.post(
    "/model-versions/{id}/archive",
    operation_id="archiveModelVersion",
    response_model=VersionOut,
    responses=problems(404, 409),
)
async def archive_version(id: VersionPath, services: ServicesOf, actor: ActorOf) -> Response:
    actor.require(Role.CONTRIBUTOR)
    number, now = parse_id(IdPrefix.VERSION, id), now_ms()
    archived = await services.runner.awrite(
        lambda session: catalog.archive_version(session, actor, number, now=now), replayable=True
    )
    return shown(archived)


@router.post(
    "/model-versions/{id}/log",
    status_code=204,
    operation_id="logToModelVersion",
    response_class=Response,
    responses=problems(404, 409, 413),
)
async def log(id: VersionPath, body: VersionLogIn, services: ServicesOf, actor: ActorOf) -> Response:
    """Metrics and params of the version itself: what an evaluation after the run has found."""
    actor.require(Role.CONTRIBUTOR)
    number, points = parse_id(IdPrefix.VERSION, id), points_of(body.metrics, now_ms())
    await services.runner.awrite(
        lambda session: catalog.log_to_version(session, actor, number, points=points, params=body.params), replayable=True
    )
    return Response(status_code=204)


@router.post(
    "/model-versions/{id}/tags",
    status_code=204,
    operation_id="setModelVersionTags",
    response_class=Response,
    responses=problems(404, 409, 413),
)
async def set_tags(id: VersionPath, body: TagsIn, services: ServicesOf, actor: ActorOf) -> Response:
    actor.require(Role.CONTRIBUTOR)
    number = parse_id(IdPrefix.VERSION, id)
    await services.runner.awrite(lambda session: catalog.set_version_tags(session, actor, number, body.tags), replayable=True)
    return Response(status_code=204)


@router.delete(
    "/model-versions/{id}/tags/{key:path}",
    status_code=204,
    operation_id="deleteModelVersionTag",
    response_class=Response,
    responses=problems(404, 409),
)
async def delete_tag(id: VersionPath, key: KeyPath, services: ServicesOf, actor: ActorOf) -> Response:
    actor.require(Role.CONTRIBUTOR)
    number = parse_id(IdPrefix.VERSION, id)
    await services.runner.awrite(lambda session: catalog.delete_version_tag(session, actor, number, key))
    return Response(status_code=204)
