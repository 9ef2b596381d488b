"""What the API server sends: pages of a list, and a watch's lines. The objects in them stay bytes: most of them are large, and
whoever needs one decodes it when its turn has come.
"""

import sys
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import msgspec

MAX_LINE_BYTES = 64 * 1024 * 1024
"""etcd takes objects of 1.5 MiB, at most a few more where an operator raised that; a line that goes on is no event."""
DEEPEST = 12_000
"""Levels; Go's JSON reader takes 10,000."""
T = TypeVar("T")
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class LineTooLong(Exception):
    """The server sends something else than events."""


class ListMetadata(msgspec.Struct, rename={"continue_": "continue", "version": "resourceVersion"}):
    version: str = ""
    continue_: str = ""


class Page(msgspec.Struct):
    items: list[msgspec.Raw] | None = None
    metadata: ListMetadata = msgspec.field(default_factory=ListMetadata)


class Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class ObjectMetadata(msgspec.Struct, rename={"version": "resourceVersion"}):
    uid: str
    name: str
    namespace: str = ""
    version: str = ""


class Head(msgspec.Struct):
    metadata: ObjectMetadata


class BookmarkMetadata(msgspec.Struct, rename={"version": "resourceVersion"}):
    version: str
    annotations: dict[str, Any] | None = None


class Bookmark(msgspec.Struct):
    metadata: BookmarkMetadata

    @property
    def ends_initial_events(self) -> bool:
        return (self.metadata.annotations or {}).get(INITIAL_EVENTS_END) == "true"


class StatusDetails(msgspec.Struct):
    retryAfterSeconds: float | None = None  # noqa: N815 - the protocol's name


class Status(msgspec.Struct):
    code: int | None = None
    reason: str = ""
    message: str = ""
    details: StatusDetails | None = None


def _of_any_depth(decode: Callable[[bytes | msgspec.Raw], T]) -> Callable[[bytes | msgspec.Raw], T]:
    """An object may be nested as deep as the API server's own reader goes, which is deeper than Python's limit.

    What is nested is only passed over here, and takes little of the stack; whoever reads it has a limit of its own.
    """

    def decoded(data: bytes | msgspec.Raw) -> T:
        try:
            return decode(data)
        except RecursionError:
            limit = sys.getrecursionlimit()
            sys.setrecursionlimit(DEEPEST)
            try:
                return decode(data)
            finally:
                sys.setrecursionlimit(limit)

    return decoded


page_of = _of_any_depth(msgspec.json.Decoder(Page).decode)
event_of = _of_any_depth(msgspec.json.Decoder(Event).decode)
head_of = _of_any_depth(msgspec.json.Decoder(Head).decode)
bookmark_of = msgspec.json.Decoder(Bookmark).decode
status_of = msgspec.json.Decoder(Status).decode


async def lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Without their line ends, empty ones left out. What follows the last line end was cut off, and is not told.

    Raises LineTooLong.
    """
    parts: list[bytes] = []
    size = 0
    async for chunk in chunks:
        *ended, rest = chunk.split(b"\n")
        for piece in ended:
            line = b"".join([*parts, piece]) if parts else piece
            parts, size = [], 0
            if line.strip():
                yield line
        if rest:
            parts.append(rest)
            size += len(rest)
            if size > MAX_LINE_BYTES:
                raise LineTooLong(f"a line of the watch is longer than {MAX_LINE_BYTES} bytes")
