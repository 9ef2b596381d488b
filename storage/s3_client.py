"""The connection to an S3 service: its settings, the `minio` clients made from them, and its errors in our words."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from storage.errors import (
    InvalidKey,
    InvalidParts,
    InvalidStoreUrl,
    KeyConflict,
    ObjectExists,
    ObjectNotFound,
    StorageError,
    StoreDenied,
    StoreFull,
    StoreUnavailable,
    UploadNotFound,
    UploadTooLarge,
)
from storage.store import PART_MAX_BYTES

if TYPE_CHECKING:
    import urllib3
    from minio import Minio, S3Error
    from minio.credentials.providers import Provider

_DENIED = {
    "AccessDenied", "AuthorizationHeaderMalformed", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken",
    "InvalidTokenId", "RequestTimeTooSkewed", "SignatureDoesNotMatch", "TokenRefreshRequired",
}  # fmt: skip
_FULL = {"InsufficientStorage", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded", "XMinioStorageFull"}
_CONFLICT = {
    "XMinioParentIsObject",
    "XMinioObjectExistsAsDirectory",
    "ExistingObjectIsDirectory",
    "ExistingObjectIsFile",
}
_BAD_NAME = {"KeyTooLongError", "XMinioInvalidObjectName", "InvalidObjectName", "InvalidURI"}
_BAD_PARTS = {"InvalidPart", "InvalidPartOrder", "InvalidPartNumber", "EntityTooSmall", "MalformedXML"}


@dataclass(frozen=True, slots=True)
class S3Settings:
    """How to reach a bucket. `endpoint` and `public_endpoint`: `http(s)://host[:port]`, no path.

    Links name `public_endpoint`, or `endpoint` where there is none: behind a gateway the two differ. Without an access
    key the credentials come from `provided` (what the cloud gives the pod), else requests are anonymous.
    """

    bucket: str
    prefix: str = ""
    endpoint: str = "https://s3.amazonaws.com"
    public_endpoint: str | None = None
    region: str = "us-east-1"
    style: Literal["path", "virtual"] | None = None
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    provided: bool = False
    ca_file: str | None = None
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 60.0
    retries: int = 3


class Clients:
    """The client for our calls and the one that only signs links. Made on first use, anew in a forked process:
    connections are not shared between processes.
    """

    def __init__(self, settings: S3Settings) -> None:
        self._settings = settings
        self._process = 0
        self._inner: Minio | None = None
        self._outer: Minio | None = None

    @property
    def inner(self) -> "Minio":
        if self._inner is None or self._process != os.getpid():
            self._make()
        assert self._inner is not None  # noqa: S101 - just made
        return self._inner

    @property
    def outer(self) -> "Minio":
        if self._outer is None or self._process != os.getpid():
            self._make()
        assert self._outer is not None  # noqa: S101 - just made
        return self._outer

    def _make(self) -> None:
        settings = self._settings
        inner = _client(settings, settings.endpoint)
        self._outer = _client(settings, settings.public_endpoint) if settings.public_endpoint else inner
        self._inner = inner
        self._process = os.getpid()


def _client(settings: S3Settings, endpoint: str) -> "Minio":
    from minio import Minio

    split = urlsplit(endpoint)
    try:
        client = Minio(
            split.netloc,
            access_key=settings.access_key,
            secret_key=settings.secret_key,
            session_token=settings.session_token,
            secure=split.scheme == "https",
            region=settings.region,
            http_client=_pool(settings),
            credentials=_provider(settings),
        )
    except ValueError as error:
        raise InvalidStoreUrl(str(error)) from error
    if settings.style == "virtual":
        client.enable_virtual_style_endpoint()  # type: ignore[no-untyped-call]
    elif settings.style == "path":
        client.disable_virtual_style_endpoint()  # type: ignore[no-untyped-call]
    return client


def _provider(settings: S3Settings) -> "Provider | None":
    if settings.access_key or not settings.provided:
        return None
    from minio.credentials.providers import IamAwsProvider

    return IamAwsProvider()


def _pool(settings: S3Settings) -> "urllib3.PoolManager":
    import certifi
    import urllib3

    # The last answer is wanted, not urllib3's "too many 503 errors": it names the cause.
    retries = urllib3.Retry(
        total=settings.retries,
        backoff_factor=0.2,
        status_forcelist=[500, 502, 503, 504],
        raise_on_status=False,
        redirect=0,
    )
    return urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=settings.connect_timeout_s, read=settings.read_timeout_s),
        maxsize=32,
        cert_reqs="CERT_REQUIRED",
        ca_certs=settings.ca_file or certifi.where(),
        retries=retries,
    )


@contextmanager
def s3_errors(key: str, upload_id: str = "") -> Iterator[None]:
    """What the service, `minio` or the network says, in our words."""
    from minio import S3Error
    from minio.error import MinioException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except S3Error as error:
        raise _translated(error, key, upload_id) from error
    except MinioException as error:
        raise StoreUnavailable(str(error)[:500]) from error
    except HTTPError as error:
        raise StoreUnavailable(_network(error)) from error


def _translated(error: "S3Error", key: str, upload_id: str) -> StorageError:
    code = error.code or ""
    if code == "NoSuchKey":
        return ObjectNotFound(key)
    if code == "NoSuchUpload":
        return UploadNotFound(key, upload_id)
    if code == "PreconditionFailed":
        return ObjectExists(key)
    if code == "EntityTooLarge":
        return UploadTooLarge(key, PART_MAX_BYTES)
    said = f"{code}: {error.message}"
    return _by_group(code, key, said)


def _by_group(code: str, key: str, said: str) -> StorageError:
    if code in _DENIED:
        return StoreDenied(said)
    if code in _FULL:
        return StoreFull(said)
    if code in _CONFLICT:
        return KeyConflict(key)
    if code in _BAD_NAME:
        return InvalidKey(key, said)
    return InvalidParts(key, said) if code in _BAD_PARTS else StoreUnavailable(said)


def _network(error: Exception) -> str:
    """The innermost reason: urllib3's own text repeats the URL, whose query may be signed."""
    reason = getattr(error, "reason", None)
    return str(reason or error).partition(" (Caused by")[0][:500]
