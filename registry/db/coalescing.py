"""Joining hot writes of one worker: what has queued while the last group ran goes into the next transaction together.

No call waits for company: a group is whatever is there when the one before has committed.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from registry.db.session import Session
from registry.errors import Aborted, RegistryError, Unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")
MAX_GROUP = 64


@dataclass(frozen=True)
class HotKind(Generic[Item, Result]):
    """`run_many` checks and writes all items set-based; its answer has a result or an error per item, in their order."""

    name: str
    run_many: Callable[[Session, Sequence[Item]], "list[Result | RegistryError]"]


class Coalescer(Generic[Item, Result]):
    """One kind's queue in one event loop."""

    def __init__(self, kind: HotKind[Item, Result], write: Callable[..., Awaitable[Any]]) -> None:
        self._kind = kind
        self._write = write
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def run(self, item: Item) -> Result:
        """The item's own result; its own error is raised.

        A cancelled caller leaves the queue, or is waited for once its group has begun.
        """
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        entry = (item, future)
        self._waiting.append(entry)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._drain())
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if any(waiting is entry for waiting in self._waiting):
                future.cancel()  # _drain leaves it out
            else:
                await outlasting_cancellation(future)
            raise

    async def _drain(self) -> None:
        group: list[tuple[Item, asyncio.Future[Result]]] = []
        try:
            while self._waiting:
                group = [entry for entry in self._waiting[:MAX_GROUP] if not entry[1].cancelled()]
                del self._waiting[:MAX_GROUP]
                if group:
                    await self._run_group(group)
        finally:  # the loop is ending, or run_many broke its promise: nobody may wait for ever
            for _, future in [*group, *self._waiting]:
                _settle(future, Unavailable("the server is shutting down"))
            self._waiting.clear()

    async def _run_group(self, group: "list[tuple[Item, asyncio.Future[Result]]]") -> None:
        items = [item for item, _ in group]
        try:
            results = await self._write(lambda session: self._kind.run_many(session, items), replayable=True)
            if len(results) != len(items):
                raise RuntimeError(f"{self._kind.name}: {len(results)} results for {len(items)} items")
        except Exception as error:  # noqa: BLE001  (whatever it is belongs to the callers)
            if len(group) == 1 or (isinstance(error, Unavailable) and not isinstance(error, Aborted)):
                for _, future in group:  # without a database 64 further attempts would only take longer
                    _settle(future, error)
                return
            for entry in group:  # one bad item must not sink its group
                await self._run_group([entry])
            return
        for (_, future), result in zip(group, results, strict=True):
            _settle(future, result)


async def outlasting_cancellation(future: "asyncio.Future[Any]") -> None:
    """Wait for the end of what may commit, however often the caller is cancelled meanwhile; its result is dropped."""
    while not future.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({future})
    if not future.cancelled():
        future.exception()  # looked at, so that asyncio does not report it as lost


def _settle(future: "asyncio.Future[Any]", result: object) -> None:
    if future.done():
        return
    if isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)
