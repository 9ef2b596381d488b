"""Argo's CronWorkflow."""

from agent.kind import Kind
from agent.objects.conditions import Conditions
from agent.report import Active, Json, ObjectRef, Report, Schedule
from agent.shape import BOOLEAN, CONDITIONS, METADATA, NUMBER, TEXT, Shape
from agent.values import Notes, as_list, as_map, text, whole
from agent.workflow.run import argo_parameters


def translate_cron_workflow(reference: ObjectRef, content: Json, notes: Notes) -> Report:
    spec, status = (notes.map(content.get(part), part) for part in ("spec", "status"))
    workflow = notes.map(spec.get("workflowSpec"), "spec.workflowSpec")
    failed = [one.type for one in Conditions(status, notes).all if one.status == "True" and one.type.endswith("Error")]
    phase = text(status.get("phase"))
    deadline = whole(spec.get("startingDeadlineSeconds"))
    given = spec.get("schedules") or [spec.get("schedule")]
    schedule = Schedule(
        name=reference.name or str(reference.uid),
        phase=failed[-1] if failed else phase,
        enabled=spec.get("suspend") is not True and phase != "Stopped" and not reference.deleted,
        interval_s=None,
        timezone=text(spec.get("timezone")),
        max_concurrency=1 if spec.get("concurrencyPolicy") in ("Forbid", "Replace") else None,
        catchup=None if deadline is None else deadline > 0,
        starts_at=None,
        ends_at=None,
        last_at=notes.time(status.get("lastScheduledTime"), "status.lastScheduledTime"),
        next_at=None,
        pipeline=text(as_map(workflow.get("workflowTemplateRef")).get("name")),
        cron=tuple(line for line in map(text, notes.list(given, "spec.schedules")) if line is not None),
        active=active_workflows(status.get("active")),
        counts={name: value for name in ("succeeded", "failed") if (value := whole(status.get(name))) is not None},
        parameters=argo_parameters({}, workflow, {}, notes),
    )
    return Report(reference, schedule=schedule, warnings=notes.lines())


def active_workflows(items: object) -> tuple[Active, ...]:
    named = [(text(as_map(item).get("name")), text(as_map(item).get("uid"))) for item in as_list(items)]
    return tuple(Active(name, uid) for name, uid in named if name is not None)


SHAPE: Shape = {
    "metadata": METADATA,
    "spec": {
        "schedules": [TEXT],
        "timezone": TEXT,
        "suspend": BOOLEAN,
        "concurrencyPolicy": TEXT,
        "startingDeadlineSeconds": NUMBER,
        "workflowSpec": {"workflowTemplateRef": {"name": TEXT}},
    },
    "status": {
        "conditions": CONDITIONS,
        "phase": TEXT,
        "active": [{"name": TEXT, "uid": TEXT}],
        "succeeded": NUMBER,
        "failed": NUMBER,
    },
}

CRON_WORKFLOW = Kind("CronWorkflow", "argoproj.io", ("v1alpha1",), "cronworkflows", translate_cron_workflow, SHAPE)
