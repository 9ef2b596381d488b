"""The server of the demo, and the commands that are run beside it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parent.parent.parent
OURS = ("LINEAL_", "ARGO_", "KFP_", "MLFLOW_")
"""Settings of the person's own that would lead the demo elsewhere."""


@dataclass(frozen=True)
class Service:
    url: str
    pid: int
    folder: Path
    first_answer_s: float

    @property
    def memory_mb(self) -> float:
        """Resident; 0 where the system has no /proc."""
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        except OSError:
            return 0.0
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def module(self, name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """A command of ours, in a process of its own."""
        return self.python("-m", name, *arguments, **environment)

    def python(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=_environment() | {"LINEAL_URL": self.url} | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def command_line(self, *arguments: str) -> list[Any]:
        """What `lineal … --json` prints, line by line; `lineal` finds the server by LINEAL_URL."""
        ended = self.module("lineal.cli", *arguments, "--json")
        if ended.returncode:
            sys.exit(f"demo: `lineal {' '.join(arguments)}` ended with {ended.returncode}: {ended.stderr.strip()}")
        return [json.loads(line) for line in ended.stdout.splitlines()]


@contextmanager
def serving(folder: Path, *, keep: bool) -> Iterator[Service]:
    """A server with the embedded default (SQLite and a local folder) on a free port; its log goes into the folder."""
    command = [sys.executable, "-m", "registry.main", "serve", "--http", "127.0.0.1:0", "--data-dir", str(folder)]
    http = httpx.Client()  # made before the clock starts: it reads its certificates
    began = time.perf_counter()
    with http, (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--log-level", "warning"],
            cwd=ROOT,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # Ctrl-C is the demo's; it ends the server itself
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if "serving" not in line:
                process.wait(30)
                sys.exit(f"demo: the server did not start: {(folder / 'server.log').read_text()}")
            url = line.split()[-1]
            http.get(url + "/readyz").raise_for_status()
            yield Service(url, process.pid, folder, time.perf_counter() - began)
        except BaseException:
            _stop(process)
            raise
        if not keep:
            _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
