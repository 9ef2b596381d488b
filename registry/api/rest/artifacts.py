"""Routes of artifacts, and of what runs read and wrote."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response

from registry.api.rest.answers import IdempotencyKey, IfMatch, answer, problems, word
from registry.api.rest.graph_schemas import (
    ArtifactIn,
    ArtifactKindWord,
    ArtifactOut,
    ArtifactPage,
    ArtifactPatch,
    UseIn,
    UseOut,
    UsePage,
)
from registry.api.rest.model_schemas import TagsIn
from registry.api.rest.paging import Asked, PageSize, PageToken, cut, id_position
from registry.api.rest.records import Records
from registry.api.rest.runs import KeyPath, RunPath
from registry.api.services import ActorOf, ServicesOf, now_ms
from registry.catalog import artifacts as catalog
from registry.catalog import uses as catalog_uses
from registry.names import (
    INPUT_EVENTS,
    OUTPUT_EVENTS,
    ArtifactKind,
    EventType,
    IdPrefix,
    Readiness,
    Role,
    own_id,
    parse_id,
    parse_run_id,
)

router = APIRouter(prefix="/api/v1/artifacts", tags=["artifacts"])
uses = APIRouter(prefix="/api/v1/runs", tags=["runs"])
ArtifactPath = Annotated[str, Path(pattern=r"^art_[1-9][0-9]{0,17}$", examples=["art_1"])]


def rendered(artifact: catalog.Artifact) -> ArtifactOut:
    return ArtifactOut(
        id=artifact.own_id,
        kind=word(artifact.kind),
        name=artifact.name,
        display_name=artifact.display_name,
        description=artifact.description,
        uri=artifact.uri,
        digest=artifact.digest,
        size_bytes=artifact.size_bytes,
        media_type=artifact.media_type,
        readiness=word(artifact.readiness),
        lifecycle=word(artifact.lifecycle),
        producer=None if artifact.step is None else own_id(IdPrefix.EXECUTION, artifact.step),
        port=artifact.port,
        tags=dict(artifact.tags),
        created_at=artifact.created_at,
        updated_at=artifact.updated_at,
        version=artifact.version,
    )


records = Records(IdPrefix.ARTIFACT, rendered)


@router.post("", status_code=201, operation_id="createArtifact", response_model=ArtifactOut, responses=problems(413, 422))
async def create_artifact(
    request: Request, body: ArtifactIn, services: ServicesOf, actor: ActorOf, idempotency_key: IdempotencyKey = None
) -> Response:
    """The record of something that lies somewhere; bytes go to `/files`."""
    fields = body.model_dump() | {"kind": ArtifactKind[body.kind.upper()], "readiness": Readiness[body.readiness.upper()]}
    return await records.create(request, services, actor, catalog.create_artifact, key=idempotency_key, fields=fields)


@router.get("", operation_id="listArtifacts", response_model=ArtifactPage, responses=problems())
async def list_artifacts(
    services: ServicesOf,
    actor: ActorOf,
    asked: Asked,
    kind: ArtifactKindWord | None = None,
    deleted: Annotated[bool, Query(description="Deleted ones too.")] = False,
) -> Response:
    listing = asked.of("artifacts", actor.workspace, kind, deleted)
    of = None if kind is None else ArtifactKind[kind.upper()]
    page = await services.runner.aread(
        lambda session: catalog.list_artifacts(session, actor, listing.search, kind=of, deleted=deleted)
    )
    return answer(ArtifactPage(artifacts=[rendered(one) for one in page.records], **listing.ends(page)))


@router.get("/{id}", operation_id="getArtifact", response_model=ArtifactOut, responses=problems(404))
async def get_artifact(id: ArtifactPath, services: ServicesOf, actor: ActorOf) -> Response:
    return await records.get(services, actor, id, catalog.get_artifact)


@router.patch("/{id}", operation_id="updateArtifact", response_model=ArtifactOut, responses=problems(404, 409, 412, 413))
async def update_artifact(
    id: ArtifactPath, body: ArtifactPatch, services: ServicesOf, actor: ActorOf, if_match: IfMatch = None
) -> Response:
    """Other bytes are refused (409) while a live deployment serves a version that has these."""
    fields = body.model_dump()
    if body.readiness is not None:
        fields["readiness"] = Readiness[body.readiness.upper()]
    return await records.change(services, actor, id, catalog.update_artifact, if_match=if_match, fields=fields)


@router.delete(
    "/{id}", status_code=204, operation_id="deleteArtifact", response_class=Response, responses=problems(404, 409, 412)
)
async def delete_artifact(id: ArtifactPath, services: ServicesOf, actor: ActorOf, if_match: IfMatch = None) -> Response:
    """The record, never the bytes; refused (409) while a version has its files."""
    return await records.delete(services, actor, id, catalog.delete_artifact, if_match=if_match)


@router.post("/{id}/restore", operation_id="restoreArtifact", response_model=ArtifactOut, responses=problems(404))
async def restore_artifact(id: ArtifactPath, services: ServicesOf, actor: ActorOf) -> Response:
    return await records.move(services, actor, id, catalog.restore_artifact)


@router.post(
    "/{id}/tags",
    status_code=204,
    operation_id="setArtifactTags",
    response_class=Response,
    responses=problems(404, 409, 413),
)
async def set_tags(id: ArtifactPath, body: TagsIn, services: ServicesOf, actor: ActorOf) -> Response:
    return await records.set_tags(services, actor, id, catalog.set_artifact_tags, body.tags)


@router.delete(
    "/{id}/tags/{key:path}",
    status_code=204,
    operation_id="deleteArtifactTag",
    response_class=Response,
    responses=problems(404, 409),
)
async def delete_tag(id: ArtifactPath, key: KeyPath, services: ServicesOf, actor: ActorOf) -> Response:
    return await records.delete_tag(services, actor, id, catalog.delete_artifact_tag, key)


def rendered_use(event: int, use: catalog_uses.Use) -> UseOut:
    return UseOut(
        id=f"event_{event}",
        artifact=rendered(use.artifact),
        direction="output" if use.type in OUTPUT_EVENTS else "input",
        port=use.port,
        step=None if use.step is None else own_id(IdPrefix.STEP, use.step),
        at=use.at,
        tags=dict(use.tags),
    )


@uses.post("/{id}/uses", status_code=204, operation_id="linkArtifact", response_class=Response, responses=problems(404, 409, 413))
async def link(id: RunPath, body: UseIn, services: ServicesOf, actor: ActorOf) -> Response:
    """The run, or a step of it, read or wrote the artifact. Said again it changes nothing."""
    actor.require(Role.CONTRIBUTOR)
    hex, artifact, now = parse_run_id(id), parse_id(IdPrefix.ARTIFACT, body.artifact_id), now_ms()
    type = EventType[body.direction.upper()]
    step = parse_id(IdPrefix.STEP, body.step) if body.step else None
    said: dict[str, Any] = {"port": body.port, "step": step, "tags": body.tags}
    await services.runner.awrite(
        lambda session: catalog_uses.link(session, actor, artifact, hex, type, now=now, **said), replayable=True
    )
    return Response(status_code=204)


@uses.get("/{id}/uses", operation_id="listUses", response_model=UsePage, responses=problems(404))
async def list_uses(
    id: RunPath,
    services: ServicesOf,
    actor: ActorOf,
    page_size: PageSize = 100,
    page_token: PageToken = None,
    direction: Literal["input", "output"] | None = None,
) -> Response:
    """What the run and its steps read and wrote, in the order in which it was said."""
    hex = parse_run_id(id)
    query = ("uses", actor.workspace, hex, direction)
    after = id_position(page_token, *query)
    types = {"input": INPUT_EVENTS, "output": OUTPUT_EVENTS}.get(direction or "", INPUT_EVENTS + OUTPUT_EVENTS)
    found = await services.runner.aread(
        lambda session: catalog_uses.list_uses(session, actor, hex, types=types, after=after, limit=page_size + 1)
    )
    page, token = cut(found, page_size, lambda entry: [entry[0]], *query)
    return answer(UsePage(uses=[rendered_use(event, use) for event, use in page], next_page_token=token))
