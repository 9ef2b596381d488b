"""Records as MLflow's JSON: snake case, times as numbers, what is empty left out."""

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from registry.api.mlflow.calls import Call
from registry.catalog.experiments import Experiment
from registry.catalog.fragments import Built, RunRead
from registry.catalog.logged_model_metrics import ModelPoint
from registry.catalog.logged_models import LoggedModel
from registry.catalog.metrics import Point
from registry.catalog.model_creation import RegisteredModel
from registry.catalog.run_inputs import DatasetInput, RunUses
from registry.catalog.run_search import PROXIED, artifact_uri, status_word
from registry.catalog.run_tags import LIFECYCLE, column_tags
from registry.catalog.runs import Run
from registry.catalog.targets import NO_STAGE
from registry.catalog.version_reads import ModelVersion
from registry.names import Lifecycle, Readiness

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


def run_values(record: Run) -> bytes:
    """What a fragment stores of the run: metrics, params, and last the tags that are no columns."""
    columns = column_tags(record)
    return orjson.dumps(
        {
            **given(metrics=[metric(point) for point in record.metrics.values()], params=pairs(record.params)),
            "tags": pairs({key: value for key, value in record.tags.items() if key not in columns}),
        }
    )


def run(call: Call, record: Run, values: bytes, uses: RunUses | None = None, *, is_new: bool = False) -> bytes:
    """A run's JSON; `values` as of `run_values`. `is_new`: MLflow says nothing of what it made."""
    before = values.removesuffix(b"]}")
    data = before + (b"" if before.endswith(b"[") else b",") + orjson.dumps(pairs(column_tags(record)))[1:]
    used, made = (_NOTHING, _NOTHING) if uses is None else _uses(uses)
    whole = b'{"info":' + orjson.dumps(run_info(call, record)) + b',"data":' + data + b'},"inputs":' + used
    return whole + (b"}" if is_new else b',"outputs":' + made + b"}")


_NOTHING = b"{}"


def _uses(uses: RunUses) -> tuple[bytes, bytes]:
    """Inputs and outputs."""
    inputs = given(
        dataset_inputs=[dataset_input(one) for one in uses.datasets],
        model_inputs=[{"model_id": model_id} for model_id in uses.read],
    )
    outputs = given(model_outputs=[{"model_id": one.model_id, "step": one.step} for one in uses.made])
    return orjson.dumps(inputs), orjson.dumps(outputs)


def read_run(call: Call, read: RunRead, uses: RunUses | None) -> tuple[bytes, Built | None]:
    """From what is stored of it where that is valid; and what may be stored."""
    values = run_values(read.run) if read.fragment is None else read.fragment
    built = Built(read.run.id, read.run.version, values) if read.may_keep else None
    return run(call, read.run, values, uses), built


_READINESS = {Readiness.READY: "READY", Readiness.PENDING: "PENDING_REGISTRATION", Readiness.FAILED: "FAILED_REGISTRATION"}


def model_version(record: ModelVersion, *, aliases: bool) -> dict[str, Any]:
    """`aliases`: show them, which searches do not."""
    tags = dict(record.tags)
    if record.lifecycle is Lifecycle.ARCHIVED:
        tags[LIFECYCLE] = "archived"
    return {
        "name": record.model_name,
        "version": str(record.number),
        "creation_timestamp": record.created_at,
        "last_updated_timestamp": record.updated_at,
        **given(user_id=record.author_name),
        "current_stage": record.stage or NO_STAGE,
        "description": record.description or "",
        "source": record.source or "",
        "run_id": (record.run or "").removeprefix("run_") or record.run_text or "",
        "status": _READINESS[record.readiness],
        **given(status_message=record.status_message, tags=pairs(tags)),
        "run_link": record.run_link or "",
        **given(aliases=list(record.aliases) if aliases else []),
    }


def registered_model(record: RegisteredModel, latest: Sequence[ModelVersion]) -> dict[str, Any]:
    tags = dict(record.tags)
    if record.lifecycle is Lifecycle.ARCHIVED:
        tags[LIFECYCLE] = "archived"
    return {
        "name": record.name,
        "creation_timestamp": record.created_at,
        "last_updated_timestamp": record.mlflow_updated_at,
        **given(
            description=record.description,
            latest_versions=[model_version(one, aliases=False) for one in latest],
            tags=pairs(tags),
            aliases=[{"alias": alias, "version": str(number)} for alias, number in record.aliases.items()],
        ),
    }


MODEL_STATUS = {
    Readiness.PENDING: "LOGGED_MODEL_PENDING",
    Readiness.READY: "LOGGED_MODEL_READY",
    Readiness.FAILED: "LOGGED_MODEL_UPLOAD_FAILED",
}


def model_metric(model_id: str, measured: ModelPoint) -> dict[str, Any]:
    name, digest = measured.dataset or (None, None)
    return {
        **metric(measured.point),
        "model_id": model_id,
        **given(dataset_name=name, dataset_digest=digest, run_id=measured.run),
    }


def logged_model(call: Call, record: LoggedModel) -> dict[str, Any]:
    info = {
        "model_id": record.model_id,
        "experiment_id": call.shown_experiment(record.experiment),
        "name": record.name,
        "creation_timestamp_ms": record.created_at,
        "last_updated_timestamp_ms": record.updated_at,
        "artifact_uri": call.places.shown(record.uri),
        "status": MODEL_STATUS[record.readiness],
        "model_type": record.model_type or "",
        "source_run_id": record.run or "",
        **given(tags=pairs(record.tags)),
    }
    metrics = [model_metric(record.model_id, one) for one in record.metrics]
    return {"info": info, "data": given(params=pairs(record.params), metrics=metrics)}
