"""What a task left in files and logs, read with care: nobody promised their form."""

import json
import re
from typing import Any

from agent.report import Fetched, Json, Task
from agent.values import MAX_DEPTH, as_list, as_map, depth_within, number, text
from agent.workflow.translation import METRIC_TYPES

MAX_METRICS = 500
MAX_NAME = 250
MAX_VIEWS = 50
MAX_VALUE_BYTES = 64 * 1024
_MARK = "ExecutorOutput: "
_LAUNCHERS_OWN = frozenset({"display_name", "store_session_info"})


def port_kind(name: str) -> str | None:
    """`metrics` or `ui` for the two outputs of a v1 component that mean something to Kubeflow Pipelines."""
    plain = re.sub(r"[ _]", "-", name.lower())
    if plain.endswith("mlpipeline-metrics"):
        return "metrics"
    return "ui" if plain.endswith("mlpipeline-ui-metadata") else None


def metrics_of(content: object) -> Json:
    """Of `{"metrics": [{"name", "numberValue", "format"}]}`."""
    found: Json = {}
    for item in as_list(as_map(content).get("metrics"))[:MAX_METRICS]:
        name, value = text(as_map(item).get("name")), number(as_map(item).get("numberValue"))
        if name is not None and value is not None:
            found[name[:MAX_NAME]] = value
    return found


def visualizations_of(content: object) -> tuple[Json, ...]:
    """Of `{"outputs": [{"type", "source", …}]}`."""
    views = [as_map(item) for item in as_list(as_map(content).get("outputs"))[:MAX_VIEWS]]
    return tuple(view for view in views if view and _is_small(view))


def executor_output(log: bytes) -> Json:
    """What the launcher of KFP v2 printed at the end: the last one, if the log has several. Empty where there is none."""
    shown = log.decode(errors="replace")
    place = shown.rfind(_MARK)
    while place >= 0:
        try:
            found, _ = json.JSONDecoder().raw_decode(shown, place + len(_MARK))
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict) and depth_within(found, MAX_DEPTH):
            return found
        place = shown.rfind(_MARK, 0, place)
    return {}


def of_executor(output: Json, task: Task) -> Fetched | None:
    """Values and metadata that the object does not have; the numbers of metrics outputs as metrics."""
    parameters = {
        name: value
        for name, value in as_map(output.get("parameterValues")).items()
        if name not in task.outputs.parameters and _is_small(value)
    }
    types = {artifact.name: artifact.type for artifact in task.outputs.artifacts}
    metrics: Json = {}
    metadata: Json = {}
    for port, made in as_map(output.get("artifacts")).items():
        for artifact in as_list(as_map(made).get("artifacts")):
            for key, value in as_map(as_map(artifact).get("metadata")).items():
                known = number(value) if types.get(port) in METRIC_TYPES and not isinstance(value, str) else None
                if known is not None:
                    metrics[f"{port}/{key}"] = known
                elif key not in _LAUNCHERS_OWN and _is_small(value):
                    metadata.setdefault(port, {})[key] = value
    return Fetched(parameters, metrics, metadata) if parameters or metrics or metadata else None


def _is_small(value: Any) -> bool:
    try:
        return len(json.dumps(value)) <= MAX_VALUE_BYTES and depth_within(value, MAX_DEPTH)
    except (ValueError, TypeError, RecursionError):
        return False
