"""The templates of a Workflow: its own, those stored with a template reference, and inline ones."""

from typing import Any

from agent.values import Notes, as_list, as_map, text
from agent.workflow.graph import Step


class Templates:
    """Finds the template of a node. Bodies come from `spec.templates`, `status.storedTemplates` and
    `status.storedWorkflowTemplateSpec`, in this order.
    """

    def __init__(self, spec: dict[str, Any], status: dict[str, Any], notes: Notes) -> None:
        stored = notes.map(status.get("storedWorkflowTemplateSpec"), "status.storedWorkflowTemplateSpec")
        self.all: dict[str, dict[str, Any]] = {}
        listed = [
            *notes.list(spec.get("templates"), "spec.templates"),
            *notes.list(stored.get("templates"), "status.storedWorkflowTemplateSpec.templates"),
        ]
        for item in listed:
            name = text(as_map(item).get("name"))
            if name:
                self.all.setdefault(name, item)
        self._stored = {
            str(key): as_map(value) for key, value in notes.map(status.get("storedTemplates"), "status.storedTemplates").items()
        }

    def of(self, step: Step | None) -> dict[str, Any]:
        """The template that the step's node was made from; empty if it is not known."""
        if step is None:
            return {}
        name = step.head.template or step.live.template
        source = step.head.template_source or step.live.template_source
        return self.named(name, source)

    def named(self, name: str | None, source: str | None = None) -> dict[str, Any]:
        if name is None:
            return {}
        if source is not None and f"{source}/{name}" in self._stored:
            return self._stored[f"{source}/{name}"]
        return self.all.get(name, {})

    def output_artifact_names(self, step: Step) -> frozenset[str]:
        outputs = as_map(self.of(step).get("outputs"))
        return frozenset(name for item in as_list(outputs.get("artifacts")) if (name := text(as_map(item).get("name"))))


def calls(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The tasks of a DAG or the steps of a Steps template, by name."""
    found: dict[str, dict[str, Any]] = {}
    steps = [item for group in as_list(template.get("steps")) for item in (group if isinstance(group, list) else [group])]
    for item in [*as_list(as_map(template.get("dag")).get("tasks")), *steps]:
        name = text(as_map(item).get("name"))
        if name:
            found.setdefault(name, item)
    return found


def annotations(template: dict[str, Any]) -> dict[str, Any]:
    return as_map(as_map(template.get("metadata")).get("annotations"))


def labels(template: dict[str, Any]) -> dict[str, Any]:
    return as_map(as_map(template.get("metadata")).get("labels"))
