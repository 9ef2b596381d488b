"""Kubeflow Trainer's TrainJob: it has no condition while it runs, and says itself what it reads."""

from dataclasses import replace

from agent.kind import Kind
from agent.objects.conditions import Conditions, described, named_values, role
from agent.report import Artifact, Json, ObjectRef, Ports, Report, State
from agent.shape import BOOLEAN, CONDITIONS, METADATA, NUMBER, PAIRS, TEXT, Shape
from agent.values import Notes, as_list, as_map, text

STATES: dict[str, State] = {"Suspended": "NEW", "Failed": "FAILED", "Complete": "COMPLETE"}
_TYPES = {"dataset": "system.Dataset", "model": "system.Model"}


def translate_train_job(reference: ObjectRef, content: Json, notes: Notes) -> Report:
    spec, status = (notes.map(content.get(part), part) for part in ("spec", "status"))
    waits = spec.get("suspend") is True and not Conditions(status, notes).all
    run = described(reference, content, STATES, notes, otherwise="NEW" if waits else "RUNNING", replicas=_replicas(status, notes))
    trainer = notes.map(status.get("trainerStatus"), "status.trainerStatus")
    run = replace(run, metrics=named_values(trainer.get("metrics")), inputs=Ports(artifacts=_inputs(spec, notes)))
    return Report(reference, run, warnings=notes.lines())


def _replicas(status: Json, notes: Notes) -> Json:
    """By step. These are counts of jobs; how many a step should have stands in its runtime, `numNodes` counts pods."""
    found = {}
    for item in notes.list(status.get("jobsStatus"), "status.jobsStatus"):
        name = text(as_map(item).get("name"))
        if name is not None:
            found[name] = role(None, as_map(item))
    return found


def _inputs(spec: Json, notes: Notes) -> tuple[Artifact, ...]:
    initializer = notes.map(spec.get("initializer"), "spec.initializer")
    found = []
    for port, type_ in _TYPES.items():
        given = as_map(initializer.get(port))
        uris = [given.get("storageUri"), *(as_map(item).get("storageUri") for item in as_list(initializer.get(port)))]
        found += [Artifact(port, uri, type_) for uri in map(text, uris) if uri is not None]
    return tuple(found)


SHAPE: Shape = {
    "metadata": METADATA,
    "spec": {"suspend": BOOLEAN, "initializer": {"dataset": {"storageUri": TEXT}, "model": {"storageUri": TEXT}}},
    "status": {
        "conditions": CONDITIONS,
        "jobsStatus": [{"name": TEXT, "active": NUMBER, "succeeded": NUMBER, "failed": NUMBER}],
        "trainerStatus": {"metrics": PAIRS},
    },
}

TRAIN_JOB = Kind("TrainJob", "trainer.kubeflow.org", ("v1alpha1",), "trainjobs", translate_train_job, SHAPE)
