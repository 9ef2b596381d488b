"""Writers that are MLflow's own client, which tries again by itself: only what it says was logged is known to be there."""

import json
import os
import subprocess
import uuid
from collections import Counter
from pathlib import Path
from typing import Any, Self

import httpx

from tests.faults.load import Awaited, Judge, Verdict, point
from tests.mlflow.peers import SCRIPTS

PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "7", "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1"}
"""As shipped, but for the factor, which is 2: nobody waits here for minutes."""


class ClientLoad(Awaited):
    """As `Load`: a context manager; `python` is one that has mlflow."""

    def __init__(self, url: str, python: Path, folder: Path, writers: int = 16) -> None:
        self.url = url
        self._journal = folder / f"journal-{uuid.uuid4().hex}.jsonl"
        self._journal.touch()
        environ = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "HOME": str(folder), **PATIENCE}
        command = [str(python), str(SCRIPTS / "retrying.py"), url, str(writers), str(self._journal)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environ)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(180)
        finally:
            self._process.kill()
            self._process.wait()
        if self.problem is not None:
            raise AssertionError(self.problem)

    def _lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._journal.read_text("utf-8").splitlines(keepends=True) if line.endswith("\n")]

    @property
    def acknowledged(self) -> int:
        return sum("run" in line for line in self._lines())

    @property
    def problem(self) -> str | None:
        failures = [str(line["failure"]) for line in self._lines() if "failure" in line]
        if not failures and self._process.poll():
            failures = [f"the client ended with status {self._process.returncode}"]
        return failures[0] if failures else None

    @property
    def refusals(self) -> Counter[str]:
        """What the client tried again, by status; known once it has ended."""
        return Counter({str(status): count for line in self._lines() for status, count in line.get("again", {}).items()})

    def verdict(self) -> Verdict:
        """Read back by the door that they were logged through."""
        judge, logged = Judge(), dict[str, list[int]]()
        for line in self._lines():
            if "run" in line:
                logged.setdefault(line["run"], []).extend(line["steps"])
        with httpx.Client(base_url=f"{self.url}/api/2.0/mlflow", timeout=60) as http:
            for run, steps in logged.items():
                answer = http.get("metrics/get-history", params={"run_id": run, "metric_key": "loss"})
                answer.raise_for_status()
                seen = Counter((one["step"], one["timestamp"], one["value"]) for one in answer.json().get("metrics", []))
                sent = map(point, steps)
                judge.just(f"point of {run}", seen, ((one["step"], one["at"], one["value"]) for one in sent))
        return Verdict(judge.writes, judge.lost, judge.doubled)
