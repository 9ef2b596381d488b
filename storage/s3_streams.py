"""Bytes on their way into an object of an S3 service and out of it, with bounded memory."""

from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from storage.errors import StorageError, UploadTooLarge
from storage.s3_client import s3_errors
from storage.s3_object import S3Object
from storage.store import CHUNK_BYTES, PARTS_MAX, Chunk, ObjectStat, Part
from storage.streams import HashingWriter

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

_MIB = 1024 * 1024

_PART_BYTES = 16 * _MIB
"""Part of an upload that passes through us. 10,000 of them are 156 GiB; later parts of an upload of unknown length are
larger."""

_LARGE_AFTER = 5_000


class S3Writer(HashingWriter):
    """One PutObject if all fits into the first part, else a multipart upload."""

    def __init__(
        self,
        target: S3Object,
        size_bytes: int | None,
        sha256: str | None,
        *,
        media_type: str,
        overwrite: bool,
    ) -> None:
        super().__init__(target.key, size_bytes, sha256)
        self._target = target
        self._media_type = media_type
        self._overwrite = overwrite
        self._buffer = bytearray()
        self._upload_id = ""
        self._parts: list[Part] = []

    def _take(self, chunk: Chunk) -> None:
        left = memoryview(chunk)
        while left:
            room = _part_bytes(len(self._parts) + 1, self._expected_bytes) - len(self._buffer)
            self._buffer += left[:room]
            left = left[room:]
            if left:  # only now is it sure that this part is not the last
                self._send_part()

    def _send_part(self) -> None:
        number = len(self._parts) + 1
        if number > PARTS_MAX:
            raise UploadTooLarge(self._key, self._received_bytes)
        if not self._upload_id:
            self._upload_id = self._target.start(self._media_type)
        self._parts.append(self._target.put_part(self._upload_id, number, self._buffer))
        self._buffer.clear()

    def _finish(self) -> str:
        if not self._upload_id:
            return self._target.put(self._buffer, self._media_type, overwrite=self._overwrite)
        self._send_part()
        return self._target.complete(self._upload_id, self._parts, overwrite=self._overwrite)

    def _drop(self) -> None:
        self._buffer.clear()
        if self._upload_id:
            with suppress(StorageError):
                self._target.abort(self._upload_id)


class S3Reader:
    def __init__(self, response: "BaseHTTPResponse | None", stat: ObjectStat, offset: int, length_bytes: int) -> None:
        self.stat = stat
        self.offset = offset
        self.length_bytes = length_bytes
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        if self._response is not None:
            with s3_errors(self.stat.key):
                # Bytes as they are stored: an object may have been put with a Content-Encoding.
                yield from self._response.stream(CHUNK_BYTES, decode_content=False)

    def fileno(self) -> int | None:
        return None

    def close(self) -> None:
        """The connection goes back to the pool if all was read, and is closed otherwise."""
        if self._response is not None:
            self._response.close()
            self._response.release_conn()
            self._response = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _part_bytes(number: int, size_bytes: int | None) -> int:
    if size_bytes is not None:
        return max(_PART_BYTES, (size_bytes // PARTS_MAX // _MIB + 1) * _MIB)
    return _PART_BYTES if number <= _LARGE_AFTER else 4 * _PART_BYTES
