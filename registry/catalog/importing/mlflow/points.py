"""Histories of runs' metrics. A point that is there already changes nothing, so that a part may be written twice."""

import sys
from collections.abc import Mapping, Sequence
from math import inf

from registry.catalog.importing.progress import Notes
from registry.catalog.metrics import Point, point_rows, write_points
from registry.db.session import Session
from registry.errors import InvalidArgument
from registry.names import OwnerKind, check_key

LARGEST = sys.float_info.max
_INT64 = 2**63


def unclipped(value: float) -> float:
    """MLflow's SQL store and its servers have the largest double where an infinity was measured."""
    if -LARGEST < value < LARGEST or value != value:  # noqa: PLR0124  (NaN is not itself)
        return value
    return inf if value > 0 else -inf


def kept_points(points: Sequence[Point], what: str, id: str, notes: Notes) -> list[Point]:
    """Those that can be kept; a note for each metric that has others."""
    bad: dict[str, str] = {}
    for key in {point.key for point in points}:
        try:
            check_key(key)
        except InvalidArgument as error:
            bad[key] = error.message
    kept = []
    for point in points:
        if point.key in bad:
            continue
        if 0 <= point.at < _INT64 and -_INT64 <= point.step < _INT64:
            kept.append(point)
        else:
            bad.setdefault(f"\0{point.key}", "a time before 1970, or no 64-bit integer")
    for key, why in bad.items():
        notes.add(what, id, f"points of metric {key.removeprefix(chr(0))[:80]!r} are left out: {why}")
    return kept


def write_run_points(session: Session, runs: Mapping[str, int], found: Sequence[tuple[str, Sequence[Point]]]) -> None:
    """Of runs that are here (`runs`: our ids); points that can be kept."""
    entries = [(runs[run], 0, points) for run, points in found if points]
    if entries:
        write_points(session, point_rows(session, OwnerKind.RUN, entries))
