"""`lineal-server import mlmd`: a database of ML Metadata becomes records here, batch by batch.

A batch and how far the import is are one transaction: killed at any point it goes on where it was. What cannot be taken over is
a line in the report file, and no failure. At the end all counts and a sample of the nodes are compared with the source.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import sqlalchemy as sa
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from registry.catalog.actors import Actor
from registry.catalog.importing import comparing, progress
from registry.catalog.importing.owned import owner_in
from registry.catalog.importing.progress import State
from registry.catalog.importing.runs import write_steps
from registry.catalog.importing.source import NAMES, Decoding, Source, SourceNode, SourceType, open_source
from registry.catalog.importing.writing import (
    OWNED,
    Near,
    Notes,
    mapped,
    seed,
    write_events,
    write_nodes,
    write_pairs,
    write_types,
)
from registry.db.runner import Runner
from registry.db.session import Session
from registry.errors import InvalidArgument, Unavailable
from registry.names import NodeKind

RUNS_AT_ONCE = 50
_NODES = {"contexts": NodeKind.CONTEXT, "executions": NodeKind.EXECUTION, "artifacts": NodeKind.ARTIFACT}
_PAIRS = {
    "associations": ("Association", "context_id", "execution_id", NodeKind.EXECUTION),
    "attributions": ("Attribution", "context_id", "artifact_id", NodeKind.ARTIFACT),
    "parents": ("ParentContext", "context_id", "parent_context_id", NodeKind.CONTEXT),
}
_TABLES = {"contexts": "Context", "executions": "Execution", "artifacts": "Artifact", "events": "Event"}
_TABLES |= {phase: names[0] for phase, names in _PAIRS.items()}
Step = Callable[[Session, State, Notes], None]


def connect(url: str, decoding: Decoding) -> Source:
    """Raises InvalidArgument (no such database, or not ML Metadata's), Unavailable (it does not answer)."""
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise InvalidArgument(f"{url.rsplit('@', maxsplit=1)[-1]!r} is not a database URL such as sqlite:///file.db") from error
    drivers = {"sqlite": "sqlite", "mysql": "mysql+pymysql", "mariadb": "mysql+pymysql", "postgresql": "postgresql+psycopg"}
    family = parsed.drivername.partition("+")[0]
    if family not in drivers:
        raise InvalidArgument(f"database {family!r} is not supported: use sqlite, postgresql, mariadb or mysql")
    if family == "sqlite" and not Path(parsed.database or "").is_file():
        raise InvalidArgument(f"there is no database {parsed.database}")
    parsed = parsed.set(drivername=drivers[family])
    if family in {"mysql", "mariadb"}:
        parsed = parsed.update_query_dict({"charset": "utf8mb4"})
    try:
        return open_source(sa.create_engine(parsed), decoding)
    except sa.exc.DBAPIError as error:
        raise Unavailable(f"the database does not answer: {error.orig}") from error


@dataclass
class Import:
    """`report`: the file for notes, of which there are `notes`."""

    source: Source
    runner: Runner
    actor: Actor
    report: Path
    notes: int = 0
    _mixed: dict[NodeKind, bool] = field(default_factory=dict)
    """Whether the source has nodes of types that are not taken over."""

    @property
    def key(self) -> str:
        url = self.source.engine.url
        return progress.source_key(self.actor.scope, url.set(username=None, password=None, query={}).render_as_string())

    def totals(self) -> dict[str, int]:
        """Rows by phase."""
        return {phase: self.source.count(table) for phase, table in _TABLES.items()}

    def plan(self) -> Iterator[str]:
        """What an import would do, without doing it."""
        yield f"schema {self.source.schema}, {len(self.source.types())} types"
        for phase, total in self.totals().items():
            yield f"{phase}: {total}"
        for kind in NodeKind:
            taken = sum(self.runner.read(partial(comparing.count_taken, kind=kind, ids=ids)) for ids in self.source.ids(kind))
            yield f"{NAMES[kind].lower()} ids that are taken here: {taken}"

    def run(self) -> State:
        """All of it, or what is left of it."""
        state = self.runner.read(lambda session: progress.load(session, self.key))
        if state is None:
            highest = {kind: self.source.highest(name) for kind, name in NAMES.items()}
            self.runner.write(lambda session: seed(session, highest))
            state = State()
        totals = self.totals()
        with _bar() as bar:
            task = bar.add_task("import", total=sum(totals.values()) or 1)
            begun = time.monotonic()
            while not state.is_done:
                state = self._batch(state)
                done = sum(state.written.values()) + sum(state.left_out.values())
                rate = done / max(0.001, time.monotonic() - begun)
                bar.update(task, completed=done, description=f"{state.phase}, {rate:,.0f} rows/s")
        return state

    def _batch(self, state: State) -> State:
        step = self._step(state)

        def write(session: Session) -> tuple[State, list[str]]:
            moved = State(
                **{**vars(state), "written": dict(state.written), "left_out": dict(state.left_out), "met": list(state.met)}
                | {"folded": dict(state.folded), "lost": list(state.lost)}
            )
            notes = Notes()
            step(session, moved, notes)
            progress.save(session, self.key, moved)
            return moved, notes.lines

        moved, lines = self.runner.write(write, replayable=False)
        if lines:
            self.notes += len(lines)
            with self.report.open("a", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines)
        return moved

    def _step(self, state: State) -> Step:
        """What the next transaction does; the source is read here, before it begins."""
        now = time.time_ns() // 1_000_000
        if state.phase == "types":
            types = self.types

            def of_types(session: Session, moved: State, _notes: Notes) -> None:
                write_types(session, self.actor, types, moved)
                moved.next_phase()

            return of_types
        if state.phase in _NODES:
            kind = _NODES[state.phase]
            nodes = self.source.nodes(kind, state.after[0])
            near = self._near(kind, nodes, state)

            def of_nodes(session: Session, moved: State, notes: Notes) -> None:
                if not nodes:
                    moved.next_phase()
                    return
                write_nodes(session, self.actor, kind, nodes, moved, near=near, notes=notes, now=now)
                moved.after = [nodes[-1].id, 0]

            return of_nodes
        if state.phase == "events":
            events = self.source.events(state.after[0])
            ends = (
                self._strays(NodeKind.ARTIFACT, [event.artifact for event in events], state),
                self._strays(NodeKind.EXECUTION, [event.execution for event in events], state),
            )

            def of_events(session: Session, moved: State, notes: Notes) -> None:
                if not events:
                    moved.next_phase()
                    return
                write_events(session, self.actor, events, moved, strays=ends, notes=notes, now=now)
                moved.after = [events[-1].id, 0]

            return of_events
        return self._runs(state, now) if state.phase == "runs" else self._edges(state, now)

    def _near(self, kind: NodeKind, nodes: Sequence[SourceNode], state: State) -> Near:
        measures = [node.id for node in nodes if str(node.type_id) in state.measures]
        named: set[int] = set()
        for node in nodes:
            if state.types.get(str(node.type_id)) in OWNED:
                values = (value.value for key, value in node.properties.declared.items() if key.endswith("_id"))
                named |= {int(one) for one in (*values, owner_in(node.name)) if str(one).isdecimal()}
        return Near(self.source.present(NodeKind.CONTEXT, sorted(named)), self.source.owners(measures))

    def _strays(self, kind: NodeKind, ids: Sequence[int], state: State) -> set[int]:
        """Nodes of the source that are none here: others may have their ids."""
        lost, taken = {id for of, id in state.lost if of == kind}, [int(id) for id in state.types]
        if kind not in self._mixed:
            self._mixed[kind] = bool(self.source.of_other_types(kind, taken))
        return lost | self.source.of_other_types(kind, taken, ids) if self._mixed[kind] else lost

    @cached_property
    def types(self) -> list[SourceType]:
        return self.source.types()

    def _edges(self, state: State, now: int) -> Step:
        table, first, second, far = _PAIRS[state.phase]
        pairs = self.source.pairs(table, first, second, (state.after[0], state.after[1]))
        contexts, others = [near for near, _ in pairs], [other for _, other in pairs]
        present = self.source.present(NodeKind.CONTEXT, contexts), self.source.present(far, others)
        strays = self._strays(NodeKind.CONTEXT, contexts, state), self._strays(far, others, state)
        folded = self.source.of_types(far, others, [int(id) for id in state.measures]) if far is NodeKind.ARTIFACT else set()

        def of_pairs(session: Session, moved: State, notes: Notes) -> None:
            if not pairs:
                moved.next_phase()
                return
            write_pairs(session, self.actor, pairs, present, moved, strays=strays, folded=folded, notes=notes, now=now)
            moved.after = list(pairs[-1])

        return of_pairs

    def _runs(self, state: State, now: int) -> Step:
        contexts = self.source.ids_behind(NodeKind.CONTEXT, state.after[0], limit=RUNS_AT_ONCE)

        def of_runs(session: Session, moved: State, _notes: Notes) -> None:
            if not contexts:
                moved.next_phase()
                return
            write_steps(session, self.actor, sorted(mapped(session, self.actor, NodeKind.CONTEXT, contexts).values()), now=now)
            moved.after = [contexts[-1], 0]

        return of_runs

    def verify(self, state: State) -> Iterator[str]:
        """A line for each thing that is not here as it is there; none is what should be."""
        types = {one.id: (one.name, one.version) for one in self.types if str(one.id) in state.types}
        for phase, kind in _NODES.items():
            here = sum(
                self.runner.read(partial(comparing.count_nodes, actor=self.actor, kind=kind, ids=ids))
                for ids in self._taken_over(kind, state)
            )
            there = self.source.count(NAMES[kind]) - state.left_out.get(phase, 0) - state.folded.get(phase, 0)
            if here != there:
                yield f"{phase}: {here} here, {there} there"
            nodes = comparing.sample(self.source, kind, seed=1)
            strays = self._strays(kind, [node.id for node in nodes], state)
            strays |= set(state.met) if kind is NodeKind.CONTEXT else set()
            nodes = [node for node in nodes if node.id not in strays]
            yield from self.runner.read(partial(self._differences, kind, nodes, types))
        for phase, table in _TABLES.items():
            if phase in _NODES:
                continue
            told = state.written.get(phase, 0) + state.left_out.get(phase, 0)
            if told != self.source.count(table):
                yield f"{phase}: {told} read, {self.source.count(table)} there"
        edges: dict[str, int] = {}
        for kind in (NodeKind.EXECUTION, NodeKind.ARTIFACT):
            for ids in self._taken_over(kind, state):
                found = self.runner.read(partial(comparing.count_edges, actor=self.actor, kind=kind, ids=ids))
                edges = {name: edges.get(name, 0) + found.get(name, 0) for name in {*edges, *found}}
        for name, here in sorted(edges.items()):
            written = state.written.get(name, 0) - state.folded.get(name, 0)
            if here < written:
                yield f"{name}: {here} here, {written} were written"

    def _taken_over(self, kind: NodeKind, state: State) -> Iterator[list[int]]:
        """The source's ids of what is here, in batches."""
        for ids in self.source.ids(kind):
            strays = self._strays(kind, ids, state)
            yield [id for id in ids if id not in strays] if strays else ids

    def _differences(
        self, kind: NodeKind, nodes: Sequence[SourceNode], types: dict[int, tuple[str, str]], session: Session
    ) -> list[str]:
        return list(comparing.differences(session, self.actor, kind, nodes, types))


@contextmanager
def _bar() -> Iterator[Progress]:
    """On standard error, only where somebody sees it."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress_:
        yield progress_
