"""Reading the steps of a run: what its workflow did, node by node."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.keys import find_alias
from registry.catalog.run_lookup import get_run_ref
from registry.db.session import Session
from registry.errors import NotFound
from registry.names import IdPrefix, NodeKind, Status, own_id
from registry.tables.runs import runs, steps


@dataclass(frozen=True)
class Step:
    """As stored. `path` is what names it in its run; `detail` what the source says of it beside the columns."""

    id: int
    run: str | None
    path: str
    name: str
    display_name: str | None
    parent: int | None
    status: Status | None
    phase: str | None
    message: str | None
    iteration: int | None
    attempts: int | None
    started_at: int | None
    ended_at: int | None
    node_id: str | None
    pod_name: str | None
    log_uri: str | None
    fingerprint: str | None
    detail: Mapping[str, Any]

    @property
    def own_id(self) -> str:
        return own_id(IdPrefix.STEP, self.id)

    @property
    def fetched(self) -> Mapping[str, Any]:
        """What no object has, but files and logs that the task left."""
        told: Mapping[str, Any] = self.detail.get("fetched") or {}
        return {key: value for key, value in told.items() if key != "rank"}

    @property
    def outputs(self) -> dict[str, Any]:
        """Values of its outputs: the object's own, else those of its log."""
        return {**(self.fetched.get("parameters") or {}), **(self.detail.get("outputs") or {})}


def list_steps(session: Session, actor: Actor, run: str, *, after: int = 0, limit: int = 100) -> list[Step]:
    """Those of the run (32 hex), by id; two statements. Raises NotFound."""
    ref = get_run_ref(session, actor.workspace, run)
    query = (
        sa.select(steps, runs.c.hex)
        .join(runs, runs.c.id == steps.c.run, isouter=True)
        .where(steps.c.run == ref.id, steps.c.workspace == actor.workspace, steps.c.id > after)
        .order_by(steps.c.id)
        .limit(limit)
    )
    return _rendered(session.all(query))


def get_step(session: Session, actor: Actor, id: int) -> Step:
    """By its id or one that it had before a merge. Raises NotFound: absent, or in another workspace."""
    query = sa.select(steps, runs.c.hex).join(runs, runs.c.id == steps.c.run, isouter=True)
    here = query.where(steps.c.workspace == actor.workspace)
    found = _rendered(session.all(here.where(steps.c.id == id)))
    if not found:
        found = _rendered(session.all(here.where(steps.c.id == find_alias(session, NodeKind.EXECUTION, id))))
    if not found:
        raise NotFound("step", own_id(IdPrefix.STEP, id))
    return found[0]


def get_steps(session: Session, actor: Actor, ids: Sequence[int]) -> list[Step]:
    """In the order of `ids`, those that are not here left out; one statement."""
    query = sa.select(steps, runs.c.hex).join(runs, runs.c.id == steps.c.run, isouter=True)
    return _rendered(session.by_ids(query.where(steps.c.workspace == actor.workspace), steps.c.id, ids))


def _rendered(rows: Sequence[sa.Row[tuple[Any, ...]]]) -> list[Step]:
    return [
        Step(
            id=row.id,
            run=None if row.hex is None else f"run_{row.hex}",
            path=row.path,
            name=row.name,
            display_name=row.display_name,
            parent=row.parent,
            status=None if row.status is None else Status(row.status),
            phase=row.phase,
            message=row.message,
            iteration=row.iteration,
            attempts=row.attempts,
            started_at=row.started_at,
            ended_at=row.ended_at,
            node_id=row.node_id,
            pod_name=row.pod_name,
            log_uri=row.log_uri,
            fingerprint=row.fingerprint,
            detail=json.loads(row.detail) if row.detail else {},
        )
        for row in rows
    ]
