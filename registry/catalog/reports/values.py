"""Params and series that reports tell of. A client's win, whoever came first."""

import math
from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from registry.catalog import tagging
from registry.catalog.interning import intern_names
from registry.catalog.metrics import write_points
from registry.catalog.reports.record import Json, worded
from registry.db.session import Session
from registry.names import MAX_KEY, Author, NodeKind, OwnerKind, sha256
from registry.tables.graph import names, params
from registry.tables.metrics import metric_points, series


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


def settle_metrics(session: Session, run: int, wanted: Mapping[str, tuple[float, int]]) -> bool:
    """The agent's series of the run become exactly `wanted` ({key: (value, at)}), one point each (step 0).

    A series to which a client has written stays as it is. True if anything changed.
    """
    here = (series.c.owner_kind == OwnerKind.RUN, series.c.owner == run)
    query = sa.select(series, names.c.name).join(names, names.c.id == series.c.name_id).where(*here)
    held = {row.name: row for row in session.all(query)}
    if not wanted and not held:
        return False
    wrong = {
        key: row
        for key, row in held.items()
        if row.author == Author.AGENT and (row.value, row.at, row.step) != (*wanted.get(key, (None, None)), 0)
    }
    shared = _with_more_points(session, run, [row.name_id for row in wrong.values()])
    gone = [row.name_id for row in wrong.values() if row.name_id not in shared]
    for table in (series, metric_points) if gone else ():
        where = (table.c.owner_kind == OwnerKind.RUN, table.c.owner == run, table.c.name_id.in_(gone))
        session.execute(sa.delete(table).where(*where))
    new = [key for key in wanted if key not in held or (key in wrong and wrong[key].name_id not in shared)]
    if new:
        ids = intern_names(session, new)
        write_points(session, [_point(run, ids[key], *wanted[key]) for key in sorted(new)], author=Author.AGENT)
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


def _point(run: int, name_id: int, value: float, at: int) -> dict[str, Any]:
    key = {"owner_kind": int(OwnerKind.RUN), "owner": run, "name_id": name_id, "dataset": 0}
    return {**key, "at": at, "step": 0, "value": value, "special": 0}


def numbers(values: Mapping[str, Any], at: int, prefix: str = "") -> dict[str, tuple[float, int]]:
    """Those of the values that are finite numbers, as `settle_metrics` takes them."""
    found = {}
    for key, value in values.items():
        number = _number(value)
        if number is not None and key:
            found[short_key(prefix + key)] = number, at
    return found


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def short_key(key: str) -> str:
    """A key of at most 250 characters: a longer one is cut and told apart by its sha256."""
    return key if len(key) <= MAX_KEY else f"{key[: MAX_KEY - 65]}#{sha256(key)}"
