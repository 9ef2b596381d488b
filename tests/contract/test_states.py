"""The table of states: one status, stored once, in every door's own words."""

import uuid
from dataclasses import dataclass

import httpx
import pytest

from tests.catalog.reporting import report, task
from tests.mlmd.door import Door
from tests.mlmd.kubeflow import Run

UNKNOWN, NEW, RUNNING, COMPLETE, FAILED, CACHED, CANCELED = range(7)
"""Of MLMD's `Execution.State`."""


@dataclass(frozen=True)
class Line:
    """One line of the table; None where the column has no word for it."""

    core: str
    mlflow: str | None
    mlmd: int | None
    report: str | None


LINES = [
    Line("pending", "SCHEDULED", NEW, "NEW"),
    Line("running", "RUNNING", RUNNING, "RUNNING"),
    Line("succeeded", "FINISHED", COMPLETE, "COMPLETE"),
    Line("cached", "FINISHED", CACHED, "CACHED"),
    Line("failed", "FAILED", FAILED, "FAILED"),
    Line("canceled", "KILLED", CANCELED, "CANCELED"),
    Line("unknown", "SCHEDULED", UNKNOWN, "UNKNOWN"),
]
SKIPPED = Line("skipped", None, CANCELED, "CANCELED")
"""Of steps only; a report says so by a flag of its own."""


@pytest.fixture(params=LINES, ids=lambda line: line.core)
def line(request: pytest.FixtureRequest) -> Line:
    found: Line = request.param
    return found


@pytest.fixture
def http(door: Door) -> httpx.Client:
    return httpx.Client(base_url=door.served.url, timeout=60)


def mlflow_status(http: httpx.Client, run: str) -> str:
    answer = http.get("/api/2.0/mlflow/runs/get", params={"run_id": run.removeprefix("run_")})
    return str(answer.json()["run"]["info"]["status"])


def test_what_the_own_door_says_of_a_run_is_mlflow_s_word(http: httpx.Client, line: Line) -> None:
    with http:
        run = http.post("/api/v1/runs", json={"experiment_name": "states", "status": line.core}).json()["id"]

        assert mlflow_status(http, run) == line.mlflow


@pytest.mark.parametrize(
    ("word", "core"),
    [("SCHEDULED", "pending"), ("RUNNING", "running"), ("FINISHED", "succeeded"), ("FAILED", "failed"), ("KILLED", "canceled")],
)
def test_what_mlflow_says_of_a_run_is_the_core_s_status(http: httpx.Client, word: str, core: str) -> None:
    with http:
        run = http.post("/api/v1/runs", json={"experiment_name": "states"}).json()["id"]
        body = {"run_id": run.removeprefix("run_"), "status": word}
        assert http.post("/api/2.0/mlflow/runs/update", json=body).status_code == 200

        assert http.get(f"/api/v1/runs/{run}").json()["status"] == core


def reported(http: httpx.Client, line: Line) -> tuple[str, int]:
    """The status of the step, and its execution's id."""
    uid = str(uuid.uuid4())
    told = task("train", str(line.report), **({"skipped": True} if line is SKIPPED else {}))
    assert http.post("/api/v1/reports", json=report(uid, 1, told)).json()["result"] == "applied"
    [step] = http.get(f"/api/v1/runs/run_{uid.replace('-', '')}/steps").json()["steps"]
    return step["status"], int(step["id"].removeprefix("step_"))


def test_what_a_report_says_of_a_task_is_mlmd_s_state(http: httpx.Client, door: Door, line: Line) -> None:
    with http:
        status, execution = reported(http, line)

        assert status == line.core
        assert door.one("execution", execution).last_known_state == line.mlmd


def test_a_skipped_step_is_canceled_in_mlmd(http: httpx.Client, door: Door) -> None:
    with http:
        status, execution = reported(http, SKIPPED)

        assert status == SKIPPED.core
        assert door.one("execution", execution).last_known_state == SKIPPED.mlmd


def test_what_mlmd_says_of_a_task_is_the_step_s_status(http: httpx.Client, door: Door, line: Line) -> None:
    run = Run(door, str(uuid.uuid4()))
    run.start()
    with http:
        execution = run.driven("train", task_name="train", parent_dag_id=run.ids["root"], state=line.mlmd)

        step = http.get(f"/api/v1/steps/step_{execution}").json()
        # CANCELED on a `system.*Execution` is a task whose condition was false.
        assert step["status"] == ("skipped" if line.mlmd == CANCELED else line.core)
        assert door.one("execution", execution).last_known_state == line.mlmd


def test_a_state_that_mlmd_never_said_stays_unsaid(http: httpx.Client, door: Door) -> None:
    run = Run(door, str(uuid.uuid4()))
    run.start()
    with http:
        execution = run.driven("train", task_name="train", parent_dag_id=run.ids["root"], state=None)

        assert http.get(f"/api/v1/steps/step_{execution}").json()["status"] is None
        assert not door.one("execution", execution).HasField("last_known_state")
