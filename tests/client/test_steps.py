"""A process in a step of a workflow logs to the workflow's run, whichever of the two comes first."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import agent.main
import lineal
from lineal.environment import detect
from tests.servers import Served


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[lineal.Client]:
    with lineal.Client(server.url) as made:
        yield made


class Workflow:
    """One Argo Workflow of one task, which an agent may report."""

    def __init__(self, url: str, folder: Path) -> None:
        self.uid = str(uuid.uuid4())
        self.name = f"wf-{self.uid[:8]}"
        self.node_id = f"{self.name}-1234567890"
        self._url = url
        self._file = folder / f"{self.name}.json"

    def report(self, phase: str = "Succeeded") -> None:
        times = {"startedAt": "2026-03-02T08:00:00Z", "finishedAt": None if phase == "Running" else "2026-03-02T08:09:30Z"}
        root = {"id": self.name, "name": self.name, "displayName": self.name, "type": "DAG", "phase": phase, **times}
        task = {"id": self.node_id, "name": f"{self.name}.train", "displayName": "train", "type": "Pod", "phase": phase, **times}
        metadata = {"name": self.name, "namespace": "default", "uid": self.uid, "resourceVersion": "7"}
        template = {"name": "main", "dag": {"tasks": [{"name": "train", "template": "train"}]}}
        whole = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "Workflow",
            "metadata": metadata,
            "spec": {"entrypoint": "main", "templates": [template, {"name": "train", "container": {"image": "train"}}]},
            "status": {
                "phase": phase,
                **times,
                "nodes": {
                    self.name: root | {"templateName": "main", "children": [self.node_id]},
                    self.node_id: task | {"templateName": "train", "boundaryID": self.name},
                },
            },
        }
        self._file.write_text(json.dumps(whole))
        assert agent.main.main(["replay", "--server", self._url, str(self._file)]) == 0


@pytest.fixture
def workflow(server: Served, tmp_path: Path) -> Workflow:
    return Workflow(server.url, tmp_path)


@pytest.fixture
def in_step(workflow: Workflow, monkeypatch: pytest.MonkeyPatch) -> Workflow:
    monkeypatch.setenv("ARGO_NODE_ID", workflow.node_id)
    return workflow


def log(client: lineal.Client, **arguments: Any) -> tuple[str, str | None]:
    """What a training script does; run and step that it was told."""
    with lineal.run(client=client, **arguments) as run:
        run.log_params({"lr": 0.1})
        run.log_metric("loss", 0.5, step=3)
        run.log_dataset("s3://lake/rows", "rows", version="1")
        return run.id, run.step


def seen(client: lineal.Client, run: str) -> dict[str, Any]:
    found = client.get_run(run)
    metrics = {metric["key"]: metric["value"] for metric in found["metrics"]}
    steps = {step["id"]: step["name"] for step in client.steps(run)}
    uses = [(use["artifact"]["uri"], steps[use["step"]]) for use in client.uses(run)]
    return {"lr": found["params"].get("lr"), "loss": metrics.get("loss"), "status": found["status"], "uses": uses}


LOGGED = {"lr": "0.1", "loss": 0.5, "uses": [("s3://lake/rows", "train")]}


def test_a_process_before_the_report(client: lineal.Client, in_step: Workflow) -> None:
    run, step = log(client)

    in_step.report()

    reported = f"run_{in_step.uid.replace('-', '')}"
    assert step is not None
    assert client.get_run(run)["id"] == client.get_run(reported)["id"]
    assert seen(client, reported) == LOGGED | {"status": "succeeded"}
    assert [step["node_id"] for step in client.steps(reported) if step["name"] == "train"] == [in_step.node_id]


@pytest.mark.parametrize("phase", ["Running", "Failed"])
def test_a_process_after_the_report_leaves_its_status(client: lineal.Client, in_step: Workflow, phase: str) -> None:
    in_step.report(phase)

    run, _ = log(client)

    assert run == f"run_{in_step.uid.replace('-', '')}"
    assert seen(client, run) == LOGGED | {"status": phase.lower()}


def test_a_report_between_start_and_end_of_a_process(client: lineal.Client, in_step: Workflow) -> None:
    with lineal.run(client=client) as run:
        run.log_params({"lr": 0.1})
        in_step.report("Running")
        run.log_metric("loss", 0.5)
        run.log_dataset("s3://lake/rows", "rows", version="1")

    assert seen(client, run.id) == LOGGED | {"status": "running"}


def test_a_failed_process_does_not_overrule_its_workflow(client: lineal.Client, in_step: Workflow) -> None:
    in_step.report("Running")

    with pytest.raises(ValueError, match="broken"), lineal.run(client=client) as run:
        raise ValueError("broken")

    assert client.get_run(run.id)["status"] == "running"


def test_nested_is_a_run_of_its_own_below_the_workflows(client: lineal.Client, in_step: Workflow) -> None:
    in_step.report("Running")

    run, step = log(client, nested=True, experiment="children")

    found = client.get_run(run)
    assert (found["parent"], step) == (f"run_{in_step.uid.replace('-', '')}", None)
    assert (found["status"], found["experiment_name"]) == ("succeeded", "children")


def test_an_explicit_parent_or_run_beats_the_environment(client: lineal.Client, in_step: Workflow) -> None:
    other = client.create_run(experiment_name="other")["id"]

    run, step = log(client, run_id=other)
    child, child_step = log(client, parent=other)

    assert (run, step, child_step) == (other, None, None)
    assert client.get_run(child)["parent"] == other


@pytest.mark.parametrize("variable", ["LINEAL_RUN_ID", "MLFLOW_RUN_ID"])
def test_a_run_that_the_environment_names_goes_on(
    client: lineal.Client, in_step: Workflow, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    made = client.create_run(experiment_name="continued", name="before")["id"]
    client.update_run(made, status="failed")
    monkeypatch.setenv(variable, made.removeprefix("run_"))

    with lineal.run(client=client, name="after", tags={"a": "b"}) as run:
        during = client.get_run(run.id)

    after = client.get_run(made)
    assert (run.id, during["status"], after["status"]) == (made, "running", "succeeded")
    assert (after["name"], after["tags"]) == ("after", {"a": "b"})


def test_outside_of_a_pod_a_run_is_new_and_its_own(client: lineal.Client) -> None:
    run, step = log(client, experiment="outside")

    found = client.get_run(run)
    assert (step, found["parent"], found["experiment_name"], found["status"]) == (None, None, "outside", "succeeded")
    assert list(client.steps(run)) == []


def test_kubeflow_names_its_pod(client: lineal.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = str(uuid.uuid4())
    monkeypatch.setenv("KFP_POD_NAME", f"pod-{uid}")
    monkeypatch.setenv("KFP_RUN_ID", uid)

    run, step = log(client, name="train")

    assert (run, step is not None) == (f"run_{uid.replace('-', '')}", True)
    assert seen(client, run)["uses"] == [("s3://lake/rows", "train")]


@pytest.mark.parametrize(
    ("prefix", "notebook"), [("/notebook/team/nb", "team/nb"), ("/notebook/team/nb/", "team/nb"), ("/lab", None), ("", None)]
)
def test_the_environment_tells_the_notebook(prefix: str, notebook: str | None) -> None:
    assert detect({"NB_PREFIX": prefix}).notebook == notebook


def test_a_run_from_a_notebook_says_which(client: lineal.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NB_PREFIX", "/notebook/team/nb")

    with lineal.start_run(client=client, tags={"a": "1"}) as run:
        tags = client.get_run(run.id)["tags"]

    assert tags == {"a": "1", "lineal.notebook": "team/nb"}


def test_the_environment_tells_the_step() -> None:
    place = detect({"KFP_POD_NAME": "p", "KFP_POD_UID": "u", "ARGO_NODE_ID": "n", "MLFLOW_EXPERIMENT_NAME": "e"})

    assert (place.pod_name, place.pod_uid, place.node_id, place.experiment, place.is_step) == ("p", "u", "n", "e", True)
    assert not detect({}).is_step
