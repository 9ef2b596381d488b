"""`lineal-agent run`: the watches, the queue and the writers of one process, from start to SIGTERM."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import httpx

from agent.cluster.access import Access
from agent.cluster.api import ApiError, ClusterApi
from agent.cluster.credentials import AccessError
from agent.cluster.writing import Lease, mark_persisted
from agent.delivery.dead_letters import DeadLetters
from agent.delivery.outgoing import Outgoing, outgoing
from agent.delivery.state import AgentState
from agent.delivery.waiting import DISK_AGAIN_S, Limits, Waiting
from agent.delivery.writers import Outcome, Writers
from agent.election import lead
from agent.fetching.background import Fetching
from agent.fetching.fetcher import fetcher_of
from agent.kind import Kind
from agent.reading import Unreadable
from agent.sending import Receipt
from agent.settings import Settings
from agent.status import Answer, Counters, exposition, health, serve_status
from agent.tokens import Token
from agent.watching.change import Change, Sign
from agent.watching.watch import Pace, Watch

log = logging.getLogger("lineal.agent")

CHECKPOINT_S = 1.0
MARK_TRIES = 3
IN_PLACE_BYTES = 64 * 1024
"""Of an object that takes no longer to translate than two milliseconds: another thread would cost as much again."""


class Agent:
    """One process. `state` and `access` are its own."""

    def __init__(self, settings: Settings, access: Access, state: AgentState, *, pace: Pace | None = None) -> None:
        self._settings, self._access, self._state = settings, access, state
        self._pace = pace or Pace(page=settings.page)
        self._dead = DeadLetters(Path(settings.state_dir))
        limits = Limits(settings.queue_reports, settings.queue_bytes, settings.spool_bytes)
        self._waiting = Waiting(state, limits, spoilt=self._spoilt)
        token = Token(settings.token or None, Path(settings.token_file) if settings.token_file else None)
        self._writers = Writers(
            settings.server,
            self._waiting,
            self._dead,
            count=settings.writers,
            token=token,
            workspace=settings.workspace or None,
            told=self._told,
        )
        self._watches: list[Watch] = []
        self._counters = Counters()
        self._warned: set[tuple[str, str]] = set()
        self._checked: dict[tuple[str, str | None], str] = {}
        self._translating = ThreadPoolExecutor(1, "translating")
        self._fetching: Fetching | None = None
        fetcher = fetcher_of(settings)
        if fetcher is not None:
            self._fetching = Fetching(fetcher, self._waiting.put, settings.cluster or None)
        self._started_at = time.time()

    async def run(self, stop: asyncio.Event, say: Callable[[str], None] = lambda _address: None) -> None:
        """Until `stop`; then what waits is sent or goes to disk. `say` gets the address of /metrics.

        Raises OSError: that address is taken.
        """
        async with AsyncExitStack() as stack:
            self._api = await stack.enter_async_context(ClusterApi(self._access))
            host, _, port = self._settings.http.rpartition(":")
            status = await serve_status(host.strip("[]"), int(port), {"/metrics": self._metrics, "/healthz": self._health})
            stack.callback(status.close)
            bound = status.sockets[0].getsockname()
            say(f"http://{f'[{bound[0]}]' if ':' in bound[0] else bound[0]}:{bound[1]}")
            writing = asyncio.create_task(self._writers.run())
            checking = asyncio.create_task(self._checkpoints())
            watching = asyncio.create_task(self._lead() if self._settings.lease else self._watch())
            fetching = asyncio.create_task(self._fetching.run() if self._fetching else asyncio.Event().wait())
            stopped = asyncio.create_task(stop.wait())
            try:
                done, _ = await asyncio.wait(
                    [writing, checking, watching, fetching, stopped], return_when=asyncio.FIRST_COMPLETED
                )
                for task in done - {stopped}:
                    task.result()
            finally:
                await _cancel(watching, fetching, stopped)
                await self._drain()
                await _cancel(writing, checking)
                await self._waiting.server_is_away()
                self._checkpoint()
                self._translating.shutdown(wait=False)
        log.info("stopped")

    # ---- watching ---------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        self._watches = [self._new_watch(kind, scope) for kind in self._settings.chosen_kinds for scope in self._settings.scopes]
        async with asyncio.TaskGroup() as group:
            for watch in self._watches:
                group.create_task(watch.run())

    def _new_watch(self, kind: Kind, scope: str | None) -> Watch:
        return Watch(
            self._api,
            kind,
            self,
            namespace=scope,
            selector=self._settings.selector or None,
            known=self._state.known(kind.name, scope),
            version=self._state.position(kind.name, scope),
            pace=self._pace,
        )

    async def _lead(self) -> None:
        namespace, _, name = self._settings.lease.partition("/")

        async def work() -> None:
            try:
                await self._watch()
            finally:
                self._checkpoint()
                self._watches = []

        await lead(Lease(self._api, namespace, name, f"{socket.gethostname()}_{os.getpid()}"), work)

    async def take(self, change: Change) -> None:
        """A change of a watch, translated and put into the queue."""
        settle = partial(self._settled, change)
        if change.sign is Sign.CHANGED:
            await self._remember(change)
        cluster = self._settings.cluster or None
        if len(change.content) <= IN_PLACE_BYTES:
            made = outgoing(change, cluster, settle)
        else:
            loop = asyncio.get_running_loop()
            made = await loop.run_in_executor(self._translating, outgoing, change, cluster, settle)
        if isinstance(made, Outgoing):
            fetching = self._fetching if self._fetching is not None and self._fetching.wants(made, change) else None
            if fetching is not None:
                made.settle = lambda: None  # once what it lacks was fetched
            await self._waiting.put(made)
            if fetching is not None:
                await fetching.offer(change, settle)
            return
        seen = change.seen
        self._set_aside({"kind": change.kind.name, "namespace": seen.namespace, "name": seen.name, "uid": seen.uid}, made)
        settle()

    async def _remember(self, change: Change) -> None:
        while True:
            try:
                self._state.remember(change.kind.name, change.seen)
            except sqlite3.OperationalError as error:
                log.error("an object cannot be kept in mind", extra={"data": {"error": str(error)}})  # noqa: TRY400
                await asyncio.sleep(DISK_AGAIN_S)
            else:
                return

    def _settled(self, change: Change) -> None:
        if change.sign is not Sign.CHANGED:
            self._state.forget(change.kind.name, change.seen.uid)
        change.progress.settle(change.ticket)

    def _set_aside(self, named: dict[str, str], unreadable: Unreadable) -> None:
        log.error("an object cannot be translated and is set aside", extra={"data": {**named, "reason": unreadable.error}})
        self._counters.dead[named["kind"]] += 1
        with contextlib.suppress(OSError):
            self._dead.add(named, unreadable.error)

    def _spoilt(self, kind: str) -> None:
        log.error("a report on disk is damaged; its kind is listed again", extra={"data": {"kind": kind}})
        self._counters.dead[kind] += 1
        for watch in self._watches:
            if watch.kind.name == kind:
                watch.relist()

    # ---- delivery ---------------------------------------------------------------------------------------------------

    async def _told(self, one: Outgoing, outcome: Outcome, receipt: Receipt | None) -> None:
        if outcome is Outcome.REFUSED or receipt is None:
            self._counters.dead[one.kind] += 1
            return
        self._counters.results[one.kind, receipt.result] += 1
        self._counters.seconds[one.kind] += max(0.0, time.time() - one.received_at)
        self._counters.warnings[one.kind] += len(receipt.warnings)
        for warning in receipt.warnings:
            self._warn(one, warning)
        if self._settings.mark_persisted and one.kind == "Workflow" and one.source is not None:
            await self._mark(one, one.source)

    def _warn(self, one: Outgoing, warning: str) -> None:
        """Once for each object."""
        if (one.uid, warning) not in self._warned:
            if len(self._warned) > 10_000:
                self._warned.clear()
            self._warned.add((one.uid, warning))
            log.warning("a report has a warning", extra={"data": {**one.named, "warning": warning}})

    async def _mark(self, one: Outgoing, source: bytes) -> None:
        workflow = json.loads(source)
        for attempt in range(MARK_TRIES):
            try:
                self._counters.marked += await mark_persisted(self._api, workflow)
            except (ApiError, AccessError, httpx.TransportError) as error:
                reason = f"{type(error).__name__}: {error}"
                await asyncio.sleep(0.25 * 2**attempt)
            else:
                return
        log.warning("a Workflow could not be labelled as persisted", extra={"data": {**one.named, "reason": reason}})

    async def _drain(self) -> None:
        """Until nothing waits, the server is away or the time is up."""
        emptied = asyncio.create_task(self._waiting.emptied())
        end = time.monotonic() + self._settings.drain_s
        while not emptied.done() and not self._writers.away and time.monotonic() < end:
            await asyncio.wait([emptied], timeout=0.05)
        await _cancel(emptied)

    async def _checkpoints(self) -> None:
        while True:
            await asyncio.sleep(CHECKPOINT_S)
            self._checkpoint()

    def _checkpoint(self) -> None:
        places = {(watch.kind.name, watch.namespace): watch.progress.safe for watch in self._watches}
        changed = {place: version for place, version in places.items() if version and self._checked.get(place) != version}
        try:
            self._state.checkpoint(changed)
        except sqlite3.OperationalError as error:
            log.error("the positions cannot be kept", extra={"data": {"error": str(error)}})  # noqa: TRY400 - no fault of ours
            return
        self._checked.update(changed)

    # ---- status -----------------------------------------------------------------------------------------------------

    def _metrics(self) -> Answer:
        text = exposition(
            self._watches,
            self._waiting.depths(),
            self._counters,
            spooled_bytes=self._state.spooled_bytes,
            memory_bytes=self._waiting.in_memory[1],
            away=self._writers.away,
        )
        return 200, "text/plain; version=0.0.4", text

    def _health(self) -> Answer:
        return health(self._watches, stale_s=self._settings.stale_s, started_at=self._started_at)


async def _cancel(*tasks: "asyncio.Task[object]") -> None:
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            log.error("a part of the agent failed", exc_info=result)


async def run_agent(settings: Settings, access: Access, state: AgentState, say: Callable[[str], None]) -> None:
    """Until SIGTERM or SIGINT. `say` gets the address of /metrics and /healthz."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, _show_tasks)
    await Agent(settings, access, state).run(stop, say)


def _show_tasks() -> None:
    """On stderr, where each part of the agent stands; for whoever asks why nothing moves."""
    for task in asyncio.all_tasks():
        task.print_stack()
