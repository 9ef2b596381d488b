"""A few writers that post reports to the server, several in one call if several wait, and what they do when it takes none.

The server is away (no answer, 429, 5xx, a login that it does not know): all wait, and one tries again after a pause that
doubles; from the third failure on reports wait on disk. A report is refused (any other 4xx): it is set aside. A report that fails
again and again while others are delivered is set aside, too, so that it blocks nothing.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from enum import Enum
from typing import TypeAlias

import httpx

from agent.delivery.dead_letters import DeadLetters
from agent.delivery.outgoing import Outgoing
from agent.delivery.waiting import Waiting
from agent.sending import TIMEOUT_S, Receipt, SendError, outcomes_of, problem_of, receipt_of
from agent.tokens import Token

log = logging.getLogger("lineal.agent.delivery")

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 30.0
AWAY_AFTER = 3
"""Failures in a row."""
SET_ASIDE_AFTER = 5
"""Failures of a report between which others were delivered."""
BATCH_REPORTS = 32
BATCH_BYTES = 384 * 1024
"""Of reports in one call. The server takes about 2 MiB at once from all its clients."""
MOMENT_S = 0.05
"""For which a report waits for others: what a call costs by itself is shared by them."""
ONE_BY_ONE_S = 60.0
"""Until a server that took no batch is asked again."""
_AWAY = frozenset({401, 404, 405, 408, 429})
"""404 and 405: something else than our server has the address."""
_OTHERWISE = frozenset({404, 405, 413})
"""Of a batch: by itself each may be taken."""


class Outcome(Enum):
    DELIVERED = "delivered"
    REFUSED = "refused"
    AWAY = "away"


Came: TypeAlias = tuple[Outcome, Receipt | None, str]
"""What came of a report, and why it did not arrive."""

Told: TypeAlias = Callable[[Outgoing, Outcome, Receipt | None], Awaitable[None]]


class Gate:
    """Open while the server answers. Closed, it lets one at a time through, after a pause."""

    def __init__(self, first_pause_s: float = FIRST_PAUSE_S) -> None:
        self._first_pause_s = first_pause_s
        self._turn = asyncio.Lock()
        self.failures = 0
        self._next_at = 0.0

    @asynccontextmanager
    async def passing(self) -> AsyncIterator[bool]:
        """Whether it is let through although the gate is closed."""
        while self.failures:
            async with self._turn:
                if self.failures:
                    await asyncio.sleep(max(0.0, self._next_at - time.monotonic()))
                    yield True
                    return
        yield False

    def failed(self, wait_s: float | None) -> None:
        self.failures += 1
        pause = min(LONGEST_PAUSE_S, self._first_pause_s * 2.0 ** min(self.failures - 1, 16)) * random.uniform(0.75, 1.25)  # noqa: S311
        self._next_at = time.monotonic() + (pause if wait_s is None else max(pause, min(wait_s, LONGEST_PAUSE_S)))

    def opened(self) -> None:
        self.failures = 0


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
        self._gathering = asyncio.Lock()
        self._one_by_one_until = 0.0
        self._alone: set[str] = set()  # uids of reports that go by themselves, since a call with them and others failed
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
            async with self._gate.passing() as is_let_through:
                several = await self._gathered()
                try:
                    closed = self._gate.failures and not is_let_through  # while it waited for a report
                    finished = set() if closed else await self._deliver(several)
                except BaseException:  # stopped half-way: whether they arrived is not known, and twice is harmless
                    await asyncio.shield(self._ended(several, set()))
                    raise
                await asyncio.shield(self._ended(several, finished))

    async def _ended(self, several: list[Outgoing], finished: Collection[str]) -> None:
        for one in several:
            await (self._waiting.done(one) if one.uid in finished else self._waiting.give_back(one))

    async def _gathered(self) -> list[Outgoing]:
        """What goes in one call: one that waits, and those that come within a moment after it. One writer at a time."""
        async with self._gathering:
            found = [await self._waiting.take()]
            if self._gate.failures or found[0].uid in self._alone or time.monotonic() < self._one_by_one_until:
                return found
            try:
                await self._gather(found)
                if len(found) < BATCH_REPORTS:
                    await asyncio.sleep(MOMENT_S)
                    await self._gather(found)
            except BaseException:
                await asyncio.shield(self._ended(found, set()))
                raise
            return found

    async def _gather(self, found: list[Outgoing]) -> None:
        room = BATCH_BYTES - sum(one.size_bytes for one in found)
        found += await self._waiting.take_more(BATCH_REPORTS - len(found), room, until=self._alone)

    async def _deliver(self, several: list[Outgoing]) -> set[str]:
        """The uids of those with which nothing more is to be done."""
        came = await self._post(several)
        if all(outcome is Outcome.AWAY for outcome, _, _ in came):
            data = {"reason": came[0][2], "failures": self._gate.failures}
            log.info("the server does not take a report", extra={"data": data})
            if self.away:
                await self._waiting.server_is_away()
        elif self._gate.failures:
            self._gate.opened()
            await self._waiting.server_is_back()
        self._delivered += sum(outcome is Outcome.DELIVERED for outcome, _, _ in came)
        finished: set[str] = set()
        for one, (outcome, receipt, reason) in zip(several, came, strict=True):
            if outcome is Outcome.AWAY and len(several) > 1:
                self._alone.add(one.uid)  # whose fault it was shows once each has gone by itself
                continue
            if outcome is Outcome.AWAY and not self._is_hopeless(one):
                continue
            if outcome is not Outcome.DELIVERED and not self._set_aside(one, reason):
                continue
            self._failing.pop(one.uid, None)
            self._alone.discard(one.uid)
            await self._told(one, outcome if outcome is Outcome.DELIVERED else Outcome.REFUSED, receipt)
            finished.add(one.uid)
        return finished

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

    async def _post(self, several: list[Outgoing]) -> list[Came]:
        """What came of each."""
        token = self._token.value()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            if len(several) > 1:
                came = await self._post_several(several, headers)
                if came is not None:
                    return came
            return [await self._post_one(one, headers) for one in several]
        except httpx.TransportError as error:
            self._gate.failed(None)
            return [(Outcome.AWAY, None, f"{type(error).__name__}: {error}")] * len(several)

    async def _post_several(self, several: list[Outgoing], headers: dict[str, str]) -> list[Came] | None:
        """None: the server does not take them in one call."""
        content = b'{"reports":[%b]}' % b",".join(one.body for one in several)
        response = await self._client.post(f"{self._url}/batch", content=content, headers=headers)
        code = response.status_code
        if code in {httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED}:  # an older one
            self._one_by_one_until = time.monotonic() + ONE_BY_ONE_S
        if code != httpx.codes.OK:
            away = self._is_away(response) if code not in _OTHERWISE else None
            return None if away is None else [away] * len(several)
        try:
            outcomes = outcomes_of(response, len(several))
        except SendError as error:
            self._gate.failed(None)
            return [(Outcome.AWAY, None, str(error))] * len(several)
        found = [_came(status, receipt, reason) for status, receipt, reason in outcomes]
        if all(outcome is Outcome.AWAY for outcome, _, _ in found):
            self._gate.failed(None)
        return found

    async def _post_one(self, one: Outgoing, headers: dict[str, str]) -> Came:
        response = await self._client.post(self._url, content=one.body, headers=headers)
        if response.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE and one.source is not None:
            response = await self._client.post(self._url, content=one.report, headers=headers)
        if response.status_code != httpx.codes.OK:
            return self._is_away(response) or (Outcome.REFUSED, None, problem_of(response))
        try:
            return Outcome.DELIVERED, receipt_of(response), ""
        except SendError as error:
            self._gate.failed(None)
            return Outcome.AWAY, None, str(error)

    def _is_away(self, response: httpx.Response) -> Came | None:
        """That the server cannot take anything now; None: it refuses what it was sent."""
        if response.status_code == httpx.codes.UNAUTHORIZED:
            self._token.forget()
        if not _says_away(response.status_code):
            return None
        self._gate.failed(_retry_after(response))
        return Outcome.AWAY, None, problem_of(response)


def _says_away(code: int) -> bool:
    return code in _AWAY or not 400 <= code < 500


def _came(status: int, receipt: Receipt | None, reason: str) -> Came:
    if receipt is not None:
        return Outcome.DELIVERED, receipt, ""
    return Outcome.AWAY if _says_away(status) else Outcome.REFUSED, None, f"HTTP {status}: {reason}"


def _retry_after(response: httpx.Response) -> float | None:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else None
