"""What every object store can do, and the values that it gives back.

All calls are synchronous and may block; a server calls them in worker threads. A store may be shared by threads and
survives a fork. Each function that takes a key raises `InvalidKey` for one that `keys.check_key` refuses, and each call
may raise `StoreUnavailable`, `StoreFull` (writes) or `StoreDenied`.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

CHUNK_BYTES = 256 * 1024
"""Size of the pieces in which objects are read."""

LIST_LIMIT = 1000
"""Largest page of a listing (the limit of S3's ListObjectsV2)."""

PART_MIN_BYTES = 5 * 1024 * 1024
"""Smallest part but the last (an S3 rule; the local store keeps it, so that clients meet it early)."""

PART_MAX_BYTES = 64 * 1024 * 1024
"""Largest part that passes through us. Parts that go straight to the object store by a link may have 5 GiB."""

PARTS_MAX = 10_000

Chunk = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class ObjectStat:
    """`media_type` is what the store would serve: on S3 as it was put, on a local store guessed from the name. `etag`
    is opaque, has no quotes, and changes when the bytes do. `modified_at` is aware, UTC.
    """

    key: str
    size_bytes: int
    etag: str
    modified_at: datetime
    media_type: str | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """What one put wrote. `sha256`: 64 lower-case hex characters, computed while the bytes passed."""

    key: str
    size_bytes: int
    sha256: str
    etag: str


@dataclass(frozen=True, slots=True)
class Part:
    """One uploaded part. `number` counts from 1; `etag` is opaque and has no quotes."""

    number: int
    etag: str


@dataclass(frozen=True, slots=True)
class PendingUpload:
    """A multipart upload, or the remains of a put on a local store (then `key` is empty), that was never finished.

    `touched_at` is the last sign of life that the store can tell: of the last byte on a local store, of the start on
    S3.
    """

    key: str
    upload_id: str
    touched_at: datetime


@dataclass(frozen=True, slots=True)
class Page:
    """Objects, each in one page only. `next_after` is None on the last page, else the next call's `after`.

    In key order (by code points) within and over pages on a local store, MinIO and AWS. SeaweedFS orders segment by
    segment instead: `a/b` before `a-b`.
    """

    objects: list[ObjectStat]
    next_after: str | None


@dataclass(frozen=True, slots=True)
class FolderPage:
    """One level of a folder. `folders` are full prefixes that end in `/`; both lists are in key order.

    A page may hold less than was asked for and still not be the last: only `next_after`, here an opaque token, says so.
    """

    folders: list[str]
    objects: list[ObjectStat]
    next_after: str | None


class ObjectReader(Protocol):
    """An open object: iterate once for its chunks, then or earlier close it (or use `with`).

    `stat` is of the whole object, `offset` and `length_bytes` of what is read. An object replaced meanwhile is read to
    its end as it was, or raises `StoreUnavailable`: never a mixture.
    """

    stat: ObjectStat
    offset: int
    length_bytes: int

    def __iter__(self) -> Iterator[bytes]: ...

    def fileno(self) -> int | None:
        """The file that has the bytes at their `offset`, for sendfile; None if the store has no files."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class ObjectWriter(Protocol):
    """An upload that is fed piece by piece. Nothing stands under the key before `commit` returns, and nothing is left
    there or aside after `abort`. Leaving the `with` block without a commit aborts. One thread at a time.

    `commit` raises `UploadCutOff` when fewer or more bytes came than announced, `DigestMismatch`, `ObjectExists` and
    `KeyConflict`; it has aborted then.
    """

    def write(self, chunk: Chunk) -> None:
        """The chunk is the writer's from now on: its bytes must not change."""
        ...

    def commit(self) -> Stored: ...

    def abort(self) -> None:
        """Idempotent; does nothing after a commit."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...


class ObjectStore(Protocol):
    def writer(
        self,
        key: str,
        *,
        size_bytes: int | None = None,
        media_type: str | None = None,
        sha256: str | None = None,
        overwrite: bool = True,
    ) -> ObjectWriter:
        """Begin an upload. `size_bytes` and `sha256` are checked where given; without `size_bytes` the length is
        whatever comes.
        """
        ...

    def put(
        self,
        key: str,
        data: Iterable[Chunk],
        *,
        size_bytes: int | None = None,
        media_type: str | None = None,
        sha256: str | None = None,
        overwrite: bool = True,
    ) -> Stored:
        """`writer` for those who hold an iterable (or a file, by `chunks_of`). What the iterable raises passes through,
        after an abort.

        Concurrent writers of one key: each commit is whole, the last one stays. With `overwrite=False` exactly one
        succeeds.
        """
        ...

    def open(self, key: str, offset: int = 0, length: int | None = None) -> ObjectReader:
        """`length` past the end is cut to the end. An offset at the end reads nothing only if the object is empty (RFC
        9110, 14.1.1).

        Raises:
            ObjectNotFound: there is no such object.
            RangeNotSatisfiable: `offset` lies at or behind the end.
        """
        ...

    def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """`open` for small pieces, all in memory."""
        ...

    def stat(self, key: str) -> ObjectStat:
        """Raises ObjectNotFound."""
        ...

    def list(self, prefix: str = "", after: str | None = None, limit: int = LIST_LIMIT) -> Page:
        """Objects whose key begins with `prefix` (any text, not only whole folders).

        They lie behind `after`: the last page's `next_after`, or the key of any object.
        """
        ...

    def list_folder(self, folder: str = "", after: str | None = None, limit: int = LIST_LIMIT) -> FolderPage:
        """What lies directly in `folder` (a key, with or without a slash at its end; empty for the root). An unknown
        folder is empty.
        """
        ...

    def delete(self, key: str) -> None:
        """Idempotent: deleting what is not there is no error."""
        ...

    def copy(self, source: str, target: str) -> ObjectStat:
        """Inside the store, overwriting; atomic. Raises ObjectNotFound, KeyConflict."""
        ...

    @property
    def has_public_links(self) -> bool:
        """Whether links can be signed and name an address that was said to be one for clients."""
        ...

    def presigned_get(self, key: str, expires_s: int, *, file_name: str | None = None) -> str | None:
        """A link by which anyone may GET the object for `expires_s` (1 to 604,800) seconds; None if the store has no
        such links. With `file_name` the store answers with the headers of `media.safe_headers`. The object need not
        exist yet.
        """
        ...

    def presigned_put(self, key: str, expires_s: int) -> str | None:
        """A link by which anyone may PUT the object, overwriting; None as above. What came by it has no digest: see
        `digest`.
        """
        ...

    def presigned_part(self, key: str, upload_id: str, number: int, expires_s: int) -> str | None:
        """A link by which one part is PUT; its answer's ETag header makes the `Part`. None as above."""
        ...

    def start_multipart(self, key: str, *, media_type: str | None = None) -> str:
        """The id of a new multipart upload."""
        ...

    def put_part(self, key: str, upload_id: str, number: int, data: Iterable[Chunk]) -> Part:
        """Parts may come in any order and at once; the same number again replaces. At most `PART_MAX_BYTES`.

        Raises:
            UploadNotFound: no such upload of this key.
            UploadTooLarge: the part has more bytes than pass through us.
        """
        ...

    def complete_multipart(self, key: str, upload_id: str, parts: Sequence[Part]) -> ObjectStat:
        """Make the object, atomically, of `parts` in rising order of number. Its digest is not known then: see
        `digest`.

        Raises:
            UploadNotFound: as above, also after an earlier complete.
            InvalidParts: none, out of order, unknown, replaced since (SeaweedFS takes that), or one but the last under
                `PART_MIN_BYTES`; the upload stays.
        """
        ...

    def abort_multipart(self, key: str, upload_id: str) -> None:
        """Idempotent. Also removes what `pending` names with an empty key."""
        ...

    def pending(self, prefix: str = "") -> Iterator[PendingUpload]:
        """Uploads under `prefix` that are not finished, in no order; those without a key always."""
        ...

    def local_path(self, key: str) -> str | None:
        """The absolute path of the object's file, for sendfile; None if the store has no files.

        Files are replaced, never changed, so what is opened by it at once is one whole object. Raises
        ObjectNotFound.
        """
        ...

    def uri(self, key: str) -> str:
        """`s3://bucket/prefix/key`, or `file:///…` with percent escapes."""
        ...

    def key_of(self, uri: str) -> str | None:
        """The key that `uri` (any spelling that `locations.normalise_uri` knows) names in this store; None if it lies
        elsewhere or could be no key.
        """
        ...

    def prepare(self) -> None:
        """Make the bucket or directory where it is missing. Idempotent, also for several processes at once."""
        ...

    def check(self) -> None:
        """Return if the store answers and takes our credentials; raise `StoreUnavailable` or `StoreDenied` saying why
        not.
        """
        ...


def chunks_of(file: "_Readable", size_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
    """The pieces of a binary file from where it stands."""
    while chunk := file.read(size_bytes):
        yield chunk


def digest(store: ObjectStore, key: str) -> Stored:
    """Read the object once and say what it is: for bytes that came by a presigned link or in parts. Raises
    ObjectNotFound.
    """
    sha256 = hashlib.sha256()
    with closing(store.open(key)) as reader:
        for chunk in reader:
            sha256.update(chunk)
        return Stored(key, reader.length_bytes, sha256.hexdigest(), reader.stat.etag)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...
