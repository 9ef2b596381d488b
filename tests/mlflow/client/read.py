"""Reads all that a store of MLflow shows through MLflow's own client, and prints it as one JSON object.

Arguments: tracking URI; `part`: what a server of MLflow shows (no deleted versions and logged models). Experiments are called by
their names, so that two stores can be compared.
"""

import json
import math
import sys

import mlflow
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

mlflow.set_tracking_uri(sys.argv[1])
client = MlflowClient()
registry = client._get_registry_client()  # which does not hide prompts
IS_THREE = int(mlflow.__version__.partition(".")[0]) >= 3
LARGEST = sys.float_info.max


def value(number: float) -> str:
    """As a server tells it: infinities are the largest double."""
    return str(number if not math.isinf(number) else math.copysign(LARGEST, number))


def points(history: list[object]) -> list[list[object]]:
    return sorted([point.timestamp, point.step, value(point.value)] for point in history)


def inputs(run: object) -> list[object]:
    found = []
    for one in run.inputs.dataset_inputs if run.inputs else ():
        tags = sorted((tag.key, tag.value) for tag in one.tags)
        found.append([one.dataset.name, one.dataset.digest, one.dataset.source_type, tags])
    return sorted(found)


def run_of(id: str) -> dict[str, object]:
    run = client.get_run(id)
    info = run.info
    tags = {key: text for key, text in run.data.tags.items() if key != "mlflow.user" or text != "unknown"}
    made = {
        "experiment": names[info.experiment_id],
        "info": [
            info.run_name,
            info.user_id,
            info.status,
            info.start_time,
            info.end_time,
            info.lifecycle_stage,
            info.artifact_uri,
        ],
        "tags": tags,
        "params": run.data.params,
        "latest": {key: value(number) for key, number in run.data.metrics.items()},
        "history": {key: points(client.get_metric_history(id, key)) for key in run.data.metrics},
        "inputs": inputs(run),
    }
    if IS_THREE:
        made["models"] = sorted(one.model_id for one in run.inputs.model_inputs or ())
        made["outputs"] = sorted([one.model_id, one.step] for one in (run.outputs.model_outputs if run.outputs else None) or ())
    return made


def logged(model: object) -> dict[str, object]:
    measured = [
        [one.key, value(one.value), one.timestamp, one.step, one.run_id, one.dataset_name, one.dataset_digest]
        for one in model.metrics or ()
    ]
    fixed = [model.name, str(model.status), model.model_type, model.source_run_id, model.artifact_location]
    times = [model.creation_timestamp, model.last_updated_timestamp]
    return {
        "experiment": names[model.experiment_id],
        "info": [text or "" for text in fixed] + times,
        "tags": model.tags,
        "params": model.params,
        "metrics": sorted(measured, key=str),
    }


def version_of(one: object) -> dict[str, object]:
    fixed = [one.description, one.source, one.run_id, one.run_link, one.current_stage, one.status, one.status_message]
    return {
        "info": [text or "" for text in fixed] + [one.creation_timestamp, one.last_updated_timestamp],
        "tags": one.tags,
        "aliases": sorted(registry.get_model_version(one.name, one.version).aliases),
        "download": registry.get_model_version_download_uri(one.name, one.version),
    }


def model_of(one: object) -> dict[str, object]:
    whole = registry.get_registered_model(one.name)
    asked = f"name = '{one.name}'"
    if whole.tags.get("mlflow.prompt.is_prompt") == "true":
        asked += " AND tag.`mlflow.prompt.is_prompt` = 'true'"
    return {
        "info": [whole.description or "", whole.creation_timestamp, whole.last_updated_timestamp],
        "tags": whole.tags,
        "aliases": {alias: str(number) for alias, number in whole.aliases.items()},
        "latest": sorted([two.current_stage, str(two.version)] for two in whole.latest_versions or ()),
        "versions": {str(two.version): version_of(two) for two in registry.search_model_versions(asked)},
    }


experiments = client.search_experiments(view_type=ViewType.ALL)
names = {one.experiment_id: one.name for one in experiments}
ids = [one.experiment_id for one in experiments]
found = {
    "experiments": {
        one.name: [one.artifact_location, one.lifecycle_stage, one.creation_time, one.last_update_time, one.tags]
        for one in experiments
    },
    "runs": {
        run.info.run_id: run_of(run.info.run_id) for run in client.search_runs(ids, run_view_type=ViewType.ALL, max_results=1000)
    },
    "models": {},
    "logged": {},
}
for more in ({}, {"filter_string": "tag.`mlflow.prompt.is_prompt` = 'true'"}):
    for one in client.search_registered_models(max_results=100, **more):
        found["models"][one.name] = model_of(one)
if IS_THREE:
    for one in client.search_logged_models(ids):
        found["logged"][one.model_id] = logged(one)
prompts = mlflow.genai if IS_THREE else mlflow
try:
    found["prompt"] = [
        prompts.load_prompt("prompts:/greeting@live").template,
        prompts.load_prompt("greeting", version=2).template,
    ]
except (MlflowException, AttributeError) as error:
    found["prompt"] = str(error)
print(json.dumps(found, sort_keys=True))
