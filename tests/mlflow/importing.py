"""Stores that MLflow itself has written, and imports of them."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry.catalog.checking import check_all
from registry.catalog.dumping import canonical
from registry.db.engine import open_database
from registry.db.session import Session
from registry.main import main
from registry.settings import Settings
from tests.mlflow.calling import Caller
from tests.mlflow.peers import SCRIPTS, run_client, seen
from tests.servers import serving

FILLED = {"MLFLOW_ALLOW_FILE_STORE": "true"}
"""What MLflow 3 wants to be told before it writes a folder."""


@dataclass(frozen=True)
class Store:
    """`made`: ids of what the script made. `shown`: all that MLflow shows of it."""

    python: Path
    source: str
    made: dict[str, Any]
    shown: dict[str, Any]


def filled(python: Path, folder: Path, uri: str, *, points: int = 300) -> Store:
    """A store at `uri`, filled by MLflow."""
    done = run_client(python, "fill.py", uri, folder, str(folder / "files"), str(points), **FILLED)
    found = seen(done)
    return Store(python, uri, found["made"], found["shown"])


def imported(folder: Path, source: str, *more: str, code: int = 0, db: str = "") -> str:
    """The report of an import into `folder`."""
    report = folder / "report.txt"
    given = ["--data-dir", str(folder / "data"), "--report", str(report), *(["--db", db] if db else []), *more]

    assert main(["import", "mlflow", "--from", source, *given]) == code
    return report.read_text("utf-8") if report.exists() else ""


@contextmanager
def served(folder: Path, db: str = "") -> Iterator[Caller]:
    with serving(Settings(data_dir=str(folder / "data"), db=db)) as running, Caller(running) as caller:
        yield caller


def shown_by(store: Store, door: Caller, folder: Path) -> dict[str, Any]:
    """All that MLflow's own client, of the version that wrote the store, is shown here."""
    found: dict[str, Any] = seen(run_client(store.python, "read.py", door.served.url, folder, **FILLED))
    return found


def is_sound(door: Caller) -> bool:
    return not door.served.services.runner.read(lambda session: list(check_all(session)))


def dumped(folder: Path) -> list[Any]:
    """What the store in `folder` holds, whatever its ids are."""
    database = open_database(f"sqlite:///{folder / 'data' / 'lineal.db'}")
    try:
        with database.reader.connect() as connection:
            return list(canonical(Session(connection)))
    finally:
        database.close()


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def killed_at(save: int, folder: Path, source: str) -> int:
    """Exit code of an import whose process gets SIGKILL right before its `save`th commit; 0: it came to its end."""
    command = ["import", "mlflow", "--from", source, "--data-dir", str(folder / "data"), "--report", str(folder / "report.txt")]
    script = f"""
import os, signal, sys
from registry.catalog.importing import progress
from registry.importing.mlflow import tables
from registry.main import main
saved, calls = progress.save, 0
def save(*given):
    global calls
    calls += 1
    saved(*given)
    if calls == {save}:
        os.kill(os.getpid(), signal.SIGKILL)
progress.save = save
tables.POINTS_AT_ONCE, tables.RUNS_AT_ONCE = 3_000, 5
sys.exit(main({command!r}))
"""
    root = SCRIPTS.parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, check=False, timeout=120
    )
    return done.returncode


def as_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
