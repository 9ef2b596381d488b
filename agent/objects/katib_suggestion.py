"""Katib's Suggestion: what its algorithm has proposed for the Experiment of the same name."""

from agent.kind import Kind
from agent.objects.conditions import named_values
from agent.report import Experiment, Json, ObjectRef, Report, Suggestion
from agent.shape import METADATA, NUMBER, PAIRS, Shape
from agent.values import Notes, as_map, whole
from agent.workflow.run import owner_of


def translate_suggestion(reference: ObjectRef, content: Json, notes: Notes) -> Report:
    metadata, spec, status = (notes.map(content.get(part), part) for part in ("metadata", "spec", "status"))
    owner = owner_of(metadata, notes)
    name = owner.name if owner is not None and owner.kind == "Experiment" else None
    settings = named_values(as_map(spec.get("algorithm")).get("algorithmSettings")) | named_values(
        status.get("algorithmSettings")
    )
    suggestion = Suggestion(whole(status.get("suggestionCount")), settings)
    experiment = Experiment(name or reference.name or str(reference.uid), suggestion=suggestion)
    return Report(reference, experiment=experiment, warnings=notes.lines())


SHAPE: Shape = {
    "metadata": METADATA,
    "spec": {"algorithm": {"algorithmSettings": PAIRS}},
    "status": {"suggestionCount": NUMBER, "algorithmSettings": PAIRS},
}

SUGGESTION = Kind("Suggestion", "kubeflow.org", ("v1beta1",), "suggestions", translate_suggestion, SHAPE)
