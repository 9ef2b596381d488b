"""Objects that another object owns: a Trial's job, a TrainJob's JobSet. Each is a step of its root owner's run, never a run.

Its key is `<Kind>/<name>` under its owner. Until the root owner's own report is there, it is a step without a run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from registry.catalog import node_types
from registry.catalog.nodes import node_row
from registry.catalog.reports import ranking
from registry.catalog.reports.record import Report, Run, millis
from registry.catalog.reports.stepping import Place, Step, Steps, below, cut, one_step, run_uses
from registry.db.session import Session
from registry.names import Author, narrow, run_hex_or_none
from registry.tables.graph import associations, executions
from registry.tables.runs import objects, runs, steps

OWNERS = {
    "Trial",
    "Workflow",
    "TrainJob",
    "JobSet",
    "PyTorchJob",
    "TFJob",
    "MPIJob",
    "XGBoostJob",
    "MXJob",
    "PaddleJob",
    "JAXJob",
}


def is_owned(report: Report, run: Run) -> bool:
    """A Workflow that Kubeflow Pipelines started (its run id is not the object's uid) is a run whoever owns it."""
    if run.owner is None or run.owner.kind not in OWNERS or run.owner.uid is None:
        return False
    uid = run_hex_or_none(report.object.uid or "")
    return not (report.object.kind == "Workflow" and uid is not None and run_hex_or_none(run.id) != uid)


def place_of(session: Session, workspace: int, held: int, report: Report, run: Run, *, now: int) -> Place:
    """The step of the object `held`, made where it is missing, under its owner where that is known."""
    row = session.first(sa.select(objects.c.step).where(objects.c.id == held))
    if row is not None and row.step is not None:
        stored = session.first(sa.select(steps.c.run).where(steps.c.id == row.step))
        assert stored is not None  # noqa: S101
        return Place(workspace, stored.run, held, one_step(session, row.step))
    run_id, owner = owner_of(session, workspace, run)
    own = f"{report.object.kind}/{report.object.name or report.object.uid}"
    path = f"{owner.path}/{own}" if owner else own
    made = session.next_id("execution")
    session.insert(executions, node_row(made, type_id=node_types.STEP, workspace=workspace, now=now, name=own[:512]))
    columns: dict[str, Any] = dict.fromkeys(column.name for column in steps.columns if column.name != "detail")
    columns |= {
        "id": made,
        "workspace": workspace,
        "run": run_id,
        "path": path,
        "path_key": narrow(path),
        "parent": owner.id if owner else None,
        "name": own[:512],
        "status_author": int(Author.AGENT),
    }
    top = Step(columns, {"key": "", "object": held})
    session.insert(steps, {**columns, "detail": b'{"key":"","object":%d}' % held})
    if run_id is not None:
        session.insert(associations, {"context": run_id, "execution": made})
    session.execute(sa.update(objects).where(objects.c.id == held).values(step=made, run=run_id))
    return Place(workspace, run_id, held, top)


def owner_of(session: Session, workspace: int, run: Run) -> tuple[int | None, Step | None]:
    """The root owner's run and the step under which its owned object stands; both None while the owner is not known."""
    assert run.owner is not None  # noqa: S101  (it is owned)
    where = (objects.c.workspace == workspace, objects.c.uid == run.owner.uid)
    row = session.first(sa.select(objects.c.run, objects.c.step).where(*where).order_by(objects.c.id).limit(1))
    if row is None:
        return None, None
    if row.step is None:
        return row.run, None
    owner = one_step(session, row.step)
    return owner.columns["run"], owner


def top_of(place: Place, report: Report, run: Run, rank: ranking.Rank) -> Step:
    """The object's own step as the report has it; as it was, where a newer report has said so."""
    assert place.top is not None  # noqa: S101
    if rank <= place.top.rank:
        return place.top
    columns: Mapping[str, Any] = {
        **place.top.columns,
        "phase": cut(run.phase, 255),
        "display_name": cut(run.name, 512),
        "started_at": millis(run.started_at),
        "ended_at": millis(run.finished_at),
        "report_rank": ranking.stored(rank),
    }
    detail = {"key": "", "status": int(report.status), "inputs": run.parameters, "metrics": run.metrics, "object": place.group}
    if run.replicas:
        detail["replicas"] = run.replicas
    uses = run_uses(run)
    if uses:
        detail["uses"] = uses
    return replace(place.top, columns=columns, detail=detail)


@dataclass(frozen=True)
class Owned:
    """What belongs to an object: runs all the same, and steps."""

    runs: tuple[int, ...] = ()
    steps: tuple[int, ...] = ()


_OWNED = sa.select(objects.c.run, objects.c.step).where(
    objects.c.workspace == sa.bindparam("workspace"), objects.c.owner_uid == sa.bindparam("uid")
)


def owned_by(session: Session, workspace: int, uid: str | None) -> Owned:
    if uid is None:
        return Owned()
    rows = session.all(_OWNED, {"workspace": workspace, "uid": uid})
    runs = tuple(row.run for row in rows if row.step is None and row.run is not None)
    return Owned(runs, tuple(row.step for row in rows if row.step is not None))


def tie_parents(session: Session, workspace: int, id: int, run: Run, owned: Owned) -> None:
    """Runs that belong to another object and are runs all the same: that object's run is their parent, whichever came first."""
    if run.owner is not None and run.owner.uid is not None:
        here = objects.c.workspace == workspace
        query = sa.select(objects.c.run).where(here, objects.c.uid == run.owner.uid, objects.c.run.is_not(None))
        owner = session.scalar(query.order_by(objects.c.id).limit(1))
        if owner is not None and owner != id:
            session.execute(sa.update(runs).where(runs.c.id == id, runs.c.parent.is_(None)).values(parent=owner))
    children = [child for child in owned.runs if child != id]
    if children:
        session.execute(sa.update(runs).where(runs.c.id.in_(children), runs.c.parent.is_(None)).values(parent=id))


def attach(session: Session, owned: Owned, run: int | None, owner: Step | None) -> list[Steps]:
    """Put what an object owns under it: steps that waited for it, each with all under it.

    Returns the moved ones as they are now, one set for each owned object. Idempotent: what is in its place is left alone.
    """
    found = []
    for step in owned.steps:
        own = below(session, step)
        [top] = [one for one in own.values() if one.id == step]
        if top.columns["run"] != run or top.columns["parent"] != (owner.id if owner else None):
            found.append(_moved(own, top, run, owner))
            _write(session, found[-1], run)
    return found


def _moved(own: Steps, top: Step, run: int | None, above: Step | None) -> Steps:
    name = str(top.columns["name"])
    base = f"{above.path}/{name}" if above else name
    moved = {}
    for place, step in own.items():
        path = base + step.path[len(top.path) :]
        columns = {**step.columns, "run": run, "path": path, "path_key": narrow(path)}
        if step.id == top.id:
            columns["parent"] = above.id if above else None
        moved[place] = replace(step, columns=columns)
    return moved


def _write(session: Session, moved: Steps, run: int | None) -> None:
    statement = sa.update(steps).where(steps.c.id == sa.bindparam("step"))
    names = ("run", "path", "path_key", "parent")
    statement = statement.values(**{name: sa.bindparam(f"new_{name}") for name in names})
    session.execute(
        statement, [{"step": step.id, **{f"new_{name}": step.columns[name] for name in names}} for step in moved.values()]
    )
    session.execute(sa.update(objects).where(objects.c.id.in_(sorted({group for group, _ in moved}))).values(run=run))
    if run is not None:
        rows = [{"context": run, "execution": step.id} for step in moved.values()]
        session.insert_ignore(associations, sorted(rows, key=lambda row: row["execution"]))
