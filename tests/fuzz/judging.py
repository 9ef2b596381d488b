"""What counts as a finding: every failed check, except answers that `expected.toml` explains and two misreadings of the fuzzer.

`expected.toml` is the only setting. A JSON Schema cannot say which page tokens, versions or names exist, so requests that it
allows may be refused; the file lists with which status, and why. An entry that no longer fits the OpenAPI document is refused.
"""

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

EXPECTED = Path(__file__).with_name("expected.toml")
CHECKS = ("positive_data_acceptance", "negative_data_rejection")
"""Those that an entry widens, for its operation and status."""
ACCEPTED = ("2xx", "3xx", "401", "403", "404", "409", "429", "5xx")
"""What schemathesis itself takes for an answer to a valid request (5xx and 429 fail other checks)."""
REJECTED = {400, 401, 403, 404, 405, 406, 409, 415, 422, 428, 429}
"""What it takes for an answer to an invalid one."""
METHODS = {"get", "put", "post", "delete", "patch"}
JSON = "application/json"


class Misfit(Exception):
    """`expected.toml` cannot be used; the text says which entry and why."""


@dataclass(frozen=True)
class Operation:
    """One operation of the document; `label` is schemathesis's name of it: `GET /api/v1/runs`."""

    id: str
    label: str
    spec: Mapping[str, Any]

    @property
    def has_input(self) -> bool:
        return bool(self.spec.get("parameters") or "requestBody" in self.spec)

    def violations(self, document: Mapping[str, Any], sent: Mapping[str, Mapping[str, Any]], body: object) -> list[str]:
        """The parts of a request that the document does not allow. `sent`: values by place (`path`…) and name."""
        found = []
        for parameter in self.spec.get("parameters", []):
            values = {name.lower(): value for name, value in sent.get(parameter["in"], {}).items()}
            name = parameter["name"].lower()
            if name in values and not _fits(document, parameter["schema"], values[name]):
                found.append(f"{parameter['in']} {parameter['name']}")
        content = self.spec.get("requestBody", {}).get("content", {})
        if JSON in content and isinstance(body, dict | list | str | int | float | bool | None):
            found += [] if _fits(document, content[JSON]["schema"], body) else ["body"]
        return found


def _fits(document: Mapping[str, Any], schema: Mapping[str, Any], value: object) -> bool:
    validator = Draft202012Validator({**schema, "components": document.get("components", {})})
    readings: list[object] = [value]
    if isinstance(value, str):  # on the wire everything is text
        readings += [int(value)] if value.lstrip("-").isascii() and value.lstrip("-").isdigit() else []
        readings += [value == "true"] if value in {"true", "false"} else []
    return any(validator.is_valid(reading) for reading in readings)


def operations(document: Mapping[str, Any]) -> list[Operation]:
    """Of an OpenAPI document, in its order."""
    return [
        Operation(spec.get("operationId", f"{method} {path}"), f"{method.upper()} {path}", spec)
        for path, item in document["paths"].items()
        for method, spec in item.items()
        if method in METHODS
    ]


@dataclass
class Expected:
    """The statuses of `expected.toml` by label, and which of them a run needed."""

    statuses: dict[str, set[int]]
    needed: set[tuple[str, int]] = field(default_factory=set)

    def is_met(self, label: str, status: int, *, positive: bool) -> bool:
        """Whether an answer is one of the file, and would be a finding without it; notes that the entry was needed."""
        met = status in self.statuses.get(label, ()) and (positive or status not in REJECTED)
        if met:
            self.needed.add((label, status))
        return met

    def unneeded(self) -> list[tuple[str, int]]:
        return sorted({(label, status) for label, found in self.statuses.items() for status in found} - self.needed)

    def configuration(self) -> list[dict[str, Any]]:
        """Schemathesis's `operations`: the statuses that each may have beside the usual ones."""
        usual = (ACCEPTED, ("5xx", *map(str, sorted(REJECTED))))
        return [
            {
                "include-name": label,
                "checks": {
                    check: {"expected-statuses": [*there, *map(str, sorted(statuses))]}
                    for check, there in zip(CHECKS, usual, strict=True)
                },
            }
            for label, statuses in self.statuses.items()
        ]


def load_expected(text: str, document: Mapping[str, Any]) -> Expected:
    """Raises Misfit: no operation of the document, a status that it does not document, an entry twice or without reason."""
    known = {operation.id: operation for operation in operations(document)}
    statuses: dict[str, set[int]] = {}
    for entry in tomllib.loads(text).get("expected", []):
        if set(entry) != {"operations", "status", "reason"} or not str(entry["reason"]).strip() or not entry["operations"]:
            raise Misfit(f"an entry has operations, status and a reason, nothing else: {entry}")
        for id in entry["operations"]:
            status = entry["status"]
            if id not in known:
                raise Misfit(f"no operation is called {id!r}")
            if str(status) not in known[id].spec["responses"]:
                raise Misfit(f"{id} does not document {status}")
            found = statuses.setdefault(known[id].label, set())
            if status in found:
                raise Misfit(f"{id} has {status} twice")
            found.add(status)
    return Expected(statuses)


@dataclass(frozen=True)
class Finding:
    """A failed check, with the first request that showed it."""

    operation: str
    check: str
    status: int | None
    detail: str
    request: str = ""
    answer: str = ""

    def __str__(self) -> str:
        lines = [f"{self.operation}: {self.check}, status {self.status or 'none'}", self.detail, self.answer[:1000]]
        return "\n    ".join(line for line in [*lines, *self.request[:3000].splitlines()] if line)


@dataclass
class Tally:
    """What a run has done and found so far."""

    operations: Iterable[Operation]
    requests: Counter[str] = field(default_factory=Counter)
    findings: dict[tuple[str, str, int | None], Finding] = field(default_factory=dict)
    succeeded: set[str] = field(default_factory=set)
    misread: int = 0

    def add(self, finding: Finding) -> bool:
        """Keep the first of its operation, check and status; whether this is it."""
        key = (finding.operation, finding.check, finding.status)
        return self.findings.setdefault(key, finding) is finding

    def below(self, count: int) -> list[str]:
        """Labels of the operations that got fewer requests."""
        return [operation.label for operation in self.operations if self.requests[operation.label] < count]
