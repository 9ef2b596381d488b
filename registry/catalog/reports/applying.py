"""`apply_report`: one report, one transaction; whole, so that the order of its locks and steps is read in one place."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.joining import take_up
from registry.catalog.nodes import bump, touch
from registry.catalog.reports import owning, ranking, vanishing
from registry.catalog.reports.believing import believe
from registry.catalog.reports.deploying import write_deployment
from registry.catalog.reports.flowing import write_flow
from registry.catalog.reports.record import Report, Run, canonical, kept, millis
from registry.catalog.reports.reusing import settle_reuse, unknown_originals
from registry.catalog.reports.running import experiment_of, find_or_make_run, hex_of, inputs_of, write_run
from registry.catalog.reports.sources import drop_source
from registry.catalog.reports.step_writing import write_steps
from registry.catalog.reports.stepping import Place, Step, Steps, below, changes_of, cut, merged, of_run, written
from registry.catalog.reports.values import measure, numbers, replace_params, settle_metrics
from registry.catalog.workspaces import find_workspace, get_or_create_workspace
from registry.db.session import Session
from registry.errors import InvalidArgument, NotPermitted
from registry.names import Author, NodeKind, Role, check_name, check_text, sha256
from registry.tables.graph import contexts, executions
from registry.tables.runs import objects, runs


@dataclass(frozen=True)
class Applied:
    """`result`: applied, unchanged (this very report was here before) or stale (a newer one was).

    `object_id`: of the object's row.
    """

    result: str
    run_hex: str | None
    warnings: tuple[str, ...]
    object_id: int = 0


@dataclass(frozen=True)
class _Object:
    """`is_gone`: and will not come back, having a uid. `run`, `hex`: of the run that its reports tell of."""

    id: int
    step: int | None
    is_gone: bool = False
    run: int | None = None
    hex: str | None = None


@dataclass(frozen=True)
class _Arrival:
    """A report that has come, with the row of its object.

    `gone`: the object is; `again`: the report is the newest so far, of an object that is now known to be gone.
    """

    actor: Actor
    held: _Object
    report: Report
    rank: ranking.Rank
    gone: bool
    again: bool
    now: int


def apply_report(session: Session, actor: Actor, report: Report, *, now: int) -> Applied:
    """Idempotent; never backwards; the order of arrival does not matter.

    Raises:
        NotPermitted: the object's namespace is a workspace in which the actor may not write.
        InvalidArgument: the report names no object, its run id is no UUID, or a task's parent is missing.
    """
    actor.require(Role.CONTRIBUTOR)
    agent = _in_workspace(session, actor, report, now=now)
    held = _object_row(session, agent, report, now=now)
    if vanishing.says_only_gone(report):
        is_news, last = vanishing.mark_gone(session, held.id, report)
        if last is None or not is_news:
            return Applied("applied" if is_news else "unchanged", None, report.warnings, held.id)
        return _applied(session, _Arrival(agent, held, last, ranking.rank_of(last), gone=True, again=True, now=now))
    come = _Arrival(
        agent, held, report, ranking.rank_of(report), gone=held.is_gone or report.object.deleted, again=False, now=now
    )
    applied = _applied(session, come)
    if session.dialect != "sqlite" and not come.gone and vanishing.is_gone(session, held.id):  # it went at the same time
        applied = _applied(session, replace(come, gone=True, again=True))
    return applied


def _applied(session: Session, come: _Arrival) -> Applied:
    report = come.report
    if report.run is None:
        applied = _object_only(session, come)
    elif come.held.step is not None or owning.is_owned(report, report.run):
        applied = _owned(session, come, report.run)
    else:
        applied = _run(session, come, report.run)
    return replace(applied, object_id=come.held.id)


def find_applied(session: Session, actor: Actor, report: Report) -> Applied | None:
    """What applying it would answer where this very report is the newest of its run or object; None: it has to be applied.

    Writes nothing. An agent that starts again sends all that it sees, and most of it was here before.
    """
    namespace = report.object.namespace
    workspace = actor.workspace if namespace in {None, actor.workspace_name} else None
    if workspace is None and actor.role >= Role.ADMIN:
        workspace = find_workspace(session, namespace or "")
    if workspace is None or vanishing.says_only_gone(report):
        return None
    rank = ranking.rank_of(report)
    row = session.first(_KNOWN, {"workspace": workspace, "identity": _identity(report)})
    if row is None or ranking.loaded(row.report_rank) != rank:
        return None
    if report.run is not None:
        if row.step is not None or row.run is None:
            return None
        if max(ranking.loaded(other.report_rank) for other in session.all(_OBJECTS, {"run": row.run})) != rank:
            return None
    return Applied("unchanged", row.hex if report.run is not None else None, report.warnings, row.id)


def _identity(report: Report) -> str:
    ref = report.object
    return sha256(ref.uid) if ref.uid else sha256(ref.cluster or "", ref.namespace or "", ref.kind, ref.name or "")


def _run(session: Session, come: _Arrival, run: Run) -> Applied:
    actor, held, report, rank, now = come.actor, come.held.id, come.report, come.rank, come.now
    id, hex = _locked_run(session, come, run)
    rows = {row.id: row for row in session.all(_TOLD, {"run": id})}
    known = {id: ranking.loaded(row.report_rank) for id, row in rows.items()}
    newest = max(known.values(), default=ranking.OLDEST)
    if rank == newest and not come.again:
        return Applied("unchanged", hex, report.warnings)
    is_newest = rank >= newest
    last = kept(rows[max(known, key=known.__getitem__)].report) if newest != ranking.OLDEST else None
    if is_newest:
        told = None if last is None else last.run
        write_run(session, actor, id, vanishing.closed(report) if come.gone else report, run, before=newest, told=told, now=now)
    mine = known.get(held, ranking.OLDEST)  # what the lock makes certain
    own_row = rows.get(held)
    _remember(session, held, report, rank, before=mine, blob=own_row.blob if own_row else None, now=now, run=id)
    believed = believe(session, actor.workspace, id, report)
    before = of_run(session, id)
    cut = _cut_short(run, gone=come.gone) if is_newest else None
    place = Place(actor.workspace, id)
    after = merged(
        session, place, before, report, rank=rank, believed=believed, cut=cut, last=None if last is None else (newest, last)
    )
    told = last.run if last is not None and report.object.kind != "Workflow" else None  # which reads in its tasks
    own = [inputs_of(session, actor, hex, said, now=now) for said in (told, run if is_newest else told)]
    changes = _write(session, actor.workspace, before, after, now=now, own=own)
    owned = owning.owned_by(session, actor.workspace, report.object.uid)
    owning.tie_parents(session, actor.workspace, id, run, owned)
    after = _with_owned(session, actor.workspace, owned, id, after, now=now)
    _take_up(session, actor.workspace, id, after, settled=before.keys() - changes.keys(), now=now)
    if rank < newest and last is not None:
        run = last.run or run
    history = report.run.history if report.run else ()
    wanted = _metrics(after) | _numbers(run)
    if last is None or history or wanted != _metrics(before) | _numbers(last.run):
        measured = measure(session, held, id, history, known=own_row.measured if own_row else None)
        _settle(session, id, wanted, aside=measured)
    warnings = (*report.warnings, *unknown_originals(session, after))
    return Applied("applied" if is_newest else "stale", hex, warnings)


def _numbers(run: Run | None) -> dict[str, tuple[float, int]]:
    """Of the run itself."""
    return {} if run is None else numbers(run.metrics, millis(run.finished_at) or millis(run.started_at) or 0)


_OBJECT = (
    sa.select(objects.c.id, objects.c.step, objects.c.deleted, objects.c.run, runs.c.hex)
    .join(runs, runs.c.id == objects.c.run, isouter=True)
    .where(objects.c.workspace == sa.bindparam("workspace"), objects.c.identity == sa.bindparam("identity"))
)
_KNOWN = (
    sa.select(objects.c.id, objects.c.run, objects.c.step, objects.c.report_rank, runs.c.hex)
    .join(runs, runs.c.id == objects.c.run, isouter=True)
    .where(objects.c.workspace == sa.bindparam("workspace"), objects.c.identity == sa.bindparam("identity"))
)
_OBJECTS = sa.select(objects.c.id, objects.c.report_rank).where(objects.c.run == sa.bindparam("run"), objects.c.step.is_(None))
_TOLD = sa.select(objects.c.id, objects.c.report_rank, objects.c.report, objects.c.blob, objects.c.measured).where(
    objects.c.run == sa.bindparam("run"), objects.c.step.is_(None)
)
_OF_OBJECT = sa.select(objects.c.report_rank, objects.c.blob).where(objects.c.id == sa.bindparam("object"))


def _cut_short(run: Run, *, gone: bool) -> bool:
    return gone and vanishing.goes_on(run)


def _locked_run(session: Session, come: _Arrival, run: Run) -> tuple[int, str]:
    """Found again once it is locked: it may have been merged into another run meanwhile."""
    found = _known_run(come.held, run) or find_or_make_run(session, come.actor, come.report, run, now=come.now)
    session.lock(contexts, [found[0]])
    if session.dialect != "sqlite":
        held = _found_object(session, come.actor, come.report)
        again = _known_run(held, run) or find_or_make_run(session, come.actor, come.report, run, now=come.now)
        if again != found:
            session.lock(contexts, [again[0]])
        return again
    return found


def _known_run(held: _Object | None, run: Run) -> tuple[int, str] | None:
    """That of the object, which claimed its keys when a report told of it first; None if the report names another."""
    if held is None or held.run is None or held.hex is None or held.step is not None or held.hex != hex_of(run.id):
        return None
    return held.run, held.hex


def _owned(session: Session, come: _Arrival, run: Run) -> Applied:
    actor, held, report, rank, now = come.actor, come.held.id, come.report, come.rank, come.now
    place = owning.place_of(session, actor.workspace, held, report, run, now=now)
    if place.run is None and _found_owner(session, actor.workspace, run, now=now):
        place = owning.place_of(session, actor.workspace, held, report, run, now=now)
    assert place.top is not None  # noqa: S101
    session.lock(contexts, [place.run] if place.run else [])
    session.lock(executions, [place.top.id])
    if session.dialect != "sqlite":  # as it is under the lock
        place = owning.place_of(session, actor.workspace, held, report, run, now=now)
    assert place.top is not None  # noqa: S101
    newest = place.top.rank
    if rank == newest and not come.again:
        return Applied("unchanged", _hex(session, place.run), report.warnings)
    is_newest = rank >= newest
    blob = None if newest == ranking.OLDEST else session.all(_OF_OBJECT, {"object": held})[0].blob
    _remember(session, held, report, rank, before=newest, blob=blob, now=now, step=place.top.id)
    before = of_run(session, place.run) if place.run is not None else below(session, place.top.id)
    top = owning.top_of(place, report, run, rank)
    cut = _cut_short(run, gone=come.gone) if is_newest else None
    after = merged(session, place, before | {(held, ""): top}, report, rank=rank, cut=cut)
    changes = _write(session, actor.workspace, before, after, now=now)
    owned = owning.owned_by(session, actor.workspace, report.object.uid)
    after = _with_owned(session, actor.workspace, owned, place.run, after, owner=top, now=now)
    if place.run is not None:
        _take_up(session, actor.workspace, place.run, after, settled=before.keys() - changes.keys(), now=now)
        _settle_run_metrics(session, place.run, after)
    return Applied("applied" if is_newest else "stale", _hex(session, place.run), report.warnings)


def _write(session: Session, workspace: int, before: Steps, after: Steps, *, now: int, own: Sequence[Steps] = ({}, {})) -> Steps:
    """The steps, and what follows from them; what differs. `own`: what the run itself reads, before and after."""
    changes = changes_of(before, after)
    write_steps(session, before, after, changes, now=now)
    inputs = {
        step.id: step.detail.get("inputs", {})
        for place, step in changes.items()
        if _inputs(step) != (_inputs(before[place]) if place in before else b"{}")
    }
    replace_params(session, NodeKind.EXECUTION, inputs, new={step.id for place, step in after.items() if place not in before})
    write_flow(session, workspace, [before | own[0]], after | own[1], now=now)
    settle_reuse(session, workspace, changes)
    return changes


def _inputs(step: Step) -> bytes:
    return written(step.detail.get("inputs", {}))


def _found_owner(session: Session, workspace: int, run: Run, *, now: int) -> bool:
    """Whether an owner that was not known is there now: both may have been reported at the same time. Joins them."""
    id, owner = owning.owner_of(session, workspace, run)
    if id is None or run.owner is None:
        return False
    session.lock(contexts, [id])
    owned = owning.owned_by(session, workspace, run.owner.uid)
    steps = _with_owned(session, workspace, owned, id, of_run(session, id), owner=owner, now=now)
    _take_up(session, workspace, id, steps, now=now)
    _settle_run_metrics(session, id, steps)
    return True


def _take_up(
    session: Session, workspace: int, run: int, steps: Steps, *, settled: Collection[tuple[int, str]] = (), now: int
) -> None:
    """Processes that told of themselves before any report did: those of steps that still go on or are not `settled`."""
    news = [step for key, step in steps.items() if key not in settled or step.columns["ended_at"] is None]
    take_up(session, workspace, run, news, now=now)


def _with_owned(
    session: Session, workspace: int, owned: owning.Owned, run: int | None, steps: Steps, *, owner: Step | None = None, now: int
) -> Steps:
    """The steps with those that waited for the object, whose artifacts they may have used."""
    attached = owning.attach(session, owned, run, owner)
    if not attached:
        return steps
    joined = dict(steps)
    for part in attached:
        joined |= part
    write_flow(session, workspace, [steps, *attached], joined, now=now)
    return joined


def _metrics(steps: Steps) -> dict[str, tuple[float, int]]:
    found: dict[str, tuple[float, int]] = {}
    for _, step in sorted(steps.items()):
        said = step.detail.get("fetched", {}).get("metrics", {}) | step.detail.get("metrics", {})
        found |= numbers(said, step.at, f"{step.path}/")
    return found


def _settle_run_metrics(session: Session, run: int, steps: Steps) -> None:
    """The series of the run's steps, with those of the newest report of the run itself."""
    query = sa.select(objects.c.report_rank, objects.c.report).where(objects.c.run == run, objects.c.step.is_(None))
    rows = [row for row in session.all(query) if row.report is not None]
    own = kept(max(rows, key=lambda row: ranking.loaded(row.report_rank)).report).run if rows else None
    _settle(session, run, _metrics(steps) | _numbers(own))


def _settle(session: Session, run: int, wanted: dict[str, tuple[float, int]], *, aside: Collection[str] = ()) -> None:
    """What changes a run's metrics moves its version, whether or not the report said anything new of the run itself."""
    if settle_metrics(session, run, wanted, aside=aside):
        bump(session, NodeKind.CONTEXT, run)


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


def _object_row(session: Session, actor: Actor, report: Report, *, now: int) -> _Object:
    """The object's row, made where it is missing."""
    ref = report.object
    if ref.uid is None and ref.name is None:
        raise InvalidArgument("the object has neither uid nor name", field="object")
    for text, what in ((ref.kind, "kind"), (ref.name or "-", "name"), (ref.cluster or "-", "cluster")):
        check_name(text, f"object.{what}")
    check_text(ref.kind, "object.kind", limit=255)
    check_text(ref.uid or "", "object.uid", limit=255)
    found = _found_object(session, actor, report)
    if found is None:
        made = session.next_id("record")
        row = dict.fromkeys(column.name for column in objects.columns) | {
            "id": made,
            "workspace": actor.workspace,
            "cluster": ref.cluster or "",
            "namespace": ref.namespace or "",
            "kind": ref.kind,
            "name": ref.name or "",
            "uid": ref.uid,
            "identity": _identity(report),
            "owner_uid": _owner_uid(report),
            "deleted": 0,
            "received_at": now,
        }
        if session.insert_if_absent(objects, row):
            return _Object(made, None)
        found = _found_object(session, actor, report)
    assert found is not None  # noqa: S101
    return found


def _found_object(session: Session, actor: Actor, report: Report) -> _Object | None:
    row = session.first(_OBJECT, {"workspace": actor.workspace, "identity": _identity(report)})
    if row is None:
        return None
    is_gone = report.object.uid is not None and bool(row.deleted)
    return _Object(int(row.id), row.step, is_gone=is_gone, run=row.run, hex=row.hex)


def _owner_uid(report: Report) -> str | None:
    return cut(report.run.owner.uid, 255) if report.run and report.run.owner and report.run.owner.uid else None


def _object_only(session: Session, come: _Arrival) -> Applied:
    """An object that is no run: a deployment, a search for parameters, or only itself."""
    actor, held, report, rank, now = come.actor, come.held.id, come.report, come.rank, come.now
    session.lock(objects, [held])
    row = session.all(_OF_OBJECT, {"object": held})[0]
    before = ranking.loaded(row.report_rank)
    if rank == before and not come.again:
        return Applied("unchanged", None, report.warnings)
    ties: dict[str, int] = {}
    newest = rank >= before
    if report.deployment is not None:
        said = report.deployment
        shown = vanishing.closed(report) if come.gone else report
        ties["deployment"] = write_deployment(session, actor, held, shown, said, rank=rank, newest=newest, now=now)
    elif report.experiment is not None:
        ties["experiment"] = experiment_of(session, actor, report.experiment, now=now)
        if newest:
            touch(session, NodeKind.CONTEXT, ties["experiment"], now=now)
    _remember(session, held, report, rank, before=before, blob=row.blob, now=now, **ties)
    return Applied("applied" if newest else "stale", None, report.warnings)


def _remember(
    session: Session,
    held: int,
    report: Report,
    rank: ranking.Rank,
    *,
    before: ranking.Rank,
    blob: int | None,
    now: int,
    **ties: int,
) -> None:
    """Keep the newest report of the object (`before`: the newest so far, with its source in `blob`); an older one only ties it
    to its run or step.
    """
    values: dict[str, object] = dict(ties)
    if rank > before:
        if before != ranking.OLDEST:
            drop_source(session, held, blob)
        ref = report.object
        values |= {
            "resource_version": cut(ref.resource_version, 255),
            "generation": ref.generation,
            "retry_generation": ref.retry_generation,
            "phase": cut(report.phase, 255),
            "report_rank": ranking.stored(rank),
            "report": canonical(report),
            "received_at": now,
        }
        if ref.deleted or ref.uid is None:
            values["deleted"] = int(ref.deleted)
        if (owner := _owner_uid(report)) is not None:  # the row may have been made by a report that did not tell it
            values["owner_uid"] = owner
    if values:
        session.execute(_keeping(tuple(values)), {"object": held} | {f"new_{name}": value for name, value in values.items()})


@cache
def _keeping(names: tuple[str, ...]) -> sa.Update:
    """Sets these columns of an object; to make the statement takes longer than to run it."""
    values: dict[str, Any] = {name: sa.bindparam(f"new_{name}") for name in names}
    return sa.update(objects).where(objects.c.id == sa.bindparam("object")).values(values)


def _hex(session: Session, run: int | None) -> str | None:
    return None if run is None else str(session.scalar(sa.select(runs.c.hex).where(runs.c.id == run)))
