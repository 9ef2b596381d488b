"""Uses: which run, by which of its steps, read or wrote an artifact."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from registry.catalog import node_types
from registry.catalog.actors import INSTALL, Actor
from registry.catalog.artifacts import Artifact, get_artifacts, lock_artifact
from registry.catalog.keys import find_alias
from registry.catalog.nodes import node_row
from registry.catalog.run_lookup import get_run_ref, lock_run
from registry.db.session import Session
from registry.errors import InvalidArgument, NotFound, NotWritable
from registry.names import INPUT_EVENTS, OUTPUT_EVENTS, EventType, IdPrefix, Lifecycle, NodeKind, check_text, own_id
from registry.tables.graph import artifacts, associations, contexts, events, executions
from registry.tables.runs import runs, steps

DATASET_CONTEXT = "mlflow.data.context"
"""The tag of an input that says what a run read it for."""


@dataclass(frozen=True)
class Use:
    """How a run used an artifact. `step` is the step's id, None for the run itself."""

    artifact: Artifact
    type: EventType
    port: str | None
    step: int | None
    at: int
    tags: Mapping[str, str]


def link(
    session: Session,
    actor: Actor,
    artifact: int,
    run: str,
    type: EventType,
    *,
    now: int,
    port: str | None = None,
    index: int | None = None,
    step: int | None = None,
    tags: Mapping[str, str] | None = None,
) -> bool:
    """The run (32 hex), or its step, read or wrote the artifact; True if that is new.

    `index`: at which of its own steps, a training's for one. Said again it changes nothing, index and tags neither.

    Raises:
        NotFound: run, its step or artifact is not here.
        NotWritable: one of the two is deleted.
    """
    check_text(port or "", "port", limit=512)
    check_text((tags or {}).get(DATASET_CONTEXT, ""), DATASET_CONTEXT, limit=512)
    path = [part for part in (port, index) if part is not None]
    if type not in INPUT_EVENTS + OUTPUT_EVENTS:
        raise InvalidArgument(f"{type.name.lower()} is neither an input nor an output", field="type")
    execution = run_execution(session, actor, run, now=now) if step is None else _step_of(session, actor, run, step)
    artifact = lock_artifact(session, actor, artifact, None).id
    row = {
        "id": session.next_id("event"),
        "artifact": artifact,
        "execution": execution,
        "type": type,
        "at": now,
        "port": port,
        "path": json.dumps(path, ensure_ascii=False).encode() if path else None,
        "tags": json.dumps(dict(tags), ensure_ascii=False, sort_keys=True).encode() if tags else None,
        "purpose": (tags or {}).get(DATASET_CONTEXT),
    }
    if not session.insert_if_absent(events, row):
        return False
    if type in OUTPUT_EVENTS:  # the first one to write it is its maker
        maker = sa.update(artifacts).where(artifacts.c.id == artifact, artifacts.c.step.is_(None))
        session.execute(maker.values(step=execution, port=port))
    return True


def run_execution(session: Session, actor: Actor, run: str, *, now: int) -> int:
    """The execution that stands for the run (32 hex) in the graph; made with its first input or output.

    Raises NotFound, NotWritable (deleted).
    """
    ref = lock_run(session, runs, actor.workspace, run)
    row = session.first(sa.select(runs.c.execution, runs.c.lifecycle).where(runs.c.id == ref.id))
    if row is None:
        raise NotFound("run", f"run_{run}")
    if row.lifecycle == Lifecycle.DELETED:
        raise NotWritable(f"run run_{ref.hex} is deleted: restore it first")
    if row.execution is not None:
        return int(row.execution)
    made = session.next_id("execution")
    scope = session.scalar(sa.select(contexts.c.scope).where(contexts.c.id == ref.id))
    node = node_row(
        made,
        type_id=node_types.RUN_EXECUTION,
        workspace=actor.workspace,
        scope=scope,
        now=now,
        name=ref.hex,  # not the run's name, which may change and repeat
        name_key=ref.hex,
    )
    session.insert(executions, node)
    session.insert(associations, {"context": ref.id, "execution": made})
    session.execute(sa.update(runs).where(runs.c.id == ref.id).values(execution=made))
    return made


def _step_of(session: Session, actor: Actor, run: str, step: int) -> int:
    """Its id now, which a merge may have changed. Raises NotFound, NotWritable (the run is deleted)."""
    ref = lock_run(session, runs, actor.workspace, run)
    if ref.lifecycle is Lifecycle.DELETED:
        raise NotWritable(f"run run_{ref.hex} is deleted: restore it first")
    for id in (step, find_alias(session, NodeKind.EXECUTION, step)):
        if id is not None and session.scalar(sa.select(steps.c.id).where(steps.c.id == id, steps.c.run == ref.id)) is not None:
            return id
    raise NotFound("step", f"{own_id(IdPrefix.STEP, step)} of run_{run}")


def list_uses(
    session: Session,
    actor: Actor,
    run: str,
    *,
    types: Sequence[EventType] = INPUT_EVENTS + OUTPUT_EVENTS,
    after: int | None = None,
    limit: int = 100,
) -> list[tuple[int, Use]]:
    """What the run and its steps read and wrote, as (event id, use), by event id; four statements. Raises NotFound."""
    ref = get_run_ref(session, actor.workspace, run)
    own = sa.select(runs.c.execution).where(runs.c.id == ref.id, runs.c.execution.is_not(None))
    members = sa.union_all(own, sa.select(steps.c.id).where(steps.c.run == ref.id)).subquery()
    query = (
        sa.select(events, steps.c.id.label("step"))
        .join(steps, steps.c.id == events.c.execution, isouter=True)
        .join(artifacts, artifacts.c.id == events.c.artifact)
        .where(events.c.execution.in_(sa.select(members.c[0])), events.c.type.in_(types))
        .where(artifacts.c.workspace.in_([actor.workspace, INSTALL]))
        .order_by(events.c.id)
        .limit(limit)
    )
    if after is not None:
        query = query.where(events.c.id > after)
    rows = session.all(query)
    found = {artifact.id: artifact for artifact in get_artifacts(session, actor, sorted({row.artifact for row in rows}))}
    return [
        (
            row.id,
            Use(
                artifact=found[row.artifact],
                type=EventType(row.type),
                port=row.port,
                step=row.step,
                at=row.at,
                tags={} if row.tags is None else json.loads(row.tags),
            ),
        )
        for row in rows
    ]


def find_producer(session: Session, actor: Actor, artifact: int) -> str | None:
    """32 hex of the run that wrote the artifact, itself or in a step: the first, if several did."""
    made = sa.select(events.c.execution).where(events.c.artifact == artifact, events.c.type.in_(OUTPUT_EVENTS))
    of_steps = sa.select(steps.c.run).where(steps.c.id.in_(made), steps.c.run.is_not(None))
    here = sa.select(runs.c.hex).where(runs.c.workspace == actor.workspace)
    for wrote in (runs.c.execution.in_(made), runs.c.id.in_(of_steps)):
        found: str | None = session.scalar(here.where(wrote).order_by(runs.c.id).limit(1))
        if found is not None:
            return found
    return None
