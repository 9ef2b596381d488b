"""Reports that wait to be sent: by object, the newest in the place of older ones that say no more than it does.

In memory while the server answers, on disk while it does not. Both have a limit; at it `put` waits, and so the watch that puts
stops to read. Nothing is thrown away. One report of an object is under way at a time, in the order in which they came.
"""

import asyncio
import contextlib
import logging
import sqlite3
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection
from dataclasses import dataclass

from agent.delivery.outgoing import Outgoing
from agent.delivery.state import AgentState, Spoilt

log = logging.getLogger("lineal.agent.delivery")

DISK_AGAIN_S = 5.0
"""Until a disk without room is tried again."""


@dataclass(frozen=True, slots=True)
class Limits:
    reports: int = 1000
    """In memory."""
    memory_bytes: int = 16 * 1024 * 1024
    disk_bytes: int = 1024 * 1024 * 1024


@dataclass(slots=True, eq=False)
class _Slot:
    """A report in memory, or the number that it has on disk."""

    kind: str
    received_at: float
    one: Outgoing | None = None
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class Depth:
    reports: int
    oldest_at: float | None


class Waiting:
    """Used from one event loop. `spoilt`: told the kind of a report that the disk has damaged."""

    def __init__(
        self, state: AgentState, limits: Limits | None = None, *, spoilt: Callable[[str], None] = lambda _: None
    ) -> None:
        self._state, self._limits, self._spoilt = state, limits or Limits(), spoilt
        self._lines: OrderedDict[str, deque[_Slot]] = OrderedDict()
        self._under_way: dict[str, _Slot] = {}
        self._reports = self._bytes = 0
        self._away = False
        self._news = asyncio.Condition()
        for seq, kind, uid, received_at in state.spooled():
            self._lines.setdefault(uid, deque()).append(_Slot(kind, received_at, seq=seq))

    async def put(self, one: Outgoing) -> None:
        """Waits for room."""
        while True:
            async with self._news:
                await self._news.wait_for(lambda: self._takes(one))
                try:
                    self._put(one)
                except sqlite3.OperationalError as error:
                    log.error("the spool cannot be written", extra={"data": {"error": str(error)}})  # noqa: TRY400
                else:
                    self._news.notify_all()
                    return
            await asyncio.sleep(DISK_AGAIN_S)

    async def take(self) -> Outgoing:
        """The one that waits longest, of an object of which none is under way. Ends in `done` or `give_back`."""
        async with self._news:
            while True:
                await self._news.wait_for(lambda: self._next() is not None)
                one = self._take()
                if one is not None:
                    return one

    async def take_more(self, count: int, size_bytes: int, *, until: Collection[str] = ()) -> list[Outgoing]:
        """Those that come next, as many as there are, but at most so many and so many bytes, and none of the uids `until` or
        behind it. Each ends as those of `take`.
        """
        found: list[Outgoing] = []
        async with self._news:
            while len(found) < count and (uid := self._next()) is not None and uid not in until:
                one = self._take()
                if one is None:
                    continue
                if one.size_bytes > size_bytes:
                    self._lines.setdefault(one.uid, deque()).appendleft(self._under_way.pop(one.uid))
                    self._lines.move_to_end(one.uid, last=False)
                    break
                found.append(one)
                size_bytes -= one.size_bytes
        return found

    async def done(self, one: Outgoing) -> None:
        """Delivered, or refused for ever."""
        async with self._news:
            slot = self._under_way.pop(one.uid)
            if slot.seq is not None:
                with contextlib.suppress(sqlite3.OperationalError):  # no room to forget it: it is sent again some day
                    self._state.remove(slot.seq)
            else:
                self._count(one, -1)
                one.settle()
            self._news.notify_all()

    async def give_back(self, one: Outgoing) -> None:
        """Not delivered: it waits again, behind the reports of other objects and before those of its own."""
        async with self._news:
            slot = self._under_way.pop(one.uid)
            line = self._lines.setdefault(one.uid, deque())
            line.appendleft(slot)
            self._lines.move_to_end(one.uid)
            if self._away:
                self._spool()
            self._news.notify_all()

    async def server_is_away(self) -> None:
        """From now on reports go to disk, those in memory at once, as far as there is room."""
        async with self._news:
            self._away = True
            self._spool()
            self._news.notify_all()

    async def server_is_back(self) -> None:
        async with self._news:
            self._away = False
            self._news.notify_all()

    async def emptied(self) -> None:
        """Returns once nothing waits and nothing is under way."""
        async with self._news:
            await self._news.wait_for(lambda: not self._lines and not self._under_way)

    def depths(self) -> dict[str, Depth]:
        """By kind, those under way included."""
        found: defaultdict[str, list[float]] = defaultdict(list)
        for slot in (*self._under_way.values(), *(slot for line in self._lines.values() for slot in line)):
            found[slot.kind].append(slot.received_at)
        return {kind: Depth(len(times), min(times)) for kind, times in found.items()}

    @property
    def in_memory(self) -> tuple[int, int]:
        """Reports and bytes."""
        return self._reports, self._bytes

    # ---- under the lock ---------------------------------------------------------------------------------------------

    def _take(self) -> Outgoing | None:
        """The next, of which there is one; None: the disk has damaged it."""
        uid = self._next()
        assert uid is not None  # noqa: S101 - what was waited for
        slot = self._lines[uid].popleft()
        if not self._lines[uid]:
            del self._lines[uid]
        one = slot.one
        if slot.seq is not None:
            try:
                one = self._state.read(slot.seq)
            except Spoilt as spoilt:
                self._state.remove(slot.seq)
                self._spoilt(spoilt.kind)
                self._news.notify_all()  # there is room, or nothing is left
                return None
        assert one is not None  # noqa: S101 - a slot has one or the other
        self._under_way[uid] = slot
        return one

    def _next(self) -> str | None:
        return next((uid for uid in self._lines if uid not in self._under_way), None)

    def _takes(self, one: Outgoing) -> bool:
        replaced = self._replaced(one)
        if self._away or (replaced is not None and replaced.seq is not None):
            return self._state.spooled_bytes < self._limits.disk_bytes
        return replaced is not None or (self._reports < self._limits.reports and self._bytes < self._limits.memory_bytes)

    def _replaced(self, one: Outgoing) -> _Slot | None:
        """The slot whose place it takes."""
        line = self._lines.get(one.uid)
        if not line:
            return None
        last = line[-1]
        if last.seq is not None:
            lasting, gone = self._state.lasting(last.seq)
        else:
            assert last.one is not None  # noqa: S101 - a slot has one or the other
            lasting, gone = last.one.lasting, last.one.gone
        return last if one.replaces(lasting, gone=gone) else None

    def _put(self, one: Outgoing) -> None:
        replaced = self._replaced(one)
        slot = _Slot(one.kind, one.received_at if replaced is None else replaced.received_at)
        if self._away or (replaced is not None and replaced.seq is not None):
            [slot.seq] = self._state.append([(one, replaced.seq if replaced is not None else None)])
        else:
            slot.one = one
            self._count(one, 1)
        line = self._lines.setdefault(one.uid, deque())
        if replaced is not None:
            line.pop()
            if replaced.one is not None:
                self._count(replaced.one, -1)
                replaced.one.settle()
        line.append(slot)
        if slot.seq is not None:
            one.settle()

    def _spool(self) -> None:
        moved: list[tuple[_Slot, Outgoing]] = []
        room = self._limits.disk_bytes - self._state.spooled_bytes
        for line in self._lines.values():
            for slot in line:
                if slot.one is not None and room > 0:
                    moved.append((slot, slot.one))
                    room -= slot.one.size_bytes
        try:
            numbers = self._state.append([(one, None) for _, one in moved])
        except sqlite3.OperationalError as error:
            log.error("the spool cannot be written", extra={"data": {"error": str(error)}})  # noqa: TRY400 - no fault of ours
            return
        for (slot, one), seq in zip(moved, numbers, strict=True):
            self._count(one, -1)
            slot.one, slot.seq = None, seq
            one.settle()

    def _count(self, one: Outgoing, sign: int) -> None:
        self._reports += sign
        self._bytes += sign * one.size_bytes
