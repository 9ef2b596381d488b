"""What runs read and made in a store of MLflow: datasets, logged models. Written for many runs at once."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from registry.catalog import node_types
from registry.catalog.datasets import get_or_create_dataset_version
from registry.catalog.importing.mlflow.into import Into, kept_pairs, kept_text
from registry.catalog.importing.mlflow.records import Uses
from registry.catalog.importing.mlflow.runs import here
from registry.catalog.importing.mlflow.state import State
from registry.catalog.importing.progress import Notes
from registry.catalog.nodes import node_row
from registry.catalog.run_inputs import DatasetInput
from registry.catalog.uses import DATASET_CONTEXT
from registry.db.session import Session
from registry.errors import InvalidArgument
from registry.names import OUTPUT_EVENTS, EventType
from registry.tables.graph import artifacts, associations, contexts, events, executions
from registry.tables.models import logged_models
from registry.tables.runs import runs


@dataclass(frozen=True)
class Use:
    """`run`, `artifact`: our ids. `step` of what was made."""

    run: int
    artifact: int
    type: EventType
    step: int | None = None
    tags: Mapping[str, str] | None = None


def write_uses(session: Session, into: Into, found: Sequence[Uses], state: State, notes: Notes) -> None:
    met = set(state.met)
    runs_here = here(session, into, [one.run for one in found])
    models = model_ids(session, into, {id for one in found for id in (*one.models, *(made for made, _ in one.made))})
    sets = _Datasets(session, into, notes)
    uses: list[Use] = []
    for one in found:
        number = len(one.inputs) + len(one.models) + len(one.made)
        run = runs_here.get(one.run)
        if run is None or f"run {one.run}" in met:
            state.count(left_out=number)
            continue
        before = len(uses)
        for given in one.inputs:
            dataset = sets.find(given, one.run)
            if dataset is not None:
                uses.append(Use(run, dataset, EventType.INPUT, tags=kept_pairs(given.tags, "run", one.run, notes)))
        for kind, pairs in ((EventType.INPUT, [(id, None) for id in one.models]), (EventType.OUTPUT, list(one.made))):
            for id, step in pairs:
                if id in models:
                    uses.append(Use(run, models[id], kind, step=step))
                else:
                    notes.add("run", one.run, f"logged model {id}, which it names, is not taken over")
        state.count(written=len(uses) - before, left_out=number - len(uses) + before)
    tie(session, into, uses)


def model_ids(session: Session, into: Into, ids: Iterable[str]) -> dict[str, int]:
    """The artifacts of logged models that are here, deleted ones too."""
    wanted = sorted(set(ids))
    query = sa.select(logged_models.c.model_id, logged_models.c.id).where(
        logged_models.c.workspace == into.actor.workspace, logged_models.c.model_id.in_(wanted)
    )
    return {row.model_id: int(row.id) for row in session.all(query)} if wanted else {}


def dataset_id(session: Session, into: Into, name: str, digest: str, fields: Mapping[str, Any] = MappingProxyType({})) -> int:
    """The artifact of the dataset's content, made where it is missing. Raises InvalidArgument: a text that cannot be kept."""
    return get_or_create_dataset_version(session, into.actor, name, now=into.now, digest=digest, **fields).id


@dataclass
class _Datasets:
    """Those that a batch names, each looked for once."""

    session: Session
    into: Into
    notes: Notes
    known: dict[tuple[str, str], int | None] = field(default_factory=dict)

    def find(self, given: DatasetInput, run: str) -> int | None:
        key = (given.name, given.digest)
        if key not in self.known:
            texts: dict[str, str | None] = {"source_type": given.source_type}
            for name in ("source", "schema", "profile"):
                texts[name] = kept_text(getattr(given, name), name, "dataset", given.name, self.notes)
            try:
                self.known[key] = dataset_id(self.session, self.into, *key, texts)
            except InvalidArgument as error:
                self.known[key] = None
                self.notes.add("run", run, f"the dataset {given.name[:80]!r}, which it read, is left out: {error.message}")
        return self.known[key]


def tie(session: Session, into: Into, uses: Sequence[Use]) -> None:
    """Says of each once that it was so; the times are the runs'."""
    if not uses:
        return
    heads = _heads(session, into, sorted({use.run for use in uses}))
    ids = session.next_ids("event", len(uses))
    rows = [_row(id, use, heads[use.run]) for id, use in zip(ids, uses, strict=True)]
    session.insert_ignore(events, rows)
    for use in uses:
        if use.type in OUTPUT_EVENTS:  # the first one to write it is its maker
            maker = sa.update(artifacts).where(artifacts.c.id == use.artifact, artifacts.c.step.is_(None))
            session.execute(maker.values(step=heads[use.run].execution))


@dataclass(frozen=True)
class _Head:
    execution: int
    at: int


def _heads(session: Session, into: Into, ids: Sequence[int]) -> dict[int, _Head]:
    """What stands for the runs in the graph; made where it is missing."""
    query = sa.select(runs.c.id, runs.c.hex, runs.c.workspace, runs.c.execution, runs.c.started_at, contexts.c.scope)
    rows = session.all(query.join(contexts, contexts.c.id == runs.c.id).where(runs.c.id.in_(ids)).order_by(runs.c.id))
    new = [row for row in rows if row.execution is None]
    made = dict(zip([row.id for row in new], session.next_ids("execution", len(new)), strict=True))
    nodes = [
        node_row(
            made[row.id],
            type_id=node_types.RUN_EXECUTION,
            workspace=row.workspace,
            scope=row.scope,
            now=row.started_at or into.now,
            name=row.hex,
            name_key=row.hex,
        )
        for row in new
    ]
    session.insert(executions, nodes)
    session.insert(associations, [{"context": row.id, "execution": made[row.id]} for row in new])
    for row in new:
        session.execute(sa.update(runs).where(runs.c.id == row.id).values(execution=made[row.id]))
    return {row.id: _Head(row.execution or made[row.id], row.started_at or 0) for row in rows}


def _row(id: int, use: Use, head: _Head) -> dict[str, Any]:
    tags = dict(use.tags or {})
    purpose = tags.get(DATASET_CONTEXT)
    if purpose is not None and len(purpose) > 512:  # no filter could know it
        del tags[DATASET_CONTEXT]
        purpose = None
    return {
        "id": id,
        "artifact": use.artifact,
        "execution": head.execution,
        "type": int(use.type),
        "at": head.at,
        "port": None,
        "path": None if use.step is None else json.dumps([use.step]).encode(),
        "tags": json.dumps(tags, ensure_ascii=False, sort_keys=True).encode() if tags else None,
        "purpose": purpose,
    }


def untied(session: Session, pairs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Of (run, logged model) those where the run neither made nor read the model yet."""
    wanted = sorted(set(pairs))
    if not wanted:
        return []
    models = sorted({model for _, model in wanted})
    made = sa.select(logged_models.c.run, logged_models.c.id).where(logged_models.c.id.in_(models))
    said = sa.select(runs.c.id, events.c.artifact).join(events, events.c.execution == runs.c.execution)
    said = said.where(runs.c.id.in_(sorted({run for run, _ in wanted})), events.c.artifact.in_(models))
    known = {(one, other) for query in (made, said) for one, other in session.tuples(query)}
    return [pair for pair in wanted if pair not in known]
