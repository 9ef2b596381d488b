"""What the stores share in moving bytes: counting and hashing on the way in, closing on the way out."""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from types import TracebackType
from typing import Any, Self

from storage.errors import DigestMismatch, UploadCutOff
from storage.store import Chunk, ObjectWriter, Stored

_ASIDE_BYTES = 256 * 1024
"""Chunks from this size on are hashed by a thread of their own while the store takes them: both are C that lets go of
Python's lock."""


class HashingWriter(ABC):
    """The half of `ObjectWriter` that is the same everywhere. A store says how bytes are taken, finished and
    dropped.
    """

    def __init__(self, key: str, size_bytes: int | None, sha256: str | None) -> None:
        self._key = key
        self._expected_bytes = size_bytes
        self._expected_sha256 = sha256
        self._hash = hashlib.sha256()
        self._hashing: Aside | None = None
        self._received_bytes = 0
        self._open = True

    def write(self, chunk: Chunk) -> None:
        if not self._open:
            raise ValueError("the upload is over")
        self._received_bytes += len(chunk)
        if self._expected_bytes is not None and self._received_bytes > self._expected_bytes:
            raise UploadCutOff(self._key, self._expected_bytes, self._received_bytes)
        if len(chunk) >= _ASIDE_BYTES:
            self._hashing = self._hashing or Aside()
            self._hashing.begin(self._hash.update, chunk)
        else:
            self._hashed()
            self._hash.update(chunk)
        self._take(chunk)

    def commit(self) -> Stored:
        if not self._open:
            raise ValueError("the upload is over")
        try:
            self._hashed()
            self._check()
            etag = self._finish()
        except BaseException:
            self.abort()
            raise
        self._close()
        return Stored(self._key, self._received_bytes, self._hash.hexdigest(), etag)

    def abort(self) -> None:
        if self._open:
            self._close()
            self._drop()

    def _hashed(self) -> None:
        if self._hashing is not None:
            self._hashing.wait()

    def _close(self) -> None:
        self._open = False
        if self._hashing is not None:
            self._hashing.close()

    def _check(self) -> None:
        if self._expected_bytes not in {None, self._received_bytes}:
            raise UploadCutOff(self._key, self._expected_bytes or 0, self._received_bytes)
        if self._expected_sha256 not in {None, self._hash.hexdigest()}:
            raise DigestMismatch(self._key, self._expected_sha256 or "", self._hash.hexdigest())

    @abstractmethod
    def _take(self, chunk: Chunk) -> None: ...

    @abstractmethod
    def _finish(self) -> str:
        """Make the object and return its etag."""

    @abstractmethod
    def _drop(self) -> None:
        """Leave nothing behind; must not raise."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.abort()


_THREADS = 8


@cache
def _threads() -> ThreadPoolExecutor:
    """Of the process: however many uploads there are, their threads are few."""
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="aside")


os.register_at_fork(after_in_child=_threads.cache_clear)  # a fork has the pool, but not its threads


class Aside:
    """What a thread beside the caller's does, one thing at a time, in order."""

    def __init__(self) -> None:
        self._doing: Future[Any] | None = None

    @property
    def is_busy(self) -> bool:
        return self._doing is not None and not self._doing.done()

    def begin(self, work: Callable[..., object], *arguments: object) -> None:
        """Returns once what was begun before is done. Raises what that raised."""
        self.wait()
        self._doing = _threads().submit(work, *arguments)

    def wait(self) -> None:
        """Raises what the work raised, once."""
        doing, self._doing = self._doing, None
        if doing is not None:
            doing.result()

    def close(self) -> None:
        """After the work under way, whose error is not asked for any more. Idempotent."""
        doing, self._doing = self._doing, None
        if doing is not None:
            doing.exception()


def pour(data: Iterable[Chunk], writer: ObjectWriter) -> Stored:
    """Write all of `data` and commit; whatever fails on the way aborts."""
    with writer:
        for chunk in data:
            writer.write(chunk)
        return writer.commit()
