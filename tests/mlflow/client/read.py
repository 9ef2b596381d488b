"""Reads all that a store of MLflow shows through MLflow's own client; as a script it prints that as one JSON object.

Argument: the tracking URI. Experiments are called by their names, so that two stores can be compared.
"""

import json
import math
import sys
from typing import Any

import mlflow  # type: ignore[import-not-found, unused-ignore]
from mlflow.entities import ViewType  # type: ignore[import-not-found, unused-ignore]
from mlflow.exceptions import MlflowException  # type: ignore[import-not-found, unused-ignore]
from mlflow.tracking import MlflowClient  # type: ignore[import-not-found, unused-ignore]

IS_THREE = int(mlflow.__version__.partition(".")[0]) >= 3
LARGEST = sys.float_info.max
PROMPTS = "tag.`mlflow.prompt.is_prompt` = 'true'"


def value(number: float) -> float | str:
    """As a server tells it: infinities are the largest double, and there is one zero."""
    if math.isnan(number):
        return "nan"
    return math.copysign(LARGEST, number) if math.isinf(number) else number + 0.0


def points(history: Any) -> list[Any]:
    """In an order of their own, exact repeats once: a store of files keeps those."""
    return sorted({(point.timestamp, point.step, value(point.value)) for point in history}, key=str)


class Reading:
    def __init__(self, uri: str) -> None:
        mlflow.set_tracking_uri(uri)
        self.client = MlflowClient()
        self.registry: Any = self.client._get_registry_client()  # which does not hide prompts
        self.experiments = self.client.search_experiments(view_type=ViewType.ALL)
        self.names = {one.experiment_id: one.name for one in self.experiments}

    def all(self) -> dict[str, Any]:
        ids = list(self.names)
        runs = self.client.search_runs(ids, run_view_type=ViewType.ALL, max_results=1000)
        found: dict[str, Any] = {
            "experiments": {
                one.name: [one.artifact_location, one.lifecycle_stage, one.creation_time, one.last_update_time, one.tags]
                for one in self.experiments
            },
            "runs": {run.info.run_id: self.run(run.info.run_id) for run in runs},
            "models": {},
            "logged": {},
        }
        for asked in (None, PROMPTS):
            for one in self.client.search_registered_models(asked, max_results=100):
                found["models"][one.name] = self.model(one.name)
        if IS_THREE:
            for one in self.client.search_logged_models(ids):
                found["logged"][one.model_id] = self.logged(one)
        prompts = mlflow.genai if IS_THREE else mlflow
        try:
            found["prompt"] = [prompts.load_prompt(uri).template for uri in ("prompts:/greeting@live", "prompts:/greeting/2")]
        except MlflowException as error:
            found["prompt"] = str(error)
        return found

    def run(self, id: str) -> dict[str, Any]:
        run = self.client.get_run(id)
        info = run.info
        fixed = [
            info.run_name,
            info.user_id,
            info.status,
            info.start_time,
            info.end_time,
            info.lifecycle_stage,
            info.artifact_uri,
        ]
        datasets = run.inputs.dataset_inputs if run.inputs else []
        made: dict[str, Any] = {
            "experiment": self.names[info.experiment_id],
            "info": fixed,
            "tags": run.data.tags,
            "params": run.data.params,
            "latest": {key: value(number) for key, number in run.data.metrics.items()},
            "history": {key: points(self.client.get_metric_history(id, key)) for key in run.data.metrics},
            "inputs": sorted(
                [one.dataset.name, one.dataset.digest, sorted([tag.key, tag.value] for tag in one.tags)] for one in datasets
            ),
        }
        if IS_THREE:
            made["models"] = sorted(one.model_id for one in run.inputs.model_inputs or ())
            outputs = run.outputs.model_outputs if run.outputs else None
            made["outputs"] = sorted([one.model_id, one.step] for one in outputs or ())
        return made

    def logged(self, model: Any) -> dict[str, Any]:
        fixed = [model.name, str(model.status), model.model_type, model.source_run_id, model.artifact_location]
        return {
            "experiment": self.names[model.experiment_id],
            "info": [*(text or "" for text in fixed), model.creation_timestamp, model.last_updated_timestamp],
            "tags": model.tags,
            "params": model.params,
            "metrics": sorted(
                [one.key, value(one.value), one.timestamp, one.step, one.run_id, one.dataset_name, one.dataset_digest]
                for one in model.metrics or ()
            ),
        }

    def model(self, name: str) -> dict[str, Any]:
        whole = self.registry.get_registered_model(name)
        asked = f"name = '{name}'"
        if whole.tags.get("mlflow.prompt.is_prompt") == "true":
            asked += f" AND {PROMPTS}"
        return {
            "info": [whole.description or "", whole.creation_timestamp, whole.last_updated_timestamp],
            "tags": whole.tags,
            "aliases": {alias: str(number) for alias, number in whole.aliases.items()},
            "latest": sorted([one.current_stage, str(one.version)] for one in whole.latest_versions or ()),
            "versions": {str(one.version): self.version(one) for one in self.registry.search_model_versions(asked)},
        }

    def version(self, one: Any) -> dict[str, Any]:
        fixed = [one.description, one.source, one.run_id, one.run_link, one.current_stage, one.status, one.status_message]
        return {
            "info": [*(text or "" for text in fixed), one.creation_timestamp, one.last_updated_timestamp],
            "tags": one.tags,
            "aliases": sorted(self.registry.get_model_version(one.name, one.version).aliases),
            "download": self.registry.get_model_version_download_uri(one.name, one.version),
        }


if __name__ == "__main__":
    print(json.dumps(Reading(sys.argv[1]).all(), sort_keys=True))
