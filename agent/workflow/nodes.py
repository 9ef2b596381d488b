"""The nodes of one Workflow status, one by one, with every field of the type that it should have.

Source: Argo Workflows, `pkg/apis/workflow/v1alpha1`, `NodeStatus`.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from agent.values import Notes, as_map, short, text
from agent.workflow.states import phase_of

CONTAINERS = frozenset({"DAG", "Steps"})
GROUPS = frozenset({"DAG", "Steps", "TaskGroup"})
"""Types that run nothing themselves."""


@dataclass(frozen=True, slots=True)
class Values:
    """Inputs or outputs of a node: Argo's parameters are texts; artifacts stay as Argo writes them."""

    parameters: dict[str, str | None] = field(default_factory=dict)
    artifacts: tuple[dict[str, Any], ...] = ()
    result: str | None = None


@dataclass(frozen=True, slots=True)
class Node:
    id: str
    name: str
    display_name: str | None
    type: str | None
    phase: str | None
    boundary: str | None
    children: tuple[str, ...]
    template: str | None
    template_source: str | None
    """`namespaced/<name>` or `cluster/<name>` where the template comes from a WorkflowTemplate."""
    message: str | None
    started_at: str | None
    finished_at: str | None
    inputs: Values
    outputs: Values
    hooked: bool
    retried: bool
    memoized: bool
    cache_key: str | None
    """`<ConfigMap>/<key>` of Argo's memoization, whether or not the entry was there."""
    daemoned: bool
    labels: dict[str, Any]


def read_nodes(raw: dict[str, Any], notes: Notes) -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    for key, value in raw.items():
        node_id = text(key)
        if node_id is None or not isinstance(value, dict):
            notes.add(f"Node {short(key)} is left out: it is not a map.")
            continue
        nodes[node_id] = _node(node_id, value, notes)
    return nodes


def _node(node_id: str, raw: dict[str, Any], notes: Notes) -> Node:
    where = f"Node {short(node_id)}"
    reference = notes.map(raw.get("templateRef"), f"{where}: templateRef")
    flags = notes.map(raw.get("nodeFlag"), f"{where}: nodeFlag")
    return Node(
        id=node_id,
        name=text(raw.get("name")) or node_id,
        display_name=text(raw.get("displayName")),
        type=text(raw.get("type")),
        phase=phase_of(raw.get("phase")),
        boundary=text(raw.get("boundaryID")),
        children=tuple(child for child in notes.list(raw.get("children"), f"{where}: children") if _is_id(child)),
        template=text(reference.get("template")) or text(raw.get("templateName")),
        template_source=_template_source(reference, raw),
        message=text(raw.get("message")),
        started_at=notes.time(raw.get("startedAt"), f"{where}: startedAt"),
        finished_at=notes.time(raw.get("finishedAt"), f"{where}: finishedAt"),
        inputs=_values(raw.get("inputs"), f"{where}: inputs", notes),
        outputs=_values(raw.get("outputs"), f"{where}: outputs", notes),
        hooked=flags.get("hooked") is True,
        retried=flags.get("retried") is True,
        memoized=as_map(raw.get("memoizationStatus")).get("hit") is True,
        cache_key=_cache_key(as_map(raw.get("memoizationStatus"))),
        daemoned=raw.get("daemoned") is True,
        labels=as_map(raw.get("labels")),
    )


def _cache_key(memo: dict[str, Any]) -> str | None:
    key = text(memo.get("key"))
    return None if key is None else f"{text(memo.get('cacheName')) or ''}/{key}"


def _is_id(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _template_source(reference: dict[str, Any], raw: dict[str, Any]) -> str | None:
    name = text(reference.get("name"))
    if name:
        return f"{'cluster' if reference.get('clusterScope') is True else 'namespaced'}/{name}"
    scope = text(raw.get("templateScope"))
    return scope if scope and not scope.startswith("local/") else None


def _values(raw: object, where: str, notes: Notes) -> Values:
    if raw is None:
        return Values()
    ports = notes.map(raw, where)
    parameters: dict[str, str | None] = {}
    for item in notes.list(ports.get("parameters"), f"{where}.parameters"):
        name = text(as_map(item).get("name"))
        if name is None:
            notes.add(f"{where} has a parameter without a name, which is left out.")
        else:
            parameters[name] = parameter_text(item.get("value"))
    artifacts: list[dict[str, Any]] = []
    for item in notes.list(ports.get("artifacts"), f"{where}.artifacts"):
        if text(as_map(item).get("name")) is None:
            notes.add(f"{where} has an artifact without a name, which is left out.")
        else:
            artifacts.append(item)
    return Values(parameters, tuple(artifacts), parameter_text(ports.get("result")))


def parameter_text(value: object) -> str | None:
    """Argo's parameters are texts, also where somebody wrote a number; a map or a list is kept as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return json.dumps(value, default=str)
    return text(value)
