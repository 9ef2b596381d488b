"""Kubeflow Pipelines v2: which nodes are a task and which are only its parts, and what the driver's words say of it.

Source: Kubeflow Pipelines, `backend/src/v2/compiler/argocompiler`. A container task `train` is compiled to a pod
`train-driver` and a DAG `train` around the pod `executor`; a group to `group-driver` and a DAG; a loop to an iterator
DAG with `iteration-driver` and a TaskGroup `iteration-iterations` of items, each with `iteration-item-driver` and
`iteration-item`; an exit task to a DAG `exit-hook-…` around the same two nodes. An importer is one pod.
"""

import re
from typing import Any

from agent.values import as_list, as_map, text
from agent.workflow.drafts import Draft, Tree
from agent.workflow.graph import Graph, Step
from agent.workflow.nodes import GROUPS

PREFIX = "pipelines.kubeflow.org/"

_ROLE = re.compile(r"(?:(?:retry|metadata)-(?:.*-)?)?system-(dag-driver|container-driver|container-executor|container-impl)\Z")
_DRIVER = "-driver"


def is_kfp_v2(metadata: dict[str, Any], spec: dict[str, Any], graph: Graph) -> bool:
    """By the mark on the pods, by the component specs, or by the templates of the nodes."""
    pods = as_map(spec.get("podMetadata"))
    marks = {**as_map(pods.get("labels")), **as_map(pods.get("annotations"))}
    annotations = as_map(metadata.get("annotations"))
    if marks.get(PREFIX + "v2_component") == "true" or PREFIX + "components-root" in annotations:
        return True
    if "components-root" in arguments(spec):
        return True
    return any(role_of(step) is not None for step in graph.steps.values())


def arguments(spec: dict[str, Any]) -> dict[str, Any]:
    """`spec.arguments.parameters` by name."""
    items = [as_map(item) for item in as_list(as_map(spec.get("arguments")).get("parameters"))]
    return {name: item.get("value", item.get("default")) for item in items if (name := text(item.get("name")))}


def role_of(step: Step) -> str | None:
    match = _ROLE.match(step.head.template or step.live.template or "")
    return match[1] if match else None


def is_driver(step: Step) -> bool:
    return role_of(step) in ("dag-driver", "container-driver")


class Planter:
    """Walks the graph once and groups nodes into tasks. `root_driver` is the run's own driver afterwards."""

    def __init__(self, graph: Graph, tree: Tree) -> None:
        self._graph = graph
        self._tree = tree
        self._pending: list[tuple[Step, Draft | None, Draft | None]] = []
        self.root_driver: Step | None = None

    def plant(self) -> None:
        if self._graph.root is not None:
            self._enter_run(self._graph.root)
        self._siblings(self._graph.tops, None, None)
        while self._pending:
            step, parent, follows = self._pending.pop()
            self._siblings(self._graph.inside(step), parent, follows)

    def _enter_run(self, root: Step) -> None:
        """The entry DAG and the DAG `root` in it are both the run."""
        rest = []
        for step in self._graph.inside(root):
            name = self._graph.local_text(step)
            if name == "root-driver" and is_driver(step):
                self.root_driver = step
            elif name == "root":
                self._pending.append((step, None, None))
            else:
                rest.append(step)
        self._siblings(tuple(rest), None, None)

    def _siblings(self, steps: tuple[Step, ...], parent: Draft | None, follows: Draft | None) -> None:
        drivers: dict[str, Step] = {}
        tasks: dict[str, Step] = {}
        hooks: dict[str, Step] = {}
        for step in steps:
            name = self._graph.local_text(step)
            if is_driver(step) and name.endswith(_DRIVER) and name != _DRIVER:
                drivers[name.removesuffix(_DRIVER)] = step
            elif (step.head.template or "").startswith("exit-hook-"):
                hooks[name] = step
            elif step.head.type != "StepGroup":
                tasks[name] = step
        for name in sorted({*drivers, *tasks}):
            self._task(name, tasks.get(name), drivers.get(name), parent, follows)
        for name, step in sorted(hooks.items()):
            self._hook(name, step, parent)

    def _task(self, name: str, own: Step | None, driver: Step | None, parent: Draft | None, follows: Draft | None) -> None:
        hook = self._graph.local_name(own).hook if own is not None else None
        if own is not None and hook and own.head.boundary is None:
            name = hook.removeprefix(".")  # the run's own exit task
        draft = self._tree.add(name, name, parent, own)
        if draft is None:
            return
        draft.by_itself = hook is not None and own is not None and own.head.boundary is None
        draft.follows = follows
        self._drive(draft, driver)
        if own is not None:
            self._enter(draft, own)

    def _drive(self, draft: Draft, driver: Step | None) -> None:
        if driver is not None:
            draft.driver = driver
            self._tree.claim(driver, draft)

    def _enter(self, draft: Draft, own: Step) -> None:
        """Finds the parts inside the task's own node, and queues what it contains."""
        role = role_of(own)
        if role in ("dag-driver", "container-driver"):
            draft.driver, draft.is_driver_only = own, True
        elif role == "container-executor":
            draft.has_executor = True
            self._executor(draft, own)
        elif self._is_iterator(own):
            draft.is_group = True
            self._iterator(draft, own)
        elif own.live.type in GROUPS or (own.head.template or "").startswith("comp-"):
            draft.is_group = True
            self._pending.append((own, draft, None))

    def _executor(self, draft: Draft, own: Step) -> None:
        for step in self._graph.inside(own):
            self._tree.claim(step, draft)
            if draft.executor is None or role_of(step) == "container-impl":
                draft.executor = step

    def _is_iterator(self, step: Step) -> bool:
        names = {self._graph.local_text(inner) for inner in self._graph.inside(step)}
        return (step.head.template or "").endswith("-iterator") or "iteration-iterations" in names

    def _iterator(self, loop: Draft, own: Step) -> None:
        for step in self._graph.inside(own):
            name = self._graph.local_name(step)
            if name.base == "iteration-driver":
                self._drive(loop, step)
            elif name.base == "iteration-iterations" and name.item is None:
                self._tree.claim(step, loop)
            elif name.base == "iteration-iterations" and name.item is not None:
                self._iteration(loop, name.item, step)

    def _iteration(self, loop: Draft, number: int, own: Step) -> None:
        draft = self._tree.add(loop.name, str(number), loop, own)
        if draft is None:
            return
        draft.iteration = number
        draft.is_group = True
        for step in self._graph.inside(own):
            name = self._graph.local_text(step)
            if name == "iteration-item-driver":
                self._drive(draft, step)
            elif name == "iteration-item" and role_of(step) == "container-executor":
                draft.is_group, draft.has_executor = False, True
                self._tree.claim(step, draft)
                self._executor(draft, step)
            elif name == "iteration-item":
                self._tree.claim(step, draft)
                self._pending.append((step, draft, None))

    def _hook(self, name: str, own: Step, parent: Draft | None) -> None:
        """The DAG around an exit task is a part of it; while it is empty, its template tells the name."""
        followed_name = name.removesuffix(".onExit")
        followed = next((draft for draft in self._tree.siblings(parent) if draft.name == followed_name), None)
        inside = self._graph.inside(own)
        before = set(self._tree.drafts)
        self._siblings(inside, parent, followed)
        added = [draft for key, draft in self._tree.drafts.items() if key not in before]
        if not added:
            draft = self._tree.add(self._exit_name(own, parent), self._exit_name(own, parent), parent)
            added = [draft] if draft else []
            for draft in added:
                draft.follows = followed
        for draft in added[:1]:
            draft.wrapper = own
            self._tree.claim(own, draft)

    def _exit_name(self, own: Step, parent: Draft | None) -> str:
        """The template is `exit-hook-<dag>-<task>`, where the DAG is `root` or the component `comp-…` around it."""
        template = own.head.template or ""
        around = self._graph.boundary_of(own)
        dag = around.template if around and around.template else "root"
        for prefix in (f"exit-hook-{dag}-", "exit-hook-root-", "exit-hook-"):
            if template.startswith(prefix) and template != prefix:
                return template.removeprefix(prefix)
        return self._graph.local_text(own)
