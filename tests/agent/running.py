"""`lineal-agent run` as a process that may be killed and started again, and what it says of itself."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120.0


def wait_until(wanted: Callable[[], bool], what: str = "what was waited for", patience_s: float = PATIENCE_S) -> None:
    end = time.monotonic() + patience_s
    while not wanted():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.05)


def kubeconfig(folder: Path, server: str, **user: Any) -> Path:
    """Of a server without TLS."""
    file = folder / "kubeconfig"
    content = {
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": server}}],
        "users": [{"name": "test", "user": user}],
    }
    file.write_text(json.dumps(content))
    return file


class AgentProcess:
    def __init__(self, folder: Path, server: str, kubeconfig: Path, *flags: str) -> None:
        self.folder = folder
        self._command = [sys.executable, "-m", "agent.main", "run", "--server", server, "--kubeconfig", str(kubeconfig)]
        self._command += ["--state-dir", str(folder / "state"), "--http", "127.0.0.1:0", *flags]
        self._process: subprocess.Popen[str] | None = None
        self.status = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self.stop()

    def start(self) -> None:
        log = (self.folder / "agent.log").open("a")
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("LINEAL_", "KUBE"))}
        self._process = subprocess.Popen(self._command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=log, text=True)
        log.close()
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        found = re.search(r"status at (\S+)", line)
        assert found, f"{line}{self.log()[-3000:]}"
        self.status = found[1]

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Its exit code after SIGTERM."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        code = self._process.wait(PATIENCE_S)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        return (self.folder / "agent.log").read_text()

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"{self.status}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str, kind: str | None = "Workflow") -> float:
        """Of /metrics; 0 where it is not told yet."""
        label = f'{{kind="{kind}"}}' if kind else ""
        found = re.search(rf"^lineal_agent_{name}{re.escape(label)} (\S+)$", self.get("/metrics")[1], re.MULTILINE)
        return float(found[1]) if found else 0.0

    def wait_idle(self) -> None:
        """Every watch is synced and nothing waits."""

        def idle() -> bool:
            page = self.get("/metrics")[1]
            depths = re.findall(r"^lineal_agent_queue_depth\{.*\} (\S+)$", page, re.MULTILINE)
            busy = re.findall(r'^lineal_agent_watches\{.*state="(?:listing|failing)"\} ([1-9]\S*)$', page, re.MULTILINE)
            return bool(depths) and not busy and not any(map(float, depths))

        wait_until(idle, "that nothing waits")
