"""Bytes between a request and the object store, for every door that serves files.

Whatever is at most a piece goes in one hop to a thread: open, write and commit, or open, read and close. A larger one streams,
and a thread works on one piece while the network has the next; out of a file on a disk here the kernel sends it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from registry.api.zero_copy import SEND_FILE, FileSender
from registry.errors import InvalidArgument
from storage.errors import RangeNotSatisfiable
from storage.media import guess_media_type, safe_headers
from storage.ranges import parse_range
from storage.store import CHUNK_BYTES, ObjectReader, ObjectStat, ObjectStore, ObjectWriter, Stored
from storage.streams import pour

PIECE_BYTES = 1024 * 1024


def _nothing() -> None:
    return


async def receive(
    request: Request,
    store: ObjectStore,
    key: str,
    *,
    sha256: str | None = None,
    overwrite: bool = True,
    first: Callable[[], None] = _nothing,
) -> Stored:
    """Put the request's body under `key`. What stands there before stays until the last byte is there; what does not come whole
    leaves nothing. `first` is called in the thread that is about to write; where it raises nothing is written.

    Raises:
        InvalidArgument: the client went away.
        StorageError: as `ObjectStore.put`.
    """
    announced = request.headers.get("content-length", "")
    size = int(announced) if announced.isdigit() else None
    fields: dict[str, Any] = {"size_bytes": size, "media_type": guess_media_type(key), "sha256": sha256, "overwrite": overwrite}
    try:
        if size is not None and size <= PIECE_BYTES:
            body = await request.body()

            def put() -> Stored:
                first()
                return store.put(key, (body,), **fields)

            return await asyncio.to_thread(put)

        def begin() -> ObjectWriter:
            first()
            return store.writer(key, **fields)

        return await _poured(request, await asyncio.to_thread(begin))
    except ClientDisconnect:
        raise InvalidArgument("the upload was cut off") from None


async def _poured(request: Request, writer: ObjectWriter) -> Stored:
    """Feed the writer from the request; a thread writes one piece while the next one comes."""
    piece = bytearray()
    working: asyncio.Future[Any] | None = None
    try:
        async for chunk in request.stream():
            piece += chunk
            if len(piece) >= PIECE_BYTES:
                if working is not None:
                    await asyncio.shield(working)
                working = asyncio.ensure_future(asyncio.to_thread(writer.write, piece))
                piece = bytearray()
        if working is not None:
            await asyncio.shield(working)
        working = asyncio.ensure_future(asyncio.to_thread(pour, (piece,), writer))
        stored: Stored = await asyncio.shield(working)
    except BaseException:
        await asyncio.shield(_after(working, writer.abort))
        raise
    return stored


@dataclass(frozen=True)
class _Opened:
    """`length_bytes` of the object from `offset` on: all in `body`, or to come from `reader`. Neither: only their headers are
    wanted. `more` headers go with a whole object.
    """

    stat: ObjectStat
    offset: int
    length_bytes: int
    partial: bool
    body: bytes | None = None
    reader: ObjectReader | None = None
    more: Mapping[str, str] = field(default_factory=dict)


async def send(
    request: Request,
    store: ObjectStore,
    key: str,
    *,
    asked: str | None,
    known: str | None,
    inline: bool = False,
    headers: Callable[[], Mapping[str, str]] = dict,
) -> Response:
    """The object, or of it what `asked` (a Range) says; 304 if it is `known` (an If-None-Match), and no body for HEAD.

    Active content (HTML, SVG, scripts) is always sent as a download of octets; `inline` shows other types in a browser.
    `headers`, which a thread asks for, go with a whole object only.

    Raises StorageError: ObjectNotFound, RangeNotSatisfiable (the size is in the state's `headers` then).
    """
    head = request.method == "HEAD" or bool(request.scope["state"].get("head"))
    try:
        found = await asyncio.to_thread(_opened, store, key, asked, known, headers, head=head)
    except RangeNotSatisfiable as error:
        request.scope["state"]["headers"] = {"Content-Range": f"bytes */{error.size_bytes}"}
        raise
    size = found.stat.size_bytes
    said = {"ETag": _tag(found.stat), "Accept-Ranges": "bytes"}
    if _is_known(found.stat, known):
        return Response(status_code=304, headers=said)
    said |= safe_headers(key, found.stat.media_type, inline=inline) | {"Content-Length": str(found.length_bytes)}
    if found.partial:
        said["Content-Range"] = f"bytes {found.offset}-{found.offset + found.length_bytes - 1}/{size}"
    else:
        said |= found.more
    status = 206 if found.partial else 200
    if found.reader is None:
        return Response(found.body, status, headers=said)
    sender = request.scope.get("extensions", {}).get(SEND_FILE)
    if sender is not None and found.reader.fileno() is not None:
        return _Sent(found.reader, sender, status, said)
    return StreamingResponse(_pieces(found.reader), status, headers=said)


class _Sent(Response):
    """By the kernel, out of the file."""

    def __init__(self, reader: ObjectReader, sender: FileSender, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(None, status, headers)
        self._reader = reader
        self._sender = sender

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._reader as reader:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await self._sender(int(reader.fileno() or 0), reader.offset, reader.length_bytes)
            await send({"type": "http.response.body", "body": b""})


def _opened(
    store: ObjectStore,
    key: str,
    asked: str | None,
    known: str | None,
    headers: Callable[[], Mapping[str, str]],
    *,
    head: bool,
) -> _Opened:
    """Those headers are asked for after the object was found, and only if it is sent whole."""
    found = _read(store, key, asked, known, head=head)
    return found if found.partial or _is_known(found.stat, known) else replace(found, more=headers())


def _read(store: ObjectStore, key: str, asked: str | None, known: str | None, *, head: bool) -> _Opened:
    part: tuple[int, int] | None = None
    if head or asked is not None:
        stat = store.stat(key)
        part = parse_range(asked, key, stat.size_bytes)
        if head:
            return _Opened(stat, *(part or (0, stat.size_bytes)), partial=part is not None)
    reader = store.open(key, *(part or ()))
    if reader.length_bytes > PIECE_BYTES and not _is_known(reader.stat, known):
        return _Opened(reader.stat, reader.offset, reader.length_bytes, part is not None, reader=reader)
    with reader:
        body = None if _is_known(reader.stat, known) else b"".join(reader)
        return _Opened(reader.stat, reader.offset, reader.length_bytes, part is not None, body=body)


def _tag(stat: ObjectStat) -> str:
    return f'"{stat.etag}"'


def _is_known(stat: ObjectStat, known: str | None) -> bool:
    """Whether `If-None-Match` names it."""
    return known is not None and _tag(stat) in known


async def _pieces(reader: ObjectReader) -> AsyncIterator[bytes]:
    """A thread reads one piece while the one before is sent."""
    chunks = iter(reader)
    working = asyncio.ensure_future(asyncio.to_thread(_gathered, chunks))
    try:
        while piece := await asyncio.shield(working):
            working = asyncio.ensure_future(asyncio.to_thread(_gathered, chunks))
            yield piece
    finally:
        _after(working, reader.close)


def _gathered(chunks: Iterator[bytes]) -> bytes:
    return b"".join(islice(chunks, PIECE_BYTES // CHUNK_BYTES))


_ending: set[asyncio.Future[None]] = set()
"""Held until they are done: the event loop itself holds tasks weakly."""


def _after(working: "asyncio.Future[Any] | None", end: Callable[[], None]) -> "asyncio.Future[None]":
    """Call `end` once the thread that still works has finished: a request may be over before that."""

    async def ended() -> None:
        if working is not None:
            await asyncio.wait([working])
            working.exception()  # seen: the request has failed with it, or with another one
        await asyncio.to_thread(end)

    task = asyncio.ensure_future(ended())
    _ending.add(task)
    task.add_done_callback(_ending.discard)
    return task
