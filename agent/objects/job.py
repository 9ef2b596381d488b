"""Kubernetes' own Job."""

from agent.kind import Kind
from agent.objects.conditions import described, role
from agent.report import Json, ObjectRef, Report, State
from agent.shape import CONDITIONS, METADATA, NUMBER, Shape
from agent.values import Notes, whole

STATES: dict[str, State] = {
    "Suspended": "NEW",
    "SuccessCriteriaMet": "RUNNING",
    "FailureTarget": "RUNNING",
    "Failed": "FAILED",
    "Complete": "COMPLETE",
}
"""SuccessCriteriaMet and FailureTarget say how it will end; it has ended when its pods have."""


def translate_job(reference: ObjectRef, content: Json, notes: Notes) -> Report:
    spec, status = (notes.map(content.get(part), part) for part in ("spec", "status"))
    has_begun = status.get("startTime") is not None or any(whole(status.get(name)) for name in ("active", "ready"))
    wanted = whole(spec.get("completions", spec.get("parallelism", 1)))
    state: State = "RUNNING" if has_begun else "NEW"
    run = described(reference, content, STATES, notes, otherwise=state, replicas={"Pod": role(wanted, status)})
    return Report(reference, run, warnings=notes.lines())


SHAPE: Shape = {
    "metadata": METADATA,
    "spec": {"completions": NUMBER, "parallelism": NUMBER},
    "status": {"conditions": CONDITIONS, "active": NUMBER, "ready": NUMBER, "succeeded": NUMBER, "failed": NUMBER},
}

JOB = Kind("Job", "batch", ("v1",), "jobs", translate_job, SHAPE)
