"""Logging to a run, and the histories of metrics."""

import json
import sys
from typing import Any

import pytest

from registry.catalog.dumping import canonical
from tests.mlflow.calling import BASE, Caller, metric, pairs


@pytest.fixture
def run(door: Caller) -> str:
    return door.run(door.experiment())


def data(door: Caller, run: str) -> dict[str, Any]:
    found: dict[str, Any] = door.get("runs/get", run_id=run)["run"]["data"]
    return found


def test_the_latest_value_has_the_greatest_step_then_time_then_value(door: Caller, run: str) -> None:
    for value, timestamp, step in ((1.0, 9, 1), (2.0, 5, 2), (3.0, 5, 2), (0.5, 4, 2)):
        door.post("runs/log-metric", run_id=run, **metric("m", value, timestamp, step))

    assert data(door, run)["metrics"] == [{"key": "m", "value": 3.0, "timestamp": 5, "step": 2}]


def test_numbers_come_as_text_and_as_words_and_infinities_leave_as_the_largest(door: Caller, run: str) -> None:
    door.post("runs/log-metric", run_id=run, key="text", value="1e2", timestamp="7", step="3")
    door.post("runs/log-metric", run_id=run, **metric("nan", "NaN"))
    door.post("runs/log-metric", run_id=run, **metric("up", "Infinity"))
    for key, value in (("words", "-inf"), ("spaced", " 2.5 "), ("over", "1e400"), ("signed", "+infinity"), ("not", "-nan")):
        door.post("runs/log-metric", run_id=run, key=key, value=value, timestamp=1)
    assert door.refused("POST", "runs/log-metric", run_id=run, key="text", value="nan", timestamp=1)[0] == 400
    bare = json.dumps({"run_id": run, **metric("down", float("-inf"))})
    answer = door.http.post(f"{BASE}/runs/log-metric", content=bare, headers={"Content-Type": "application/json"})

    assert answer.status_code == 200
    shown = {item["key"]: item["value"] for item in data(door, run)["metrics"]}
    largest = sys.float_info.max
    by_rules = {"text": 100.0, "nan": "NaN", "up": largest, "down": -largest}
    assert shown == by_rules | {"words": -largest, "spaced": 2.5, "over": largest, "signed": largest, "not": "NaN"}


def test_a_param_does_not_change_and_is_cut_before_it_is_compared(door: Caller, run: str) -> None:
    door.post("runs/log-parameter", run_id=run, key="p", value="x" * 7_000)
    door.post("runs/log-parameter", run_id=run, key="p", value="x" * 6_500)
    door.post("runs/log-parameter", run_id=run, key="empty")
    answer = door.ask("POST", "runs/log-parameter", run_id=run, key="p", value="y")

    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert answer.json()["message"].startswith("Changing param values is not allowed")
    assert data(door, run)["params"] == [{"key": "empty", "value": ""}, {"key": "p", "value": "x" * 6_000}]


def test_a_tag_is_replaced_cut_and_deleted(door: Caller, run: str) -> None:
    door.post("runs/set-tag", run_id=run, key="t", value="1")
    door.post("runs/set-tag", run_id=run, key="t", value="x" * 9_000)
    assert door.tags(run)["t"] == "x" * 8_000

    door.post("runs/delete-tag", run_id=run, key="t")
    assert "t" not in door.tags(run)
    assert door.refused("POST", "runs/delete-tag", run_id=run, key="t") == (404, "RESOURCE_DOES_NOT_EXIST")


def test_what_the_client_sends_again_changes_nothing(door: Caller, run: str) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [
        ("log-batch", {"metrics": [metric("a", 1.0), metric("b", "NaN")], "params": pairs(p="1"), "tags": pairs(t="1")}),
        ("log-metric", metric("a", 2.0, step=1)),
        ("log-parameter", {"key": "p", "value": "1"}),
        ("set-tag", {"key": "mlflow.runName", "value": "named"}),
        ("set-tag", {"key": "mlflow.parentRunId", "value": "x"}),
        ("update", {"status": "FINISHED"}),
        ("delete", {}),
        ("restore", {}),
    ]
    for path, fields in calls:
        door.post(f"runs/{path}", run_id=run, **fields)
        before = _dump(door)
        door.post(f"runs/{path}", run_id=run, **fields)
        assert _dump(door) == before, path


def _dump(door: Caller) -> str:
    return json.dumps(door.served.services.runner.read(lambda session: list(canonical(session))), sort_keys=True, default=str)


def test_a_history_is_in_the_order_of_time_step_and_value_and_pages_lose_nothing(door: Caller, run: str) -> None:
    points = [metric("m", value, timestamp, step) for value, timestamp, step in ((3.0, 2, 0), (1.0, 1, 5), (2.0, 2, 0))]
    door.post("runs/log-batch", run_id=run, metrics=[*points, metric("other", 9.0)])

    whole = door.get("metrics/get-history", run_id=run, metric_key="m")["metrics"]
    assert [point["value"] for point in whole] == [1.0, 2.0, 3.0]
    paged, token = [], None
    while True:
        page = door.get(
            "metrics/get-history", run_id=run, metric_key="m", max_results=2, **({"page_token": token} if token else {})
        )
        paged += page["metrics"]
        token = page.get("next_page_token")
        if token is None:
            break
    assert paged == whole
    assert door.get("metrics/get-history", run_id=run, metric_key="none") == {}
    assert door.get("metrics/get-history", run_id="0" * 32, metric_key="m") == {}


def test_histories_of_several_runs_are_sampled_with_both_ends(door: Caller) -> None:
    id = door.experiment()
    long, short = door.run(id), door.run(id)
    door.post("runs/log-batch", run_id=long, metrics=[metric("m", float(step), step, step) for step in range(100)])
    door.post("runs/log-batch", run_id=short, metrics=[metric("m", float(step), step, step) for step in (7, 8)])

    whole = door.get("metrics/get-history-bulk", run_id=[long, short, "0" * 32], metric_key="m")["metrics"]
    assert len(whole) == 102
    other = door.get("metrics/get-history-bulk", run_id=[short, long], metric_key="m")["metrics"]
    assert whole == other == sorted(whole, key=lambda point: (point["run_id"], point["step"]))
    sampled = door.get("metrics/get-history-bulk-interval", run_ids=[long, short], metric_key="m", max_results=5)["metrics"]
    steps = {run: [point["step"] for point in sampled if point["run_id"] == run] for run in (long, short)}
    assert (len(steps[long]), steps[long][0], steps[long][-1]) == (5, 0, 99)
    assert steps[short] == [7, 8]
    for runs in ([long, short], [short, long], [short, short]):
        points = door.get("metrics/get-history-bulk-interval", run_ids=runs, metric_key="m", max_results=1)["metrics"]
        assert [point["run_id"] for point in points] == runs  # as they were asked for
    within = door.get("metrics/get-history-bulk-interval", run_ids=[long], metric_key="m", start_step=10, end_step=12)["metrics"]
    assert [point["step"] for point in within] == [10, 11, 12]
    assert door.get("metrics/get-history-bulk-interval", run_ids=[long], metric_key="none") == {}
    assert door.get("metrics/get-history-bulk", run_id=[long], metric_key="none") == {"metrics": []}


def test_datasets_are_inputs_once_with_the_tags_of_the_first_time(door: Caller) -> None:
    id = door.experiment()
    run, other = door.run(id, run_name="reader"), door.run(id, run_name="other")
    dataset = {"name": "iris", "digest": "abc", "source_type": "local", "source": "{}", "schema": "[]"}
    for context in ("train", "again"):
        tags = [{"key": "mlflow.data.context", "value": context}]
        door.post("runs/log-inputs", run_id=run, datasets=[{"dataset": dataset, "tags": tags}])

    shown = [{"tags": [{"key": "mlflow.data.context", "value": "train"}], "dataset": dataset}]
    assert other
    assert door.get("runs/get", run_id=run)["run"]["inputs"] == {"dataset_inputs": shown}
    assert door.post("runs/search", experiment_ids=[id])["runs"][-1]["inputs"] == {"dataset_inputs": shown}
    assert door.found(id, filter="dataset.name = 'iris' AND datasets.digest LIKE 'a%'") == ["reader"]
    assert door.found(id, filter="dataset.name != 'iris'") == []
    nameless = door.refused("POST", "runs/log-inputs", run_id=run, datasets=[{"dataset": {"digest": "abc"}}])
    assert nameless == (400, "INVALID_PARAMETER_VALUE")
