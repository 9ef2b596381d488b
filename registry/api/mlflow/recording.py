"""Calls that log to a run: metrics, params and tags, one or many, on the path that joins what waits (`HOT_LOG`).

A batch is all or nothing, and so safe to send again. Long values of params and tags are cut before they are compared.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from registry.api.mlflow.calls import Answer, Call
from registry.api.mlflow.fields import Fields, invalid, missing
from registry.api.mlflow.limits import (
    MAX_BATCH,
    MAX_METRICS,
    MAX_PARAM_VALUE,
    MAX_PARAMS,
    MAX_TAG_VALUE,
    MAX_TAGS,
    check_key,
)
from registry.catalog.metrics import HOT_LOG, Batch, Point
from registry.catalog.run_tags import log_tagged, needs_columns
from registry.errors import InvalidArgument


async def log_metric(call: Call) -> Answer:
    point = _point(call.fields)
    return await _log(call, points=[point])


async def log_parameter(call: Call) -> Answer:
    key, value = _pair(call.fields, MAX_PARAM_VALUE)
    return await _log(call, params={key: value})


async def set_tag(call: Call) -> Answer:
    key, value = _pair(call.fields, MAX_TAG_VALUE)
    return await _log(call, tags={key: value})


async def log_batch(call: Call) -> Answer:
    metrics, params, tags = (call.fields.listed(name) for name in ("metrics", "params", "tags"))
    for name, items, most in (("metrics", metrics, MAX_METRICS), ("params", params, MAX_PARAMS), ("tags", tags, MAX_TAGS)):
        if len(items) > most:
            raise InvalidArgument(
                f"A batch logging request can contain at most {most} {name}. Got {len(items)} {name}.", field=name
            )
    total = len(metrics) + len(params) + len(tags)
    if total > MAX_BATCH:
        raise InvalidArgument(f"A batch logging request can contain at most {MAX_BATCH} entries. Got {total}.")
    return await _log(
        call,
        points=_points(call.fields, metrics),
        params=_params(call.fields),
        tags=dict(_pair(item, MAX_TAG_VALUE) for item in call.fields.items("tags")),
    )


async def _log(
    call: Call, *, points: Sequence[Point] = (), params: Mapping[str, str] | None = None, tags: Mapping[str, str] | None = None
) -> Answer:
    batch = Batch(call.actor.workspace, call.run(), points, params or {}, tags or {})
    if needs_columns(batch.tags):  # the run's own row changes, or the run becomes one with its workflow's
        await call.runner.awrite(lambda session: log_tagged(session, call.actor, batch, now=call.now), replayable=True)
    else:
        await call.runner.agroup(HOT_LOG, batch)
    return {}


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


def _points(fields: Fields, items: Sequence[Any]) -> list[Point]:
    """What a client sends is plain and read at once; everything else goes by way of `Fields`, which says what is wrong."""
    found: list[Point] = []
    checked: set[str] = set()
    for index, item in enumerate(items):
        if type(item) is dict:
            key, value, at, step = item.get("key"), item.get("value"), item.get("timestamp"), item.get("step", 0)
            if type(key) is str and key in checked and type(value) is float and type(at) is int and at >= 0 and type(step) is int:
                found.append(Point(key, value, at, step))
                continue
        point = _point(fields.item("metrics", index, item), f"metrics[{index}].")
        checked.add(point.key)
        found.append(point)
    return found


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
