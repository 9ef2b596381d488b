"""Logging metrics, and reading series.

A log call of one or many runs is one set-based pass: check the runs, refuse what is wrong for its own caller only, reduce in
memory (a statement touches a row once), write in key order. Exact repeats of points change nothing, so a replay is safe.
"""

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import sqlalchemy as sa

from registry.catalog import tagging
from registry.catalog.interning import find_names, intern_names
from registry.catalog.run_lookup import RunRef, find_runs
from registry.db.row_inserts import RowInsert
from registry.db.row_reads import RowRead, among
from registry.db.session import Session
from registry.errors import InvalidArgument, NotFound, NotWritable, RegistryError
from registry.names import Author, Lifecycle, NodeKind, OwnerKind, Special, check_key, check_text
from registry.tables.graph import contexts, names
from registry.tables.metrics import metric_points, series

PointRow = tuple[int, int, int, int, int, int, float, int]
"""Of `metric_points`, in its columns' order: owner kind, owner, name, dataset, timestamp, step, value as stored, special."""

SeriesRow = tuple[int, int, int, int, int, int, float, int, int | None, int]
"""Of `series`: its key as in `PointRow`, then step, timestamp, value as stored, special, source, author."""

LARGEST = sys.float_info.max
MAX_POINTS = 100_000
KEY = ("owner_kind", "owner", "name_id", "dataset")
_INT64 = 2**63
_FINITE = int(Special.FINITE)


class Point(msgspec.Struct, frozen=True, gc=False):
    key: str
    value: float
    at: int
    step: int = 0

    @property
    def sort_key(self) -> tuple[int, int, float, int]:
        """The order of history: timestamp, step, value as stored, special flag."""
        value, special = storable(self.value)
        return self.at, self.step, value, int(special)


@dataclass(frozen=True)
class Batch:
    """What one call logs to one run (`run`: 32 hex)."""

    workspace: int
    run: str
    points: Sequence[Point] = ()
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


def log_many(session: Session, batches: Sequence[Batch]) -> list[RegistryError | None]:
    """Log all batches; per batch None, or why nothing of it was written.

    Errors by class: NotFound (no such run here), NotWritable (deleted run), Conflict (a param would change), InvalidArgument.
    """
    answers: list[RegistryError | None] = [wrong(batch) for batch in batches]
    found = find_runs(session, {(batch.workspace, batch.run) for batch in batches}, held=True)
    refs: list[RunRef | None] = [found.get((batch.workspace, batch.run)) for batch in batches]
    for index, ref in enumerate(refs):
        if answers[index] is None:
            answers[index] = _refusal(batches[index], ref)
    _refuse_mirrors(session, batches, refs, answers)
    good = [
        (index, batch, ref) for index, (batch, ref) in enumerate(zip(batches, refs, strict=True)) if ref and not answers[index]
    ]
    _write_params(session, good, answers)
    good = [entry for entry in good if answers[entry[0]] is None]
    _write_points(session, [(ref.id, batch) for _, batch, ref in good if batch.points])
    tagged = _by_run((ref.id, batch.tags) for _, batch, ref in good if batch.tags)
    if tagged:
        tagging.set_tags(session, NodeKind.CONTEXT, tagged)
    final = sorted({ref.id for _, _, ref in good if ref.is_final})
    if final:  # an unfinished run's version does not move: four clients logging to it would wait for each other
        session.execute(sa.update(contexts).where(contexts.c.id.in_(final)).values(version=contexts.c.version + 1))
    return answers


def wrong(batch: Batch) -> RegistryError | None:
    """What its content alone tells."""
    try:
        if len(batch.points) > MAX_POINTS:
            raise InvalidArgument(f"a batch has at most {MAX_POINTS} points, this one has {len(batch.points)}")
        check_points(batch.points)
        for pairs, what in ((batch.params, "param"), (batch.tags, "tag")):
            for key, value in pairs.items():
                check_key(key, f"{what} key")
                check_text(value, f"{what} value", limit=tagging.MAX_VALUE)
    except InvalidArgument as error:
        return error
    return None


def _refusal(batch: Batch, ref: RunRef | None) -> RegistryError | None:
    if ref is None:
        return NotFound("run", f"run_{batch.run}")
    if ref.lifecycle == Lifecycle.DELETED:
        return NotWritable(f"run run_{batch.run} is deleted: restore it first")
    return None


def _refuse_mirrors(
    session: Session, batches: Sequence[Batch], refs: Sequence[RunRef | None], answers: list[RegistryError | None]
) -> None:
    """A series that mirrors an artifact's property is written through the artifact. No statement but for keys that can be one."""
    keys = {(ref.id, point.key) for batch, ref in zip(batches, refs, strict=True) if ref for point in batch.points}
    keys = {(run, key) for run, key in keys if can_mirror(key)}
    if not keys:
        return
    ids = find_names(session, {key for _, key in keys})
    wanted = sorted({(run, ids[key]) for run, key in keys if key in ids})
    pair = sa.tuple_(series.c.owner, series.c.name_id)
    query = sa.select(series.c.owner, series.c.name_id).where(series.c.owner_kind == OwnerKind.RUN, pair.in_(wanted))
    mirrors = {(row.owner, row.name_id) for row in session.all(query.where(series.c.source.is_not(None)))} if wanted else set()
    for index, (batch, ref) in enumerate(zip(batches, refs, strict=True)):
        for point in batch.points:
            if ref and answers[index] is None and (ref.id, ids.get(point.key)) in mirrors:
                answers[index] = NotWritable(f"metric {point.key!r} is a property of an artifact: it changes with that")


def can_mirror(key: str) -> bool:
    return key.count("/") > 1


def _write_params(session: Session, good: Sequence[tuple[int, Batch, RunRef]], answers: list[RegistryError | None]) -> None:
    merged: dict[int, dict[str, str]] = {}
    for index, batch, ref in good:
        own = merged.setdefault(ref.id, {})
        clash = next((key for key, value in batch.params.items() if own.get(key, value) != value), None)
        if clash is not None:
            answers[index] = NotWritable(f"param {clash!r} is being set to another value at the same time")
        else:
            own.update(batch.params)
    refused = tagging.set_params(session, NodeKind.CONTEXT, {run: own for run, own in merged.items() if own})
    for index, _batch, ref in good:
        if ref.id in refused and answers[index] is None and _batch.params:
            answers[index] = refused[ref.id]


def _by_run(entries: Iterable[tuple[int, Mapping[str, str]]]) -> dict[int, dict[str, str]]:
    merged: dict[int, dict[str, str]] = {}
    for run, tags in entries:
        merged.setdefault(run, {}).update(tags)
    return merged


def storable(value: float) -> tuple[float, Special]:
    """How a double is kept: NaN as 0, infinities as the largest double, with the flag that says so."""
    if math.isnan(value):
        return 0.0, Special.NAN
    if math.isinf(value):
        return (LARGEST, Special.POSITIVE_INFINITY) if value > 0 else (-LARGEST, Special.NEGATIVE_INFINITY)
    return value, Special.FINITE


def shown(value: float, special: int) -> float:
    """The double that `storable` was given."""
    if special == Special.NAN:
        return math.nan
    if special == Special.FINITE:
        return value
    return math.inf if special == Special.POSITIVE_INFINITY else -math.inf


def check_points(points: Sequence[Point]) -> None:
    """Raises InvalidArgument: a key, a timestamp or a step that cannot be kept."""
    for key in {point.key for point in points}:
        check_key(key, "metric key")
    for point in points:
        if not (0 <= point.at < _INT64 and -_INT64 <= point.step < _INT64):
            raise InvalidArgument(f"metric {point.key!r}: step and timestamp are 64-bit integers, timestamp from 0")


def _write_points(session: Session, entries: Sequence[tuple[int, Batch]]) -> None:
    if entries:
        write_points(session, point_rows(session, OwnerKind.RUN, [(run, 0, batch.points) for run, batch in entries]))


def point_rows(session: Session, kind: OwnerKind, entries: Sequence[tuple[int, int, Sequence[Point]]]) -> list[PointRow]:
    """Of checked points by owner and dataset (0: of none): in key order, no two equal. Interns their names."""
    ids = intern_names(session, {point.key for _, _, points in entries for point in points})
    number = int(kind)
    rows: set[PointRow] = set()
    for owner, dataset, points in entries:
        for point in points:
            value = point.value
            if value - value == 0.0:  # neither NaN nor infinite
                rows.add((number, owner, ids[point.key], dataset, point.at, point.step, value, _FINITE))
            else:
                stored, special = storable(value)
                rows.add((number, owner, ids[point.key], dataset, point.at, point.step, stored, int(special)))
    return sorted(rows)


def write_points(
    session: Session, rows: Sequence[PointRow], *, author: Author = Author.CLIENT, source: int | None = None
) -> None:
    """Points in key order, no two equal; moves the latest of their series where one is newer. One statement each."""
    _SERIES.run(session, newest_rows(rows, author, source))
    _POINTS.run(session, rows)


def newest_rows(rows: Sequence[PointRow], author: Author, source: int | None = None) -> list[SeriesRow]:
    """Of points in key order the latest of each series."""
    newest: dict[tuple[int, int, int, int], PointRow] = {}
    for row in rows:
        key = row[:4]
        before = newest.get(key)
        if before is None or (row[5], row[4], row[6]) > (before[5], before[4], before[6]):
            newest[key] = row
    who = int(author)
    return [(*key, row[5], row[4], row[6], row[7], source, who) for key, row in newest.items()]


_CLEARED = ("current_at", "current_step", "current_value", "current_special")


def newer_wins(insert: Any) -> Any:
    """Where the series is there, move its latest point; a newer point clears what the Model Registry had set as current."""
    if hasattr(insert, "inserted"):  # MariaDB and MySQL
        new = insert.inserted
        newer = sa.tuple_(new.step, new.at, new.value) > sa.tuple_(series.c.step, series.c.at, series.c.value)
        # Assigned left to right: what `newer` compares comes last, the first compared column at the very end.
        order = [(name, sa.func.if_(newer, sa.null(), series.c[name])) for name in _CLEARED]
        order += [(name, sa.func.if_(newer, new[name], series.c[name])) for name in ("special", "value", "at", "step")]
        return insert.on_duplicate_key_update(order)
    new = insert.excluded
    return insert.on_conflict_do_update(
        index_elements=[series.c[name] for name in KEY],
        set_={name: new[name] for name in ("step", "at", "value", "special")} | dict.fromkeys(_CLEARED, sa.null()),
        where=sa.tuple_(new.step, new.at, new.value) > sa.tuple_(series.c.step, series.c.at, series.c.value),
    )


def _kept(insert: Any) -> Any:
    """An exact repeat changes nothing."""
    if hasattr(insert, "inserted"):
        return insert.on_duplicate_key_update(special=metric_points.c.special)
    return insert.on_conflict_do_nothing()


_SERIES = RowInsert(series, (*KEY, "step", "at", "value", "special", "source", "author"), newer_wins)
_POINTS = RowInsert(metric_points, (*KEY, "at", "step", "value", "special"), _kept)


def latest_values(
    session: Session, owners: Sequence[int], *, kind: OwnerKind = OwnerKind.RUN, keys: Sequence[str] | None = None
) -> dict[int, dict[str, Point]]:
    """The latest point per key of each owner, keys in code-point order; one statement."""
    found: dict[int, dict[str, Point]] = {owner: {} for owner in owners}
    if not owners:
        return found
    if keys is None:
        rows = _ALL_LATEST.run(session, owners, kind=int(kind))
    else:
        rows = session.tuples(_SOME_LATEST, {"kind": int(kind), "owners": owners, "keys": list(keys)})
    for owner, name, value, special, at, step in rows:
        found[owner][name] = Point(name, value if special == _FINITE else shown(value, special), at, step)
    return found


_LATEST = (
    sa.select(series.c.owner, names.c.name, series.c.value, series.c.special, series.c.at, series.c.step)
    .join(names, names.c.id == series.c.name_id)
    .where(series.c.owner_kind == sa.bindparam("kind"))
    .order_by(series.c.owner, names.c.name, series.c.dataset)
)
_ALL_LATEST = RowRead(lambda: _LATEST.where(among(series.c.owner)))
_SOME_LATEST = _LATEST.where(
    series.c.owner.in_(sa.bindparam("owners", expanding=True)), names.c.name.in_(sa.bindparam("keys", expanding=True))
)


def history(
    session: Session,
    owner: int,
    key: str,
    *,
    limit: int,
    kind: OwnerKind = OwnerKind.RUN,
    after: tuple[int, int, float, int] | None = None,
) -> list[Point]:
    """Points in order (timestamp, step, value), from behind `after`; at most `limit`. An unknown key has none."""
    rows = history_rows(session, owner, key, limit=limit, kind=kind, after=after)
    return [Point(key, value if special == _FINITE else shown(value, special), at, step) for at, step, value, special in rows]


def history_rows(
    session: Session,
    owner: int,
    key: str,
    *,
    limit: int,
    kind: OwnerKind = OwnerKind.RUN,
    after: tuple[int, int, float, int] | None = None,
) -> Sequence[tuple[Any, ...]]:
    """As `history`: rows of timestamp, step, value as stored, special flag; `shown` gives the value."""
    ids = find_names(session, [key])
    if key not in ids:
        return []
    asked: dict[str, Any] = {"kind": int(kind), "owner": owner, "name": ids[key], "limit": limit}
    if after is None:
        return _FIRST_POINTS.run(session, **asked)
    asked |= dict(zip(_PLACE, after, strict=True))
    return _NEXT_POINTS.run(session, **asked)


_ORDER = (metric_points.c.at, metric_points.c.step, metric_points.c.value, metric_points.c.special)
_PLACE = ("after_at", "after_step", "after_value", "after_special")


def _points(*, follow: bool) -> "sa.Select[Any]":
    query = (
        sa.select(*_ORDER)
        .where(
            metric_points.c.owner_kind == sa.bindparam("kind"),
            metric_points.c.owner == sa.bindparam("owner"),
            metric_points.c.name_id == sa.bindparam("name"),
            metric_points.c.dataset == sa.literal_column("0"),
        )
        .order_by(*_ORDER)
        .limit(sa.bindparam("limit", type_=sa.BigInteger()))
    )
    place = [sa.bindparam(name, type_=column.type) for name, column in zip(_PLACE, _ORDER, strict=True)]
    return query.where(sa.tuple_(*_ORDER) > sa.tuple_(*place)) if follow else query


_FIRST_POINTS, _NEXT_POINTS = RowRead(lambda: _points(follow=False)), RowRead(lambda: _points(follow=True))
