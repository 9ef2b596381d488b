"""Bytes through the REST door."""

import hashlib

import httpx
import pytest

from registry.names import new_run_hex
from tests.api.test_runs import problem

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
