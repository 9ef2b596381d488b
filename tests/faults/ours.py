"""Our server as a process that may be killed and started again on its port, and `lineal-server check` of what it left."""

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.processes import Process
from tests.faults.databases import Database
from tests.services.servers import free_ports

ROOT = Path(__file__).resolve().parents[2]


class Ours:
    def __init__(
        self, folder: Path, database: Database, *, store: str | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        """`store`: the object store's URL, by default a folder."""
        self.folder, self.database = folder, database
        self.environ = dict(environ or {})
        self.store = store or f"file://{folder}/files"
        self.flags = ["--data-dir", str(folder), "--db", database.url, *(["--store", store] if store else [])]
        [port] = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self._launcher = [sys.executable, "-m", "registry.main"]
        self._process: Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @contextmanager
    def launched_by(self, code: str) -> Iterator[None]:
        """Within, `start` runs this Python code in the server's process before the server."""
        lines = ("import sys", f"sys.path.insert(0, {str(ROOT)!r})", code, "from registry.main import main")
        script = "\n".join((*lines, "sys.exit(main(sys.argv[1:]))"))
        before, self._launcher = self._launcher, [sys.executable, "-c", script]
        try:
            yield
        finally:
            self._launcher = before

    def start(self) -> None:
        address = self.url.removeprefix("http://")
        command = [*self._launcher, "serve", "--http", address, *self.flags, "--log-level", "warning"]
        self._process = Process(command, self.folder, cwd=ROOT, environ=self.environ)
        self._process.wait_until(self.answers)

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self) -> None:
        assert self._process is not None
        self._process.stop(signal.SIGKILL)

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()

    def log(self) -> str:
        assert self._process is not None
        return self._process.text()

    def problems(self) -> list[str]:
        """What `lineal-server check` finds; nothing is what is wanted."""
        printed = self.python("-m", "registry.main", "check", *self.flags)
        lines = printed.stdout.splitlines()
        if lines and lines[-1] == "0 problems" and printed.returncode == 0:
            return []
        return lines or [printed.stderr]

    def python(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """In a process of its own, with the server's environment."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={**os.environ, **self.environ},
            capture_output=True,
            text=True,
            check=False,
        )
