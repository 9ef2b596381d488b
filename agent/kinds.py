"""Which kind is translated by what. A new kind is one file with one function, and one line in `TRANSLATORS`."""

from collections.abc import Callable
from typing import Any, TypeAlias

from agent.reading import Read, Unreadable
from agent.report import ObjectRef, Report
from agent.values import Notes, as_map, short, text
from agent.workflow.run import UnidentifiableError, object_ref
from agent.workflow.translation import translate_workflow

Translator: TypeAlias = Callable[[ObjectRef, dict[str, Any], Notes], Report]

TRANSLATORS: dict[str, Translator] = {
    "Workflow": translate_workflow,
}


def translate(read: Read, cluster: str | None = None) -> Report | Unreadable:
    """The report of one object. A kind that nobody translates yet gives the object alone, with a warning.

    Pure: the same object gives the same report. Never raises for what stands in the object; what cannot be told apart
    from other objects, having neither name nor uid, is unreadable.
    """
    notes = Notes()
    kind = kind_of(read.content, notes)
    if kind is None:
        return Unreadable(read.file, read.index, "The document is not a Kubernetes object: it has no kind.")
    try:
        reference = object_ref(read.content, kind, cluster, notes, deleted=read.deleted)
        translator = TRANSLATORS.get(kind, _object_only)
        return translator(reference, read.content, notes)
    except UnidentifiableError as error:
        return Unreadable(read.file, read.index, f"The object cannot be identified: {error}.")
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError, AttributeError) as error:
        reason = f"{type(error).__name__}: {short(error, 200)}"
        return Unreadable(read.file, read.index, f"The object cannot be translated ({reason}). Please report this.")


def kind_of(content: dict[str, Any], notes: Notes) -> str | None:
    """The kind; an object without one that looks like a Workflow is read as one."""
    kind = text(content.get("kind"))
    if kind is not None:
        return kind
    status = as_map(content.get("status"))
    if isinstance(content.get("spec"), dict) and {"nodes", "compressedNodes", "offloadNodeStatusVersion"} & set(status):
        notes.add("The object names no kind; it is read as a Workflow.")
        return "Workflow"
    return None


def _object_only(reference: ObjectRef, _content: dict[str, Any], notes: Notes) -> Report:
    notes.add(f"Objects of kind {short(reference.kind)} are not translated: only the object itself is reported.")
    return Report(reference, warnings=notes.lines())
