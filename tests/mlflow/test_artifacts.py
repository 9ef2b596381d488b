"""Files through the proxy and by their names in runs and versions: on a local store, MinIO and SeaweedFS.

It is whole: the same stores and files for all of them.
"""

import hashlib
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from registry.catalog.actors import Actor
from registry.catalog.blobs import find_blob
from registry.catalog.checking import blobs
from registry.catalog.tokens import create_token
from registry.catalog.workspaces import get_or_create_workspace
from registry.db.counting import count_statements
from registry.names import Role
from registry.settings import Settings
from tests.mlflow.calling import BASE, Caller, fresh
from tests.mlflow.storing import PROXY, everything
from tests.servers import serving

DATA = bytes(range(256)) * 40
LARGE = DATA * 400
ACTOR = Actor("tester", 1, "default", Role.ADMIN)


@pytest.fixture
def run(files: Caller) -> str:
    return files.run("0")


@pytest.fixture
def root(files: Caller, run: str) -> str:
    """Where the run's files are, in the proxy."""
    uri = files.get("runs/get", run_id=run)["run"]["info"]["artifact_uri"]
    return f"{PROXY}/{uri.removeprefix('mlflow-artifacts:/')}"


def put(door: Caller, path: str, data: Any = DATA) -> None:
    answer = door.http.put(path, content=data)
    assert (answer.status_code, answer.content) == (200, b"")


def refused(answer: httpx.Response) -> tuple[int, str]:
    assert answer.json()["message"]
    return answer.status_code, answer.json()["error_code"]


def test_a_file_comes_back_as_it_went(files: Caller, root: str) -> None:
    put(files, f"{root}/model/data.bin")

    got = files.http.get(f"{root}/model/data.bin")

    assert (got.status_code, got.content, got.headers["content-length"]) == (200, DATA, str(len(DATA)))
    assert got.headers["content-disposition"] == 'attachment; filename="data.bin"'


@pytest.mark.parametrize("announced", [True, False])
def test_a_large_file_streams_in_and_out(files: Caller, root: str, announced: bool) -> None:
    put(files, f"{root}/large.bin", LARGE if announced else iter([DATA] * 400))

    with files.http.stream("GET", f"{root}/large.bin") as got:
        digest = hashlib.sha256()
        for piece in got.iter_raw():
            digest.update(piece)

    assert (got.headers["content-length"], digest.digest()) == (str(len(LARGE)), hashlib.sha256(LARGE).digest())


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-2", LARGE[:3]),
        ("bytes=-5", LARGE[-5:]),
        (f"bytes={len(LARGE) - 1}-", LARGE[-1:]),
        ("bytes=1000000-3500000", LARGE[1_000_000:3_500_001]),
    ],
)
def test_a_range_is_a_part(files: Caller, large: str, asked: str, part: bytes) -> None:
    got = files.http.get(large, headers={"Range": asked})

    assert (got.status_code, got.content) == (206, part)
    assert got.headers["content-range"].endswith(f"/{len(LARGE)}")


@pytest.fixture(scope="module")
def large(files: Caller) -> str:
    path = f"{PROXY}/shared/large.bin"
    put(files, path, LARGE)
    return path


def test_a_range_behind_the_end_says_how_long_the_file_is(files: Caller, large: str) -> None:
    answer = files.http.get(large, headers={"Range": f"bytes={len(LARGE)}-"})

    assert refused(answer) == (416, "INVALID_PARAMETER_VALUE")
    assert answer.headers["content-range"] == f"bytes */{len(LARGE)}"


def test_head_says_how_long_the_file_is_and_sends_nothing(files: Caller, large: str) -> None:
    answer = files.http.head(large)

    assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, str(len(LARGE)), b"")


def test_an_unchanged_file_is_not_sent_again(files: Caller, large: str) -> None:
    etag = files.http.head(large).headers["etag"]

    answer = files.http.get(large, headers={"If-None-Match": etag})

    assert (answer.status_code, answer.content) == (304, b"")


def test_an_empty_file_is_a_file(files: Caller, root: str) -> None:
    put(files, f"{root}/empty", b"")

    assert files.http.get(f"{root}/empty").content == b""
    assert listed(files, root) == [{"path": "empty", "is_dir": False, "file_size": 0}]


def test_what_is_not_there_is_not_found_and_a_folder_is_no_file(files: Caller, root: str) -> None:
    put(files, f"{root}/a/b.txt")

    assert refused(files.http.get(f"{root}/nothing")) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert refused(files.http.get(f"{root}/a/b.txt/c")) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert refused(files.http.get(f"{root}/a")) == (400, "INVALID_PARAMETER_VALUE")


def listed(door: Caller, root: str, path: str = "") -> list[dict[str, Any]]:
    answer = door.http.get(PROXY, params={"path": f"{root.removeprefix(f'{PROXY}/')}{path}"}).json()
    assert set(answer) <= {"files"}
    return list(answer.get("files", []))


def test_a_folder_is_listed_by_names_alone(files: Caller, root: str) -> None:
    for name in ("b.txt", "a/one.txt", "a/deep/two.txt"):
        put(files, f"{root}/{name}", b"xyz")

    assert listed(files, root) == [{"path": "a", "is_dir": True}, {"path": "b.txt", "is_dir": False, "file_size": 3}]
    assert listed(files, root, "/a") == [{"path": "deep", "is_dir": True}, {"path": "one.txt", "is_dir": False, "file_size": 3}]
    assert listed(files, root, "/b.txt") == listed(files, root, "/nothing") == []


def test_a_runs_files_are_listed_by_their_paths_in_it(files: Caller, root: str, run: str) -> None:
    for name in ("b.txt", "a/one.txt"):
        put(files, f"{root}/{name}", b"xyz")

    assert files.get("artifacts/list", run_id=run) == {
        "root_uri": files.get("runs/get", run_id=run)["run"]["info"]["artifact_uri"],
        "files": [{"path": "a", "is_dir": True}, {"path": "b.txt", "is_dir": False, "file_size": 3}],
    }
    assert files.get("artifacts/list", run_id=run, path="a")["files"] == [{"path": "a/one.txt", "is_dir": False, "file_size": 3}]
    assert "files" not in files.get("artifacts/list", run_id=run, path="b.txt")


def test_a_page_uploads_to_a_run_and_shows_it(files: Caller, run: str) -> None:
    upload = files.http.post(f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path=a/n.txt", content=b"note")
    too_large = files.http.post(f"{BASE}/upload-artifact?run_uuid={run}&path=l.txt", content=bytes(10 * 1024 * 1024 + 1))

    shown = files.http.get("/get-artifact", params={"run_id": run, "path": "a/n.txt"})
    assert (upload.status_code, shown.content) == (200, b"note")
    assert shown.headers["content-disposition"].startswith("attachment")
    assert refused(too_large) == (400, "INVALID_PARAMETER_VALUE")
    assert refused(files.http.get("/get-artifact", params={"run_id": run, "path": "none"})) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_the_files_of_a_version_are_found_by_its_number(files: Caller, root: str, run: str) -> None:
    put(files, f"{root}/model/MLmodel", b"flavors: {}")
    uri = files.get("runs/get", run_id=run)["run"]["info"]["artifact_uri"]
    name = fresh("model")
    made = files.http.post("/api/v1/register", json={"model": name, "uri": f"{uri}/model"}).json()

    def got(**fields: Any) -> httpx.Response:
        return files.http.get("/model-versions/get-artifact", params={"name": name, "path": "MLmodel", **fields})

    assert got(version=made["number"]).content == b"flavors: {}"
    assert refused(got(version=7)) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert refused(got(name="nobody's", version=1)) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert refused(got(version=made["number"], path="../../x"))[0] == 400


def test_the_files_of_a_logged_model_are_listed_and_shown(files: Caller) -> None:
    made = files.post("logged-models", experiment_id="0", name=fresh("model"))["model"]["info"]
    put(files, f"{PROXY}/{made['artifact_uri'].removeprefix('mlflow-artifacts:/')}/a/MLmodel", b"flavors: {}")
    of_model = f"logged-models/{made['model_id']}/artifacts"

    listed = files.get(f"{of_model}/directories", artifact_directory_path="a")
    shown = files.ask("GET", f"{of_model}/files", artifact_file_path="a/MLmodel")

    assert listed == {
        "root_uri": made["artifact_uri"],
        "files": [{"path": "a/MLmodel", "is_dir": False, "file_size": 11}],
    }
    assert shown.content == b"flavors: {}"
    assert files.ask("GET", f"{of_model}/files", artifact_file_path="../x").status_code == 400


def test_files_elsewhere_are_not_this_servers(files: Caller) -> None:
    experiment = files.experiment(artifact_location="s3://somebody-elses/place")
    run = files.run(experiment)

    assert refused(files.ask("GET", "artifacts/list", run_id=run)) == (501, "NOT_IMPLEMENTED")
    assert refused(files.http.get("/get-artifact", params={"run_id": run, "path": "a"})) == (501, "NOT_IMPLEMENTED")


def test_an_experiments_own_place_in_the_proxy_is_its_runs_place(files: Caller) -> None:
    run = files.run(files.experiment(artifact_location=f"mlflow-artifacts:/{fresh('mine')}"))
    uri = files.get("runs/get", run_id=run)["run"]["info"]["artifact_uri"]
    put(files, f"{PROXY}/{uri.removeprefix('mlflow-artifacts:/')}/a.txt")

    assert files.http.get("/get-artifact", params={"run_id": run, "path": "a.txt"}).content == DATA


def test_a_file_or_all_of_a_folder_is_deleted_and_again_is_no_error(files: Caller, root: str) -> None:
    for name in ("a/one.txt", "a/deep/two.txt", "b.txt", "c.txt"):
        put(files, f"{root}/{name}")

    for path in ("/a", "/b.txt", "/a", "/b.txt"):
        assert files.http.delete(f"{root}{path}").json() == {}
    assert [file["path"] for file in listed(files, root) if not file["is_dir"]] == ["c.txt"]  # SeaweedFS shows empty folders
    assert files.http.delete(f"{root}/").status_code == 200
    assert [file for file in listed(files, root) if not file["is_dir"]] == []
    assert [one.key for one in files.served.services.store.list(f"default/{root.removeprefix(f'{PROXY}/')}/").objects] == []
    assert problems(files) == []


def problems(door: Caller) -> list[Any]:
    services = door.served.services
    return list(blobs.check(services.runner.read, services.store, lambda _count: None))


def test_size_and_digest_are_known_and_the_own_rest_has_the_same_file(files: Caller, root: str) -> None:
    put(files, f"{root}/data.bin")

    key = f"default/{root.removeprefix(f'{PROXY}/')}/data.bin"
    got = files.http.get(f"/api/v1/files/{key}")
    assert (got.content, got.headers["x-content-sha256"]) == (DATA, hashlib.sha256(DATA).hexdigest())
    found = files.served.services.runner.read(lambda session: find_blob(session, ACTOR, key))
    assert found is not None and (found.digest, found.size_bytes) == (hashlib.sha256(DATA).hexdigest(), len(DATA))  # noqa: PT018


def test_a_workspace_sees_its_own_files_only(tmp_path: Path) -> None:
    with serving(Settings(data_dir=str(tmp_path))) as served, Caller(served) as door:
        runner = served.services.runner
        team = runner.write(lambda session: get_or_create_workspace(session, "team", now=1))
        admin = Actor("admin", team, "team", Role.ADMIN)
        _, secret = runner.write(lambda session: create_token(session, admin, "viewer", Role.VIEWER, now=1))
        run, headers = door.run("0"), {"X-MLFLOW-WORKSPACE": "team"}
        put(door, f"{PROXY}/1/a.txt")

        assert door.http.get(f"{PROXY}/1/a.txt", headers=headers).status_code == 404
        assert door.http.get(f"{PROXY}/default/1/a.txt", headers=headers).status_code == 404
        assert door.http.get(PROXY, headers=headers).json() == {}
        assert [one["path"] for one in door.http.get(PROXY).json()["files"]] == ["1"]
        assert door.http.get("/get-artifact", params={"run_id": run, "path": "a"}, headers=headers).status_code == 404
        theirs = door.http.put(f"{PROXY}/1/a.txt", content=b"theirs", headers=headers)
        assert (theirs.status_code, door.http.get(f"{PROXY}/1/a.txt").content) == (200, DATA)

        viewer = {"Authorization": f"Bearer {secret}"}
        assert door.http.get(f"{PROXY}/1/a.txt", headers=viewer).content == b"theirs"
        for verb in ("PUT", "DELETE"):
            assert refused(door.http.request(verb, f"{PROXY}/1/a.txt", headers=viewer)) == (403, "PERMISSION_DENIED")


def test_files_that_a_live_deployment_serves_stay_as_they_are(files: Caller, root: str, run: str) -> None:
    put(files, f"{root}/model/weights.bin")
    uri = files.get("runs/get", run_id=run)["run"]["info"]["artifact_uri"]
    stored = files.served.services.store.uri(f"default/{uri.removeprefix('mlflow-artifacts:/')}/model")
    made = files.http.post("/api/v1/register", json={"model": fresh("served"), "uri": stored}).json()
    wanted = {"environment": "prod", "name": fresh("served"), "model_id": made["model_id"], "model_version_id": made["id"]}
    deployed = files.http.post("/api/v1/deployments", json=wanted)
    assert deployed.status_code == 201, deployed.text

    assert refused(files.http.put(f"{root}/model/weights.bin", content=b"other")) == (409, "RESOURCE_CONFLICT")
    assert refused(files.http.delete(f"{root}/model")) == (409, "RESOURCE_CONFLICT")
    assert refused(files.http.delete(root)) == (409, "RESOURCE_CONFLICT")
    assert files.http.get(f"{root}/model/weights.bin").content == DATA


def test_an_upload_costs_what_the_page_says_and_a_download_no_statement(door: Caller) -> None:
    database = door.served.services.runner.database
    door.ask("GET", "experiments/get", experiment_id="0")
    put(door, f"{PROXY}/1/first.txt")
    with count_statements(database) as first:
        put(door, f"{PROXY}/1/a.txt")
    with count_statements(database) as read:
        door.http.get(f"{PROXY}/1/a.txt")
        door.http.get(PROXY, params={"path": "1"})

    assert len(first.statements) == 3
    assert read.statements == []


@pytest.fixture
def at_most_3_mb() -> Iterator[None]:
    """A disk that is full after 3 MB, as far as one file can tell: EFBIG is to it what ENOSPC is."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_507_in_clear_words_and_leaves_nothing(sqlite_door: Caller, at_most_3_mb: None) -> None:
    before = everything(sqlite_door)

    answer = sqlite_door.http.put(f"{PROXY}/1/huge.bin", content=bytes(8_000_000))

    assert refused(answer) == (507, "RESOURCE_EXHAUSTED")
    assert "not available" in answer.json()["message"]
    assert everything(sqlite_door) == before
    assert list(sqlite_door.served.services.store.pending()) == []


@pytest.mark.parametrize("size", [500_000, 1 << 30])
def test_a_client_that_is_cut_off_leaves_nothing(files: Caller, size: int) -> None:
    before, noted = everything(files), _noted(files)
    host, _, port = files.served.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(f"PUT {PROXY}/1/cut.bin HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode())
        client.sendall(bytes(min(size // 3, 24 << 20)))

    store = files.served.services.store
    deadline = time.monotonic() + 20
    while _noted(files) == noted and time.monotonic() < deadline:
        time.sleep(0.02)
    assert files.http.get(f"{PROXY}/1/cut.bin").status_code == 404
    assert list(store.pending("default/1/cut.bin")) == []  # MinIO tells those of a whole key only
    assert everything(files) == before


def _noted(door: Caller) -> str:
    """What the server has counted of its requests so far."""
    return str(door.served.services.observer.exposition(commits=0))
