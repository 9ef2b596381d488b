"""`python -m tests.conformance.mlflow`: upstream's live-server tests against this server, on all three databases; those which
`foreign.txt` keeps apart against MLflow's own server, which must not pass them either, unless they start a server of their own.

In the environment: TESTS (upstream's `tests/` folder, docs/doors/mlflow.md says which), MLFLOW_PYTHON, LINEAL_TEST_POSTGRES and
LINEAL_TEST_MARIADB; DB chooses databases, ONLY tests by name. Exit code 0, 1 for a failure, 3 where something is missing.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.conformance.mlflow.serving import Fresh, Upstream, controlled, folder_of
from tests.conformance.mlflow.verdict import REGISTRY, TRACKING, Result, dishonest, failures, listed, refuted, summary, wrong
from tests.services import mariadb, postgres
from tests.services.databases import fresh_database

PLUGIN = Path(__file__).parent / "plugin"
SKIPS, FOREIGN = "skips.txt", "foreign.txt"
DATABASES = ("sqlite", "postgresql", "mariadb")
UPSTREAM = "mlflow"
NEEDED = {
    "TESTS": "upstream's tests/ folder",
    "MLFLOW_PYTHON": "a Python with requirements/bench.txt, pytest among it",
    "LINEAL_TEST_POSTGRES": "a SQLAlchemy URL to PostgreSQL",
    "LINEAL_TEST_MARIADB": "a SQLAlchemy URL to MariaDB",
}


def main() -> int:
    wanted = (os.environ.get("DB") or ",".join(DATABASES)).split(",")
    variables = {"postgresql": "LINEAL_TEST_POSTGRES", "mariadb": "LINEAL_TEST_MARIADB"}
    needed = ["TESTS", "MLFLOW_PYTHON", *(variables[name] for name in wanted if name in variables)]
    missing = [f"{name} ({NEEDED[name]})" for name in needed if not _is_there(name)]
    if missing:
        print(f"conformance mlflow: missing: {', '.join(missing)}", file=sys.stderr)
        return 3
    try:
        upstream = folder_of(Path(os.environ["TESTS"]).absolute())
    except FileNotFoundError as error:
        print(f"conformance mlflow: {error}", file=sys.stderr)
        return 3
    skips, foreign = listed(SKIPS), listed(FOREIGN)
    results: dict[str, Sequence[Result]] = {}
    for name in wanted:
        results[name] = run(upstream, name, but=[*skips, *foreign], only=os.environ.get("ONLY", "").split())
    if os.environ.get("ONLY"):
        problems = failures(results)
    else:
        skipped = run(upstream, "sqlite", only=list(skips))
        theirs = refuted(foreign, run(upstream, UPSTREAM, only=list(foreign)))
        apart = {one.name for one in run(upstream, "sqlite", only=theirs) if not one.routes} if theirs else set()
        problems = wrong(results, skips, foreign)
        problems += [f"passes on MLflow's own server, and asks ours: {name}" for name in theirs if name not in apart]
        problems += [f"skipped without a reason that is one: {name}" for name in dishonest(skips, skipped)]
    for line in problems:
        print(f"conformance mlflow: {line}")
    print(summary(results, skips))
    return 1 if problems else 0


def _is_there(variable: str) -> bool:
    value = os.environ.get(variable, "")
    if not value or variable != "MLFLOW_PYTHON":
        return bool(value)
    return subprocess.run([value, "-c", "import mlflow, pytest"], capture_output=True, check=False).returncode == 0


def run(upstream: Path, database: str, *, but: Sequence[str] = (), only: Sequence[str] = ()) -> list[Result]:
    """Of both files all tests on an SQL store, without `but`, or `only` those; `database` UPSTREAM: on MLflow's own server."""
    with (
        tempfile.TemporaryDirectory(prefix="lineal-conformance.") as scratch,
        _server(database) as server,
        controlled(server) as control,
    ):
        report = Path(scratch) / "report.jsonl"
        report.touch()
        chosen = {"LINEAL_CONFORMANCE_ONLY": "\n".join(only), "LINEAL_CONFORMANCE_BUT": "\n".join(but)}
        own = {"LINEAL_CONFORMANCE_CONTROL": control, "LINEAL_CONFORMANCE_REPORT": str(report), **chosen}
        files = [f"tests/tracking/{file}" for file in (REGISTRY, TRACKING)]
        options = ["-q", "-p", "lineal_upstream", "-p", "no:cacheprovider", "-p", "no:asyncio", "--tb=short", "-W", "ignore"]
        command = [os.environ["MLFLOW_PYTHON"], "-m", "pytest", *options, *files]
        subprocess.run(command, cwd=upstream, env=_environment(upstream, scratch) | own, check=False)
        return [Result(**json.loads(line)) for line in report.read_text("utf-8").splitlines()]


def _environment(upstream: Path, scratch: str) -> dict[str, str]:
    """Traces go out at once: upstream's tests read them back without waiting."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "LINEAL_"))}
    path = os.pathsep.join([str(PLUGIN), str(upstream), *filter(None, [os.environ.get("PYTHONPATH")])])
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING": "false"}
    return {**kept, **quiet, "PYTHONPATH": path, "HOME": scratch, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}


@contextmanager
def _server(name: str) -> Iterator[Fresh | Upstream]:
    if name == UPSTREAM:
        yield Upstream(os.environ["MLFLOW_PYTHON"])
    elif name == "sqlite":
        yield Fresh("")
    elif name == "postgresql":
        with fresh_database(os.environ["LINEAL_TEST_POSTGRES"], postgres.CREATE, postgres.DROP) as url:
            yield Fresh(url)
    else:
        with fresh_database(os.environ["LINEAL_TEST_MARIADB"], mariadb.CREATE, mariadb.DROP) as url:
            yield Fresh(url)


if __name__ == "__main__":
    raise SystemExit(main())
