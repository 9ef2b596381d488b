"""Fetching beside the watch: a finished object is told at once, and once more when what it lacks was read.

The second report is of the same picture; the server takes from it what the first did not have, whichever comes first. The change
counts as settled when the second one was delivered, or a first try gave nothing; a source that is away is tried again.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from agent.delivery.outgoing import Outgoing, content_of
from agent.fetching.fetcher import Fetcher
from agent.kinds import translate
from agent.reading import Read, Unreadable
from agent.report import Report
from agent.watching.change import Change, Sign

log = logging.getLogger("lineal.agent")

KINDS = ("Workflow", "Trial")
WORKERS = 4
AGAIN_S = (10.0, 60.0, 300.0)
MAX_BYTES = 64 * 1024 * 1024
_OFFLOADED = b'"offloadNodeStatusVersion"'


class Fetching:
    """`put`: into the queue of reports, which waits for room."""

    def __init__(
        self,
        fetcher: Fetcher,
        put: Callable[[Outgoing], Awaitable[None]],
        cluster: str | None,
        *,
        again_s: tuple[float, ...] = AGAIN_S,
    ) -> None:
        self._fetcher, self._put, self._cluster, self._again_s = fetcher, put, cluster, again_s
        self._waiting: OrderedDict[str, tuple[Change, Callable[[], None], int]] = OrderedDict()
        self._bytes = 0
        self._news = asyncio.Condition()
        self._threads = ThreadPoolExecutor(WORKERS, "fetching")
        self._later: set[asyncio.Task[None]] = set()

    def wants(self, made: Outgoing, change: Change) -> bool:
        """Whether the object may lack something that a source has."""
        if made.kind not in KINDS or change.sign is not Sign.CHANGED:
            return False
        return made.is_final or _OFFLOADED in change.content

    async def offer(self, change: Change, settle: Callable[[], None], tries: int = 0) -> None:
        """The newest picture of an object takes the place of an older one. Without room the oldest object is dropped."""
        async with self._news:
            self._forget(change.seen.uid)
            self._waiting[change.seen.uid] = change, settle, tries
            self._bytes += len(change.content)
            while self._bytes > MAX_BYTES and len(self._waiting) > 1:
                oldest = next(iter(self._waiting))
                log.warning("too much waits to be fetched: an object goes without", extra={"data": {"uid": oldest}})
                self._forget(oldest)
            self._news.notify()

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(WORKERS):
                    group.create_task(self._work())
        finally:
            for task in self._later:
                task.cancel()
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _forget(self, uid: str) -> None:
        found = self._waiting.pop(uid, None)
        if found is not None:
            self._bytes -= len(found[0].content)
            found[1]()

    async def _work(self) -> None:
        while True:
            async with self._news:
                await self._news.wait_for(lambda: bool(self._waiting))
                _, (change, settle, tries) = self._waiting.popitem(last=False)
                self._bytes -= len(change.content)
            try:
                made, missed = await asyncio.get_running_loop().run_in_executor(self._threads, self._fetched, change)
            except Exception:  # whatever a source did: the object was told, and the next ones wait
                log.exception("an object could not be completed", extra={"data": {"uid": change.seen.uid}})
                made, missed = None, False
            if made is None:
                settle()
            else:
                made.settle = settle
                await self._put(made)
            if missed and tries < len(self._again_s):
                task = asyncio.create_task(self._again(change, tries))
                self._later.add(task)
                task.add_done_callback(self._later.discard)

    async def _again(self, change: Change, tries: int) -> None:
        await asyncio.sleep(self._again_s[tries])
        async with self._news:
            if change.seen.uid in self._waiting:  # a newer picture
                return
        await self.offer(change, lambda: None, tries + 1)

    def _fetched(self, change: Change) -> tuple[Outgoing | None, bool]:
        """The second report, None if it says no more than the first; whether a source was away."""
        content = content_of(change)
        if isinstance(content, Unreadable):
            return None, False
        before = translate(Read(change.seen.name, 0, content), self._cluster)
        completed, lines = self._fetcher.complete(content)
        report = translate(Read(change.seen.name, 0, completed), self._cluster)
        if isinstance(report, Unreadable):
            return None, False
        enriched = self._fetcher.enrich(report)
        missed = bool(lines) or len(enriched.warnings) > len(report.warnings)
        for line in [*lines, *enriched.warnings[len(report.warnings) :]]:
            log.warning("something was not fetched", extra={"data": {"uid": change.seen.uid, "warning": line}})
        if isinstance(before, Report) and replace(enriched, warnings=()) == replace(before, warnings=()):
            return None, missed
        made = Outgoing(
            kind=change.kind.name,
            uid=f"{change.seen.uid}+fetched",  # in the queue it neither replaces the object's own reports nor is replaced by them
            name=change.seen.name,
            namespace=change.seen.namespace,
            report=enriched.to_json().encode(),
            source=None,
            lasting=change.kind.lasting(enriched),
            is_final=enriched.is_final,
            received_at=change.received_at,
        )
        return made, missed
