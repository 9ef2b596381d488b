"""Starting a server on a free port, waiting until it answers, ending it by its process id."""

import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import pytest

T = TypeVar("T")

_SHARED = pytest.StashKey[dict[str, Any]]()

READY_TIMEOUT_S = 60.0
"""Idle machines need 1 to 4 s; the rest is for busy ones."""


def required(variable: str, tool: str) -> str:
    """The value of `variable`, or a skip that names it and says what it is (a failure in CI, see `tests/conftest.py`)."""
    value = os.environ.get(variable, "")
    if not value:
        pytest.skip(f"needs {variable}: {tool}")
    return value


def shared(config: pytest.Config, name: str, start: Callable[[], AbstractContextManager[T]]) -> T:
    """What `start` gives, once per run: a fixture that several folders import would else start a server for each."""
    found = config.stash.setdefault(_SHARED, {})
    if name not in found:
        stack = ExitStack()
        found[name] = stack.enter_context(start())
        config.add_cleanup(stack.close)
    value: T = found[name]
    return value


def free_ports(count: int, also: Sequence[int] = (0,)) -> list[int]:
    """Ports of the loopback where nothing listens, nor at the distances `also` from them."""
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if all(port + distance < 65536 and _is_free(port + distance) for distance in also) and port not in found:
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@contextmanager
def running(
    command: Sequence[str],
    folder: Path,
    ready_url: str,
    environ: Mapping[str, str] | None = None,
    *,
    timeout_s: float = READY_TIMEOUT_S,
) -> Iterator[subprocess.Popen[bytes]]:
    """The process of `command` from when `ready_url` answers 200; killed at the end. Its log: `folder/server.log`."""
    with _started(command, folder, environ or {}, lambda: _answers(ready_url), timeout_s=timeout_s) as process:
        yield process


@contextmanager
def listening(
    command: Sequence[str], folder: Path, port: int, environ: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Likewise for a server that is ready once it takes connections."""
    with _started(command, folder, environ or {}, lambda: _takes_connections(port)) as process:
        yield process


@contextmanager
def _started(
    command: Sequence[str],
    folder: Path,
    environ: Mapping[str, str],
    is_ready: Callable[[], bool],
    *,
    timeout_s: float = READY_TIMEOUT_S,
) -> Iterator[subprocess.Popen[bytes]]:
    log = folder / "server.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            cwd=folder,
            env={**os.environ, **environ},
            start_new_session=True,  # so that what it starts ends with it
        )
    try:
        deadline = time.monotonic() + timeout_s
        while not is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{command[0]} did not get ready (exit {process.poll()}): {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)
        yield process
    finally:
        with suppress(ProcessLookupError):  # a test may have ended it
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:  # URLError is one
        return False


def _takes_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True
