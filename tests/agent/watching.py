"""A watch on the fake API server, in a thread of its own, and what it told so far."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from ssl import SSLContext, create_default_context
from typing import Any

from agent.cluster.access import Access
from agent.cluster.api import ClusterApi
from agent.cluster.credentials import Credentials, Fixed
from agent.kinds import KINDS
from agent.watching.change import Change, Sign
from agent.watching.watch import Pace, Watch
from tests.agent.fake_api import FakeApi

QUICK = Pace(page=2, silence_s=0.6, watch_s=(5, 6), first_pause_s=0.02, longest_pause_s=0.1, absent_s=0.05, calm_s=0.5)
PATIENCE_S = 30.0
[WORKFLOW] = [kind for kind in KINDS if kind.name == "Workflow"]


def access_to(
    url: str, credentials: Credentials | None = None, *, context: SSLContext | None = None, token: str | None = None
) -> Access:
    return Access(url, context or create_default_context(), credentials or Fixed(token), "default")


class Told:
    """What the watch has told, in order. It settles everything at once, unless it holds."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.hold = False
        self.watch: Watch | None = None
        self._news = threading.Condition()

    async def take(self, change: Change) -> None:
        with self._news:
            self.changes.append(change)
            self._news.notify_all()
        if not self.hold:
            change.progress.settle(change.ticket)

    @property
    def short(self) -> list[tuple[str, str]]:
        """The sign and the name of each."""
        return [(change.sign.value, change.seen.name) for change in self.changes]

    def of(self, name: str) -> list[Sign]:
        return [change.sign for change in self.changes if change.seen.name == name]

    def wait(self, wanted: Callable[[], bool], what: str = "") -> None:
        end = time.monotonic() + PATIENCE_S
        while not wanted():
            if time.monotonic() > end:
                raise AssertionError(f"{what or 'what was waited for'} did not come: {self.short}")
            with self._news:
                self._news.wait(0.02)

    def wait_for(self, *expected: tuple[str, str]) -> None:
        """These have been told, whatever else was."""
        self.wait(lambda: all(one in self.short for one in expected), str(expected))

    @property
    def figures(self) -> Any:
        assert self.watch is not None
        return self.watch.figures


@contextmanager
def watching(api: FakeApi, *, credentials: Credentials | None = None, told: Told | None = None, **options: Any) -> Iterator[Told]:
    told = told or Told()
    options = {"pace": QUICK, "kind": WORKFLOW, **options}
    kind = options.pop("kind")
    access = options.pop("access", None) or access_to(api.url, credentials)
    loop = asyncio.new_event_loop()
    failed: list[BaseException] = []

    cluster = ClusterApi(access)
    watch = told.watch = Watch(cluster, kind, told, **options)

    async def run() -> None:
        async with cluster:
            await watch.run()

    task = loop.create_task(run())

    def work() -> None:
        try:
            loop.run_until_complete(task)
        except asyncio.CancelledError:
            return
        except BaseException as error:  # noqa: BLE001 - shown by the test
            failed.append(error)
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield told
    finally:
        if not loop.is_closed():
            loop.call_soon_threadsafe(task.cancel)
        thread.join(10)
    assert not failed, failed


def token_file(folder: Path, token: str) -> Path:
    file = folder / "token"
    file.write_text(token)
    return file
