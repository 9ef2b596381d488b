"""Processes: starting and ending them with all their children, and what they take of the machine (Linux's /proc)."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class NotStarted(Exception):
    """A process ended, or did not get ready in time; the message has the end of its log."""


class Process:
    """A child of ours; its output goes to `log`."""

    def __init__(
        self, argv: Sequence[str], folder: Path, *, environ: Mapping[str, str] | None = None, user: int | None = None, cwd: Path
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / f"{Path(argv[0]).name}-{time.monotonic_ns()}.log"
        with self.log.open("wb") as output:
            self._popen = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env={**os.environ, **(environ or {})},
                user=user,
                group=user,
                extra_groups=None if user is None else [],
            )
        self.pid = self._popen.pid

    @property
    def is_running(self) -> bool:
        return self._popen.poll() is None

    def text(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def wait_until(self, is_ready: Callable[[], bool], *, timeout_s: float = 120, pause_s: float = 0.05) -> None:
        """Ends the process where that fails or is interrupted, since nobody else knows of it yet. Raises NotStarted."""
        try:
            self._wait(is_ready, time.monotonic() + timeout_s, pause_s)
        except BaseException:
            self.stop()
            raise

    def _wait(self, is_ready: Callable[[], bool], deadline: float, pause_s: float) -> None:
        while not is_ready():
            if self._popen.poll() is not None or time.monotonic() > deadline:
                raise NotStarted(f"{self.log.name.partition('-')[0]} did not get ready: {self.text()[-2000:]}")
            time.sleep(pause_s)

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = 20) -> None:
        """The process by this signal, after `timeout_s` it and its children for good. Idempotent."""
        children = [pid for pid in tree(self.pid) if pid != self.pid] if self._popen.poll() is None else []
        if self._popen.poll() is None:
            self._popen.send_signal(number)
        try:
            self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        for pid in children:
            if _parent(pid) in {0, 1}:  # left behind
                _kill(pid)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the third on; empty for a process that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else -1


def is_alive(pid: int) -> bool:
    """Neither gone nor only waiting to be buried."""
    return _stat(pid)[:1] not in ([], ["Z"])


def tree(root: int) -> list[int]:
    """The process and all below it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            children.setdefault(_parent(int(entry.name)), []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def cpu_seconds(root: int, *, below: bool = True) -> float:
    """Of the process; with `below`, of all below it, and those below it that have ended, too."""
    pids, last = (tree(root), 15) if below else ([root], 13)
    return sum(sum(int(value) for value in _stat(pid)[11:last]) for pid in pids) * _TICK_S


def machine_busy_seconds() -> float:
    """Of all processors since the start of the machine; what a hypervisor took counts as busy."""
    fields = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = fields
    return (user + nice + system + interrupts + soft_interrupts + stolen) * _TICK_S


def _memory(root: int, field: str) -> float:
    return sum(_fields_mib(pid, field) for pid in tree(root))


def _fields_mib(pid: int, field: str) -> float:
    try:
        lines: Iterator[str] = iter(Path(f"/proc/{pid}/status").read_text().splitlines())
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:")), 0.0)


def rss_mib(root: int) -> float:
    """Resident memory of the process and all below it; what they share counts once for each."""
    return _memory(root, "VmRSS")


def peak_rss_mib(root: int) -> float:
    """The sum of each process's own peak since `forget_peak`."""
    return _memory(root, "VmHWM")


def forget_peak(root: int) -> None:
    for pid in tree(root):
        try:
            Path(f"/proc/{pid}/clear_refs").write_text("5")
        except OSError:
            continue
