"""Seeded data: the same seed gives the same runs, batches, graph, reports and bytes on every machine.

Nothing here knows a server or a database. Times are milliseconds since 1970-01-01 UTC and begin at EPOCH.
"""

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

SEED = 20261125
EPOCH = 1_750_000_000_000
METRICS = 20
PARAMS = 20
OPTIMISERS = 9
TEAMS = 10
NAMESPACE = "ml"
"""Of the objects that reports are about."""


@dataclass(frozen=True)
class RunData:
    """A finished run. Param `p00` names one of OPTIMISERS in its middle, tag `t0` one of TEAMS."""

    name: str
    hex: str
    started_at: int
    metrics: dict[str, float]
    params: dict[str, str]
    tags: dict[str, str]


@dataclass(frozen=True)
class PointData:
    key: str
    value: float
    at: int
    step: int


class Generator:
    """Each item has a random source of its own, so that item 7 is the same whether or not item 6 was asked for."""

    def __init__(self, seed: int = SEED) -> None:
        self.seed = seed

    def source(self, *what: object) -> random.Random:
        return random.Random(":".join(map(str, (self.seed, *what))))

    def run(self, number: int) -> RunData:
        source = self.source("run", number)
        return RunData(
            name=f"run-{number:07d}",
            hex=f"{source.getrandbits(128):032x}",
            started_at=EPOCH + number * 1000,
            metrics={f"m{index:02d}": source.random() for index in range(METRICS)},
            params={"p00": f"opt-{number % OPTIMISERS}-x{source.getrandbits(32):08x}"}
            | {f"p{index:02d}": f"{source.uniform(0, 10):.6f}" for index in range(1, PARAMS)},
            tags={"t0": f"team-{number % TEAMS}"} | {f"t{index}": f"value-{source.randrange(1000)}" for index in range(1, 5)},
        )

    def keys(self, count: int, step: int) -> list[PointData]:
        """One point for each of `count` metrics."""
        source = self.source("keys", count, step)
        return [PointData(f"metric/{index:04d}", source.random(), EPOCH + step, step) for index in range(count)]

    def steps(self, keys: int, steps: int, first: int = 0) -> list[PointData]:
        """`steps` points for each of `keys` metrics, the first at step `first`."""
        source = self.source("steps", keys, steps, first)
        return [
            PointData(f"curve/{index:02d}", source.random(), EPOCH + step, step)
            for index in range(keys)
            for step in range(first, first + steps)
        ]

    def params(self, count: int, number: int) -> dict[str, str]:
        source = self.source("params", count, number)
        return {f"param/{index:03d}": f"{source.uniform(0, 100):.8f}" for index in range(count)}

    def report(self, number: int, steps: int) -> dict[str, Any]:
        """The report of a finished Workflow: a chain of `steps` tasks, each reads what the one before wrote."""
        source = self.source("report", number, steps)
        uid = str(uuid.UUID(int=source.getrandbits(128), version=4))
        return {
            "object": {
                "kind": "Workflow",
                "namespace": NAMESPACE,
                "name": f"train-{uid[:8]}",
                "uid": uid,
                "resource_version": "7",
            },
            "run": {"id": uid, "name": "train", "state": "COMPLETE", "phase": "Succeeded", "pipeline": "bench"}
            | {"started_at": "2026-11-25T08:00:00Z", "finished_at": "2026-11-25T09:00:00Z"},
            "tasks": [_task(uid, index) for index in range(steps)],
        }

    def block(self, size: int = 1 << 20) -> bytes:
        """Bytes that do not compress; large files repeat them."""
        return self.source("block").randbytes(size)


def _task(uid: str, index: int) -> dict[str, Any]:
    name = f"step-{index:03d}"
    task: dict[str, Any] = {"key": name, "name": name, "state": "COMPLETE", "phase": "Succeeded"}
    task |= {"started_at": f"2026-11-25T08:{index % 60:02d}:00Z", "finished_at": f"2026-11-25T08:{index % 60:02d}:30Z"}
    read = {"artifacts": [_file(uid, index - 1)]} if index else {}
    task |= {"inputs": {"parameters": {"lr": f"0.{index + 1}"}, **read}, "outputs": {"artifacts": [_file(uid, index)]}}
    return task | ({"depends_on": [f"step-{index - 1:03d}"]} if index else {})


def _file(uid: str, index: int) -> dict[str, str]:
    return {"name": "data", "uri": f"s3://lake/{uid}/{index}.parquet"}


READS = 3
WRITES = 2


@dataclass(frozen=True)
class Weave:
    """A lineage graph whose every walk has a known size: `generations` rows of `width` executions.

    Execution i of a row writes artifacts 2i and 2i + 1 of the row and reads 2i, 2i + 1 and 2i + 2 (around the end) of the row
    before, so an artifact's ancestry grows by one execution a generation. 40 x 13,000 have 2.6 million edges.
    """

    generations: int
    width: int

    @property
    def executions(self) -> int:
        return self.generations * self.width

    @property
    def artifacts(self) -> int:
        """Row 0 reads from a row of sources of its own."""
        return (self.generations + 1) * self.width * WRITES

    @property
    def edges(self) -> int:
        return self.executions * (READS + WRITES)

    def artifact(self, row: int, place: int) -> int:
        """Number of an artifact; row 0 are the sources, row g + 1 is what generation g wrote."""
        return row * self.width * WRITES + place % (self.width * WRITES)

    def events(self) -> Iterator[tuple[int, int, bool]]:
        """(artifact, execution, is it read)."""
        for generation in range(self.generations):
            for place in range(self.width):
                execution = generation * self.width + place
                for offset in range(READS):
                    yield self.artifact(generation, 2 * place + offset), execution, True
                for offset in range(WRITES):
                    yield self.artifact(generation + 1, 2 * place + offset), execution, False

    @staticmethod
    def ancestry(generations: int) -> tuple[int, int]:
        """Executions and artifacts above an artifact, so many generations up (as long as the row is wider than that)."""
        return sum(d + 1 for d in range(generations)), sum(2 * d + READS for d in range(generations))
