"""Records out of what MLflow's server shows of them, in REST API 2.0. Source: MLflow 2.22's and 3.17's answers, observed."""

import math
from typing import Any

from registry.catalog.importing.mlflow.points import unclipped
from registry.catalog.importing.mlflow.records import LoggedModel, Run, Uses, Version
from registry.catalog.metrics import Point
from registry.catalog.run_inputs import DatasetInput


def info_of(run: Any) -> Any:
    return run["info"]


def data_of(run: Any) -> Any:
    return run.get("data", {})


def integer(value: Any) -> int | None:
    return None if value is None else int(value)


def pairs(record: Any, name: str = "tags") -> dict[str, str]:
    return {pair["key"]: pair.get("value") or "" for pair in record.get(name, ())}


def point(row: Any) -> Point:
    value = float(row.get("value", 0.0))
    at, step = int(row.get("timestamp", 0)), int(row.get("step", 0))
    return Point(row["key"], value if math.isnan(value) else unclipped(value), at, step)


def run(one: Any) -> Run:
    info = info_of(one)
    return Run(
        id=info["run_id"],
        experiment=info["experiment_id"],
        name=info.get("run_name"),
        user=info.get("user_id"),
        status=info.get("status", "SCHEDULED"),
        started_at=integer(info.get("start_time")),
        ended_at=integer(info.get("end_time")),
        is_deleted=info.get("lifecycle_stage") == "deleted",
        deleted_at=None,
        artifact_uri=info.get("artifact_uri"),
        tags=pairs(data_of(one)),
        params=pairs(data_of(one), "params"),
    )


def uses(one: Any) -> Uses:
    inputs, outputs = one.get("inputs", {}), one.get("outputs", {})
    found = []
    for given in inputs.get("dataset_inputs", ()):
        dataset = given["dataset"]
        texts = {name: dataset.get(name) for name in ("source_type", "source", "schema", "profile")}
        found.append(DatasetInput(name=dataset["name"], digest=dataset.get("digest") or "", tags=pairs(given), **texts))
    models = [model["model_id"] for model in inputs.get("model_inputs", ())]
    made = [(model["model_id"], int(model.get("step", 0))) for model in outputs.get("model_outputs", ())]
    return Uses(info_of(one)["run_id"], found, models, made)


def logged_model(one: Any) -> LoggedModel:
    info, data = one["info"], one.get("data", {})
    status = info.get("status", "").removeprefix("LOGGED_MODEL_").removeprefix("UPLOAD_")
    created_at = int(info.get("creation_timestamp_ms", 0))
    return LoggedModel(
        id=info["model_id"],
        experiment=info["experiment_id"],
        name=info["name"],
        model_type=info.get("model_type") or None,
        run=info.get("source_run_id") or None,
        location=info.get("artifact_uri", ""),
        status=status,
        is_deleted=False,
        created_at=created_at,
        updated_at=int(info.get("last_updated_timestamp_ms", created_at)),
        tags=pairs(info),
        params=pairs(data, "params"),
    )


def version(one: Any) -> Version:
    return Version(
        number=int(one["version"]),
        created_at=integer(one.get("creation_timestamp")),
        updated_at=integer(one.get("last_updated_timestamp")),
        description=one.get("description") or None,
        user=one.get("user_id") or None,
        stage=one.get("current_stage"),
        source=one.get("source"),
        location=None,
        run=one.get("run_id") or None,
        run_link=one.get("run_link") or None,
        status=one.get("status"),
        status_message=one.get("status_message") or None,
        tags=pairs(one),
        model_id=one.get("model_id") or None,
    )
