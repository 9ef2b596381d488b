"""The record that a translation gives: its fields, their order, and its JSON.

`report.schema.json` beside this file is generated from these types (`schema.py`). In the JSON a scalar that is not
known is null; a list, a map or a part that is empty is absent; nothing is ever "".
"""

import json
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal, TypeAlias

from agent.values import Notes, plain, storable

State: TypeAlias = Literal["NEW", "RUNNING", "COMPLETE", "FAILED", "CANCELED", "CACHED", "UNKNOWN"]
"""A state of an execution in ML Metadata's words."""

FINAL_STATES: frozenset[str] = frozenset({"COMPLETE", "FAILED", "CANCELED", "CACHED"})

PortKind: TypeAlias = Literal["artifact", "parameter"]
Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """Which picture of which Kubernetes object was translated."""

    cluster: str | None
    namespace: str | None
    kind: str
    name: str | None
    uid: str | None
    resource_version: str | None
    generation: int | None
    retry_generation: int | None
    """How often Kubeflow Pipelines started this run again; None before the first time."""
    deleted: bool


@dataclass(frozen=True, slots=True)
class Owner:
    kind: str
    name: str | None
    uid: str | None


@dataclass(frozen=True, slots=True)
class Run:
    id: str
    name: str | None
    state: State
    phase: str | None
    started_at: str | None
    finished_at: str | None
    pipeline: str | None
    parameters: Json = field(default_factory=dict)
    """Effective values: what was given, and the pipeline's defaults for the rest. A value that is "" is None."""
    metrics: Json = field(default_factory=dict)
    owner: Owner | None = None
    replicas: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Artifact:
    name: str
    """The port of the task, not the name that the artifact has in a store."""
    uri: str
    type: str | None
    metadata: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ports:
    """One side of a task. A port that takes a list has one artifact per member, in order, under the same name."""

    parameters: Json = field(default_factory=dict)
    artifacts: tuple[Artifact, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    key: str
    """Path of task names from the run, iterations as their number: `for-loop-1/2/train`. Unique in a report."""
    name: str
    display_name: str | None
    parent: str | None
    depends_on: tuple[str, ...]
    state: State
    skipped: bool
    phase: str | None
    message: str | None
    started_at: str | None
    finished_at: str | None
    attempts: int
    iteration: int | None
    cached: bool
    node_id: str | None
    """The node in which the user's container runs (the last attempt); for a group its own node."""
    pod_name: str | None
    execution_id: int | None
    log_uri: str | None
    inputs: Ports
    outputs: Ports
    metrics: Json


@dataclass(frozen=True, slots=True)
class Edge:
    """Data that one task made and another one used. `port` is the consumer's input name."""

    from_: str = field(metadata={"name": "from"})
    to: str
    port: str
    kind: PortKind


@dataclass(frozen=True, slots=True)
class Report:
    object: ObjectRef
    run: Run | None = None
    tasks: tuple[Task, ...] = ()
    edges: tuple[Edge, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def is_final(self) -> bool:
        """Nothing more will come of it, unless it is started again."""
        return self.object.deleted or (self.run is not None and self.run.state in FINAL_STATES)

    def to_dict(self) -> Json:
        """The report as JSON values, keys in the order of the types, free-form maps sorted; equal reports are equal."""
        notes = Notes()
        for line in self.warnings:
            notes.add(storable(line))
        shown = _render(self, notes)
        warnings = list(notes.lines())
        if warnings:
            shown["warnings"] = warnings
        return shown

    def to_json(self) -> str:
        """One line of JSON without spaces. Never contains NUL, a lone surrogate, NaN or an infinity."""
        return json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def json_name(name: str, metadata: Any) -> str:
    return str(metadata.get("name", name))


def _render(value: Any, notes: Notes) -> Json:
    shown: Json = {}
    for part in fields(value):
        child = getattr(value, part.name)
        if isinstance(child, str):
            cleaned = storable(child)
            if cleaned != child:
                notes.add("Characters that no store accepts (NUL, lone surrogates) are replaced.")
            shown[json_name(part.name, part.metadata)] = cleaned
        elif child is None and _is_scalar(part.type):
            shown[json_name(part.name, part.metadata)] = None
        elif isinstance(child, bool | int | float):
            shown[json_name(part.name, part.metadata)] = child
        elif child:
            rendered = _render_part(child, notes)
            if rendered:
                shown[json_name(part.name, part.metadata)] = rendered
    return shown


def _render_part(child: Any, notes: Notes) -> Any:
    if is_dataclass(child):
        return _render(child, notes)
    if isinstance(child, dict):
        return _without_empty_texts(plain(child))
    return [_render(item, notes) if is_dataclass(item) else plain(item) for item in child]


def _without_empty_texts(values: Json) -> Json:
    return {key: None if value == "" else value for key, value in values.items()}


def _is_scalar(annotation: object) -> bool:
    """Whether a field's None is shown as null. Annotations here are types, or unions of them."""
    return not any(is_dataclass(part) for part in getattr(annotation, "__args__", (annotation,)))
