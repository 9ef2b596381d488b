"""`Client`: the REST API of one server as methods. Answers are the server's JSON objects (docs/rest.md)."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import EllipsisType
from typing import Any, Self
from urllib.parse import quote

from lineal import downloads, references
from lineal.errors import LinealError
from lineal.transport import Transport

Json = dict[str, Any]


class Client:
    """One server and workspace; safe to use from several threads; close it, or use it as a context manager.

    `progress`: a bar on stderr for transfers that take a while: None only on a terminal, True always, False never.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        workspace: str | None = None,
        progress: bool | None = None,
    ) -> None:
        self.transport = Transport(url, token=token, workspace=workspace)
        self.progress = progress

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        self.transport.close()

    def again(self) -> "Client":
        """One like this, with connections of its own."""
        return Client(self.url, token=self.transport.token, workspace=self.transport.workspace, progress=self.progress)

    @property
    def url(self) -> str:
        return self.transport.url

    def workspace_name(self) -> str:
        """Where this client's records go. Raises LinealError: the token does not tell."""
        if self.transport.workspace is not None:
            return self.transport.workspace
        if self.transport.token is None:
            return "default"
        seen = self.transport.get("/api/v1/workspaces")["workspaces"]
        if len(seen) != 1:
            raise LinealError("this server does not say which workspace the token is of: name it (--workspace, LINEAL_WORKSPACE)")
        return str(seen[0]["name"])

    # ---- experiments ----

    def create_experiment(self, name: str, *, description: str | None = None, tags: Mapping[str, str] | None = None) -> Json:
        body = {"name": name, "description": description, "tags": dict(tags or {})}
        made: Json = self.transport.post("/api/v1/experiments", body, create=True)
        return made

    def experiments(self, *, name: str | None = None, page_size: int = 1000) -> Iterator[Json]:
        return self.transport.pages("/api/v1/experiments", "experiments", name=name, page_size=page_size)

    # ---- runs ----

    def create_run(self, **fields: Any) -> Json:
        """`experiment_name` or `experiment_id`, `name`, `user`, `parent`, `tags`, `id`, `started_at`."""
        made: Json = self.transport.post("/api/v1/runs", _given(fields), create=True)
        return made

    def get_run(self, run: str, *, fields: str | None = None) -> Json:
        found: Json = self.transport.get(f"/api/v1/runs/{_part(run)}", fields=fields)
        return found

    def runs(
        self,
        *,
        filter: str | None = None,
        order_by: str | None = None,
        experiment_id: str | None = None,
        fields: str | None = None,
        page_size: int = 1000,
    ) -> Iterator[Json]:
        """`filter`: `metrics.acc > 0.9 AND params.lr = '0.1'`; `order_by`: `metrics.acc DESC, started_at`, else by id."""
        query = {"filter": filter, "order_by": order_by, "experiment_id": experiment_id, "fields": fields}
        return self.transport.pages("/api/v1/runs", "runs", page_size=page_size, **query)

    def update_run(self, run: str, **fields: Any) -> Json:
        """`name`, `status`, `ended_at`."""
        changed: Json = self.transport.request("PATCH", f"/api/v1/runs/{_part(run)}", json=fields)
        return changed

    def log(
        self,
        run: str,
        *,
        metrics: Sequence[Mapping[str, Any]] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """One batch, all or nothing; acknowledged when this returns. A metric is {key, value, at, step}."""
        body = {"metrics": list(metrics), "params": dict(params or {}), "tags": dict(tags or {})}
        self.transport.post(f"/api/v1/runs/{_part(run)}/log", body)

    def metric_history(self, run: str, key: str) -> Iterator[Json]:
        """All points in the order timestamp, step, value."""
        return self.transport.pages(f"/api/v1/runs/{_part(run)}/metrics/{_part(key)}", "metrics", page_size=1000)

    def delete_run(self, run: str) -> Json:
        gone: Json = self.transport.request("DELETE", f"/api/v1/runs/{_part(run)}")
        return gone

    def steps(self, run: str) -> Iterator[Json]:
        """What the run's workflow did."""
        return self.transport.pages(f"/api/v1/runs/{_part(run)}/steps", "steps", page_size=1000)

    def join_step(self, **fields: Any) -> Json:
        """The `run` and `step` of a process in a pod.

        `node_id` or `pod_name`, `pod_uid`, `run_id` (the workflow's), `name`, `experiment`, `status`.
        """
        joined: Json = self.transport.post("/api/v1/steps/join", _given(fields))
        return joined

    # ---- artifacts, and what runs read and wrote ----

    def create_artifact(self, **fields: Any) -> Json:
        """The record: `kind`, `uri`, `digest`, `size_bytes`, `media_type`, `display_name`, `description`, `tags`."""
        made: Json = self.transport.post("/api/v1/artifacts", _given(fields), create=True)
        return made

    def get_artifact(self, artifact: str) -> Json:
        found: Json = self.transport.get(f"/api/v1/artifacts/{_part(artifact)}")
        return found

    def artifacts(self, *, filter: str | None = None, kind: str | None = None, page_size: int = 1000) -> Iterator[Json]:
        return self.transport.pages("/api/v1/artifacts", "artifacts", filter=filter, kind=kind, page_size=page_size)

    def update_artifact(self, artifact: str, **fields: Any) -> Json:
        changed: Json = self.transport.request("PATCH", f"/api/v1/artifacts/{_part(artifact)}", json=_given(fields))
        return changed

    def artifact_files(self, artifact: str) -> tuple[bool, list[Json]]:
        """Whether the artifact is a folder, and its files: `name` inside it, `path`, `size_bytes`, `sha256` (null: unknown)."""
        files: list[Json] = []
        token: str | None = None
        while True:
            page = self.transport.get(f"/api/v1/artifacts/{_part(artifact)}/files", page_size=1000, page_token=token)
            files += page["files"]
            token = page["next_page_token"]
            if not token:
                return bool(page["folder"]), files

    def link_artifact(self, run: str, artifact: str, direction: str, *, port: str | None = None, step: str | None = None) -> None:
        """The run, or a step of it, read (`input`) or wrote (`output`) the artifact. Said again it changes nothing."""
        body = _given({"artifact_id": artifact, "direction": direction, "port": port, "step": step})
        self.transport.post(f"/api/v1/runs/{_part(run)}/uses", body)

    def uses(self, run: str, *, direction: str | None = None) -> Iterator[Json]:
        return self.transport.pages(f"/api/v1/runs/{_part(run)}/uses", "uses", direction=direction, page_size=1000)

    def get_record(self, reference: str | Mapping[str, Any]) -> Json:
        """The artifact or version that is named: `art_7`, `mv_3`, `models:/churn/3`, `models:/churn@champion`, or a record."""
        return references.get_record(self, reference)

    def download(self, record: str | Mapping[str, Any], to: str | os.PathLike[str]) -> Path:
        """Write the files of an artifact or version into folder `to`; the file, or `to` if the artifact is a folder.

        Bytes are checked against their sha256, a transfer that broke off is taken up, and nothing is written outside of `to`.

        Raises:
            LinealError: the bytes differ, are not in the server's store, or cannot be written.
            ApiError, Unreachable.
        """
        artifact = self.get_artifact(references.artifact_id(self.get_record(record)))
        folder, files = self.artifact_files(artifact["id"])
        downloads.check_digest(artifact, folder, files)
        places = downloads.fetch(self.transport, files, to, progress=self.progress)
        return Path(to) if folder else places[0]

    # ---- datasets ----

    def datasets(self, *, name: str | None = None, page_size: int = 1000) -> Iterator[Json]:
        return self.transport.pages("/api/v1/datasets", "datasets", name=name, page_size=page_size)

    def dataset_versions(self, dataset: str, *, digest: str | None = None) -> Iterator[Json]:
        """`digest`: only the one of this content."""
        return self.transport.pages(f"/api/v1/datasets/{_part(dataset)}/versions", "versions", digest=digest, page_size=1000)

    def log_dataset(self, run: str, **fields: Any) -> Json:
        """The run read (`direction="output"`: made) a content of a dataset: `name`, `namespace`, `digest`, `uri`, `step`…"""
        found: Json = self.transport.post(f"/api/v1/runs/{_part(run)}/datasets", _given(fields))
        return found

    # ---- models ----

    def models(
        self, *, name: str | None = None, filter: str | None = None, order_by: str | None = None, page_size: int = 1000
    ) -> Iterator[Json]:
        query = {"name": name, "filter": filter, "order_by": order_by}
        return self.transport.pages("/api/v1/models", "models", page_size=page_size, **query)

    def get_model(self, model: str) -> Json:
        """By id or by name. Raises LinealError: no model of that name."""
        if model.startswith("model_") and model[6:].isdecimal():
            found: Json = self.transport.get(f"/api/v1/models/{model}")
            return found
        named = next(iter(self.models(name=model)), None)
        if named is None:
            raise LinealError(f"there is no model {model!r}")
        return named

    def versions(
        self,
        *,
        model_id: str | None = None,
        run_id: str | None = None,
        filter: str | None = None,
        order_by: str | None = None,
        fields: str | None = None,
        page_size: int = 1000,
    ) -> Iterator[Json]:
        query = {"model_id": model_id, "run_id": run_id, "filter": filter, "order_by": order_by, "fields": fields}
        return self.transport.pages("/api/v1/model-versions", "versions", page_size=page_size, **query)

    def get_version(self, version: str) -> Json:
        found: Json = self.transport.get(f"/api/v1/model-versions/{_part(version)}")
        return found

    def get_by_alias(self, model_id: str, alias: str) -> Json:
        """The version that holds the alias; `latest` and `v3` always name one."""
        found: Json = self.transport.get(f"/api/v1/models/{model_id}/aliases/{_part(alias)}")
        return found

    def move_alias(
        self,
        model_id: str,
        alias: str,
        version_id: str,
        *,
        reason: str | None = None,
        expected: str | EllipsisType | None = ...,
    ) -> list[Json]:
        """Put the alias onto the version, whoever holds it, or only if `expected` does (None: nobody); what changed.

        Raises:
            ApiError: with status 412, another one holds it.
            Unreachable: with `expected` also if the answer was lost, which tells nothing about the move: it is not tried again.
        """
        body = _given({"version_id": version_id, "reason": reason})
        if expected is not ...:
            body["expected"] = expected
        path, once = f"/api/v1/models/{model_id}/aliases/{_part(alias)}", expected is not ...
        moves: list[Json] = self.transport.request("PUT", path, json=body, once=once)["moves"]
        return moves

    def delete_alias(self, model_id: str, alias: str) -> list[Json]:
        moves: list[Json] = self.transport.request("DELETE", f"/api/v1/models/{model_id}/aliases/{_part(alias)}")["moves"]
        return moves

    def register(self, model: str, **fields: Any) -> Json:
        """A version of `model` (made where missing), with alias and stage, all or nothing.

        `artifact_id`, `uri` or `output` (with `run_id`) are the files; `version_name`, `description`, `alias`, `stage`, `tags`.
        """
        made: Json = self.transport.post("/api/v1/register", _given({"model": model, **fields}), create=True)
        return made

    # ---- side by side, and lineage ----

    def compare_runs(self, runs: Sequence[str], *, baseline: str | None = None, only_different: bool = False) -> Json:
        query = {"ids": ",".join(runs), "baseline": baseline, "only_different": only_different or None}
        found: Json = self.transport.get("/api/v1/compare/runs", **query)
        return found

    def compare_versions(self, versions: Sequence[str], *, baseline: str | None = None, only_different: bool = False) -> Json:
        query = {"ids": ",".join(versions), "baseline": baseline, "only_different": only_different or None}
        found: Json = self.transport.get("/api/v1/compare/model-versions", **query)
        return found

    def lineage(self, root: str, *, direction: str = "both", depth: int = 2, max_nodes: int = 200) -> Json:
        """The graph around a run, artifact, step, version or deployment."""
        query = {"root": root, "direction": direction, "depth": depth, "max_nodes": max_nodes}
        found: Json = self.transport.get("/api/v1/lineage", **query)
        return found


def _given(fields: Mapping[str, Any]) -> Json:
    return {key: value for key, value in fields.items() if value is not None}


def _part(text: str) -> str:
    """As one segment of a path."""
    return quote(text, safe="")
