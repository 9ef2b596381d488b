"""Storing the fragments that readers have built: after the answer, a few at a time, and without anybody waiting for it."""

import asyncio
import logging

from registry.catalog.fragments import keep_fragment
from registry.db.runner import Runner
from registry.names import FragmentKind

log = logging.getLogger("lineal.server")
AT_ONCE = 2
"""More would take the database's threads and SQLite's writer from those who wait for an answer."""


class FragmentKeeper:
    """One per process. What cannot be stored now is left out: the next reader builds it again."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._going: dict[int, asyncio.Task[None]] = {}

    def keep(self, run: int, kind: FragmentKind, version: int, body: bytes) -> None:
        """Returns at once; never raises for the database."""
        if run in self._going or len(self._going) >= AT_ONCE:
            return
        task = asyncio.get_running_loop().create_task(self._keep(run, kind, version, body))
        self._going[run] = task
        task.add_done_callback(lambda _task: self._going.pop(run, None))

    async def _keep(self, run: int, kind: FragmentKind, version: int, body: bytes) -> None:
        try:
            await self._runner.awrite(lambda session: keep_fragment(session, run, kind, version, body), replayable=True)
        except Exception:  # the answer has been given; nothing is lost
            log.debug("a fragment was not stored", exc_info=True)
