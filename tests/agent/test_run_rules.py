"""The page's section *Workflow: the run*."""

import json
from typing import Any

import pytest

from agent.kinds import translate
from agent.reading import Read
from agent.report import Report
from tests.agent.building import dag, kfp_run, node, report_of, workflow

RUN_ID = "11111111-2222-4333-8444-555555555555"


def run_of(content: dict[str, Any], *, deleted: bool = False) -> dict[str, Any]:
    run: dict[str, Any] = report_of(content, deleted=deleted)["run"]
    return run


def test_run_rule_id_is_the_label_else_the_uid() -> None:
    labelled = workflow(dag(), labels={"pipeline/runid": RUN_ID})

    assert run_of(labelled)["id"] == RUN_ID
    assert run_of(workflow(dag()))["id"] == workflow(dag())["metadata"]["uid"]


def test_run_rule_name_is_the_annotation_else_the_workflows_name() -> None:
    named = workflow(dag(), annotations={"pipelines.kubeflow.org/run_name": "my run"})

    assert run_of(named)["name"] == "my run"
    assert run_of(workflow(dag()))["name"] == "wf"


def test_run_rule_pipeline_of_kfp_v2_is_the_name_given_to_driver_and_launcher() -> None:
    content = kfp_run()
    content["spec"]["templates"] = [
        {"name": "system-dag-driver", "container": {"command": ["driver"], "args": ["--pipeline_name", "iris"]}}
    ]

    assert run_of(content)["pipeline"] == "iris"


def test_run_rule_pipeline_of_kfp_v1_is_in_the_pipeline_spec() -> None:
    spec = {"pipelines.kubeflow.org/pipeline_spec": json.dumps({"name": "Flip coin"})}

    assert run_of(workflow(dag(), annotations=spec, generateName="flip-"))["pipeline"] == "Flip coin"


def test_run_rule_pipeline_of_argo_is_template_then_cron_then_generate_name() -> None:
    reference = {"workflowTemplateRef": {"name": "tmpl"}}
    cron = {"workflows.argoproj.io/cron-workflow": "nightly"}

    assert run_of(workflow(dag(), spec=reference, labels=cron, generateName="g-"))["pipeline"] == "tmpl"
    assert run_of(workflow(dag(), labels=cron, generateName="g-"))["pipeline"] == "nightly"
    assert run_of(workflow(dag(), generateName="my-flow-"))["pipeline"] == "my-flow"
    assert run_of(workflow(dag()))["pipeline"] is None


def test_run_rule_parameters_of_kfp_v2_are_given_values_and_defaults_for_the_rest() -> None:
    root = {
        "dag": {"tasks": {}},
        "inputDefinitions": {"parameters": {"lr": {"defaultValue": 0.1}, "n": {"defaultValue": 3}, "free": {}}},
    }
    content = kfp_run(root=root)
    driver = content["status"]["nodes"]["wf.root-driver"]["inputs"]["parameters"]
    driver.append({"name": "runtime-config", "value": json.dumps({"parameterValues": {"n": 5}})})

    assert run_of(content)["parameters"] == {"lr": 0.1, "n": 5}


def test_run_rule_parameters_of_kfp_v2_are_known_before_any_node_is_there() -> None:
    root = {"inputDefinitions": {"parameters": {"n": {"defaultValue": 3}}}}
    task = {
        "name": "root-driver",
        "arguments": {"parameters": [{"name": "runtime-config", "value": json.dumps({"parameterValues": {"m": [1]}})}]},
    }
    spec = {
        "arguments": {"parameters": [{"name": "components-root", "value": json.dumps(root)}]},
        "templates": [{"name": "entrypoint", "dag": {"tasks": [task]}}],
    }

    assert run_of(workflow(phase=None, spec=spec))["parameters"] == {"m": [1], "n": 3}


def test_run_rule_parameters_of_kfp_v1_and_argo_are_arguments_over_defaults() -> None:
    inputs = [{"name": "rounds", "default": "10"}, {"name": "depth", "default": "3"}]
    annotations = {"pipelines.kubeflow.org/pipeline_spec": json.dumps({"name": "p", "inputs": inputs})}
    spec = {"arguments": {"parameters": [{"name": "rounds", "value": 200}, {"name": "unset"}]}}

    assert run_of(workflow(dag(), spec=spec, annotations=annotations))["parameters"] == {
        "depth": "3",
        "rounds": "200",
        "unset": None,
    }


def test_run_rule_parameters_include_the_defaults_of_a_workflow_template() -> None:
    content = workflow(dag(), spec={"arguments": {"parameters": [{"name": "a", "value": "1"}]}})
    defaults = {"arguments": {"parameters": [{"name": "a", "value": "0"}, {"name": "b", "value": "2"}]}}
    content["status"]["storedWorkflowTemplateSpec"] = defaults

    assert run_of(content)["parameters"] == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        (None, "NEW"),
        ("", "NEW"),
        ("Pending", "NEW"),
        ("Running", "RUNNING"),
        ("Succeeded", "COMPLETE"),
        ("Failed", "FAILED"),
        ("Error", "FAILED"),
        ("Succeded", "UNKNOWN"),
        (7, "UNKNOWN"),
        ({"a": 1}, "UNKNOWN"),
    ],
)
def test_run_rule_state_follows_the_table(phase: Any, state: str) -> None:
    assert run_of(workflow(dag(), phase=phase))["state"] == state


@pytest.mark.parametrize("spec", [{"shutdown": "Terminate"}, {"shutdown": "Stop"}, {"activeDeadlineSeconds": 0}])
@pytest.mark.parametrize("phase", ["Failed", "Error"])
def test_run_rule_a_failed_workflow_that_was_shut_down_is_canceled(spec: dict[str, Any], phase: str) -> None:
    assert run_of(workflow(dag(), phase=phase, spec=spec))["state"] == "CANCELED"


@pytest.mark.parametrize("spec", [{}, {"activeDeadlineSeconds": 300}, {"activeDeadlineSeconds": False}, {"shutdown": "x"}])
def test_run_rule_a_failed_workflow_that_was_not_shut_down_is_failed(spec: dict[str, Any]) -> None:
    assert run_of(workflow(dag(), phase="Failed", spec=spec))["state"] == "FAILED"


def test_run_rule_a_workflow_that_is_being_shut_down_is_still_running() -> None:
    assert run_of(workflow(dag(), phase="Running", spec={"shutdown": "Terminate"}))["state"] == "RUNNING"


def test_run_rule_deleted_while_unfinished_is_canceled_and_afterwards_is_not() -> None:
    assert run_of(workflow(dag(), phase="Running"), deleted=True)["state"] == "CANCELED"
    assert run_of(workflow(dag(), phase=None), deleted=True)["state"] == "CANCELED"
    assert run_of(workflow(dag(), phase="Succeeded"), deleted=True)["state"] == "COMPLETE"


def test_a_resubmission_tells_the_server_and_not_a_reader_of_what_it_is_one() -> None:
    result = translate(Read("test", 0, workflow(labels={"workflows.argoproj.io/resubmitted-from-workflow": "wf-before"})))

    assert isinstance(result, Report)
    assert result.to_dict()["run"]["resubmitted_from"] == "wf-before"
    assert "resubmitted_from" not in result.to_dict(sent=False)["run"]
    assert "resubmitted_from" not in report_of(workflow())["run"]


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("scheduledworkflows.kubeflow.org/scheduledWorkflowName", "ScheduledWorkflow"),
        ("workflows.argoproj.io/cron-workflow", "CronWorkflow"),
    ],
)
def test_run_rule_owner_is_the_schedule_of_the_label_where_no_reference_says_one(label: str, kind: str) -> None:
    reference = {"kind": kind, "name": "daily", "uid": "u"}

    labelled = report_of(workflow(labels={label: "daily"}))["run"]["owner"]
    referred = report_of(workflow(labels={label: "daily"}, ownerReferences=[reference]))["run"]["owner"]

    assert labelled == {"kind": kind, "name": "daily", "uid": None}
    assert referred == reference


def test_run_rule_owner_is_the_controller() -> None:
    owners = [{"kind": "A", "name": "a", "uid": "1"}, {"kind": "Trial", "name": "t", "uid": "2", "controller": True}]

    assert run_of(workflow(dag(), ownerReferences=owners))["owner"] == {"kind": "Trial", "name": "t", "uid": "2"}
    assert "owner" not in run_of(workflow(dag()))


def test_run_rule_a_run_without_nodes_has_no_tasks() -> None:
    report = report_of(workflow(phase="Error"))

    assert report["run"]["state"] == "FAILED"
    assert "tasks" not in report


def test_run_rule_times_are_the_workflows() -> None:
    content = workflow(dag(), node("wf.a", inside="wf"))
    content["status"]["finishedAt"] = "2026-03-01T11:00:00Z"

    run = run_of(content)

    assert (run["started_at"], run["finished_at"]) == ("2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z")
