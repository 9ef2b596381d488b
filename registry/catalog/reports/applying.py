"""`apply_report`: one report, one transaction."""

from dataclasses import dataclass, replace

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.reports import ranking
from registry.catalog.reports.flowing import write_flow
from registry.catalog.reports.record import Report, canonical
from registry.catalog.reports.running import find_or_make_run, write_run
from registry.catalog.reports.stepping import settle, write_steps
from registry.catalog.workspaces import find_workspace, get_or_create_workspace
from registry.db.session import Session
from registry.errors import InvalidArgument, NotPermitted
from registry.names import Author, Role, check_name, run_hex_or_none, sha256
from registry.tables.graph import contexts
from registry.tables.runs import objects, runs

OWNED_BY = {"Trial", "Workflow", "TrainJob", "JobSet", "PyTorchJob", "TFJob", "MPIJob", "XGBoostJob", "PaddleJob", "JAXJob"}


@dataclass(frozen=True)
class Applied:
    """`result`: applied, unchanged (this very report was here before) or stale (a newer one was)."""

    result: str
    run_hex: str | None
    warnings: tuple[str, ...]


def apply_report(session: Session, actor: Actor, report: Report, *, now: int) -> Applied:
    """Idempotent; never backwards; the order of arrival does not matter.

    Raises:
        NotPermitted: the object's namespace is a workspace in which the actor may not write.
        InvalidArgument: the report names no object, or its run id is no UUID.
    """
    actor.require(Role.CONTRIBUTOR)
    owner = _in_workspace(session, actor, report, now=now)
    rank = ranking.rank_of(report)
    held = _object_row(session, owner, report, now=now)
    if report.run is None:
        return _object_only(session, report, held, rank, now=now)
    if run_hex_or_none(report.run.id) is None:
        raise InvalidArgument(f"run.id {report.run.id[:80]!r} is no UUID", field="run.id")
    run = find_or_make_run(session, owner, report, now=now)
    session.lock(contexts, [run])
    known = session.all(sa.select(objects.c.id, objects.c.report_rank).where(objects.c.run == run))
    newest = max((ranking.loaded(row.report_rank) for row in known), default=ranking.OLDEST)
    if rank == newest:
        return Applied("unchanged", _hex(session, run), report.warnings)
    if rank > newest:
        write_run(session, owner, run, report, newest, now=now)
    written = write_steps(session, owner, run, report, rank, now=now)
    write_flow(session, owner, report, written, now=now)
    _remember(session, held, report, rank, run, now=now)
    settle(session, run)
    warnings = report.warnings
    if report.run.owner is not None and report.run.owner.kind in OWNED_BY:
        warnings = (*warnings, "Owned objects are not yet joined to their owner's run; this one was applied as a run.")
    return Applied("applied" if rank > newest else "stale", _hex(session, run), warnings)


def _in_workspace(session: Session, actor: Actor, report: Report, *, now: int) -> Actor:
    """The actor in the workspace of the object's namespace; what it writes gives way to clients."""
    agent = replace(actor, author=Author.AGENT)
    namespace = report.object.namespace
    if namespace is None or namespace == actor.workspace_name:
        return agent
    if actor.role < Role.ADMIN:
        raise NotPermitted(f"{actor.name} may not write into workspace {namespace}")
    found = find_workspace(session, check_name(namespace, "namespace"))
    workspace = found if found is not None else get_or_create_workspace(session, namespace, now=now)
    return replace(agent, workspace=workspace, workspace_name=namespace)


def _object_row(session: Session, actor: Actor, report: Report, *, now: int) -> int:
    """The id of the object's row, made where it is missing."""
    ref = report.object
    if ref.uid is None and ref.name is None:
        raise InvalidArgument("the object has neither uid nor name", field="object")
    for text, what in ((ref.kind, "kind"), (ref.name or "-", "name"), (ref.uid or "-", "uid"), (ref.cluster or "-", "cluster")):
        check_name(text, f"object.{what}")
    identity = sha256(ref.uid) if ref.uid else sha256(ref.cluster or "", ref.namespace or "", ref.kind, ref.name or "")
    where = (objects.c.workspace == actor.workspace, objects.c.identity == identity)
    found = session.scalar(sa.select(objects.c.id).where(*where))
    if found is not None:
        return int(found)
    row = {
        "id": session.next_id("record"),
        "workspace": actor.workspace,
        "cluster": ref.cluster or "",
        "namespace": ref.namespace or "",
        "kind": ref.kind,
        "name": ref.name or "",
        "uid": ref.uid,
        "identity": identity,
        "resource_version": None,
        "generation": None,
        "retry_generation": None,
        "phase": None,
        "run": None,
        "step": None,
        "deployment": None,
        "owner_uid": report.run.owner.uid if report.run and report.run.owner else None,
        "report_rank": None,
        "report": None,
        "blob": None,
        "deleted": 0,
        "received_at": now,
    }
    session.insert_ignore(objects, [row])
    return int(session.scalar(sa.select(objects.c.id).where(*where)))


def _object_only(session: Session, report: Report, held: int, rank: ranking.Rank, *, now: int) -> Applied:
    before = ranking.loaded(session.scalar(sa.select(objects.c.report_rank).where(objects.c.id == held)))
    if rank == before:
        return Applied("unchanged", None, report.warnings)
    _remember(session, held, report, rank, None, now=now)
    return Applied("applied" if rank > before else "stale", None, report.warnings)


def _remember(session: Session, held: int, report: Report, rank: ranking.Rank, run: int | None, *, now: int) -> None:
    """Keep the newest report of the object; an older one only ties the object to its run."""
    before = ranking.loaded(session.scalar(sa.select(objects.c.report_rank).where(objects.c.id == held)))
    values: dict[str, object] = {"run": run}
    if rank > before:
        ref = report.object
        values |= {
            "resource_version": ref.resource_version,
            "generation": ref.generation,
            "retry_generation": ref.retry_generation,
            "phase": report.run.phase if report.run else None,
            "report_rank": ranking.stored(rank),
            "report": canonical(report),
            "deleted": int(ref.deleted),
            "received_at": now,
        }
    session.execute(sa.update(objects).where(objects.c.id == held).values(**values))


def _hex(session: Session, run: int) -> str:
    return str(session.scalar(sa.select(runs.c.hex).where(runs.c.id == run)))
