"""Small Workflows for tests. A node's id is its full name, so that a test reads as the graph that it is about."""

import json
from typing import Any

from agent.kinds import translate
from agent.reading import Read
from agent.report import Report

Json = dict[str, Any]
START, END = "2026-03-01T10:00:00Z", "2026-03-01T10:05:00Z"


def node(name: str, type: str = "Pod", phase: str | None = "Succeeded", *, inside: str | None = None, **more: Any) -> Json:
    """A node that is done, in the node `inside`; `more` are further fields as Argo writes them."""
    fields: Json = {"id": name, "name": name, "displayName": name, "type": type, "startedAt": START, "finishedAt": END}
    fields |= {"phase": phase} if phase is not None else {}
    fields |= {"boundaryID": inside} if inside else {}
    return fields | {"templateName": "work"} | more


def workflow(*nodes: Json, phase: str | None = "Succeeded", spec: Json | None = None, **metadata: Any) -> Json:
    named = {"name": "wf", "namespace": "team", "uid": "0f6f9d5e-0000-4000-8000-000000000001", **metadata}
    status: Json = {"nodes": {item["id"]: item for item in nodes}, "startedAt": START}
    status |= {"phase": phase} if phase is not None else {}
    return {"kind": "Workflow", "metadata": named, "spec": spec or {}, "status": status}


def dag(*children: str, phase: str = "Succeeded", name: str = "wf") -> Json:
    return node(name, "DAG", phase, children=list(children), templateName="main")


def report_of(content: Json, *, deleted: bool = False, cluster: str | None = None) -> Json:
    result = translate(Read("test", 0, content, deleted), cluster)
    assert isinstance(result, Report), result
    return result.to_dict()


def tasks_of(content: Json) -> dict[str, Json]:
    """The tasks of a Workflow by key."""
    return {task["key"]: task for task in report_of(content).get("tasks", [])}


def edges_of(content: Json) -> list[tuple[str, str, str, str]]:
    return [(edge["from"], edge["to"], edge["port"], edge["kind"]) for edge in report_of(content).get("edges", [])]


def parameters(**values: Any) -> Json:
    """Inputs or outputs of a node; `_` in a name stands for `-`."""
    return {"parameters": [{"name": name.replace("_", "-"), "value": value} for name, value in values.items()]}


# ---- KFP v2 ---------------------------------------------------------------------------------------------------------


def artifact(uri: str, type: str = "system.Dataset", **metadata: Any) -> Json:
    return {"artifacts": [{"name": "n", "uri": uri, "type": {"schemaTitle": type}, "metadata": metadata}]}


def patch(*, inputs: Json | None = None, artifacts: Json | None = None, outputs: Json | None = None) -> str:
    """A pod spec patch: input values, input artifacts and planned output artifacts."""
    executor_input = {
        "inputs": {"parameterValues": inputs or {}, "artifacts": artifacts or {}},
        "outputs": {"artifacts": outputs or {}},
    }
    command = ["/kfp-launcher/launch", "--pipeline_name", "pipe", "--execution_id=42"]
    command += ["--executor_input", json.dumps(executor_input), "--"]
    return json.dumps({"containers": [{"name": "main", "command": command, "args": ["--execution_id", "7"]}]})


def kfp_driver(name: str, inside: str, *, kind: str = "container", phase: str = "Succeeded", **given: Any) -> Json:
    """A driver. `task` and `component` are its inputs; all other words are outputs (`pod_spec_patch`, `condition`)."""
    inputs = {key: json.dumps(given.pop(key)) for key in ("task", "component") if key in given}
    started = given.pop("startedAt", "2026-03-01T09:59:00Z")
    return node(
        name,
        phase=phase,
        inside=inside,
        templateName=f"system-{kind}-driver",
        startedAt=started,
        finishedAt=START if phase in ("Succeeded", "Failed", "Error") else None,
        inputs=parameters(**inputs),
        outputs=parameters(**given),
    )


def kfp_task(name: str, inside: str, *, phase: str = "Succeeded", task: Json | None = None, **driver: Any) -> list[Json]:
    """A container task `name` in the DAG `inside`: its driver, its own node and the executor, all in one phase."""
    path = f"{inside}.{name}"
    return [
        kfp_driver(f"{path}-driver", inside, task=task or {}, **driver),
        node(path, "DAG", phase, inside=inside, templateName="system-container-executor"),
        node(f"{path}.executor", "Pod", phase, inside=path, templateName="system-container-impl"),
    ]


def kfp_run(*nodes: Json, phase: str = "Succeeded", root: Json | None = None, **metadata: Any) -> Json:
    """A v2 Workflow whose tasks stand in the DAG `wf.root`; `root` is the pipeline's component."""
    driver = kfp_driver("wf.root-driver", "wf", kind="dag", component=root or {"dag": {"tasks": {}}})
    entry = [dag(phase=phase), driver, node("wf.root", "DAG", phase, inside="wf", templateName="root")]
    return workflow(*entry, *nodes, phase=phase, **metadata)


def retried(name: str, inside: str | None, *phases: str, type: str = "Pod", **more: Any) -> list[Json]:
    """A Retry node with one attempt per phase."""
    attempts = [node(f"{name}({i})", type, phase, inside=inside, **more) for i, phase in enumerate(phases)]
    return [
        node(name, "Retry", phases[-1], inside=inside, children=[item["id"] for item in attempts], **more),
        *attempts,
    ]
