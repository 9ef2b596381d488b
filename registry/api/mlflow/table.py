"""Every route of MLflow's that this door knows. docs/doors/mlflow.md lists the same; a test walks both against a server.

Paths stand under `/api/2.0/`, `/api/3.0/` and the same with `/ajax-api`. `*` at the end is whatever follows, with or without a
slash before it; as a verb, any. Without a function the answer is 501: MLflow has it, this server does not, or not yet.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from registry.api.mlflow import experiments, histories, inputs, recording, runs, searching, workspaces
from registry.api.mlflow.calls import Answer, Call
from registry.names import Role

Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True)
class Endpoint:
    """`priority`: E essential, M common, R rare, of research's count of what clients call."""

    priority: str
    verb: str
    path: str
    handler: Handler | None = None
    role: Role = Role.CONTRIBUTOR

    @property
    def is_open_ended(self) -> bool:
        return self.path.endswith("*")


def _read(priority: str, verb: str, path: str, handler: Handler) -> Endpoint:
    return Endpoint(priority, verb, path, handler, Role.VIEWER)


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("E", "POST", "mlflow/experiments/create", experiments.create),
    _read("E", "GET", "mlflow/experiments/get", experiments.get),
    _read("E", "GET", "mlflow/experiments/get-by-name", experiments.get_by_name),
    _read("E", "POST", "mlflow/experiments/search", searching.experiments),
    _read("E", "GET", "mlflow/experiments/search", searching.experiments),
    Endpoint("M", "POST", "mlflow/experiments/update", experiments.update),
    Endpoint("M", "POST", "mlflow/experiments/delete", experiments.delete),
    Endpoint("M", "POST", "mlflow/experiments/restore", experiments.restore),
    Endpoint("M", "POST", "mlflow/experiments/set-experiment-tag", experiments.set_tag),
    Endpoint("M", "POST", "mlflow/experiments/delete-experiment-tag", experiments.delete_tag),
    Endpoint("R", "POST", "mlflow/experiments/search-datasets"),
    Endpoint("E", "POST", "mlflow/runs/create", runs.create),
    _read("E", "GET", "mlflow/runs/get", runs.get),
    Endpoint("E", "POST", "mlflow/runs/update", runs.update),
    Endpoint("M", "POST", "mlflow/runs/delete", runs.delete),
    Endpoint("M", "POST", "mlflow/runs/restore", runs.restore),
    Endpoint("E", "POST", "mlflow/runs/log-batch", recording.log_batch),
    Endpoint("E", "POST", "mlflow/runs/log-metric", recording.log_metric),
    Endpoint("E", "POST", "mlflow/runs/log-parameter", recording.log_parameter),
    Endpoint("E", "POST", "mlflow/runs/set-tag", recording.set_tag),
    Endpoint("E", "POST", "mlflow/runs/delete-tag", runs.delete_tag),
    _read("E", "POST", "mlflow/runs/search", searching.runs),
    Endpoint("E", "POST", "mlflow/runs/log-inputs", inputs.log),
    Endpoint("E", "POST", "mlflow/runs/outputs"),
    Endpoint("R", "POST", "mlflow/runs/log-model"),
    Endpoint("R", "POST", "mlflow/runs/create-promptlab-run"),
    _read("M", "GET", "mlflow/metrics/get-history", histories.get),
    _read("R", "GET", "mlflow/metrics/get-history-bulk", histories.bulk),
    _read("M", "GET", "mlflow/metrics/get-history-bulk-interval", histories.bulk_interval),
    _read("M", "GET", "mlflow/workspaces", workspaces.listed),
    Endpoint("M", "POST", "mlflow/workspaces", workspaces.create),
    _read("M", "GET", "mlflow/workspaces/{workspace_name}", workspaces.get),
    Endpoint("R", "PATCH", "mlflow/workspaces/{workspace_name}"),
    Endpoint("R", "DELETE", "mlflow/workspaces/{workspace_name}"),
    Endpoint("E", "*", "mlflow/logged-models*"),
    Endpoint("E", "*", "mlflow/registered-models/*"),
    Endpoint("E", "*", "mlflow/model-versions/*"),
    Endpoint("M", "*", "mlflow/artifacts/*"),
    Endpoint("E", "*", "mlflow-artifacts/*"),
    Endpoint("R", "*", "mlflow/upload-artifact"),
    Endpoint("M", "*", "mlflow/traces*"),
    Endpoint("R", "*", "mlflow/datasets*"),
    Endpoint("R", "*", "mlflow/webhooks*"),
    Endpoint("R", "*", "mlflow/assessments*"),
    Endpoint("R", "*", "mlflow/scorers*"),
    Endpoint("R", "*", "mlflow/gateway*"),
    Endpoint("R", "*", "mlflow/issues*"),
    Endpoint("R", "*", "mlflow/label-schemas*"),
    Endpoint("R", "*", "mlflow/review-queues*"),
    Endpoint("R", "*", "mlflow/prompt-optimization*"),
    Endpoint("R", "*", "mlflow/users*"),
    Endpoint("R", "*", "mlflow/roles*"),
)
