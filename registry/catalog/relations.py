"""What hangs on records, for many of them at once: the members of each of some owners, in a constant number of statements.

Readers that show a tree of records (GraphQL) would otherwise ask once for each record. What is found are ids; the records
themselves come from the modules of their kinds.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.interning import find_names
from registry.catalog.metrics import Point, shown
from registry.catalog.pages import COUNTED
from registry.db.session import Session
from registry.names import OUTPUT_EVENTS, EventType, Lifecycle, OwnerKind
from registry.tables.graph import artifacts, associations, events
from registry.tables.metrics import metric_points
from registry.tables.models import dataset_versions, datasets, deployments, model_versions
from registry.tables.runs import objects, runs, steps

Column = sa.ColumnElement[Any]
FEW = SERIES_IN_ONE = 100
"""Owners, or series, in one statement that has a part for each: SQLite takes 500 parts."""


@dataclass(frozen=True)
class Window:
    """The part of each owner's members that is wanted: `limit` of them from behind the id `after`; `total`: count them all."""

    limit: int
    after: int | None = None
    total: bool = False


@dataclass(frozen=True)
class Members:
    """Of one owner: the ids in order, whether there are more behind them, and how many there are where that was asked for."""

    ids: Sequence[int] = ()
    more: bool = False
    total: int | None = None


NOBODY = Members()


@dataclass(frozen=True)
class EventRow:
    """An artifact that an execution read or wrote. `step` is None where the run itself did."""

    id: int
    artifact: int
    type: EventType
    port: str | None
    step: int | None
    at: int


@dataclass(frozen=True)
class Uses:
    """Of one run or step; as `Members`."""

    rows: Sequence[EventRow] = ()
    more: bool = False
    total: int | None = None

    @property
    def ids(self) -> Sequence[int]:
        return [row.id for row in self.rows]


@dataclass(frozen=True)
class Series:
    """The first points of a run's metric, by (timestamp, step, value)."""

    key: str
    points: Sequence[Point]
    more: bool


def runs_of_experiments(session: Session, actor: Actor, owners: Sequence[int], window: Window) -> Mapping[int, Members]:
    """Active ones, by id."""
    where = (runs.c.workspace == actor.workspace, runs.c.lifecycle == Lifecycle.ACTIVE)
    return _members(session, (runs.c.experiment, runs.c.id), owners, window, where)


def children_of_runs(session: Session, actor: Actor, owners: Sequence[int], window: Window) -> Mapping[int, Members]:
    """Nested runs that are active, by id."""
    where = (runs.c.workspace == actor.workspace, runs.c.lifecycle == Lifecycle.ACTIVE)
    return _members(session, (runs.c.parent, runs.c.id), owners, window, where)


def steps_of_runs(session: Session, actor: Actor, owners: Sequence[int], window: Window) -> Mapping[int, Members]:
    """By id."""
    return _members(session, (steps.c.run, steps.c.id), owners, window, (steps.c.workspace == actor.workspace,))


def children_of_steps(session: Session, actor: Actor, owners: Sequence[int], window: Window) -> Mapping[int, Members]:
    """The tasks of a loop or of a nested pipeline, by id."""
    return _members(session, (steps.c.parent, steps.c.id), owners, window, (steps.c.workspace == actor.workspace,))


def versions_of_models(session: Session, actor: Actor, owners: Sequence[int], window: Window) -> Mapping[int, Members]:
    """Those that are not deleted, newest first."""
    return _members(session, (model_versions.c.model, model_versions.c.id), owners, window, _versions(actor), newest=True)


def versions_of_runs(session: Session, actor: Actor, owners: Sequence[int], window: Window) -> Mapping[int, Members]:
    """Those that are not deleted, by id."""
    return _members(session, (model_versions.c.run, model_versions.c.id), owners, window, _versions(actor))


def versions_of_artifacts(session: Session, actor: Actor, owners: Sequence[int], window: Window) -> Mapping[int, Members]:
    """Those that are not deleted, by id."""
    return _members(session, (model_versions.c.artifact, model_versions.c.id), owners, window, _versions(actor))


def deployments_of_models(session: Session, actor: Actor, owners: Sequence[int], window: Window) -> Mapping[int, Members]:
    """Those that are not deleted, by id."""
    return _members(session, (deployments.c.model, deployments.c.id), owners, window, _deployments(actor))


def deployments_of_versions(session: Session, actor: Actor, owners: Sequence[int], window: Window) -> Mapping[int, Members]:
    """Those that are pinned to the version and not deleted, by id."""
    return _members(session, (deployments.c.model_version, deployments.c.id), owners, window, _deployments(actor))


def deployments_of_environments(session: Session, actor: Actor, owners: Sequence[int], window: Window) -> Mapping[int, Members]:
    """Those that are not deleted, by id."""
    return _members(session, (deployments.c.environment, deployments.c.id), owners, window, _deployments(actor))


def versions_of_datasets(session: Session, actor: Actor, owners: Sequence[int], window: Window) -> Mapping[int, Members]:
    """Those that are not deleted, by id."""
    here = sa.exists().where(datasets.c.id == dataset_versions.c.dataset, datasets.c.workspace == actor.workspace)
    alive = sa.exists().where(artifacts.c.id == dataset_versions.c.id, artifacts.c.deleted_at.is_(None))
    where = (here, alive)
    return _members(session, (dataset_versions.c.dataset, dataset_versions.c.id), owners, window, where)


def datasets_of_artifacts(session: Session, ids: Sequence[int]) -> dict[int, int]:
    """The dataset of each artifact that is a version of one."""
    query = sa.select(dataset_versions.c.id, dataset_versions.c.dataset).where(dataset_versions.c.id.in_(ids))
    return {row.id: row.dataset for row in session.all(query)} if ids else {}


def _versions(actor: Actor) -> Sequence[Column]:
    return (model_versions.c.workspace == actor.workspace, model_versions.c.lifecycle != Lifecycle.DELETED)


def _deployments(actor: Actor) -> Sequence[Column]:
    return (deployments.c.workspace == actor.workspace, deployments.c.lifecycle != Lifecycle.DELETED)


def _members(
    session: Session,
    link: tuple[Column, Column],
    owners: Sequence[int],
    window: Window,
    where: Sequence[Column],
    *,
    newest: bool = False,
) -> dict[int, Members]:
    """`link`: the columns of the owner and of the member. Owners without members are left out.

    One statement, and one more to count for a few owners: those are asked each for its first ones, so that an experiment with a
    million runs is not read to show ten. Many owners are asked together.
    """
    if not owners:
        return {}
    owner, id = link
    query = sa.select(owner.label("owner"), id.label("id")).where(*where)
    if len(owners) > FEW:
        rows = _first_of_each(session, query.where(owner.in_(owners)), owner, window, newest=newest)
        totals = {row.owner: row.total for row in rows}
    else:
        rows = _first_of_few(session, query, link, owners, window, newest=newest)
        totals = _totals_of_few(session, query, owner, owners) if window.total else {}
    found: dict[int, list[int]] = {owner: [] for owner in totals}
    for row in rows:
        found.setdefault(row.owner, []).append(row.id)
    return {
        owner: Members(ids[: window.limit], len(ids) > window.limit, totals[owner] if window.total else None)
        for owner, ids in found.items()
    }


def _first_of_few(
    session: Session,
    query: sa.Select[Any],
    link: tuple[Column, Column],
    owners: Sequence[int],
    window: Window,
    *,
    newest: bool,
) -> Sequence[sa.Row[Any]]:
    """As `_first_of_each`, by an index: a part of a UNION ALL for each owner."""
    owner, id = link
    if window.after is not None:
        query = query.where(id < window.after if newest else id > window.after)
    query = query.order_by(id.desc() if newest else id).limit(window.limit + 1)
    parts = [sa.select(query.where(owner == one).subquery()) for one in owners]
    return sorted(session.all(sa.union_all(*parts)), key=lambda row: -row.id if newest else row.id)


def _totals_of_few(session: Session, query: sa.Select[Any], owner: Column, owners: Sequence[int]) -> dict[int, int]:
    """Not counted beyond `COUNTED` + 1."""
    parts = []
    for one in owners:
        some = query.where(owner == one).limit(COUNTED + 1).subquery()
        parts.append(sa.select(sa.literal(one, sa.BigInteger).label("owner"), sa.func.count().label("total")).select_from(some))
    return {row.owner: row.total for row in session.all(sa.union_all(*parts)) if row.total}


def _first_of_each(
    session: Session, query: sa.Select[Any], owner: Column, window: Window, *, newest: bool = False
) -> Sequence[sa.Row[Any]]:
    """One more of each owner than the window has, in order; `query` selects `owner` and `id`. Counted before the window cuts."""
    total = sa.func.count().over(partition_by=owner) if window.total else sa.null()
    every = query.add_columns(total.label("total")).subquery()
    id = every.c.id.desc() if newest else every.c.id.asc()
    behind = [] if window.after is None else [every.c.id < window.after if newest else every.c.id > window.after]
    place = sa.func.row_number().over(partition_by=every.c.owner, order_by=id).label("place")
    ranked = sa.select(every, place).where(*behind).subquery()
    return session.all(sa.select(ranked).where(ranked.c.place <= window.limit + 1).order_by(ranked.c.owner, ranked.c.place))


def objects_of_runs(session: Session, actor: Actor, owners: Sequence[int], window: Window) -> Mapping[int, Members]:
    """The Kubernetes objects that a run and its steps come from, by id."""
    return _members(session, (objects.c.run, objects.c.id), owners, window, (objects.c.workspace == actor.workspace,))


def objects_of_deployments(session: Session, actor: Actor, owners: Sequence[int], window: Window) -> Mapping[int, Members]:
    """By id."""
    return _members(session, (objects.c.deployment, objects.c.id), owners, window, (objects.c.workspace == actor.workspace,))


def objects_of_experiments(session: Session, actor: Actor, owners: Sequence[int], window: Window) -> Mapping[int, Members]:
    """Those that are a search for parameters or belong to one, by id."""
    return _members(session, (objects.c.experiment, objects.c.id), owners, window, (objects.c.workspace == actor.workspace,))


def uses_of_runs(
    session: Session, actor: Actor, owners: Sequence[int], types: Sequence[EventType], window: Window
) -> Mapping[int, Uses]:
    """What each run and its steps read or wrote, by event id; one statement."""
    if not owners:
        return {}
    here = (runs.c.id.in_(owners), runs.c.workspace == actor.workspace)
    own = sa.select(runs.c.id.label("owner"), runs.c.execution.label("execution"), sa.null().label("step")).where(*here)
    of_steps = sa.select(steps.c.run, steps.c.id, steps.c.id).where(steps.c.run.in_(owners), steps.c.workspace == actor.workspace)
    return _uses(session, actor, sa.union_all(own, of_steps).subquery(), types, window)


def uses_of_steps(
    session: Session, actor: Actor, owners: Sequence[int], types: Sequence[EventType], window: Window
) -> Mapping[int, Uses]:
    """As `uses_of_runs`, of single steps."""
    if not owners:
        return {}
    columns = (steps.c.id.label("owner"), steps.c.id.label("execution"), steps.c.id.label("step"))
    own = sa.select(*columns).where(steps.c.id.in_(owners), steps.c.workspace == actor.workspace)
    return _uses(session, actor, own.subquery(), types, window)


def _uses(session: Session, actor: Actor, members: sa.FromClause, types: Sequence[EventType], window: Window) -> dict[int, Uses]:
    columns = (events.c.id, events.c.artifact, events.c.type, events.c.port, events.c.at)
    query = (
        sa.select(*columns, members.c.owner, members.c.step)
        .join(members, members.c.execution == events.c.execution)
        .join(artifacts, artifacts.c.id == events.c.artifact)
        .where(events.c.type.in_(types), artifacts.c.workspace == actor.workspace)
    )
    found: dict[int, list[EventRow]] = defaultdict(list)
    totals: dict[int, int] = {}
    for row in _first_of_each(session, query, members.c.owner, window):
        found[row.owner].append(EventRow(row.id, row.artifact, EventType(row.type), row.port, row.step, row.at))
        totals[row.owner] = row.total
    return {
        owner: Uses(rows[: window.limit], len(rows) > window.limit, totals[owner] if window.total else None)
        for owner, rows in found.items()
    }


def producers_of_artifacts(session: Session, actor: Actor, ids: Sequence[int]) -> dict[int, int]:
    """The run that wrote each artifact, itself or in a step: the first, if several did. One statement, not by `runs.execution`,
    which has no index.
    """
    if not ids:
        return {}
    wrote = (events.c.artifact.in_(ids), events.c.type.in_(OUTPUT_EVENTS))
    itself = (
        sa.select(events.c.artifact, runs.c.id.label("run"))
        .join(associations, associations.c.execution == events.c.execution)
        .join(runs, (runs.c.id == associations.c.context) & (runs.c.execution == events.c.execution))
    )
    in_a_step = (
        sa.select(events.c.artifact, runs.c.id).join(steps, steps.c.id == events.c.execution).join(runs, runs.c.id == steps.c.run)
    )
    here = [part.where(*wrote, runs.c.workspace == actor.workspace) for part in (itself, in_a_step)]
    every = sa.union_all(*here).subquery()
    query = sa.select(every.c.artifact, sa.func.min(every.c.run).label("run")).group_by(every.c.artifact)
    return {row.artifact: row.run for row in session.all(query)}


def runs_of_executions(session: Session, actor: Actor, ids: Sequence[int]) -> dict[int, int]:
    """The run that each of the executions stands for; those that stand for none are left out. One statement."""
    query = (
        sa.select(associations.c.execution, runs.c.id)
        .join(runs, (runs.c.id == associations.c.context) & (runs.c.execution == associations.c.execution))
        .where(associations.c.execution.in_(ids), runs.c.workspace == actor.workspace)
        .order_by(runs.c.id.desc())  # the first one wins
    )
    return {row.execution: row.id for row in session.all(query)} if ids else {}


def series_of_runs(session: Session, owners: Sequence[int], keys: Sequence[str], limit: int) -> dict[int, list[Series]]:
    """The first `limit` points of each of the metrics of each run; a statement per 100 series. Metrics without points are left
    out. The caller has seen that the runs are the workspace's.
    """
    known = find_names(session, keys)
    wanted = [(owner, key) for owner in owners for key in dict.fromkeys(keys) if key in known]
    found: dict[tuple[int, str], list[Point]] = defaultdict(list)
    names = {id: key for key, id in known.items()}
    for begin in range(0, len(wanted), SERIES_IN_ONE):
        parts = [_first_points(owner, known[key], limit + 1) for owner, key in wanted[begin : begin + SERIES_IN_ONE]]
        for row in session.all(sa.union_all(*parts)):
            key = names[row.name_id]
            found[row.owner, key].append(Point(key, shown(row.value, row.special), row.at, row.step))
    answer: dict[int, list[Series]] = defaultdict(list)
    for owner, key in wanted:
        points = sorted(found.get((owner, key), ()), key=lambda point: point.sort_key)
        if points:
            answer[owner].append(Series(key, points[:limit], len(points) > limit))
    return dict(answer)


def _first_points(owner: int, name: int, limit: int) -> sa.Select[Any]:
    """In a subquery: SQLite takes no LIMIT in a part of a UNION."""
    point = metric_points.c
    order = (point.at, point.step, point.value, point.special)
    here = (point.owner_kind == OwnerKind.RUN, point.owner == owner, point.name_id == name, point.dataset == 0)
    query = sa.select(point.owner, point.name_id, *order).where(*here).order_by(*order).limit(limit)
    return sa.select(query.subquery())
