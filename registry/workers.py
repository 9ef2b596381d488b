"""Several processes that serve one socket. They fork before anything is opened, so none inherits a connection or a thread."""

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

TOO_SHORT_S = 10.0
"""A worker that lives less was not meant to: the next one would not fare better."""


def run_workers(count: int, serve: Callable[[], int]) -> int:
    """Keep `count` processes running `serve` until SIGTERM or SIGINT, which each of them gets and drains at.

    A worker that dies is replaced. One that dies at its start ends them all; its exit code is returned.
    """
    workers: dict[int, float] = {}
    stopping = False

    def stop(_signal: int, _frame: Any) -> None:
        nonlocal stopping
        stopping = True
        for pid in workers:
            os.kill(pid, signal.SIGTERM)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    code = 0
    while workers or not stopping:
        while len(workers) < count and not stopping:
            workers[_fork(serve)] = time.monotonic()
        pid, status = os.wait()
        lived = time.monotonic() - workers.pop(pid)
        if not stopping and lived < TOO_SHORT_S:
            code = os.waitstatus_to_exitcode(status) or 2
            stop(signal.SIGTERM, None)
    return code


def _fork(serve: Callable[[], int]) -> int:
    pid = os.fork()
    if pid == 0:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        code = 2
        try:
            code = serve()
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:
            sys.stdout.flush()
            os._exit(code)
    return pid
