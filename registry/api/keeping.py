"""Storing the fragments that readers have built: after the answer, a few at a time, and without anybody waiting for it."""

import asyncio
import logging
from collections.abc import Sequence

from registry.catalog.fragments import Built, keep_fragments
from registry.db.runner import Runner
from registry.names import FragmentKind

log = logging.getLogger("lineal.server")
AT_ONCE = 2
"""More would take the database's threads and SQLite's writer from those who wait for an answer."""

TOGETHER = 100
"""In one transaction: some hundred kilobytes."""


class FragmentKeeper:
    """One per process. What cannot be stored now is left out: the next reader builds it again."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._going: set[asyncio.Task[None]] = set()

    def keep(self, kind: FragmentKind, built: Sequence[Built]) -> None:
        """Returns at once; never raises for the database."""
        if not built or len(self._going) >= AT_ONCE:
            return
        task = asyncio.get_running_loop().create_task(self._keep(kind, built))
        self._going.add(task)
        task.add_done_callback(self._going.discard)

    async def _keep(self, kind: FragmentKind, built: Sequence[Built]) -> None:
        try:
            for start in range(0, len(built), TOGETHER):
                part = built[start : start + TOGETHER]
                await self._runner.awrite(lambda session, part=part: keep_fragments(session, kind, part), replayable=True)  # type: ignore[misc]
        except Exception:  # the answer has been given; nothing is lost
            log.debug("fragments were not stored", exc_info=True)
