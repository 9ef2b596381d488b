"""A small world told over REST: a workflow's run with two steps, two training runs, a dataset, a model with two versions, a
deployment.
"""

from dataclasses import dataclass
from typing import Any

import httpx

from registry.names import new_run_hex
from tests.catalog.reporting import new_uid, report, task


@dataclass(frozen=True)
class World:
    """Ids, and the names that tell this world from others in the store."""

    name: str
    experiment: str
    runs: list[str]
    workflow: str
    steps: list[str]
    artifact: str
    dataset: str
    dataset_version: str
    model: str
    versions: list[str]
    deployment: str
    environment: str


def make_world(http: httpx.Client) -> World:
    name = f"w-{new_run_hex()[:8]}"
    runs = [_run(http, name, loss) for loss in (0.5, 0.25)]
    uid = new_uid()
    times = {"started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T01:00:00Z"}
    sent = _post(http, "reports", report(uid, 3, task("prepare", **times), task("train", **times), state="COMPLETE", name=name))
    assert sent["result"] == "applied"
    workflow = "run_" + uid.replace("-", "")
    steps = [step["id"] for step in http.get(f"/api/v1/runs/{workflow}/steps").json()["steps"]]
    artifact = _post(http, "artifacts", {"kind": "model", "uri": f"s3://b/{name}", "size_bytes": 7, "digest": "0" * 64})["id"]
    read = _post(http, f"runs/{workflow}/datasets", {"name": name, "digest": "d1", "step": steps[0]})
    made = {"artifact_id": artifact, "direction": "output", "port": "model", "step": steps[1]}
    assert http.post(f"/api/v1/runs/{workflow}/uses", json=made).status_code == 204
    again = {"name": name, "digest": "d1", "step": steps[1], "port": "data"}
    _post(http, f"runs/{workflow}/datasets", again)
    model = _post(http, "models", {"name": name, "owner": "ann"})["id"]
    first = _post(http, f"models/{model}/versions", {"run_id": runs[0], "source": f"s3://b/{name}/1"})["id"]
    second = _post(http, "register", {"model": name, "artifact_id": artifact, "run_id": runs[1]})["id"]
    for version in (first, second):
        moved = http.put(f"/api/v1/models/{model}/aliases/champion", json={"version_id": version, "reason": "better"})
        assert moved.status_code == 200, moved.text
    body = {
        "name": name,
        "environment": f"{name}-prod",
        "model_version_id": second,
        "shares": [{"percent": 100, "version": second}],
    }
    deployment = _post(http, "deployments", body)
    experiment = http.get(f"/api/v1/runs/{runs[0]}").json()["experiment_id"]
    return World(
        name,
        experiment,
        runs,
        workflow,
        steps,
        artifact,
        read["dataset_id"],
        read["id"],
        model,
        [first, second],
        deployment["id"],
        deployment["environment_id"],
    )


def _run(http: httpx.Client, name: str, loss: float) -> str:
    run = str(_post(http, "runs", {"experiment_name": name, "name": f"train {loss}"})["id"])
    points = [{"key": "loss", "value": value, "step": step, "at": step} for step, value in enumerate((1.0, float("nan"), loss))]
    shown = [point | {"value": "NaN"} if point["step"] == 1 else point for point in points]
    body = {"metrics": shown, "params": {"lr": str(loss)}, "tags": {"team": "red"}}
    assert http.post(f"/api/v1/runs/{run}/log", json=body).status_code == 204
    return run


def _post(http: httpx.Client, path: str, body: dict[str, Any]) -> Any:
    response = http.post(f"/api/v1/{path}", json=body)
    assert response.status_code < 300, response.text
    return response.json() if response.content else None
