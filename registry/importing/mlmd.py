"""`lineal-server import mlmd`: a database of ML Metadata becomes records here; all counts and a sample are compared."""

import time
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.importing.mlmd import comparing
from registry.catalog.importing.mlmd.owned import owner_in
from registry.catalog.importing.mlmd.runs import write_steps
from registry.catalog.importing.mlmd.source import NAMES, Decoding, Source, SourceNode, SourceType, open_source
from registry.catalog.importing.mlmd.state import State
from registry.catalog.importing.mlmd.writing import (
    OWNED,
    Near,
    mapped,
    seed,
    write_events,
    write_nodes,
    write_pairs,
    write_types,
)
from registry.catalog.importing.progress import Notes
from registry.db.runner import Runner
from registry.db.session import Session
from registry.errors import Unavailable
from registry.importing.databases import address_of, engine_of
from registry.importing.job import Job, Step
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


def connect(url: str, decoding: Decoding) -> Source:
    """Raises InvalidArgument (no such database, or not ML Metadata's), Unavailable (it does not answer)."""
    try:
        return open_source(engine_of(url), decoding)
    except sa.exc.DBAPIError as error:
        raise Unavailable(f"the database does not answer: {error.orig}") from error


class Import(Job[State]):
    STATE = State
    what = "ML Metadata"

    def __init__(self, source: Source, runner: Runner, actor: Actor, report: Path) -> None:
        super().__init__(runner, actor, report)
        self.source = source
        self._mixed: dict[NodeKind, bool] = {}
        """Whether the source has nodes of types that are not taken over."""

    @property
    def address(self) -> str:
        return address_of(self.source.engine)

    def totals(self) -> dict[str, int]:
        return {phase: self.source.count(table) for phase, table in _TABLES.items()}

    def plan(self) -> Iterator[str]:
        yield f"schema {self.source.schema}, {len(self.source.types())} types"
        for phase, total in self.totals().items():
            yield f"{phase}: {total}"
        for kind in NodeKind:
            taken = sum(self.runner.read(partial(comparing.count_taken, kind=kind, ids=ids)) for ids in self.source.ids(kind))
            yield f"{NAMES[kind].lower()} ids that are taken here: {taken}"

    def prepare(self, session: Session) -> None:
        seed(session, {kind: self.source.highest(name) for kind, name in NAMES.items()})

    def close(self) -> None:
        self.source.engine.dispose()

    def step(self, state: State) -> Step:
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
