"""Bytes through the REST door."""

import contextlib
import hashlib
import json
import socket
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path

import httpx
import pytest

from registry.db.counting import count_statements
from registry.names import new_run_hex
from tests.api.test_runs import problem
from tests.servers import Served

DATA = bytes(range(256)) * 40


@pytest.fixture
def path(http: httpx.Client) -> str:
    """A file's path, and nothing there."""
    root = http.post("/api/v1/runs", json={}).json()["artifact_root"]
    return f"/api/v1/files/{root}/data.bin"


def test_a_file_comes_back_as_it_went(http: httpx.Client, path: str) -> None:
    first, again = http.put(path, content=DATA), http.put(path, content=DATA)

    got = http.get(path)

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["sha256"] == hashlib.sha256(DATA).hexdigest() == got.headers["x-content-sha256"]
    assert got.content == DATA
    assert got.headers["content-length"] == str(len(DATA))


def test_a_file_of_unknown_length_streams_in(http: httpx.Client, path: str) -> None:
    put = http.put(path, content=iter([DATA] * 300))

    assert (put.status_code, put.json()["size_bytes"]) == (201, 300 * len(DATA))
    assert http.head(path).headers["content-length"] == str(300 * len(DATA))


@pytest.mark.parametrize(
    ("range", "content"), [("bytes=0-2", DATA[:3]), ("bytes=-5", DATA[-5:]), (f"bytes={len(DATA) - 1}-", DATA[-1:])]
)
def test_a_range_is_a_part(http: httpx.Client, path: str, range: str, content: bytes) -> None:
    http.put(path, content=DATA)

    got = http.get(path, headers={"Range": range})

    assert (got.status_code, got.content) == (206, content)
    assert got.headers["content-range"].endswith(f"/{len(DATA)}")


def test_the_files_of_an_artifact_are_listed_by_their_names_in_it(http: httpx.Client, path: str) -> None:
    folder = path.rpartition("/")[0]
    stored = [http.put(f"{folder}/{name}", content=DATA).json() for name in ("model/a.bin", "model/b/c.bin", "model2.bin")]
    places = {"model": stored[0]["uri"].rpartition("/")[0], "file": stored[2]["uri"]}
    ids = {name: http.post("/api/v1/artifacts", json={"uri": uri}).json()["id"] for name, uri in places.items()}

    whole = http.get(f"/api/v1/artifacts/{ids['model']}/files").json()
    single = http.get(f"/api/v1/artifacts/{ids['file']}/files").json()

    assert whole["folder"]
    assert [(file["name"], file["path"]) for file in whole["files"]] == [
        ("a.bin", stored[0]["path"]),
        ("b/c.bin", stored[1]["path"]),
    ]
    assert {(file["size_bytes"], file["sha256"]) for file in whole["files"]} == {(len(DATA), hashlib.sha256(DATA).hexdigest())}
    assert (single["folder"], [file["name"] for file in single["files"]]) == (False, ["model2.bin"])


def test_files_that_are_not_in_the_workspaces_store_are_not_listed(http: httpx.Client, path: str) -> None:
    elsewhere = http.post("/api/v1/artifacts", json={"uri": "s3://elsewhere/model"}).json()["id"]
    stored = http.put(path, content=DATA).json()
    gone = http.post("/api/v1/artifacts", json={"uri": stored["uri"] + ".gone"}).json()["id"]
    foreign = http.post("/api/v1/artifacts", json={"uri": stored["uri"].replace("/default/", "/other/")}).json()["id"]

    problem(http.get(f"/api/v1/artifacts/{elsewhere}/files"), 409, "conflict")
    problem(http.get(f"/api/v1/artifacts/{gone}/files"), 404, "object-not-found")
    problem(http.get(f"/api/v1/artifacts/{foreign}/files"), 409, "conflict")


def test_a_range_behind_the_end_is_416_with_the_size(http: httpx.Client, path: str) -> None:
    http.put(path, content=DATA)

    refused = http.get(path, headers={"Range": f"bytes={len(DATA)}-"})

    problem(refused, 416, "range-not-satisfiable")
    assert refused.headers["content-range"] == f"bytes */{len(DATA)}"


def test_an_unchanged_file_is_not_sent_again(http: httpx.Client, path: str) -> None:
    http.put(path, content=DATA)
    etag = http.get(path).headers["etag"]

    assert http.get(path, headers={"If-None-Match": etag}).status_code == 304


def test_a_wrong_digest_leaves_what_was_there(http: httpx.Client, path: str) -> None:
    http.put(path, content=b"old")

    refused = http.put(path, content=b"new", headers={"X-Content-Sha256": "0" * 64})

    problem(refused, 400, "digest-mismatch")
    assert http.get(path).content == b"old"


def test_if_none_match_star_does_not_overwrite(http: httpx.Client, path: str) -> None:
    http.put(path, content=b"old")

    problem(http.put(path, content=b"new", headers={"If-None-Match": "*"}), 412, "object-exists")
    assert http.get(path).content == b"old"


def test_a_deleted_file_is_gone_and_deleting_is_idempotent(http: httpx.Client, path: str) -> None:
    http.put(path, content=b"x")

    assert [http.delete(path).status_code for _ in range(2)] == [204, 204]
    problem(http.get(path), 404, "object-not-found")


def test_an_active_file_cannot_run_here(http: httpx.Client, path: str) -> None:
    page = path.replace("data.bin", "page.html")
    http.put(page, content=b"<script>1</script>")

    got = http.get(page, params={"inline": True})

    assert got.headers["content-type"] == "application/octet-stream"
    assert got.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in got.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("default/%2e%2e/other/x", 400, "invalid-key"),
        ("default//x", 400, "invalid-key"),
        ("default/a%5cb", 400, "invalid-argument"),
        ("default/%252e%252e/x", 400, "invalid-key"),
        ("other/x", 404, "not-found"),
        ("default", 404, "not-found"),
    ],
)
def test_a_path_stays_in_its_workspace(http: httpx.Client, path: str, status: int, kind: str) -> None:
    problem(http.put(f"/api/v1/files/{path}", content=b"x"), status, kind)


def test_a_table_is_previewed_from_its_artifact(http: httpx.Client, path: str) -> None:
    table = path.replace("data.bin", "table.csv")
    uri = http.put(table, content=b"a,b\n1,x\n2,y\n").json()["uri"]
    artifact = http.post("/api/v1/artifacts", json={"uri": uri}).json()["id"]

    found = http.get(f"/api/v1/artifacts/{artifact}/preview", params={"offset": 1}).json()

    assert ([one["name"] for one in found["columns"]], found["rows"], found["total_rows"]) == (["a", "b"], [[2, "y"]], 2)


def test_an_artifact_cannot_open_another_workspace_s_file(http: httpx.Client) -> None:
    other = new_run_hex()
    http.post("/api/v1/workspaces", json={"name": other})
    uri = http.put(f"/api/v1/files/{other}/s.csv", content=b"a\n1\n", headers={"X-Lineal-Workspace": other}).json()["uri"]
    artifact = http.post("/api/v1/artifacts", json={"uri": uri}).json()["id"]

    problem(http.get(f"/api/v1/artifacts/{artifact}/preview"), 409, "conflict")


def test_files_that_a_live_deployment_serves_are_not_overwritten(http: httpx.Client, path: str) -> None:
    uri = http.put(path, content=b"weights").json()["uri"]
    folder = uri.rpartition("/")[0]
    registered = http.post("/api/v1/register", json={"model": new_run_hex(), "uri": folder}).json()
    http.post("/api/v1/deployments", json={"name": "d", "environment": "e", "model_version_id": registered["id"]})

    problem(http.put(path, content=b"others"), 409, "in-use")
    problem(http.delete(path), 409, "in-use")

    assert http.get(path).content == b"weights"


LARGE = DATA * 400


def test_a_large_file_comes_back_whole_and_in_parts_on_one_connection(http: httpx.Client, path: str) -> None:
    """The kernel sends it: what follows on the connection has to follow in order."""
    http.put(path, content=LARGE)
    begin, end = 1_000_000, 3_500_000

    answers = [http.get(path), http.get(path, headers={"Range": f"bytes={begin}-{end}"}), http.get(path), http.head(path)]

    assert [answer.status_code for answer in answers] == [200, 206, 200, 200]
    assert answers[0].content == answers[2].content == LARGE
    assert answers[1].content == LARGE[begin : end + 1]
    assert (answers[3].content, answers[3].headers["content-length"]) == (b"", str(len(LARGE)))


def test_a_client_that_goes_while_a_file_is_sent_leaves_nothing_open(http: httpx.Client, server: Served, path: str) -> None:
    http.put(path, content=LARGE * 8)
    address = httpx.URL(server.url)
    with socket.create_connection((str(address.host), int(address.port or 0))) as gone:
        gone.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        gone.recv(1000)
        wait_until(lambda: is_open(path))

    wait_until(lambda: not is_open(path))

    assert http.get(path, headers={"Range": "bytes=0-2"}).content == LARGE[:3]


def is_open(path: str) -> bool:
    key = path.removeprefix("/api/v1/files/")
    links = Path("/proc/self/fd").iterdir()
    return any(link.is_symlink() and link.exists() and str(link.readlink()).endswith(key) for link in links)


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_slow_reader_of_a_file_gets_all_of_it_and_holds_up_nobody(http: httpx.Client, server: Served, path: str) -> None:
    whole = LARGE * 8
    http.put(path, content=whole)
    address = httpx.URL(server.url)
    with contextlib.ExitStack() as opened:
        slow = [opened.enter_context(socket.create_connection((str(address.host), int(address.port or 0)))) for _ in range(20)]
        for one in slow:
            one.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())

        others = [http.get(path, headers={"Range": "bytes=0-2"}).content for _ in range(3)]
        received = b"".join(iter(lambda: slow[0].recv(1 << 20), b""))

    assert others == [LARGE[:3]] * 3
    assert received.partition(b"\r\n\r\n")[2] == whole


def test_the_shortcut_and_the_route_say_the_same_of_a_file(http: httpx.Client, path: str) -> None:
    """A query, or a condition, is left to the route."""
    put = [
        http.put(path, content=DATA),
        http.put(path, content=DATA),
        http.put(path.replace("data", "other%20data"), content=DATA),
    ]

    got = [http.get(path), http.get(path, params={"inline": "false"}), http.get(path, headers={"If-None-Match": '"x"'})]

    assert [(one.status_code, one.content) for one in got] == [(200, DATA)] * 3
    assert len({tuple(sorted(set(one.headers.items()) - varying(one))) for one in got}) == 1
    assert [one.status_code for one in put] == [201, 200, 201]
    assert {**put[0].json(), "path": "", "uri": ""} == {**put[2].json(), "path": "", "uri": ""}


def varying(answer: httpx.Response) -> set[tuple[str, str]]:
    return {(name, value) for name, value in answer.headers.items() if name in {"date", "x-request-id"}}


@pytest.mark.parametrize(
    ("path", "status"), [("default/a/../b", 400), ("default//a", 400), ("default/nothing", 404), ("elsewhere/a", 404)]
)
def test_the_shortcut_refuses_as_the_route_does(http: httpx.Client, server: Served, path: str, status: int) -> None:
    address = httpx.URL(server.url)

    def asked(query: str) -> tuple[int, str]:
        with contextlib.closing(HTTPConnection(str(address.host), int(address.port or 0))) as connection:
            connection.request("GET", f"/api/v1/files/{path}{query}")
            answer = connection.getresponse()
            return answer.status, str(json.loads(answer.read())["type"])

    assert asked("") == asked("?inline=false")
    assert asked("")[0] == status


def test_a_small_new_file_is_one_read_and_one_short_write(http: httpx.Client, server: Served, path: str) -> None:
    http.put(path.replace("data", "first"), content=DATA)

    with count_statements(server.services.runner.database) as counted:
        http.put(path, content=DATA)

    assert counted.count == 3  # whether it is in use; an id; its row
