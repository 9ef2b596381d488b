"""What every import does: batch by batch, each in a transaction with how far it is, so that it goes on wherever it was killed.

What cannot be taken over is a line in the report file, and no failure.
"""

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from registry.catalog.actors import Actor
from registry.catalog.importing import progress
from registry.catalog.importing.progress import Notes, State
from registry.catalog.outbox import record
from registry.db.runner import Runner
from registry.db.session import Session
from registry.names import IdPrefix, own_id

S = TypeVar("S", bound=State)
Step = Callable[[Session, Any, Notes], None]
"""What one transaction does: it moves the state that it is given. May be run again."""


class Job(ABC, Generic[S]):
    """`notes`: lines that this run has written to `report`."""

    STATE: type[S]
    what: str
    """What audit and progress call the source."""

    def __init__(self, runner: Runner, actor: Actor, report: Path) -> None:
        self.runner = runner
        self.actor = actor
        self.report = report
        self.notes = 0

    @property
    @abstractmethod
    def address(self) -> str:
        """Where the source is, without credentials: it is what an import that broke off is found by."""

    @abstractmethod
    def totals(self) -> Mapping[str, int]:
        """Rows by phase."""

    @abstractmethod
    def plan(self) -> Iterator[str]:
        """What an import would do, without doing it."""

    @abstractmethod
    def prepare(self, session: Session) -> None:
        """Before the first batch."""

    @abstractmethod
    def step(self, state: S) -> Step:
        """What the next transaction does; the source is read here, before it begins."""

    @abstractmethod
    def verify(self, state: S) -> Iterator[str]:
        """A line for each thing that is not here as it is there; none is what should be."""

    def close(self) -> None:
        """Lets go of the source."""

    @property
    def key(self) -> str:
        return progress.source_key(self.actor.scope, self.address)

    def run(self) -> S:
        """All of it, or what is left of it."""
        state = self.runner.read(lambda session: progress.load(session, self.key, self.STATE))
        if state is None:
            state = self.STATE.first()
            self.runner.write(self._begin)
        totals = self.totals()
        with _bar() as bar:
            task = bar.add_task("import", total=sum(totals.values()) or 1)
            begun, before = time.monotonic(), _done(state, totals)
            while not state.is_done:
                state = self._batch(state)
                done = _done(state, totals)
                rate = (done - before) / max(0.001, time.monotonic() - begun)
                bar.update(task, completed=done, description=f"{state.phase}, {rate:,.0f} rows/s")
        return state

    def _begin(self, session: Session) -> None:
        self.prepare(session)
        self._audit(session, "import.started", {"source": self.address})

    def _batch(self, state: S) -> S:
        step = self.step(state)

        def write(session: Session) -> tuple[S, list[str]]:
            moved, notes = state.copied(), Notes()
            step(session, moved, notes)
            progress.save(session, self.key, moved)
            if moved.is_done:
                self._audit(session, "import.finished", {"source": self.address, "written": moved.written})
            return moved, notes.lines

        moved, lines = self.runner.write(write, replayable=False)
        if lines:
            self.notes += len(lines)
            with self.report.open("a", encoding="utf-8", errors="replace") as file:
                file.writelines(f"{line}\n" for line in lines)
        return moved

    def _audit(self, session: Session, action: str, after: Mapping[str, Any]) -> None:
        """In the workspace's log; what a whole installation shares has none of its own."""
        own = own_id(IdPrefix.WORKSPACE, self.actor.workspace)
        record(session, self.actor, action, own, now=time.time_ns() // 1_000_000, after={"what": self.what, **after})


def _done(state: State, totals: Mapping[str, int]) -> int:
    return sum(state.written.get(phase, 0) + state.left_out.get(phase, 0) for phase in totals)


@contextmanager
def _bar() -> Iterator[Progress]:
    """On standard error, only where somebody sees it."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress_:
        yield progress_
