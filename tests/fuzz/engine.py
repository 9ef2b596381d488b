"""Schemathesis, driven: its configuration, its events turned into a `Tally`, passes until every operation had its requests."""

import sys
import time
from pathlib import Path
from typing import Any

import httpx
from schemathesis import openapi
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.engine import Status, StopReason, events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.generation.case import Case

from tests.fuzz.judging import JSON, REJECTED, Expected, Finding, Operation, Tally, load_expected, operations

EXAMPLES = 100
PASSES = 20
"""Deletes run out of records to delete; each pass gives them thirty requests or more."""


def fuzz(url: str, token: str, *, seed: int, expected: str, log: Path | None = None, examples: int = EXAMPLES) -> int:
    """Fuzz what the OpenAPI document at `url` describes. Says what it finds; the exit status.

    `log`: where the server writes its errors; any is a finding.

    Raises Misfit: `expected` does not fit the document.
    """
    headers = {"Authorization": f"Bearer {token}"}
    document = httpx.get(url, headers=headers).raise_for_status().json()
    known = {operation.label: operation for operation in operations(document)}
    explained = load_expected(expected, document)
    run = _Run(url, token, document, known, explained, Tally(list(known.values())), examples)
    run.execute(seed)
    run.repeat()
    for number in range(1, PASSES):
        short = run.tally.below(examples)
        if not short:
            break
        run.execute(seed + number * 1_000_003, short)
    for label in run.tally.below(examples):
        run.found(Finding(label, "requests", None, f"only {run.tally.requests[label]} requests were sent"))
    if lost := _lost_token(document, url, headers):
        run.found(lost)
    if log is not None and (errors := log.read_text("utf-8", "replace")):
        run.found(Finding("server", "log", None, errors[:3000]))
    return _report(run.tally, explained)


def say(text: str) -> None:
    print(f"fuzz: {text}", flush=True)


class _Run:
    def __init__(
        self,
        url: str,
        token: str,
        document: dict[str, Any],
        known: dict[str, Operation],
        expected: Expected,
        tally: Tally,
        examples: int,
    ) -> None:
        self.url, self.token, self.document, self.known = url, token, document, known
        self.expected, self.tally, self.examples = expected, tally, examples
        self.began, self.told, self.phase = time.monotonic(), 0.0, "reading"

    def execute(self, seed: int, only: list[str] | None = None) -> None:
        """One pass; over some operations without the stateful phase, which needs all."""
        config = SchemathesisConfig.from_dict(
            {
                "seed": seed,
                "auth": {"openapi": {"bearer": {"bearer": self.token}}},
                "checks": {"enabled": True},
                "continue-on-failure": True,
                "generation": {"max-examples": self.examples, "database": "none"},
                "operations": [*self.expected.configuration(), *([{"enabled": False, "exclude-name": only}] if only else [])],
                "output": {"sanitization": {"enabled": False}},
                "phases": {"stateful": {"enabled": only is None}},
            }
        )
        for event in from_schema(openapi.from_url(self.url, config=config)).execute():
            self._take(event)
        self._tell(last=only is None)

    def repeat(self) -> None:
        """An operation without input has one request: it is sent until its number is full."""
        config = SchemathesisConfig.from_dict({"output": {"sanitization": {"enabled": False}}})
        schema = openapi.from_url(self.url, config=config)
        for label in self.tally.below(self.examples):
            if self.known[label].has_input or (operation := schema.find_operation_by_label(label)) is None:
                continue
            while self.tally.requests[label] < self.examples:
                self.tally.requests[label] += 1
                try:
                    operation.Case().call_and_validate(headers={"Authorization": f"Bearer {self.token}"})
                except (Failure, FailureGroup) as failed:
                    self.found(Finding(label, type(failed).__name__, None, str(failed)))

    def _take(self, event: events.EngineEvent) -> None:
        if isinstance(event, events.PhaseStarted):
            self.phase = event.phase.name.display.lower()
        elif isinstance(event, events.ScenarioFinished):
            self._record(event.recorder)
        elif isinstance(event, events.NonFatalError):
            self.found(Finding(event.label, type(event.value).__name__, None, str(event.value)))
        elif isinstance(event, events.FatalError):
            raise event.exception
        elif isinstance(event, events.EngineFinished):
            if event.stop_reason is StopReason.INTERRUPTED:
                raise KeyboardInterrupt
            if event.stop_reason is not StopReason.COMPLETED:
                self.found(Finding("all", "run", None, f"it ended before its end: {event.stop_reason.value}"))
        self._tell()

    def _record(self, recorder: ScenarioRecorder) -> None:
        for id, node in recorder.cases.items():
            if (interaction := recorder.interactions.get(id)) is None:
                continue
            case, label = node.value, node.value.operation.label
            self.tally.requests[label] += 1
            status = None if interaction.response is None else interaction.response.status_code
            positive = case.meta is not None and case.meta.generation.mode.is_positive
            if status is not None:
                self.expected.is_met(label, status, positive=positive)
                self.tally.succeeded |= {label} if status < 300 else set()
            for check in recorder.checks.get(id, []):
                if check.status is not Status.SUCCESS:
                    self._failed(case, status, check.name, check.failure_info, interaction.response)

    def _failed(self, case: Case[Any], status: int | None, check: str, info: Any, response: Any) -> None:
        label = case.operation.label
        if check == "positive_data_acceptance" and status in REJECTED and self._is_invalid(case):
            self.tally.misread += 1
            return
        detail = f"{info.failure.title}: {info.failure.message}" if info else "the check itself failed"
        self.found(Finding(label, check, status, detail, info.code_sample if info else "", response.text if response else ""))

    def found(self, finding: Finding) -> None:
        if self.tally.add(finding):
            sys.stdout.write("\r\x1b[K" if sys.stdout.isatty() else "")
            say(f"finding: {finding}")

    def _is_invalid(self, case: Case[Any]) -> bool:
        """Whether a request that the fuzzer calls valid is none: its links copy an id from one kind of record to another."""
        sent = {
            "path": dict(case.path_parameters or {}),
            "query": dict(case.query or {}),
            "header": dict(case.headers or {}),
        }
        body = case.body if case.media_type == JSON else ...
        return bool(self.known[case.operation.label].violations(self.document, sent, body))

    def _tell(self, *, last: bool = False) -> None:
        now, terminal = time.monotonic(), sys.stdout.isatty()
        if not last and now - self.told < (0.5 if terminal else 10):
            return
        self.told = now
        seen = sum(1 for label in self.known if self.tally.requests[label])
        line = f"{self.phase}: operations {seen} of {len(self.known)}, requests {self.tally.requests.total()}, "
        line += f"findings {len(self.tally.findings)}, {now - self.began:.0f} s"
        sys.stdout.write(f"\r\x1b[Kfuzz: {line}" + "\n" * last if terminal else f"fuzz: {line}\n")
        sys.stdout.flush()


def _lost_token(document: dict[str, Any], url: str, headers: dict[str, str]) -> Finding | None:
    """A fuzzer that revokes its own token gets nothing but 401 from then on, which the checks take for correct."""
    for path, item in document["paths"].items():
        if "{" not in path and "security" in item.get("get", {}):
            status = httpx.get(httpx.URL(url).join(path), headers=headers).status_code
            detail = "the fuzzer revoked its own token: what came after proves nothing"
            return Finding(f"GET {path}", "token", 401, detail) if status == 401 else None
    return None


def _report(tally: Tally, expected: Expected) -> int:
    for label, status in expected.unneeded():
        say(f"not needed this time: {label} {status}")
    known = list(tally.operations)
    for operation in known:
        if operation.label not in tally.succeeded:
            say(f"refused every request: {operation.label}")
    reached = sum(1 for operation in known if tally.requests[operation.label])
    say(f"requests {tally.requests.total()}, at least {min(tally.requests[one.label] for one in known)} of each operation")
    if tally.misread:
        say(f"{tally.misread} refusals of requests that the fuzzer took for valid and the document forbids")
    print(f"operations {reached} of {len(known)}, {len(tally.findings)} findings", flush=True)
    return 1 if tally.findings or reached < len(known) else 0
