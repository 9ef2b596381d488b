"""Small files in the artifact store: what v1 components write for the UI, and the logs that Argo archives."""

import gzip
import io
import json
import tarfile
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

from storage.config import open_store
from storage.errors import StorageError
from storage.locations import normalise_uri
from storage.store import ObjectStore

MAX_BYTES = 1024 * 1024
"""Of one file, packed and unpacked."""
KEPT = 512
_GZIP = b"\x1f\x8b"


class FileError(Exception):
    """The file could not be read; the text says why, for a person."""


class Files:
    """Read-only. `address`: as of a store (storage/config.py), its bucket is replaced by that of each URI.

    A `file:` address is for stores that hold their buckets as folders. What was read is kept, so that a file is fetched once
    however often its workflow changes. Safe to use from several threads.
    """

    def __init__(self, address: str) -> None:
        self._address = urlsplit(address)
        self._stores: dict[str, ObjectStore] = {}
        self._read: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def member(self, uri: str) -> bytes:
        """The file; of an archive its first member. Raises FileError."""
        return self._kept("member", uri, lambda store, key: _unpacked(store.read(key, 0, MAX_BYTES + 1)))

    def tail(self, uri: str) -> bytes:
        """The last mebibyte of a log. Raises FileError."""

        def read(store: ObjectStore, key: str) -> bytes:
            size = store.stat(key).size_bytes
            found = store.read(key, max(0, size - MAX_BYTES), min(size, MAX_BYTES))
            return _inflated(found)[-MAX_BYTES:] if found.startswith(_GZIP) else found

        return self._kept("tail", uri, read)

    def _kept(self, how: str, uri: str, read: Callable[[ObjectStore, str], bytes]) -> bytes:
        with self._lock:
            if (how, uri) in self._read:
                self._read.move_to_end((how, uri))
                return self._read[how, uri]
        try:
            found = read(*self._place(uri))
        except (StorageError, OSError, EOFError, zlib.error, tarfile.TarError) as error:
            raise FileError(f"{uri}: {error}") from error
        if len(found) > MAX_BYTES:
            raise FileError(f"{uri}: it is larger than {MAX_BYTES} bytes")
        with self._lock:
            self._read[how, uri] = found
            while len(self._read) > KEPT:
                self._read.popitem(last=False)
        return found

    def _place(self, uri: str) -> tuple[ObjectStore, str]:
        parts = urlsplit(uri)
        scheme = urlsplit(normalise_uri(uri)).scheme
        if scheme != "s3" or not parts.netloc or not parts.path.strip("/"):
            raise FileError(f"{uri}: it is not in an S3 store")
        bucket, key = parts.netloc, parts.path.lstrip("/")
        if self._address.scheme == "file":
            return self._store(""), f"{bucket}/{key}"
        return self._store(bucket), key

    def _store(self, bucket: str) -> ObjectStore:
        with self._lock:
            if bucket not in self._stores:
                address = self._address if not bucket else self._address._replace(netloc=bucket, path="")
                self._stores[bucket] = open_store(urlunsplit(address))
            return self._stores[bucket]


def _unpacked(data: bytes) -> bytes:
    if not data.startswith(_GZIP):
        return data
    inflated = _inflated(data)
    if not tarfile_like(inflated):
        return inflated
    with tarfile.open(fileobj=io.BytesIO(inflated), mode="r:") as archive:
        for entry in archive:
            stream = archive.extractfile(entry) if entry.isfile() else None
            if stream is not None:
                return stream.read(MAX_BYTES + 1)
    raise FileError("the archive is empty")


def tarfile_like(data: bytes) -> bool:
    return data[257:262] == b"ustar"


def _inflated(data: bytes) -> bytes:
    """Never more than the limit and what an archive has around it, whatever the file claims."""
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
        return stream.read(MAX_BYTES + 10 * 1024)


def as_json(data: bytes) -> object:
    """Raises FileError: it is no JSON."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FileError(f"it is no JSON: {error}") from error
