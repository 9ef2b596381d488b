"""A directory as an object store: the embedded default.

    <root>/objects/<key>            one file per object, never changed, only replaced
    <root>/incoming/<id>.part       a put under way
    <root>/incoming/<id>/           a multipart upload: `key` holds the key, `<number>.<etag>` the parts

An object appears by a rename after its bytes are on disk, and the folder's entry is on disk before the call returns.
"""

# Calls by descriptor have no counterpart in pathlib, and a Path costs more than the call.
# ruff: noqa: PTH100, PTH102, PTH103, PTH104, PTH108, PTH112, PTH113, PTH118, PTH123, PTH202, PTH208

import json
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from urllib.parse import quote

from storage import folders
from storage.errors import (
    InvalidParts,
    RangeNotSatisfiable,
    StoreUnavailable,
    UploadNotFound,
    UploadTooLarge,
)
from storage.folders import os_errors
from storage.keys import check_key, check_prefix, key_or_none
from storage.local_files import LocalReader, LocalWriter, stat_of, time_of
from storage.locations import normalise_uri
from storage.store import (
    CHUNK_BYTES,
    LIST_LIMIT,
    PART_MAX_BYTES,
    PART_MIN_BYTES,
    PARTS_MAX,
    Chunk,
    FolderPage,
    ObjectStat,
    Page,
    Part,
    PendingUpload,
    Stored,
)
from storage.streams import pour

_UPLOAD_ID = re.compile(r"[0-9a-f]{32}")
_TEMPORARY = re.compile(r"[0-9a-f]{32}\.part")


class LocalStore:
    """`durable=False` leaves out fsync: for tests and throw-away data."""

    def __init__(self, root: str | os.PathLike[str], *, durable: bool = True) -> None:
        self.root = os.path.abspath(root)
        self._objects = os.path.join(self.root, "objects")
        self._incoming = os.path.join(self.root, "incoming")
        self._durable = durable

    def __repr__(self) -> str:
        return f"LocalStore({self.root!r})"

    def prepare(self) -> None:
        with os_errors(""):
            os.makedirs(self._objects, exist_ok=True)
            os.makedirs(self._incoming, exist_ok=True)

    def check(self) -> None:
        for folder in (self._objects, self._incoming):
            if not os.path.isdir(folder):
                raise StoreUnavailable(f"no directory {folder}")
        probe = os.path.join(self._incoming, f"{uuid.uuid4().hex}.part")
        with os_errors(""):
            os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            os.unlink(probe)

    # ---- in ---------------------------------------------------------------------------------------------------------

    def writer(
        self,
        key: str,
        *,
        size_bytes: int | None = None,
        media_type: str | None = None,
        sha256: str | None = None,
        overwrite: bool = True,
    ) -> LocalWriter:
        check_key(key)
        return LocalWriter(self._incoming, self._objects, key, size_bytes, sha256, overwrite=overwrite, durable=self._durable)

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
        return pour(data, self.writer(key, size_bytes=size_bytes, sha256=sha256, overwrite=overwrite))

    def copy(self, source: str, target: str) -> ObjectStat:
        """Not by a hard link: a copy has a time of its own, which keeps it from the sweeper while its row is not there
        yet.
        """
        check_key(target)
        with self.open(source) as reader:
            self.put(target, reader, size_bytes=reader.length_bytes)
        return self.stat(target)

    def delete(self, key: str) -> None:
        check_key(key)
        with os_errors(key):
            folders.remove_file(self._objects, key)

    # ---- out --------------------------------------------------------------------------------------------------------

    def open(self, key: str, offset: int = 0, length: int | None = None) -> LocalReader:
        check_key(key)
        if offset < 0 or (length is not None and length < 0):
            raise ValueError("offset and length are not negative")
        with os_errors(key):
            descriptor, found = folders.open_file(self._objects, key)
        if offset and offset >= found.st_size:
            os.close(descriptor)
            raise RangeNotSatisfiable(key, offset, found.st_size)
        rest = found.st_size - offset
        return LocalReader(descriptor, stat_of(key, found), offset, rest if length is None else min(length, rest))

    def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        with self.open(key, offset, length) as reader:
            return b"".join(reader)

    def stat(self, key: str) -> ObjectStat:
        check_key(key)
        with os_errors(key):
            return stat_of(key, folders.stat_file(self._objects, key))

    def local_path(self, key: str) -> str | None:
        self.stat(key)
        return os.path.join(self._objects, key)

    def list(self, prefix: str = "", after: str | None = None, limit: int = LIST_LIMIT) -> Page:
        check_prefix(prefix)
        limit = _checked_limit(limit)
        found: list[ObjectStat] = []
        with os_errors(prefix):
            for key, stat in folders.walk(self._objects, prefix, after):
                if len(found) == limit:
                    return Page(found, found[-1].key)
                found.append(stat_of(key, stat))
        return Page(found, None)

    def list_folder(self, folder: str = "", after: str | None = None, limit: int = LIST_LIMIT) -> FolderPage:
        folder = folder.removesuffix("/")
        if folder:
            check_key(folder)
        limit = _checked_limit(limit)
        with os_errors(folder):
            entries = [entry for entry in folders.children(self._objects, folder) if after is None or entry[0] > after]
        page = entries[:limit]
        return FolderPage(
            [path for path, stat in page if stat is None],
            [stat_of(path, stat) for path, stat in page if stat is not None],
            page[-1][0] if len(entries) > limit else None,
        )

    # ---- links: a local store has none ------------------------------------------------------------------------------

    has_public_links = False

    def presigned_get(self, key: str, expires_s: int, *, file_name: str | None = None) -> str | None:
        check_key(key)
        return None

    def presigned_put(self, key: str, expires_s: int) -> str | None:
        check_key(key)
        return None

    def presigned_part(self, key: str, upload_id: str, number: int, expires_s: int) -> str | None:
        check_key(key)
        return None

    # ---- multipart --------------------------------------------------------------------------------------------------

    def start_multipart(self, key: str, *, media_type: str | None = None) -> str:
        check_key(key)
        upload_id = uuid.uuid4().hex
        folder = os.path.join(self._incoming, upload_id)
        with os_errors(key):
            os.mkdir(folder, 0o700)
            with open(os.path.join(folder, "key"), "x", encoding="utf-8") as file:
                json.dump(key, file)
        return upload_id

    def put_part(self, key: str, upload_id: str, number: int, data: Iterable[Chunk]) -> Part:
        folder = self._upload(key, upload_id)
        if not 1 <= number <= PARTS_MAX:
            raise InvalidParts(key, f"numbers run from 1 to {PARTS_MAX}")
        with LocalWriter(self._incoming, folder, f"{number:05}", None, None, overwrite=True, durable=self._durable) as writer:
            for received in _counted(data, key):
                writer.write(received)
            etag = writer.commit().sha256[:32]
        with os_errors(key):
            os.rename(os.path.join(folder, f"{number:05}"), os.path.join(folder, f"{number:05}.{etag}"))
            for name in os.listdir(folder):
                if name.startswith(f"{number:05}.") and name != f"{number:05}.{etag}":
                    with suppress(FileNotFoundError):
                        os.unlink(os.path.join(folder, name))
        return Part(number, etag)

    def complete_multipart(self, key: str, upload_id: str, parts: Sequence[Part]) -> ObjectStat:
        folder = self._upload(key, upload_id)
        paths = _part_paths(folder, key, parts)
        with self.writer(key) as writer:
            for path in paths:
                with os_errors(key), open(path, "rb") as file:
                    while chunk := file.read(CHUNK_BYTES):
                        writer.write(chunk)
            writer.commit()
        shutil.rmtree(folder, ignore_errors=True)
        return self.stat(key)

    def abort_multipart(self, key: str, upload_id: str) -> None:
        if not key and _TEMPORARY.fullmatch(upload_id):
            with os_errors(key), suppress(FileNotFoundError):
                os.unlink(os.path.join(self._incoming, upload_id))
            return
        with suppress(UploadNotFound):
            shutil.rmtree(self._upload(key, upload_id), ignore_errors=True)

    def pending(self, prefix: str = "") -> Iterator[PendingUpload]:
        check_prefix(prefix)
        with os_errors(""), os.scandir(self._incoming) as entries:
            found = sorted(entry.name for entry in entries)
        for name in found:
            path = os.path.join(self._incoming, name)
            with suppress(FileNotFoundError, UploadNotFound):
                if _TEMPORARY.fullmatch(name):
                    yield PendingUpload("", name, time_of(os.lstat(path).st_mtime_ns))
                elif _UPLOAD_ID.fullmatch(name) and (key := _key_of_upload(path, name)).startswith(prefix):
                    newest = max(os.lstat(file).st_mtime_ns for file in [path, *_inside(path)])
                    yield PendingUpload(key, name, time_of(newest))

    def _upload(self, key: str, upload_id: str) -> str:
        """The folder of the upload, if it is one of `key`."""
        check_key(key)
        folder = os.path.join(self._incoming, upload_id)
        if not _UPLOAD_ID.fullmatch(upload_id) or _key_of_upload(folder, upload_id) != key:
            raise UploadNotFound(key, upload_id)
        return folder

    # ---- names ------------------------------------------------------------------------------------------------------

    def uri(self, key: str) -> str:
        return f"file://{quote(self._objects)}/{quote(check_key(key))}"

    def key_of(self, uri: str) -> str | None:
        base = normalise_uri(self._objects) + "/"
        location = normalise_uri(uri)
        if not location.startswith(base):
            return None
        key = _path_of(location)[len(self._objects) + 1 :]
        return key_or_none(key)


def _counted(data: Iterable[Chunk], key: str) -> Iterator[Chunk]:
    received = 0
    for chunk in data:
        received += len(chunk)
        if received > PART_MAX_BYTES:
            raise UploadTooLarge(key, PART_MAX_BYTES)
        yield chunk


def _part_paths(folder: str, key: str, parts: Sequence[Part]) -> list[str]:
    numbers = [part.number for part in parts]
    if not parts or numbers != sorted(set(numbers)):
        raise InvalidParts(key, "they are named once each, in rising order")
    paths = [os.path.join(folder, f"{part.number:05}.{part.etag}") for part in parts]
    for part, path in zip(parts, paths, strict=True):
        if not re.fullmatch("[0-9a-f]{32}", part.etag) or not os.path.isfile(path):
            raise InvalidParts(key, f"part {part.number} is not there, or was replaced")
        if part is not parts[-1] and os.path.getsize(path) < PART_MIN_BYTES:
            raise InvalidParts(key, f"part {part.number} is under {PART_MIN_BYTES} bytes and not the last")
    return paths


def _key_of_upload(folder: str, upload_id: str) -> str:
    try:
        with open(os.path.join(folder, "key"), encoding="utf-8") as file:
            return str(json.load(file))
    except (OSError, ValueError) as error:
        raise UploadNotFound("", upload_id) from error


def _inside(folder: str) -> list[str]:
    return [os.path.join(folder, name) for name in os.listdir(folder)]


def _path_of(location: str) -> str:
    from urllib.parse import unquote

    return unquote(location.removeprefix("file://"))


def _checked_limit(limit: int) -> int:
    if limit < 1:
        raise ValueError("limit is at least 1")
    return min(limit, LIST_LIMIT)
