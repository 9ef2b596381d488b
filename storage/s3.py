"""MinIO or any other S3 service as an object store.

Memory: an upload holds one part at a time (`_part_bytes`), a download one chunk. Nothing stands under a key before
PutObject or CompleteMultipartUpload returns; a failed upload is aborted, and the service's own lifecycle rule gets what
a killed process leaves.

`minio` has no public call for pages of a listing, so its underscored ones are used, here and in `s3_object.py` only.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from storage.errors import (
    InvalidKey,
    InvalidParts,
    RangeNotSatisfiable,
    StoreUnavailable,
    UploadNotFound,
    UploadTooLarge,
)
from storage.keys import KEY_MAX_BYTES, check_key, check_prefix, key_or_none
from storage.locations import normalise_uri
from storage.media import guess_media_type, safe_headers
from storage.s3_client import Clients, S3Settings, s3_errors
from storage.s3_object import S3Object
from storage.s3_streams import S3Reader, S3Writer
from storage.store import (
    LIST_LIMIT,
    PART_MAX_BYTES,
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

if TYPE_CHECKING:
    from minio import Minio
    from minio.datatypes import Object
    from urllib3 import BaseHTTPResponse

_LINK_MAX_S = 7 * 24 * 3600
"""Longest life of a link signed with SigV4."""

_Query = dict[str, str | list[str] | tuple[str]]
"""As `minio` types the parameters of a request."""


class S3Store:
    def __init__(self, settings: S3Settings) -> None:
        self.settings = settings
        self._bucket = settings.bucket
        self._base = settings.prefix.strip("/") + "/" if settings.prefix.strip("/") else ""
        self._clients = Clients(settings)

    def __repr__(self) -> str:
        return f"S3Store({self.settings!r})"

    @property
    def _client(self) -> "Minio":
        return self._clients.inner

    def _name(self, key: str) -> str:
        name = self._base + check_key(key)
        if len(name.encode()) > KEY_MAX_BYTES:
            raise InvalidKey(key, f"with the prefix of the store it is longer than {KEY_MAX_BYTES} bytes")
        return name

    def _object(self, key: str) -> S3Object:
        return S3Object(self._client, self._bucket, self._name(key), key)

    def prepare(self) -> None:
        from minio import S3Error

        with s3_errors(""):
            if self._client.bucket_exists(self._bucket):
                return
            try:
                self._client.make_bucket(self._bucket)
            except S3Error as error:
                if error.code not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:
                    raise

    def check(self) -> None:
        """Lists one object: unlike HEAD, a refusal says why. But SeaweedFS lists a missing bucket as empty."""
        with s3_errors(""):
            next(iter(self._entries(self._base, None, 1)), None)
            if not self._client.bucket_exists(self._bucket):
                raise StoreUnavailable(f"NoSuchBucket: no bucket {self._bucket!r}")

    # ---- in ---------------------------------------------------------------------------------------------------------

    def writer(
        self,
        key: str,
        *,
        size_bytes: int | None = None,
        media_type: str | None = None,
        sha256: str | None = None,
        overwrite: bool = True,
    ) -> S3Writer:
        media_type = media_type or guess_media_type(key)
        return S3Writer(self._object(key), size_bytes, sha256, media_type=media_type, overwrite=overwrite)

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
        return pour(data, self.writer(key, size_bytes=size_bytes, media_type=media_type, sha256=sha256, overwrite=overwrite))

    def copy(self, source: str, target: str) -> ObjectStat:
        from minio.commonconfig import CopySource

        if source == target:
            return self.stat(source)
        with s3_errors(source):
            self._client.copy_object(self._bucket, self._name(target), CopySource(self._bucket, self._name(source)))
        return self.stat(target)

    def delete(self, key: str) -> None:
        name = self._name(key)
        with s3_errors(key):
            self._client.remove_object(self._bucket, name)

    # ---- out --------------------------------------------------------------------------------------------------------

    def open(self, key: str, offset: int = 0, length: int | None = None) -> S3Reader:
        if offset < 0 or (length is not None and length < 0):
            raise ValueError("offset and length are not negative")
        name = self._name(key)
        if length == 0 or (length is not None and offset == 0):
            return self._open_short(key, name, offset, length)
        return self._get(key, name, offset, length)

    def _open_short(self, key: str, name: str, offset: int, length: int) -> S3Reader:
        """No Range header can ask for no bytes, or for the first bytes of an empty object."""
        if length:
            with suppress(RangeNotSatisfiable):
                return self._get(key, name, offset, length)
        stat = self.stat(key)
        if offset and offset >= stat.size_bytes:
            raise RangeNotSatisfiable(key, offset, stat.size_bytes)
        return S3Reader(None, stat, offset, 0)

    def _get(self, key: str, name: str, offset: int, length: int | None) -> S3Reader:
        from minio import S3Error

        try:
            with s3_errors(key):
                response = self._client.get_object(self._bucket, name, offset=offset, length=length or 0)
        except StoreUnavailable as error:
            if isinstance(error.__cause__, S3Error) and error.__cause__.code == "InvalidRange":
                raise RangeNotSatisfiable(key, offset, self.stat(key).size_bytes) from error
            raise
        return S3Reader(response, _stat_of(key, response), offset, int(response.headers["Content-Length"]))

    def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        with self.open(key, offset, length) as reader:
            return b"".join(reader)

    def stat(self, key: str) -> ObjectStat:
        name = self._name(key)
        with s3_errors(key):
            return _stat(key, self._client.stat_object(self._bucket, name))

    def local_path(self, key: str) -> str | None:
        check_key(key)
        return None

    def list(self, prefix: str = "", after: str | None = None, limit: int = LIST_LIMIT) -> Page:
        check_prefix(prefix)
        limit = _checked_limit(limit)
        with s3_errors(prefix):
            start = self._base + after if after else None
            entries = (
                entry
                for entry in self._entries(self._base + prefix, start, limit + 1)
                if not (entry.object_name or "").endswith("/")
            )  # markers that consoles make for empty folders
            found = [_stat(self._key(entry), entry) for entry in islice(entries, limit + 1)]
        return Page(found[:limit], found[limit - 1].key if len(found) > limit else None)

    def list_folder(self, folder: str = "", after: str | None = None, limit: int = LIST_LIMIT) -> FolderPage:
        """Pages by the service's own token: between folders and objects no key says where the last page ended."""
        from minio.datatypes import parse_list_objects

        folder = folder.removesuffix("/")
        base = f"{check_key(folder)}/" if folder else ""
        query: _Query = {"list-type": "2", "delimiter": "/", "encoding-type": "url", "prefix": self._base + base}
        query["max-keys"] = str(_checked_limit(limit))
        if after:
            query["continuation-token"] = after
        with s3_errors(folder):
            response = self._client._execute("GET", self._bucket, query_params=query)  # noqa: SLF001
            found, more, token, _ = parse_list_objects(response)
        entries = sorted((entry for entry in found if self._key(entry) != base), key=self._key)
        return FolderPage(
            [self._key(entry) for entry in entries if self._key(entry).endswith("/")],
            [_stat(self._key(entry), entry) for entry in entries if not self._key(entry).endswith("/")],
            token if more else None,
        )

    def _entries(self, prefix: str, start_after: str | None, page: int) -> "Iterator[Object]":
        return self._client._list_objects(  # noqa: SLF001
            self._bucket, prefix=prefix, start_after=start_after, max_keys=min(page, LIST_LIMIT), encoding_type="url"
        )

    def _key(self, entry: "Object") -> str:
        return (entry.object_name or "").removeprefix(self._base)

    # ---- links ------------------------------------------------------------------------------------------------------

    @property
    def has_public_links(self) -> bool:
        settings = self.settings
        return settings.public_endpoint is not None and (settings.access_key is not None or settings.provided)

    def presigned_get(self, key: str, expires_s: int, *, file_name: str | None = None) -> str | None:
        query: _Query = {}
        if file_name is not None:
            headers = safe_headers(file_name)
            query = {
                "response-content-type": headers["Content-Type"],
                "response-content-disposition": headers["Content-Disposition"],
            }
        return self._link("GET", key, expires_s, query)

    def presigned_put(self, key: str, expires_s: int) -> str | None:
        return self._link("PUT", key, expires_s, {})

    def presigned_part(self, key: str, upload_id: str, number: int, expires_s: int) -> str | None:
        if not 1 <= number <= PARTS_MAX:
            raise InvalidParts(key, f"numbers run from 1 to {PARTS_MAX}")
        return self._link("PUT", key, expires_s, {"partNumber": str(number), "uploadId": upload_id})

    def _link(self, method: str, key: str, expires_s: int, query: "_Query") -> str:
        if not 1 <= expires_s <= _LINK_MAX_S:
            raise ValueError(f"links live between 1 and {_LINK_MAX_S} seconds")
        with s3_errors(key):
            return self._clients.outer.get_presigned_url(
                method, self._bucket, self._name(key), expires=timedelta(seconds=expires_s), extra_query_params=query
            )

    # ---- multipart --------------------------------------------------------------------------------------------------

    def start_multipart(self, key: str, *, media_type: str | None = None) -> str:
        return self._object(key).start(media_type or guess_media_type(key))

    def put_part(self, key: str, upload_id: str, number: int, data: Iterable[Chunk]) -> Part:
        target = self._object(key)
        if not 1 <= number <= PARTS_MAX:
            raise InvalidParts(key, f"numbers run from 1 to {PARTS_MAX}")
        body = bytearray()
        for chunk in data:
            body += chunk
            if len(body) > PART_MAX_BYTES:
                raise UploadTooLarge(key, PART_MAX_BYTES)
        return target.put_part(upload_id, number, body)

    def complete_multipart(self, key: str, upload_id: str, parts: Sequence[Part]) -> ObjectStat:
        target = self._object(key)
        numbers = [part.number for part in parts]
        if not parts or numbers != sorted(set(numbers)):
            raise InvalidParts(key, "they are named once each, in rising order")
        target.complete(upload_id, parts)
        return self.stat(key)

    def abort_multipart(self, key: str, upload_id: str) -> None:
        with suppress(UploadNotFound):
            self._object(key).abort(upload_id)

    def pending(self, prefix: str = "") -> Iterator[PendingUpload]:
        """MinIO tells only the uploads of the one object whose whole key is `prefix`, and removes stale ones by itself
        after a day (`MINIO_API_STALE_UPLOADS_EXPIRY`); AWS and others tell all.
        """
        check_prefix(prefix)
        key_marker = upload_marker = None
        more = True
        while more:
            with s3_errors(prefix):
                page = self._client._list_multipart_uploads(  # noqa: SLF001
                    self._bucket, prefix=self._base + prefix, key_marker=key_marker, upload_id_marker=upload_marker
                )
            for upload in page.uploads:
                if upload.upload_id and upload.object_name.startswith(self._base):
                    touched_at = upload.initiated_time or datetime.now(UTC)
                    yield PendingUpload(upload.object_name.removeprefix(self._base), upload.upload_id, touched_at)
            key_marker, upload_marker = _markers(page)
            more = page.is_truncated and key_marker is not None

    # ---- names ------------------------------------------------------------------------------------------------------

    def uri(self, key: str) -> str:
        return f"s3://{self._bucket}/{self._base}{check_key(key)}"

    def key_of(self, uri: str) -> str | None:
        scheme, mark, rest = uri.strip().partition("://")
        root = f"{self._bucket}/{self._base}"
        if not mark or normalise_uri(f"{scheme}://x") != "s3://x" or not rest.startswith(root):
            return None
        return key_or_none(rest.removeprefix(root).rstrip("/"))


def _markers(page: Any) -> tuple[str | None, str | None]:
    """`minio` 7.2 keeps the second marker under a name with `self.` in it."""
    return page.next_key_marker, getattr(page, "self._next_upload_id_marker", None) or page.next_upload_id_marker


def _checked_limit(limit: int) -> int:
    if limit < 1:
        raise ValueError("limit is at least 1")
    return min(limit, LIST_LIMIT)


def _stat(key: str, found: "Object") -> ObjectStat:
    modified_at = found.last_modified or datetime.fromtimestamp(0, UTC)
    return ObjectStat(key, found.size or 0, (found.etag or "").replace('"', ""), modified_at, found.content_type)


def _stat_of(key: str, response: "BaseHTTPResponse") -> ObjectStat:
    from email.utils import parsedate_to_datetime

    headers = response.headers
    _, _, total = headers.get("Content-Range", "").partition("/")
    return ObjectStat(
        key,
        int(total or headers["Content-Length"]),
        headers.get("ETag", "").replace('"', ""),
        parsedate_to_datetime(headers["Last-Modified"]).astimezone(UTC),
        headers.get("Content-Type"),
    )
