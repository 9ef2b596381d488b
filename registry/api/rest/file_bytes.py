"""A file's bytes, up and down: the routes as declared, and their shortcuts."""

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, ClassVar

from fastapi import APIRouter, Header, Query, Request, Response
from starlette.types import Receive, Scope, Send
from typing_extensions import TypedDict

from registry.api.problems import of_error
from registry.api.rest.answers import answer, problems
from registry.api.rest.files import FilePath, key_of
from registry.api.rest.quick import Quick, head_of
from registry.api.services import ActorOf, Services, ServicesOf
from registry.api.storing import put_object
from registry.api.transfer import send as send_object
from registry.catalog.actors import Actor
from registry.catalog.blobs import find_digest
from registry.errors import RegistryError
from registry.names import Role
from storage.errors import StorageError
from storage.media import guess_media_type

router = APIRouter(prefix="/api/v1/files", tags=["files"])
SHA256 = r"[0-9a-f]{64}"
Sha256 = Annotated[str | None, Header(pattern=f"^{SHA256}$", description="The upload is refused if its bytes differ.")]
_SENT_SHA256, _UNLESS = b"x-content-sha256", b"if-none-match"


class FileOut(TypedDict):
    path: str
    uri: str
    size_bytes: int
    sha256: str
    media_type: str


class _QuickFile(Quick):
    """Of a path without characters that need a look, and without conditions, ranges and queries."""

    path = "/api/v1/files/{path:path}"
    paths = re.compile(r"/api/v1/files/([A-Za-z0-9._~@:+=/-]{1,1024})")
    unusual: ClassVar[frozenset[bytes]] = frozenset({_UNLESS, b"range"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Receive | None:
        head, path = head_of(scope, _SENT_SHA256, *self.unusual), self.paths.fullmatch(scope["path"])
        sent = head.get(_SENT_SHA256, b"").decode("latin-1")
        if path is None or scope["query_string"] or not self.unusual.isdisjoint(head) or not re.fullmatch(f"({SHA256})?", sent):
            return receive
        scope["route"] = self
        request = Request(scope, receive)
        try:
            response = await self.answer(request, await self.actor(scope, head), path[1], sent or None)
        except (RegistryError, StorageError) as error:
            response = of_error(request, error)
        await response(scope, receive, send)
        return None

    answer: Callable[..., Awaitable[Response]]


class QuickPut(_QuickFile):
    method = "PUT"

    async def answer(self, request: Request, actor: Actor, path: str, sha256: str | None) -> Response:
        return await _put(request, self.services, actor, path, sha256, overwrite=True)


class QuickGet(_QuickFile):
    method = "GET"

    async def answer(self, request: Request, actor: Actor, path: str, sha256: str | None) -> Response:
        return await _get(request, self.services, actor, path)


@router.put(
    "/{path:path}",
    operation_id="putFile",
    response_model=FileOut,
    responses=problems(404, 409, 412, 413) | {201: {"model": FileOut, "description": "The file is new."}},
    openapi_extra={"requestBody": {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def put_file(
    path: FilePath,
    request: Request,
    services: ServicesOf,
    actor: ActorOf,
    x_content_sha256: Sha256 = None,
    if_none_match: Annotated[str | None, Header(pattern=r"^\*$", description="`*`: do not overwrite (412).")] = None,
) -> Response:
    """Streams into the object store; what stands under the path before stays until the last byte is there.

    Refused (409) for files of a version that a live deployment serves.
    """
    return await _put(request, services, actor, path, x_content_sha256, overwrite=if_none_match is None)


async def _put(request: Request, services: Services, actor: Actor, path: str, sha256: str | None, *, overwrite: bool) -> Response:
    actor.require(Role.CONTRIBUTOR)
    key = key_of(actor, path)
    stored, fresh = await put_object(request, services, actor, key, sha256=sha256, overwrite=overwrite)
    body: FileOut = {
        "path": key,
        "uri": services.store.uri(key),
        "size_bytes": stored.size_bytes,
        "sha256": stored.sha256,
        "media_type": guess_media_type(key),
    }
    return answer(body, status=201 if fresh else 200)


@router.get(
    "/{path:path}",
    operation_id="getFile",
    response_class=Response,
    responses=problems(404, 416)
    | {
        200: {"description": "The bytes.", "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}},
        206: {"description": "The asked range.", "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}},
        304: {"description": "The bytes are those of `If-None-Match`."},
    },
)
async def get_file(
    path: FilePath,
    request: Request,
    services: ServicesOf,
    actor: ActorOf,
    range: Annotated[str | None, Header(max_length=255, description="One range of bytes.")] = None,
    if_none_match: Annotated[str | None, Header(max_length=1024)] = None,
    inline: Annotated[bool, Query(description="Show types that no browser runs; else always a download.")] = False,
) -> Response:
    """Active content (HTML, SVG, scripts) is always sent as a download of octets."""
    return await _get(request, services, actor, path, asked=range, known=if_none_match, inline=inline)


async def _get(
    request: Request,
    services: Services,
    actor: Actor,
    path: str,
    *,
    asked: str | None = None,
    known: str | None = None,
    inline: bool = False,
) -> Response:
    key = key_of(actor, path)

    def hashed() -> dict[str, str]:
        digest = services.runner.read(lambda session: find_digest(session, actor, key))
        return {} if digest is None else {"X-Content-Sha256": digest}

    return await send_object(request, services.store, key, asked=asked, known=known, inline=inline, headers=hashed)
