"""Sending reports to the server: one connection that is kept, and a bounded number of tries."""

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

import httpx

from agent.report import Report

TRIES = 5
"""With the pauses below about 8 s: longer than a restart of the server, shorter than a person's patience."""
FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 5.0
TIMEOUT_S = 60.0
"""A report of 10,000 tasks takes seconds to apply."""

_RESULTS = ("applied", "stale", "unchanged")
TRY_AGAIN = frozenset({429, 502, 503, 504})


class SendError(Exception):
    """A report did not arrive, or was refused; the text says why, for a person.

    `unreachable` is True if the server did not answer at all, or only that it cannot serve now.
    """

    def __init__(self, message: str, *, unreachable: bool) -> None:
        super().__init__(message)
        self.unreachable = unreachable


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the server did with a report. All three results mean that it knows what the report says."""

    result: Literal["applied", "stale", "unchanged"]
    run: str | None
    warnings: tuple[str, ...]


class ReportSender:
    """Posts reports to `{server}/api/v1/reports`. Sending twice is harmless: the server is idempotent."""

    def __init__(
        self,
        server: str,
        *,
        token: str | None = None,
        workspace: str | None = None,
        pause: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {"Content-Type": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if workspace:
            headers["X-Lineal-Workspace"] = workspace
        self._url = f"{server.rstrip('/')}/api/v1/reports"
        self._client = httpx.Client(headers=headers, timeout=TIMEOUT_S, transport=transport)
        self._pause = pause
        self._tries = TRIES

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close()

    def send(self, report: Report, source: dict[str, Any] | None = None) -> Receipt:
        """Sends one report. After the server was found unreachable once, each further report is tried once only.

        `source`: the object that was translated, which the server keeps if the report is final. One that is too large for the
        server, or cannot be kept as JSON, is left out.

        Raises:
            SendError: if the server refused the report, or was not reached within the tries.
        """
        bare = report.to_json().encode()
        body = with_source(bare, source_text(source) if source is not None and report.is_final else None)
        for attempt in range(self._tries):
            try:
                response = self._client.post(self._url, content=body)
                if response.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE and body is not bare:
                    body = bare
                    response = self._client.post(self._url, content=body)
            except httpx.TransportError as error:
                failure = SendError(f"{self._url}: {str(error) or type(error).__name__}", unreachable=True)
                wait = None
            else:
                if response.status_code not in TRY_AGAIN:
                    self._tries = TRIES
                    return receipt_of(response)
                failure = SendError(problem_of(response), unreachable=True)
                wait = retry_after_of(response)
            if attempt + 1 < self._tries:
                self._pause(wait if wait is not None else _pause_s(attempt))
        self._tries = 1
        raise failure


def source_text(source: dict[str, Any]) -> bytes | None:
    """The object as JSON, or None if the server could not keep it."""
    try:
        data = json.dumps(source, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except (ValueError, TypeError, RecursionError):  # a lone surrogate is a ValueError, too
        return None
    return None if b"\\u0000" in data else data


def with_source(report: bytes, source: bytes | None) -> bytes:
    """The body of a request: the report, and the object if it goes with it."""
    return report if source is None else b'%b,"source":%b}' % (report[:-1], source)


def _pause_s(attempt: int) -> float:
    """Doubles, with jitter, so that agents that lost one server do not come back at once."""
    return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0**attempt) * random.uniform(0.75, 1.25)  # noqa: S311 - no secret


def retry_after_of(response: httpx.Response) -> float | None:
    value = response.headers.get("Retry-After", "")
    return min(float(value), LONGEST_PAUSE_S) if value.isascii() and value.isdigit() else None


def receipt_of(response: httpx.Response) -> Receipt:
    if response.status_code != httpx.codes.OK:
        raise SendError(problem_of(response), unreachable=False)
    return _receipt(_json(response), response)


def outcomes_of(response: httpx.Response, count: int) -> list[tuple[int, Receipt | None, str]]:
    """Of the reports of a batch, in their order: status, receipt if it is 200, else why not. Raises SendError."""
    results = _json(response).get("results")
    if not isinstance(results, list) or len(results) != count:
        raise SendError(f"The server answered something else than {count} results: {response.text[:200]!r}", unreachable=False)
    found: list[tuple[int, Receipt | None, str]] = []
    for result in results:
        status = result.get("status") if isinstance(result, dict) else None
        if not isinstance(status, int):
            raise SendError(f"The server answered something else than results: {response.text[:200]!r}", unreachable=False)
        receipt = _receipt(result, response) if status == httpx.codes.OK else None
        found.append((status, receipt, str(result.get("detail") or "")))
    return found


def _receipt(answer: dict[str, Any], response: httpx.Response) -> Receipt:
    if answer.get("result") not in _RESULTS:
        raise SendError(f"The server answered something else than a receipt: {response.text[:200]!r}", unreachable=False)
    warnings = answer.get("warnings")
    run = answer.get("run")
    return Receipt(
        result=answer["result"],
        run=run if isinstance(run, str) else None,
        warnings=tuple(str(line) for line in warnings) if isinstance(warnings, list) else (),
    )


def problem_of(response: httpx.Response) -> str:
    """RFC 9457: title and detail; anything else as it is, shortened."""
    problem = _json(response)
    words = [str(problem[key]) for key in ("title", "detail") if problem.get(key)]
    return f"HTTP {response.status_code}: {': '.join(words) or response.text[:200] or response.reason_phrase}"


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
