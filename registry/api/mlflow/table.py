"""Every route of MLflow's that this door knows. docs/doors/mlflow.md lists the same; a test walks both against a server.

Paths stand under `/api/2.0/`, `/api/3.0/` and the same with `/ajax-api`. `*` at the end is whatever follows, with or without a
slash before it; as a verb, any. Without a function the answer is 501: MLflow has it, this server does not, or not yet.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from registry.api.mlflow import (
    experiments,
    files,
    histories,
    inputs,
    links,
    logged_models,
    models,
    promptlab,
    recording,
    runs,
    searching,
    versions,
    workspaces,
)
from registry.api.mlflow.calls import Answer, Call
from registry.api.mlflow.plain import Plain, PlainBatch, PlainMetric
from registry.names import Role

Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True)
class Endpoint:
    """`priority`: E essential, M common, R rare, by what clients call most. `raw`: its body is a file, not JSON.

    `plain`: how the body of nearly every call looks, where it is hot.
    """

    priority: str
    verb: str
    path: str
    handler: Handler | None = None
    role: Role = Role.CONTRIBUTOR
    raw: bool = False
    plain: type[Plain] | None = None

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
    _read("R", "POST", "mlflow/experiments/search-datasets", inputs.search_datasets),
    Endpoint("E", "POST", "mlflow/runs/create", runs.create),
    _read("E", "GET", "mlflow/runs/get", runs.get),
    Endpoint("E", "POST", "mlflow/runs/update", runs.update),
    Endpoint("M", "POST", "mlflow/runs/delete", runs.delete),
    Endpoint("M", "POST", "mlflow/runs/restore", runs.restore),
    Endpoint("E", "POST", "mlflow/runs/log-batch", recording.log_batch, plain=PlainBatch),
    Endpoint("E", "POST", "mlflow/runs/log-metric", recording.log_metric, plain=PlainMetric),
    Endpoint("E", "POST", "mlflow/runs/log-parameter", recording.log_parameter),
    Endpoint("E", "POST", "mlflow/runs/set-tag", recording.set_tag),
    Endpoint("E", "POST", "mlflow/runs/delete-tag", runs.delete_tag),
    _read("E", "POST", "mlflow/runs/search", searching.runs),
    Endpoint("E", "POST", "mlflow/runs/log-inputs", inputs.log),
    Endpoint("E", "POST", "mlflow/runs/outputs", inputs.outputs),
    Endpoint("R", "POST", "mlflow/runs/log-model", recording.log_model),
    Endpoint("R", "POST", "mlflow/runs/create-promptlab-run", promptlab.create),
    _read("M", "GET", "mlflow/metrics/get-history", histories.get),
    _read("R", "GET", "mlflow/metrics/get-history-bulk", histories.bulk),
    _read("M", "GET", "mlflow/metrics/get-history-bulk-interval", histories.bulk_interval),
    _read("M", "GET", "mlflow/workspaces", workspaces.listed),
    Endpoint("M", "POST", "mlflow/workspaces", workspaces.create),
    _read("M", "GET", "mlflow/workspaces/{workspace_name}", workspaces.get),
    Endpoint("R", "PATCH", "mlflow/workspaces/{workspace_name}"),
    Endpoint("R", "DELETE", "mlflow/workspaces/{workspace_name}"),
    Endpoint("E", "POST", "mlflow/logged-models", logged_models.create),
    _read("E", "POST", "mlflow/logged-models/search", logged_models.search),
    _read("E", "GET", "mlflow/logged-models/{model_id}", logged_models.get),
    Endpoint("E", "PATCH", "mlflow/logged-models/{model_id}", logged_models.finalize),
    Endpoint("M", "DELETE", "mlflow/logged-models/{model_id}", logged_models.delete),
    Endpoint("M", "POST", "mlflow/logged-models/{model_id}/params", logged_models.log_params),
    Endpoint("E", "PATCH", "mlflow/logged-models/{model_id}/tags", logged_models.set_tags),
    Endpoint("M", "DELETE", "mlflow/logged-models/{model_id}/tags/{tag_key}", logged_models.delete_tag),
    _read("R", "GET", "mlflow/logged-models/{model_id}/artifacts/directories", files.list_of_model),
    _read("R", "GET", "mlflow/logged-models/{model_id}/artifacts/files", files.get_of_model),
    Endpoint("E", "POST", "mlflow/registered-models/create", models.create),
    _read("E", "GET", "mlflow/registered-models/get", models.get),
    _read("E", "GET", "mlflow/registered-models/search", models.search),
    _read("E", "POST", "mlflow/registered-models/get-latest-versions", models.get_latest_versions),
    _read("E", "GET", "mlflow/registered-models/get-latest-versions", models.get_latest_versions),
    Endpoint("E", "POST", "mlflow/registered-models/alias", models.set_alias),
    _read("E", "GET", "mlflow/registered-models/alias", models.get_alias),
    Endpoint("E", "DELETE", "mlflow/registered-models/alias", models.delete_alias),
    Endpoint("M", "PATCH", "mlflow/registered-models/update", models.update),
    Endpoint("M", "POST", "mlflow/registered-models/rename", models.rename),
    Endpoint("M", "DELETE", "mlflow/registered-models/delete", models.delete),
    Endpoint("M", "POST", "mlflow/registered-models/set-tag", models.set_tag),
    Endpoint("M", "DELETE", "mlflow/registered-models/delete-tag", models.delete_tag),
    Endpoint("E", "POST", "mlflow/model-versions/create", versions.create),
    _read("E", "GET", "mlflow/model-versions/get", versions.get),
    _read("E", "GET", "mlflow/model-versions/get-download-uri", versions.get_download_uri),
    _read("E", "GET", "mlflow/model-versions/search", versions.search),
    Endpoint("M", "PATCH", "mlflow/model-versions/update", versions.update),
    Endpoint("M", "DELETE", "mlflow/model-versions/delete", versions.delete),
    Endpoint("M", "POST", "mlflow/model-versions/set-tag", versions.set_tag),
    Endpoint("M", "DELETE", "mlflow/model-versions/delete-tag", versions.delete_tag),
    Endpoint("M", "POST", "mlflow/model-versions/transition-stage", versions.transition_stage),
    _read("M", "GET", "mlflow/artifacts/list", files.list_of_run),
    Endpoint("R", "POST", "mlflow/artifacts/presigned-upload-url", links.upload_of_run),
    _read("R", "POST", "mlflow/artifacts/presigned-download-url", links.download_of_run),
    Endpoint("R", "POST", "mlflow/upload-artifact", files.upload_to_run, raw=True),
    _read("R", "GET", "get-artifact", files.get_of_run),
    _read("R", "GET", "model-versions/get-artifact", files.get_of_version),
    _read("E", "GET", "mlflow-artifacts/artifacts", files.list_proxied),
    Endpoint("E", "GET", "mlflow-artifacts/artifacts/*", files.get, Role.VIEWER, raw=True),
    Endpoint("E", "PUT", "mlflow-artifacts/artifacts/*", files.put, raw=True),
    Endpoint("M", "DELETE", "mlflow-artifacts/artifacts/*", files.delete, raw=True),
    _read("M", "GET", "mlflow-artifacts/presigned/*", links.download),
    Endpoint("M", "POST", "mlflow-artifacts/mpu/create/*", links.begin),
    Endpoint("M", "POST", "mlflow-artifacts/mpu/complete/*", links.complete),
    Endpoint("M", "POST", "mlflow-artifacts/mpu/abort/*", links.abort),
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
