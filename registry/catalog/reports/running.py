"""The run of a report: found by the ids that it may be known under, or born with the id of the report."""

import uuid
from typing import Any

import sqlalchemy as sa

from registry.catalog import node_types
from registry.catalog.actors import Actor
from registry.catalog.experiments import get_or_create_experiment
from registry.catalog.keys import claim, find_claimed, unmake_run
from registry.catalog.nodes import touch
from registry.catalog.reports.ranking import Rank
from registry.catalog.reports.record import Experiment, Report, Run, millis
from registry.catalog.reports.stepping import Step, Steps, run_uses, written
from registry.catalog.reports.values import replace_params
from registry.catalog.reports.vanishing import tell_reason
from registry.catalog.run_creation import create_run
from registry.catalog.uses import run_execution
from registry.db.session import Session
from registry.errors import AlreadyExists, NotWritable
from registry.names import MAX_NAME, Author, KeyKind, Lifecycle, NodeKind, Origin, Status, check_text, run_hex_or_none
from registry.tables.graph import contexts
from registry.tables.runs import experiments, runs

UNNAMED = "unnamed"


def find_or_make_run(session: Session, actor: Actor, report: Report, run: Run, *, now: int) -> tuple[int, str]:
    """The context id and the run id. A key that is claimed gives that run; a new run claims its keys."""
    hex = hex_of(run.id)
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


def hex_of(id: str) -> str:
    """The run id of a source's id: a UUID is itself, any other text its uuid5 in the URL namespace.

    Raises InvalidArgument: it is empty.
    """
    return run_hex_or_none(id) or uuid.uuid5(uuid.NAMESPACE_URL, check_text(id, "run.id", empty=False)).hex


_RUN = sa.select(runs.c.id).where(runs.c.hex == sa.bindparam("hex"), runs.c.workspace == sa.bindparam("workspace"))


def find_run(session: Session, actor: Actor, hex: str, uid: str) -> tuple[int, str] | None:
    """The run with this id, or with this KFP run id or Kubernetes uid."""
    found = session.scalar(_RUN, {"hex": hex, "workspace": actor.workspace})
    if found is not None:
        return int(found), hex
    wanted = [(KeyKind.RUN_ID, hex), (KeyKind.KFP_RUN, hex), (KeyKind.KUBERNETES_UID, uid)]
    claimed = find_claimed(session, actor.workspace, wanted, NodeKind.CONTEXT)
    if claimed is None:
        return None
    return claimed, str(session.scalar(sa.select(runs.c.hex).where(runs.c.id == claimed)))


def _make(session: Session, actor: Actor, report: Report, run: Run, hex: str, *, now: int) -> tuple[int, str]:
    name = experiment_name(report, run)
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


def experiment_name(report: Report, run: Run) -> str:
    """Of the derived experiment: that of the pipeline, of the search that a trial belongs to, or of all jobs of one kind."""
    kind = report.object.kind
    if kind == "Trial":
        return search_name(run.owner.name if run.owner else None)
    return (f"pipelines/{run.pipeline or UNNAMED}" if kind == "Workflow" or run.pipeline else f"jobs/{kind}")[:MAX_NAME]


def search_name(name: str | None) -> str:
    return f"katib/{name or UNNAMED}"[:MAX_NAME]


def experiment_of(session: Session, actor: Actor, said: Experiment, *, now: int) -> int:
    """Of a search for parameters, made where it is missing."""
    check_text(said.name, "experiment.name", empty=False)
    name = search_name(said.name)
    return get_or_create_experiment(session, actor, name, now=now, derived=True, origin=Origin.AGENT).id


def shown_name(report: Report, run: Run, hex: str) -> str:
    return (run.name or report.object.name or f"run-{hex[:8]}")[:MAX_NAME]


_HELD = (
    sa.select(runs, contexts.c.type_id, experiments.c.name.label("experiment_name"))
    .join(contexts, contexts.c.id == runs.c.id)
    .join(experiments, experiments.c.id == runs.c.experiment, isouter=True)
    .where(runs.c.id == sa.bindparam("run"))
)


def write_run(
    session: Session, actor: Actor, id: int, report: Report, run: Run, *, before: Rank, told: Run | None, now: int
) -> None:
    """What the newest report says of the run, where no client has said otherwise.

    `before`: of the newest so far, `told`: what it said of the run.
    """
    held = session.first(_HELD, {"run": id})
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
        tell_reason(session, id, report, was=held.status)
    wanted = experiment_name(report, run)
    if held.experiment_author == Author.AGENT and held.experiment_name != wanted:
        experiment = get_or_create_experiment(session, actor, wanted, now=now, derived=True, origin=Origin.AGENT)
        values["experiment"] = experiment.id
        node["name_key"] = f"{experiment.id}:{held.hex}"
    if any(getattr(held, name) != value for name, value in values.items()):
        session.execute(sa.update(runs).where(runs.c.id == id).values(**values))
    if node and held.type_id == node_types.RUN:  # ML Metadata's own types keep the name that its client gave
        session.execute(sa.update(contexts).where(contexts.c.id == id).values(**node))
    touch(session, NodeKind.CONTEXT, id, now=now)
    if told is None or written(told.parameters) != written(run.parameters):
        replace_params(session, NodeKind.CONTEXT, {id: run.parameters})


def inputs_of(session: Session, actor: Actor, hex: str, run: Run | None, *, now: int) -> Steps:
    """What the run itself reads, as a step would: of the execution that stands for the run, made where it is missing."""
    uses = run_uses(run) if run is not None else []
    if run is None or not uses:
        return {}
    try:
        execution = run_execution(session, actor, hex, now=now)
    except NotWritable:  # a deleted run keeps what it had
        return {}
    columns = {"id": execution, "path": "", "started_at": millis(run.started_at), "ended_at": millis(run.finished_at)}
    return {(0, ""): Step(columns, {"key": "", "uses": uses})}


def may_set_status(status: int | None, author: int, report: Report, before: Rank) -> bool:
    """A final state that a client set stays, unless the run was started again or a finished workflow runs again.

    `before`: of the newest report so far.
    """
    if author == Author.AGENT or status is None or not Status(status).is_final:
        return True
    runs_again = before[2] > 0 and not report.status.is_final
    return (report.object.retry_generation or 0) > max(before[0], 0) or runs_again
