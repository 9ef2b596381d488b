"""Histories of one metric over several runs, whole or in samples of their steps."""

from collections.abc import Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from registry.catalog.interning import find_names
from registry.catalog.metrics import Point, shown
from registry.db.session import Session
from registry.names import OwnerKind
from registry.tables.metrics import metric_points

T = TypeVar("T")
_ORDER = (metric_points.c.owner, metric_points.c.at, metric_points.c.step, metric_points.c.value, metric_points.c.special)


def histories(session: Session, runs: Sequence[int], key: str, *, limit: int) -> list[tuple[int, Point]]:
    """(run, point) by run, timestamp, step, value; at most `limit`."""
    where = _of(session, runs, key)
    return [] if where is None else _read(session, key, where, limit=limit)


def samples(
    session: Session, runs: Sequence[int], key: str, *, most: int, steps: tuple[int, int] | None = None
) -> list[tuple[int, Point]]:
    """Of each run at most `most` points, by step, at steps that lie evenly over those of all runs; its first and last are among
    them.

    `steps`: from and to, both included. Three statements at most.
    """
    where = _of(session, runs, key)
    if where is None:
        return []
    if steps is not None:
        where += [metric_points.c.step >= steps[0], metric_points.c.step <= steps[1]]
    found: dict[int, list[int]] = {}
    pairs = sa.select(metric_points.c.owner, metric_points.c.step).where(*where).distinct()
    for row in session.all(pairs.order_by(metric_points.c.owner, metric_points.c.step)):
        found.setdefault(row.owner, []).append(row.step)
    every = sorted({step for own in found.values() for step in own})
    if len(every) > most:
        chosen = {*evenly(every, most), *(end for own in found.values() for end in (own[0], own[-1]))}
        where.append(metric_points.c.step.in_(sorted(chosen)))
    by_run: dict[int, list[tuple[int, Point]]] = {}
    for run, point in sorted(_read(session, key, where, limit=None), key=lambda entry: (entry[0], entry[1].step)):
        by_run.setdefault(run, []).append((run, point))
    return [entry for own in by_run.values() for entry in evenly(own, most)]


def evenly(items: Sequence[T], most: int) -> Sequence[T]:
    """At most `most` of the items, in their order, the first and the last among them (the last, of one)."""
    if len(items) <= most:
        return items
    if most == 1:
        return items[-1:]
    last = len(items) - 1
    return [items[index * last // (most - 1)] for index in range(most)]


def _of(session: Session, runs: Sequence[int], key: str) -> list[sa.ColumnElement[bool]] | None:
    """None: nobody has logged such a metric."""
    ids = find_names(session, [key])
    if key not in ids:
        return None
    return [
        metric_points.c.owner_kind == OwnerKind.RUN,
        metric_points.c.owner.in_(runs),
        metric_points.c.name_id == ids[key],
        metric_points.c.dataset == 0,
    ]


def _read(session: Session, key: str, where: Sequence[sa.ColumnElement[bool]], *, limit: int | None) -> list[tuple[int, Point]]:
    query: sa.Select[Any] = sa.select(*_ORDER).where(*where).order_by(*_ORDER)
    if limit is not None:
        query = query.limit(limit)
    return [(row.owner, Point(key, shown(row.value, row.special), row.at, row.step)) for row in session.all(query)]
