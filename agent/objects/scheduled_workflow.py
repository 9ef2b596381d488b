"""Kubeflow Pipelines' ScheduledWorkflow (a recurring run): with a workflow inside (v1), or with the id of a pipeline (v2)."""

from agent.kind import Kind
from agent.objects.conditions import Conditions, named_values
from agent.objects.cron_workflow import active_workflows
from agent.report import Json, ObjectRef, Report, Schedule
from agent.shape import BOOLEAN, CONDITIONS, METADATA, NUMBER, PAIRS, TEXT, Shape
from agent.values import Notes, as_list, as_map, parse_json, text, whole
from agent.workflow import kfp_v1
from agent.workflow.run import argo_parameters


def translate_scheduled_workflow(reference: ObjectRef, content: Json, notes: Notes) -> Report:
    spec, status = (notes.map(content.get(part), part) for part in ("spec", "status"))
    trigger = notes.map(spec.get("trigger"), "spec.trigger")
    moments = notes.map(status.get("trigger"), "status.trigger")
    cron, periodic = as_map(trigger.get("cronSchedule")), as_map(trigger.get("periodicSchedule"))
    history = notes.map(status.get("workflowHistory"), "status.workflowHistory")
    conditions = Conditions(status, notes).all
    line = text(cron.get("cron"))
    schedule = Schedule(
        name=reference.name or str(reference.uid),
        phase=conditions[0].type if conditions else None,
        enabled=spec.get("enabled") is True and not reference.deleted,
        interval_s=whole(periodic.get("intervalSecond")),
        timezone=None,
        max_concurrency=whole(spec.get("maxConcurrency")),
        catchup=spec.get("noCatchup") is not True,
        starts_at=_time(cron, periodic, "startTime", notes),
        ends_at=_time(cron, periodic, "endTime", notes),
        last_at=notes.time(moments.get("lastTriggeredTime"), "status.trigger.lastTriggeredTime"),
        next_at=notes.time(moments.get("nextTriggeredTime"), "status.trigger.nextTriggeredTime"),
        pipeline=_pipeline(spec),
        cron=(line,) if line is not None else (),
        active=active_workflows(history.get("active")),
        counts=_counts(moments, history),
        parameters=_parameters(as_map(spec.get("workflow")), notes),
    )
    return Report(reference, schedule=schedule, warnings=notes.lines())


def _time(cron: Json, periodic: Json, name: str, notes: Notes) -> str | None:
    return notes.time(cron.get(name) or periodic.get(name), f"spec.trigger.{name}")


def _counts(moments: Json, history: Json) -> Json:
    """`index`: of the last workflow. The others are of the history that the object keeps, which is bounded."""
    phases = [text(as_map(item).get("phase")) for item in as_list(history.get("completed"))]
    counts: Json = {"succeeded": phases.count("Succeeded"), "failed": phases.count("Failed") + phases.count("Error")}
    index = whole(moments.get("lastWorkflowIndex"))
    return counts if index is None else {"index": index, **counts}


def _pipeline(spec: Json) -> str | None:
    inside = as_map(as_map(spec.get("workflow")).get("spec"))
    if isinstance(as_map(spec.get("workflow")).get("spec"), str):  # some releases keep the workflow as JSON text
        inside = as_map(parse_json(as_map(spec.get("workflow")).get("spec")))
    annotated = kfp_v1.pipeline_spec(as_map(inside.get("metadata"))).get("name")
    return text(spec.get("pipelineName")) or text(annotated) or text(spec.get("pipelineId"))


def _parameters(workflow: Json, notes: Notes) -> Json:
    """What the schedule gives over what the workflow inside has; macros like `[[Index]]` stay as they are."""
    inside = workflow.get("spec")
    defaults = as_map(parse_json(inside)) if isinstance(inside, str) else as_map(inside)
    return argo_parameters(as_map(defaults.get("metadata")), defaults, {}, notes) | named_values(workflow.get("parameters"))


SHAPE: Shape = {
    "metadata": METADATA,
    "spec": {
        "enabled": BOOLEAN,
        "noCatchup": BOOLEAN,
        "maxConcurrency": NUMBER,
        "trigger": {"cronSchedule": {"cron": TEXT}, "periodicSchedule": {"intervalSecond": NUMBER}},
        "workflow": {"parameters": PAIRS},
        "pipelineName": TEXT,
        "pipelineId": TEXT,
    },
    "status": {
        "conditions": CONDITIONS,
        "trigger": {"lastWorkflowIndex": NUMBER},
        "workflowHistory": {"active": [{"name": TEXT, "uid": TEXT}], "completed": [{"phase": TEXT}]},
    },
}

SCHEDULED_WORKFLOW = Kind(
    "ScheduledWorkflow", "kubeflow.org", ("v1beta1", "v2beta1"), "scheduledworkflows", translate_scheduled_workflow, SHAPE
)
