"""Bytes that go between a client and the object store directly: with MinIO and SeaweedFS."""

import asyncio
import hashlib
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from registry.api.services import now_ms
from registry.catalog.actors import Actor
from registry.catalog.blobs import Blob, find_blob
from registry.catalog.checking import blobs
from registry.catalog.unverified import UNUSED_MS
from registry.names import Role
from tests.mlflow.calling import Caller, fresh

BASE = "/api/2.0/mlflow-artifacts"
PART = bytes(range(256)) * 20_480  # the least that S3 takes as a part that is not the last
ACTOR = Actor("tester", 1, "default", Role.ADMIN)
HOUR_MS = 3_600_000


def info(door: Caller) -> dict[str, Any]:
    found: dict[str, Any] = door.http.get("/api/3.0/mlflow/server-info").json()
    return found


def blob(door: Caller, path: str) -> Blob | None:
    return door.served.services.runner.read(lambda session: find_blob(session, ACTOR, f"default/{path}"))


def problems(door: Caller) -> list[str]:
    services = door.served.services
    return [str(one) for one in blobs.check(services.runner.read, services.store, lambda _count: None)]


def call(door: Caller, action: str, folder: str, **fields: Any) -> httpx.Response:
    return door.http.post(f"{BASE}/mpu/{action}/{folder}", json=fields)


def upload(door: Caller, folder: str, name: str, parts: list[bytes]) -> dict[str, Any]:
    """A multipart upload up to where it is completed, as the client makes it; what completes it."""
    begun = call(door, "create", folder, path=name, num_parts=len(parts)).json()
    done = []
    for credential, data in zip(begun["credentials"], parts, strict=True):
        answer = httpx.put(credential["url"], content=data, headers=credential["headers"])
        answer.raise_for_status()
        done.append({"part_number": credential["part_number"], "etag": answer.headers["etag"], "url": credential["url"]})
    return {"path": name, "upload_id": begun["upload_id"], "parts": done}


def read_blob(door: Caller, path: str) -> Blob:
    """Once its bytes have been read."""
    deadline = time.monotonic() + 30
    while (found := blob(door, path)) is None or found.digest is None:
        assert time.monotonic() < deadline, "nobody has read it"
        time.sleep(0.02)
    return found


def test_links_are_offered_where_they_lead_to_clients_only(files: Caller) -> None:
    assert {key: value for key, value in info(files).items() if value is True} == {
        "workspaces_enabled": True,
        "artifact_serving_enabled": True,
    }


def test_links_are_offered_where_they_lead_to_clients(linked: Caller) -> None:
    found = info(linked)

    assert found["multipart_uploads_enabled"] is found["multipart_downloads_enabled"] is True
    assert found["artifacts_presigned_only"] is False


@pytest.mark.parametrize(
    ("verb", "path"),
    [("POST", "mpu/create/1"), ("POST", "mpu/complete/1"), ("POST", "mpu/abort/1"), ("GET", "presigned/1/a.txt")],
)
def test_without_links_clients_are_told_to_use_the_proxy(files: Caller, verb: str, path: str) -> None:
    sent: dict[str, Any] = {"json": {"path": "a", "num_parts": 1}} if verb == "POST" else {}
    answer = files.http.request(verb, f"{BASE}/{path}", **sent)

    assert (answer.status_code, answer.json()["error_code"]) == (501, "NOT_IMPLEMENTED")
    assert " is not supported for the current artifact repository" in answer.json()["message"]


def test_an_upload_in_parts_makes_one_file_whose_digest_is_then_computed(linked: Caller) -> None:
    folder = fresh("folder")

    whole = upload(linked, folder, "big.bin", [PART, b"rest"])
    assert linked.http.get(f"{BASE}/artifacts/{folder}/big.bin").status_code == 404
    assert call(linked, "complete", folder, **whole).json() == {}
    again = call(linked, "complete", folder, **whole)

    digest = hashlib.sha256(PART + b"rest").hexdigest()
    found = read_blob(linked, f"{folder}/big.bin")
    assert again.status_code == 200
    assert hashlib.sha256(linked.http.get(f"{BASE}/artifacts/{folder}/big.bin").content).hexdigest() == digest
    assert (found.digest, found.size_bytes) == (digest, len(PART) + 4)
    assert problems(linked) == []


def test_a_digest_that_could_not_be_computed_at_once_is_computed_in_passing(linked: Caller) -> None:
    folder, services = fresh("folder"), linked.served.services
    whole = upload(linked, folder, "big.bin", [b"small"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(services.verifier, "soon", lambda _key: None)
        call(linked, "complete", folder, **whole)
    unread = blob(linked, f"{folder}/big.bin")
    pass_by(linked, now_ms() + 1)
    young = blob(linked, f"{folder}/big.bin")
    pass_by(linked, now_ms() + 2 * HOUR_MS)
    read = blob(linked, f"{folder}/big.bin")

    assert unread is not None and unread.digest is None  # noqa: PT018
    assert young == unread
    assert read is not None and read.digest == hashlib.sha256(b"small").hexdigest()  # noqa: PT018


def pass_by(door: Caller, now: int) -> None:
    asyncio.run(door.served.services.verifier.pass_by(now=now))


def test_an_upload_that_is_given_up_leaves_nothing(linked: Caller) -> None:
    folder = fresh("folder")
    whole = upload(linked, folder, "big.bin", [PART, b"rest"])

    assert [call(linked, "abort", folder, **whole).status_code for _ in range(2)] == [200, 200]
    gone = call(linked, "complete", folder, **whole)
    assert (gone.status_code, gone.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert linked.http.get(f"{BASE}/artifacts/{folder}/big.bin").status_code == 404


def test_parts_that_make_no_file_are_refused_and_the_upload_stays(linked: Caller) -> None:
    folder = fresh("folder")
    whole = upload(linked, folder, "big.bin", [PART, b"rest"])

    bad = call(linked, "complete", folder, **(whole | {"parts": [{"part_number": 1, "etag": "0" * 32}]}))
    none = call(linked, "complete", folder, **(whole | {"parts": []}))

    assert (bad.status_code, none.status_code) == (400, 400)
    assert call(linked, "complete", folder, **whole).status_code == 200


def test_a_file_is_downloaded_by_a_link_that_lives_fifteen_minutes(linked: Caller) -> None:
    path = f"{fresh('folder')}/a.html"
    linked.http.put(f"{BASE}/artifacts/{path}", content=b"<p>0123456789")

    link = linked.http.get(f"{BASE}/presigned/{path}").json()

    got = httpx.get(link["url"], headers={**link["headers"], "Range": "bytes=3-5"})
    assert (got.status_code, got.content, link["file_size"]) == (206, b"012", 13)
    assert (got.headers["content-type"], got.headers["content-disposition"][:10]) == ("application/octet-stream", "attachment")
    assert parse_qs(urlsplit(link["url"]).query)["X-Amz-Expires"] == ["900"]
    assert urlsplit(link["url"]).path.endswith(f"/default/{path}")


def test_a_link_is_for_its_own_file_only(linked: Caller) -> None:
    path = f"{fresh('folder')}/a.txt"
    for name in (path, f"{path}.other"):
        linked.http.put(f"{BASE}/artifacts/{name}", content=b"x")
    url = linked.http.get(f"{BASE}/presigned/{path}").json()["url"]

    assert httpx.get(url.replace("/a.txt?", "/a.txt.other?")).status_code == 403
    assert httpx.put(url, content=b"y").status_code == 403
    assert httpx.get(url).content == b"x"


@pytest.mark.parametrize("path", ["../a", "%2e%2e/a", "%252e%252e/a", "a%5cb"])
def test_no_link_leads_out_of_the_workspace(linked: Caller, path: str) -> None:
    assert 400 <= linked.http.get(f"{BASE}/presigned/{path}").status_code < 500
    assert 400 <= call(linked, "create", path, path="x", num_parts=1).status_code < 500
    assert 400 <= call(linked, "create", "folder", path="..", num_parts=1).status_code < 500


def test_a_runs_file_is_uploaded_by_a_link_and_read_in_passing(linked: Caller) -> None:
    run = linked.run("0")
    fields = {"run_id": run, "path": "a/b.bin"}
    nothing = linked.refused("POST", "artifacts/presigned-download-url", **fields)

    link = linked.post("artifacts/presigned-upload-url", **fields, expiration=100_000)
    announced = problems(linked)
    httpx.put(link["presigned_url"], content=b"bytes", headers=link["headers"]).raise_for_status()
    pass_by(linked, now_ms() + 2 * HOUR_MS)

    got = linked.post("artifacts/presigned-download-url", **fields)
    uri = linked.get("runs/get", run_id=run)["run"]["info"]["artifact_uri"]
    found = blob(linked, f"{uri.removeprefix('mlflow-artifacts:/')}/a/b.bin")
    assert nothing == (404, "RESOURCE_DOES_NOT_EXIST")
    assert announced == []
    assert parse_qs(urlsplit(link["presigned_url"]).query)["X-Amz-Expires"] == ["900"]
    assert (httpx.get(got["presigned_url"]).content, got["file_size"]) == (b"bytes", 5)
    assert found is not None and (found.digest, found.size_bytes) == (hashlib.sha256(b"bytes").hexdigest(), 5)  # noqa: PT018


def test_a_link_that_nobody_used_is_forgotten(linked: Caller) -> None:
    run = linked.run("0")
    linked.post("artifacts/presigned-upload-url", run_id=run, path="never.bin")
    path = linked.get("runs/get", run_id=run)["run"]["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/") + "/never.bin"
    early = blob(linked, path)

    pass_by(linked, now_ms() + UNUSED_MS + HOUR_MS)

    assert early is not None
    assert blob(linked, path) is None


def test_an_upload_by_link_takes_the_digest_of_what_was_there_before(linked: Caller) -> None:
    run = linked.run("0")
    path = linked.get("runs/get", run_id=run)["run"]["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/") + "/a.bin"
    linked.http.put(f"{BASE}/artifacts/{path}", content=b"old")

    link = linked.post("artifacts/presigned-upload-url", run_id=run, path="a.bin")["presigned_url"]
    httpx.put(link, content=b"newer").raise_for_status()

    found = blob(linked, path)
    assert found is not None and found.digest is None  # noqa: PT018
    assert problems(linked) == []
