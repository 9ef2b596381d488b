"""Importing a Model Registry's database: the same tables, with types of its own."""

import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from registry.catalog.checking import check_all
from tests.mlmd.door import Door
from tests.mlmd.test_import import change, imported, served


@pytest.fixture
def registry(reference_python: Path, tmp_path: Path) -> str:
    """As the Go server has filled it: the same tables, types of its own, fields as declared properties, no MLMDEnv."""
    path = tmp_path / "registry.db"
    script = Path(__file__).parent / "reference" / "fill_registry.py"
    subprocess.run([str(reference_python), str(script), str(path)], check=True, timeout=120)
    change(path, "DROP TABLE MLMDEnv")
    return f"sqlite:///{path}"


def models(door: Door) -> dict[str, list[tuple[Any, ...]]]:
    """Versions by model: name, number, source, lifecycle."""
    url = f"{door.served.url}/api/v1"
    found = {}
    for model in httpx.get(f"{url}/models", timeout=60).json()["models"]:
        found[model["name"]] = sorted(
            (one["name"], one["number"], one["source"], one["lifecycle"])
            for lifecycle in ("active", "archived")
            for one in httpx.get(
                f"{url}/model-versions", params={"model_id": model["id"], "lifecycle": lifecycle}, timeout=60
            ).json()["versions"]
        )
    return found


def test_models_versions_and_files_of_a_model_registry_are_ours(registry: str, tmp_path: Path) -> None:
    report = imported(tmp_path, registry)

    assert "context 6: what it belongs to is not there" in report
    with served(tmp_path) as door:
        assert models(door) == {
            "churn": [
                ("4", 4, "s3://b/churn/4", "active"),
                ("first", 1, "s3://b/churn/1", "active"),
                ("old", 5, None, "archived"),
            ]
        }
        [model] = httpx.get(f"{door.served.url}/api/v1/models", timeout=60).json()["models"]
        assert (model["id"], model["description"], model["owner"]) == ("model_1", "leaves", "ann")
        assert not door.served.services.runner.read(lambda session: list(check_all(session)))
        assert door.one("context", 1).custom_properties["team"].string_value == "red"


def test_a_model_that_is_there_takes_the_versions(registry: str, tmp_path: Path) -> None:
    with served(tmp_path) as door:
        url = f"{door.served.url}/api/v1/models"
        own = httpx.post(url, json={"name": "churn"}, timeout=60).json()
        httpx.post(f"{url}/{own['id']}/versions", json={"source": "s3://b/own", "name": "first"}, timeout=60).raise_for_status()

    imported(tmp_path, registry)

    with served(tmp_path) as door:
        assert [name for name, *_ in models(door)["churn"]] == ["4", "first", "first.imported", "old"]
        assert not door.served.services.runner.read(lambda session: list(check_all(session)))


def test_experiments_runs_and_their_measures_of_a_model_registry_are_ours(registry: str, tmp_path: Path) -> None:
    report = imported(tmp_path, registry)

    assert report.count("what it belongs to is not there") == 2
    assert "it is of no run and no version" in report
    assert report.count("an end of it was left out") == 1
    with served(tmp_path) as door:
        url = f"{door.served.url}/api/v1"
        [run] = httpx.get(f"{url}/runs", timeout=60).json()["runs"]
        assert (run["name"], run["experiment_name"], run["status"]) == ("night", "tuning", "succeeded")
        assert (run["started_at"], run["ended_at"], run["params"]) == (1000, 9000, {"rate": "0.10"})
        assert [(one["key"], one["value"], one["step"]) for one in run["metrics"]] == [("auc", 0.75, 2)]
        history = httpx.get(f"{url}/runs/{run['id']}/metrics/auc", timeout=60).json()
        assert [(point["step"], point["value"]) for point in history["metrics"]] == [(1, 0.5), (2, 0.75)]
        shown = door.call("GetContextByTypeAndName", type_name="kf.ExperimentRun", context_name="night").context
        assert shown.properties["status"].string_value == "FINISHED"
        assert not door.call("GetArtifactsByType", type_name="kf.MetricHistory").artifacts
        assert not door.served.services.runner.read(lambda session: list(check_all(session)))


def test_data_sets_of_a_model_registry_are_ours(registry: str, tmp_path: Path) -> None:
    """The same content told twice is one version, which the artifacts outlive; what a run had is its input."""
    imported(tmp_path, registry)

    with served(tmp_path) as door:
        url = f"{door.served.url}/api/v1"
        found = {}
        for one in httpx.get(f"{url}/datasets", timeout=60).json()["datasets"]:
            answer = httpx.get(f"{url}/datasets/{one['id']}/versions", timeout=60).json()["versions"]
            found[one["name"]] = [(each["digest"], each["uri"], each["source_type"], each["schema_text"]) for each in answer]
        assert found == {
            "rows": [("d1", "s3://b/rows", "s3", "{}"), ("d2", "s3://b/new", None, None)],
            "plain": [("", "s3://b/plain", None, None)],
        }
        [run] = httpx.get(f"{url}/runs", timeout=60).json()["runs"]
        shown = door.call("GetArtifactsByType", type_name="kf.DataSet").artifacts
        assert [one.custom_properties["display_name"].string_value for one in shown] == ["rows", "plain", "rows", "rows"]
        body = {"run_id": run["id"].removeprefix("run_")}
        mlflow = httpx.get(f"{door.served.url}/api/2.0/mlflow/runs/get", params=body, timeout=60).json()["run"]
        used = [one["dataset"] for one in mlflow["inputs"]["dataset_inputs"]]
        assert sorted((one["name"], one["digest"]) for one in used) == [("plain", ""), ("rows", "d1")]
        assert not door.served.services.runner.read(lambda session: list(check_all(session)))


def test_environments_and_deployments_of_a_model_registry_are_ours(registry: str, tmp_path: Path) -> None:
    imported(tmp_path, registry)

    with served(tmp_path) as door:
        [found] = httpx.get(f"{door.served.url}/api/v1/deployments", timeout=60).json()["deployments"]
        assert (found["name"], found["environment"], found["runtime"]) == ("churn", "prod", "triton")
        assert (found["model_name"], found["model_version_number"], found["desired_state"]) == ("churn", 1, "undeployed")
        context = door.call("GetContextByTypeAndName", type_name="kf.InferenceService", context_name=found["name"])
        [serves] = door.call("GetExecutionsByType", type_name="kf.ServeModel").executions
        assert serves.last_known_state == 2
        assert serves.name.endswith(":first")
        assert not context.HasField("context")  # its name there has its environment in front


def test_what_belongs_to_a_record_that_has_another_id_here_follows_it(registry: str, tmp_path: Path) -> None:
    with served(tmp_path) as door:
        url = f"{door.served.url}/api/v1"
        for name in ("one", "two"):
            httpx.post(f"{url}/models", json={"name": name}, timeout=60).raise_for_status()
        for number in range(12):
            httpx.post(f"{url}/experiments", json={"name": f"e{number}"}, timeout=60).raise_for_status()

    imported(tmp_path, registry)

    with served(tmp_path) as door:
        url = f"{door.served.url}/api/v1"
        assert {name: len(found) for name, found in models(door).items()} == {"churn": 3, "one": 0, "two": 0}
        [run] = httpx.get(f"{url}/runs", timeout=60).json()["runs"]
        [deployment] = httpx.get(f"{url}/deployments", timeout=60).json()["deployments"]
        assert run["experiment_name"] == "tuning"
        assert (deployment["environment"], deployment["model_name"], deployment["model_version_number"]) == ("prod", "churn", 1)
        assert not door.served.services.runner.read(lambda session: list(check_all(session)))
