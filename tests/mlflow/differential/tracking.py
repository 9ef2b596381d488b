"""Probes of experiments, runs and what is logged to them."""

from collections.abc import Mapping
from typing import Any

from tests.mlflow.calling import metric
from tests.mlflow.differential.asking import BASE, Asker

NOBODY = "0" * 32
Calls = Mapping[str, dict[str, Any]]
"""Fields of calls, by what is said of them."""


def pairs(**values: str) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def experiments(ask: Asker) -> None:
    first = ask.experiment("first", tags=pairs(team="red"))
    ask.experiment("second", artifact_location="s3://bucket/place", description="ignored")
    get = "experiments/get"
    ask.call("get experiment", "GET", get, experiment_id=first)
    ask.call("get experiment by camel case", "GET", get, experimentId=first)
    ask.call("get Default", "GET", get, experiment_id="0")
    ask.call("get experiment without id", "GET", get)
    ask.call("get experiment that is not there", "GET", get, experiment_id="777777")
    ask.call("get experiment by a word", "GET", get, experiment_id="abc")
    ask.call("get by name", "GET", "experiments/get-by-name", experiment_name="first")
    ask.call("get by a name that is not there", "GET", "experiments/get-by-name", experiment_name="nobody's")
    ask.call("get by no name", "GET", "experiments/get-by-name")
    calls: Calls = {
        "name taken": {"name": "first"},
        "without name": {},
        "empty name": {"name": ""},
        "number as name": {"name": 5},
        "long name": {"name": "x" * 501},
        "both spellings": {"name": "both", "artifact_location": "s3://a", "artifactLocation": "s3://b"},
        "location with fragment": {"name": "fragment", "artifact_location": "s3://b/x#y"},
        "long location": {"name": "far", "artifact_location": "s3://b/" + "x" * 2050},
        "bad tags": {"name": "bad tags", "tags": "x"},
        "long tag key": {"name": "tagged", "tags": pairs(**{"k" * 251: "v"})},
        "long tag value": {"name": "tagged", "tags": pairs(k="v" * 20_001)},
    }
    for label, fields in calls.items():
        ask.call(f"experiment with {label}", "POST", "experiments/create", **fields)
    ask.call("set experiment tag", "POST", "experiments/set-experiment-tag", experiment_id=first, key="k", value="1")
    ask.call("set experiment tag again", "POST", "experiments/set-experiment-tag", experiment_id=first, key="k", value="2")
    ask.call("set experiment tag without value", "POST", "experiments/set-experiment-tag", experiment_id=first, key="none")
    ask.call("set experiment tag without key", "POST", "experiments/set-experiment-tag", experiment_id=first, value="1")
    ask.call("tagged experiment", "GET", get, experiment_id=first)
    ask.call("delete experiment tag", "POST", "experiments/delete-experiment-tag", experiment_id=first, key="k")
    ask.call("delete experiment tag again", "POST", "experiments/delete-experiment-tag", experiment_id=first, key="k")
    ask.call("rename", "POST", "experiments/update", experiment_id=first, new_name="renamed")
    ask.call("rename to a taken name", "POST", "experiments/update", experiment_id=first, new_name="second")
    ask.call("rename without name", "POST", "experiments/update", experiment_id=first)
    ask.call("rename what is not there", "POST", "experiments/update", experiment_id="777777", new_name="x")
    early = ask.run("before delete", first)
    ask.call("restore what is active", "POST", "experiments/restore", experiment_id=first)
    ask.call("delete experiment", "POST", "experiments/delete", experiment_id=first)
    ask.call("delete experiment again", "POST", "experiments/delete", experiment_id=first)
    ask.call("deleted experiment", "GET", get, experiment_id=first)
    ask.call("deleted experiment by name", "GET", "experiments/get-by-name", experiment_name="renamed")
    ask.call("name of a deleted one", "POST", "experiments/create", name="renamed")
    ask.call("run in a deleted one", "POST", "runs/create", experiment_id=first)
    ask.call("tag on a deleted one", "POST", "experiments/set-experiment-tag", experiment_id=first, key="k", value="1")
    ask.call("rename a deleted one", "POST", "experiments/update", experiment_id=first, new_name="x")
    ask.call("runs of a deleted one", "POST", "runs/search", experiment_ids=[first])
    ask.call("deleted runs of a deleted one", "POST", "runs/search", experiment_ids=[first], run_view_type="DELETED_ONLY")
    ask.call("restore run of a deleted experiment", "POST", "runs/restore", run_id=early)
    ask.call("restore experiment", "POST", "experiments/restore", experiment_id=first)
    ask.call("restore experiment again", "POST", "experiments/restore", experiment_id=first)
    ask.call("runs of a restored one", "POST", "runs/search", experiment_ids=[first])


def bodies(ask: Asker) -> None:
    json = {"Content-Type": "application/json"}
    for label, body in {
        "text": b"{bad",
        "list": b"[1]",
        "string": b'"x"',
        "nothing": b"",
        "null": b"null",
        "bytes": b"\xff\xfe",
    }.items():
        ask.raw(f"body of {label}", "POST", f"{BASE}/runs/create", content=body, headers=json)
    ask.raw("body of another type", "POST", f"{BASE}/runs/create", content=b"{}", headers={"Content-Type": "text/plain"})
    ask.raw(
        "charset",
        "POST",
        f"{BASE}/experiments/search",
        content=b'{"max_results": 1, "filter": "name = \'first\'"}',
        headers={"Content-Type": "application/json; charset=utf-8"},
    )
    ask.call("unknown fields", "POST", "experiments/search", max_results=1, filter="name = 'nobody'", colour="red")
    ask.call("null fields", "POST", "experiments/search", max_results=1, filter="name = 'nobody'", page_token=None, order_by=None)
    ask.call("number as text", "POST", "experiments/search", max_results="1", filter="name = 'nobody'")
    ask.call("under ajax-api", "GET", "experiments/get-by-name", base="/ajax-api/2.0/mlflow", experiment_name="nobody")
    ask.call("under /api/3.0", "GET", "experiments/get", base="/api/3.0/mlflow", experiment_id="0")
    ask.raw("another verb", "PUT", f"{BASE}/experiments/search", json={})
    ask.raw("health", "GET", "/health")


def runs(ask: Asker) -> None:
    experiment = ask.experiment("runs")
    made = ask.call(
        "run with all",
        "POST",
        "runs/create",
        experiment_id=experiment,
        user_id="ada",
        run_name="named",
        start_time=7,
        tags=pairs(a="1", **{"mlflow.user": "ada"}),
    )
    run = ask.known("run", made["run"]["info"]["run_id"])
    plain = ask.call("run without name", "POST", "runs/create", experiment_id=experiment, start_time=7)["run"]["info"]["run_id"]
    ask.known("run", plain)
    by_tag = ask.call(
        "run named by tag",
        "POST",
        "runs/create",
        experiment_id=experiment,
        start_time=7,
        tags=pairs(**{"mlflow.runName": "tagged"}),
    )
    ask.known("run", by_tag["run"]["info"]["run_id"])
    ask.call(
        "run of two names",
        "POST",
        "runs/create",
        experiment_id=experiment,
        start_time=7,
        run_name="a",
        tags=pairs(**{"mlflow.runName": "b"}),
    )
    no_start = ask.call("run without start", "POST", "runs/create", experiment_id=experiment, run_name="no start")
    ask.known("run", no_start["run"]["info"]["run_id"])
    ask.call("run without experiment", "POST", "runs/create", run_name="x")
    ask.call("run of an experiment that is not there", "POST", "runs/create", experiment_id="777777")
    ask.call("run of Default", "POST", "runs/create", experiment_id="0", run_name="in default", start_time=3)
    ask.known("run", ask.call("runs of Default", "POST", "runs/search", experiment_ids=["0"])["runs"][0]["info"]["run_id"])
    ask.call("get run", "GET", "runs/get", run_id=run)
    ask.call("get run by uuid", "GET", "runs/get", run_uuid=run)
    ask.call("get no run", "GET", "runs/get")
    ask.call("get run that is not there", "GET", "runs/get", run_id=NOBODY)
    ask.call("get run of a bad id", "GET", "runs/get", run_id="a/b")
    calls: Calls = {
        "finish": {"status": "FINISHED", "end_time": 9},
        "same status": {"status": "FINISHED"},
        "reopen": {"status": "RUNNING"},
        "schedule": {"status": "SCHEDULED"},
        "kill": {"status": "KILLED", "end_time": 11},
        "number as status": {"status": 3, "end_time": 12},
        "unknown status": {"status": "SLEEPING"},
        "rename run": {"run_name": "other"},
        "nothing to update": {},
        "no end": {"status": "FAILED"},
        "end at 0": {"status": "FAILED", "end_time": 0},
    }
    for label, fields in calls.items():
        ask.call(f"update: {label}", "POST", "runs/update", run_id=run, **fields)
    ask.call("update: end again", "POST", "runs/update", run_id=run, status="FINISHED", end_time=13)
    ask.call("run after updates", "GET", "runs/get", run_id=run)
    ask.call("update what is not there", "POST", "runs/update", run_id=NOBODY, status="FINISHED")
    ask.call("rename by tag", "POST", "runs/set-tag", run_id=run, key="mlflow.runName", value="by tag")
    ask.call("renamed by tag", "GET", "runs/get", run_id=run)
    other = ask.run("of another user", experiment, user_id="ada")
    ask.call("user by tag", "POST", "runs/set-tag", run_id=other, key="mlflow.user", value="bob")
    ask.call("run with user by tag", "GET", "runs/get", run_id=other)
    ask.call("set tag", "POST", "runs/set-tag", run_id=run, key="t", value="1")
    ask.call("set tag again", "POST", "runs/set-tag", run_id=run, key="t", value="2")
    ask.call("set empty tag", "POST", "runs/set-tag", run_id=run, key="empty", value="")
    ask.call("set tag without key", "POST", "runs/set-tag", run_id=run, value="2")
    ask.call("set long tag", "POST", "runs/set-tag", run_id=run, key="long", value="x" * 8_005)
    ask.call("delete tag", "POST", "runs/delete-tag", run_id=run, key="t")
    ask.call("delete tag again", "POST", "runs/delete-tag", run_id=run, key="t")
    ask.call("delete name tag", "POST", "runs/delete-tag", run_id=by_tag["run"]["info"]["run_id"], key="mlflow.runName")
    ask.call("delete run", "POST", "runs/delete", run_id=run)
    ask.call("delete run again", "POST", "runs/delete", run_id=run)
    ask.call("deleted run", "GET", "runs/get", run_id=run)
    ask.call("log to a deleted run", "POST", "runs/log-metric", run_id=run, **metric("m", 1.0))
    ask.call("param of a deleted run", "POST", "runs/log-parameter", run_id=run, key="p", value="1")
    ask.call("tag of a deleted run", "POST", "runs/set-tag", run_id=run, key="k", value="1")
    ask.call("update a deleted run", "POST", "runs/update", run_id=run, status="FINISHED")
    ask.call("restore run", "POST", "runs/restore", run_id=run)
    ask.call("restore run again", "POST", "runs/restore", run_id=run)
    ask.call("delete what is not there", "POST", "runs/delete", run_id=NOBODY)


METRICS: dict[str, dict[str, Any]] = {
    "a float": metric("m", 1.5, 10, 1),
    "an integer": metric("m", 2, 11, 2),
    "text": metric("m", "3.5", 12, 3),
    "NaN": metric("odd", "NaN", 10),
    "infinity": metric("inf", "Infinity", 10),
    "minus infinity": metric("inf", "-Infinity", 11, 1),
    "no step": {"key": "m", "value": 0.5, "timestamp": 13},
    "an older step": metric("m", 9.0, 5, 0),
    "the same again": metric("m", 1.5, 10, 1),
    "a negative step": metric("m", 4.0, 10, -5),
    "a key with a slash": metric("a/b c.d-e_f:g", 1.0, 1),
    "time zero": metric("zero", 1.0, 0),
    "a word as value": metric("m", "abc"),
    "null as value": metric("m", None),
    "no value": {"key": "m", "timestamp": 1},
    "no time": {"key": "m", "value": 1.0},
    "a negative time": metric("m", 1.0, -1),
    "no key": {"value": 1.0, "timestamp": 1},
    "a bad key": metric("a$b", 1.0),
    "a key that climbs": metric("../a", 1.0),
    "an absolute key": metric("/a", 1.0),
    "a key with two slashes": metric("a//b", 1.0),
    "a long key": metric("k" * 251, 1.0),
    "a boolean": metric("m", value=True),
}

BATCHES: dict[str, dict[str, Any]] = {
    "everything": {"metrics": [metric("b", 1.0, 1), metric("b", 2.0, 2, 1)], "params": pairs(x="1"), "tags": pairs(y="2")},
    "nothing": {},
    "the same again": {"metrics": [metric("b", 1.0, 1)], "params": pairs(x="1")},
    "a changed param": {"params": pairs(x="2")},
    "a param twice": {"params": [*pairs(z="1"), *pairs(z="2")]},
    "a param twice alike": {"params": [*pairs(z="1"), *pairs(z="1")]},
    "a tag twice": {"tags": [*pairs(w="1"), *pairs(w="2")]},
    "an empty param": {"params": pairs(e="")},
    "a long param": {"params": pairs(long="x" * 6_005)},
    "too many metrics": {"metrics": [metric("m", 1.0)] * 1_001},
    "too many params": {"params": pairs(**{f"p{number}": "1" for number in range(101)})},
    "too many tags": {"tags": pairs(**{f"t{number}": "1" for number in range(101)})},
    "too much": {"metrics": [metric("m", 1.0)] * 950, "tags": pairs(**{f"t{number}": "1" for number in range(60)})},
    "no list": {"metrics": "x"},
    "null lists": {"metrics": None, "params": None, "tags": None},
    "a word in a list": {"metrics": ["a"]},
    "a bad metric at the end": {"metrics": [metric("good", 1.0), {"key": "bad", "value": 1}]},
    "a bad tag key": {"tags": pairs(**{"a$": "1"})},
    "a param without key": {"params": [{"value": "1"}]},
}


def logging(ask: Asker) -> None:
    experiment = ask.experiment("logging")
    run = ask.run("logged", experiment)
    for label, fields in METRICS.items():
        ask.call(f"log metric: {label}", "POST", "runs/log-metric", run_id=run, **fields)
    cut: dict[str, Any] = {"key": "m", "value": 1.0, "timestamp": 1.5}
    ask.call("log metric: a broken time", "POST", "runs/log-metric", run_id=ask.run("cut", experiment), **cut)
    ask.call("run with metrics", "GET", "runs/get", run_id=run)
    calls: Calls = {
        "plain": {"key": "p", "value": "1"},
        "the same": {"key": "p", "value": "1"},
        "another value": {"key": "p", "value": "2"},
        "empty": {"key": "q", "value": ""},
        "without value": {"key": "r"},
        "a number": {"key": "n", "value": 7},
        "without key": {"value": "1"},
        "long": {"key": "long", "value": "x" * 6_005},
        "long and the same": {"key": "long", "value": "x" * 6_007},
    }
    for label, fields in calls.items():
        ask.call(f"log param: {label}", "POST", "runs/log-parameter", run_id=run, **fields)
    ask.call("log to nobody", "POST", "runs/log-metric", run_id=NOBODY, **metric("m", 1.0))
    ask.call("log without run", "POST", "runs/log-metric", **metric("m", 1.0))
    batch = ask.run("batched", experiment)
    for label, fields in BATCHES.items():
        ask.call(f"batch: {label}", "POST", "runs/log-batch", run_id=batch, **fields)
    ask.call("run with batches", "GET", "runs/get", run_id=batch)
    ask.call(
        "half a batch",
        "POST",
        "runs/log-batch",
        run_id=batch,
        metrics=[metric("half", 1.0)],
        tags=pairs(x1="1"),
        params=pairs(x="9"),
    )
    ask.call("run after half a batch", "GET", "runs/get", run_id=batch)
    _histories(ask, run, batch)
    _inputs(ask, experiment)


def _histories(ask: Asker, run: str, batch: str) -> None:
    history = "metrics/get-history"
    calls: Calls = {
        "all": {"metric_key": "m"},
        "NaN": {"metric_key": "odd"},
        "infinities": {"metric_key": "inf"},
        "an unknown key": {"metric_key": "nothing"},
        "no key": {},
        "a page": {"metric_key": "m", "max_results": 2},
        "no results": {"metric_key": "m", "max_results": 0},
        "negative": {"metric_key": "m", "max_results": -1},
        "a bad token": {"metric_key": "m", "max_results": 2, "page_token": "bad"},
        "a page of x": {"metric_key": "m", "max_results": "x"},
    }
    for label, fields in calls.items():
        ask.call(f"history: {label}", "GET", history, run_id=run, **fields)
    ask.call("history of nobody", "GET", history, run_id=NOBODY, metric_key="m")
    bulk, interval = "metrics/get-history-bulk", "metrics/get-history-bulk-interval"
    ajax = "/ajax-api/2.0/mlflow"
    ask.call("bulk history", "GET", bulk, base=ajax, run_id=[run, batch], metric_key="m", max_results=100)
    ask.call("bulk history without key", "GET", bulk, base=ajax, run_id=[run])
    ask.call("bulk history without run", "GET", bulk, base=ajax, metric_key="m")
    ask.call("interval", "GET", interval, run_ids=[run, batch], metric_key="m", max_results=10)
    ask.call("interval of steps", "GET", interval, run_ids=[run], metric_key="m", start_step=1, end_step=2, max_results=10)
    ask.call("half an interval", "GET", interval, run_ids=[run], metric_key="m", start_step=1, max_results=10)
    ask.call("interval backwards", "GET", interval, run_ids=[run], metric_key="m", start_step=5, end_step=2, max_results=10)
    ask.call("interval of too many", "GET", interval, run_ids=[run], metric_key="m", max_results=2501)
    many = ask.run("many points", ask.experiment("sampled"))
    ask.call(
        "many points",
        "POST",
        "runs/log-batch",
        run_id=many,
        metrics=[metric("s", float(step), step, step) for step in range(100)],
    )
    for most in (1, 2, 5, 10, 99, 100):
        ask.call(f"sample of {most}", "GET", interval, run_ids=[many], metric_key="s", max_results=most)


def _inputs(ask: Asker, experiment: str) -> None:
    run = ask.run("reader", experiment)
    dataset = {"name": "d", "digest": "1", "source_type": "local", "source": "{}", "schema": "s", "profile": "p"}
    tags = pairs(**{"mlflow.data.context": "train"})
    calls: Calls = {
        "a dataset": {"datasets": [{"dataset": dataset, "tags": tags}]},
        "the same": {"datasets": [{"dataset": dataset, "tags": pairs(other="1")}]},
        "without tags": {"datasets": [{"dataset": dataset | {"digest": "2"}}]},
        "nothing": {},
        "a long digest": {"datasets": [{"dataset": dataset | {"digest": "x" * 37}}]},
        "a long name": {"datasets": [{"dataset": dataset | {"name": "x" * 501}}]},
    }
    for label, fields in calls.items():
        ask.call(f"log inputs: {label}", "POST", "runs/log-inputs", run_id=run, **fields)
    calls = {
        "without name": {"datasets": [{"dataset": {"digest": "1", "source_type": "local", "source": "{}"}}]},
        "without digest": {"datasets": [{"dataset": {"name": "d", "source_type": "local", "source": "{}"}}]},
        "without dataset": {"datasets": [{"tags": tags}]},
    }
    for label, fields in calls.items():
        other = ask.run(f"inputs {label}", experiment)
        ask.call(f"log inputs: {label}", "POST", "runs/log-inputs", run_id=other, **fields)
    other = ask.run("the same dataset", ask.experiment("other inputs"))
    changed = dataset | {"schema": "other"}
    ask.call("log inputs: the same elsewhere", "POST", "runs/log-inputs", run_id=other, datasets=[{"dataset": changed}])
    ask.call("run with the same elsewhere", "GET", "runs/get", run_id=other)
    ask.call("inputs of nobody", "POST", "runs/log-inputs", run_id=NOBODY, datasets=[{"dataset": dataset}])
    ask.call("run with inputs", "GET", "runs/get", run_id=run)


def kept_by_one_side_only(ask: Asker) -> None:
    """Last, as what follows would see what it leaves."""
    ask.call("experiment with location with parent", "POST", "experiments/create", name="climbs", artifact_location="s3://b/../x")
    twice = [*pairs(t="1"), *pairs(t="2")]
    ask.call("experiment with a tag twice", "POST", "experiments/create", name="tagged twice", tags=twice)
    run = ask.run("one-sided", ask.experiment("one-sided"))
    ask.call("log metric: a step over 64 bits", "POST", "runs/log-metric", run_id=run, **metric("m", 1.0, 1, 2**63))
    ask.call("log metric: nan as text", "POST", "runs/log-metric", run_id=run, **metric("m", "nan"))
    ask.call("batch: a param that is a number", "POST", "runs/log-batch", run_id=run, params=[{"key": "n", "value": 7}])
    ask.call("run ended before 1970", "POST", "runs/update", run_id=run, status="FAILED", end_time=-1)
    ask.call("run before 1970", "POST", "runs/create", experiment_id=ask.experiment("before 1970"), run_name="x", start_time=-1)
