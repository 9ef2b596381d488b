"""The table of visibility: which door lists a record, finds it by name, or hides it."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from registry.tables.runs import runs
from tests.catalog.reporting import report, task
from tests.mlmd.door import Door, fresh
from tests.mlmd.kubeflow import Run

LISTED, BY_NAME, HIDDEN = "listed", "by name", "hidden"


@dataclass
class World:
    """One record of each line; `nodes`: kind and integer id in MLMD, `mlflow`: kind and id there, where it has a word for it."""

    door: Door
    http: httpx.Client
    nodes: dict[str, tuple[str, int]] = field(default_factory=dict)
    mlflow: dict[str, tuple[str, str]] = field(default_factory=dict)

    def post(self, path: str, **body: Any) -> Any:
        answer = self.http.post(path, json=body)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def run(self, line: str, hex: str) -> None:
        found = self.door.served.services.runner.read(
            lambda session: session.scalar(sa.select(runs.c.id).where(runs.c.hex == hex))
        )
        self.nodes[line] = ("context", int(found))
        self.mlflow[line] = ("run", hex)

    def own(self, line: str, kind: str, id: str) -> None:
        self.nodes[line] = (kind, int(id.rpartition("_")[2]))


def fill(world: World) -> None:
    name = fresh("visible")
    own = world.post("/api/v1/runs", experiment_name=name)
    world.run("run of the own client", own["id"].removeprefix("run_"))
    world.own("experiment", "context", own["experiment_id"])
    world.mlflow["experiment"] = ("experiment", own["experiment_id"].removeprefix("exp_"))
    experiment = world.post("/api/2.0/mlflow/experiments/create", name=fresh("visible"))["experiment_id"]
    made = world.post("/api/2.0/mlflow/runs/create", experiment_id=experiment)["run"]["info"]
    world.run("run of MLflow", made["run_id"])

    uid = str(uuid.uuid4())
    output = {"artifacts": [{"name": "model", "uri": f"s3://b/{uid}", "type": "system.Model"}]}
    world.post("/api/v1/reports", **report(uid, 1, task("train", outputs=output), state="COMPLETE", pipeline=name))
    agent = uid.replace("-", "")
    world.run("pipeline run, built-in type", agent)
    [step] = world.http.get(f"/api/v1/runs/run_{agent}/steps").json()["steps"]
    world.own("step, built-in type", "execution", step["id"])
    [use] = world.http.get(f"/api/v1/runs/run_{agent}/uses").json()["uses"]
    world.own("KFP output not registered, built-in type", "artifact", use["artifact"]["id"])

    typed = Run(world.door, str(uuid.uuid4()))
    typed.whole()
    world.run("pipeline run, user type", typed.uid.replace("-", ""))
    world.nodes["step, user type"] = ("execution", typed.ids["train"])
    world.nodes["KFP output not registered, user type"] = ("artifact", typed.ids["model"])

    version = world.post("/api/v1/register", model=name, uri=f"s3://b/{name}", run_id=own["id"])
    world.own("registered model", "context", version["model_id"])
    world.own("version", "context", version["id"])
    world.own("registered model files, built-in type", "artifact", version["artifact_id"])
    dataset = world.post(f"/api/v1/runs/{own['id']}/datasets", name=name, digest="d")
    world.own("dataset", "artifact", dataset["id"])
    deployment = world.post("/api/v1/deployments", name=name, environment="prod", model_version_id=version["id"])
    world.own("deployment", "context", deployment["id"])


@pytest.fixture(scope="module")
def world(door: Door) -> Any:
    with httpx.Client(base_url=door.served.url, timeout=60) as http:
        made = World(door, http)
        fill(made)
        yield made


# Per line: MLflow, ML Metadata. A door that lands adds its column here and its function below.
TABLE = {
    "run of MLflow": (LISTED, BY_NAME),
    "run of the own client": (LISTED, BY_NAME),
    "pipeline run, user type": (LISTED, LISTED),
    "pipeline run, built-in type": (LISTED, BY_NAME),
    "step, user type": (HIDDEN, LISTED),
    "step, built-in type": (HIDDEN, BY_NAME),
    "experiment": (LISTED, BY_NAME),
    "registered model": (None, BY_NAME),  # MLflow's registry has not landed
    "version": (None, BY_NAME),
    "registered model files, built-in type": (None, BY_NAME),
    "KFP output not registered, user type": (HIDDEN, LISTED),
    "KFP output not registered, built-in type": (HIDDEN, BY_NAME),
    "dataset": (None, BY_NAME),  # an input of its runs there: tests/mlflow/test_recording.py
    "deployment": (HIDDEN, BY_NAME),
}


def in_mlflow(world: World, line: str) -> str:
    """What is hidden has no word there: no run and no experiment stands for it."""
    found: set[tuple[str, str]] = set()
    listed = world.post("/api/2.0/mlflow/experiments/search", max_results=1000)["experiments"]
    found |= {("experiment", one["experiment_id"]) for one in listed}
    ids = [one["experiment_id"] for one in listed]
    search = world.post("/api/2.0/mlflow/runs/search", experiment_ids=ids, max_results=1000)
    found |= {("run", one["info"]["run_id"]) for one in search["runs"]}
    assert len(search["runs"]) == sum(kind == "run" for kind, _ in world.mlflow.values())
    return LISTED if line in world.mlflow and world.mlflow[line] in found else HIDDEN


def in_ml_metadata(world: World, line: str) -> str:
    kind, id = world.nodes[line]
    method = {"context": "GetContexts", "execution": "GetExecutions", "artifact": "GetArtifacts"}[kind]
    ids: Callable[[Any], set[int]] = lambda answer: {node.id for node in getattr(answer, f"{kind}s")}  # noqa: E731
    if id in ids(world.door.call(method)):
        return LISTED
    by_id = [node.id for node in world.door.get(kind, id)]
    by_filter = ids(world.door.call(method, options={"filter_query": f"id = {id}", "max_result_size": 10}))
    assert (by_id == [id]) == (by_filter == {id}), "id and filter agree"
    return BY_NAME if by_id == [id] else HIDDEN


@pytest.mark.parametrize("line", [line for line, (mlflow, _) in TABLE.items() if mlflow is not None])
def test_mlflow_shows_what_its_column_says(world: World, line: str) -> None:
    assert in_mlflow(world, line) == TABLE[line][0]


@pytest.mark.parametrize("line", TABLE)
def test_ml_metadata_shows_what_its_column_says(world: World, line: str) -> None:
    assert in_ml_metadata(world, line) == TABLE[line][1]


def test_a_built_in_type_is_found_by_name_and_is_in_no_list(world: World) -> None:
    by_name = partial(world.door.call, "GetContextType")
    assert by_name(type_name="kf.ExperimentRun").context_type.name == "kf.ExperimentRun"
    names = {made.name for made in world.door.call("GetContextTypes").context_types}
    assert "system.PipelineRun" in names
    assert not {name for name in names if name.startswith(("kf.", "lineal."))}


def test_every_line_has_a_record(world: World) -> None:
    assert world.nodes.keys() == TABLE.keys()
