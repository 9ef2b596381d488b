"""From the address of a store to the store.

    file:///var/lib/lineal/bytes
    s3://bucket/prefix?endpoint=http://minio:9000&public_endpoint=https://s3.example.org&region=us-east-1

An address has no credentials: addresses end up in logs. They come from the environment, by the names that AWS's and
MinIO's own tools use.
"""

import os
import re
from collections.abc import Mapping
from typing import Literal, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from storage.errors import InvalidKey, InvalidStoreUrl
from storage.keys import check_key
from storage.local import LocalStore
from storage.s3 import S3Store
from storage.s3_client import S3Settings
from storage.store import ObjectStore

_S3_OPTIONS = {
    "endpoint", "public_endpoint", "region", "style", "ca_file", "connect_timeout_s", "read_timeout_s", "retries",
    "anonymous",
}  # fmt: skip

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

_PROVIDED = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


def open_store(url: str, *, environ: Mapping[str, str] | None = None) -> ObjectStore:
    """The store at `url`. Touches neither disk nor network: call `prepare` to make what is missing, `check` to see if
    it answers.

    `file:///path[?durable=false]` (a bare absolute path too): without `durable` a crash of the machine may lose the
    last writes.

    `s3://bucket[/prefix]` (or `minio://`) with the options

    - `endpoint`: `http(s)://host[:port]`; else AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, MINIO_ENDPOINT, else AWS itself
    - `public_endpoint`: what links name, where clients reach the service by another address
    - `region`: else AWS_REGION, AWS_DEFAULT_REGION, else `us-east-1`
    - `style`: `path` or `virtual`; else virtual for AWS and path for all others
    - `ca_file`: certificates to trust; else AWS_CA_BUNDLE, SSL_CERT_FILE, else the usual authorities
    - `connect_timeout_s` (5), `read_timeout_s` (60), `retries` (3)
    - `anonymous=true`: sign nothing

    Credentials: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; or MINIO_ACCESS_KEY, MINIO_SECRET_KEY; or
    MINIO_ROOT_USER, MINIO_ROOT_PASSWORD; or what the cloud gives the pod (IRSA, ECS); else none.

    Raises:
        InvalidStoreUrl: says which part of the address, and never repeats a secret.
    """
    environ = os.environ if environ is None else environ
    if url.startswith("/"):
        return LocalStore(url)
    try:
        split = urlsplit(url)
        options = dict(parse_qsl(split.query, keep_blank_values=True, strict_parsing=bool(split.query)))
    except ValueError as error:
        raise InvalidStoreUrl("not a URL") from error
    if split.username or split.password or "@" in split.netloc:
        raise InvalidStoreUrl("credentials belong into the environment (AWS_ACCESS_KEY_ID, …), not into the address")
    if split.fragment:
        raise InvalidStoreUrl("nothing may follow a `#`")
    if split.scheme == "file":
        return _local(split.netloc, unquote(split.path), options)
    if split.scheme in {"s3", "minio"}:
        return S3Store(_s3(split.netloc, unquote(split.path), options, environ))
    raise InvalidStoreUrl(f"the scheme is `file` or `s3`, not {split.scheme!r}")


def _local(host: str, path: str, options: dict[str, str]) -> LocalStore:
    if host not in {"", "localhost"} or not path.startswith("/"):
        raise InvalidStoreUrl("a directory is written file:///path")
    _known(options, {"durable"})
    return LocalStore(path, durable=_flag(options, "durable", default=True))


def _s3(bucket: str, path: str, options: dict[str, str], environ: Mapping[str, str]) -> S3Settings:
    _known(options, _S3_OPTIONS)
    if not _BUCKET.fullmatch(bucket) or ".." in bucket:
        raise InvalidStoreUrl("a bucket has 3 to 63 lower-case letters, digits, dots and hyphens")
    prefix = path.strip("/")
    try:
        if prefix:
            check_key(prefix)
    except InvalidKey as error:
        raise InvalidStoreUrl(f"prefix: {error.reason}") from error
    style = options.get("style")
    if style not in {None, "path", "virtual"}:
        raise InvalidStoreUrl("style is `path` or `virtual`")
    public = options.get("public_endpoint")
    access_key, secret_key, session_token = (None, None, None) if _flag(options, "anonymous") else _credentials(environ)
    return S3Settings(
        bucket=bucket,
        prefix=prefix,
        endpoint=_endpoint(
            options.get("endpoint")
            or _first(environ, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "MINIO_ENDPOINT")
            or "https://s3.amazonaws.com"
        ),
        public_endpoint=_endpoint(public) if public else None,
        region=options.get("region") or _first(environ, "AWS_REGION", "AWS_DEFAULT_REGION") or "us-east-1",
        style=cast("Literal['path', 'virtual'] | None", style),
        access_key=access_key,
        secret_key=secret_key,
        session_token=session_token,
        provided=not _flag(options, "anonymous") and access_key is None and _first(environ, *_PROVIDED) is not None,
        ca_file=options.get("ca_file") or _first(environ, "AWS_CA_BUNDLE", "SSL_CERT_FILE"),
        connect_timeout_s=_seconds(options, "connect_timeout_s", 5.0),
        read_timeout_s=_seconds(options, "read_timeout_s", 60.0),
        retries=int(_seconds(options, "retries", 3)),
    )


def _credentials(environ: Mapping[str, str]) -> tuple[str | None, str | None, str | None]:
    for key, secret in (
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        ("MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"),
        ("MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"),
    ):
        if environ.get(key):
            if not environ.get(secret):
                raise InvalidStoreUrl(f"{key} is set and {secret} is not")
            token = environ.get("AWS_SESSION_TOKEN") if key.startswith("AWS") else None
            return environ[key], environ[secret], token or None
    return None, None, None


def _endpoint(text: str) -> str:
    """`MINIO_ENDPOINT` is often written without a scheme; TLS is the default then."""
    try:
        split = urlsplit(text if "://" in text else f"https://{text}")
        port = split.port
    except ValueError as error:
        raise InvalidStoreUrl("an endpoint is http(s)://host[:port]") from error
    if split.scheme not in {"http", "https"} or not split.hostname or split.path.strip("/") or split.query or split.username:
        raise InvalidStoreUrl("an endpoint is http(s)://host[:port], without a path")
    host = f"[{split.hostname}]" if ":" in split.hostname else split.hostname
    return f"{split.scheme}://{host}" + (f":{port}" if port else "")


def _first(environ: Mapping[str, str], *names: str) -> str | None:
    return next((environ[name] for name in names if environ.get(name)), None)


def _known(options: dict[str, str], names: set[str]) -> None:
    if unknown := sorted(options.keys() - names):
        raise InvalidStoreUrl(f"unknown option {unknown[0]!r}; known are {', '.join(sorted(names))}")


def _flag(options: dict[str, str], name: str, *, default: bool = False) -> bool:
    text = options.get(name, str(default)).lower()
    if text not in {"true", "false"}:
        raise InvalidStoreUrl(f"{name} is `true` or `false`")
    return text == "true"


def _seconds(options: dict[str, str], name: str, default: float) -> float:
    try:
        value = float(options.get(name, default))
    except ValueError as error:
        raise InvalidStoreUrl(f"{name} is a number") from error
    if not 0 <= value <= 3600:
        raise InvalidStoreUrl(f"{name} lies between 0 and 3600")
    return value
