"""MLflow. It has no word for a deployment: what is behind a version is its run, and what that read."""

from typing import Any, ClassVar

from tests.behaviour.story import Http, Seen, Story, register
from tests.mlmd.door import Door, fresh

BASE = "/api/2.0/mlflow"
STATES = {"SCHEDULED": "pending", "RUNNING": "running", "FINISHED": "succeeded", "FAILED": "failed", "KILLED": "canceled"}


class MlflowWriter:
    name: ClassVar[str] = "mlflow"

    def __init__(self, door: Door) -> None:
        self._http = Http(door)

    def _post(self, path: str, /, **fields: Any) -> Any:
        return self._http.post(f"{BASE}/{path}", **fields)

    def tell(self) -> Story:
        said = fresh("told")
        experiment = self._post("experiments/create", name=said)["experiment_id"]
        tags = [{"key": "team", "value": "red"}]
        run = self._post("runs/create", experiment_id=experiment, run_name=said, tags=tags)["run"]["info"]
        hex = run["run_id"]
        points = [{"key": "acc", "value": value, "timestamp": 5, "step": step} for step, value in ((0, 0.5), (1, 0.9))]
        self._post("runs/log-batch", run_id=hex, metrics=points, params=[{"key": "lr", "value": "0.1"}])
        dataset = {"name": f"data of {said}", "digest": "d1", "source_type": "local", "source": "{}"}
        self._post("runs/log-inputs", run_id=hex, datasets=[{"dataset": dataset}])
        model = self._post("logged-models", experiment_id=experiment, name="m", source_run_id=hex)["model"]["info"]
        self._post("runs/outputs", run_id=hex, models=[{"model_id": model["model_id"], "step": 0}])
        self._http.ask("PATCH", f"{BASE}/logged-models/{model['model_id']}", json={"status": "LOGGED_MODEL_READY"})
        self._post("runs/update", run_id=hex, status="FINISHED")
        self._post("registered-models/create", name=said)
        source = {"source": f"models:/{model['model_id']}", "run_id": hex, "model_id": model["model_id"]}
        self._post("model-versions/create", name=said, **source)
        self._post("registered-models/alias", name=said, alias="champion", version="1")
        self._post("model-versions/transition-stage", name=said, version="1", stage="Staging", archive_existing_versions=False)
        seen = {"name": said, "state": "succeeded", "experiment": said, "params": {"lr": "0.1"}, "metrics": {"acc": 0.9}}
        story = Story(self.name, hex, seen | {"tags": {"team": "red"}}, dataset["name"], model["artifact_uri"], is_dataset=True)
        story.version = {"model": said, "number": 1, "run": hex, "aliases": ["champion"], "stage": "Staging"}
        return register(self._http, story)


class MlflowReader:
    name: ClassVar[str] = "mlflow"

    def __init__(self, door: Door) -> None:
        self._http = Http(door)

    def _get(self, path: str, /, **fields: Any) -> Any:
        return self._http.get(f"{BASE}/{path}", **fields)

    def run(self, story: Story) -> Seen:
        run = self._get("runs/get", run_id=story.hex)["run"]
        info, data = run["info"], run["data"]
        [found] = self._http.post(f"{BASE}/runs/search", experiment_ids=[info["experiment_id"]])["runs"]
        assert found == run, "one found is shown as one asked for"
        tags = {one["key"]: one["value"] for one in data["tags"]}
        return {
            "name": info["run_name"],
            "state": STATES[info["status"]],
            "experiment": self._get("experiments/get", experiment_id=info["experiment_id"])["experiment"]["name"],
            "params": {one["key"]: one["value"] for one in data.get("params", [])},
            "metrics": {one["key"]: one["value"] for one in data.get("metrics", [])},
            "tags": {key: value for key, value in tags.items() if not key.startswith("mlflow.")},
        }

    def version(self, story: Story) -> Seen:
        found = self._version(story)
        return {
            "model": found["name"],
            "number": int(found["version"]),
            "run": found["run_id"],
            "aliases": found["aliases"],
            "stage": found["current_stage"],
        }

    def _version(self, story: Story) -> Any:
        return self._get("registered-models/alias", name=story.version["model"], alias="champion")["model_version"]

    def lineage(self, story: Story) -> Seen:
        """What was read and is no dataset is not shown."""
        version = self._version(story)
        run = self._get("runs/get", run_id=version["run_id"])["run"]
        read = [one["dataset"]["name"] for one in run["inputs"].get("dataset_inputs", [])]
        assert len(read) == story.is_dataset
        data = {"data": read[0]} if read else {}
        return {"version": f"{version['name']}/{version['version']}", "run": run["info"]["run_name"], **data}
