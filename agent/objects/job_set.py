"""JobSet: jobs that belong together, by the roles that its spec names."""

from agent.kind import Kind
from agent.objects.conditions import described, role
from agent.report import Json, ObjectRef, Report, State
from agent.shape import CONDITIONS, METADATA, NUMBER, TEXT, Shape
from agent.values import Notes, as_list, as_map, text, whole

STATES: dict[str, State] = {
    "StartupPolicyInProgress": "RUNNING",
    "Suspended": "NEW",
    "Failed": "FAILED",
    "Completed": "COMPLETE",
}
_COUNTS = ("active", "ready", "succeeded", "failed")


def translate_job_set(reference: ObjectRef, content: Json, notes: Notes) -> Report:
    spec, status = (notes.map(content.get(part), part) for part in ("spec", "status"))
    counted = [as_map(item) for item in notes.list(status.get("replicatedJobsStatus"), "status.replicatedJobsStatus")]
    has_begun = any(whole(counts.get(name)) for counts in counted for name in _COUNTS)
    replicas = _replicas(spec, counted)
    run = described(reference, content, STATES, notes, otherwise="RUNNING" if has_begun else "NEW", replicas=replicas)
    return Report(reference, run, warnings=notes.lines())


def _replicas(spec: Json, counted: list[Json]) -> Json:
    wanted = {
        text(as_map(item).get("name")): whole(as_map(item).get("replicas", 1)) for item in as_list(spec.get("replicatedJobs"))
    }
    by_name = {text(counts.get("name")): counts for counts in counted}
    return {name: role(wanted.get(name), by_name.get(name, {})) for name in [*wanted, *by_name] if name is not None}


SHAPE: Shape = {
    "metadata": METADATA,
    "spec": {"replicatedJobs": [{"name": TEXT, "replicas": NUMBER}]},
    "status": {
        "conditions": CONDITIONS,
        "replicatedJobsStatus": [{"name": TEXT, **dict.fromkeys(_COUNTS, NUMBER)}],
    },
}

JOB_SET = Kind("JobSet", "jobset.x-k8s.io", ("v1alpha2",), "jobsets", translate_job_set, SHAPE)
