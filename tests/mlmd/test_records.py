"""What a pipeline's clients put is what the other doors show: metrics as series, inputs, what a cache finds."""

import uuid
from typing import Any

import httpx
import pytest

from registry.catalog.checking import check_all
from tests.mlmd.door import Door, fresh, node
from tests.mlmd.kubeflow import COMPLETE, INPUT, LIVE, OUTPUT, RUNNING, Run

METRICS = "system.Metrics"


@pytest.fixture
def run(door: Door) -> Run:
    made = Run(door, str(uuid.uuid4()))
    made.start()
    return made


def metrics(run: Run) -> dict[str, float]:
    return {point["key"]: point["value"] for point in shown(run)["metrics"]}


def shown(run: Run) -> Any:
    return run.rest(f"runs/{own_id(run)}")


def own_id(run: Run) -> str:
    return f"run_{run.uid.replace('-', '')}"


def measured(run: Run, task: str = "train", port: str = "metrics", **values: Any) -> int:
    """A task that has written metrics; the artifact."""
    run.driven(task, task_name=task, parent_dag_id=run.ids["root"])
    [made] = run.published(task, (METRICS, port, f"minio://b/{run.uid}/{task}/{port}", values))
    return made


def sound(run: Run) -> bool:
    return not run.door.served.services.runner.read(lambda session: list(check_all(session)))


def test_numbers_of_a_metrics_artifact_are_series_of_the_run(run: Run) -> None:
    measured(run, auc=0.5, loss=1e-300, note="text", epochs=3)

    assert metrics(run) == {"train/metrics/auc": 0.5, "train/metrics/loss": 1e-300}
    [point] = run.rest(f"runs/{own_id(run)}/metrics/train%2Fmetrics%2Fauc")["metrics"]
    steps = run.rest(f"runs/{own_id(run)}/steps")["steps"]
    assert (point["step"], point["at"]) == (0, steps[0]["ended_at"])
    assert sound(run)


def test_a_run_has_begun_with_its_own_execution(run: Run) -> None:
    begun = shown(run)["started_at"]
    run.published("root")
    ended = shown(run)

    assert ended["started_at"] == begun == run.get("execution", run.ids["root"])[0].create_time_since_epoch
    assert ended["ended_at"] >= begun


def test_the_next_value_replaces_the_one_before_and_what_is_gone_goes(run: Run) -> None:
    made = measured(run, auc=0.5, loss=2.0)
    [artifact] = run.get("artifact", made)
    artifact.custom_properties["auc"].double_value = 0.75
    del artifact.custom_properties["loss"]

    run.put("artifact", artifact)

    assert metrics(run) == {"train/metrics/auc": 0.75}
    assert len(run.rest(f"runs/{own_id(run)}/metrics/train%2Fmetrics%2Fauc")["metrics"]) == 1
    assert sound(run)


def test_a_put_that_changes_nothing_moves_nothing(run: Run) -> None:
    made = measured(run, auc=0.5)
    before = shown(run)["version"]

    run.put("artifact", *run.get("artifact", made))

    assert shown(run)["version"] == before


def test_other_doors_read_such_a_series_and_do_not_write_it(run: Run) -> None:
    measured(run, auc=0.5)
    url = f"{run.door.served.url}/api/v1/runs/{own_id(run)}/log"

    mine = httpx.post(url, json={"metrics": [{"key": "train/metrics/auc", "value": 1.0}]}, timeout=60)
    free = httpx.post(url, json={"metrics": [{"key": "train/metrics/other", "value": 1.0}]}, timeout=60)

    assert (mine.status_code, free.status_code // 100) == (409, 2)
    assert metrics(run) == {"train/metrics/auc": 0.5, "train/metrics/other": 1.0}


@pytest.mark.parametrize("agent_first", [False, True])
def test_the_agents_metrics_of_that_task_are_the_same_series(run: Run, agent_first: bool) -> None:
    report = run.report()
    report["tasks"] = [{**report["tasks"][1], "inputs": {}, "outputs": {}, "depends_on": [], "metrics": {"metrics/auc": 0.25}}]
    report["edges"] = []

    def send() -> None:
        httpx.post(f"{run.door.served.url}/api/v1/reports", json=report, timeout=60).raise_for_status()

    if agent_first:
        send()
    measured(run, auc=0.5)
    if not agent_first:
        send()

    assert metrics(run) == {"train/metrics/auc": 0.5}
    assert sound(run)


def test_metrics_that_come_by_an_event_alone_and_before_the_end_have_the_end_as_time(run: Run) -> None:
    task = run.driven("train", task_name="train", parent_dag_id=run.ids["root"])
    [made] = run.put("artifact", node("artifact", run.types[METRICS], uri=fresh("s3://b/m"), custom={"auc": 0.5}))
    event = {"artifact_id": made, "execution_id": task, "type": OUTPUT, "path": {"steps": [{"key": "metrics"}]}}
    run.call("PutEvents", events=[event])
    first = metrics(run)
    [execution] = run.get("execution", task)
    execution.last_known_state = COMPLETE

    run.put("execution", execution)

    [step] = run.rest(f"runs/{own_id(run)}/steps")["steps"]
    [point] = run.rest(f"runs/{own_id(run)}/metrics/train%2Fmetrics%2Fauc")["metrics"]
    assert (first, point["at"]) == ({"train/metrics/auc": 0.5}, step["ended_at"])


def test_metrics_that_nobody_made_or_that_are_an_input_are_no_series(run: Run) -> None:
    [alone] = run.put("artifact", node("artifact", run.types[METRICS], custom={"auc": 0.5}, state=LIVE))
    task = run.driven("use", task_name="use", parent_dag_id=run.ids["root"])
    run.call("PutEvents", events=[{"artifact_id": alone, "execution_id": task, "type": INPUT}])

    assert metrics(run) == {}


# ---- inputs ---------------------------------------------------------------------------------------------------------


def reported_input(run: Run, uri: str) -> None:
    """The agent tells of a task that uses what no task has made."""
    report = run.report()
    given = {"name": "data", "uri": uri, "type": "system.Dataset", "metadata": {"rows": "10"}}
    report["tasks"] = [{**report["tasks"][0], "outputs": {}, "inputs": {"artifacts": [given]}}]
    report["edges"] = []
    httpx.post(f"{run.door.served.url}/api/v1/reports", json=report, timeout=60).raise_for_status()


@pytest.mark.parametrize("agent_first", [False, True])
@pytest.mark.parametrize("how", ["artifact", "event", "subgraph"])
def test_an_input_that_no_task_made_is_one_artifact_by_its_uri(run: Run, agent_first: bool, how: str) -> None:
    uri = fresh("s3://data/rows")
    if agent_first:
        reported_input(run, uri)
    [data] = run.put("artifact", node("artifact", run.types["system.Model"], uri=uri))
    task = node("execution", run.types["system.ContainerExecution"], last_known_state=RUNNING)
    task.custom_properties["task_name"].string_value = "prepare"
    task.custom_properties["parent_dag_id"].int_value = run.ids["root"]
    link = {"type": INPUT, "artifact_id": data, "path": {"steps": [{"key": "data"}]}}
    if how == "artifact":
        run.call("PutExecution", execution=task, artifact_event_pairs=[{"event": link}], contexts=run.contexts)
    else:
        made = run.call("PutExecution", execution=task, contexts=run.contexts).execution_id
        event = {**link, "execution_id": made}
        if how == "event":
            run.call("PutEvents", events=[event])
        else:
            run.call("PutLineageSubgraph", event_edges=[{"event": event}])
    if not agent_first:
        reported_input(run, uri)

    assert [one.id for one in run.call("GetArtifactsByURI", uris=[uri]).artifacts] == [data]
    [step] = [one for one in run.rest(f"runs/{own_id(run)}/steps")["steps"] if one["path"] == "prepare"]
    events = run.call("GetEventsByExecutionIDs", execution_ids=[int(step["id"].removeprefix("step_"))]).events
    assert [(one.artifact_id, one.type) for one in events] == [(data, INPUT)]
    assert sound(run)


# ---- caches ---------------------------------------------------------------------------------------------------------


def test_the_cache_finds_what_kubeflow_pipelines_has_run(run: Run) -> None:
    print_ = fresh("print")
    run.driven("train", task_name="train", parent_dag_id=run.ids["root"], cache_fingerprint=print_)
    [model] = run.published("train", ("system.Model", "model", fresh("s3://b/m"), {}))

    found = run.rest(f"cache?fingerprint={print_}")

    assert found["step"] == f"step_{run.ids['train']}"
    assert found["outputs"] == [f"art_{model}"]


def test_the_cache_finds_what_tfx_has_run(door: Door) -> None:
    key = fresh("cache-key")
    types = {name: door.type("context", name) for name in ("pipeline_run", "execution_cache")}
    contexts = [
        node("context", types["pipeline_run"], name=fresh("run")),
        node("context", types["execution_cache"], name=key),
    ]
    trainer, kind = door.type("execution"), door.type("artifact")
    pair = {"artifact": node("artifact", kind, uri="s3://b/k"), "event": {"type": OUTPUT}}
    made = door.call(
        "PutExecution",
        execution=node("execution", trainer, last_known_state=COMPLETE),
        artifact_event_pairs=[pair],
        contexts=contexts,
        options={"reuse_context_if_already_exist": True},
    )

    found = httpx.get(f"{door.served.url}/api/v1/cache?fingerprint={key}", timeout=60).json()

    assert (found["step"], found["outputs"]) == (f"step_{made.execution_id}", [f"art_{made.artifact_ids[0]}"])


def test_a_cached_task_leads_to_the_originals_outputs_in_lineage(run: Run) -> None:
    run.driven("train", task_name="train", parent_dag_id=run.ids["root"], cache_fingerprint="f")
    [model] = run.published("train", ("system.Model", "model", fresh("s3://b/m"), {}))
    other = Run(run.door, str(uuid.uuid4()))
    other.start()
    cached = other.driven(
        "train", task_name="train", parent_dag_id=other.ids["root"], state=5, cached_execution_id=str(run.ids["train"])
    )

    found = run.rest(f"lineage?root=step_{cached}&depth=2")

    late = {"artifact_id": model, "execution_id": cached, "type": OUTPUT}
    assert run.door.refusal("PutEvents", events=[late]) == "OK"
    assert run.door.refusal("PutEvents", events=[{**late, "execution_id": run.ids["train"]}]) == "ALREADY_EXISTS"
    assert {f"art_{model}", f"step_{run.ids['train']}"} <= {one["id"] for one in found["nodes"]}
