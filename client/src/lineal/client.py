"""`Client`: the REST API of one server as methods. Answers are the server's JSON objects (docs/rest.md)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self
from urllib.parse import quote

from lineal.transport import Transport

Json = dict[str, Any]


class Client:
    """One server and workspace; safe to use from several threads; close it, or use it as a context manager."""

    def __init__(self, url: str | None = None, *, token: str | None = None, workspace: str | None = None) -> None:
        self.transport = Transport(url, token=token, workspace=workspace)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        self.transport.close()

    @property
    def url(self) -> str:
        return self.transport.url

    # ---- experiments ----

    def create_experiment(self, name: str, *, description: str | None = None, tags: Mapping[str, str] | None = None) -> Json:
        body = {"name": name, "description": description, "tags": dict(tags or {})}
        made: Json = self.transport.post("/api/v1/experiments", body, create=True)
        return made

    def experiments(self, *, name: str | None = None) -> Iterator[Json]:
        return self.transport.pages("/api/v1/experiments", "experiments", name=name)

    # ---- runs ----

    def create_run(self, **fields: Any) -> Json:
        """`experiment_name` or `experiment_id`, `name`, `user`, `parent`, `tags`, `id`, `started_at`."""
        made: Json = self.transport.post("/api/v1/runs", {k: v for k, v in fields.items() if v is not None}, create=True)
        return made

    def get_run(self, run: str, *, fields: str | None = None) -> Json:
        found: Json = self.transport.get(f"/api/v1/runs/{quote(run, safe='')}", fields=fields)
        return found

    def runs(self, *, experiment_id: str | None = None, fields: str | None = None, page_size: int = 1000) -> Iterator[Json]:
        return self.transport.pages("/api/v1/runs", "runs", experiment_id=experiment_id, fields=fields, page_size=page_size)

    def update_run(self, run: str, **fields: Any) -> Json:
        """`name`, `status`, `ended_at`."""
        changed: Json = self.transport.request("PATCH", f"/api/v1/runs/{run}", json=fields)
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
        self.transport.post(f"/api/v1/runs/{run}/log", body)

    def metric_history(self, run: str, key: str) -> Iterator[Json]:
        """All points in the order timestamp, step, value."""
        return self.transport.pages(f"/api/v1/runs/{run}/metrics/{quote(key, safe='')}", "metrics", page_size=1000)

    def delete_run(self, run: str) -> Json:
        gone: Json = self.transport.request("DELETE", f"/api/v1/runs/{run}")
        return gone
