"""Names of pods, by Argo's rule; the pod itself is never seen here."""

from collections.abc import Iterable

from agent.values import as_map, text
from agent.workflow.nodes import Node

_LONGEST_NAME = 253
_HASH_LENGTH = 10
_LONGEST_PATH = 8192
"""Node names are paths of at most 100 names; hashing longer ones takes time and finds no pod."""


def pod_name(node: Node, workflow: str, naming: str | None) -> str | None:
    """The name of a node's pod. `naming` is the Workflow's annotation `workflows.argoproj.io/pod-name-format`.

    Source: Argo Workflows, `workflow/util/pod_name.go`: v1 is the node's id, v2 (the default) joins workflow, template
    and hash, and a Workflow of one pod gives it its own name.
    """
    if naming == "v1":
        return node.id
    if node.name == workflow:
        return workflow
    if len(node.name) > _LONGEST_PATH:
        return None
    inline = ".inline" in node.name or node.template is None
    prefix = workflow if inline else f"{workflow}-{node.template}"
    return f"{prefix[: _LONGEST_NAME - _HASH_LENGTH - 1]}-{fnv32a(node.name)}"


def naming_of(annotation: str | None, nodes: Iterable[Node]) -> str | None:
    """The annotation, else "v1" where a node's outputs lie under its id (which then was the pod's name), else None."""
    if annotation is not None:
        return annotation
    for node in nodes:
        for artifact in node.outputs.artifacts if node.type == "Pod" else ():
            key = text(as_map(artifact.get("s3")).get("key")) or ""
            if f"/{node.id}/" in f"/{key}" and "-" in node.id:
                return "v1"
    return None


def fnv32a(text: str) -> int:
    value = 0x811C9DC5
    for byte in text.encode("utf-8", "replace"):
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value
