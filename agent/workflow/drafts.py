"""Tasks while they are put together: what the author wrote as one task, with the nodes that are its parts."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from agent.report import Artifact, Json, State
from agent.values import Notes, as_map, short
from agent.workflow.graph import Step
from agent.workflow.nodes import GROUPS

MAX_NESTING = 100
"""Argo itself stops a Workflow at this depth of templates."""
MAX_LINKS = 200_000
"""Bound on dependencies and on edges of one report: groups that follow each other link each member with each."""
_LONGEST_SEGMENT = 253


@dataclass(slots=True, eq=False)
class Draft:
    """One task. `own` is the task's node; KFP v2 tasks have parts beside it, and may exist before it."""

    name: str
    key: str
    parent: "Draft | None"
    own: Step | None = None
    driver: Step | None = None
    executor: Step | None = None
    """KFP v2: the node with the user's container, below the own node."""
    wrapper: Step | None = None
    """KFP v2: the `exit-hook-…` node around an exit task."""
    iteration: int | None = None
    follows: "Draft | None" = None
    """What an exit task or hook follows."""
    by_itself: bool = False
    """The run's own exit task or hook: it depends on nothing."""
    call: str | None = None
    """Argo's name of the task or step in the enclosing template."""
    is_group: bool = False
    has_executor: bool = False
    """KFP v2: the user's container runs below the own node, so that it may not have started although the node has."""
    is_driver_only: bool = False
    """`createpvc` and `deletepvc`: the driver does the work."""
    has_resolved_inputs: bool = False
    """KFP v2: the driver has resolved the inputs, so that they need not be worked out from the bindings."""
    depth: int = 0
    children: list["Draft"] = field(default_factory=list)
    depends_on: tuple[str, ...] = ()
    spec: Json = field(default_factory=dict)
    """KFP v2: the task spec (bindings, dependencies)."""
    component: Json = field(default_factory=dict)
    """KFP v2: the component spec (declared ports, inner tasks). KFP v1: its `component_spec`."""
    inputs: Json = field(default_factory=dict)
    input_artifacts: list[Artifact] = field(default_factory=list)
    outputs: Json = field(default_factory=dict)
    output_artifacts: list[Artifact] = field(default_factory=list)
    metrics: Json = field(default_factory=dict)
    display_name: str | None = None
    execution_id: int | None = None
    log_uri: str | None = None
    state: State = "NEW"
    skipped: bool = False
    port_names: dict[str, str] = field(default_factory=dict)
    """KFP v1: declared input names by Argo's names."""

    @property
    def cached(self) -> bool:
        return self.state == "CACHED"

    def parts(self) -> tuple[Step, ...]:
        return tuple(step for step in (self.own, self.driver, self.executor, self.wrapper) if step is not None)

    def lineage(self) -> Iterator["Draft"]:
        """This task and what encloses it, from the inside out."""
        current: Draft | None = self
        while current is not None:
            yield current
            current = current.parent


class Tree:
    """The drafts of one report: adds them, keeps keys unique, finds the draft of a step."""

    def __init__(self, notes: Notes) -> None:
        self.notes = notes
        self.drafts: dict[str, Draft] = {}
        self.tops: list[Draft] = []
        self._by_step: dict[str, Draft] = {}

    def add(self, name: str, segment: str, parent: Draft | None, own: Step | None = None) -> Draft | None:
        """A new task `segment` below `parent`; None, with a warning, if it is nested too deep.

        Of two nodes that claim one key the second joins the first: what it contains is still shown.
        """
        return self.add_at(name, self.key_below(parent, segment), parent, own)

    def add_at(self, name: str, key: str, parent: Draft | None, own: Step | None = None) -> Draft | None:
        """Like add, with the whole key."""
        depth = parent.depth + 1 if parent else 0
        if depth >= MAX_NESTING:
            self.notes.add(f"Tasks nested deeper than {MAX_NESTING} are left out, the first below {short(key)}.")
            return None
        if key in self.drafts:
            self.notes.add(f"Two nodes are named {short(key)}; only the first is reported.")
            return self.drafts[key]
        draft = Draft(self._segment(name), key, parent, own, depth=depth)
        self.drafts[key] = draft
        (parent.children if parent else self.tops).append(draft)
        if own is not None:
            self.claim(own, draft)
        return draft

    def claim(self, step: Step, draft: Draft) -> None:
        """Edges at this step are edges of the draft."""
        self._by_step[step.head.id] = draft

    def of(self, step: Step | None) -> Draft | None:
        return self._by_step.get(step.head.id) if step else None

    def key_below(self, parent: Draft | None, segment: str) -> str:
        segment = self._segment(segment)
        return f"{parent.key}/{segment}" if parent else segment

    def siblings(self, parent: Draft | None) -> list[Draft]:
        return parent.children if parent else self.tops

    def ordered(self) -> list[Draft]:
        """Enclosing tasks before what they enclose, siblings by name, iterations by number."""
        result: list[Draft] = []
        stack = sorted(self.tops, key=_place, reverse=True)
        while stack:
            draft = stack.pop()
            result.append(draft)
            stack.extend(sorted(draft.children, key=_place, reverse=True))
        return result

    def drop_below(self, draft: Draft) -> None:
        """Nothing inside a branch that was not taken is a task."""
        stack = list(draft.children)
        draft.children = []
        while stack:
            below = stack.pop()
            self.drafts.pop(below.key, None)
            stack.extend(below.children)

    def listed(self, draft: Draft) -> bool:
        return self.drafts.get(draft.key) is draft

    def _segment(self, segment: str) -> str:
        """The server's names take 512 characters, Kubernetes' own 253: a longer one is cut, with its hash."""
        if len(segment) <= _LONGEST_SEGMENT:
            return segment
        self.notes.add(f"The task name {short(segment)} is longer than {_LONGEST_SEGMENT} characters and is cut.")
        digest = hashlib.sha256(segment.encode("utf-8", "replace")).hexdigest()[:12]
        return f"{segment[: _LONGEST_SEGMENT - 13]}~{digest}"


def _place(draft: Draft) -> tuple[str, int, str]:
    return (draft.name, -1 if draft.iteration is None else draft.iteration, draft.key)


def lift(source: Draft, target: Draft) -> tuple[Draft, Draft] | None:
    """The two siblings that contain the ends, below their nearest common parent; None if one encloses the other."""
    while source.depth > target.depth:
        if source.parent is None or source.parent is target:
            return None
        source = source.parent
    while target.depth > source.depth:
        if target.parent is None or target.parent is source:
            return None
        target = target.parent
    while source.parent is not target.parent:
        if source.parent is None or target.parent is None:
            return None
        source, target = source.parent, target.parent
    return None if source is target else (source, target)


def runs_in(step: Step | None) -> bool:
    """Whether the step's node runs something itself, so that it makes and uses data."""
    return step is not None and step.live.type not in GROUPS


def declared(component: Json, side: str, kind: str) -> Json:
    """KFP v2: a component's declared ports: side is `inputDefinitions` or `outputDefinitions`."""
    return as_map(as_map(component.get(side)).get(kind))
