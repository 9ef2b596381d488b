"""From the start of the process to its first answer, on a database that is already there; and what an idle server holds."""

import os
import time
from collections.abc import Callable
from functools import partial

from benchmarks import processes
from benchmarks.measuring import Meter, Side
from benchmarks.servers import Server, start_lineal, start_mlflow
from benchmarks.stage import Area, Case, Goal, Stage

IDLE_S = 2.0

Start = Callable[[], Server]


def starts(stage: Stage) -> list[tuple[str, Start]]:
    """Each on a database that it has made before."""
    ours = partial(start_lineal, stage.folder / "started", stage.url("lineal"), workers=stage.workers, pause_s=0.005)
    found: list[tuple[str, Start]] = [("ours", ours)]
    if not stage.alone:
        peer = partial(start_mlflow, stage.folder / "peer", stage.url("mlflow"), workers=stage.workers, pause_s=0.005)
        found.append((f"mlflow, {stage.workers} worker{'s' * (stage.workers > 1)}", peer))
    for name, start in found:
        stage.kept(f"started {name}", lambda start=start: str(start().stop()))  # type: ignore[misc]
    return found


def start_once(start: Start, meter: Meter) -> float:
    with meter.timed():
        server = start()
    try:
        meter.server_cpu_s = processes.cpu_seconds(server.pid)
        meter.peak_rss_mib = processes.peak_rss_mib(server.pid)
        return meter.seconds
    finally:
        server.stop()


def hold_once(start: Start, meter: Meter) -> float:
    server = start()
    try:
        with meter.timed():
            time.sleep(IDLE_S)
        meter.server_cpu_s = 0.0
        meter.peak_rss_mib = processes.peak_rss_mib(server.pid)
        return processes.rss_mib(server.pid)
    finally:
        server.stop()


def sides(once: Callable[[Start, Meter], float], stage: Stage) -> list[Side]:
    return [Side(name, os.getpid(), partial(once, start)) for name, start in starts(stage)]


AREA = Area(
    "starting",
    [
        Case("start to first answer", "s", partial(sides, start_once), {"sqlite": Goal(limit=1.0), "postgres": Goal(limit=1.0)}),
        Case(
            "idle memory",
            "MiB",
            partial(sides, hold_once),
            {"sqlite": Goal(limit=120), "postgres": Goal(limit=120), "postgres, 2 workers": Goal(limit=200)},
        ),
    ],
    part_of="mlflow",
)
