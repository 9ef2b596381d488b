"""The same calls in two languages: our own REST, and MLflow's, which its door of ours and the peers speak. Methods without `read`
give the bytes of a request.

What comes back is brought into one form (`Seen`, points as tuples), so that one check holds for both.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from urllib.parse import quote, urlencode

import orjson

from benchmarks.generate import PointData, RunData
from benchmarks.wire import Address, Answer, Connection, request


class WrongAnswer(Exception):
    """An answer is not what was asked for; the case fails."""


@dataclass(frozen=True)
class Seen:
    """A run as a server shows it."""

    id: str
    name: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


Point = tuple[int, int, float]
"""At, step, value."""

Door = Literal["rest", "mlflow"]

PLACE = "bench/files"


def body_of(answer: Answer, *expected: int) -> Any:
    """Raises WrongAnswer: another status than `expected` (200)."""
    if answer.status not in (expected or (200,)):
        raise WrongAnswer(f"answered {answer.status}: {answer.body[:300]!r}")
    return orjson.loads(answer.body) if answer.body else None


class Api(Protocol):
    """`owner`: the kind of the server behind it; what a case has made there, it keeps by that."""

    address: Address
    owner: str

    def read_experiment(self, name: str) -> str: ...
    def create_run(self, experiment: str, run: RunData) -> bytes: ...
    def created(self, answer: Answer) -> Seen: ...
    def log_metric(self, run: str, point: PointData) -> bytes: ...
    def log_batch(self, run: str, points: Iterable[PointData], params: Mapping[str, str] | None = None) -> bytes: ...
    def check_logged(self, answer: Answer) -> None: ...
    def read_run(self, run: str) -> Seen: ...
    def read_history(self, run: str, key: str, connection: Connection) -> list[Point]: ...
    def search(self, experiment: str, filter: str, order: str, token: str | None = None) -> bytes: ...
    def found(self, answer: Answer) -> tuple[list[Seen], str | None]: ...
    def create_model(self, name: str) -> bytes: ...
    def model(self, answer: Answer) -> str: ...
    def create_version(self, model: str, source: str) -> bytes: ...
    def versions(self, model: str) -> bytes: ...
    def version_numbers(self, answer: Answer) -> list[int]: ...
    def move_alias(self, model: str, number: int, alias: str) -> bytes: ...
    def by_alias(self, model: str, alias: str) -> bytes: ...
    def put_file(self, name: str, size: int) -> bytes: ...
    def get_file(self, name: str) -> bytes: ...


class LinealApi:
    owner = "lineal"

    def __init__(self, address: Address) -> None:
        self.address = address
        self._versions: dict[tuple[str, int], str] = {}

    def read(self, data: bytes, *expected: int) -> Any:
        with Connection(self.address) as connection:
            return body_of(connection.call(data), *expected)

    def read_experiment(self, name: str) -> str:
        return str(self.read(_post("/api/v1/experiments", {"name": name}), 201)["id"])

    def create_run(self, experiment: str, run: RunData) -> bytes:
        body = {"experiment_id": experiment, "name": run.name, "started_at": run.started_at, "tags": run.tags}
        return _post("/api/v1/runs", body)

    def created(self, answer: Answer) -> Seen:
        return self._seen(body_of(answer, 201))

    def _seen(self, run: Any) -> Seen:
        return Seen(run["id"], run["name"], {one["key"]: one["value"] for one in run["metrics"]}, run["params"], run["tags"])

    def log_metric(self, run: str, point: PointData) -> bytes:
        return self.log_batch(run, [point])

    def log_batch(self, run: str, points: Iterable[PointData], params: Mapping[str, str] | None = None) -> bytes:
        metrics = [{"key": one.key, "value": one.value, "at": one.at, "step": one.step} for one in points]
        return _post(f"/api/v1/runs/{run}/log", {"metrics": metrics, "params": params or {}})

    def check_logged(self, answer: Answer) -> None:
        body_of(answer, 204)

    def read_run(self, run: str) -> Seen:
        return self._seen(self.read(request("GET", f"/api/v1/runs/{run}")))

    def read_history(self, run: str, key: str, connection: Connection) -> list[Point]:
        """By pages, as large as they may be."""
        found: list[Point] = []
        query, path = {"page_size": "25000"}, f"/api/v1/runs/{run}/metrics/{quote(key, safe='')}"
        while True:
            page = body_of(connection.call(request("GET", f"{path}?{urlencode(query)}")))
            found += [(one["at"], one["step"], one["value"]) for one in page["metrics"]]
            if page["next_page_token"] is None:
                return found
            query["page_token"] = page["next_page_token"]

    def search(self, experiment: str, filter: str, order: str, token: str | None = None) -> bytes:
        query = {"experiment_id": experiment, "filter": filter, "order_by": order, "page_size": "1000", "page_token": token}
        return request("GET", f"/api/v1/runs?{urlencode({name: value for name, value in query.items() if value})}")

    def found(self, answer: Answer) -> tuple[list[Seen], str | None]:
        """And the token of the next page."""
        page = body_of(answer)
        return [self._seen(run) for run in page["runs"]], page.get("next_page_token")

    def create_model(self, name: str) -> bytes:
        return _post("/api/v1/models", {"name": name})

    def model(self, answer: Answer) -> str:
        return str(body_of(answer, 201)["id"])

    def create_version(self, model: str, source: str) -> bytes:
        return _post(f"/api/v1/models/{model}/versions", {"source": source, "tags": {"stage": "bench"}})

    def versions(self, model: str) -> bytes:
        return request("GET", f"/api/v1/model-versions?model_id={model}&page_size=1000")

    def version_numbers(self, answer: Answer) -> list[int]:
        """Of a page, or of one version."""
        body = body_of(answer, 200, 201)
        listed = body.get("versions", [body])
        self._versions.update({(one["model_id"], one["number"]): one["id"] for one in listed})
        return [one["number"] for one in listed]

    def move_alias(self, model: str, number: int, alias: str) -> bytes:
        body = orjson.dumps({"version_id": self._versions[model, number]})
        return request("PUT", f"/api/v1/models/{model}/aliases/{alias}", body)

    def by_alias(self, model: str, alias: str) -> bytes:
        return request("GET", f"/api/v1/models/{model}/aliases/{alias}")

    def put_file(self, name: str, size: int) -> bytes:
        return request("PUT", f"/api/v1/files/default/{PLACE}/{name}", length=size)

    def get_file(self, name: str) -> bytes:
        return request("GET", f"/api/v1/files/default/{PLACE}/{name}")


class FloorApi(LinealApi):
    """The floor answers our calls of files."""


class MlflowApi:
    """REST API 2.0 of MLflow: the peers, and our door."""

    def __init__(self, address: Address, owner: str) -> None:
        self.address = address
        self.owner = owner

    def read(self, data: bytes) -> Any:
        with Connection(self.address) as connection:
            return body_of(connection.call(data))

    def read_experiment(self, name: str) -> str:
        return str(self.read(_post(f"{_MLFLOW}/experiments/create", {"name": name}))["experiment_id"])

    def create_run(self, experiment: str, run: RunData) -> bytes:
        body = {"experiment_id": experiment, "run_name": run.name, "start_time": run.started_at, "tags": _pairs(run.tags)}
        return _post(f"{_MLFLOW}/runs/create", body)

    def created(self, answer: Answer) -> Seen:
        return self._seen(body_of(answer)["run"])

    def _seen(self, run: Any) -> Seen:
        data = run["data"]
        metrics = {one["key"]: float(one["value"]) for one in data.get("metrics", [])}
        params, tags = ({one["key"]: one["value"] for one in data.get(name, [])} for name in ("params", "tags"))
        own = {key: value for key, value in tags.items() if not key.startswith("mlflow.")}
        return Seen(run["info"]["run_id"], run["info"]["run_name"], metrics, params, own)

    def log_metric(self, run: str, point: PointData) -> bytes:
        return _post(f"{_MLFLOW}/runs/log-metric", {"run_id": run, **_metric(point)})

    def log_batch(self, run: str, points: Iterable[PointData], params: Mapping[str, str] | None = None) -> bytes:
        body = {"run_id": run, "metrics": [_metric(one) for one in points], "params": _pairs(params or {})}
        return _post(f"{_MLFLOW}/runs/log-batch", body)

    def check_logged(self, answer: Answer) -> None:
        body_of(answer)

    def read_run(self, run: str) -> Seen:
        return self._seen(self.read(request("GET", f"{_MLFLOW}/runs/get?run_id={run}"))["run"])

    def read_history(self, run: str, key: str, connection: Connection) -> list[Point]:
        """In one answer."""
        query = urlencode({"run_id": run, "metric_key": key})
        page = body_of(connection.call(request("GET", f"{_MLFLOW}/metrics/get-history?{query}")))
        return [(int(one["timestamp"]), int(one["step"]), float(one["value"])) for one in page.get("metrics", [])]

    def search(self, experiment: str, filter: str, order: str, token: str | None = None) -> bytes:
        body: dict[str, Any] = {"experiment_ids": [experiment], "filter": filter, "max_results": 1000}
        return _post(
            f"{_MLFLOW}/runs/search", body | {"order_by": [order] if order else []} | ({"page_token": token} if token else {})
        )

    def found(self, answer: Answer) -> tuple[list[Seen], str | None]:
        page = body_of(answer)
        return [self._seen(run) for run in page.get("runs", [])], page.get("next_page_token") or None

    def create_model(self, name: str) -> bytes:
        return _post(f"{_MLFLOW}/registered-models/create", {"name": name})

    def model(self, answer: Answer) -> str:
        return str(body_of(answer)["registered_model"]["name"])

    def create_version(self, model: str, source: str) -> bytes:
        body = {"name": model, "source": source, "tags": [{"key": "stage", "value": "bench"}]}
        return _post(f"{_MLFLOW}/model-versions/create", body)

    def versions(self, model: str) -> bytes:
        query = urlencode({"filter": f"name='{model}'", "max_results": 1000})
        return request("GET", f"{_MLFLOW}/model-versions/search?{query}")

    def version_numbers(self, answer: Answer) -> list[int]:
        body = body_of(answer)
        listed: Sequence[Any] = body["model_versions"] if "model_versions" in body else [body["model_version"]]
        return [int(one["version"]) for one in listed]

    def move_alias(self, model: str, number: int, alias: str) -> bytes:
        return _post(f"{_MLFLOW}/registered-models/alias", {"name": model, "alias": alias, "version": str(number)})

    def by_alias(self, model: str, alias: str) -> bytes:
        return request("GET", f"{_MLFLOW}/registered-models/alias?{urlencode({'name': model, 'alias': alias})}")

    def put_file(self, name: str, size: int) -> bytes:
        return request("PUT", f"{_MLFLOW}-artifacts/artifacts/{PLACE}/{name}", length=size)

    def get_file(self, name: str) -> bytes:
        return request("GET", f"{_MLFLOW}-artifacts/artifacts/{PLACE}/{name}")


_MLFLOW = "/api/2.0/mlflow"


def _post(path: str, body: Mapping[str, Any]) -> bytes:
    return request("POST", path, orjson.dumps(body))


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def _metric(point: PointData) -> dict[str, Any]:
    return {"key": point.key, "value": point.value, "timestamp": point.at, "step": point.step}


def api_of(kind: str, address: Address, door: Door = "rest") -> Api:
    """`door`: which of ours, where it is ours."""
    if kind == "floor":
        return FloorApi(address)
    return LinealApi(address) if (kind, door) == ("lineal", "rest") else MlflowApi(address, kind)
