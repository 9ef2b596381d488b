"""What a kind of Kubernetes object is to the agent: where the API serves it, and how an object of it becomes a report."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from agent.report import Json, ObjectRef, Report
from agent.shape import Shape
from agent.values import Notes, as_map

Translator: TypeAlias = Callable[[ObjectRef, Json, Notes], Report]

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def without_bookkeeping(content: Json) -> Json:
    """The object without what only the API server and kubectl need: who wrote which field, and the copy of what was applied.

    Changes the object that is given.
    """
    metadata = as_map(content.get("metadata"))
    metadata.pop("managedFields", None)
    as_map(metadata.get("annotations")).pop(_LAST_APPLIED, None)
    return content


def task_keys(report: Report) -> frozenset[str]:
    return frozenset(task.key for task in report.tasks)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind; `agent.kinds.KINDS` lists them all."""

    name: str
    """As objects write it: `Workflow`."""
    group: str
    """Of its API, without the version: `argoproj.io`."""
    versions: tuple[str, ...]
    """That the agent reads, the preferred one first. It watches the first that the API serves."""
    plural: str
    """In paths of the API: `workflows`."""
    translate: Translator
    """Pure. Never raises for what stands in the object."""
    shape: Shape = field(default_factory=dict)
    """Of the fields that the translation reads: what has another type is a warning."""
    lasting: Callable[[Report], frozenset[str]] = task_keys
    """What a report says that a later one of the same object may not say. While reports wait to be sent, the newer takes the
    place of the older only if it says at least this; so each state of what is a history in the record arrives."""
    project: Callable[[Json], Json] = without_bookkeeping
    """At the door of the watch: the object without what neither the report nor the record keeps."""
    earlier_groups: tuple[str, ...] = ()
    """That served the same kind before; objects of theirs are read, not watched."""
