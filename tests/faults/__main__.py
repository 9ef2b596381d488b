"""`python -m tests.faults` with N, DB in the environment: kill -9 of the server N times, other faults once, per database.

Those of a disk and of an object store are the tests' alone (`test_faults.py`). With MLFLOW_PYTHON, a Python that has mlflow,
all kills are made under its client's load too.

With the argument `overload`: `overload.py`.

Last line per database: `DB: N of N, L lost, D doubled`. Exit code 1 if anything was lost, doubled or broken.
"""

import os
import signal
import sys
import tempfile
from pathlib import Path

import httpx

from benchmarks.processes import NotStarted
from tests.faults import cases, overload
from tests.faults.databases import KINDS, Database, MissingTool
from tests.faults.load import Verdict


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of every `finally`: no server stays behind
    if sys.argv[1:] == ["overload"]:
        return overload.main()
    kills = int(os.environ.get("N") or 5)
    wanted = os.environ.get("DB") or "all"
    names = list(KINDS) if wanted == "all" else wanted.split(",")
    if unknown := set(names) - KINDS.keys():
        print(f"faults: DB is one of {', '.join(KINDS)}, all; not {', '.join(unknown)}", file=sys.stderr)
        return 2
    try:
        return max([run(name, kills) for name in names])
    except MissingTool as missing:
        print(f"faults: {missing}", file=sys.stderr)
        return 2


def run(name: str, kills: int) -> int:
    survived = lost = doubled = 0
    broken = True

    def judged(title: str, found: Verdict) -> None:
        nonlocal lost, doubled
        lost, doubled = lost + len(found.lost), doubled + len(found.doubled)
        print(f"faults: {name}: {title}: {found.writes} writes, {len(found.lost)} lost, {len(found.doubled)} doubled", flush=True)
        for what in (*found.lost[:5], *found.doubled[:5]):
            print(f"faults:   {what}", flush=True)

    with tempfile.TemporaryDirectory(prefix="lineal-faults.") as scratch:
        folder = Path(scratch)
        folder.chmod(0o711)
        database: Database = KINDS[name](folder)
        try:
            with cases.staged(database, folder) as stage:
                others = dict(cases.ON_EVERY_DATABASE)
                if database.can_die:
                    others["database killed"] = cases.kill_database
                for title, case in others.items():
                    judged(title, case(stage))
                python = os.environ.get("MLFLOW_PYTHON")
                for number in range(kills):
                    judged(f"server killed {number + 1} of {kills}", cases.kill_server(stage))
                    if python:
                        title = f"server killed under MLflow's client {number + 1} of {kills}"
                        judged(title, cases.kill_server(stage.with_client(Path(python))))
                    survived += 1
                if python and database.can_die:
                    judged("database killed under MLflow's client", cases.kill_database(stage.with_client(Path(python))))
            broken = False
        except (AssertionError, TimeoutError, NotStarted, httpx.HTTPError) as why:
            print(f"faults: {name}: {type(why).__name__}: {why}", flush=True)
        finally:
            database.stop()
    print(f"{name}: {survived} of {kills}, {lost} lost, {doubled} doubled", flush=True)
    return int(broken or bool(lost or doubled))


if __name__ == "__main__":
    sys.exit(main())
