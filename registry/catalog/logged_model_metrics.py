"""Metrics of logged models: what runs measured on them, per dataset.

A point has no column for its run: it is also a point of the run that logged it, with the same key, time, step and value, and the
run is tied to the model: it made it, or read it. `log_to_models` sees to that.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.datasets import get_or_create_dataset_version
from registry.catalog.metrics import Point, point_rows, shown, write_points
from registry.catalog.run_lookup import get_run_ref
from registry.catalog.uses import link
from registry.db.session import Session
from registry.errors import NotFound
from registry.names import EventType, OwnerKind
from registry.tables.graph import artifacts, associations, events, names
from registry.tables.metrics import metric_points
from registry.tables.models import dataset_versions, datasets, logged_models
from registry.tables.runs import runs

Dataset = tuple[str, str]
"""Name and digest."""


@dataclass(frozen=True)
class ModelPoint:
    """`run` is the 32 hex of the run that measured it."""

    point: Point
    dataset: Dataset | None
    run: str | None


@dataclass(frozen=True)
class Measured:
    """A point of a run that is one of a logged model too."""

    model_id: str
    point: Point
    dataset: Dataset | None = None


def log_to_models(session: Session, actor: Actor, run: str, measured: Sequence[Measured], *, now: int) -> None:
    """Points that the run (32 hex) has as well, which the caller has locked. Idempotent.

    Raises NotFound: a model is not here, or deleted.
    """
    ref = get_run_ref(session, actor.workspace, run)
    models = _models(session, actor, ref.id, sorted({one.model_id for one in measured}))
    for row in models.values():
        if not row.is_tied:
            link(session, actor, row.id, run, EventType.INTERNAL_INPUT, now=now)
    sets = {
        dataset: get_or_create_dataset_version(session, actor, dataset[0], now=now, digest=dataset[1]).id
        for dataset in sorted({one.dataset for one in measured if one.dataset is not None})
    }
    entries = [(models[one.model_id].id, 0 if one.dataset is None else sets[one.dataset], [one.point]) for one in measured]
    write_points(session, point_rows(session, OwnerKind.LOGGED_MODEL, entries), author=actor.author)


def _models(session: Session, actor: Actor, run: int, model_ids: Sequence[str]) -> dict[str, sa.Row[tuple[Any, ...]]]:
    """By id outside, and whether the run made or read each already. Raises NotFound: one of them is not here, or deleted."""
    own = sa.select(runs.c.execution).where(runs.c.id == run).scalar_subquery()
    said = sa.exists().where(events.c.artifact == logged_models.c.id, events.c.execution == own)
    made = sa.func.coalesce(logged_models.c.run, 0) == run
    query = (
        sa.select(logged_models.c.id, logged_models.c.model_id, sa.or_(said, made).label("is_tied"))
        .join(artifacts, artifacts.c.id == logged_models.c.id)
        .where(logged_models.c.workspace == actor.workspace, logged_models.c.model_id.in_(model_ids))
        .where(artifacts.c.deleted_at.is_(None))
    )
    found = {row.model_id: row for row in session.all(query)}
    for model_id in model_ids:
        if model_id not in found:
            raise NotFound("logged model", model_id)
    return found


def points_of(session: Session, models: Sequence[int]) -> dict[int, list[ModelPoint]]:
    """All points of each logged model (the artifact's id), by key, time and step. One statement."""
    if not models:
        return {}
    by_event = (
        sa.select(events.c.artifact.label("model"), runs.c.id.label("run"), runs.c.hex.label("hex"))
        .join(associations, associations.c.execution == events.c.execution)
        .join(runs, sa.and_(runs.c.id == associations.c.context, runs.c.execution == events.c.execution))
        .where(events.c.artifact.in_(models))
    )
    made = (
        sa.select(logged_models.c.id, runs.c.id, runs.c.hex)
        .join(runs, runs.c.id == logged_models.c.run)
        .where(logged_models.c.id.in_(models))
    )
    tied = sa.union(by_event, made).subquery()
    own, of_run = metric_points, metric_points.alias("of_run")
    same = [of_run.c[name] == own.c[name] for name in ("name_id", "at", "step", "value", "special")]
    query = (
        sa.select(own, names.c.name, datasets.c.name.label("dataset_name"), dataset_versions.c.digest)
        .add_columns(sa.case((of_run.c.owner.is_not(None), tied.c.hex)).label("run_hex"))
        .join(names, names.c.id == own.c.name_id)
        .join(dataset_versions, dataset_versions.c.id == own.c.dataset, isouter=True)
        .join(datasets, datasets.c.id == dataset_versions.c.dataset, isouter=True)
        .join(tied, tied.c.model == own.c.owner, isouter=True)
        .join(
            of_run,
            sa.and_(of_run.c.owner_kind == OwnerKind.RUN, of_run.c.owner == tied.c.run, of_run.c.dataset == 0, *same),
            isouter=True,
        )
        .where(own.c.owner_kind == OwnerKind.LOGGED_MODEL, own.c.owner.in_(models))
        .order_by(own.c.owner, names.c.name, own.c.at, own.c.step, own.c.dataset, own.c.value, own.c.special, tied.c.run)
    )
    by_point: dict[tuple[Any, ...], list[sa.Row[tuple[Any, ...]]]] = defaultdict(list)
    for row in session.all(query):
        by_point[row.owner, row.name_id, row.at, row.step, row.dataset, row.value, row.special].append(row)
    found: dict[int, list[ModelPoint]] = defaultdict(list)
    for rows in by_point.values():
        measured = [row for row in rows if row.run_hex is not None] or rows[:1]
        found[rows[0].owner] += [_shown(row) for row in measured]
    return found


def _shown(row: sa.Row[tuple[Any, ...]]) -> ModelPoint:
    dataset = None if row.dataset_name is None else (row.dataset_name, row.digest)
    return ModelPoint(Point(row.name, shown(row.value, row.special), row.at, row.step), dataset, row.run_hex)
