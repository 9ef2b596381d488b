"""Kubeflow's Notebook: where a run was logged from, if a person logged it."""

from agent.kind import Kind
from agent.report import FINAL_STATES, Json, Notebook, ObjectRef, Report, State
from agent.shape import MAP, METADATA, NUMBER, TEXT, Shape
from agent.values import Notes, as_list, as_map, text, whole

STOPPED = "kubeflow-resource-stopped"


def translate_notebook(reference: ObjectRef, content: Json, notes: Notes) -> Report:
    metadata, spec, status = (notes.map(content.get(part), part) for part in ("metadata", "spec", "status"))
    annotations = notes.map(metadata.get("annotations"), "metadata.annotations")
    container = notes.map(status.get("containerState"), "status.containerState")
    running, ended = as_map(container.get("running")), as_map(container.get("terminated"))
    state, phase = _state(annotations, container)
    if reference.deleted and state not in FINAL_STATES:
        state = "COMPLETE"  # nobody waits for a notebook to end
    created = notes.time(metadata.get("creationTimestamp"), "metadata.creationTimestamp")
    began = notes.time(running.get("startedAt") or ended.get("startedAt"), "status.containerState.startedAt")
    stopped = annotations.get(STOPPED) if isinstance(annotations.get(STOPPED), str) else None
    notebook = Notebook(
        name=reference.name or str(reference.uid),
        image=_image(spec, reference.name),
        state=state,
        phase=phase,
        started_at=began or created,
        finished_at=Notes().time(stopped, STOPPED) or notes.time(ended.get("finishedAt"), "status.containerState.finishedAt"),
    )
    return Report(reference, notebook=notebook, warnings=notes.lines())


def _state(annotations: Json, container: Json) -> tuple[State, str | None]:
    if STOPPED in annotations:
        return "COMPLETE", "stopped"
    phase = next((name for name in ("running", "terminated", "waiting") if name in container), None)
    if phase == "running":
        return "RUNNING", phase
    if phase == "terminated":
        return ("COMPLETE" if whole(as_map(container[phase]).get("exitCode")) == 0 else "FAILED"), phase
    return "NEW", phase


def _image(spec: Json, name: str | None) -> str | None:
    """Of the container that bears the notebook's name; sidecars stand beside it."""
    pod = as_map(as_map(spec.get("template")).get("spec"))
    containers = [as_map(item) for item in as_list(pod.get("containers"))]
    own = next((item for item in containers if item.get("name") == name), containers[0] if containers else {})
    return text(own.get("image"))


SHAPE: Shape = {
    "metadata": METADATA,
    "spec": {"template": {"spec": {"containers": [{"name": TEXT, "image": TEXT}]}}},
    "status": {"containerState": {"running": MAP, "waiting": MAP, "terminated": {"exitCode": NUMBER}}},
}

NOTEBOOK = Kind("Notebook", "kubeflow.org", ("v1", "v1beta1", "v1alpha1"), "notebooks", translate_notebook, SHAPE)
