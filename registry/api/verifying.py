"""Reading what came to the object store without passing through us, so that its digest is known: soon after an upload that was
completed here, and in passing (hourly) whatever else has none.
"""

import asyncio
import logging
from functools import partial

from registry.catalog.unverified import UNUSED_MS, Unverified, claim, find_unverified, forget, list_unverified, verified
from registry.db.runner import Runner
from registry.errors import RegistryError
from storage.errors import ObjectNotFound, StorageError
from storage.store import ObjectStore, digest

log = logging.getLogger("lineal.server")
SETTLED_MS = 3_600_000
"""Longer than a link lives: after that no byte comes by it."""


class Verifier:
    """One per process; it reads one file at a time. What fails is left to the next passing."""

    def __init__(self, runner: Runner, store: ObjectStore) -> None:
        self._runner = runner
        self._store = store
        self._one = asyncio.Semaphore(1)
        self._going: set[asyncio.Task[None]] = set()

    def soon(self, key: str) -> None:
        """Returns at once."""
        task = asyncio.get_running_loop().create_task(self._uploaded(key))
        self._going.add(task)
        task.add_done_callback(self._going.discard)

    async def pass_by(self, *, now: int) -> None:
        """Whatever has no digest and is older than its link: read, or forgotten where nothing came."""
        after = 0
        before = now - SETTLED_MS
        while page := await self._runner.aread(partial(list_unverified, before=before, after=after)):
            for file in page:
                await self._settled(file, now=now)
            after = page[-1].id

    async def _uploaded(self, key: str) -> None:
        async with self._one:
            try:
                file = await self._runner.aread(lambda session: find_unverified(session, key))
                if file is not None:
                    await self._read(file)
            except (RegistryError, StorageError):
                log.warning("a file was not verified and will be later", exc_info=True)

    async def _settled(self, file: Unverified, *, now: int) -> None:
        async with self._one:
            try:
                await asyncio.to_thread(self._store.stat, file.key)
                claimed = await self._runner.awrite(lambda session: claim(session, file, now=now), replayable=True)
                if claimed is not None:
                    await self._read(claimed)
            except ObjectNotFound:
                if file.updated_at < now - UNUSED_MS:
                    await self._runner.awrite(lambda session: forget(session, file), replayable=True)
            except StorageError:
                log.warning("a file was not verified and will be later", exc_info=True)

    async def _read(self, file: Unverified) -> None:
        found = await asyncio.to_thread(digest, self._store, file.key)
        await self._runner.awrite(lambda session: verified(session, file, found), replayable=True)
