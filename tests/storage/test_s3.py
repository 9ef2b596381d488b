"""What only an S3 service has: links, credentials, connections. Links are used by a plain HTTP client."""

import http.server
import io
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.config import open_store
from storage.errors import StoreDenied, StoreFull, StoreUnavailable
from storage.s3_streams import _part_bytes
from storage.store import PART_MIN_BYTES, ObjectStore, Part
from tests.services.s3 import S3Server
from tests.services.servers import free_ports, listening, required


@pytest.fixture
def prefix() -> str:
    return f"t{uuid.uuid4().hex}"


@pytest.fixture
def store(s3_server: S3Server, prefix: str) -> ObjectStore:
    store = open_store(s3_server.url("behaviour", prefix), environ=s3_server.environ)
    store.prepare()
    return store


def call(method: str, url: str | None, body: bytes | None = None, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    assert url is not None
    request = urllib.request.Request(url, data=body, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read(), {name.lower(): value for name, value in answer.headers.items()}
    except urllib.error.HTTPError as error:
        return error.code, error.read(), {}


# ---- links ----------------------------------------------------------------------------------------------------------


def test_a_link_gets_the_object_and_parts_of_it(store: ObjectStore) -> None:
    store.put("a b/ü+%.txt", [b"0123456789"])

    url = store.presigned_get("a b/ü+%.txt", 60)

    assert call("GET", url)[:2] == (200, b"0123456789")
    assert call("GET", url, Range="bytes=2-4")[:2] == (206, b"234")
    assert call("PUT", url, b"x")[0] == 403
    assert store.read("a b/ü+%.txt") == b"0123456789"


def test_a_link_with_a_file_name_is_safe_to_open(store: ObjectStore) -> None:
    store.put("page.html", [b"<script>alert(1)</script>"], media_type="text/html")

    _, _, headers = call("GET", store.presigned_get("page.html", 60, file_name="my page é.html"))

    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-disposition"] == "attachment; filename=\"my page _.html\"; filename*=UTF-8''my%20page%20%C3%A9.html"


def test_a_link_puts_the_object(store: ObjectStore) -> None:
    url = store.presigned_put("dir/up.bin", 60)

    assert call("PUT", url, b"by link")[0] == 200

    assert store.read("dir/up.bin") == b"by link"
    assert call("GET", url)[0] == 403


def test_parts_are_put_by_links(store: ObjectStore) -> None:
    upload_id = store.start_multipart("m")
    parts = []
    for number, body in ((1, b"1" * PART_MIN_BYTES), (2, b"end")):
        status, _, headers = call("PUT", store.presigned_part("m", upload_id, number, 60), body)
        assert status == 200
        parts.append(Part(number, headers["etag"].strip('"')))

    stat = store.complete_multipart("m", upload_id, parts)

    assert stat.size_bytes == PART_MIN_BYTES + 3
    assert store.read("m", PART_MIN_BYTES) == b"end"


def test_a_changed_link_is_refused(store: ObjectStore) -> None:
    store.put("a", [b"x"])
    store.put("b", [b"y"])
    url = store.presigned_get("a", 60)
    assert url is not None

    assert call("GET", url.replace("/a?", "/b?"))[0] == 403
    assert call("GET", url.partition("?")[0])[0] == 403


@pytest.mark.parametrize("expires_s", [0, -1, 604_801])
def test_links_live_at_most_a_week(store: ObjectStore, expires_s: int) -> None:
    with pytest.raises(ValueError, match="seconds"):
        store.presigned_get("a", expires_s)


class Gateway(http.server.BaseHTTPRequestHandler):
    """The public address: passes requests on to the service and keeps the Host header, as an ingress does."""

    target = ""

    def do_GET(self) -> None:
        self._pass(None)

    def do_PUT(self) -> None:
        self._pass(self.rfile.read(int(self.headers["Content-Length"])))

    def _pass(self, body: bytes | None) -> None:
        status, data, _ = call(self.command, self.target + self.path, body, Host=self.headers["Host"])
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def gateway(s3_server: S3Server) -> Iterator[str]:
    handler = type("GatewayTo", (Gateway,), {"target": s3_server.endpoint})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://localhost:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_links_name_the_public_endpoint_and_work_through_it(s3_server: S3Server, gateway: str, prefix: str) -> None:
    store = open_store(s3_server.url("behaviour", prefix, public_endpoint=gateway), environ=s3_server.environ)
    store.prepare()
    put, get = store.presigned_put("k", 60), store.presigned_get("k", 60)
    part = store.presigned_part("m", store.start_multipart("m"), 1, 60)

    assert call("PUT", put, b"through")[0] == 200
    assert call("GET", get)[:2] == (200, b"through")
    assert store.read("k") == b"through"
    for url in (put, get, part):
        assert url is not None
        assert url.startswith(gateway + "/")
        assert urllib.parse.urlsplit(s3_server.endpoint).netloc not in urllib.parse.unquote(url)


def test_signing_a_link_calls_nobody() -> None:
    environ = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    store = open_store("s3://bucket/p?endpoint=http://inner.invalid:9000&public_endpoint=https://outer.invalid", environ=environ)

    url = store.presigned_get("k", 60)

    assert url is not None
    assert url.startswith("https://outer.invalid/bucket/p/k?")
    assert "inner" not in url


def test_virtual_style_puts_the_bucket_into_the_host() -> None:
    environ = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    store = open_store("s3://bucket?endpoint=https://s3.invalid&style=virtual", environ=environ)

    url = store.presigned_get("k", 60)

    assert url is not None
    assert url.startswith("https://bucket.s3.invalid/k?")


# ---- credentials and connections ------------------------------------------------------------------------------------


def test_a_wrong_secret_is_denied_and_named(s3_server: S3Server, prefix: str) -> None:
    environ = {**s3_server.environ, "AWS_SECRET_ACCESS_KEY": "not-the-secret"}
    store = open_store(s3_server.url("behaviour", prefix), environ=environ)

    for attempt in (store.check, lambda: store.put("k", [b"x"]), lambda: store.read("k"), store.list):
        with pytest.raises(StoreDenied) as failure:
            attempt()
        assert "not-the-secret" not in str(failure.value)
    with pytest.raises(StoreDenied, match="SignatureDoesNotMatch"):
        store.check()


def test_an_unknown_key_is_denied(s3_server: S3Server, prefix: str) -> None:
    store = open_store(s3_server.url("behaviour", prefix), environ={**s3_server.environ, "AWS_ACCESS_KEY_ID": "nobody"})

    with pytest.raises(StoreDenied, match="InvalidAccessKeyId"):
        store.check()


def test_anonymous_is_denied(s3_server: S3Server, prefix: str) -> None:
    store = open_store(s3_server.url("behaviour", prefix, anonymous="true"), environ=s3_server.environ)

    for attempt in (store.check, lambda: store.put("k", [b"x"]), lambda: store.read("k")):
        with pytest.raises(StoreDenied, match="AccessDenied"):
            attempt()


def test_a_missing_bucket_is_named_and_can_be_made(s3_server: S3Server) -> None:
    store = open_store(s3_server.url(f"b{uuid.uuid4().hex[:20]}"), environ=s3_server.environ)

    with pytest.raises(StoreUnavailable, match="NoSuchBucket"):
        store.check()
    store.prepare()

    store.check()
    assert store.list().objects == []


def test_nobody_at_the_endpoint_is_unavailable_soon() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    store = open_store(f"s3://bucket?endpoint=http://127.0.0.1:{port}&retries=0&connect_timeout_s=1", environ={})

    for attempt in (store.check, lambda: store.put("k", [b"x"]), lambda: store.read("k"), lambda: store.stat("k")):
        with pytest.raises(StoreUnavailable, match="refused"):
            attempt()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody but its holder trusts, and its key."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl: on the PATH, to make a certificate for a test of https")
    folder = tmp_path_factory.mktemp("certs")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=lineal test",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "private.key", "-out", folder / "public.crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder / "public.crt", folder / "private.key"


def prepared(store: ObjectStore, within_s: float = 60) -> None:
    """MinIO takes connections before it is ready, and answers 503."""
    ends = time.monotonic() + within_s
    while True:
        try:
            store.prepare()
        except StoreUnavailable:
            if time.monotonic() > ends:
                raise
            time.sleep(0.1)
        else:
            return


def test_https_works_with_an_authority_of_ones_own_and_not_without(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    binary = required("MINIO_BIN", "the program minio, which is started as an object store")
    (port,) = free_ports(1)
    command = [binary, "server", "--quiet", "--address", f"127.0.0.1:{port}"]
    command += ["--certs-dir", str(certificate[0].parent), str(tmp_path / "data")]
    environ = {"MINIO_ROOT_USER": "lineal", "MINIO_ROOT_PASSWORD": "lineal-secret", "MINIO_BROWSER": "off"}
    url = f"s3://bucket?endpoint=https://127.0.0.1:{port}&retries=0"
    with listening(command, tmp_path, port, environ):
        trusting = open_store(f"{url}&ca_file={certificate[0]}", environ=environ)
        prepared(trusting)
        trusting.put("k", [bytes(1 << 20)] * 18)

        assert trusting.stat("k").size_bytes == 18 << 20
        assert (trusting.presigned_get("k", 60) or "").startswith(f"https://127.0.0.1:{port}/")
        with pytest.raises(StoreUnavailable, match="certificate"):
            open_store(url, environ=environ).check()


def test_a_service_that_never_answers_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        store = open_store(f"s3://bucket?endpoint=http://127.0.0.1:{port}&retries=0&read_timeout_s=0.2", environ={})

        with pytest.raises(StoreUnavailable, match="timed out"):
            store.check()


class Faulty(http.server.BaseHTTPRequestHandler):
    """Answers as services do in trouble."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.send_header("Last-Modified", "Mon, 23 Nov 2026 00:00:00 GMT")
        self.end_headers()
        self.wfile.write(b"only this")
        self.close_connection = True

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b"<Error><Code>XMinioStorageFull</Code><Message>reached its minimum free drive threshold.</Message></Error>"
        self.send_response(507)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def faulty() -> Iterator[ObjectStore]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Faulty)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield open_store(f"s3://bucket?endpoint=http://127.0.0.1:{server.server_address[1]}&retries=0", environ={})
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_download_that_breaks_off_is_an_error_and_never_short(faulty: ObjectStore) -> None:
    with faulty.open("k") as reader, pytest.raises(StoreUnavailable):
        b"".join(reader)


def test_a_full_service_is_its_own_error(faulty: ObjectStore) -> None:
    with pytest.raises(StoreFull, match="minimum free drive"):
        faulty.put("k", [b"x"])


def test_a_store_works_in_a_forked_process(store: ObjectStore) -> None:
    store.put("before", [b"1"])
    child = os.fork()
    if child == 0:
        try:
            ok = store.read("before") == b"1" and store.put("child", [b"2"]).size_bytes == 1
            os._exit(0 if ok else 1)
        finally:
            os._exit(2)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert (store.read("before"), store.read("child")) == (b"1", b"2")


def test_objects_of_others_in_the_bucket_are_told_as_they_are(s3_server: S3Server, prefix: str) -> None:
    """A console's folder marker is none of our objects."""
    whole = open_store(s3_server.url("behaviour"), environ=s3_server.environ)
    store = open_store(s3_server.url("behaviour", prefix), environ=s3_server.environ)
    store.prepare()
    store.put("dir/a", [b"x"])
    marker = whole.presigned_put(f"{prefix}/marker", 60)
    assert marker is not None

    store._client.put_object("behaviour", f"{prefix}/folder/", io.BytesIO(b""), 0)  # type: ignore[attr-defined]

    assert [entry.key for entry in store.list().objects] == ["dir/a"]
    assert store.list_folder("folder").objects == []


@pytest.mark.parametrize(
    ("size_bytes", "expected_mib"),
    [(0, 16), (1 << 30, 16), (156 << 30, 16), (157 << 30, 17), (5 << 40, 525)],
)
def test_parts_are_as_small_as_10_000_of_them_allow(size_bytes: int, expected_mib: int) -> None:
    assert _part_bytes(1, size_bytes) == expected_mib << 20
    assert _part_bytes(1, size_bytes) * 10_000 >= size_bytes


def test_parts_of_an_unknown_length_grow_late() -> None:
    assert (_part_bytes(1, None), _part_bytes(5000, None), _part_bytes(5001, None)) == (16 << 20, 16 << 20, 64 << 20)
