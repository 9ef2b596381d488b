"""Whose what is, in platform mode: a run's executions and artifacts are its workspace's, what all use is the installation's.

An artifact that was put alone is everybody's until a run makes or uses it; then it is that run's workspace's, and once a run of
another workspace uses it, everybody's again and for good. Outside of platform mode nothing here does anything.
"""

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from registry.catalog.actors import INSTALL, Actor, Reach
from registry.catalog.workspaces import get_or_create_workspace
from registry.db.session import Session
from registry.errors import NotPermitted
from registry.tables.graph import artifacts, attributions, events
from registry.tables.runs import runs, steps


def actor_of_run(session: Session, actor: Actor, namespace: str, *, now: int) -> Actor:
    """In whose workspace a run belongs that names `namespace`; "" is the connection's. Raises NotPermitted."""
    if actor.reach is Reach.WORKSPACE or namespace in {"", actor.workspace_name}:
        return actor.at(actor.workspace)
    if actor.reach is not Reach.INSTALL:
        raise NotPermitted(f"{actor.name} may write in workspace {actor.workspace_name} only, not in {namespace[:200]}")
    return actor.at(get_or_create_workspace(session, namespace, now=now))


def workspace_of_run(session: Session, run: int) -> int:
    return int(session.scalar(sa.select(runs.c.workspace).where(runs.c.id == run)))


def settle_used(session: Session, actor: Actor, uses: Sequence[tuple[int, int]]) -> None:
    """(artifact, execution) pairs, before their events are there. Three statements, one without steps."""
    if actor.reach is Reach.WORKSPACE or not uses:
        return
    of_steps = sa.select(steps.c.id, steps.c.workspace).where(steps.c.id.in_({execution for _, execution in uses}))
    of_runs = sa.select(runs.c.execution, runs.c.workspace).where(runs.c.execution.in_({execution for _, execution in uses}))
    homes = {row.id: row.workspace for row in session.all(sa.union_all(of_steps, of_runs))}
    settle(session, actor, [(artifact, homes[execution]) for artifact, execution in uses if execution in homes])


def settle_attributed(session: Session, actor: Actor, uses: Sequence[tuple[int, int]]) -> None:
    """(artifact, context) pairs, before their attributions are there. Three statements, one without runs."""
    if actor.reach is Reach.WORKSPACE or not uses:
        return
    rows = session.all(sa.select(runs.c.id, runs.c.workspace).where(runs.c.id.in_({context for _, context in uses})))
    homes = {row.id: row.workspace for row in rows}
    settle(session, actor, [(artifact, homes[context]) for artifact, context in uses if context in homes])


def settle(session: Session, actor: Actor, uses: Iterable[tuple[int, int]]) -> None:
    """(artifact, workspace of a run that makes or uses it) pairs, before the edges are there. Two statements."""
    wanted: dict[int, set[int]] = {}
    for artifact, workspace in uses:
        wanted.setdefault(artifact, set()).add(workspace)
    if actor.reach is Reach.WORKSPACE or not wanted:
        return
    attributed = sa.select(attributions.c.context).join(runs, runs.c.id == attributions.c.context)
    used = sa.select(events.c.id).join(steps, steps.c.id == events.c.execution)
    rows = session.all(
        sa.select(
            artifacts.c.id,
            artifacts.c.workspace,
            sa.or_(
                sa.exists(attributed.where(attributions.c.artifact == artifacts.c.id)),
                sa.exists(used.where(events.c.artifact == artifacts.c.id)),
            ).label("held"),
        )
        .where(artifacts.c.id.in_(sorted(wanted)))
        .order_by(artifacts.c.id)
    )
    moves: dict[int, list[int]] = {}
    for row in rows:
        if row.workspace == INSTALL and row.held:
            continue
        homes = wanted[row.id] | ({row.workspace} - {INSTALL})
        target = homes.pop() if len(homes) == 1 else INSTALL
        if target != row.workspace:
            moves.setdefault(target, []).append(row.id)
    for workspace, ids in sorted(moves.items()):
        session.execute(sa.update(artifacts).where(artifacts.c.id.in_(ids)).values(workspace=workspace))
