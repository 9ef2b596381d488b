"""What schedules, pipelines and notebooks say. Pipelines and notebooks are made from their API types: none was recorded."""

from typing import Any

import pytest

from tests.agent.building import Json, report_of
from tests.agent.objects import BORN, condition, thing

LATER = "2026-06-10T10:00:00Z"


def cron(spec: Json | None = None, **status: Any) -> Json:
    found: Json = report_of(thing("CronWorkflow", "argoproj.io/v1alpha1", spec, status))["schedule"]
    return found


def recurring(spec: Json | None = None, **status: Any) -> Json:
    found: Json = report_of(thing("ScheduledWorkflow", "kubeflow.org/v1beta1", spec, status))["schedule"]
    return found


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"schedules": ["0 1 * * *", "0 2 * * *"]}, ["0 1 * * *", "0 2 * * *"]),
        ({"schedule": "0 3 * * *"}, ["0 3 * * *"]),
        ({"schedule": "0 3 * * *", "schedules": []}, ["0 3 * * *"]),
        ({}, []),
    ],
)
def test_a_cron_workflow_has_one_schedule_or_several(spec: Json, expected: list[str]) -> None:
    assert cron(spec).get("cron", []) == expected


@pytest.mark.parametrize(("policy", "expected"), [("Allow", None), ("Forbid", 1), ("Replace", 1), (None, None)])
def test_its_policy_says_how_many_may_run_at_once(policy: str | None, expected: int | None) -> None:
    assert cron({"concurrencyPolicy": policy})["max_concurrency"] == expected


@pytest.mark.parametrize(
    ("spec", "status", "enabled", "phase"),
    [
        ({}, {}, True, None),
        ({"suspend": True}, {}, False, None),
        ({}, {"phase": "Stopped"}, False, "Stopped"),
        ({}, {"phase": "Active", "conditions": [condition("SubmissionError")]}, True, "SubmissionError"),
        ({}, {"phase": "Active", "conditions": [condition("SpecError", "False")]}, True, "Active"),
    ],
)
def test_a_cron_workflow_is_enabled_until_it_is_suspended_or_stopped(
    spec: Json, status: Json, enabled: bool, phase: str | None
) -> None:
    found = cron(spec, **status)

    assert (found["enabled"], found["phase"]) == (enabled, phase)


def test_a_cron_workflow_says_what_it_runs_what_runs_and_what_came_of_it() -> None:
    workflow = {"workflowTemplateRef": {"name": "train"}, "arguments": {"parameters": [{"name": "p", "value": "1"}]}}
    active = [{"kind": "Workflow", "name": "train-1", "uid": "u"}]

    spec = {"workflowSpec": workflow, "timezone": "Europe/Berlin"}
    found = cron(spec, active=active, succeeded=3, failed=1, lastScheduledTime=BORN)

    assert (found["pipeline"], found["parameters"], found["timezone"]) == ("train", {"p": "1"}, "Europe/Berlin")
    assert found["active"] == [{"name": "train-1", "uid": "u"}]
    assert (found["counts"], found["last_at"]) == ({"failed": 1, "succeeded": 3}, BORN)


def test_a_recurring_run_of_v1_has_its_workflow_inside() -> None:
    inside = {"arguments": {"parameters": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}]}}
    spec = {
        "enabled": True,
        "trigger": {"periodicSchedule": {"intervalSecond": 60, "endTime": LATER}},
        "workflow": {"spec": inside, "parameters": [{"name": "b", "value": "[[Index]]"}]},
    }

    found = recurring(spec)

    assert (found["interval_s"], found["ends_at"], found["catchup"]) == (60, LATER, True)
    assert found["parameters"] == {"a": "1", "b": "[[Index]]"}


def test_a_recurring_run_of_v2_names_its_pipeline_and_its_history_is_counted() -> None:
    spec = {
        "enabled": True,
        "noCatchup": True,
        "maxConcurrency": 2,
        "trigger": {"cronSchedule": {"cron": "0 0 6 * * *", "startTime": BORN}},
        "pipelineName": "add-numbers",
        "pipelineId": "id",
        "workflow": {"parameters": [{"name": "a", "value": "3"}]},
    }
    completed = [{"name": f"w-{place}", "phase": phase} for place, phase in enumerate(("Error", "Succeeded", "Failed"))]
    history = {"active": [{"name": "w-3", "uid": "3"}], "completed": completed}
    trigger = {"lastTriggeredTime": BORN, "nextTriggeredTime": LATER, "lastWorkflowIndex": 3}

    found = recurring(spec, workflowHistory=history, trigger=trigger, conditions=[condition("Enabled")])

    assert (found["pipeline"], found["cron"], found["phase"]) == ("add-numbers", ["0 0 6 * * *"], "Enabled")
    assert found["max_concurrency"] == 2
    assert (found["starts_at"], found["last_at"], found["next_at"], found["catchup"]) == (BORN, BORN, LATER, False)
    assert (found["active"], found["counts"]) == ([{"name": "w-3", "uid": "3"}], {"failed": 2, "index": 3, "succeeded": 1})


def test_a_schedule_that_is_deleted_is_not_enabled() -> None:
    content = thing("ScheduledWorkflow", "kubeflow.org/v1beta1", {"enabled": True})

    assert report_of(content, deleted=True)["schedule"]["enabled"] is False


def pipeline(kind: str, spec: Json, **metadata: Any) -> Json:
    found: Json = report_of(thing(kind, "pipelines.kubeflow.org/v2beta1", spec, **metadata))["pipeline"]
    return found


def test_a_pipeline_has_a_name_and_no_version() -> None:
    found = pipeline("Pipeline", {"displayName": "Train", "description": "d"}, name="train")

    assert (found["name"], found["version"], found["display_name"], found["digest"]) == ("train", None, "Train", None)


def test_a_version_of_a_pipeline_has_the_digest_of_its_ir_whatever_the_order_of_keys() -> None:
    one = {"pipelineName": "train", "pipelineSpec": {"root": {"a": 1}, "schemaVersion": "2.1.0"}}
    other = {"pipelineName": "train", "pipelineSpec": '{"schemaVersion": "2.1.0", "root": {"a": 1}}'}
    changed = {"pipelineName": "train", "pipelineSpec": {"root": {"a": 2}, "schemaVersion": "2.1.0"}}

    first, same, different = (pipeline("PipelineVersion", spec, name="train-v1") for spec in (one, other, changed))

    assert (first["name"], first["version"]) == ("train", "train-v1")
    assert first["digest"] == same["digest"] != different["digest"]


def test_a_version_that_names_no_pipeline_is_its_owner_s() -> None:
    owner = {"kind": "Pipeline", "name": "train", "uid": "p"}

    assert pipeline("PipelineVersion", {}, ownerReferences=[owner])["name"] == "train"
    assert "warnings" in report_of(thing("PipelineVersion", "pipelines.kubeflow.org/v2beta1", {}))


@pytest.mark.parametrize(
    ("annotations", "container", "state", "phase"),
    [
        ({}, {}, "NEW", None),
        ({}, {"waiting": {"reason": "ContainerCreating"}}, "NEW", "waiting"),
        ({}, {"running": {"startedAt": LATER}}, "RUNNING", "running"),
        ({}, {"terminated": {"exitCode": 0}}, "COMPLETE", "terminated"),
        ({}, {"terminated": {"exitCode": 137}}, "FAILED", "terminated"),
        ({"kubeflow-resource-stopped": LATER}, {}, "COMPLETE", "stopped"),
    ],
)
def test_a_notebook_stands_where_its_container_does(annotations: Json, container: Json, state: str, phase: str | None) -> None:
    found = report_of(notebook(container, annotations=annotations))["notebook"]

    assert (found["state"], found["phase"]) == (state, phase)


def notebook(container: Json, **metadata: Any) -> Json:
    containers = [{"name": "sidecar", "image": "proxy"}, {"name": "one", "image": "jupyter:1"}]
    spec = {"template": {"spec": {"containers": containers}}}
    return thing("Notebook", "kubeflow.org/v1", spec, {"containerState": container}, **metadata)


def test_a_notebook_has_the_image_of_its_own_container_and_its_times() -> None:
    running = report_of(notebook({"running": {"startedAt": LATER}}))["notebook"]
    stopped = report_of(notebook({}, annotations={"kubeflow-resource-stopped": LATER}))["notebook"]

    assert (running["image"], running["started_at"], running["finished_at"]) == ("jupyter:1", LATER, None)
    assert (stopped["started_at"], stopped["finished_at"]) == (BORN, LATER)
