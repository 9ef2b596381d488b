"""A step's own process joins its workflow's run over REST."""

import httpx
import pytest

from registry.names import new_run_hex
from tests.api.test_runs import problem
from tests.catalog.reporting import new_uid, report, task


@pytest.fixture
def uid() -> str:
    return new_uid()


def send(http: httpx.Client, uid: str, node: str) -> None:
    ended = task("train", node_id=node, started_at="2026-01-01T00:00:00Z", finished_at="2026-01-01T01:00:00Z")
    assert http.post("/api/v1/reports", json=report(uid, 3, ended, state="COMPLETE")).json()["result"] == "applied"


def test_what_a_waiting_step_used_and_made_is_the_reported_step_s(http: httpx.Client, uid: str) -> None:
    joined = http.post("/api/v1/steps/join", json={"node_id": f"wf-{uid}"}).json()
    run, step = joined["run"], joined["step"]
    assert joined["reported"] is False
    made = http.post("/api/v1/artifacts", json={"kind": "model", "uri": f"s3://b/{uid}"}).json()["id"]
    body = {"artifact_id": made, "direction": "output", "port": "model", "step": step}
    assert http.post(f"/api/v1/runs/{run}/uses", json=body).status_code == 204
    read = {"name": f"d {uid}", "digest": "d1", "step": step}
    dataset = http.post(f"/api/v1/runs/{run}/datasets", json=read).json()["id"]

    send(http, uid, f"wf-{uid}")

    again = http.post("/api/v1/steps/join", json={"node_id": f"wf-{uid}", "status": "failed"}).json()
    assert (again["run"], again["reported"]) == ("run_" + uid.replace("-", ""), True)
    for known in (run, again["run"]):
        uses = http.get(f"/api/v1/runs/{known}/uses").json()["uses"]
        assert [(use["artifact"]["id"], use["direction"], use["step"]) for use in uses] == [
            (made, "output", again["step"]),
            (dataset, "input", again["step"]),
        ]
    assert http.get(f"/api/v1/steps/{step}").json() == http.get(f"/api/v1/steps/{again['step']}").json()
    assert http.get(f"/api/v1/runs/{run}").json()["status"] == "succeeded"
    assert http.post(f"/api/v1/runs/{run}/uses", json=body).status_code == 204  # the id it was given goes on answering


def test_a_dataset_that_the_step_made_is_its_output(http: httpx.Client, uid: str) -> None:
    joined = http.post("/api/v1/steps/join", json={"pod_name": f"pod-{uid}"}).json()

    body = {"name": f"d {uid}", "digest": "d1", "step": joined["step"], "direction": "output"}
    made = http.post(f"/api/v1/runs/{joined['run']}/datasets", json=body).json()

    [use] = http.get(f"/api/v1/runs/{joined['run']}/uses").json()["uses"]
    assert (use["artifact"]["id"], use["direction"], use["step"]) == (made["id"], "output", joined["step"])


@pytest.mark.parametrize("body", [{}, {"node_id": "n", "run_id": "x"}, {"node_id": ""}])
def test_a_place_that_names_nothing_is_refused(http: httpx.Client, body: dict[str, str]) -> None:
    problem(http.post("/api/v1/steps/join", json=body), 400, "invalid-argument")


def test_a_step_of_another_run_is_not_found(http: httpx.Client, uid: str) -> None:
    joined = http.post("/api/v1/steps/join", json={"node_id": f"wf-{uid}"}).json()
    other = http.post("/api/v1/runs", json={"name": new_run_hex()}).json()["id"]
    made = http.post("/api/v1/artifacts", json={"uri": f"s3://b/{uid}"}).json()["id"]

    body = {"artifact_id": made, "direction": "input", "step": joined["step"]}

    problem(http.post(f"/api/v1/runs/{other}/uses", json=body), 404, "not-found")
    assert http.get(f"/api/v1/runs/{other}/uses").json()["uses"] == []
