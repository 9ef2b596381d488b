"""Calls that read the histories of metrics."""

from collections.abc import Sequence
from typing import Any

import msgspec
import orjson

from registry.api.mlflow import wire
from registry.api.mlflow.calls import Answer, Call, run_hex
from registry.api.mlflow.fields import missing
from registry.api.mlflow.limits import page_size
from registry.catalog import metric_samples
from registry.catalog.metrics import Point, history_rows, shown
from registry.catalog.run_lookup import find_runs
from registry.db.session import Session
from registry.errors import InvalidArgument
from registry.filtering.keyset import check_place, place_of, token_of
from registry.names import Special, run_hex_or_none

MAX_RUNS = 100
MAX_BULK = 25_000
MAX_SAMPLE = 2_500
EVERYTHING = 2**31 - 1


async def get(call: Call) -> Answer:
    """In the order timestamp, step, value; all of it where no page size is given. A key or run that is not there has none."""
    hex, key = run_hex_or_none(call.fields.required("run_id")), call.fields.required("metric_key")
    limit = page_size(call.fields.integer("max_results"), default=EVERYTHING, most=EVERYTHING)
    token = call.fields.text("page_token")
    query = ("mlflow history", call.actor.workspace, hex, key)
    after: Any = check_place(place_of(token, *query), [int, int, float, int]) if token else None
    wanted = (call.actor.workspace, hex or "")

    def read(session: Session) -> Answer:
        ref = find_runs(session, [wanted]).get(wanted)
        found = [] if ref is None else history_rows(session, ref.id, key, limit=limit + 1, after=after)
        if not found:
            return {}
        following = token_of(tuple(found[limit - 1]), *query) if len(found) > limit else None
        end = orjson.dumps(wire.given(next_page_token=following))[1:]
        return b'{"metrics":' + _rendered(key, found[:limit]) + (b"" if end == b"}" else b",") + end

    return await call.runner.aread(read)


class _Point(msgspec.Struct, gc=False):
    """Without the key, which is the same in all of a page."""

    value: float | str
    timestamp: int
    step: int


def _rendered(key: str, rows: Sequence[tuple[Any, ...]]) -> bytes:
    """As a list of `wire.metric`, at a third of what dictionaries cost."""
    points = [
        _Point(value if special == Special.FINITE else wire.metric_value(shown(value, special)), at, step)
        for at, step, value, special in rows
    ]
    named = b'{"key":' + orjson.dumps(key) + b","
    return msgspec.json.encode(points).replace(b"{", named)  # numbers and NaN alone: no brace but those of the points


async def bulk(call: Call) -> Answer:
    """Of several runs, in the order of their ids, at most 25,000 points together."""
    limit = min(page_size(call.fields.integer("max_results"), default=MAX_BULK, most=EVERYTHING), MAX_BULK)
    found = await _of_runs(
        call,
        "GetMetricHistoryBulk",
        "cannot specify more than",
        "run_id",
        lambda session, ids, key: metric_samples.histories(session, ids, key, limit=limit),
    )
    return {"metrics": [point for _, points in sorted(dict(found).items()) for point in points]}


async def bulk_interval(call: Call) -> Answer:
    """Of several runs, as they were asked for, points at steps that lie evenly in an interval."""
    most = call.fields.integer("max_results")
    most = MAX_SAMPLE if most is None else most
    if not 1 <= most <= MAX_SAMPLE:
        raise InvalidArgument(f"max_results must be between 1 and {MAX_SAMPLE}.", field="max_results")
    first, last = call.fields.integer("start_step"), call.fields.integer("end_step")
    if (first is None) is not (last is None):
        raise InvalidArgument("If either start step or end step are specified, both must be specified.", field="start_step")
    if first is not None and last is not None and first > last:
        raise InvalidArgument(f"end_step must be greater than start_step. They are {last} and {first}.", field="end_step")
    steps = None if first is None or last is None else (first, last)
    found = await _of_runs(
        call,
        "GetMetricHistoryBulkInterval",
        "must specify at most",
        "run_ids",
        lambda session, ids, key: metric_samples.samples(session, ids, key, most=most, steps=steps),
    )
    return wire.given(metrics=[point for _, points in found for point in points])


async def _of_runs(call: Call, request: str, limit: str, name: str, read: Any) -> list[tuple[str, list[dict[str, Any]]]]:
    """Each run that was asked for and is here, by its own id, and its points.

    `request` and `limit`: MLflow's words for it and for too many runs, `name`: of the field with the runs.
    """
    texts = call.fields.texts(name)
    if not texts:
        raise missing(name, f"{request} request must specify at least one run_id.")
    if len(texts) > MAX_RUNS:
        raise InvalidArgument(f"{request} request {limit} {MAX_RUNS} run_ids.", field=name)
    key = call.fields.text("metric_key") or ""
    if not key:
        raise missing("metric_key", f"{request} request must specify a metric_key.")
    wanted = [(call.actor.workspace, run_hex(text)) for text in texts if run_hex_or_none(text)]

    def found(session: Session) -> list[tuple[str, list[Point]]]:
        refs = find_runs(session, wanted)
        points: dict[int, list[Point]] = {ref.id: [] for ref in refs.values()}
        for run, point in read(session, sorted(points), key) if points else ():
            points[run].append(point)
        return [(refs[one].hex, points[refs[one].id]) for one in wanted if one in refs]

    runs = await call.runner.aread(found)
    return [(hex, [wire.metric(point) | {"run_id": hex} for point in points]) for hex, points in runs]
