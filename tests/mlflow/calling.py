"""Raw calls of the MLflow door, as its clients make them."""

import itertools
from typing import Any, Self

import httpx

from tests.servers import Served

BASE = "/api/2.0/mlflow"
_numbers = itertools.count(1)


def fresh(word: str) -> str:
    """A name that no test has used."""
    return f"{word}-{next(_numbers)}"


class Caller:
    def __init__(self, served: Served) -> None:
        self.served = served
        self.http = httpx.Client(base_url=served.url, timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.http.close()

    def ask(self, verb: str, path: str, base: str = BASE, /, **fields: Any) -> httpx.Response:
        if verb == "GET":
            return self.http.get(f"{base}/{path}", params=fields)
        return self.http.request(verb, f"{base}/{path}", json=fields)

    def post(self, path: str, /, **fields: Any) -> dict[str, Any]:
        return self._good(self.ask("POST", path, **fields))

    def get(self, path: str, /, **fields: Any) -> dict[str, Any]:
        return self._good(self.ask("GET", path, **fields))

    def refused(self, verb: str, path: str, /, **fields: Any) -> tuple[int, str]:
        """Status and code of an answer that must have both code and message."""
        answer = self.ask(verb, path, **fields)
        body = answer.json()
        assert answer.status_code >= 400, answer.text
        assert body["message"]
        return answer.status_code, body["error_code"]

    def experiment(self, **fields: Any) -> str:
        return str(self.post("experiments/create", **{"name": fresh("experiment"), **fields})["experiment_id"])

    def run(self, experiment: str, **fields: Any) -> str:
        return str(self.post("runs/create", experiment_id=experiment, **fields)["run"]["info"]["run_id"])

    def tags(self, run: str) -> dict[str, str]:
        data = self.get("runs/get", run_id=run)["run"]["data"]
        return {tag["key"]: tag["value"] for tag in data.get("tags", [])}

    def found(self, experiment: str, **fields: Any) -> list[str]:
        """Names of the runs that a search finds, in its order."""
        runs = self.post("runs/search", experiment_ids=[experiment], **fields).get("runs", [])
        return [run["info"]["run_name"] for run in runs]

    @staticmethod
    def _good(answer: httpx.Response) -> dict[str, Any]:
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body


def metric(key: str, value: Any, timestamp: int = 1, step: int = 0) -> dict[str, Any]:
    return {"key": key, "value": value, "timestamp": timestamp, "step": step}


def pairs(**values: str) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]
