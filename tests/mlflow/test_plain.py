"""Bodies that are read at once, and those that are not: both ways come to the same."""

import json
from typing import Any

import pytest

from registry.api.mlflow.plain import Plain, PlainBatch, PlainMetric
from tests.mlflow.calling import Caller, metric, pairs

RUN = "0" * 32
POINT = metric("m", 1.5, 7, 3)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (PlainMetric, {"run_id": RUN, "run_uuid": RUN, **POINT}),
        (PlainMetric, {"run_id": RUN, "key": "m", "value": 1, "timestamp": 0}),
        (PlainBatch, {"run_id": RUN}),
        (PlainBatch, {"run_id": RUN, "metrics": [POINT] * 900, "params": pairs(p="1") * 1, "tags": [{"key": "t"}]}),
    ],
)
def test_what_clients_send_is_plain(kind: type[Plain], body: dict[str, Any]) -> None:
    assert kind.read(json.dumps(body).encode()) is not None


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (PlainMetric, {"runId": RUN, **POINT}),
        (PlainMetric, {"run_id": RUN, **POINT, "model_id": "m-1"}),
        (PlainMetric, {"run_id": RUN, **metric("m", "NaN")}),
        (PlainMetric, {"run_id": RUN, **metric("m", 1.0), "timestamp": "7"}),
        (PlainMetric, {"run_id": RUN, **metric("m", 1.0, -1)}),
        (PlainMetric, {"run_id": RUN, **metric("", 1.0)}),
        (PlainMetric, {"run_id": "", **POINT}),
        (PlainMetric, {"run_id": RUN, **metric("a\0b", 1.0)}),
        (PlainMetric, {"run_id": RUN, **metric("\ud800", 1.0)}),
        (PlainMetric, {"run_id": RUN, **POINT, "step": None}),
        (PlainBatch, {"run_id": RUN, "metrics": [POINT] * 1_001}),
        (PlainBatch, {"run_id": RUN, "metrics": [POINT] * 950, "tags": [{"key": f"t{n}"} for n in range(60)]}),
        (PlainBatch, {"run_id": RUN, "params": pairs(p="1") * 2}),
        (PlainBatch, {"run_id": RUN, "tags": [{"key": "t", "value": 7}]}),
        (PlainBatch, {"run_id": RUN, "metrics": None}),
        (PlainBatch, []),
    ],
)
def test_what_is_unusual_is_not_plain(kind: type[Plain], body: Any) -> None:
    assert kind.read(json.dumps(body).encode()) is None


@pytest.mark.parametrize("path", ["log-metric", "log-batch"])
def test_both_ways_leave_the_same(sqlite_door: Caller, path: str) -> None:
    long = {"params": pairs(p="x" * 7_000), "tags": pairs(t="y" * 9_000)}
    said = POINT if path == "log-metric" else {"metrics": [POINT, metric("n", -0.0)], **long}
    plain, unusual = sqlite_door.run("0", run_name="one"), sqlite_door.run("0", run_name="one")

    sqlite_door.post(f"runs/{path}", run_id=plain, **said)
    sqlite_door.post(f"runs/{path}", runId=unusual, unknown=1, **said)

    shown = [sqlite_door.get("runs/get", run_id=run)["run"]["data"] for run in (plain, unusual)]
    assert shown[0] == shown[1]
    assert len(shown[0]["metrics"]) >= 1
