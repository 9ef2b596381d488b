"""`lineal-server import mlmd` of a store that is as large as they get: a million executions with three million edges."""

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks.apis import WrongAnswer
from benchmarks.measuring import Meter, Side
from benchmarks.servers import ROOT
from benchmarks.stage import Area, Case, Goal, Stage

EXECUTIONS = int(os.environ.get("LINEAL_BENCH_EXECUTIONS") or 1_000_000)
IN_RUN = 20
LIMIT_MIB = 512
PROGRAM = (
    "import resource, sys, time; from registry.main import main; begun = time.monotonic(); code = main(sys.argv[1:]);"
    "print('spent', time.monotonic() - begun); print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); sys.exit(code)"
)
TABLES = """
CREATE TABLE Type (id INTEGER PRIMARY KEY, name TEXT, version TEXT, type_kind INT, description TEXT, external_id TEXT);
CREATE TABLE ParentType (type_id INT, parent_type_id INT);
CREATE TABLE TypeProperty (type_id INT, name TEXT, data_type INT);
CREATE TABLE EventPath (event_id INT, is_index_step INT, step_index INT, step_key TEXT);
CREATE INDEX paths ON EventPath (event_id);
CREATE TABLE Event (id INTEGER PRIMARY KEY, artifact_id INT, execution_id INT, type INT, milliseconds_since_epoch INT);
CREATE TABLE Association (id INTEGER PRIMARY KEY, context_id INT, execution_id INT, UNIQUE (context_id, execution_id));
CREATE TABLE Attribution (id INTEGER PRIMARY KEY, context_id INT, artifact_id INT, UNIQUE (context_id, artifact_id));
CREATE TABLE ParentContext (context_id INT, parent_context_id INT);
CREATE TABLE MLMDEnv (schema_version INT);
INSERT INTO MLMDEnv VALUES (10);
INSERT INTO Type VALUES (10, 'system.PipelineRun', NULL, 2, NULL, NULL), (11, 'system.ContainerExecution', NULL, 0, NULL, NULL),
  (12, 'system.Model', NULL, 1, NULL, NULL);
"""
NODE = """
CREATE TABLE {0} (id INTEGER PRIMARY KEY, type_id INT, name TEXT, external_id TEXT, {1} create_time_since_epoch INT,
  last_update_time_since_epoch INT);
CREATE TABLE {0}Property ({2}_id INT, name TEXT, is_custom_property INT, int_value INT, double_value REAL, string_value TEXT,
  byte_value BLOB, proto_value BLOB, bool_value INT, PRIMARY KEY ({2}_id, name, is_custom_property)) WITHOUT ROWID;
"""


def made(folder: Path) -> Path:
    """A third as many artifacts as executions: an execution has an association and two events, an artifact an attribution."""
    path = folder / "source.db"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    at = 1_700_000_000_000
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.executescript(TABLES)
        for name, own in (("Artifact", "uri TEXT, state INT,"), ("Execution", "last_known_state INT,"), ("Context", "")):
            connection.executescript(NODE.format(name, own, name.lower()))
        runs = EXECUTIONS // IN_RUN

        def numbers(count: int) -> Iterator[int]:
            return iter(range(1, count + 1))

        artifacts = EXECUTIONS // 3

        def insert(into: str, rows: Iterator[tuple[object, ...]]) -> None:
            marks = ", ".join("?" * (into.count(",") + 1))
            connection.executemany(f"INSERT INTO {into} VALUES ({marks})", rows)  # noqa: S608  (ours)

        times = "create_time_since_epoch, last_update_time_since_epoch"
        insert(f"Context (id, type_id, name, {times})", ((n, 10, f"{n:032x}", at, at) for n in numbers(runs)))
        insert(f"Execution (id, type_id, last_known_state, {times})", ((n, 11, 3, at, at + n) for n in numbers(EXECUTIONS)))
        named = ((n, "task_name", 1, f"task-{n % IN_RUN}") for n in numbers(EXECUTIONS))
        insert("ExecutionProperty (execution_id, name, is_custom_property, string_value)", named)
        insert(f"Artifact (id, type_id, uri, state, {times})", ((n, 12, f"s3://b/{n}", 2, at, at) for n in numbers(artifacts)))
        insert("Association (context_id, execution_id)", (((n - 1) // IN_RUN + 1, n) for n in numbers(EXECUTIONS)))
        events = (((n - 1) % artifacts + 1, n, kind, at) for n in numbers(EXECUTIONS) for kind in (3, 4))
        insert("Event (artifact_id, execution_id, type, milliseconds_since_epoch)", events)
    return path


def import_once(stage: Stage, meter: Meter) -> float:
    """MiB at the peak; says the rate."""
    source = made(stage.folder / "source")
    number = stage.number("import")
    folder = stage.folder / f"imported-{number}"
    command = [sys.executable, "-c", PROGRAM, "import", "mlmd", "--from", f"sqlite:///{source}", "--data-dir", str(folder)]
    with meter.timed():
        done = subprocess.run(
            [*command, "--report", str(stage.folder / f"report-{number}.txt")],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode or "verified" not in done.stdout:
        raise WrongAnswer(f"exit {done.returncode}: {done.stdout[-300:]} {done.stderr[-300:]}")
    rows = sum(int(found) for found in re.findall(r": (\d+) taken over", done.stdout))
    seconds = float(re.findall(r"spent ([\d.]+)", done.stdout)[0])
    peak = int(re.findall(r"peak (\d+)", done.stdout)[0]) / 1024
    stage.say(f"{rows:,} rows, {rows / seconds:,.0f} rows/s with the comparison, peak RSS {peak:.0f} MiB, verified")
    meter.operations = rows
    return peak


def sides(stage: Stage) -> list[Side]:
    return [Side("ours", os.getpid(), lambda meter: import_once(stage, meter))]


CASE = Case("import-mlmd, peak memory", "MiB", sides, {"sqlite": Goal(limit=LIMIT_MIB)}, by_workers=False)
AREA = Area("import-mlmd", [CASE], databases=("sqlite",))
