"""What the nodes of a task together say about it: state, times, attempts, message, and where its container ran."""

from agent.report import FINAL_STATES, State
from agent.values import as_map, text
from agent.workflow.drafts import Draft
from agent.workflow.graph import Step
from agent.workflow.nodes import Node
from agent.workflow.pods import pod_name
from agent.workflow.states import FAILED_PHASES, SKIPPED_PHASES, is_taken_over, says_shut_down, state_of
from agent.workflow.templates import Templates, labels

_REUSED = "pipelines.kubeflow.org/reused_from_cache"


def settle(draft: Draft, templates: Templates, *, workflow_is_unfinished: bool) -> None:
    """Sets state and `skipped`: from the task's own node, else, where that is missing or Omitted, from its parts."""
    own = draft.own
    if not _is_taken(draft):
        draft.state, draft.skipped = "CANCELED", True
    elif own is not None and own.head.phase != "Omitted":
        draft.state, draft.skipped = _own_state(draft, own, templates, workflow_is_unfinished)
    else:
        draft.state, draft.skipped = _state_of_parts(draft, workflow_is_unfinished)


def _is_taken(draft: Draft) -> bool:
    return draft.driver is None or draft.driver.outputs.parameters.get("condition") != "false"


def _own_state(draft: Draft, own: Step, templates: Templates, workflow_is_unfinished: bool) -> tuple[State, bool]:
    phase = own.head.phase
    if phase in ("Succeeded", "Skipped") and is_taken_over(own.live.phase, own.live.message):
        return "CACHED", False
    state = state_of(phase)
    if state == "COMPLETE" and is_cached(draft, templates):
        return "CACHED", False
    if state == "FAILED" and any(says_shut_down(message) for message in _messages(draft)):
        return "CANCELED", False
    if state == "RUNNING" and not workflow_is_unfinished and any(node.daemoned for node in own.nodes):
        return "COMPLETE", False
    return state, phase in SKIPPED_PHASES


def _state_of_parts(draft: Draft, workflow_is_unfinished: bool) -> tuple[State, bool]:
    parts = [step for step in (draft.wrapper, draft.driver, draft.executor) if step is not None]
    if any(step.head.phase in FAILED_PHASES for step in parts):
        return ("CANCELED" if any(says_shut_down(message) for message in _messages(draft)) else "FAILED"), False
    if not parts:
        return "CANCELED", True  # nothing but an Omitted node
    newest = max(enumerate(parts), key=lambda item: (item[1].head.started_at or "", item[0]))[1]
    driver = draft.driver
    if driver is not None and driver.head.phase == "Succeeded" and newest in (driver, draft.wrapper):
        if driver.outputs.parameters.get("cached-decision") == "true":
            return "CACHED", False
        if workflow_is_unfinished:
            return ("COMPLETE" if draft.is_driver_only else "RUNNING"), False
        newest = driver
    return state_of(newest.head.phase), newest.head.phase in SKIPPED_PHASES


def is_cached(draft: Draft, templates: Templates) -> bool:
    """By KFP v2's driver, Argo's memoization, or the label that KFP v1's cache server leaves."""
    own = draft.own
    if draft.driver is not None and draft.driver.outputs.parameters.get("cached-decision") == "true":
        return True
    if own is None:
        return False
    if own.inputs.parameters.get("cached-decision") == "true" or any(node.memoized for node in own.nodes):
        return True
    marks = [*(node.labels for node in own.nodes), labels(templates.of(own))]
    return any(text(as_map(mark).get(_REUSED)) == "true" for mark in marks)


def _messages(draft: Draft) -> list[str]:
    return [node.message for step in draft.parts() for node in (step.head, step.live) if node.message]


def message_of(draft: Draft) -> str | None:
    """The task node's; of a task that failed before its node ran, the failed part's; never only "omitted: …"."""
    own = draft.own
    if own is None or (own.head.phase == "Omitted" and draft.state == "FAILED"):
        failed = [step for step in draft.parts() if step.head.phase in FAILED_PHASES]
        return next((node.message for step in failed for node in (step.head, step.live) if node.message), None)
    if own.head.message:
        return own.head.message
    if own.live.message and draft.state in ("FAILED", "CANCELED"):  # an attempt's, while there may be another, is not the task's
        return own.live.message
    executor = draft.executor
    if executor is not None and draft.state in ("FAILED", "CANCELED"):
        return executor.head.message or executor.live.message
    return None


def attempts_of(draft: Draft) -> int:
    """How often the user's container was started; of a group, how often the group was."""
    own = draft.own
    if own is None or draft.skipped or draft.state == "CACHED" or own.head.phase in SKIPPED_PHASES:
        return 0
    counted = draft.executor if draft.has_executor else own
    if counted is None or counted.head.phase in SKIPPED_PHASES:
        return 0
    return len(counted.attempts) if counted.is_retry else 1


def started_at(draft: Draft) -> str | None:
    """The driver's start, since a task's node begins only when its driver has ended; else the node's own."""
    times = [step.head.started_at for step in (draft.driver, draft.own) if step is not None and step.head.started_at]
    if draft.own is None and not times:
        times = [step.head.started_at for step in draft.parts() if step.head.started_at]
    return min(times, default=None)


def finished_at(draft: Draft) -> str | None:
    """The task node's end, else the last end of its parts; None while the task is unfinished."""
    if draft.own is not None and draft.own.head.finished_at:
        return draft.own.head.finished_at
    if draft.state not in FINAL_STATES:
        return None
    ends = [node.finished_at for step in draft.parts() for node in (step.head, step.live) if node.finished_at]
    return max(ends, default=None)


def container_node(draft: Draft) -> Node | None:
    """The node of the user's container: the last attempt, in KFP v2 below the task's own node. None where there is none."""
    if draft.has_executor:
        return draft.executor.live if draft.executor is not None and draft.executor.live.type == "Pod" else None
    return draft.own.live if draft.own is not None and not draft.is_group else None


def node_id(draft: Draft) -> str | None:
    """The node that the user's container finds as ARGO_NODE_ID: of a Retry the last attempt, in KFP v2 the executor's pod.

    What has no container of its own (groups, skipped and cached tasks) is known by the task's own node.
    """
    node = container_node(draft)
    if node is not None:
        return node.id
    return draft.own.head.id if draft.own is not None else None


def pod_of(draft: Draft, workflow: str | None, naming: str | None) -> str | None:
    """The pod that runs the user's container; None for what has no pod of its own (groups, cached, HTTP, Suspend)."""
    node = container_node(draft)
    if node is not None and node.type == "Container" and draft.parent is not None:
        node = container_node(draft.parent)
    if node is None or node.type != "Pod" or draft.skipped or draft.state == "CACHED" or workflow is None:
        return None
    if node.phase in SKIPPED_PHASES:
        return None
    return pod_name(node, workflow, naming)
