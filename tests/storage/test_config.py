"""From an address and the environment to a store, or to a reason why not."""

import pytest

from storage.config import open_store
from storage.errors import InvalidStoreUrl
from storage.local import LocalStore
from storage.s3 import S3Store
from storage.s3_client import S3Settings


def settings_of(url: str, **environ: str) -> S3Settings:
    store = open_store(url, environ=environ)
    assert isinstance(store, S3Store)
    return store.settings


@pytest.mark.parametrize(
    ("url", "root"),
    [("file:///srv/bytes", "/srv/bytes"), ("/srv/bytes/", "/srv/bytes"), ("file:///srv/a%20b", "/srv/a b"),
    ("file://localhost/x", "/x")],
)  # fmt: skip
def test_a_directory_has_a_file_address(url: str, root: str) -> None:
    store = open_store(url, environ={})

    assert isinstance(store, LocalStore)
    assert store.root == root


def test_an_s3_address_says_all_but_the_credentials() -> None:
    settings = settings_of(
        "s3://bucket/a/b/?endpoint=http://minio:9000&public_endpoint=https://s3.example.org&region=eu-1&style=path"
        "&ca_file=/etc/ca.pem&connect_timeout_s=2&read_timeout_s=7.5&retries=1",
        AWS_ACCESS_KEY_ID="id",
        AWS_SECRET_ACCESS_KEY="hidden",
        AWS_SESSION_TOKEN="token",
    )

    assert settings == S3Settings(
        bucket="bucket", prefix="a/b", endpoint="http://minio:9000", public_endpoint="https://s3.example.org",
        region="eu-1",
        style="path", access_key="id", secret_key="hidden", session_token="token", provided=False,
        ca_file="/etc/ca.pem",
        connect_timeout_s=2.0, read_timeout_s=7.5, retries=1,
    )  # fmt: skip
    assert "hidden" not in repr(settings) + repr(S3Store(settings))
    assert "token" not in repr(settings).replace("session_token", "")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, (None, None, None)),
        ({"MINIO_ACCESS_KEY": "a", "MINIO_SECRET_KEY": "b"}, ("a", "b", None)),
        ({"MINIO_ROOT_USER": "a", "MINIO_ROOT_PASSWORD": "b", "AWS_SESSION_TOKEN": "t"}, ("a", "b", None)),
        ({"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "MINIO_ROOT_USER": "a"}, ("x", "y", None)),
        ({"AWS_ACCESS_KEY_ID": "", "MINIO_ACCESS_KEY": "a", "MINIO_SECRET_KEY": "b"}, ("a", "b", None)),
    ],
)
def test_credentials_come_from_the_environment(environ: dict[str, str], expected: tuple[str | None, ...]) -> None:
    settings = settings_of("s3://bucket", **environ)

    assert (settings.access_key, settings.secret_key, settings.session_token) == expected


def test_the_cloud_s_credentials_are_used_only_without_others() -> None:
    assert settings_of("s3://bucket", AWS_WEB_IDENTITY_TOKEN_FILE="/t").provided
    assert not settings_of("s3://bucket", AWS_WEB_IDENTITY_TOKEN_FILE="/t", MINIO_ACCESS_KEY="a", MINIO_SECRET_KEY="b").provided
    assert not settings_of("s3://bucket?anonymous=true", AWS_WEB_IDENTITY_TOKEN_FILE="/t").provided


@pytest.mark.parametrize(
    ("environ", "endpoint"),
    [
        ({}, "https://s3.amazonaws.com"),
        ({"AWS_ENDPOINT_URL": "http://a:1"}, "http://a:1"),
        ({"AWS_ENDPOINT_URL": "http://a:1", "AWS_ENDPOINT_URL_S3": "http://b"}, "http://b"),
        ({"MINIO_ENDPOINT": "minio.kubeflow:9000"}, "https://minio.kubeflow:9000"),
        ({"AWS_ENDPOINT_URL": "http://[::1]:9000/"}, "http://[::1]:9000"),
    ],
)
def test_the_endpoint_may_come_from_the_environment(environ: dict[str, str], endpoint: str) -> None:
    assert settings_of("s3://bucket", **environ).endpoint == endpoint
    assert settings_of("s3://bucket?endpoint=http://mine:2", **environ).endpoint == "http://mine:2"


def test_region_and_authorities_may_come_from_the_environment() -> None:
    settings = settings_of("minio://bucket", AWS_DEFAULT_REGION="r1", AWS_CA_BUNDLE="/ca")

    assert (settings.region, settings.ca_file) == ("r1", "/ca")


@pytest.mark.parametrize(
    "url",
    [
        "", "relative/path", "ftp://x", "http://minio:9000/b", "s3://", "s3:///key", "file://host/x", "file:x",
        "s3://bucket?nope=1",
        "s3://bucket?endpoint=minio:9000/path", "s3://bucket?endpoint=ftp://x",
        "s3://bucket?endpoint=http://u:secret@x", "s3://bucket?style=odd",
        "s3://id:secret@b/k", "s3://bucket/../c", "s3://bucket#secret", "s3://bucket?retries=many",
        "s3://bucket?retries=-1", "s3://bucket?anonymous=yes",
        "file:///x?durable=no", "file:///x?region=r", "s3://bucket?endpoint=http://x:port", "s3://[b", "s3://ab",
        "s3://Bucket", "s3://a..bc", "s3://bucket:80",
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_used_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(InvalidStoreUrl) as failure:
        open_store(url, environ={})

    assert failure.value.reason
    assert "secret" not in str(failure.value)


def test_half_of_the_credentials_are_refused() -> None:
    with pytest.raises(InvalidStoreUrl, match="AWS_SECRET_ACCESS_KEY"):
        open_store("s3://bucket", environ={"AWS_ACCESS_KEY_ID": "a"})
