"""Artifacts, datasets, environments, deployments, the audit log."""

import time
from typing import Any

import httpx
import pytest

from registry.names import new_run_hex
from tests.api.test_models import version
from tests.api.test_runs import problem


@pytest.fixture
def run(http: httpx.Client) -> str:
    return str(http.post("/api/v1/runs", json={}).json()["id"])


@pytest.fixture
def served(http: httpx.Client) -> tuple[str, str, str]:
    """A model, its version, and a deployment that serves it."""
    model = str(http.post("/api/v1/models", json={"name": new_run_hex()}).json()["id"])
    made = version(http, model)
    body = {"name": new_run_hex(), "environment": "prod", "model_version_id": made, "shares": [{"percent": 100, "version": made}]}
    return model, made, str(http.post("/api/v1/deployments", json=body).json()["id"])


def test_an_artifact_is_linked_to_its_run_and_read_back(http: httpx.Client, run: str) -> None:
    made = http.post("/api/v1/artifacts", json={"kind": "model", "uri": "s3://b/k", "tags": {"a": "1"}}).json()
    body = {"artifact_id": made["id"], "direction": "output", "port": "model"}

    said = [http.post(f"/api/v1/runs/{run}/uses", json=body).status_code for _ in range(2)]

    uses = http.get(f"/api/v1/runs/{run}/uses").json()["uses"]
    assert said == [204, 204]
    assert [(one["artifact"]["id"], one["direction"], one["port"]) for one in uses] == [(made["id"], "output", "model")]
    assert http.get(f"/api/v1/runs/{run}/uses", params={"direction": "input"}).json()["uses"] == []


def test_an_artifact_that_a_version_has_is_not_deleted(http: httpx.Client) -> None:
    made = http.post("/api/v1/artifacts", json={"uri": "s3://b/k2"}).json()["id"]
    registered = http.post("/api/v1/register", json={"model": new_run_hex(), "artifact_id": made}).json()

    refused = http.delete(f"/api/v1/artifacts/{made}")
    http.delete(f"/api/v1/model-versions/{registered['id']}")

    assert problem(refused, 409, "in-use")["data"] == {"dependants": [registered["id"]]}
    assert http.delete(f"/api/v1/artifacts/{made}").status_code == 204
    assert http.post(f"/api/v1/artifacts/{made}/restore").json()["lifecycle"] == "active"


def test_a_dataset_s_content_is_one_version_however_often_it_is_read(http: httpx.Client, run: str) -> None:
    name = new_run_hex()
    body = {"name": name, "digest": "d1", "schema_text": "{}"}

    first = http.post(f"/api/v1/runs/{run}/datasets", json=body).json()
    again = http.post(f"/api/v1/runs/{run}/datasets", json=body).json()
    other = http.post(f"/api/v1/runs/{run}/datasets", json=body | {"digest": "d2"}).json()

    assert first == again
    listed = http.get(f"/api/v1/datasets/{first['dataset_id']}/versions").json()["versions"]
    assert [one["id"] for one in listed] == [first["id"], other["id"]]
    assert [one["name"] for one in http.get("/api/v1/datasets", params={"name": name}).json()["datasets"]] == [name]


def test_what_a_live_deployment_serves_is_not_deleted(http: httpx.Client, served: tuple[str, str, str]) -> None:
    model, made, deployment = served

    refused = http.delete(f"/api/v1/models/{model}")
    archived = http.post(f"/api/v1/deployments/{deployment}/archive").json()["lifecycle"]

    assert problem(refused, 409, "in-use")["data"] == {"dependants": [deployment]}
    assert (archived, http.delete(f"/api/v1/model-versions/{made}").status_code) == ("archived", 204)


def test_a_deployment_s_history_says_who_got_the_traffic_when(http: httpx.Client, served: tuple[str, str, str]) -> None:
    model, made, deployment = served
    second = version(http, model)
    before = http.get(f"/api/v1/deployments/{deployment}/history").json()["history"]
    time.sleep(0.002)
    shares = [{"percent": 90, "version": made}, {"percent": 10, "version": second, "tag": "canary"}]

    http.patch(f"/api/v1/deployments/{deployment}", json={"shares": shares})

    history = http.get(f"/api/v1/deployments/{deployment}/history").json()["history"]
    then = http.get(f"/api/v1/deployments/{deployment}/history", params={"at": before[0]["at"]}).json()["history"]
    assert [[share["version"] for share in one["shares"]] for one in history] == [[made], [made, second]]
    assert then == before


def test_an_environment_with_a_deployment_is_not_deleted(http: httpx.Client) -> None:
    name = new_run_hex()
    made = http.post("/api/v1/deployments", json={"name": "d", "environment": name}).json()

    refused = http.delete(f"/api/v1/environments/{made['environment_id']}")
    http.delete(f"/api/v1/deployments/{made['id']}")

    problem(refused, 409, "in-use")
    assert http.delete(f"/api/v1/environments/{made['environment_id']}").status_code == 204


def test_the_audit_log_says_who_moved_what_and_can_be_verified(http: httpx.Client) -> None:
    model = http.post("/api/v1/models", json={"name": new_run_hex()}).json()["id"]
    made = version(http, model)
    http.put(f"/api/v1/models/{model}/aliases/champion", json={"version_id": made}, headers={"X-Request-Id": "why"})

    events = http.get("/api/v1/audit", params={"object": model}).json()["events"]
    deadline = time.monotonic() + 10
    while http.get("/api/v1/audit/verification").json()["unsealed"] and time.monotonic() < deadline:
        time.sleep(0.1)

    assert [one["action"] for one in events] == ["alias.moved", "model.created"]
    assert (events[0]["after"]["version"], events[0]["request_id"]) == (made, "why")
    proof = http.get("/api/v1/audit/verification").json()
    assert (proof["problems"], proof["unsealed"]) == ([], 0)
    assert proof["sealed"] >= 2


def test_lineage_leads_from_a_dataset_to_the_deployment(http: httpx.Client, run: str) -> None:
    data = http.post(f"/api/v1/runs/{run}/datasets", json={"name": new_run_hex(), "digest": "d"}).json()["id"]
    files = http.post("/api/v1/artifacts", json={"kind": "model", "uri": f"s3://b/{new_run_hex()}"}).json()["id"]
    http.post(f"/api/v1/runs/{run}/uses", json={"artifact_id": files, "direction": "output", "port": "model"})
    made = http.post("/api/v1/register", json={"model": new_run_hex(), "output": "model", "run_id": run}).json()["id"]
    body = {"name": new_run_hex(), "environment": "prod", "model_version_id": made}
    deployment = http.post("/api/v1/deployments", json=body).json()["id"]

    graph = http.get("/api/v1/lineage", params={"root": deployment, "direction": "upstream", "depth": 9}).json()
    paths = http.get("/api/v1/lineage/paths", params={"start": data, "goal": deployment}).json()
    impact = http.get("/api/v1/lineage/impact", params={"root": data, "kinds": "deployment,model_version"}).json()
    cut = http.get("/api/v1/lineage", params={"root": deployment, "direction": "upstream", "depth": 1}).json()

    assert {node["id"]: node["kind"] for node in graph["nodes"]} == {
        deployment: "deployment",
        made: "model_version",
        files: "model",
        run: "run",
        data: "dataset",
    }
    assert (graph["root"], graph["truncated"]) == (deployment, False)
    assert paths["paths"][0]["nodes"] in ([data, run, made, deployment], [data, run, files, made, deployment])
    assert [node["id"] for node in impact["items"]] == [made, deployment]
    assert (cut["truncated"], cut["cut"], {stub["node"] for stub in cut["frontier"]}) == (True, ["depth"], {made})


def test_everything_below_an_artifact_comes_in_pages(http: httpx.Client) -> None:
    data = http.post("/api/v1/artifacts", json={"uri": f"s3://b/{new_run_hex()}"}).json()["id"]
    runs = [str(http.post("/api/v1/runs", json={}).json()["id"]) for _ in range(5)]
    for one in runs:
        http.post(f"/api/v1/runs/{one}/uses", json={"artifact_id": data, "direction": "input"})

    pages: list[dict[str, Any]] = []
    token = ""
    while not pages or token:
        query = {"root": data, "page_size": 2} | ({"page_token": token} if token else {})
        pages.append(http.get("/api/v1/lineage/impact", params=query).json())
        token = pages[-1]["next_page_token"]

    assert [[node["id"] for node in page["items"]] for page in pages] == [runs[:2], runs[2:4], runs[4:]]


def test_lineage_of_nothing_is_not_found(http: httpx.Client) -> None:
    problem(http.get("/api/v1/lineage", params={"root": "run_" + "0" * 32}), 404, "not-found")
    problem(http.get("/api/v1/lineage", params={"root": "model_1"}), 400, "invalid-argument")
    problem(http.get("/api/v1/lineage/impact", params={"root": "art_999999"}), 404, "not-found")
