"""Records as MLflow's JSON: snake case, times as numbers, what is empty left out."""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from registry.api.mlflow.calls import Call
from registry.catalog.experiments import Experiment
from registry.catalog.metrics import Point
from registry.catalog.run_inputs import DatasetInput
from registry.catalog.run_search import PROXIED, artifact_uri, status_word
from registry.catalog.run_tags import shown_tags
from registry.catalog.runs import Run
from registry.names import Lifecycle

LARGEST = sys.float_info.max


def pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def given(**lists: Any) -> dict[str, Any]:
    """Without what is empty."""
    return {name: value for name, value in lists.items() if value}


def stage(lifecycle: Lifecycle) -> str:
    return "deleted" if lifecycle is Lifecycle.DELETED else "active"


def experiment(call: Call, record: Experiment) -> dict[str, Any]:
    id = call.shown_experiment(record.id)
    return {
        "experiment_id": id,
        "name": record.name,
        "artifact_location": record.artifact_location or f"{PROXIED}{id}",
        "lifecycle_stage": stage(record.lifecycle),
        "last_update_time": record.updated_at,
        "creation_time": record.created_at,
        **given(tags=pairs(record.tags)),
        "workspace": call.actor.workspace_name,
    }


def metric_value(value: float) -> float | str:
    """NaN as a word, infinities as the largest double: what MLflow's server makes of them."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else math.copysign(LARGEST, value)


def metric(point: Point) -> dict[str, Any]:
    return {"key": point.key, "value": metric_value(point.value), "timestamp": point.at, "step": point.step}


def run_info(call: Call, record: Run) -> dict[str, Any]:
    info = {
        "run_uuid": record.hex,
        "experiment_id": call.shown_experiment(record.experiment),
        "run_name": record.name,
        "user_id": record.user_name or "",
        "status": status_word(record.status),
        "start_time": record.started_at,
        "end_time": record.ended_at,
        "artifact_uri": artifact_uri(call.actor.workspace_name, record.artifact_root),
        "lifecycle_stage": stage(record.lifecycle),
        "run_id": record.hex,
    }
    return {name: value for name, value in info.items() if value is not None}


def dataset_input(one: DatasetInput) -> dict[str, Any]:
    texts = {"source_type": one.source_type, "source": one.source, "schema": one.schema, "profile": one.profile}
    dataset = {"name": one.name, "digest": one.digest, **{name: text for name, text in texts.items() if text is not None}}
    return {**given(tags=pairs(one.tags)), "dataset": dataset}


def run(call: Call, record: Run, inputs: Sequence[DatasetInput] = ()) -> dict[str, Any]:
    data = given(
        metrics=[metric(point) for point in record.metrics.values()],
        params=pairs(record.params),
        tags=pairs(shown_tags(record)),
    )
    shown = [dataset_input(one) for one in inputs]
    return {"info": run_info(call, record), "data": data, "inputs": given(dataset_inputs=shown), "outputs": {}}
