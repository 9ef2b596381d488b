"""Bindings in KFP v2's task specs, followed up through enclosing groups and down through what groups export.

Source: Kubeflow Pipelines, `api/v2alpha1/pipeline_spec.proto`, `TaskInputsSpec` and `DagOutputsSpec`.
"""

from dataclasses import replace
from typing import Any, Final

from agent.report import Artifact, Json, PortKind
from agent.values import MAX_DEPTH, as_list, as_map, depth_within, parse_json, text
from agent.workflow.bindings import ByUri, EdgeSet, Source
from agent.workflow.drafts import Draft, Tree
from agent.workflow.kfp_facts import default_values

UNKNOWN: Final = object()
"""A value that the object does not show; None is a value."""

MAX_COPIED_TEXT = 64 * 1024
MAX_COPIED_VALUES = 1_000
"""A larger value is not repeated at every task that it is handed down to."""

_SIDES: tuple[tuple[str, PortKind], ...] = (("parameters", "parameter"), ("artifacts", "artifact"))


class KfpBindings:
    def __init__(self, tree: Tree, root: Json, run_parameters: Json) -> None:
        self._tree = tree
        self._root = root
        self._run_parameters = run_parameters
        self._children: dict[int, dict[str, Draft]] = {}
        self._made: dict[tuple[int, str, str], list[Source]] = {}
        self._items: dict[int, Any] = {}

    def connect(self, drafts: list[Draft], edges: EdgeSet, by_uri: ByUri) -> None:
        """An edge for each input that another task made: by its binding, else, for artifacts, by its address."""
        for draft in drafts:
            if draft.is_group or draft.skipped or edges.is_full:
                continue
            for side, kind in _SIDES:
                for port, binding in self.bindings(draft, side).items():
                    for source in self.sources(draft, binding, side):
                        if edges.is_full:
                            break
                        edges.add(source.draft, draft, port, kind)
            bound = self.bindings(draft, "artifacts")
            for artifact in draft.input_artifacts:
                if artifact.name not in bound:
                    for producer in by_uri.producers(draft, artifact):
                        edges.add(producer, draft, artifact.name, "artifact")

    def bindings(self, draft: Draft, side: str) -> Json:
        spec = draft.parent.spec if draft.iteration is not None and draft.parent else draft.spec
        return as_map(as_map(spec.get("inputs")).get(side))

    def sources(self, draft: Draft, binding: object, side: str) -> list[Source]:
        """The leaves that an input of a task comes from. Empty for constants and the run's own parameters."""
        scope = _outer(draft)
        is_direct = True
        while True:
            bound = as_map(binding)
            produced = as_map(bound.get("taskOutputParameter" if side == "parameters" else "taskOutputArtifact"))
            key = "outputParameterKey" if side == "parameters" else "outputArtifactKey"
            is_direct = is_direct and "parameterExpressionSelector" not in bound
            if produced:
                found = self._outputs(scope, text(produced.get("producerTask")), side, text(produced.get(key)))
                return found if is_direct else [replace(source, is_direct=False) for source in found]
            name = text(bound.get("componentInputParameter" if side == "parameters" else "componentInputArtifact"))
            if name is None or scope is None:
                return []
            binding, is_item = self._passed(scope, side, name)
            is_direct = is_direct and not is_item
            scope = _outer(scope)

    def _passed(self, scope: Draft, side: str, name: str) -> tuple[object, bool]:
        """The binding, one level further out, of an input of the scope, and whether it is one item of what is there."""
        if scope.iteration is None or scope.parent is None:
            return self.bindings(scope, side).get(name), False
        loop = scope.parent
        iterator = as_map(loop.spec.get("parameterIterator" if side == "parameters" else "artifactIterator"))
        if iterator.get("itemInput") == name:
            items = as_map(iterator.get("items"))
            listed = text(items.get("inputParameter" if side == "parameters" else "inputArtifact"))
            return self.bindings(loop, side).get(listed or ""), True
        return self.bindings(loop, side).get(name), False

    def _outputs(self, scope: Draft | None, task: str | None, side: str, key: str | None) -> list[Source]:
        draft = self._child(scope, task)
        if draft is None or key is None:
            return []
        memo = (id(draft), side, key)
        if memo not in self._made:
            self._made[memo] = []
            found = self._leaves(draft, side, key)
            self._made[memo] = list({(id(source.draft), source.key): source for source in found}.values())
        return self._made[memo]

    def _leaves(self, draft: Draft, side: str, key: str) -> list[Source]:
        if not draft.is_group:
            return [Source(draft, key, is_direct=True)]
        iterations = [child for child in draft.children if child.iteration is not None]
        exported = _selectors(draft.component, side, key)
        if not iterations:
            return [source for task, inner in exported for source in self._outputs(draft, task, side, inner)]
        found = [Source(child, key, is_direct=False) for child in iterations if not child.is_group]
        for iteration in (child for child in iterations if child.is_group):
            own = _selectors(iteration.component or draft.component, side, key)
            found += [source for task, inner in own for source in self._outputs(iteration, task, side, inner)]
        return [replace(source, is_direct=False) for source in found]

    def _child(self, scope: Draft | None, task: str | None) -> Draft | None:
        known = self._children.get(id(scope))
        if known is None:
            known = {draft.name: draft for draft in self._tree.siblings(scope) if draft.iteration is None}
            self._children[id(scope)] = known
        return known.get(task or "")

    def work_out_parameters(self, draft: Draft) -> None:
        """Input values of a task whose driver shows none (groups, cached and imported ones), as far as known."""
        if draft.has_resolved_inputs or draft.skipped:
            return
        for name in self._declared(draft):
            value = self._input(draft, name)
            if value is not UNKNOWN and not _is_large(value):
                draft.inputs.setdefault(name, value)

    def work_out_artifacts(self, draft: Draft) -> None:
        """Input artifacts of a cached task: what the tasks made that it is bound to, where the object shows that."""
        if draft.has_resolved_inputs or draft.skipped or draft.is_group:
            return
        for port, binding in self.bindings(draft, "artifacts").items():
            for source in self.sources(draft, binding, "artifacts"):
                made = [artifact for artifact in source.draft.output_artifacts if artifact.name == source.key]
                draft.input_artifacts.extend(replace(artifact, name=port) for artifact in made)

    def _declared(self, draft: Draft) -> list[str]:
        """Names of inputs. In an iteration the item stands for the list that it is taken from, as the driver has it."""
        names = [*self.bindings(draft, "parameters"), *default_values(draft.component)]
        if draft.iteration is not None and draft.parent is not None:
            iterator = as_map(draft.parent.spec.get("parameterIterator"))
            item, listed = text(iterator.get("itemInput")), text(as_map(iterator.get("items")).get("inputParameter"))
            names = [name for name in names if name != listed] + ([item] if item else [])
        return list(dict.fromkeys(names))

    def _input(self, draft: Draft, name: str) -> Any:
        """The value of a task's input parameter, from the outside in; UNKNOWN where a task's output decides it."""
        binding, is_item = self._passed(draft, "parameters", name)
        scope = _outer(draft)
        if is_item:
            return self._item(draft, binding, scope)
        if binding is None:
            return default_values(draft.component).get(name, UNKNOWN)
        return self._value(binding, scope)

    def _item(self, draft: Draft, binding: object, scope: Draft | None) -> Any:
        loop = draft.parent or draft
        if id(loop) not in self._items:
            items = as_map(as_map(loop.spec.get("parameterIterator")).get("items"))
            value = items.get("raw") if binding is None else self._value(binding, scope)
            self._items[id(loop)] = parse_json(value) if isinstance(value, str) else value
        listed = self._items[id(loop)]
        number = draft.iteration or 0
        return listed[number] if isinstance(listed, list) and number < len(listed) else UNKNOWN

    def _value(self, binding: object, scope: Draft | None) -> Any:
        bound = as_map(binding)
        if "parameterExpressionSelector" in bound:
            return UNKNOWN
        if "runtimeValue" in bound:
            return _constant(as_map(bound["runtimeValue"]))
        name = text(bound.get("componentInputParameter"))
        if name is None:
            return UNKNOWN
        return self._run_parameters.get(name, UNKNOWN) if scope is None else self._input(scope, name)

    def learn_outputs(self, draft: Draft) -> None:
        """What the resolved inputs of a task tell about the tasks that they come from: output values, and, of producers
        without a plan (cached, imported), output artifacts.
        """
        if draft.is_group or draft.skipped or not draft.has_resolved_inputs:
            return
        for port, binding in self.bindings(draft, "parameters").items():
            source = _only(self.sources(draft, binding, "parameters"))
            if source is not None and port in draft.inputs:
                source.draft.outputs.setdefault(source.key, draft.inputs[port])
        for port, binding in self.bindings(draft, "artifacts").items():
            source = _only(self.sources(draft, binding, "artifacts"))
            shown = [artifact for artifact in draft.input_artifacts if artifact.name == port]
            if source is None or source.draft.has_resolved_inputs or len(shown) != 1:
                continue
            made = source.draft.output_artifacts
            if all(artifact.name != source.key for artifact in made):
                made.append(replace(shown[0], name=source.key))


def _outer(draft: Draft) -> Draft | None:
    """The scope in which a task's bindings are meant: an iteration's are its loop's."""
    return draft.parent.parent if draft.iteration is not None and draft.parent else draft.parent


def _only(sources: list[Source]) -> Source | None:
    """The one task that was taken, if the consumer gets exactly its value."""
    taken = [source for source in sources if not source.draft.skipped]
    return taken[0] if len(taken) == 1 and taken[0].is_direct else None


def _is_large(value: object) -> bool:
    if isinstance(value, str):
        return len(value) > MAX_COPIED_TEXT
    return not depth_within(value, MAX_DEPTH, max_values=MAX_COPIED_VALUES)


def _constant(value: Json) -> Any:
    """A constant; the first releases wrapped it, and placeholders in it are resolved only by the driver."""
    constant = value.get("constant", UNKNOWN)
    if constant is UNKNOWN and isinstance(value.get("constantValue"), dict):
        constant = next(iter(value["constantValue"].values()), UNKNOWN)
    return UNKNOWN if isinstance(constant, str) and "{{$" in constant else constant


def _selectors(component: Json, side: str, key: str) -> list[tuple[str | None, str | None]]:
    """The inner tasks and their outputs that a group exports as `key`."""
    exported = as_map(as_map(as_map(as_map(component.get("dag")).get("outputs")).get(side)).get(key))
    if side == "artifacts":
        listed = [as_map(item) for item in as_list(exported.get("artifactSelectors"))]
        return [(text(item.get("producerSubtask")), text(item.get("outputArtifactKey"))) for item in listed]
    listed = [as_map(item) for item in as_list(as_map(exported.get("valueFromOneof")).get("parameterSelectors"))]
    listed.append(as_map(exported.get("valueFromParameter")))
    return [(text(item.get("producerSubtask")), text(item.get("outputParameterKey"))) for item in listed if item]


def share_metadata(drafts: list[Draft]) -> None:
    """The metadata of an artifact that a consumer shows is the producer's: it was written after the plan was made."""
    shown: dict[str, Artifact] = {}
    for draft in drafts:
        for artifact in draft.input_artifacts:
            if artifact.metadata:
                shown.setdefault(artifact.uri, artifact)
    for draft in drafts:
        draft.output_artifacts = [
            replace(made, metadata={**made.metadata, **shown[made.uri].metadata}) if made.uri in shown else made
            for made in draft.output_artifacts
        ]
