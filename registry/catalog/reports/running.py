"""The run of a report: found by the ids that it may be known under, or born with the id of the report."""

from typing import Any

import sqlalchemy as sa

from registry.catalog import node_types
from registry.catalog.actors import Actor
from registry.catalog.experiments import get_or_create_experiment
from registry.catalog.keys import claim, find_claimed, unmake_run
from registry.catalog.nodes import touch
from registry.catalog.reports.ranking import Rank
from registry.catalog.reports.record import Report, Run, millis
from registry.catalog.reports.values import replace_params
from registry.catalog.runs import create_run
from registry.db.session import Session
from registry.errors import AlreadyExists, InvalidArgument
from registry.names import MAX_NAME, Author, KeyKind, Lifecycle, NodeKind, Origin, Status, run_hex_or_none
from registry.tables.graph import contexts
from registry.tables.runs import experiments, runs

UNNAMED = "unnamed"


def find_or_make_run(session: Session, actor: Actor, report: Report, run: Run, *, now: int) -> tuple[int, str]:
    """The context id and the run id. A key that is claimed gives that run; a new run claims its keys.

    Raises InvalidArgument: the run's id is no UUID.
    """
    hex = run_hex_or_none(run.id)
    if hex is None:
        raise InvalidArgument(f"run.id {run.id[:80]!r} is no UUID", field="run.id")
    uid = run_hex_or_none(report.object.uid or "") or hex
    claims = [(KeyKind.KUBERNETES_UID, uid)]
    if report.object.kind == "Workflow":
        claims.append((KeyKind.KFP_RUN, hex))
    found = find_run(session, actor, hex, uid)
    if found is None:
        try:
            found = _make(session, actor, report, run, hex, now=now)
        except AlreadyExists:  # somebody else made it at the same time
            found = find_run(session, actor, hex, uid)
            if found is None:
                raise
        else:
            if claim(session, actor.workspace, claims, NodeKind.CONTEXT, found[0]) == len(claims):
                return found
            unmake_run(session, found[0])  # another run claimed the id at the same time: it is that one
            return find_or_make_run(session, actor, report, run, now=now)
    claim(session, actor.workspace, claims, NodeKind.CONTEXT, found[0])
    return found


def find_run(session: Session, actor: Actor, hex: str, uid: str) -> tuple[int, str] | None:
    """The run with this id, or with this KFP run id or Kubernetes uid."""
    found = session.scalar(sa.select(runs.c.id).where(runs.c.hex == hex, runs.c.workspace == actor.workspace))
    if found is not None:
        return int(found), hex
    wanted = [(KeyKind.RUN_ID, hex), (KeyKind.KFP_RUN, hex), (KeyKind.KUBERNETES_UID, uid)]
    claimed = find_claimed(session, actor.workspace, wanted, NodeKind.CONTEXT)
    if claimed is None:
        return None
    return claimed, str(session.scalar(sa.select(runs.c.hex).where(runs.c.id == claimed)))


def _make(session: Session, actor: Actor, report: Report, run: Run, hex: str, *, now: int) -> tuple[int, str]:
    name = f"pipelines/{run.pipeline or UNNAMED}"[:MAX_NAME]
    experiment = get_or_create_experiment(session, actor, name, now=now, derived=True, origin=Origin.AGENT)
    active = experiment.lifecycle is not Lifecycle.DELETED
    made = create_run(
        session,
        actor,
        now=now,
        experiment=experiment.id if active else None,
        hex=hex,
        name=shown_name(report, run, hex),
        status=report.status,
        started_at=millis(run.started_at) or now,
        origin=Origin.AGENT,
    )
    if not active:  # born deleted, like all of its experiment
        values = {"experiment": experiment.id, "lifecycle": Lifecycle.DELETED}
        session.execute(sa.update(runs).where(runs.c.id == made).values(**values))
        session.execute(sa.update(contexts).where(contexts.c.id == made).values(deleted_at=now))
    return made, hex


def shown_name(report: Report, run: Run, hex: str) -> str:
    return (run.name or report.object.name or f"run-{hex[:8]}")[:MAX_NAME]


def write_run(session: Session, actor: Actor, id: int, report: Report, run: Run, *, before: Rank, now: int) -> None:
    """What the newest report says of the run, where no client has said otherwise. `before`: of the newest so far."""
    query = sa.select(runs, contexts.c.type_id, experiments.c.name.label("experiment_name"))
    query = query.join(contexts, contexts.c.id == runs.c.id)
    query = query.join(experiments, experiments.c.id == runs.c.experiment, isouter=True)
    held = session.first(query.where(runs.c.id == id))
    assert held is not None  # noqa: S101  (its row is locked)
    values: dict[str, Any] = {"phase": None if run.phase is None else run.phase[:255]}
    node: dict[str, Any] = {}
    name = shown_name(report, run, held.hex)
    if held.name_author == Author.AGENT and held.name != name:
        values["name"] = node["name"] = name
    if may_set_status(held.status, held.status_author, report, before):
        values |= {
            "status": int(report.status),
            "status_author": int(Author.AGENT),
            "started_at": millis(run.started_at) or (held.started_at if held.status_author == Author.CLIENT else None),
            "ended_at": millis(run.finished_at),
            "final_at": now if report.status.is_final else None,
        }
    wanted = f"pipelines/{run.pipeline or UNNAMED}"[:MAX_NAME]
    if held.experiment_author == Author.AGENT and held.experiment_name != wanted:
        experiment = get_or_create_experiment(session, actor, wanted, now=now, derived=True, origin=Origin.AGENT)
        values["experiment"] = experiment.id
        node["name_key"] = f"{experiment.id}:{held.hex}"
    session.execute(sa.update(runs).where(runs.c.id == id).values(**values))
    if node and held.type_id == node_types.RUN:  # ML Metadata's own types keep the name that its client gave
        session.execute(sa.update(contexts).where(contexts.c.id == id).values(**node))
    touch(session, NodeKind.CONTEXT, id, now=now)
    replace_params(session, NodeKind.CONTEXT, {id: run.parameters})


def may_set_status(status: int | None, author: int, report: Report, before: Rank) -> bool:
    """A final state that a client set stays, unless the run was started again or a finished workflow runs again.

    `before`: of the newest report so far.
    """
    if author == Author.AGENT or status is None or not Status(status).is_final:
        return True
    runs_again = before[2] > 0 and not report.status.is_final
    return (report.object.retry_generation or 0) > max(before[0], 0) or runs_again
