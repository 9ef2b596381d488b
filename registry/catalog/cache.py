"""Reuse of finished steps: found by fingerprint, marked so that the outputs of the original are the cached step's too."""

from dataclasses import dataclass

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.nodes import bump
from registry.db.session import Session
from registry.errors import Conflict, InvalidArgument, NotFound
from registry.names import OUTPUT_EVENTS, IdPrefix, LinkKind, NodeKind, Role, Status, check_name, own_id
from registry.tables.graph import events, executions, links
from registry.tables.runs import runs, steps


@dataclass(frozen=True)
class Reusable:
    """A finished step whose outputs can stand for those of another with its fingerprint."""

    step: int
    run: int | None
    hex: str | None
    seconds: float
    outputs: tuple[int, ...]
    """Artifact ids. `hex`: `run_<32 hex>`."""


def set_fingerprint(session: Session, actor: Actor, step: int, fingerprint: str) -> None:
    """What the step computes, from what: equal fingerprints give equal outputs. Raises NotFound."""
    actor.require(Role.CONTRIBUTOR)
    _row(session, actor, step)
    check_name(fingerprint, "fingerprint")
    session.execute(sa.update(steps).where(steps.c.id == step).values(fingerprint=fingerprint))
    bump(session, NodeKind.EXECUTION, step)


def find_reusable(session: Session, actor: Actor, fingerprint: str) -> Reusable | None:
    """The newest COMPLETE step of the workspace with this fingerprint: by its end, then by its id. Two statements."""
    row = session.first(
        sa.select(steps.c.id, steps.c.run, runs.c.hex, steps.c.started_at, steps.c.ended_at)
        .join(runs, runs.c.id == steps.c.run, isouter=True)
        .where(
            steps.c.workspace == actor.workspace,
            steps.c.fingerprint == fingerprint,
            steps.c.status == Status.SUCCEEDED,
        )
        .order_by(sa.func.coalesce(steps.c.ended_at, steps.c.started_at, 0).desc(), steps.c.id.desc())
        .limit(1)
    )
    if row is None:
        return None
    made = sa.select(events.c.artifact).where(events.c.execution == row.id, events.c.type.in_(OUTPUT_EVENTS))
    outputs = session.scalars(made.order_by(events.c.artifact))
    return Reusable(
        row.id, row.run, None if row.hex is None else f"run_{row.hex}", _seconds(row.started_at, row.ended_at), tuple(outputs)
    )


def mark_cached(session: Session, actor: Actor, step: int, original: int, *, now: int) -> None:
    """The step did not run: it has the outputs of `original`, and a link that says how many seconds that saved. Idempotent.

    Raises:
        NotFound: one of the two is not in this workspace.
        InvalidArgument: they are the same step.
        Conflict: the original has not succeeded.
    """
    actor.require(Role.CONTRIBUTOR)
    if step == original:
        raise InvalidArgument("a step cannot be reused from itself", field="original")
    session.lock(executions, [step, original])
    _row(session, actor, step)
    source = _row(session, actor, original)
    if source.status != Status.SUCCEEDED:
        raise Conflict(f"{own_id(IdPrefix.STEP, original)} has not succeeded", kind="step", key=original)
    session.execute(sa.update(steps).where(steps.c.id == step).values(status=Status.CACHED, status_author=actor.author))
    copy_outputs(session, step, original)
    row = {
        "kind": int(LinkKind.REUSED_FROM),
        "from_kind": int(NodeKind.EXECUTION),
        "from_node": step,
        "to_kind": int(NodeKind.EXECUTION),
        "to_node": original,
        "inferred": 0,
        "at": now,
        "seconds_saved": _seconds(source.started_at, source.ended_at),
    }
    session.insert_ignore(links, [row])
    bump(session, NodeKind.EXECUTION, step)


def copy_outputs(session: Session, step: int, original: int) -> None:
    """The step has made what the original made. Idempotent; three statements, one where that made nothing."""
    query = sa.select(events).where(events.c.execution == original, events.c.type.in_(OUTPUT_EVENTS)).order_by(events.c.id)
    found = session.all(query)
    ids = session.next_ids("event", len(found))
    rows = [row._asdict() | {"id": id, "execution": step} for id, row in zip(ids, found, strict=True)]
    session.insert_ignore(events, rows)


def _row(session: Session, actor: Actor, step: int) -> sa.Row[tuple[object, ...]]:
    query = sa.select(steps.c.status, steps.c.started_at, steps.c.ended_at)
    row = session.first(query.where(steps.c.id == step, steps.c.workspace == actor.workspace))
    if row is None:
        raise NotFound("step", own_id(IdPrefix.STEP, step))
    return row


def _seconds(started_at: int | None, ended_at: int | None) -> float:
    return 0.0 if started_at is None or ended_at is None else max(0, ended_at - started_at) / 1000
