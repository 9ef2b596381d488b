"""The tasks of a report as steps of the run. A step keeps what the newest report that lists it said."""

import json
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from registry.catalog import node_types
from registry.catalog.actors import Actor
from registry.catalog.nodes import node_row
from registry.catalog.reports import ranking
from registry.catalog.reports.record import Report, Task, millis, parse
from registry.catalog.reports.running import is_number, replace_params, settle_metrics
from registry.db.session import Session
from registry.errors import InvalidArgument
from registry.names import MAX_KEY, Author, NodeKind, Status, check_text, narrow
from registry.tables.graph import associations, executions
from registry.tables.runs import objects, steps

_UPDATED = (
    "parent",
    "display_name",
    "phase",
    "message",
    "iteration",
    "attempts",
    "started_at",
    "ended_at",
    "node_id",
    "pod_name",
    "log_uri",
    "report_rank",
    "detail",
)


@dataclass(frozen=True)
class Written:
    """`ids` of every task of the report by key; `fresh`: those whose content is now this report's."""

    ids: dict[str, int]
    fresh: set[str]


def write_steps(session: Session, actor: Actor, run: int, report: Report, rank: ranking.Rank, *, now: int) -> Written:
    """Insert what is new, replace what an older report said; steps that a newer report lists stay as they are."""
    held = {
        row.path: row for row in session.all(sa.select(steps.c.path, steps.c.id, steps.c.report_rank).where(steps.c.run == run))
    }
    tasks = {task.key: task for task in report.tasks}
    for task in tasks.values():
        for text, what in ((task.key, "key"), (task.name, "name")):
            check_text(text, f"task {what}", empty=False)
        if task.parent is not None and task.parent not in tasks:
            raise InvalidArgument(f"task {task.key[:80]!r} names a parent that is not in the report")
    new = [key for key in tasks if key not in held]
    made = dict(zip(new, session.next_ids("execution", len(new)), strict=True)) if new else {}
    ids = {key: made.get(key) or held[key].id for key in tasks}
    fresh = set(new) | {key for key in tasks if key in held and rank > ranking.loaded(held[key].report_rank)}
    rows = {key: _row(actor, run, tasks[key], ids, rank) for key in fresh}
    session.insert(
        executions,
        [
            node_row(ids[key], type_id=node_types.STEP, workspace=actor.workspace, now=now, name=tasks[key].name[:512])
            for key in new
        ],
    )
    session.insert(steps, [rows[key] for key in new])
    session.insert(associations, [{"context": run, "execution": ids[key]} for key in new])
    changed = [rows[key] for key in sorted(fresh - set(new))]
    if changed:
        statement = sa.update(steps).where(steps.c.id == sa.bindparam("step"))
        statement = statement.values(**{name: sa.bindparam(f"new_{name}") for name in _UPDATED})
        session.execute(statement, [{"step": row["id"], **{f"new_{name}": row[name] for name in _UPDATED}} for row in changed])
    replace_params(session, NodeKind.EXECUTION, {ids[key]: tasks[key].inputs.parameters for key in fresh})
    return Written(ids, fresh)


def _row(actor: Actor, run: int, task: Task, ids: dict[str, int], rank: ranking.Rank) -> dict[str, Any]:
    at = millis(task.finished_at) or millis(task.started_at) or 0
    detail = {
        "status": int(task.status),
        "depends_on": list(task.depends_on),
        "inputs": task.inputs.parameters,
        "outputs": task.outputs.parameters,
        "metrics": {
            f"{task.key}/{key}"[:MAX_KEY]: [float(value), at] for key, value in sorted(task.metrics.items()) if is_number(value)
        },
    }
    return {
        "id": ids[task.key],
        "workspace": actor.workspace,
        "run": run,
        "path": task.key,
        "path_key": narrow(task.key),
        "parent": ids[task.parent] if task.parent else None,
        "name": task.name[:512],
        "display_name": _cut(task.display_name, 512),
        "status": task.status,
        "status_author": Author.AGENT,
        "phase": _cut(task.phase, 255),
        "message": task.message,
        "iteration": task.iteration,
        "attempts": task.attempts,
        "started_at": millis(task.started_at),
        "ended_at": millis(task.finished_at),
        "node_id": _cut(task.node_id, 512),
        "pod_name": _cut(task.pod_name, 512),
        "pod_uid": None,
        "log_uri": task.log_uri,
        "fingerprint": None,
        "report_rank": ranking.stored(rank),
        "detail": json.dumps(detail, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode(),
    }


def _cut(text: str | None, limit: int) -> str | None:
    return None if text is None else text[:limit]


def settle(session: Session, run: int) -> None:
    """What only all reports together say: states of steps that the newest one no longer lists, and the run's series.

    A step that a newer report with tasks does not list (a retry removed its node) is pending; its content stays.
    """
    rows = session.all(
        sa.select(steps.c.id, steps.c.status, steps.c.status_author, steps.c.report_rank, steps.c.detail).where(
            steps.c.run == run
        )
    )
    newest = max((ranking.loaded(row.report_rank) for row in rows), default=ranking.OLDEST)
    wanted: dict[str, tuple[float, int]] = {}
    changes: dict[int, list[int]] = {}
    for row in rows:
        detail = json.loads(row.detail) if row.detail else {}
        listed = ranking.loaded(row.report_rank) == newest
        status = detail.get("status", Status.UNKNOWN) if listed else int(Status.PENDING)
        if row.status_author == Author.AGENT and row.status != status:
            changes.setdefault(status, []).append(row.id)
        wanted |= {key: (value, at) for key, (value, at) in detail.get("metrics", {}).items()}
    for status, ids in sorted(changes.items()):
        session.execute(sa.update(steps).where(steps.c.id.in_(ids)).values(status=status))
    settle_metrics(session, run, wanted | _run_metrics(session, run))


def _run_metrics(session: Session, run: int) -> dict[str, tuple[float, int]]:
    """Those of the newest report of the run."""
    held = session.all(sa.select(objects.c.report_rank, objects.c.report).where(objects.c.run == run))
    newest = max(held, key=lambda row: ranking.loaded(row.report_rank), default=None)
    if newest is None or newest.report is None:
        return {}
    found = parse(newest.report).run
    if found is None or not found.metrics:
        return {}
    at = millis(found.finished_at) or millis(found.started_at) or 0
    return {key[:MAX_KEY]: (float(value), at) for key, value in found.metrics.items() if is_number(value)}
