"""Rules of identity that need more than one door to show."""

import uuid

import httpx
import pytest

from tests.catalog.reporting import report, task
from tests.mlmd.door import Door, fresh


@pytest.fixture
def http(door: Door) -> httpx.Client:
    return httpx.Client(base_url=door.served.url, timeout=60)


def send(http: httpx.Client, uid: str, version: int, pipeline: str) -> str:
    body = report(uid, version, task("train", "RUNNING"), pipeline=pipeline)
    answer = http.post("/api/v1/reports", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["run"])


def test_a_run_put_into_a_deleted_derived_experiment_is_born_deleted_and_stays_so(http: httpx.Client) -> None:
    pipeline = fresh("deleted")
    with http:
        first = send(http, str(uuid.uuid4()), 1, pipeline)
        shown = http.get(f"/api/v1/runs/{first}").json()
        assert (shown["experiment_name"], shown["lifecycle"]) == (f"pipelines/{pipeline}", "active")
        assert shown["artifact_root"] == f"default/runs/{first.removeprefix('run_')}/artifacts"
        http.delete(f"/api/v1/experiments/{shown['experiment_id']}").raise_for_status()

        uid = str(uuid.uuid4())
        second = send(http, uid, 1, pipeline)
        send(http, uid, 2, pipeline)

        found = http.get(f"/api/v1/runs/{second}").json()
        assert (found["experiment_id"], found["lifecycle"]) == (shown["experiment_id"], "deleted")
        seen = http.post(
            "/api/2.0/mlflow/runs/search", json={"experiment_ids": [shown["experiment_id"].removeprefix("exp_")]}
        ).json()
        assert "runs" not in seen or seen["runs"] == []


def test_a_process_does_not_put_its_run_into_a_deleted_experiment(http: httpx.Client) -> None:
    name = fresh("deleted")
    with http:
        experiment = http.post("/api/v1/experiments", json={"name": name}).json()["id"]
        http.delete(f"/api/v1/experiments/{experiment}").raise_for_status()
        node = {"node_id": str(uuid.uuid4())}

        refused = http.post("/api/v1/steps/join", json={**node, "experiment": name})

        assert refused.status_code == 409
        joined = http.post("/api/v1/steps/join", json=node).json()
        assert http.get(f"/api/v1/runs/{joined['run']}").json()["experiment_id"] is None
