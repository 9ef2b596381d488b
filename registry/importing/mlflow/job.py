"""`lineal-server import mlflow`: a store of MLflow becomes records here, and its files ours if they are to be copied."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from registry.catalog.actors import Actor
from registry.catalog.blobs import put_blob
from registry.catalog.importing.mlflow import experiments, logged_models, registered, runs, uses
from registry.catalog.importing.mlflow.into import Into
from registry.catalog.importing.mlflow.points import kept_points, write_run_points
from registry.catalog.importing.mlflow.state import State
from registry.catalog.importing.progress import Notes
from registry.catalog.metrics import Point
from registry.catalog.places import Places
from registry.db.runner import Runner
from registry.db.session import Session
from registry.importing.job import Job, Step
from registry.importing.mlflow.copying import Copied, Copying
from registry.importing.mlflow.files import Files, place_files
from registry.importing.mlflow.source import Batch, History, Source
from registry.importing.mlflow.verifying import Verifying
from storage.config import open_store

AS_THEY_ARE = Files()
Writer = Callable[[Session, Into, Sequence[Any], State, Notes], None]
_WRITERS: Mapping[str, Writer] = {
    "experiments": experiments.write_experiments,
    "runs": runs.write_runs,
    "logged_models": logged_models.write_logged_models,
    "uses": uses.write_uses,
    "model_metrics": logged_models.write_model_points,
    "models": registered.write_models,
}


class Import(Job[State]):
    STATE = State
    what = "MLflow"

    def __init__(
        self,
        source: Source,
        runner: Runner,
        actor: Actor,
        report: Path,
        *,
        files: Files = AS_THEY_ARE,
        store_url: str,
    ) -> None:
        super().__init__(runner, actor, report)
        self.source = source
        self.copied = files.copied
        self.placing = place_files(files, source)
        self.store = open_store(store_url)
        self.into = Into(actor, Places(self.store, actor), self.key[:16], self.placing.placed, time.time_ns() // 1_000_000)
        self._reading: tuple[str, Iterator[Any]] | None = None
        self._counted = [0, 0]
        """Points of a batch that is not at its end: written, left out."""

    @property
    def address(self) -> str:
        return self.source.address

    def totals(self) -> Mapping[str, int]:
        return self.source.totals()

    def plan(self) -> Iterator[str]:
        for phase, total in self.totals().items():
            yield f"{phase}: {total}"
        yield from self.source.remarks()

    def prepare(self, session: Session) -> None:
        experiments.seed(session, self.source.highest_experiment())

    def close(self) -> None:
        self.source.close()

    def step(self, state: State) -> Step:
        if state.phase == "parents":
            return self._parents
        if self._reading is None or self._reading[0] != state.phase:
            self._reading = state.phase, self._batches(state)
        batch = next(self._reading[1], None)
        if batch is None:
            return self._end
        if isinstance(batch, Copied):
            return lambda session, moved, notes: self._files(session, batch, moved, notes)
        if state.phase == "metrics":
            return self._points(batch, state)
        return lambda session, moved, notes: self._write(session, batch, moved, notes)

    def _batches(self, state: State) -> Iterator[Any]:
        if state.phase == "files":
            if not self.copied:
                return iter(())
            self.store.prepare()
            return Copying(self.source, self.placing, self.store, self.runner, self.actor, self.into.now).run(state.after)
        read: Iterator[Any] = getattr(self.source, state.phase)(state.after)
        return read

    def _end(self, _session: Session, moved: State, notes: Notes) -> None:
        if moved.phase == self.STATE.PHASES[-1]:
            for remark in self.source.remarks():
                notes.lines.append(remark)
        moved.next_phase()

    def _parents(self, session: Session, moved: State, _notes: Notes) -> None:
        last = runs.link_parents(session, self.into, moved.after[0] if moved.after else 0)
        if last is None:
            moved.next_phase()
        else:
            moved.after = [last]

    def _write(self, session: Session, batch: Batch[Any], moved: State, notes: Notes) -> None:
        for bad in batch.bad:
            notes.add(bad.what, bad.id, bad.why)
        _WRITERS[moved.phase](session, self.into, batch.records, moved, notes)
        moved.count(left_out=batch.lost)
        if batch.lost_versions:
            moved.count(left_out=batch.lost_versions, of="versions")
        moved.after = list(batch.after or ())

    def _points(self, batch: Batch[History], state: State) -> Step:
        """What can be kept is found before the transaction, so that one that is run again counts it once."""
        told = Notes()
        for bad in batch.bad:
            told.add(bad.what, bad.id, bad.why)
        met = set(state.met)
        ids = sorted({run for run, _ in batch.records})
        here = self.runner.read(lambda session: runs.here(session, self.into, ids)) if ids else {}
        found: list[tuple[str, Sequence[Point]]] = []
        for run, points in batch.records:
            kept = kept_points(points, "run", run, told) if run in here and f"run {run}" not in met else []
            found.append((run, kept))
            self._counted[0] += len(kept)
            self._counted[1] += len(points) - len(kept)
        self._counted[1] += batch.lost
        written, left_out = self._counted
        if batch.after is not None:
            self._counted = [0, 0]

        def write(session: Session, moved: State, notes: Notes) -> None:
            write_run_points(session, here, found)
            notes.lines += told.lines
            if batch.after is not None:
                moved.count(written=written, left_out=left_out)
                moved.after = list(batch.after)

        return write

    def _files(self, session: Session, part: Copied, moved: State, notes: Notes) -> None:
        for bad in part.bad:
            notes.add(bad.what, bad.id, bad.why)
        for blob in part.blobs:
            put_blob(session, self.actor, blob, now=self.into.now)
        moved.count(written=len(part.blobs), left_out=sum(1 for bad in part.bad if "is left out" in bad.why))
        if part.after is not None:
            moved.after = part.after

    def verify(self, state: State) -> Iterator[str]:
        yield from Verifying(self.source, self.runner, self.into, state).differences()
