"""One repeat, and many: the clock, the processors of server and database, what strangers took, taking turns.

A repeat is a call of a side's `once(meter)`: it prepares, does its work inside `meter.timed()`, checks the answers and gives
the value in the case's unit. Only what lies inside `timed` is measured.
"""

import math
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks import processes
from benchmarks.apis import WrongAnswer
from benchmarks.wire import Exchange, WireError

NOISE = 0.15
"""Share of the machine that other processes may take during a repeat that counts."""

ATTEMPTS = 3
"""How often a noisy repeat is made again, at most."""

SECONDS = 1.0
"""How long a repeat of small calls goes on: long enough for /proc's ticks of 10 ms to mean something."""


@dataclass
class Meter:
    """Measures what happens inside `timed`; the side says how many operations that was."""

    server: int
    database: int | None = None
    operations: int = 1
    seconds: float = 0.0
    server_cpu_s: float = 0.0
    database_cpu_s: float = 0.0
    peak_rss_mib: float = 0.0
    foreign: float = 0.0

    @contextmanager
    def timed(self) -> Iterator[None]:
        processes.forget_peak(self.server)
        before = self._read()
        yield
        wall, server, database, own, busy = (now - then for now, then in zip(self._read(), before, strict=True))
        self.seconds, self.server_cpu_s, self.database_cpu_s = wall, server, database
        self.foreign = min(1.0, max(0.0, busy - own) / (wall * (os.cpu_count() or 1)))
        self.peak_rss_mib = processes.peak_rss_mib(self.server)

    def _read(self) -> tuple[float, float, float, float, float]:
        server = processes.cpu_seconds(self.server)
        database = 0.0 if self.database is None else processes.cpu_seconds(self.database)
        return time.perf_counter(), server, database, processes.cpu_seconds(os.getpid()), processes.machine_busy_seconds()


@dataclass(frozen=True)
class Side:
    """Who does the work of a case. `server` is measured, so is `database` if there is a process of it.

    `is_base`: ours is compared with it, and it is not only shown beside it.
    """

    name: str
    server: int
    once: Callable[[Meter], float]
    database: int | None = None
    is_base: bool = True


@dataclass(frozen=True)
class Repeat:
    value: float
    meter: Meter

    @property
    def is_quiet(self) -> bool:
        return self.meter.foreign <= NOISE


@dataclass
class Results:
    """All repeats of one side; `error` says why there are none to trust."""

    name: str
    repeats: list[Repeat] = field(default_factory=list)
    noisy: list[Repeat] = field(default_factory=list)
    error: str = ""
    is_base: bool = True

    @property
    def values(self) -> list[float]:
        return [repeat.value for repeat in self.repeats]

    @property
    def median(self) -> float | None:
        return statistics.median(self.values) if self.values and not self.error else None

    def average(self, of: Callable[[Meter], float]) -> float:
        return statistics.median(of(repeat.meter) for repeat in self.repeats) if self.repeats else math.nan


def take_turns(
    sides: Sequence[Side], repeats: int, *, count_noisy: bool = False, say: Callable[[str], object] = str
) -> list[Results]:
    """`repeats` of each side, one after the other. Noisy repeats are made again, and shown; a wrong answer ends a side."""
    found = [Results(side.name, is_base=side.is_base) for side in sides]
    for number in range(repeats):
        for side, results in zip(sides, found, strict=True):
            say(f"{side.name}, repeat {number + 1} of {repeats}")
            for _ in range(ATTEMPTS):
                if results.error or _once(side, results, count_noisy=count_noisy):
                    break
    return found


def _once(side: Side, results: Results, *, count_noisy: bool) -> bool:
    """One repeat; whether it counts."""
    meter = Meter(side.server, side.database)
    try:
        repeat = Repeat(side.once(meter), meter)
    except (WrongAnswer, WireError, OSError) as error:
        results.error = f"{type(error).__name__}: {error}"
        return False
    counts = count_noisy or repeat.is_quiet
    (results.repeats if counts else results.noisy).append(repeat)
    return counts


def p50_ms(exchanges: Sequence[Exchange]) -> float:
    return statistics.median(one.seconds for one in exchanges) * 1000


def per_second(streams: Sequence[Sequence[Exchange]], weight: int = 1) -> float:
    """From the first request to the last answer."""
    everything = [one for stream in streams for one in stream]
    begin = min(one.sent_at for one in everything)
    end = max(one.sent_at + one.seconds for one in everything)
    return len(everything) * weight / (end - begin)


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The power of the size that the values grow with: 0 flat, 1 linear."""
    return math.log(values[-1] / values[0]) / math.log(sizes[-1] / sizes[0])
