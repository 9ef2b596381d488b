"""What the stores share in moving bytes: counting and hashing on the way in, closing on the way out."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from storage.errors import DigestMismatch, UploadCutOff
from storage.store import Chunk, ObjectWriter, Stored


class HashingWriter(ABC):
    """The half of `ObjectWriter` that is the same everywhere. A store says how bytes are taken, finished and
    dropped.
    """

    def __init__(self, key: str, size_bytes: int | None, sha256: str | None) -> None:
        self._key = key
        self._expected_bytes = size_bytes
        self._expected_sha256 = sha256
        self._hash = hashlib.sha256()
        self._received_bytes = 0
        self._open = True

    def write(self, chunk: Chunk) -> None:
        if not self._open:
            raise ValueError("the upload is over")
        self._received_bytes += len(chunk)
        if self._expected_bytes is not None and self._received_bytes > self._expected_bytes:
            raise UploadCutOff(self._key, self._expected_bytes, self._received_bytes)
        self._hash.update(chunk)
        self._take(chunk)

    def commit(self) -> Stored:
        if not self._open:
            raise ValueError("the upload is over")
        try:
            self._check()
            etag = self._finish()
        except BaseException:
            self.abort()
            raise
        self._open = False
        return Stored(self._key, self._received_bytes, self._hash.hexdigest(), etag)

    def abort(self) -> None:
        if self._open:
            self._open = False
            self._drop()

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


def pour(data: Iterable[Chunk], writer: ObjectWriter) -> Stored:
    """Write all of `data` and commit; whatever fails on the way aborts."""
    with writer:
        for chunk in data:
            writer.write(chunk)
        return writer.commit()
