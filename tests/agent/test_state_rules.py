"""The page's section *Workflow: the tasks*, rules 8 to 10: state, times, attempts."""

from typing import Any

import pytest

from agent.kinds import translate
from agent.reading import Read
from agent.report import Report
from tests.agent.building import (
    END,
    START,
    Json,
    dag,
    edges_of,
    kfp_driver,
    kfp_run,
    kfp_task,
    node,
    retried,
    tasks_of,
    workflow,
)


def task_of(*nodes: Json, phase: str = "Succeeded") -> Json:
    [task] = tasks_of(workflow(dag(phase=phase), *nodes, phase=phase)).values()
    return task


def kfp(*nodes: Json, phase: str = "Succeeded") -> Json:
    [task] = tasks_of(kfp_run(*nodes, phase=phase)).values()
    return task


# ---- 8: state -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        ("Pending", "NEW"),
        (None, "NEW"),
        ("Running", "RUNNING"),
        ("Succeeded", "COMPLETE"),
        ("Failed", "FAILED"),
        ("Error", "FAILED"),
        ("Suceeded", "UNKNOWN"),
    ],
)
def test_tasks_rule_8_state_is_that_of_the_tasks_own_node(phase: str | None, state: str) -> None:
    task = task_of(node("wf.a", phase=phase, inside="wf"), phase="Running")

    assert (task["state"], task["phase"], task["skipped"]) == (state, phase, False)


@pytest.mark.parametrize("phase", ["Skipped", "Omitted"])
def test_tasks_rule_8_skipped_and_omitted_are_canceled_and_skipped(phase: str) -> None:
    task = task_of(node("wf.a", "Skipped", phase, inside="wf"))

    assert (task["state"], task["skipped"], task["phase"]) == ("CANCELED", True, phase)


def test_tasks_rule_8_a_condition_that_was_false_is_canceled_and_skipped() -> None:
    driver = kfp_driver("wf.root.condition-1-driver", "wf.root", kind="dag", condition="false")

    task = kfp(driver, phase="Running")

    assert (task["state"], task["skipped"]) == ("CANCELED", True)


@pytest.mark.parametrize("phase", ["Failed", "Error"])
def test_tasks_rule_8_a_task_that_never_began_is_failed_when_its_driver_failed(phase: str) -> None:
    driver = kfp_driver("wf.root.a-driver", "wf.root", phase=phase)
    driver["message"] = "no route"
    omitted = node("wf.root.a", "Skipped", "Omitted", inside="wf.root", message="omitted: depends condition not met")

    for nodes in ([driver], [driver, omitted]):
        task = kfp(*nodes, phase="Failed")
        assert (task["state"], task["skipped"], task["message"], task["attempts"]) == ("FAILED", False, "no route", 0)


def test_tasks_rule_8_a_driver_that_succeeded_means_running_while_the_workflow_runs() -> None:
    task = kfp(kfp_driver("wf.root.a-driver", "wf.root", cached_decision="false", condition="true"), phase="Running")

    assert (task["state"], task["phase"], task["finished_at"]) == ("RUNNING", None, None)


def test_tasks_rule_8_a_driver_that_runs_means_running_and_a_pending_one_new() -> None:
    assert kfp(kfp_driver("wf.root.a-driver", "wf.root", phase="Running"), phase="Running")["state"] == "RUNNING"
    assert kfp(kfp_driver("wf.root.a-driver", "wf.root", phase="Pending"), phase="Running")["state"] == "NEW"


def test_tasks_rule_8_a_driver_that_was_omitted_is_a_task_that_was_skipped() -> None:
    driver = kfp_driver("wf.root.a-driver", "wf.root", phase="Omitted")

    assert kfp(driver)["skipped"] is True
    assert kfp(driver, node("wf.root.a", "Skipped", "Omitted", inside="wf.root"))["skipped"] is True


def test_tasks_rule_8_a_driver_that_decided_for_the_cache_is_cached_before_the_node_is_there() -> None:
    assert kfp(kfp_driver("wf.root.a-driver", "wf.root", cached_decision="true"), phase="Running")["state"] == "CACHED"


def test_tasks_rule_8_cached_by_the_driver() -> None:
    nodes = kfp_task("a", "wf.root", cached_decision="true")
    nodes[2] |= {"type": "Skipped", "phase": "Skipped"}

    task = kfp(*nodes)

    assert (task["state"], task["cached"], task["skipped"], task["attempts"]) == ("CACHED", True, False, 0)
    assert task["pod_name"] is None


def test_tasks_rule_8_cached_by_memoization_and_only_on_a_hit() -> None:
    def memoized(*, hit: bool) -> Any:
        return task_of(node("wf.a", inside="wf", memoizationStatus={"hit": hit, "key": "k"}))["state"]

    assert memoized(hit=True) == "CACHED"
    assert memoized(hit=False) == "COMPLETE"


def test_tasks_rule_8_what_a_memoized_resubmission_took_over_is_cached_and_feeds_what_runs_again() -> None:
    """As `argo resubmit --memoized` writes them: skipped, with the outputs of the pod in the workflow before."""
    made = {"artifacts": [{"name": "out", "s3": {"bucket": "b", "key": "before/out.tgz"}}]}
    used = {"artifacts": [{"name": "in", "s3": {"bucket": "b", "key": "before/out.tgz"}}]}
    content = workflow(
        dag("wf.a", "wf.r"),
        node("wf.a", "Skipped", "Skipped", inside="wf", outputs=made, children=["wf.b"], message="original pod: before-1"),
        node("wf.r", "Retry", inside="wf", children=["wf.r(0)"]),
        node("wf.r(0)", "Skipped", "Skipped", inside="wf", message="original pod: before-2", nodeFlag={"retried": True}),
        node("wf.b", inside="wf", inputs=used),
        node("wf.c", "Skipped", "Skipped", inside="wf", message="when 'false' evaluated false"),
    )

    tasks = tasks_of(content)

    assert {key: (task["state"], task["skipped"], task["attempts"]) for key, task in tasks.items()} == {
        "a": ("CACHED", False, 0),
        "r": ("CACHED", False, 0),
        "b": ("COMPLETE", False, 1),
        "c": ("CANCELED", True, 0),
    }
    assert [made["uri"] for made in tasks["a"]["outputs"]["artifacts"]] == ["s3://b/before/out.tgz"]
    assert edges_of(content) == [("a", "b", "in", "artifact")]


def test_tasks_rule_8_cached_by_the_label_of_kfp_v1() -> None:
    labels = {"pipelines.kubeflow.org/reused_from_cache": "true"}
    spec = {"templates": [{"name": "work", "metadata": {"labels": labels}}]}

    assert tasks_of(workflow(dag(), node("wf.a", inside="wf"), spec=spec))["a"]["cached"] is True


@pytest.mark.parametrize(
    "message", ["Stopped with strategy 'Terminate'", "workflow shutdown with strategy:  Stop", "Workflow was shut down"]
)
def test_tasks_rule_8_failed_because_the_workflow_was_shut_down_is_canceled(message: str) -> None:
    task = task_of(node("wf.a", phase="Failed", inside="wf", message=message), phase="Failed")

    assert (task["state"], task["skipped"]) == ("CANCELED", False)


def test_tasks_rule_8_failed_for_another_reason_while_the_workflow_is_shut_down_is_failed() -> None:
    assert task_of(node("wf.a", phase="Failed", inside="wf", message="exit code 1"), phase="Failed")["state"] == "FAILED"


def test_tasks_rule_8_a_shut_down_executor_cancels_its_task() -> None:
    nodes = kfp_task("a", "wf.root", phase="Failed")
    nodes[2]["message"] = "workflow shutdown with strategy:  Terminate"

    assert kfp(*nodes, phase="Failed")["state"] == "CANCELED"


def test_tasks_rule_8_a_daemon_runs_while_the_workflow_runs_and_is_complete_after() -> None:
    daemon = node("wf.a", phase="Running", inside="wf", daemoned=True)

    assert task_of(daemon, phase="Running")["state"] == "RUNNING"
    assert task_of(daemon, phase="Succeeded")["state"] == "COMPLETE"


def test_tasks_rule_8_createpvc_is_complete_when_its_driver_succeeded() -> None:
    assert kfp(kfp_driver("wf.root.createpvc", "wf.root"), phase="Running")["state"] == "COMPLETE"


# ---- 9: times -------------------------------------------------------------------------------------------------------


def test_tasks_rule_9_a_kfp_v2_task_starts_with_its_driver_and_ends_with_its_node() -> None:
    task = kfp(*kfp_task("a", "wf.root"))

    assert (task["started_at"], task["finished_at"]) == ("2026-03-01T09:59:00Z", END)


def test_tasks_rule_9_without_a_node_the_end_is_the_last_end_of_the_parts() -> None:
    task = kfp(kfp_driver("wf.root.a-driver", "wf.root", phase="Failed"), phase="Failed")

    assert (task["started_at"], task["finished_at"]) == ("2026-03-01T09:59:00Z", START)


def test_tasks_rule_9_other_tasks_have_the_times_of_their_own_node() -> None:
    task = task_of(*retried("wf.a", "wf", "Failed", "Succeeded"))

    assert (task["started_at"], task["finished_at"]) == (START, END)


def test_tasks_rule_9_a_running_task_has_no_end() -> None:
    task = task_of(node("wf.a", phase="Running", inside="wf", finishedAt=None), phase="Running")

    assert (task["started_at"], task["finished_at"]) == (START, None)


# ---- 10: attempts ---------------------------------------------------------------------------------------------------


def test_tasks_rule_10_without_a_retry_a_task_was_tried_once() -> None:
    assert task_of(node("wf.a", inside="wf"))["attempts"] == 1


def test_tasks_rule_10_a_retry_counts_its_attempts_by_number_and_by_flag() -> None:
    named = retried("wf.a", "wf", *["Failed"] * 11, "Succeeded")
    flagged = [node("wf.a", "Retry", inside="wf", children=["x"]), node("x", inside="wf", nodeFlag={"retried": True})]

    assert task_of(*named)["attempts"] == 12
    assert task_of(*named)["node_id"] == "wf.a(11)"
    assert task_of(*flagged)["attempts"] == 1


def test_tasks_rule_10_with_double_wrapping_the_attempts_of_the_executor_count() -> None:
    path = "wf.root.a"
    task = kfp(
        kfp_driver(f"{path}-driver", "wf.root"),
        *retried(path, "wf.root", "Succeeded", type="DAG", templateName="system-container-executor"),
        *retried(f"{path}(0).executor", f"{path}(0)", "Failed", "Failed", "Succeeded", templateName="system-container-impl"),
    )

    assert task["attempts"] == 3


def test_tasks_rule_10_zero_for_what_never_ran() -> None:
    waiting = kfp_task("a", "wf.root", phase="Running")[:2]

    assert task_of(node("wf.a", "Skipped", "Skipped", inside="wf"))["attempts"] == 0
    assert kfp(*waiting, phase="Running")["attempts"] == 0
    assert task_of(node("wf.a", "Retry", "Running", inside="wf"), phase="Running")["attempts"] == 0


def test_tasks_rule_10_a_retried_group_has_its_own_attempts_and_the_tasks_of_the_last() -> None:
    tasks = tasks_of(
        workflow(
            dag(),
            *retried("wf.sub", "wf", "Failed", "Succeeded", type="DAG"),
            node("wf.sub(0).old", "DAG", "Failed", inside="wf.sub(0)"),
            node("wf.sub(0).old.deep", inside="wf.sub(0).old"),
            node("wf.sub(1).x", inside="wf.sub(1)"),
        )
    )

    assert list(tasks) == ["sub", "sub/x"]
    assert tasks["sub"]["attempts"] == 2


def test_tasks_rule_10_a_retried_pipeline_shows_the_tasks_of_its_last_attempt() -> None:
    content = workflow(
        *retried("wf", None, "Error", "Succeeded", type="DAG"),
        node("wf(0).a", phase="Error", inside="wf(0)"),
        node("wf(1).a", inside="wf(1)"),
    )

    assert tasks_of(content)["a"]["state"] == "COMPLETE"


def test_tasks_rule_10_older_retry_nodes_take_inputs_and_outputs_of_the_last_attempt() -> None:
    nodes = retried("wf.a", "wf", "Failed", "Succeeded")
    nodes[1]["outputs"] = {"parameters": [{"name": "x", "value": "old"}]}
    nodes[2]["outputs"] = {"parameters": [{"name": "x", "value": "new"}]}

    assert task_of(*nodes)["outputs"]["parameters"] == {"x": "new"}


@pytest.mark.parametrize("hit", [True, False])
def test_the_key_of_a_memoized_task_is_told_to_the_server_and_not_to_a_reader(hit: bool) -> None:
    memo = {"hit": hit, "key": "k", "cacheName": "c"}
    content = workflow(dag("wf.a"), node("wf.a", inside="wf", memoizationStatus=memo))

    result = translate(Read("test", 0, content))

    assert isinstance(result, Report)
    assert result.to_dict()["tasks"][0]["cache"] == {"key": "c/k"}
    assert "cache" not in result.to_dict(sent=False)["tasks"][0]
