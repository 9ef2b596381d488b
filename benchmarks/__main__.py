"""`python -m benchmarks`: what `make bench` runs. Exit status 1 if a row failed (a wrong answer), 2 if something is missing."""

import argparse
import fnmatch
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import profiling, reporting
from benchmarks.cases import AREAS
from benchmarks.measuring import Results, Side, take_turns
from benchmarks.processes import NotStarted
from benchmarks.servers import Missing, Postgres, start_postgres
from benchmarks.stage import Area, Case, Db, Stage

DURABILITY_SQLITE = "SQLite: journal_mode=WAL, synchronous=FULL for ours, floor and peer: one flush per commit"


def main(argv: Sequence[str] | None = None) -> int:
    options = parser().parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of every `finally`: no server stays behind
    if options.show:
        print(reporting.table(reporting.latest()))
        return 0
    if options.case == "agent":  # on a cluster of its own, and with no peer to take turns with
        from benchmarks import agent

        return agent.main()
    wanted = [(area, [case for case in area.cases if _matches(area, case, options.case)]) for area in AREAS]
    wanted = [(area, cases) for area, cases in wanted if cases]
    if not wanted:
        print(f"bench: no case matches {options.case!r}; there are: {', '.join(c.name for a in AREAS for c in a.cases)}")
        return 2
    rows: list[reporting.Row] = []
    try:
        for db in options.db:
            with _databases(db) as (folder, postgres):
                _say(f"durability: {_durability(postgres)}")
                for area, cases in ((area, cases) for area, cases in wanted if db in area.databases):
                    home = folder / area.name.replace(" ", "-")  # mlflow-go takes no space in a path
                    stage = Stage(db, home, postgres, _say, door=area.door, compiled=area.compiled)
                    stage.sqlite_peers = options.peer_workers
                    rows += _area(area, cases, stage, options)
    except (Missing, NotStarted) as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    finally:
        if rows:
            print(reporting.table(rows), flush=True)
    return 1 if any(row["errors"] for row in rows) else 0


def parser() -> argparse.ArgumentParser:
    env = os.environ
    root = argparse.ArgumentParser(prog="make bench", description="Ours beside the peer or the floor, in one run, taking turns.")
    root.add_argument("--case", default=env.get("CASE") or "*", help="glob over the cases' names (CASE)")
    root.add_argument("--db", default=env.get("DB") or "sqlite,postgres", type=_dbs, help="sqlite, postgres or both (DB)")
    root.add_argument("--repeats", default=int(env.get("REPEATS") or 3), type=int, help="of each side (REPEATS)")
    root.add_argument("--scales", default=env.get("SCALES") or "1,4,16", type=_numbers, help="of lists and searches (SCALES)")
    root.add_argument("--peer-workers", default="1,2,4", type=_numbers, help="of the peer on SQLite: the fastest is the base")
    root.add_argument("--noisy", action="store_true", default=bool(env.get("NOISY")), help="count noisy repeats, too (NOISY=1)")
    root.add_argument("--profile", action="store_true", default=bool(env.get("PROFILE")), help="a flame graph (PROFILE=1)")
    root.add_argument("--alone", action="store_true", help="only ours, without what it is compared with")
    root.add_argument("--show", action="store_true", help="only print the table of results/latest.json")
    return root


def _dbs(text: str) -> list[Db]:
    found: list[Db] = [db for db in ("sqlite", "postgres") if db in text.split(",")]
    if len(found) != len(text.split(",")):
        raise argparse.ArgumentTypeError(f"{text!r} is not sqlite, postgres or both with a comma between")
    return found


def _numbers(text: str) -> list[int]:
    return sorted(int(part) for part in text.split(","))


def _matches(area: Area, case: Case, pattern: str) -> bool:
    """By the case's name, its area's, or what that is part of."""
    wanted = [one.strip() for one in pattern.split(";")]
    return any(one in {case.name, area.name, area.part_of} or fnmatch.fnmatch(case.name, one) for one in wanted)


def _say(text: str) -> None:
    print(f"bench: {time.strftime('%H:%M:%S')} {text}", flush=True)


@contextmanager
def _databases(db: Db) -> Iterator[tuple[Path, Postgres | None]]:
    """A folder for everything, gone at the end; and a PostgreSQL of our own where it is wanted."""
    folder = Path(tempfile.mkdtemp(prefix="lineal-bench-"))
    folder.chmod(0o711)  # PostgreSQL may have to run as another user
    postgres = None
    try:
        if db == "postgres":
            _say("starting PostgreSQL")
            postgres = start_postgres(folder / "postgres")
        yield folder, postgres
    finally:
        if postgres is not None:
            postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _durability(postgres: Postgres | None) -> str:
    if postgres is None:
        return DURABILITY_SQLITE
    return "PostgreSQL: " + ", ".join(f"{name}={value}" for name, value in postgres.settings.items())


def _area(area: Area, cases: Sequence[Case], stage: Stage, options: argparse.Namespace) -> list[reporting.Row]:
    """All cases at each scale, so that the store has to grow only once."""
    scales = [scale for scale in area.scales if scale in options.scales or len(area.scales) == 1] or [area.judged_at]
    judged_at = area.judged_at if area.judged_at in scales else scales[-1]
    rows: dict[str, reporting.Row] = {}
    sizes: dict[str, dict[int, float | None]] = {}
    try:
        for scale in [judged_at] if options.profile else scales:
            stage.scale, stage.workers = scale, 1
            area.prepare(stage)
            for case in cases:
                if options.profile:
                    _profile(case, stage)
                    continue
                for workers in (1, 2) if stage.postgres and case.by_workers and scale == judged_at else (1,):
                    stage.workers, stage.alone = workers, options.alone or scale != judged_at
                    database = stage.db if workers == 1 else f"{stage.db}, {workers} workers"
                    found = _case(case, database, stage, options)
                    if workers == 1:
                        sizes.setdefault(f"{case.name} {database}", {})[scale] = found[0].median
                    if scale == judged_at:
                        goal = case.goals.get(database, case.goals[stage.db])
                        rows[f"{case.name} {database}"] = reporting.row(case, database, goal, found)
                        _save(rows.values(), stage.postgres, options)
                stage.workers = 1
        for key, growth in sizes.items():
            if len(growth) > 1 and key in rows:
                rows[key]["growth"] = reporting.grown(growth)
                _say(f"{key}: {rows[key]['growth']}")
        if rows:
            _save(rows.values(), stage.postgres, options)
    finally:
        stage.close()
    return list(rows.values())


def _case(case: Case, database: str, stage: Stage, options: argparse.Namespace) -> list[Results]:
    title = f"{case.name} ({database}{f', scale {stage.scale}' if stage.scale > 1 else ''})"
    sides = case.sides(stage)
    found = take_turns(sides, options.repeats, count_noisy=options.noisy, say=lambda text: _progress(f"{title}: {text}"))
    shown = ", ".join(f"{one.name} {one.error or reporting._spread(reporting._side(one))}" for one in found)  # noqa: SLF001
    _say(f"{title}, {case.unit}: {shown}")
    return found


def _progress(text: str) -> None:
    """On a terminal one line that changes; elsewhere nothing, as each case has a line of its own."""
    if sys.stdout.isatty():
        sys.stdout.write(f"\r\x1b[K{text}\r")
        sys.stdout.flush()


def _profile(case: Case, stage: Stage) -> None:
    stage.alone = True
    ours: Side = case.sides(stage)[0]
    name = "".join(char if char.isalnum() else "-" for char in f"{case.name}-{stage.db}")
    file = reporting.RESULTS / "profiles" / f"{name}.svg"
    svg = profiling.record(ours, file)
    _say(f"{case.name}: {file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file}")
    print(f"  own time: {', '.join(f'{layer} {share:.1f} %' for layer, share in profiling.layers(svg)[:14])}")
    for frame, share in profiling.frames(svg)[:40]:
        print(f"  {share:6.1f} %  {frame}")


def _save(rows: Any, postgres: Postgres | None, options: argparse.Namespace) -> None:
    about = {"machine": reporting.machine(), "durability": {"sqlite": DURABILITY_SQLITE}}
    about["durability"]["postgres"] = "stock settings, fsync on" if postgres is None else _durability(postgres)
    about |= {"repeats": options.repeats, "noisy_repeats_count": options.noisy}
    reporting.save(rows, about)


if __name__ == "__main__":
    sys.exit(main())
