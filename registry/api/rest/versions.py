"""Routes of model versions; making one is in `version_creation.py`."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response

from registry.api.rest.answers import IfMatch, answer, problems, word
from registry.api.rest.model_schemas import ReadinessWord, TagsIn, VersionLogIn, VersionOut, VersionPage, VersionPatch
from registry.api.rest.paging import Asked
from registry.api.rest.records import Records
from registry.api.rest.runs import FieldList, KeyPath, points_of, rendered_metric, wanted
from registry.api.rest.schemas import LifecycleWord
from registry.api.services import ActorOf, ServicesOf, now_ms
from registry.catalog import version_reads as reads
from registry.catalog import versions as catalog
from registry.names import IdPrefix, Lifecycle, Readiness, Role, own_id, parse_id, parse_run_id

router = APIRouter(prefix="/api/v1", tags=["models"])
VersionPath = Annotated[str, Path(pattern=r"^mv_[1-9][0-9]{0,17}$", examples=["mv_1"])]


_LIFECYCLES: dict[Lifecycle, LifecycleWord] = {one: word(one) for one in Lifecycle}
_READINESS: dict[Readiness, ReadinessWord] = {one: word(one) for one in Readiness}


def rendered(version: reads.ModelVersion) -> VersionOut:
    return {
        "id": f"{IdPrefix.VERSION}_{version.id}",
        "model_id": f"{IdPrefix.MODEL}_{version.model}",
        "model_name": version.model_name,
        "number": version.number,
        "name": version.name,
        "description": version.description,
        "author": version.author_name,
        "lifecycle": _LIFECYCLES[version.lifecycle],
        "readiness": _READINESS[version.readiness],
        "status_message": version.status_message,
        "stage": version.stage,
        "aliases": list(version.aliases),
        "source": version.source,
        "run_id": version.run,
        "artifact_id": None if version.artifact is None else own_id(IdPrefix.ARTIFACT, version.artifact),
        "digest": version.digest,
        "created_at": version.created_at,
        "updated_at": version.updated_at,
        "version": version.version,
        "metrics": [rendered_metric(point) for point in version.metrics.values()] if version.metrics else [],
        "params": dict(version.params),
        "tags": dict(version.tags),
    }


records = Records(IdPrefix.VERSION, rendered)


@router.get("/model-versions", operation_id="listModelVersions", response_model=VersionPage, responses=problems(404))
async def list_versions(
    services: ServicesOf,
    actor: ActorOf,
    asked: Asked,
    model_id: Annotated[str | None, Query(pattern=r"^model_[1-9][0-9]{0,17}$")] = None,
    run_id: Annotated[str | None, Query(pattern=r"^(run_)?[0-9a-f]{32}$")] = None,
    lifecycle: LifecycleWord = "active",
    fields: FieldList = None,
) -> Response:
    """Of one model, of one run, or all of the workspace."""
    listing = asked.of("versions", actor.workspace, model_id, run_id, lifecycle)
    of: dict[str, Any] = {
        "lifecycle": Lifecycle[lifecycle.upper()],
        "model": None if model_id is None else parse_id(IdPrefix.MODEL, model_id),
        "run": None if run_id is None else parse_run_id(run_id),
        "fields": wanted(fields),
    }
    page = await services.runner.aread(lambda session: reads.list_versions(session, actor, listing.search, **of))
    ends = listing.ends(page)
    found = [rendered(one) for one in page.records]
    return answer(VersionPage(versions=found, next_page_token=ends["next_page_token"], total=ends["total"]))


@router.get("/model-versions/{id}", operation_id="getModelVersion", response_model=VersionOut, responses=problems(404))
async def get_version(id: VersionPath, services: ServicesOf, actor: ActorOf, fields: FieldList = None) -> Response:
    return await records.get(
        services, actor, id, lambda session, actor, number: reads.get_version(session, actor, number, wanted(fields))
    )


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
    given = body.model_dump(exclude={"author", "readiness"}) | {"author_name": body.author}
    if body.readiness is not None:
        given["readiness"] = Readiness[body.readiness.upper()]
    return await records.change(services, actor, id, catalog.update_version, if_match=if_match, fields=given)


@router.delete(
    "/model-versions/{id}",
    status_code=204,
    operation_id="deleteModelVersion",
    response_class=Response,
    responses=problems(404, 409, 412),
)
async def delete_version(id: VersionPath, services: ServicesOf, actor: ActorOf, if_match: IfMatch = None) -> Response:
    """Its aliases and its stage go with it; refused (409) while a live deployment serves it."""
    return await records.delete(services, actor, id, catalog.delete_version, if_match=if_match)


@router.post(
    "/model-versions/{id}/restore",
    operation_id="restoreModelVersion",
    response_model=VersionOut,
    responses=problems(404, 409),
)
async def restore_version(id: VersionPath, services: ServicesOf, actor: ActorOf) -> Response:
    return await records.move(services, actor, id, catalog.restore_version)


@router.post(
    "/model-versions/{id}/archive",
    operation_id="archiveModelVersion",
    response_model=VersionOut,
    responses=problems(404, 409),
)
async def archive_version(id: VersionPath, services: ServicesOf, actor: ActorOf) -> Response:
    return await records.move(services, actor, id, catalog.archive_version)


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
    return await records.set_tags(services, actor, id, catalog.set_version_tags, body.tags)


@router.delete(
    "/model-versions/{id}/tags/{key:path}",
    status_code=204,
    operation_id="deleteModelVersionTag",
    response_class=Response,
    responses=problems(404, 409),
)
async def delete_tag(id: VersionPath, key: KeyPath, services: ServicesOf, actor: ActorOf) -> Response:
    return await records.delete_tag(services, actor, id, catalog.delete_version_tag, key)
