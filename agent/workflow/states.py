"""Phases of Argo in ML Metadata's words, and when a Workflow or a node counts as canceled."""

import re
from typing import Any

from agent.report import State
from agent.values import as_map, text

FINAL_PHASES = frozenset({"Succeeded", "Failed", "Error", "Skipped", "Omitted"})
FAILED_PHASES = frozenset({"Failed", "Error"})
SKIPPED_PHASES = frozenset({"Skipped", "Omitted"})

_STATES: dict[str, State] = {
    "Pending": "NEW",
    "Running": "RUNNING",
    "Succeeded": "COMPLETE",
    "Failed": "FAILED",
    "Error": "FAILED",
    "Skipped": "CANCELED",
    "Omitted": "CANCELED",
}

_TAKEN_OVER = "original pod: "
"""How Argo begins the message of a task that `argo resubmit --memoized` did not run again: its results are those of that pod."""

# Argo writes "Stopped with strategy 'Terminate'" on Retry nodes and "workflow shutdown with strategy:  Stop" on others.
_SHUT_DOWN = re.compile(r"\b(?:stopped|shut ?down) with strategy\b|\bworkflow (?:was |is |has been )?shut ?down\b", re.IGNORECASE)


def state_of(phase: str | None) -> State:
    """No phase is a node or Workflow that nobody has looked at yet; a word that is not Argo's is UNKNOWN."""
    return "NEW" if phase is None else _STATES.get(phase, "UNKNOWN")


def says_shut_down(message: str | None) -> bool:
    return message is not None and _SHUT_DOWN.search(message[:4096]) is not None


def is_taken_over(phase: str | None, message: str | None) -> bool:
    """Whether a node stands for one of the workflow that was resubmitted: skipped, with the outputs that it had there."""
    return phase == "Skipped" and message is not None and message.startswith(_TAKEN_OVER)


def phase_of(value: object) -> str | None:
    """A phase as text; a value that has no text stays visible as an unknown word."""
    return text(value) if value is None or value == "" else text(value) or "?"


def run_state(spec: dict[str, Any], status: dict[str, Any], *, deleted: bool) -> State:
    phase = phase_of(status.get("phase"))
    state = state_of(phase)
    if state == "FAILED" and was_shut_down(spec):
        return "CANCELED"
    if deleted and is_unfinished(status):
        return "CANCELED"
    return state


def was_shut_down(spec: dict[str, Any]) -> bool:
    """By a person: Argo's terminate or stop, or Kubeflow Pipelines' terminate, which sets the deadline to 0."""
    deadline = as_map(spec).get("activeDeadlineSeconds")
    return spec.get("shutdown") in ("Terminate", "Stop") or (deadline == 0 and not isinstance(deadline, bool))


def is_unfinished(status: dict[str, Any]) -> bool:
    return phase_of(status.get("phase")) not in FINAL_PHASES
