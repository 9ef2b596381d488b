"""A few writers that post reports to the server, and what they do when it does not take one.

The server is away (no answer, 429, 5xx, a login that it does not know): all wait, and one tries again after a pause that
doubles; from the third failure on reports wait on disk. A report is refused (any other 4xx): it is set aside. A report that fails
again and again while others are delivered is set aside, too, so that it blocks nothing.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import Enum
from pathlib import Path
from typing import TypeAlias

import httpx

from agent.delivery.dead_letters import DeadLetters
from agent.delivery.outgoing import Outgoing
from agent.delivery.waiting import Waiting
from agent.sending import TIMEOUT_S, Receipt, SendError, problem_of, receipt_of

log = logging.getLogger("lineal.agent.delivery")

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 30.0
AWAY_AFTER = 3
"""Failures in a row."""
SET_ASIDE_AFTER = 5
"""Failures of a report between which others were delivered."""
TOKEN_AGE_S = 60.0
_AWAY = frozenset({401, 404, 405, 408, 429})
"""404 and 405: something else than our server has the address."""


class Outcome(Enum):
    DELIVERED = "delivered"
    REFUSED = "refused"
    AWAY = "away"


Told: TypeAlias = Callable[[Outgoing, Outcome, Receipt | None], Awaitable[None]]


class Gate:
    """Open while the server answers. Closed, it lets one at a time through, after a pause."""

    def __init__(self, first_pause_s: float = FIRST_PAUSE_S) -> None:
        self._first_pause_s = first_pause_s
        self._turn = asyncio.Lock()
        self.failures = 0
        self._next_at = 0.0

    @asynccontextmanager
    async def passing(self) -> AsyncIterator[None]:
        while self.failures:
            async with self._turn:
                if self.failures:
                    await asyncio.sleep(max(0.0, self._next_at - time.monotonic()))
                    yield
                    return
        yield

    def failed(self, wait_s: float | None) -> None:
        self.failures += 1
        pause = min(LONGEST_PAUSE_S, self._first_pause_s * 2.0 ** min(self.failures - 1, 16)) * random.uniform(0.75, 1.25)  # noqa: S311
        self._next_at = time.monotonic() + (pause if wait_s is None else max(pause, min(wait_s, LONGEST_PAUSE_S)))

    def opened(self) -> None:
        self.failures = 0


class Token:
    """A text, or a file that is read anew each minute and whenever the server did not accept it."""

    def __init__(self, token: str | None, file: Path | None) -> None:
        self._token, self._file = token, file
        self._read_at = float("-inf")

    def value(self) -> str | None:
        if self._file is not None and time.monotonic() - self._read_at > TOKEN_AGE_S:
            try:
                self._token, self._read_at = self._file.read_text("utf-8").strip(), time.monotonic()
            except OSError as error:
                log.warning("the token file cannot be read", extra={"data": {"error": str(error)}})
        return self._token

    def forget(self) -> None:
        self._read_at = float("-inf")


class Writers:
    """`told(report, outcome, receipt)` is called for each that is delivered or set aside, before it counts as done."""

    def __init__(
        self,
        server: str,
        waiting: Waiting,
        dead: DeadLetters,
        *,
        count: int,
        token: Token,
        workspace: str | None = None,
        told: Told,
        first_pause_s: float = FIRST_PAUSE_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = f"{server.rstrip('/')}/api/v1/reports"
        self._waiting, self._dead, self._count, self._token, self._told = waiting, dead, count, token, told
        headers = {"Content-Type": "application/json"} | ({"X-Lineal-Workspace": workspace} if workspace else {})
        limits = httpx.Limits(max_connections=count, max_keepalive_connections=count)
        self._client = httpx.AsyncClient(headers=headers, timeout=TIMEOUT_S, limits=limits, transport=transport)
        self._gate = Gate(first_pause_s)
        self._delivered = 0
        self._failing: dict[str, tuple[int, int]] = {}  # uid: failures that count, and how many were delivered at the last one

    @property
    def away(self) -> bool:
        return self._gate.failures >= AWAY_AFTER

    async def run(self) -> None:
        """Until it is cancelled."""
        async with self._client, asyncio.TaskGroup() as group:
            for _ in range(self._count):
                group.create_task(self._writer())

    async def _writer(self) -> None:
        while True:
            async with self._gate.passing():
                one = await self._waiting.take()
                try:
                    finished = await self._deliver(one)
                except BaseException:  # stopped half-way: whether it arrived is not known, and twice is harmless
                    await asyncio.shield(self._waiting.give_back(one))
                    raise
                await (self._waiting.done(one) if finished else self._waiting.give_back(one))

    async def _deliver(self, one: Outgoing) -> bool:
        """Whether nothing more is to be done with it."""
        outcome, receipt, reason = await self._post(one)
        if outcome is Outcome.AWAY:
            log.info("the server does not take a report", extra={"data": {"reason": reason, "failures": self._gate.failures}})
            if self.away:
                await self._waiting.server_is_away()
            if not self._is_hopeless(one):
                return False
        elif self._gate.failures:
            self._gate.opened()
            await self._waiting.server_is_back()
        if outcome is Outcome.DELIVERED:
            self._delivered += 1
        elif not self._set_aside(one, reason):
            return False
        self._failing.pop(one.uid, None)
        await self._told(one, outcome if outcome is Outcome.DELIVERED else Outcome.REFUSED, receipt)
        return True

    def _set_aside(self, one: Outgoing, reason: str) -> bool:
        try:
            self._dead.add(one.named, reason, one.report)
        except OSError as error:
            log.error("a report cannot be set aside", extra={"data": {**one.named, "error": str(error)}})  # noqa: TRY400
            self._gate.failed(None)
            return False
        log.error("a report is set aside", extra={"data": {**one.named, "reason": reason}})
        return True

    def _is_hopeless(self, one: Outgoing) -> bool:
        failures, delivered = self._failing.get(one.uid, (0, self._delivered))
        self._failing[one.uid] = (failures + (self._delivered > delivered), self._delivered)
        return self._failing[one.uid][0] >= SET_ASIDE_AFTER

    async def _post(self, one: Outgoing) -> tuple[Outcome, Receipt | None, str]:
        """What came of it, and why it did not arrive."""
        token = self._token.value()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            response = await self._client.post(self._url, content=one.body, headers=headers)
            if response.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE and one.source is not None:
                response = await self._client.post(self._url, content=one.report, headers=headers)
        except httpx.TransportError as error:
            self._gate.failed(None)
            return Outcome.AWAY, None, f"{type(error).__name__}: {error}"
        code = response.status_code
        if code == httpx.codes.UNAUTHORIZED:
            self._token.forget()
        if code in _AWAY or (not 400 <= code < 500 and code != httpx.codes.OK):
            self._gate.failed(_retry_after(response))
            return Outcome.AWAY, None, problem_of(response)
        if code != httpx.codes.OK:
            return Outcome.REFUSED, None, problem_of(response)
        try:
            return Outcome.DELIVERED, receipt_of(response), ""
        except SendError as error:
            self._gate.failed(None)
            return Outcome.AWAY, None, str(error)


def _retry_after(response: httpx.Response) -> float | None:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else None
