"""Metrics artifacts of pipelines are series of the run: `<step's path>/<port>/<name>`, one point each, of step 0.

The artifact is the truth: its series follow it in the same transaction, and no other door writes them. A series that a client has
logged under such a name stays what it is; one that the agent reported gives way.
"""

from collections import defaultdict
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from registry.catalog.interning import intern_names
from registry.catalog.metrics import PointRow, storable, write_points
from registry.catalog.properties import PropertyKind, decoded
from registry.catalog.reports.values import short_key
from registry.db.session import Session
from registry.names import Author, OwnerKind
from registry.tables.graph import artifacts, contexts, types
from registry.tables.metrics import metric_points, series
from registry.tables.runs import runs, steps

TYPE = "system.Metrics"


def show_metrics(session: Session, ids: Collection[int]) -> None:
    """Of those of the artifacts that are outputs of a run's steps. One statement if none is, else at most nine."""
    if ids:
        _show(session, artifacts.c.id.in_(sorted(ids)))


def show_metrics_of(session: Session, executions: Collection[int]) -> None:
    """Of what the executions made: the time of a point is the task's end. One statement if they are no metrics."""
    if executions:
        _show(session, artifacts.c.step.in_(sorted(executions)))


def _show(session: Session, *where: sa.ColumnElement[bool]) -> None:
    rows = session.all(
        sa.select(artifacts.c.id, artifacts.c.properties, artifacts.c.port, steps.c.run, steps.c.path)
        .add_columns(sa.func.coalesce(steps.c.ended_at, steps.c.started_at, 0).label("at"))
        .join(steps, steps.c.id == artifacts.c.step)
        .join(types, types.c.id == artifacts.c.type_id)
        .where(*where, types.c.name == TYPE, steps.c.run.is_not(None), artifacts.c.port.is_not(None))
        .order_by(artifacts.c.id)
    )
    if not rows:
        return
    points: dict[tuple[int, str], dict[str, Any]] = {}
    for row in rows:
        properties = decoded(row.properties)
        for name, value in {**properties.declared, **properties.custom}.items():
            if value.kind is PropertyKind.DOUBLE and name:
                number, special = storable(value.value)
                key = short_key(f"{row.path}/{row.port}/{name}")
                points[row.run, key] = {"at": row.at, "step": 0, "value": number, "special": int(special), "source": row.id}
    names = intern_names(session, {key for _, key in points})
    wanted = {(run, names[key]): point for (run, key), point in points.items()}
    _settle(session, sorted({row.run for row in rows}), {row.id for row in rows}, wanted)


def _settle(session: Session, of_runs: list[int], sources: set[int], wanted: dict[tuple[int, int], dict[str, Any]]) -> None:
    """The series of these artifacts become exactly `wanted`, by (run, name)."""
    named = series.c.name_id.in_(sorted({name for _, name in wanted})) if wanted else sa.false()
    here = (series.c.owner_kind == OwnerKind.RUN, series.c.owner.in_(of_runs), series.c.dataset == 0)
    held = {
        (row.owner, row.name_id): row
        for row in session.all(sa.select(series).where(*here, sa.or_(series.c.source.in_(sorted(sources)), named)))
    }
    same = {
        key
        for key, row in held.items()
        if key in wanted and all(getattr(row, name) == value for name, value in wanted[key].items())
    }
    foreign = {key for key, row in held.items() if row.source is None and row.author == Author.CLIENT}
    gone = sorted(held.keys() - same - foreign)
    for table in (series, metric_points) if gone else ():
        of_run = (table.c.owner_kind == OwnerKind.RUN, table.c.dataset == 0)
        session.execute(sa.delete(table).where(*of_run, sa.tuple_(table.c.owner, table.c.name_id).in_(gone)))
    new = sorted(wanted.keys() - same - foreign)
    by_source: dict[int, list[PointRow]] = defaultdict(list)
    for run, name in new:
        point = wanted[run, name]
        row = (int(OwnerKind.RUN), run, name, 0, point["at"], point["step"], point["value"], point["special"])
        by_source[point["source"]].append(row)
    for source, rows in sorted(by_source.items()):
        write_points(session, rows, source=source)
    if gone or new:  # an unfinished run's version does not move: its steps would wait for each other
        final = sa.select(runs.c.id).where(runs.c.id.in_(of_runs), runs.c.final_at.is_not(None))
        session.execute(sa.update(contexts).where(contexts.c.id.in_(final)).values(version=contexts.c.version + 1))
