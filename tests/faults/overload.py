"""More load than a server keeps up with: an open loop of log-batches, sent by the clock whatever comes back.

`python -m tests.faults.overload` with SECONDS and DB in the environment prints what `docs/reliability.md` has.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks.processes import peak_rss_mib
from benchmarks.wire import Address, read_head, request
from tests.faults.cases import Stage, staged
from tests.faults.databases import KINDS

KEYS = 1_000
CLIENTS = 8
"""Of the closed loop that finds out what the server keeps up with."""

BATCHES = 1_000
TIMES = 10
ANSWER_S = 30.0
"""Whoever is not answered by then counts as hanging."""


@dataclass
class Answers:
    """Of one phase. `seconds`: of what was accepted."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    without_retry_after: int = 0
    hanging: int = 0
    broken: Counter[str] = field(default_factory=Counter)

    @property
    def p99(self) -> float:
        return sorted(self.seconds)[int(0.99 * len(self.seconds))] if self.seconds else 0.0


@dataclass
class Overloaded:
    rate: float
    """Batches a second that the server keeps up with."""

    full: Answers
    over: Answers
    after: Answers
    peak_mib: float
    stored: int
    """Points of the runs at the end; `KEYS` for each batch that was accepted, but those that were sent again."""


async def ask(address: Address, data: bytes, answers: Answers) -> None:
    """One call on a connection of its own."""
    began = time.perf_counter()
    try:
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_connection(*address)
            try:
                writer.write(data)
                head = await reader.readuntil(b"\r\n\r\n")
            finally:
                writer.close()
    except TimeoutError:
        answers.hanging += 1
        return
    except (OSError, asyncio.IncompleteReadError) as error:
        answers.broken[type(error).__name__] += 1
        return
    status, _ = read_head(head[:-4])
    answers.statuses[status] += 1
    if status == 204:
        answers.seconds.append(time.perf_counter() - began)
    elif status == 429 and b"\r\nretry-after:" not in head.lower():
        answers.without_retry_after += 1


async def closed(address: Address, batches: list[bytes], seconds: float) -> Answers:
    """`CLIENTS` callers, each sending its next batch when it is answered."""
    answers, ends = Answers(), time.monotonic() + seconds

    async def one() -> None:
        while batches and time.monotonic() < ends:
            await ask(address, batches.pop(), answers)

    await asyncio.gather(*(one() for _ in range(CLIENTS)))
    return answers


async def opened(address: Address, batches: list[bytes], rate: float, seconds: float) -> Answers:
    """`rate` calls a second."""
    answers, began, going = Answers(), time.monotonic(), set[asyncio.Task[None]]()
    number = 0
    while time.monotonic() < began + seconds:
        while number < (time.monotonic() - began) * rate:
            task = asyncio.create_task(ask(address, batches[number % len(batches)], answers))
            going.add(task)
            task.add_done_callback(going.discard)
            number += 1
        await asyncio.sleep(0.001)
    await asyncio.gather(*going)
    return answers


def overload(stage: Stage, seconds: float, *, warm_s: float = 3.0) -> Overloaded:
    """Each phase logs to a run of its own: a run that has many points already costs more pages of the database."""
    url = httpx.URL(stage.ours.url)
    address = (str(url.host), int(url.port or 0))
    runs = [httpx.post(f"{url}/api/v1/runs", json={"name": f"overload {n}"}, timeout=60).json()["id"] for n in range(3)]
    first, second, third = (made(run) for run in runs)
    full = asyncio.run(closed(address, first, warm_s))
    rate = full.statuses[204] / warm_s
    over = asyncio.run(opened(address, second, TIMES * rate, seconds))
    time.sleep(5)
    after = asyncio.run(closed(address, third, warm_s))
    return Overloaded(rate, full, over, after, peak_rss_mib(stage.ours.pid), sum(_points(stage.ours.url, run) for run in runs))


def made(run: str) -> list[bytes]:
    """Batches that differ in their step: each accepted one adds `KEYS` points, unless it was accepted before."""
    found = []
    for step in range(BATCHES):
        points = [{"key": f"m{number}", "value": 0.5, "at": 1, "step": step} for number in range(KEYS)]
        found.append(request("POST", f"/api/v1/runs/{run}/log", json.dumps({"metrics": points}).encode()))
    return found


def _points(url: str, run: str) -> int:
    with httpx.Client(base_url=url, timeout=60) as http:
        seen: Any = http.get(f"/api/v1/runs/{run}/metrics/m0", params={"page_size": 25_000}).json()
        return len(seen["metrics"]) * KEYS


def main() -> int:
    seconds, name = float(os.environ.get("SECONDS") or 60), os.environ.get("DB") or "sqlite"
    with tempfile.TemporaryDirectory(prefix="lineal-overload.") as scratch:
        folder = Path(scratch)
        folder.chmod(0o711)
        database = KINDS[name](folder)
        try:
            with staged(database, folder) as stage:
                found = overload(stage, seconds)
        finally:
            database.stop()
    for title, answers in (("full rate", found.full), (f"{TIMES} times as many", found.over), ("5 s later", found.after)):
        told = ", ".join(f"{status}: {count}" for status, count in sorted(answers.statuses.items()))
        print(
            f"{name}: {title}: {told}; p99 of the accepted {answers.p99 * 1000:.0f} ms; "
            f"{answers.hanging} hanging, {sum(answers.broken.values())} broken off"
        )
    print(f"{name}: {found.rate:.0f} batches/s kept up with; peak {found.peak_mib:.0f} MiB")
    return int(bool(found.over.hanging or found.over.without_retry_after))


if __name__ == "__main__":
    sys.exit(main())
