"""Runs, or model versions, side by side: what each has under a key, and how it differs from the baseline.

A missing value is None and never zero: it has no delta and is neither better nor worse. A model version shows its own metrics
and params, and those of its run where it has none of that key.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from registry.catalog.actors import Actor
from registry.catalog.metric_definitions import MetricDefinition, definitions
from registry.catalog.metrics import Point
from registry.catalog.run_lookup import find_runs
from registry.catalog.runs import get_runs
from registry.catalog.version_reads import get_versions
from registry.db.session import Session
from registry.errors import InvalidArgument, NotFound
from registry.names import Direction, IdPrefix, Status, own_id

LEAST, MOST = 2, 50


class Verdict(StrEnum):
    """Of a value against the baseline's, by the metric's direction."""

    BETTER = "better"
    WORSE = "worse"
    EQUAL = "equal"


@dataclass(frozen=True)
class Item:
    """A column of the comparison. A model version has no status; its `at` is when it was made, a run's when it started."""

    own_id: str
    name: str
    status: Status | None
    at: int | None


@dataclass(frozen=True)
class Cell:
    """`delta` = value - baseline, `ratio` = delta / |baseline|; None where one is missing or not finite, or the baseline 0.

    `best`: no other item has a better value (only where the direction is known and two items have values).
    """

    value: float | None
    at: int | None
    step: int | None
    delta: float | None
    ratio: float | None
    verdict: Verdict | None
    best: bool


@dataclass(frozen=True)
class MetricRow:
    """One cell per item, in their order. `different`: some item is missing or has another value."""

    key: str
    direction: Direction | None
    unit: str | None
    cells: Sequence[Cell]
    different: bool


@dataclass(frozen=True)
class TextRow:
    """A param or tag: one value per item, None where it has none."""

    key: str
    values: Sequence[str | None]
    different: bool


@dataclass(frozen=True)
class Comparison:
    """Rows by key in code-point order. `baseline` is an index into `items`."""

    items: Sequence[Item]
    baseline: int
    metrics: Sequence[MetricRow]
    params: Sequence[TextRow]
    tags: Sequence[TextRow]


def compare_runs(
    session: Session, actor: Actor, hexes: Sequence[str], *, baseline: str | None = None, only_different: bool = False
) -> Comparison:
    """2 to 50 runs by their 32 hex; the baseline is the first where none is named. At most eight statements.

    Raises:
        InvalidArgument: too few, too many, one twice, or a baseline that is not among them.
        NotFound: one is absent, or in another workspace.
    """
    _check(hexes, baseline)
    found = find_runs(session, [(actor.workspace, hex) for hex in hexes])
    for hex in hexes:
        if (actor.workspace, hex) not in found:
            raise NotFound("run", f"run_{hex}")
    ids = [found[actor.workspace, hex].id for hex in hexes]
    if len(set(ids)) < len(ids):
        raise InvalidArgument("two of the ids are one run, merged", field="ids")
    runs = get_runs(session, actor, ids)
    sides = [_Side(Item(run.own_id, run.name, run.status, run.started_at), run.metrics, run.params, run.tags) for run in runs]
    return _comparison(session, actor, sides, 0 if baseline is None else hexes.index(baseline), only_different=only_different)


def compare_versions(
    session: Session, actor: Actor, ids: Sequence[int], *, baseline: int | None = None, only_different: bool = False
) -> Comparison:
    """2 to 50 model versions, also of several models; raises as `compare_runs`. At most ten statements."""
    _check(ids, baseline)
    versions = get_versions(session, actor, ids)
    missing = set(ids) - {version.id for version in versions}
    if missing:
        raise NotFound("model version", own_id(IdPrefix.VERSION, min(missing)))
    sides = []
    for version in versions:
        item = Item(version.own_id, f"{version.model_name}/{version.number}", None, version.created_at)
        sides.append(_Side(item, version.metrics, version.params, version.tags))
    return _comparison(session, actor, sides, 0 if baseline is None else ids.index(baseline), only_different=only_different)


def _check(ids: Sequence[str] | Sequence[int], baseline: str | int | None) -> None:
    if not LEAST <= len(ids) <= MOST:
        raise InvalidArgument(f"{LEAST} to {MOST} ids can be compared, not {len(ids)}", field="ids")
    if len(set(ids)) < len(ids):
        raise InvalidArgument("an id is given twice", field="ids")
    if baseline is not None and baseline not in ids:
        raise InvalidArgument("the baseline is not among the ids", field="baseline")


@dataclass(frozen=True)
class _Side:
    item: Item
    metrics: Mapping[str, Point]
    params: Mapping[str, str]
    tags: Mapping[str, str]


def _comparison(session: Session, actor: Actor, sides: Sequence[_Side], baseline: int, *, only_different: bool) -> Comparison:
    keys = sorted({key for side in sides for key in side.metrics})
    known = definitions(session, actor, keys)
    rows = [_metric_row(key, known.get(key), [side.metrics.get(key) for side in sides], baseline) for key in keys]
    return Comparison(
        [side.item for side in sides],
        baseline,
        [row for row in rows if row.different or not only_different],
        _text_rows([side.params for side in sides], only_different=only_different),
        _text_rows([side.tags for side in sides], only_different=only_different),
    )


def _text_rows(items: Sequence[Mapping[str, str]], *, only_different: bool) -> list[TextRow]:
    rows = []
    for key in sorted({key for own in items for key in own}):
        values = [own.get(key) for own in items]
        different = len(set(values)) > 1
        if different or not only_different:
            rows.append(TextRow(key, values, different))
    return rows


def _metric_row(key: str, definition: MetricDefinition | None, points: Sequence[Point | None], baseline: int) -> MetricRow:
    direction = None if definition is None else definition.direction
    values = [None if point is None else point.value for point in points]
    comparable = [value for value in values if value is not None and not math.isnan(value)]
    best = None
    if direction is not None and len(comparable) > 1:
        best = max(comparable) if direction is Direction.MAXIMIZE else min(comparable)
    cells = [
        _cell(point, values[baseline], direction, best=best is not None and point is not None and point.value == best)
        for point in points
    ]
    different = len({"NaN" if value is not None and math.isnan(value) else value for value in values}) > 1
    return MetricRow(key, direction, None if definition is None else definition.unit, cells, different)


def _cell(point: Point | None, base: float | None, direction: Direction | None, *, best: bool) -> Cell:
    if point is None:
        return Cell(None, None, None, None, None, None, best=False)
    delta = None if base is None else point.value - base
    if delta is not None and not math.isfinite(delta):
        delta = None
    ratio = None if delta is None or not base else delta / abs(base)
    if ratio is not None and not math.isfinite(ratio):
        ratio = None
    return Cell(point.value, point.at, point.step, delta, ratio, _verdict(point.value, base, direction), best)


def _verdict(value: float, base: float | None, direction: Direction | None) -> Verdict | None:
    if base is None or direction is None or math.isnan(value) or math.isnan(base):
        return None
    if value == base:
        return Verdict.EQUAL
    return Verdict.BETTER if (value > base) == (direction is Direction.MAXIMIZE) else Verdict.WORSE
