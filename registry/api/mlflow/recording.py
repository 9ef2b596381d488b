"""Calls that log to a run: metrics, params and tags, one or many, on the path that joins what waits (`HOT_LOG`).

A batch is all or nothing, and so safe to send again. Long values of params and tags are cut before they are compared.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from registry.api.mlflow.calls import Answer, Call, run_hex
from registry.api.mlflow.fields import Fields, invalid, missing
from registry.api.mlflow.limits import (
    MAX_BATCH,
    MAX_DATASET_DIGEST,
    MAX_DATASET_NAME,
    MAX_METRICS,
    MAX_PARAM_VALUE,
    MAX_PARAMS,
    MAX_TAG_VALUE,
    MAX_TAGS,
    check_key,
    check_length,
)
from registry.api.mlflow.plain import PlainBatch, PlainMetric
from registry.catalog.hot_log import HOT_LOG
from registry.catalog.logged_model_metrics import Measured
from registry.catalog.metrics import Batch, Point
from registry.catalog.run_tags import log_measured, log_tagged, needs_columns, note_model
from registry.errors import InvalidArgument

_PLAIN = frozenset({"key", "value", "timestamp", "step"})
"""Fields of a point that is of no model."""


async def log_metric(call: Call) -> Answer:
    if isinstance(call.plain, PlainMetric):
        check_key(call.plain.key, "key")
        return await _log(call, run_hex(call.plain.run_id), points=[call.plain.point()])
    run, point = call.run(), _point(call.fields)
    return await _log(call, run, points=[point], measured=_measured(call.fields, point))


async def log_parameter(call: Call) -> Answer:
    run, (key, value) = call.run(), _pair(call.fields, MAX_PARAM_VALUE)
    return await _log(call, run, params={key: value})


async def set_tag(call: Call) -> Answer:
    run, (key, value) = call.run(), _pair(call.fields, MAX_TAG_VALUE)
    return await _log(call, run, tags={key: value})


async def log_batch(call: Call) -> Answer:
    if isinstance(call.plain, PlainBatch):
        return await _log_plain(call, call.plain)
    run = call.run()
    metrics, params, tags = (call.fields.listed(name) for name in ("metrics", "params", "tags"))
    for name, items, most in (("metrics", metrics, MAX_METRICS), ("params", params, MAX_PARAMS), ("tags", tags, MAX_TAGS)):
        if len(items) > most:
            raise InvalidArgument(
                f"A batch logging request can contain at most {most} {name}. Got {len(items)} {name}.", field=name
            )
    total = len(metrics) + len(params) + len(tags)
    if total > MAX_BATCH:
        raise InvalidArgument(f"A batch logging request can contain at most {MAX_BATCH} entries. Got {total}.")
    points = [_point(call.fields.item("metrics", index, item), f"metrics[{index}].") for index, item in enumerate(metrics)]
    return await _log(
        call,
        run,
        points=points,
        measured=_measured_of(call.fields, metrics, points),
        params=_params(call.fields),
        tags=dict(_pair(item, MAX_TAG_VALUE) for item in call.fields.items("tags")),
    )


async def _log_plain(call: Call, batch: PlainBatch) -> Answer:
    for name, items in (("metrics", batch.metrics), ("params", batch.params), ("tags", batch.tags)):
        for key in dict.fromkeys(item.key for item in items):
            check_key(key, f"{name}.key")
    return await _log(
        call,
        run_hex(batch.run_id),
        points=[one.point() for one in batch.metrics],
        params={one.key: one.value[:MAX_PARAM_VALUE] for one in batch.params},
        tags={one.key: one.value[:MAX_TAG_VALUE] for one in batch.tags},
    )


async def _log(
    call: Call,
    run: str,
    *,
    points: Sequence[Point] = (),
    measured: Sequence[Measured] = (),
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> Answer:
    batch = Batch(call.actor.workspace, run, points, params or {}, tags or {})
    if measured:
        await call.runner.awrite(
            lambda session: log_measured(session, call.actor, batch, measured, now=call.now), replayable=True
        )
    elif needs_columns(batch.tags):  # the run's own row changes, or the run becomes one with its workflow's
        await call.runner.awrite(lambda session: log_tagged(session, call.actor, batch, now=call.now), replayable=True)
    else:
        await call.runner.agroup(HOT_LOG, batch)
    return {}


async def log_model(call: Call) -> Answer:
    """What clients before 3.0 say of a model that they wrote to their run: one more entry of a tag. Idempotent."""
    hex, text = call.run(), call.fields.required("model_json")
    try:
        model = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidArgument(f"Malformed model info. \n {text[:200]} \n is not a valid JSON.", field="model_json") from None
    lacking = {"artifact_path", "flavors", "utc_time_created", "run_id"} - (set(model) if isinstance(model, dict) else set())
    if lacking:
        raise InvalidArgument(f"Model json is missing mandatory fields: {', '.join(sorted(lacking))}", field="model_json")
    await call.runner.awrite(lambda session: note_model(session, call.actor, hex, _history_entry(model)), replayable=True)
    return {}


def _history_entry(model: dict[str, Any]) -> dict[str, Any]:
    """As MLflow's server shortens it."""
    kept: dict[str, Any] = {
        key: model[key] for key in ("run_id", "artifact_path", "utc_time_created", "model_uuid") if key in model
    }
    flavors = model["flavors"] if isinstance(model["flavors"], dict) else {}
    kept["flavors"] = {
        name: {key: value for key, value in flavor.items() if key != "config"} if isinstance(flavor, dict) else flavor
        for name, flavor in flavors.items()
    }
    return kept


def _pair(fields: Fields, limit: int) -> tuple[str, str]:
    return check_key(fields.required("key"), "key"), (fields.text("value") or "")[:limit]


def _params(fields: Fields) -> dict[str, str]:
    """Raises InvalidArgument: a key twice, even with the same value."""
    found: dict[str, str] = {}
    for item in fields.items("params"):
        key, value = _pair(item, MAX_PARAM_VALUE)
        if key in found:
            raise InvalidArgument(f"Duplicate parameter keys have been submitted: {key!r}.", field="params")
        found[key] = value
    return found


def _measured_of(fields: Fields, items: Sequence[Any], points: Sequence[Point]) -> list[Measured]:
    """Those of the points that are a logged model's too."""
    found: list[Measured] = []
    for index, (item, point) in enumerate(zip(items, points, strict=True)):
        if len(item) > len(_PLAIN) or not _PLAIN.issuperset(item):
            found += _measured(fields.item("metrics", index, item), point)
    return found


def _measured(fields: Fields, point: Point) -> list[Measured]:
    model_id, name, digest = fields.text("model_id"), fields.text("dataset_name"), fields.text("dataset_digest")
    if not model_id:
        return []
    check_length(name or "", "dataset_name", MAX_DATASET_NAME)
    check_length(digest or "", "dataset_digest", MAX_DATASET_DIGEST)
    return [Measured(model_id, point, (name, digest or "") if name else None)]


def _point(fields: Fields, path: str = "") -> Point:
    key = check_key(fields.required("key"), f"{path}key")
    value, at, step = fields.double("value"), fields.integer("timestamp"), fields.integer("step")
    if value is None:
        raise missing(f"{path}value")
    if at is None:
        raise missing(f"{path}timestamp")
    if at < 0:
        raise invalid(f"{path}timestamp", at, "it must not be negative")
    return Point(key, value, at, step or 0)
