"""Whether what was imported is here: all counts, and 1,000 records of any kind field by field, which are chosen at random."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from registry.catalog.importing.mlflow import comparing
from registry.catalog.importing.mlflow.into import Into
from registry.catalog.importing.mlflow.records import Experiment, LoggedModel, Model, Run
from registry.catalog.importing.mlflow.state import State
from registry.catalog.merging import KFP_TAG
from registry.db.runner import Runner
from registry.importing.mlflow.source import Batch, Source

SAMPLE = {"experiments": 100, "runs": 500, "logged_models": 150, "uses": 150, "models": 100}
"""Records of each kind: 1,000. With a run go the histories of its metrics, with a model all its versions."""

POINTS = 500_000
"""Compared in all; of later runs only the counts."""

_READ = ("experiments", "runs", "logged_models", "uses", "model_metrics", "models", "versions", "aliases")
"""Whose rows the source tells of beforehand."""


class Sample:
    """So many of a stream, each as likely as any other."""

    def __init__(self, size: int) -> None:
        self.chosen: list[Any] = []
        self._size = size
        self._random = random.Random(1)  # noqa: S311  (not for secrets)
        self._seen = 0

    def offer(self, record: Any) -> None:
        self._seen += 1
        if len(self.chosen) < self._size:
            self.chosen.append(record)
        elif (place := self._random.randrange(self._seen)) < self._size:
            self.chosen[place] = record


@dataclass
class Verifying:
    """Reads the source once more. `points`: how many of histories were looked at."""

    source: Source
    runner: Runner
    into: Into
    state: State
    points: int = 0

    def differences(self) -> Iterator[str]:
        """A line for each."""
        totals, written, left_out = self.source.totals(), self.state.written, self.state.left_out
        for name in _READ:
            told = written.get(name, 0) + left_out.get(name, 0)
            if told != totals.get(name, told):
                yield f"{name}: {told} were read, {totals[name]} are there"
        met = set(self.state.met)
        here: dict[str, int] = {}
        points: int | None = 0
        is_joined = False
        for phase, size in SAMPLE.items():
            sample = Sample(size)
            for batch in self._read(phase):
                counted = self.runner.read(partial(_count, into=self.into, phase=phase, batch=batch, met=met))
                here = {name: here.get(name, 0) + counted.get(name, 0) for name in {*here, *counted}}
                if phase == "runs":
                    own = [run for run in batch.records if f"run {run.id}" not in met]
                    found = self.source.count_points(own)
                    points = None if found is None or points is None else points + found
                    is_joined = is_joined or any(KFP_TAG in run.tags for run in own)
                for record in batch.records:
                    sample.offer(record)
            for record in sample.chosen:
                yield from self._compared(record, met)
        for name, number in sorted(here.items()):
            wanted = written.get(name, 0)
            more_is_well = (is_joined and name in {"params", "tags", "metrics"}) or (met and name == "versions")
            if number < wanted or (number > wanted and not more_is_well):
                yield f"{name}: {number} are here, {wanted} were written"
        if points is not None and not is_joined and not 0 <= points - here.get("metrics", 0) <= left_out.get("metrics", 0):
            yield f"metrics: {here.get('metrics', 0)} points are here, {points} are there"

    def _read(self, phase: str) -> Iterator[Batch[Any]]:
        read: Iterator[Batch[Any]] = getattr(self.source, phase)([])
        return read

    def _compared(self, record: Any, met: set[str]) -> Iterator[str]:
        if _name(record) in met:
            return
        yield from self.runner.read(lambda session: comparing.differences(session, self.into, record))
        if isinstance(record, Run):
            for key in self.runner.read(lambda session: comparing.metric_keys(session, self.into, record.id)):
                if self.points < POINTS:
                    there = self.source.history(record, key)
                    self.points += len(there)
                    compare = partial(comparing.compare_history, into=self.into, run=record.id, key=key, there=there)
                    yield from self.runner.read(compare)


def _count(session: Any, *, into: Into, phase: str, batch: Batch[Any], met: set[str]) -> dict[str, int]:
    return comparing.count(session, into, phase, batch.records, met)


def _name(record: Any) -> str:
    """As the state calls what was here before."""
    if isinstance(record, Experiment | LoggedModel):
        return f"{'experiment' if isinstance(record, Experiment) else 'logged model'} {record.id}"
    if isinstance(record, Model):
        return f"model {record.name}"
    return f"run {record.id if isinstance(record, Run) else record.run}"
