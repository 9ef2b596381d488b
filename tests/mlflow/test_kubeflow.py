"""The eight calls of Kubeflow Pipelines' MLflow plugin, byte for byte as its Go client sends them.

`recorded/kubeflow.json` is that client (kubeflow/pipelines at 7b70c7b) making an experiment twice, a parent run whose answer is
lost, nested runs of tasks and a loop with metrics, an end with what is left open, a retry that opens it again, and an end; with
the answers of MLflow 3.17.2, of which what the client reads is kept. Ids and page tokens stand as `<run 1>`.
"""

import json
import re
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.catalog.reporting import report, task
from tests.mlflow.calling import Caller, fresh

RECORDED = json.loads((Path(__file__).parent / "recorded" / "kubeflow.json").read_text("utf-8"))
CALLS: Sequence[dict[str, Any]] = RECORDED["calls"]
KFP_RUN = "0f0b62a5-5b1c-4bd1-9d3e-7c0a4f1d2e33"


class Replay:
    """Of the recorded calls, for a KFP run and an experiment of its own."""

    def __init__(self, door: Caller) -> None:
        self.door = door
        self.kfp_run = str(uuid.uuid4())
        self.name = fresh("experiment")
        self.ids: dict[str, str] = {}

    def said(self, text: str) -> str:
        """What was recorded, with the ids that there are here."""
        text = text.replace(KFP_RUN, self.kfp_run).replace("ours", self.name)
        return re.sub(r"<\w+ \d+>", lambda found: self.ids[found[0]], text)

    def send(self, call: dict[str, Any]) -> tuple[int, Any]:
        """The status, and of the answer what was recorded; its new ids are remembered."""
        url, body = self.door.served.url + self.said(call["target"]), self.said(call["body"]).encode()
        answer = self.door.http.request(call["verb"], url, content=body, headers=RECORDED["headers"])
        return answer.status_code, self._like(call["answer"], answer.json())

    def _like(self, recorded: Any, here: Any) -> Any:
        if isinstance(recorded, dict):
            return {key: self._like(value, here.get(key)) for key, value in recorded.items()}
        if isinstance(recorded, list):
            padded = [*here, *[None] * len(recorded)] if here else []
            return [self._like(value, one) for value, one in zip(recorded, padded, strict=False)]
        if isinstance(recorded, str) and re.fullmatch(r"<\w+ \d+>", recorded):
            return recorded if self.ids.setdefault(recorded, here) == here else here
        return here.replace(self.name, "ours") if isinstance(here, str) else here

    def all(self) -> str:
        """The whole sequence; the id of the parent run."""
        for call in CALLS:
            assert self.send(call) == (call["status"], call["answer"]), call
        return self.ids["<run 1>"]

    def report(self, version: int, **run: Any) -> None:
        """What the agent says of the workflow."""
        body = report(self.kfp_run, version, task("prepare"), task("train"), **run)
        answer = self.door.http.post("/api/v1/reports", json=body)
        assert answer.is_success, answer.text


@pytest.fixture
def replay(door: Caller) -> Replay:
    return Replay(door)


def test_every_call_is_answered_as_mlflow_answers_it(replay: Replay) -> None:
    for call in CALLS:
        assert replay.send(call) == (call["status"], call["answer"]), call


def test_a_run_whose_answer_was_lost_is_found_at_once_and_made_once(door: Caller, replay: Replay) -> None:
    replay.all()

    assert door.found(replay.ids["<experiment 1>"], filter=f"tags.`mlflow.kfp.idempotencyKey` = '{replay.kfp_run}'") == [
        "lost answer"
    ]
    assert sorted(door.found(replay.ids["<experiment 1>"])) == ["lost answer", "prepare", "train", "train-loop"]


def test_what_is_escaped_on_the_way_arrives_as_it_was(door: Caller, replay: Replay) -> None:
    replay.all()

    data = door.get("runs/get", run_id=replay.ids["<run 2>"])["run"]["data"]
    assert {one["key"]: one["value"] for one in data["params"]} == {"rows": "100", "where": '"s3://b/<x>"'}
    assert {one["key"]: (one["value"], one["timestamp"]) for one in data["metrics"]} == {"accuracy": (0.25, 0), "rows": (1e21, 0)}
    assert door.tags(replay.ids["<run 4>"])["note"] == 'it\'s "done"'


@pytest.mark.parametrize("reported_first", [True, False])
def test_the_parent_run_is_one_with_the_workflow_whichever_came_first(door: Caller, replay: Replay, reported_first: bool) -> None:
    if reported_first:
        replay.report(1)
    parent = replay.all()
    if not reported_first:
        replay.report(1)

    shown = door.get("runs/get", run_id=replay.kfp_run.replace("-", ""))["run"]["info"]
    steps = door.http.get(f"/api/v1/runs/run_{parent}/steps").json()["steps"]
    assert (shown["run_id"], shown["run_name"], shown["experiment_id"]) == (parent, "lost answer", replay.ids["<experiment 1>"])
    assert {step["name"] for step in steps} == {"prepare", "train"}


def test_a_run_that_the_plugin_left_running_is_closed_by_the_workflows_report(door: Caller, replay: Replay) -> None:
    for call in CALLS[:6]:
        replay.send(call)
    replay.send(CALLS[6])

    replay.report(1)
    running = door.get("runs/get", run_id=replay.ids["<run 1>"])["run"]["info"]["status"]
    replay.report(2, state="FAILED")

    assert running == "RUNNING"
    assert door.get("runs/get", run_id=replay.ids["<run 1>"])["run"]["info"]["status"] == "FAILED"
