"""Routes of files: removing them, those of an artifact, and a look into a stored table or text. Their bytes: `file_bytes.py`.

A file's path is its key in the object store; it begins with the workspace's name, as a run's `artifact_root` does.
"""

import asyncio
import re
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel

from registry.api.rest.answers import answer, problems
from registry.api.rest.artifacts import ArtifactPath
from registry.api.rest.paging import PageSize, PageToken, text_position
from registry.api.services import ActorOf, Services, ServicesOf
from registry.api.storing import delete_objects
from registry.catalog.actors import Actor
from registry.catalog.artifacts import get_artifact
from registry.catalog.blobs import find_digests
from registry.errors import Conflict, NotFound
from registry.filtering.keyset import token_of
from registry.names import IdPrefix, Role, parse_id
from storage.errors import ObjectNotFound
from storage.keys import check_key, join_key
from storage.previews import OFFSET_MAX, ROWS_MAX, preview
from storage.store import ObjectStat, ObjectStore

router = APIRouter(prefix="/api/v1/files", tags=["files"])
previews = APIRouter(prefix="/api/v1/artifacts", tags=["artifacts"])
STREAMED = re.compile(r"/api/v1/files/")
"""Bodies under these paths are files: they stream through and have no limit."""

FilePath = Annotated[
    str,
    Path(
        min_length=1,
        max_length=1024,
        pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029\ufffd\ufffe\uffff\\]+$",
        description="Begins with the workspace's name: `default/runs/<hex>/artifacts/model/weights.bin`.",
        examples=["default/a.txt"],
    ),
]


class ArtifactFile(BaseModel):
    """`name`: inside the artifact; `path`: what `/files` takes; `sha256` is null while nobody has computed it."""

    name: str
    path: str
    size_bytes: int
    sha256: str | None


class ArtifactFiles(BaseModel):
    """`folder`: false if the artifact is a file itself, which is the only one then."""

    folder: bool
    files: list[ArtifactFile]
    next_page_token: str | None


class PreviewColumn(BaseModel):
    name: str
    type: str
    null_count: int | None


class PreviewOut(BaseModel):
    """A page of a table, or the beginning of a text; `binary` has neither."""

    format: str
    size_bytes: int
    columns: list[PreviewColumn]
    total_columns: int | None
    rows: list[list[Any]]
    offset: int
    total_rows: int | None
    text: str | None
    truncated: bool


def key_of(actor: Actor, path: str) -> str:
    """Raises NotFound outside of the workspace, InvalidKey."""
    key = check_key(path)
    if not key.startswith(f"{actor.workspace_name}/"):
        raise NotFound("file", path)
    return key


@router.delete("/{path:path}", status_code=204, operation_id="deleteFile", response_class=Response, responses=problems(404, 409))
async def delete_file(path: FilePath, services: ServicesOf, actor: ActorOf) -> Response:
    """Idempotent. Refused (409) for files of a version that a live deployment serves."""
    actor.require(Role.CONTRIBUTOR)
    await delete_objects(services, actor, [key_of(actor, path)])
    return Response(status_code=204)


@previews.get("/{id}/files", operation_id="listArtifactFiles", response_model=ArtifactFiles, responses=problems(404, 409))
async def list_artifact_files(
    id: ArtifactPath, services: ServicesOf, actor: ActorOf, page_size: PageSize = 100, page_token: PageToken = None
) -> Response:
    """What to download of an artifact. 409: its bytes are not in this server's store."""
    key = await _artifact_key(services, actor, parse_id(IdPrefix.ARTIFACT, id), None)
    query = ("artifact files", actor.workspace, id)
    after = text_position(page_token, *query)
    folder, found, rest = await asyncio.to_thread(_stored, services.store, key, after or None, page_size)
    digests = await services.runner.aread(lambda session: find_digests(session, actor, [one.key for one in found]))
    files = [
        ArtifactFile(
            name=one.key[len(key) + 1 :] if folder else key.rpartition("/")[2],
            path=one.key,
            size_bytes=one.size_bytes,
            sha256=digests.get(one.key),
        )
        for one in found
    ]
    return answer(ArtifactFiles(folder=folder, files=files, next_page_token=None if rest is None else token_of([rest], *query)))


def _stored(store: ObjectStore, key: str, after: str | None, limit: int) -> tuple[bool, list[ObjectStat], str | None]:
    """Whether `key` is a folder, a page of what lies there, and where the next one begins. Raises ObjectNotFound: nothing."""
    try:
        return False, [store.stat(key)], None
    except ObjectNotFound:
        page = store.list(f"{key}/", after, limit)
        if not page.objects and after is None:
            raise
        return True, page.objects, page.next_after


@previews.get("/{id}/preview", operation_id="previewArtifact", response_model=PreviewOut, responses=problems(404, 409, 422))
async def preview_artifact(
    id: ArtifactPath,
    services: ServicesOf,
    actor: ActorOf,
    path: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=1024,
            pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029\ufffd\ufffe\uffff\\]+$",
            description="Inside the artifact.",
        ),
    ] = None,
    offset: Annotated[int, Query(ge=0, le=OFFSET_MAX)] = 0,
    limit: Annotated[int, Query(ge=1, le=ROWS_MAX)] = 50,
) -> Response:
    """Rows of a Parquet, CSV or JSON file, or the beginning of a text. 409: its bytes are not in this server's store."""
    key = await _artifact_key(services, actor, parse_id(IdPrefix.ARTIFACT, id), path)
    found = await asyncio.to_thread(preview, services.store, key, offset=offset, limit=limit)
    return answer(
        PreviewOut(
            format=found.format,
            size_bytes=found.size_bytes,
            columns=[PreviewColumn(name=one.name, type=one.type, null_count=one.null_count) for one in found.columns],
            total_columns=found.total_columns,
            rows=found.rows,
            offset=found.offset,
            total_rows=found.total_rows,
            text=found.text,
            truncated=found.truncated,
        )
    )


async def _artifact_key(services: Services, actor: Actor, id: int, path: str | None) -> str:
    """A client chose the artifact's URI, so it opens files of the actor's workspace only."""
    artifact = await services.runner.aread(lambda session: get_artifact(session, actor, id))
    key = None if artifact.uri is None else services.store.key_of(artifact.uri)
    if key is None or not key.startswith(f"{actor.workspace_name}/"):
        raise Conflict(f"the bytes of {artifact.own_id} are not in this server's store", id=artifact.own_id)
    return key if path is None else join_key(key, path)
