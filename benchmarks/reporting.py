"""Rows: what was measured, judged; as a table for people, and as results/latest.json for everything else."""

import datetime as dt
import fcntl
import json
import math
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measuring import Results, exponent
from benchmarks.stage import Case, Goal

RESULTS = Path(__file__).parent / "results"
LATEST = RESULTS / "latest.json"
Row = dict[str, Any]


def row(case: Case, database: str, goal: Goal, found: Sequence[Results]) -> Row:
    """Ours first, then what it is compared with; the fastest of those is the base.

    `ratio` is how many times better ours is than the base; `met` is null where nothing can be said.
    """
    ours, others = found[0], [one for one in found[1:] if one.median is not None and one.is_base]
    pick = max if case.is_rate else min
    base = pick(others, key=lambda one: one.median or 0.0) if others else None
    ratio = _ratio(case, ours.median, None if base is None else base.median)
    errors = [f"{one.name}: {one.error}" for one in found if one.error and one.is_base]
    return {
        "case": case.name,
        "database": database,
        "unit": case.unit,
        "ours": ours.median,
        "base": None if base is None else base.median,
        "base_name": None if base is None else base.name,
        "ratio": ratio,
        "goal": str(goal),
        "met": _is_met(goal, ours, ratio, errors),
        "sides": [_side(one) for one in found],
        "errors": errors,
        "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    }


def _ratio(case: Case, ours: float | None, base: float | None) -> float | None:
    if not ours or not base:
        return None
    return ours / base if case.is_rate else base / ours


def _is_met(goal: Goal, ours: Results, ratio: float | None, errors: Sequence[str]) -> bool | None:
    if errors and ours.error:
        return False
    if goal.limit is not None:
        return None if ours.median is None else ours.median <= goal.limit
    return None if ratio is None or goal.ratio is None else ratio >= goal.ratio


def _side(one: Results) -> Row:
    values = one.values
    return {
        "name": one.name,
        "is_base": one.is_base,
        "median": one.median,
        "min": min(values, default=None),
        "max": max(values, default=None),
        "repeats": len(values),
        "server_cpu_ms": _known(one.average(lambda meter: meter.server_cpu_s / meter.operations * 1000)),
        "database_cpu_ms": _known(one.average(lambda meter: meter.database_cpu_s / meter.operations * 1000)),
        "peak_rss_mib": _known(one.average(lambda meter: meter.peak_rss_mib)),
        "foreign": _known(max((repeat.meter.foreign for repeat in one.repeats), default=math.nan)),
        "not_counted": [{"value": repeat.value, "foreign": round(repeat.meter.foreign, 3)} for repeat in one.noisy],
        "error": one.error,
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 3)


def grown(scales: Mapping[int, float | None]) -> Row:
    """How the median grows with the data: at each scale, and the power of the scale."""
    known = [(scale, value) for scale, value in sorted(scales.items()) if value]
    power = round(exponent(*zip(*known, strict=True)), 2) if len(known) > 1 else None
    return {"scales": {str(scale): value for scale, value in sorted(scales.items())}, "exponent": power}


def machine() -> Row:
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def save(rows: Iterable[Row], about: Row, file: Path = LATEST) -> None:
    """Put the rows in place of those of the same case and database; the others stay, each with its own time."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        old = json.loads(file.read_text("utf-8"))["rows"] if file.exists() else []
        merged = {(one["case"], one["database"]): one for one in [*old, *rows]}
        part = file.with_suffix(".part")
        part.write_text(json.dumps({**about, "rows": list(merged.values())}, indent=1, ensure_ascii=False) + "\n", "utf-8")
        part.replace(file)


def latest(file: Path = LATEST) -> list[Row]:
    return list(json.loads(file.read_text("utf-8"))["rows"])


HEAD = ("case", "database", "ours", "base", "ratio", "goal", "met", "CPU ms/op", "RSS MiB", "foreign", "growth", "beside")


def table(rows: Iterable[Row]) -> str:
    """Markdown. Spread in brackets; a row with an error says it in the place of figures."""
    lines = [HEAD, tuple("---" for _ in HEAD), *(_cells(one) for one in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cells(one: Row) -> tuple[str, ...]:
    ours = one["sides"][0]
    base = next((side for side in one["sides"][1:] if side["name"] == one["base_name"]), None)
    beside = [
        f"{side['name']} {side['error'][:60] or _spread(side)}" for side in one["sides"][1:] if not side.get("is_base", True)
    ]
    verdict = {True: "yes", False: "**no**", None: "?"}[one["met"]]
    growth = one.get("growth") or {}
    power = f"n^{growth['exponent']}" if growth.get("exponent") is not None else ""
    if one["errors"]:
        verdict = f"{verdict} {'; '.join(one['errors'])[:120]}"
    return (
        one["case"],
        one["database"],
        f"{_spread(ours)} {one['unit']}",
        "-" if base is None else f"{_spread(base)} ({base['name']})",
        "-" if one["ratio"] is None else f"{one['ratio']:.3g}x",
        one["goal"],
        verdict,
        _number(_cpu(ours)) if base is None else f"{_number(_cpu(ours))} / {_number(_cpu(base))}{_saved(ours, base)}",
        _number(ours["peak_rss_mib"]),
        "-" if ours["foreign"] is None else f"{max(side['foreign'] or 0 for side in one['sides']):.0%}",
        power,
        ", ".join(beside) or "-",
    )


def _spread(side: Row) -> str:
    if side["median"] is None:
        return f"- ({len(side['not_counted'])} noisy)" if side["not_counted"] else "-"
    return f"{_number(side['median'])} [{_number(side['min'])}-{_number(side['max'])}]"


def _cpu(side: Row) -> float:
    return float((side["server_cpu_ms"] or 0) + (side["database_cpu_ms"] or 0))


def _saved(ours: Row, base: Row) -> str:
    """How many times less processor time ours takes."""
    return f" ({_cpu(base) / _cpu(ours):.3g}x)" if _cpu(ours) else ""


def _number(value: float | None) -> str:
    """Three digits that count."""
    if value is None:
        return "-"
    if value >= 100 or value == 0:
        return f"{value:,.0f}"
    return f"{value:.{2 - math.floor(math.log10(value))}f}"
