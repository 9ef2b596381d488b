"""The nodes of one Workflow status as a graph: Retry nodes folded, stale attempts left out, containment by boundary.

Rules: `boundaryID` says what contains a node, never `children`; with retries it names the attempt. Source: Argo
Workflows' controller; the names of nodes are full paths (`wf.task`, `wf[0].step`, `task(3:value)`, `name(0)`).
"""

import re
from dataclasses import dataclass

from agent.values import Notes, short
from agent.workflow.nodes import Node, Values

_ATTEMPT = re.compile(r"\(([0-9]{1,9})\)\Z")
_STEP_GROUP = re.compile(r"\A\[[0-9]+\]")
_ITEM = re.compile(r"\A(.*?)\(([0-9]{1,9}):.*\)\Z", re.DOTALL)
_HOOK = re.compile(r"\A(.+)(\.onExit|\.hooks\.[^.()]+)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """A node after folding: a Retry with its attempts, or any other node alone."""

    head: Node
    attempts: tuple[Node, ...] = ()

    @property
    def live(self) -> Node:
        """The node whose content counts: the last attempt."""
        return self.attempts[-1] if self.attempts else self.head

    @property
    def is_retry(self) -> bool:
        return self.head.type == "Retry"

    @property
    def nodes(self) -> tuple[Node, ...]:
        return (self.head, *self.attempts)

    @property
    def inputs(self) -> Values:
        """Older Retry nodes carry none: then the last attempt's."""
        return self.head.inputs if self.head.inputs != Values() else self.live.inputs

    @property
    def outputs(self) -> Values:
        return self.head.outputs if self.head.outputs != Values() else self.live.outputs


@dataclass(frozen=True, slots=True)
class Name:
    """A node's own part of its path: `train(2:x)` is base `train`, item 2; `train.onExit` base `train` and a hook."""

    base: str
    item: int | None = None
    hook: str | None = None
    """`.onExit` or `.hooks.<name>`; base is then what it follows, which may be an item: `train(2:x)`."""


@dataclass(frozen=True, slots=True)
class Graph:
    steps: dict[str, Step]
    """Every node's step, by the node's id: a Retry and its attempts share one."""
    root: Step | None
    tops: tuple[Step, ...]
    """What no step of the graph contains, without the root: the exit task, and strays."""
    inner: dict[str, tuple[Step, ...]]
    """What a step contains (in its last attempt), by the id of the step's head, ordered by node name."""

    def inside(self, step: Step) -> tuple[Step, ...]:
        return self.inner.get(step.head.id, ())

    def boundary_of(self, step: Step) -> Node | None:
        """The node that contains the step: with retries, an attempt."""
        container = self.steps.get(step.head.boundary or "")
        if container is None:
            return None
        return next((node for node in container.nodes if node.id == step.head.boundary), container.live)

    def local_name(self, step: Step) -> Name:
        return split_name(self.local_text(step))

    def local_text(self, step: Step) -> str:
        """The node's name without the path of what contains it, and without `[0].`; never empty."""
        node, boundary = step.head, self.boundary_of(step)
        prefix = boundary.name if boundary else ""
        if prefix and node.name.startswith(prefix):
            rest = _STEP_GROUP.sub("", node.name[len(prefix) :]).removeprefix(".")
            if rest:
                return rest
        return node.display_name or node.name or node.id


def split_name(local: str) -> Name:
    hook = _HOOK.match(local)
    if hook:
        return Name(base=hook[1], hook=hook[2])
    item = _ITEM.match(local)
    return Name(base=item[1], item=int(item[2])) if item and item[1] else Name(base=local)


def build_graph(nodes: dict[str, Node], workflow: str | None, notes: Notes) -> Graph:
    attempts = _attempts(nodes)
    folded = {attempt.id for listed in attempts.values() for attempt in listed}
    heads = [node for node in nodes.values() if node.id not in folded]
    by_id: dict[str, Step] = {}
    for head in heads:
        step = Step(head, attempts.get(head.id, ()))
        by_id.update((node.id, step) for node in step.nodes)
    contained, stale = _contain(by_id, heads, notes)
    return _placed(by_id, contained, stale, workflow, notes)


def _attempts(nodes: dict[str, Node]) -> dict[str, tuple[Node, ...]]:
    """Attempts of each Retry in their order, by the Retry's id: children marked `retried`, or named `<retry>(n)`."""
    retries = {node.name: node for node in nodes.values() if node.type == "Retry"}
    numbered: dict[str, dict[str, int]] = {node.id: {} for node in retries.values()}  # node ids with their number
    for node in nodes.values():
        match = _ATTEMPT.search(node.name)
        retry = retries.get(node.name[: match.start()]) if match else None
        if match and retry and node.type != "Retry":
            numbered[retry.id][node.id] = int(match[1])
    named = {node_id for listed in numbered.values() for node_id in listed}
    for retry in retries.values():
        for position, child_id in enumerate(retry.children):
            child = nodes.get(child_id)
            if child and child.retried and not child.hooked and child.type != "Retry" and child_id not in named:
                numbered[retry.id][child_id] = position
                named.add(child_id)
    ordered = {
        retry_id: sorted((number, node_id) for node_id, number in listed.items())
        for retry_id, listed in numbered.items()
        if listed
    }
    return {retry_id: tuple(nodes[node_id] for _, node_id in listed) for retry_id, listed in ordered.items()}


def _contain(by_id: dict[str, Step], heads: list[Node], notes: Notes) -> tuple[dict[str, list[Step]], list[Step]]:
    """Steps by the head id of what contains them ("" for the top), and the steps that a stale attempt contains."""
    contained: dict[str, list[Step]] = {"": []}
    stale: list[Step] = []
    for head in sorted(heads, key=lambda node: (node.name, node.id)):
        step = by_id[head.id]
        container = by_id.get(head.boundary) if head.boundary else None
        if head.boundary and container is None:
            notes.add(f"Node {short(head.id)} names an enclosing node that is not in the object; it is shown at the top.")
        if container is None or container is step:
            contained[""].append(step)
        elif head.boundary in (container.live.id, container.head.id):
            contained.setdefault(container.head.id, []).append(step)
        else:
            stale.append(step)
    return contained, stale


def _placed(
    by_id: dict[str, Step], contained: dict[str, list[Step]], stale: list[Step], workflow: str | None, notes: Notes
) -> Graph:
    tops = contained.pop("")
    reached = _below(contained, [*tops, *stale])
    for step in sorted(by_id.values(), key=lambda step: step.head.id):
        if step.head.id not in reached:  # only nodes in a circle of boundaries, or below one, are left
            notes.add(f"Node {short(step.head.id)} encloses itself; it is shown at the top.")
            contained[by_id[step.head.boundary or ""].head.id].remove(step)
            tops.append(step)
            reached |= _below(contained, [step])
    root = _root(tops, workflow)
    inner = {key: tuple(steps) for key, steps in contained.items()}
    return Graph(by_id, root, tuple(step for step in tops if step is not root), inner)


def _below(contained: dict[str, list[Step]], steps: list[Step]) -> set[str]:
    """Head ids of the steps and of all that they contain."""
    stack, seen = list(steps), set[str]()
    while stack:
        step = stack.pop()
        if step.head.id not in seen:
            seen.add(step.head.id)
            stack.extend(contained.get(step.head.id, ()))
    return seen


def _root(tops: list[Step], workflow: str | None) -> Step | None:
    """The node that has the Workflow's id or name; else the one top node that has no boundary and is no hook."""
    for step in tops:
        if workflow is not None and workflow in (step.head.id, step.head.name):
            return step
    candidates = [step for step in tops if step.head.boundary is None and split_name(step.head.name).hook is None]
    return candidates[0] if candidates else None
