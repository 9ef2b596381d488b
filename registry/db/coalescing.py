"""Joining hot writes of one worker: what has queued while the last group ran goes into the next transaction together.

No call waits for company: a group is whatever is there when the one before has committed.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from registry.db.session import Session
from registry.errors import Aborted, OutcomeUnknown, RegistryError, Unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")
MAX_GROUP = 64


Answers = list[Result | RegistryError]


@dataclass(frozen=True)
class HotKind(Generic[Item, Result]):
    """`run_many` checks and writes all items set-based; its answer has a result or an error per item, in their order."""

    name: str
    run_many: Callable[[Session, Sequence[Item]], "Answers[Result]"]
    replayable: bool = True
    """Whether running again after a commit whose outcome is unknown does no harm."""
    at_once: Callable[[Session, Sequence[Item]], "Answers[Result] | None"] | None = None
    """`run_many` for PostgreSQL without a transaction, whose BEGIN and COMMIT are round trips of their own: what changes anything
    is one statement (`Session.change`). None: nothing was changed, `run_many` is to do it.
    """


@dataclass(eq=False, slots=True)
class _Waiting:
    item: Any
    result: "asyncio.Future[Any]"
    begun: bool = False
    ended: "asyncio.Future[None] | None" = None
    """For a caller that was cancelled after its group had begun."""

    def settle(self, result: object) -> None:
        if self.ended is not None and not self.ended.done():
            self.ended.set_result(None)
        self.begun = False
        if self.result.done():
            return
        if isinstance(result, BaseException):
            self.result.set_exception(result)
        else:
            self.result.set_result(result)


class Coalescer(Generic[Item, Result]):
    """One kind's queue in one event loop. No task of its own: what ends a group begins the next."""

    def __init__(self, kind: HotKind[Item, Result], submit: "Callable[[Sequence[Item]], Future[Answers[Result]]]") -> None:
        self._kind = kind
        self._submit = submit
        self._waiting: deque[_Waiting] = deque()
        self._alone: deque[_Waiting] = deque()
        """Of a group that failed as a whole: one bad item must not sink the others."""
        self._busy = False

    async def run(self, item: Item) -> Result:
        """The item's own result; its own error is raised.

        A cancelled caller leaves the queue, or is waited for once its group has begun.
        """
        loop = asyncio.get_running_loop()
        entry = _Waiting(item, loop.create_future())
        self._waiting.append(entry)
        if not self._busy:
            self._begin_next(loop)
        try:
            result: Result = await entry.result
        except asyncio.CancelledError:
            if entry.begun:
                entry.ended = loop.create_future()
                await outlasting_cancellation(entry.ended)
            raise
        return result

    def _begin_next(self, loop: asyncio.AbstractEventLoop) -> None:
        self._busy = True
        while self._busy:
            group = [self._alone.popleft()] if self._alone else self._group()
            if not group:
                self._busy = False
            elif self._begin(loop, group):
                return

    def _group(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        while self._waiting and len(group) < MAX_GROUP:
            entry = self._waiting.popleft()
            if not entry.result.cancelled():
                group.append(entry)
        return group

    def _begin(self, loop: asyncio.AbstractEventLoop, group: list[_Waiting]) -> bool:
        """Whether it has begun; else everybody in it knows why not."""
        items = [entry.item for entry in group]
        try:
            running = self._submit(items)
        except RegistryError as error:
            for entry in group:
                entry.settle(error)
            return False
        for entry in group:
            entry.begun = True
        running.add_done_callback(lambda ended: self._from_thread(loop, group, ended))
        return True

    def _from_thread(self, loop: asyncio.AbstractEventLoop, group: list[_Waiting], ended: "Future[Any]") -> None:
        try:
            loop.call_soon_threadsafe(self._end, loop, group, ended)
        except RuntimeError:  # the loop is closed: nobody waits any more
            self._waiting.clear()
            self._alone.clear()
            self._busy = False

    def _end(self, loop: asyncio.AbstractEventLoop, group: list[_Waiting], ended: "Future[Any]") -> None:
        error = ended.exception()
        results = [] if error is not None else ended.result()
        if error is None and len(results) != len(group):
            error = RuntimeError(f"{self._kind.name}: {len(results)} results for {len(group)} items")
        if error is None:
            for entry, result in zip(group, results, strict=True):
                entry.settle(result)
        elif len(group) == 1 or _is_final(error):
            for entry in group:
                entry.settle(error)
        else:
            self._alone.extend(group)
        self._begin_next(loop)


def _is_final(error: BaseException) -> bool:
    """Without a database 64 further attempts would only take longer; and what may have been committed must not be tried again."""
    return isinstance(error, OutcomeUnknown) or (isinstance(error, Unavailable) and not isinstance(error, Aborted))


async def outlasting_cancellation(future: "asyncio.Future[Any]") -> None:
    """Wait for the end of what may commit, however often the caller is cancelled meanwhile; its result is dropped."""
    while not future.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({future})
    if not future.cancelled():
        future.exception()  # looked at, so that asyncio does not report it as lost
