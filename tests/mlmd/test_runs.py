"""A pipeline run is one record: what ML Metadata's clients put and what the agent reports, whoever comes first."""

import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import pytest

from registry.catalog.actors import Actor
from registry.catalog.cache import find_reusable
from registry.catalog.checking import check_all
from registry.catalog.workspaces import get_or_create_workspace
from registry.names import Role
from tests.mlmd.door import Door, fresh, node
from tests.mlmd.kubeflow import CACHED, COMPLETE, RUNNING, Run

TASKS = ["prepare", "train", "for-loop-1", "for-loop-1/0", "for-loop-1/0/inner", "for-loop-1/1", "for-loop-1/1/inner"]


@pytest.fixture
def run(door: Door) -> Run:
    return Run(door, str(uuid.uuid4()))


def steps_of(run: Run) -> dict[str, dict[str, object]]:
    found = run.rest(f"runs/run_{run.uid.replace('-', '')}/steps?page_size=100")["steps"]
    assert max(Counter(step["path"] for step in found).values(), default=1) == 1
    return {step["path"]: step for step in found}


def test_a_run_of_kubeflow_pipelines_is_a_run_with_steps_and_an_experiment_at_once(run: Run) -> None:
    run.whole()

    shown = run.rest(f"runs/run_{run.uid.replace('-', '')}")
    steps = steps_of(run)

    assert (shown["status"], shown["experiment_name"]) == ("succeeded", f"pipelines/{run.pipeline}")
    assert sorted(steps) == sorted(TASKS)
    assert {step["status"] for step in steps.values()} == {"succeeded"}
    assert steps["prepare"]["id"] == f"step_{run.ids['prepare']}"
    assert (steps["prepare"]["display_name"], steps["prepare"]["pod_name"]) == ("Prepare", "pod-1")
    assert steps["for-loop-1/1/inner"]["parent"] == f"step_{run.ids['loop/1']}"
    assert steps["for-loop-1/1"]["iteration"] == 1


def test_the_door_first_then_the_agent_is_one_record_with_the_ids_that_the_door_gave(run: Run) -> None:
    run.whole()

    run.send_report()

    assert {path: step["id"] for path, step in steps_of(run).items()} == {
        "prepare": f"step_{run.ids['prepare']}",
        "train": f"step_{run.ids['train']}",
        "for-loop-1": f"step_{run.ids['loop']}",
        **{f"for-loop-1/{n}": f"step_{run.ids[f'loop/{n}']}" for n in range(2)},
        **{f"for-loop-1/{n}/inner": f"step_{run.ids[f'loop/{n}/inner']}" for n in range(2)},
    }
    in_run = run.door.call("GetArtifactsByContext", context_id=run.ids["run"]).artifacts
    assert [one.id for one in in_run] == [run.ids["data"], run.ids["model"], run.ids["metrics"]]
    assert [one.id for one in run.door.call("GetArtifactsByURI", uris=[f"minio://b/{run.uid}/model"]).artifacts] == [
        run.ids["model"]
    ]
    _is_sound(run)


def test_the_agent_first_then_the_door_is_one_record_with_the_ids_that_the_agent_made(run: Run) -> None:
    run.send_report()
    before = {path: step["id"] for path, step in steps_of(run).items()}

    run.whole()

    assert {path: step["id"] for path, step in steps_of(run).items()} == before
    assert before["train"] == f"step_{run.ids['train']}"
    listed = run.door.call("GetExecutionsByContext", context_id=run.ids["run"]).executions
    assert len(listed) == len(TASKS) + 1
    assert {one.type for one in listed} == {"system.DAGExecution", "system.ContainerExecution"}
    assert [one.id for one in run.door.call("GetArtifactsByURI", uris=[f"minio://b/{run.uid}/model"]).artifacts] == [
        run.ids["model"]
    ]
    run.send_report()
    assert {path: step["id"] for path, step in steps_of(run).items()} == before
    _is_sound(run)


def _is_sound(run: Run) -> None:
    problems = run.door.served.services.runner.read(lambda session: list(check_all(session)))
    assert not problems


def test_a_driver_that_runs_again_gets_the_execution_that_its_task_has(run: Run) -> None:
    run.start()
    root = run.ids["root"]
    first = run.driven("train", task_name="train", parent_dag_id=root, attempt=1)
    run.published("train", ("system.Model", "model", f"minio://b/{run.uid}/m", {}), state=4)

    again = run.driven("train", task_name="train", parent_dag_id=root, attempt=2)

    stored = run.door.one("execution", first)
    assert again == first
    assert (stored.last_known_state, stored.custom_properties["attempt"].int_value) == (RUNNING, 2)
    assert steps_of(run)["train"]["status"] == "running"
    second = node("execution", run.types["system.DAGExecution"], name=f"run/{run.uid}")
    assert run.door.refusal("PutExecution", execution=second, contexts=run.contexts) == "ALREADY_EXISTS"


def test_a_task_whose_pod_died_is_failed_by_the_report_and_mlmd_says_so(run: Run) -> None:
    run.start()
    run.driven("train", task_name="train", parent_dag_id=run.ids["root"])
    report = run.report()
    report["tasks"] = [{**report["tasks"][1], "state": "FAILED", "inputs": {}, "outputs": {}, "depends_on": []}]
    report["edges"] = []
    httpx.post(f"{run.door.served.url}/api/v1/reports", json=report, timeout=60).raise_for_status()

    assert run.door.one("execution", run.ids["train"]).last_known_state == 4
    assert steps_of(run)["train"]["status"] == "failed"


def test_a_cached_task_says_what_it_stands_for(run: Run) -> None:
    run.whole()
    other = Run(run.door, str(uuid.uuid4()))
    other.start()

    other.driven(
        "train",
        task_name="train",
        parent_dag_id=other.ids["root"],
        state=CACHED,
        cached_execution_id=str(run.ids["train"]),
        cache_fingerprint=f"f-{run.uid}",
    )

    served = run.door.served.services
    actor = Actor("tester", 1, "default", Role.VIEWER)
    found = served.runner.read(lambda session: find_reusable(session, actor, f"f-{run.uid}"))
    assert found is not None
    assert (found.step, found.outputs) == (run.ids["train"], (run.ids["model"], run.ids["metrics"]))
    assert steps_of(other)["train"]["status"] == "cached"


def test_a_run_is_never_made_twice_for_one_context(run: Run) -> None:
    run.start()
    context = node("context", run.types["system.PipelineRun"], name=run.uid)

    assert run.door.refusal("PutContexts", contexts=[context]) == "ALREADY_EXISTS"
    found = run.door.call("GetContextByTypeAndName", type_name="system.PipelineRun", context_name=run.uid).context
    assert (found.id, found.custom_properties["namespace"].string_value) == (run.ids["run"], "team")


def test_executions_that_are_associated_later_are_steps_too(door: Door) -> None:
    """As Kubeflow Pipelines' first metadata writer does it."""
    name = fresh("argo-run")
    [run] = door.put("context", node("context", door.type("context", "KfpRun"), name=name))
    type_id = door.type("execution", fresh("components.train@sha256="), run_id=3)
    ids = door.put("execution", *(node("execution", type_id, custom={"kfp_pod_name": f"pod-{n}"}) for n in range(3)))

    door.call("PutAttributionsAndAssociations", associations=[{"context_id": run, "execution_id": id} for id in ids])
    door.call("PutAttributionsAndAssociations", associations=[{"context_id": run, "execution_id": id} for id in ids])

    shown = [
        one for one in httpx.get(f"{door.served.url}/api/v1/runs?page_size=200", timeout=60).json()["runs"] if one["name"] == name
    ]
    assert len(shown) == 1
    steps = httpx.get(f"{door.served.url}/api/v1/runs/{shown[0]['id']}/steps", timeout=60).json()["steps"]
    assert [step["id"] for step in steps] == [f"step_{id}" for id in ids]


@pytest.mark.parametrize("compound", [False, True])
def test_an_execution_that_is_put_into_a_runs_context_later_is_its_step(run: Run, compound: bool) -> None:
    run.start()
    [id] = run.door.put("execution", node("execution", run.types["system.ContainerExecution"], name=fresh("late")))
    late = run.door.one("execution", id)

    for _ in range(2):
        if compound:
            run.door.call("PutLineageSubgraph", executions=[late], contexts=run.contexts)
        else:
            run.door.call("PutExecution", execution=late, contexts=run.contexts)

    assert [step["id"] for step in steps_of(run).values()] == [f"step_{id}"]


@pytest.mark.parametrize("agent_first", [False, True])
@pytest.mark.parametrize("compound", [False, True])
def test_an_output_event_alone_makes_the_artifact_the_agents_output(run: Run, agent_first: bool, compound: bool) -> None:
    if agent_first:
        run.send_report()
    run.start()
    train = run.driven("train", task_name="train", parent_dag_id=run.ids["root"])
    uri = f"minio://b/{run.uid}/model"
    [model] = run.door.put("artifact", node("artifact", run.types["system.Model"], uri=uri))
    event = {"artifact_id": model, "execution_id": train, "type": 4, "path": {"steps": [{"key": "model"}]}}

    if compound:
        run.door.call("PutLineageSubgraph", event_edges=[{"event": event}])
    else:
        run.door.call("PutEvents", events=[event])
    if not agent_first:
        run.send_report()

    assert [one.id for one in run.door.call("GetArtifactsByURI", uris=[uri]).artifacts] == [model]
    _is_sound(run)


@pytest.mark.parametrize("named", ["\u00b2", "\u0663", "9" * 5000, "-1", "no number"])
def test_a_cached_task_may_name_what_is_no_execution(run: Run, named: str) -> None:
    run.start()

    id = run.driven("t", task_name="t", parent_dag_id=run.ids["root"], state=CACHED, cached_execution_id=named)

    assert run.door.one("execution", id).custom_properties["cached_execution_id"].string_value == named


@pytest.mark.parametrize("field", ["name", "external_id"])
def test_a_driver_that_runs_again_with_a_name_that_another_task_has_is_refused(run: Run, field: str) -> None:
    run.start()
    tasks = [
        node("execution", run.types["system.ContainerExecution"], custom={"task_name": task}, **{field: fresh("taken")})
        for task in ("one", "two")
    ]
    for task in tasks:
        run.door.call("PutExecution", execution=task, contexts=run.contexts)
    setattr(tasks[1], field, getattr(tasks[0], field))

    assert run.door.refusal("PutExecution", execution=tasks[1], contexts=run.contexts) == "ALREADY_EXISTS"
    assert sorted(steps_of(run)) == ["one", "two"]


def test_a_loop_of_another_workspace_says_nothing_of_a_task_here(run: Run) -> None:
    run.start()
    team = [("x-lineal-workspace", fresh("team"))]
    run.door.served.services.runner.write(lambda session: get_or_create_workspace(session, team[0][1], now=1))
    kind = run.door.call("PutExecutionType", team, execution_type={"name": "system.DAGExecution"}).type_id
    loop = run.door.call("PutExecutions", team, executions=[node("execution", kind, custom={"iteration_count": 2})])

    run.driven("t", task_name="t", parent_dag_id=loop.execution_ids[0], iteration_index=1)

    assert [(path, step["iteration"]) for path, step in steps_of(run).items()] == [("t", None)]


def test_without_platform_mode_a_namespace_is_a_plain_property(door: Door) -> None:
    """And two workspaces have a context of that name each."""
    uid, made = str(uuid.uuid4()), {}
    for workspace in (fresh("one"), fresh("two")):
        door.served.services.runner.write(partial(get_or_create_workspace, name=workspace, now=1))
        run = Run(door, uid, pipeline="p", namespace="elsewhere", metadata=[("x-lineal-workspace", workspace)])
        run.start()
        made[workspace] = run

    (one, first), (two, second) = made.items()
    assert first.ids["run"] != second.ids["run"]
    for workspace, mine, other in ((one, first, second), (two, second, first)):
        metadata = [("x-lineal-workspace", workspace)]
        assert {one.id for one in door.call("GetContexts", metadata).contexts} == {mine.ids["pipeline"], mine.ids["run"]}
        assert not door.call("GetContextsByID", metadata, context_ids=[other.ids["run"]]).contexts


def test_the_id_that_a_merged_run_had_finds_its_parents(run: Run) -> None:
    mlflow = f"{run.door.served.url}/api/2.0/mlflow/runs"
    made = httpx.post(f"{mlflow}/create", json={"experiment_id": "0", "run_name": fresh("mine")}, timeout=60).json()["run"][
        "info"
    ]
    named = {"max_result_size": 1, "filter_query": f"name = '{made['run_name']}'"}
    [own] = run.door.call("GetContextsByType", type_name="kf.ExperimentRun", options=named).contexts
    run.start()
    tag = {"run_id": made["run_id"], "key": "kfp.pipeline_run_id", "value": run.uid}
    httpx.post(f"{mlflow}/set-tag", json=tag, timeout=60).raise_for_status()

    [merged] = run.door.get("context", own.id)
    parents = run.door.call("GetParentContextsByContext", context_id=own.id).contexts
    of_many = run.door.call("GetParentContextsByContexts", context_ids=[own.id, run.ids["run"]]).contexts

    assert merged.id == run.ids["run"] != own.id
    assert [one.id for one in parents] == [run.ids["pipeline"]]
    assert {id: [one.id for one in found.parent_contexts] for id, found in of_many.items()} == {
        id: [run.ids["pipeline"]] for id in (own.id, run.ids["run"])
    }


def test_sixteen_tasks_that_finish_at_once_all_succeed_and_the_dag_is_right(run: Run) -> None:
    """Each launcher publishes its own execution, then rewrites its DAG's."""
    run.start()
    root = run.ids["root"]
    for number in range(16):
        run.driven(f"t{number}", task_name=f"t{number}", parent_dag_id=root)

    def finish(number: int) -> str:
        uri = f"minio://b/{run.uid}/{number}"
        run.published(f"t{number}", ("system.Model", "model", uri, {}))
        dag = run.door.one("execution", root)
        done = run.door.call("GetExecutionsByContext", context_id=run.ids["run"]).executions
        tasks = [one for one in done if one.custom_properties["parent_dag_id"].int_value == root]
        dag.last_known_state = COMPLETE if all(one.last_known_state == COMPLETE for one in tasks) else RUNNING
        return run.door.refusal("PutExecution", execution=dag, contexts=run.contexts)

    with ThreadPoolExecutor(16) as pool:
        codes = list(pool.map(finish, range(16)))
    last = finish(0)  # who saw all of them finished may not have been the last to write

    assert codes == ["OK"] * 16
    assert last == "OK"
    assert {step["status"] for step in steps_of(run).values()} == {"succeeded"}
    assert len(run.door.call("GetArtifactsByContext", context_id=run.ids["run"]).artifacts) == 17
    assert run.rest(f"runs/run_{run.uid.replace('-', '')}")["status"] == "succeeded"
