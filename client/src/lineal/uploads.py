"""Sending files and folders into the object store. Bytes first: the caller makes the record when this has returned."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from lineal.errors import LinealError
from lineal.local_files import Content, LocalFile, check_name, pieces
from lineal.progress import Progress
from lineal.transport import Transport


@dataclass(frozen=True)
class Sent:
    """Where the content lies now. `fresh`: none of its files was there before, with these bytes or others."""

    uri: str
    media_type: str | None
    fresh: bool


def send(transport: Transport, content: Content, key: str, *, progress: bool | None = None) -> Sent:
    """Put a file under `key`, or the files of a folder below it. Sent again it changes nothing.

    Raises:
        LinealError: `key` leaves its root; a file changed while it was sent.
        ApiError: the server refused; what was sent before lies there, no record names it.
    """
    check_name(key)
    uri, media_type, fresh = "", None, True
    with Progress(f"sending {key.rpartition('/')[2]}", content.size_bytes, shown=progress) as shown:
        for file in content.files:
            answer, new = _put(transport, file, f"{key}/{file.name}" if content.folder else key, shown)
            fresh = fresh and new
            uri = answer["uri"].rsplit("/", file.name.count("/") + 1)[0] if content.folder else answer["uri"]
            media_type = None if content.folder else answer["media_type"]
    return Sent(uri, media_type, fresh)


def path_of(key: str) -> str:
    """The address of a stored file."""
    return f"/api/v1/files/{quote(key, safe='/')}"


def _put(transport: Transport, file: LocalFile, key: str, shown: Progress) -> tuple[dict[str, Any], bool]:
    sent = 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        shown.add(-sent)  # the transfer begins again
        sent = 0
        for piece in pieces(file.path):
            yield piece
            sent += len(piece)
            shown.add(len(piece))

    if file.path.stat().st_size != file.size_bytes:
        raise LinealError(f"{file.path} changed while it was sent")
    return transport.upload(path_of(key), body, size_bytes=file.size_bytes, sha256=file.sha256)
