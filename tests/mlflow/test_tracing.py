"""Traces are not kept here: code that makes them goes on as if nobody had asked for them."""

import re
from pathlib import Path

from tests.mlflow.calling import Caller
from tests.mlflow.peers import run_client, seen

EXTRA_S = 2.0
"""What traces may add in all. One call that the client tries again adds more than that by its pauses alone."""


def test_code_that_traces_does_not_stall_and_is_warned_once_a_trace_at_most(
    sqlite_door: Caller, mlflow_python: Path, tmp_path: Path
) -> None:
    done = run_client(mlflow_python, "tracing.py", sqlite_door.served.url, tmp_path, MLFLOW_HTTP_REQUEST_MAX_RETRIES="7")

    took = seen(done)
    warned = [line for line in done.stderr.splitlines() if "WARNING" in line or "Warning" in line]
    assert len(warned) <= took["traces"], done.stderr
    assert took["traced"] - took["plain"] < EXTRA_S
    assert _refusals(sqlite_door) == took["traces"]


def _refusals(door: Caller) -> int:
    """How often a call about traces was refused: once each, so none was tried again."""
    text = door.served.services.observer.exposition(commits=0)
    found = re.findall(r'_count\{method="POST",route="/api/2.0/mlflow/traces\*",status="501"\} (\d+)', text)
    return sum(int(count) for count in found)
