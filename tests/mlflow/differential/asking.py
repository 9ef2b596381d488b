"""One side of a comparison: a server that is asked, and what it said, its own ids and times under names that both sides share."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Self

import httpx

BASE = "/api/2.0/mlflow"
NOW_MS = 1_600_000_000_000
"""Times from here on are the server's own clock; what probes give is before."""

_GENERATED_NAME = re.compile(r"[a-z]+-[a-z]+-[0-9]{1,4}")
_UNORDERED = {"metrics", "params", "tags", "aliases", "latest_versions", "model_inputs", "model_outputs"}
"""Lists whose order says nothing, by their names; of metrics only a run's latest, not a history. Models of a run: theirs has
them by ids that it makes up."""

_UNCOMPARED = {"message", "sqlstate", "error_class"}
"""Of an error: its words are each server's own. That there are some is compared."""

_HEADERS = ("content-length", "content-range")


class Asker:
    """`answers`: by the names of the probes, in order."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=60)
        self.answers: dict[str, dict[str, Any]] = {}
        self._labels: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.http.close()

    def call(self, name: str, verb: str, path: str, /, base: str = BASE, **fields: Any) -> dict[str, Any]:
        """Its answer, as it is."""
        sent: dict[str, Any] = {"params": fields} if verb == "GET" else {"json": fields}
        return self._note(name, self.http.request(verb, f"{base}/{path}", **sent))

    def raw(self, name: str, verb: str, target: str, /, **sent: Any) -> dict[str, Any]:
        """Of a request that is no plain call."""
        return self._note(name, self.http.request(verb, target, **sent))

    def experiment(self, name: str, **fields: Any) -> str:
        return self.known(
            "experiment",
            self.call(f"create experiment {name}", "POST", "experiments/create", name=name, **fields)["experiment_id"],
        )

    def run(self, name: str, experiment: str, **fields: Any) -> str:
        made = self.call(
            f"create run {name}", "POST", "runs/create", experiment_id=experiment, run_name=name, start_time=5, **fields
        )
        return self.known("run", made["run"]["info"]["run_id"])

    def fact(self, name: str, value: Any) -> None:
        """What follows from several answers, as one more."""
        self.answers[name] = {"fact": value}

    def known(self, kind: str, id: str) -> str:
        """Remember an id that only this side has."""
        number = sum(label.startswith(f"<{kind} ") for label in self._labels.values()) + 1
        self._labels.setdefault(id, f"<{kind} {number}>")
        return id

    def label(self, id: str, label: str) -> None:
        """As `known`, under a label of the caller's."""
        self._labels.setdefault(id, label)

    def _note(self, name: str, answer: httpx.Response) -> dict[str, Any]:
        assert name not in self.answers, f"two probes are called {name!r}"
        body: Any
        is_file = "content-disposition" in answer.headers
        if answer.headers.get("content-type", "").startswith("application/json") and answer.content and not is_file:
            body = answer.json()
            seen = {"status": answer.status_code, "body": body}
        else:
            body = {}
            headers = {key: answer.headers[key] for key in _HEADERS if key in answer.headers}
            if answer.is_success:
                headers["content"] = hashlib.sha256(answer.content).hexdigest()
            seen = {"status": answer.status_code, "headers": headers if answer.is_success else {}, "attachment": is_file}
        self.answers[name] = seen
        return dict(body)

    def said(self, name: str) -> Any:
        """What was answered, in names that both sides share."""
        return self._plain(self.answers[name])

    def _plain(self, value: Any, key: str = "") -> Any:
        if isinstance(value, Mapping):
            plain = {
                name: self._plain(one, "unordered" if name in _UNORDERED and (key == "data" or name != "metrics") else name)
                for name, one in value.items()
                if name not in _UNCOMPARED
            }
            return plain | ({"message": "some"} if value.get("message") else {})
        if isinstance(value, list):
            items = [self._plain(one) for one in value]
            return sorted(items, key=repr) if key == "unordered" else items
        if isinstance(value, int) and not isinstance(value, bool) and value >= NOW_MS:
            return "<now>"
        if key == "next_page_token" and value:
            return "<token>"
        return self._named(value, key) if isinstance(value, str) else value

    def _named(self, text: str, key: str) -> str:
        if key in {"run_name", "name"} and _GENERATED_NAME.fullmatch(text):
            return "<generated>"
        if key == "value" and _GENERATED_NAME.fullmatch(text):
            return "<generated>"
        if key in {"experiment_id", "experiment_ids"} or text.startswith(("mlflow-artifacts:", "models:/m-", "runs:/")):
            return "".join(self._labels.get(part, part) for part in re.split(r"([/:,])", text))
        if len(text) < 30:  # an experiment's id is like any number
            return text
        return "/".join(self._labels.get(part, part) if len(part) >= 30 else part for part in text.split("/"))


def differences(theirs: Any, ours: Any, where: str = "") -> list[str]:
    """What differs, one line each: `body.run.info.status: "RUNNING" -> "FINISHED"`."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        found = []
        for key in sorted(theirs.keys() | ours.keys()):
            found += differences(theirs.get(key, "<absent>"), ours.get(key, "<absent>"), f"{where}.{key}" if where else key)
        return found
    if isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        return [
            line for index, pair in enumerate(zip(theirs, ours, strict=True)) for line in differences(*pair, f"{where}[{index}]")
        ]
    return [] if theirs == ours else [f"{where}: {theirs!r} -> {ours!r}"]
