"""Katib's Trial: one assignment of the parameters, and what came of it."""

from dataclasses import replace

from agent.kind import Kind
from agent.objects.conditions import described, named_values
from agent.objects.katib_experiment import OBSERVATION, observation
from agent.report import Json, ObjectRef, Owner, Report, State
from agent.shape import CONDITIONS, METADATA, PAIRS, Shape
from agent.values import Notes, as_map, text

EXPERIMENT_LABEL = "katib.kubeflow.org/experiment"
STATES: dict[str, State] = {
    "Created": "NEW",
    "Running": "RUNNING",
    "Killed": "CANCELED",
    "Failed": "FAILED",
    "MetricsUnavailable": "FAILED",
    "EarlyStopped": "COMPLETE",
    "Succeeded": "COMPLETE",
}


def translate_trial(reference: ObjectRef, content: Json, notes: Notes) -> Report:
    metadata, spec, status = (notes.map(content.get(part), part) for part in ("metadata", "spec", "status"))
    run = described(reference, content, STATES, notes)
    labelled = text(notes.map(metadata.get("labels"), "metadata.labels").get(EXPERIMENT_LABEL))
    run = replace(
        run,
        parameters=named_values(notes.list(spec.get("parameterAssignments"), "spec.parameterAssignments")),
        metrics=observation(as_map(status)),
        owner=run.owner or (Owner("Experiment", labelled, None) if labelled is not None else None),
    )
    return Report(reference, run, warnings=notes.lines())


SHAPE: Shape = {
    "metadata": METADATA,
    "spec": {"parameterAssignments": PAIRS},
    "status": {"conditions": CONDITIONS, "observation": OBSERVATION},
}

TRIAL = Kind("Trial", "kubeflow.org", ("v1beta1",), "trials", translate_trial, SHAPE)
