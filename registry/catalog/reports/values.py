"""Params and series that reports tell of. A client's win, whoever came first."""

import json
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from registry.catalog import tagging
from registry.catalog.interning import intern_names
from registry.catalog.metrics import PointRow, storable, write_points
from registry.catalog.nodes import bump
from registry.catalog.reports.record import Json, Observed, millis, worded
from registry.db.session import Session
from registry.names import MAX_KEY, Author, NodeKind, OwnerKind, sha256
from registry.tables.graph import names, params
from registry.tables.metrics import metric_points, series
from registry.tables.runs import objects


def replace_params(session: Session, kind: NodeKind, values: Mapping[int, Json], *, new: Collection[int] = ()) -> None:
    """The agent's params of the nodes become these; a client's stay. A null value is written as the empty text.

    `new`: nodes that were made just now and have none.
    """
    old = sorted(values.keys() - set(new))
    if old:
        where = (params.c.kind == kind, params.c.node.in_(old), params.c.author == Author.AGENT)
        session.execute(sa.delete(params).where(*where))
    entries = {
        node: {short_key(key): "" if value is None else worded(value)[: tagging.MAX_VALUE] for key, value in own.items() if key}
        for node, own in values.items()
    }
    tagging.set_params(session, kind, {node: own for node, own in entries.items() if own}, author=Author.AGENT)


_SERIES = (
    sa.select(series, names.c.name)
    .join(names, names.c.id == series.c.name_id)
    .where(series.c.owner_kind == int(OwnerKind.RUN), series.c.owner == sa.bindparam("run"))
)


def settle_metrics(
    session: Session, run: int, wanted: Mapping[str, tuple[float, int]], *, aside: Collection[str] = frozenset()
) -> bool:
    """The agent's series of the run become exactly `wanted` ({key: (value, at)}), one point each (step 0).

    A series to which a client has written stays as it is, and those of the keys `aside`. True if anything changed.
    """
    held = {row.name: row for row in session.all(_SERIES, {"run": run}) if row.name not in aside}
    wanted = {key: point for key, point in wanted.items() if key not in aside}
    if not wanted and not held:
        return False
    wrong = {
        key: row
        for key, row in held.items()
        if row.author == Author.AGENT
        and (key not in wanted or (row.value, row.special, row.at, row.step) != (*storable(wanted[key][0]), wanted[key][1], 0))
    }
    shared = _with_more_points(session, run, [row.name_id for row in wrong.values()])
    gone = [row.name_id for row in wrong.values() if row.name_id not in shared]
    for table in (series, metric_points) if gone else ():
        where = (table.c.owner_kind == OwnerKind.RUN, table.c.owner == run, table.c.name_id.in_(gone))
        session.execute(sa.delete(table).where(*where))
    new = [key for key in wanted if key not in held or (key in wrong and wrong[key].name_id not in shared)]
    if new:
        ids = intern_names(session, new)
        write_points(session, sorted(_point(run, ids[key], *wanted[key]) for key in new), author=Author.AGENT)
    return bool(gone or new)


def _with_more_points(session: Session, run: int, name_ids: list[int]) -> set[int]:
    """The agent's series to which a client has added points."""
    if not name_ids:
        return set()
    query = (
        sa.select(metric_points.c.name_id)
        .where(metric_points.c.owner_kind == OwnerKind.RUN, metric_points.c.owner == run, metric_points.c.name_id.in_(name_ids))
        .group_by(metric_points.c.name_id)
        .having(sa.func.count() > 1)
    )
    return set(session.scalars(query))


def add_history(session: Session, run: int, points: Mapping[str, Sequence[tuple[int, float]]]) -> None:
    """Points {key: [(at, value)]} in the order of their making, which becomes their step. What was there of the agent's goes.

    A series to which a client has written keeps its points. Idempotent.
    """
    ids = intern_names(session, sorted(points))
    here = (series.c.owner_kind == OwnerKind.RUN, series.c.owner == run)
    query = sa.select(series.c.name_id).where(*here, series.c.name_id.in_(list(ids.values())), series.c.author == Author.AGENT)
    single = set(session.scalars(query)) - _with_more_points(session, run, list(ids.values()))
    for table in (series, metric_points) if single else ():
        where = (table.c.owner_kind == OwnerKind.RUN, table.c.owner == run, table.c.name_id.in_(sorted(single)))
        session.execute(sa.delete(table).where(*where))
    rows = {_point(run, ids[key], value, at, step) for key, own in points.items() for step, (at, value) in enumerate(own)}
    write_points(session, sorted(rows), author=Author.AGENT)


def measure(session: Session, held: int, run: int, history: Sequence[Observed], *, known: bytes | None) -> set[str]:
    """Write the histories of metrics that the report brings. All metrics of which the object's reports have told a history.

    `known`: those so far, as the object's row has them.
    """
    measured = set() if known is None else set(json.loads(known))
    points: dict[str, list[tuple[int, float]]] = {}
    for one in history:
        at, value = millis(one.at), number_of(one.value)
        if at is not None and value is not None and one.name:
            points.setdefault(short_key(one.name), []).append((at, value))
    if points:
        # Of one moment in the order in which they were told: times of collectors are often whole seconds.
        add_history(session, run, {key: sorted(own, key=lambda point: point[0]) for key, own in points.items()})
        measured |= points.keys()
        session.execute(sa.update(objects).where(objects.c.id == held).values(measured=json.dumps(sorted(measured)).encode()))
        bump(session, NodeKind.CONTEXT, run)
    return measured


def _point(run: int, name_id: int, value: float, at: int, step: int = 0) -> PointRow:
    stored, special = storable(value)
    return int(OwnerKind.RUN), run, name_id, 0, at, step, stored, int(special)


def numbers(values: Mapping[str, Any], at: int, prefix: str = "") -> dict[str, tuple[float, int]]:
    """Those of the values that are numbers, as `settle_metrics` takes them.

    Of `{latest, min, max}` the latest is the metric, the others are metrics below it.
    """
    found = {}
    for key, value in values.items():
        several = value if isinstance(value, dict) else {"latest": value}
        for which, one in several.items():
            number = number_of(one)
            if number is not None and key:
                found[short_key(prefix + (key if which == "latest" else f"{key}/{which}"))] = number, at
    return found


def number_of(value: Any) -> float | None:
    """A finite number; of a text also the infinities, which is how collectors of metrics write them."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (OverflowError, ValueError):
        return None
    if math.isnan(number) or (math.isinf(number) and not isinstance(value, str)):
        return None
    return number


def short_key(key: str) -> str:
    """A key of at most 250 characters: a longer one is cut and told apart by its sha256."""
    return key if len(key) <= MAX_KEY else f"{key[: MAX_KEY - 65]}#{sha256(key)}"
