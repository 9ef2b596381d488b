"""Bindings in Argo's templates: `{{tasks.a.outputs.parameters.b}}`, `from:` and their kin, followed through groups."""

import re
from typing import Any

from agent.report import PortKind
from agent.values import as_list, as_map, text
from agent.workflow.bindings import ByUri, EdgeSet, Source
from agent.workflow.drafts import Draft, Tree
from agent.workflow.graph import Graph, Step
from agent.workflow.templates import Templates, calls

_TASK = re.compile(
    r"\b(?:tasks|steps)(?:\.([\w-]+)|\[['\"]([^'\"]+)['\"]\])\.outputs\."
    r"(?:(parameters|artifacts)(?:\.([\w-]+)|\[['\"]([^'\"]+)['\"]\])|(result)\b)"
)
_INPUT = re.compile(r"\binputs\.(parameters|artifacts)(?:\.([\w-]+)|\[['\"]([^'\"]+)['\"]\])")
_ITEM = re.compile(r"\{\{=?[^{}]*\bitem\b[^{}]*\}\}")
_SIDES: tuple[tuple[str, PortKind], ...] = (("parameters", "parameter"), ("artifacts", "artifact"))


class ArgoBindings:
    def __init__(self, graph: Graph, tree: Tree, templates: Templates) -> None:
        self._graph = graph
        self._tree = tree
        self._templates = templates
        self._calls: dict[str, dict[str, dict[str, Any]]] = {}
        self._made: dict[tuple[str, str, str, str], list[Source]] = {}
        self._named: dict[tuple[str, str], list[Draft]] = {}
        for draft in tree.drafts.values():
            container = self._container(draft)
            if container is not None and draft.call is not None:
                self._named.setdefault((container.head.id, draft.call), []).append(draft)

    def connect(self, drafts: list[Draft], edges: EdgeSet, by_uri: ByUri) -> None:
        """An edge for each input that another task made: by its binding, else, for artifacts, by its address."""
        for draft in drafts:
            if draft.is_group or draft.skipped or edges.is_full:
                continue
            bound = self._connect_bound(draft, edges)
            for artifact in draft.input_artifacts:
                if artifact.name not in bound:
                    for producer in by_uri.producers(draft, artifact):
                        edges.add(producer, draft, artifact.name, "artifact")

    def _connect_bound(self, draft: Draft, edges: EdgeSet) -> set[str]:
        """The artifact ports whose binding is known."""
        container, call = self._container(draft), self._call(draft)
        bound: set[str] = set()
        for side, kind in _SIDES if container is not None else ():
            for name, words in _arguments(call, side).items():
                port = draft.port_names.get(name, name)
                if kind == "artifact":
                    bound.add(port)
                for source in self._sources(container, words, call):
                    if edges.is_full:
                        break
                    edges.add(source.draft, draft, port, kind)
        return bound

    def _container(self, draft: Draft) -> Step | None:
        boundary = draft.own.head.boundary if draft.own else None
        return self._graph.steps.get(boundary) if boundary else None

    def _call(self, draft: Draft) -> dict[str, Any]:
        """The DAG task or step that made the draft's node; of an exit task or hook, the hook."""
        container = self._container(draft)
        if container is None:
            return {}
        known = self._calls.get(container.head.id)
        if known is None:
            known = self._calls[container.head.id] = calls(self._templates.of(container))
        if draft.follows is None:
            return known.get(draft.call or "", {})
        hooks = as_map(known.get(draft.follows.call or "", {}).get("hooks"))
        name = draft.name.rpartition(".")[2]
        return as_map(hooks.get("exit" if name == "onExit" else name))

    def _sources(self, container: Step | None, words: str, call: dict[str, Any]) -> list[Source]:
        """What the placeholders of an argument lead to, in the scope of a container."""
        found: dict[tuple[int, str], Source] = {}
        if container is None:
            return []
        if _ITEM.search(words):
            words = f"{words} {text(call.get('withParam')) or ''}"
        for match in _TASK.finditer(words):
            kind, key = match[3] or "result", match[4] or match[5] or match[6]
            for source in self._outputs(container, match[1] or match[2], kind, key):
                found[id(source.draft), source.key] = source
        for match in _INPUT.finditer(words):
            for source in self._passed(container, match[1], match[2] or match[3]):
                found[id(source.draft), source.key] = source
        return list(found.values())

    def _passed(self, container: Step, side: str, name: str) -> list[Source]:
        """An input of the container comes from the argument that it was called with, one level further out."""
        draft = self._tree.of(container)
        if draft is None:
            return []
        call, outer = self._call(draft), self._container(draft)
        words = _arguments(call, side).get(name)
        return self._sources(outer, words, call) if words is not None and outer is not container else []

    def _outputs(self, container: Step, name: str, kind: str, key: str) -> list[Source]:
        """The leaves behind an output of a task: the items of a loop, what a group's template exports, else itself."""
        memo = (container.head.id, name, kind, key)
        if memo not in self._made:
            self._made[memo] = []  # a template that exports itself leads nowhere
            named = self._named.get((container.head.id, name), [])
            found = [source for draft in named for source in self._leaves(draft, kind, key)]
            self._made[memo] = list({id(source.draft): source for source in found}.values())
        return self._made[memo]

    def _leaves(self, draft: Draft, kind: str, key: str) -> list[Source]:
        if not draft.is_group:
            return [Source(draft, key, is_direct=True)]
        if draft.own is None or draft.own.head.type == "TaskGroup":
            return []  # its items are named like it
        exported = as_map(self._templates.of(draft.own).get("outputs"))
        return self._sources(draft.own, _exports(exported, kind).get(key, ""), {})


def _arguments(call: dict[str, Any], side: str) -> dict[str, str]:
    """The words of each argument that may hold placeholders. An artifact without `from` has no binding."""
    words: dict[str, str] = {}
    for item in as_list(as_map(call.get("arguments")).get(side)):
        name = text(as_map(item).get("name"))
        spoken = _words(as_map(item), side)
        if name and (spoken or side == "parameters"):
            words[name] = spoken
    return words


def _exports(outputs: dict[str, Any], side: str) -> dict[str, str]:
    items = [as_map(item) for item in as_list(outputs.get(side))]
    return {name: _words(item, side) for item in items if (name := text(item.get("name")))}


def _words(item: dict[str, Any], side: str) -> str:
    value_from = as_map(item.get("valueFrom"))
    if side == "artifacts":
        parts = [item.get("from"), item.get("fromExpression")]
    else:
        parts = [item.get("value"), value_from.get("parameter"), value_from.get("expression")]
    return " ".join(part for part in parts if isinstance(part, str))
