"""One file of a local store: how it is written, read and described."""

import os
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from storage import folders
from storage.errors import KeyConflict, ObjectExists, StoreUnavailable
from storage.folders import os_errors
from storage.media import guess_media_type
from storage.store import CHUNK_BYTES, Chunk, ObjectStat
from storage.streams import Aside, HashingWriter

# Calls by descriptor have no counterpart in pathlib, and a Path costs more than the call.
# ruff: noqa: PTH108, PTH110, PTH112, PTH118, PTH123

_COMMIT_TRIES = 20
"""A commit begins again if a delete just removed the folder that became empty; each try needs another such delete to
fail."""

_SYNC_BYTES = 8 * 1024 * 1024
"""What has been written since the last time goes to the disk while more comes, so that the commit need not wait for all of it."""


class LocalWriter(HashingWriter):
    def __init__(
        self,
        incoming: str,
        root: str,
        key: str,
        size_bytes: int | None,
        sha256: str | None,
        *,
        overwrite: bool,
        durable: bool,
    ) -> None:
        super().__init__(key, size_bytes, sha256)
        self._root = root
        self._overwrite = overwrite
        self._durable = durable
        self._syncing: Aside | None = None
        self._unsynced_bytes = 0
        self._temporary = os.path.join(incoming, f"{uuid.uuid4().hex}.part")
        with os_errors(key):
            self._file = open(self._temporary, "xb", buffering=0)  # noqa: SIM115 - the writer is the context

    def _take(self, chunk: Chunk) -> None:
        left = memoryview(chunk)
        with os_errors(self._key):
            while left:
                left = left[self._file.write(left) or 0 :]
            self._unsynced_bytes += len(chunk)
            if self._durable and self._unsynced_bytes >= _SYNC_BYTES:
                self._sync_aside()

    def _sync_aside(self) -> None:
        self._syncing = self._syncing or Aside()
        if not self._syncing.is_busy:
            self._unsynced_bytes = 0
            self._syncing.begin(os.fdatasync, self._file.fileno())

    def _finish(self) -> str:
        with os_errors(self._key):
            if self._syncing is not None:
                self._syncing.wait()
            if self._durable:
                os.fsync(self._file.fileno())
            found = os.fstat(self._file.fileno())
            self._end()
            for last in range(_COMMIT_TRIES - 1, -1, -1):
                try:
                    self._place()
                    break
                except FileNotFoundError:
                    if not last or not os.path.exists(self._temporary):
                        raise
        return etag_of(found)

    def _place(self) -> None:
        with folders.parent_of(self._root, self._key, create=True, durable=self._durable) as (parent, name):
            if self._overwrite:
                os.rename(self._temporary, name, dst_dir_fd=parent)
            else:
                self._link(parent, name)
            if self._durable:
                os.fsync(parent)

    def _link(self, parent: int, name: str) -> None:
        try:
            os.link(self._temporary, name, dst_dir_fd=parent, follow_symlinks=False)
        except FileExistsError as error:
            if os.path.isdir(os.path.join(self._root, self._key)):
                raise KeyConflict(self._key) from error
            raise ObjectExists(self._key) from error
        os.unlink(self._temporary)

    def _end(self) -> None:
        if self._syncing is not None:
            self._syncing.close()
        self._file.close()

    def _drop(self) -> None:
        self._end()
        with suppress(OSError):
            os.unlink(self._temporary)


class LocalReader:
    """Reads by position, so that `fileno()` may be handed to sendfile as well."""

    def __init__(self, descriptor: int, stat: ObjectStat, offset: int, length_bytes: int) -> None:
        self.stat = stat
        self.offset = offset
        self.length_bytes = length_bytes
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def __iter__(self) -> Iterator[bytes]:
        at, end = self.offset, self.offset + self.length_bytes
        while at < end:
            with os_errors(self.stat.key):
                chunk = os.pread(self._descriptor, min(CHUNK_BYTES, end - at), at)
            if not chunk:
                raise StoreUnavailable(f"the file of {self.stat.key!r} was cut by someone else")
            at += len(chunk)
            yield chunk

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


def stat_of(key: str, found: os.stat_result) -> ObjectStat:
    return ObjectStat(key, found.st_size, etag_of(found), time_of(found.st_mtime_ns), guess_media_type(key))


def etag_of(found: os.stat_result) -> str:
    """A replaced file has another inode or time; times alone may repeat within a clock tick."""
    return f"{found.st_mtime_ns:x}-{found.st_size:x}-{found.st_ino:x}"


def time_of(mtime_ns: int) -> datetime:
    return datetime.fromtimestamp(mtime_ns / 1e9, UTC)
