"""Sends what a run logs in the background, in batches; `flush` returns once all of it is acknowledged.

The server drops exact repeats, so a batch whose answer was lost is sent again unchanged: nothing is lost or doubled. A batch
that the server refuses is not sent again; its error is raised by the next `flush`.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from lineal.errors import ApiError, LinealError, Unreachable

INTERVAL_S = 0.05
MAX_POINTS = 1000
MAX_WAITING = 100_000
"""Points in memory before `log` waits for the server."""


class Batcher:
    """Collects points, params and tags of one run. Thread-safe."""

    def __init__(self, send: Callable[[dict[str, Any]], Any]) -> None:
        self._send = send
        self._condition = threading.Condition()
        self._points: list[dict[str, Any]] = []
        self._params: dict[str, str] = {}
        self._tags: dict[str, str] = {}
        self._sending = False
        self._closed = False
        self._error: LinealError | None = None
        self._thread = threading.Thread(target=self._run, name="lineal-log", daemon=True)
        self._thread.start()

    def add(self, points: list[dict[str, Any]], params: dict[str, str], tags: dict[str, str]) -> None:
        with self._condition:
            if self._closed:
                raise LinealError("the run has ended: nothing more can be logged through this object")
            while len(self._points) >= MAX_WAITING and self._error is None:
                self._condition.wait(1)
            self._points += points
            self._params |= params
            self._tags |= tags
            self._condition.notify_all()

    def flush(self, timeout_s: float | None = None) -> None:
        """Wait until everything added so far is acknowledged.

        Raises:
            ApiError: the server refused a batch; the rest was sent.
            Unreachable: the server did not answer, or not within `timeout_s`.
        """
        end = None if timeout_s is None else time.monotonic() + timeout_s
        with self._condition:
            while (self._pending() or self._sending) and self._error is None:
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    raise Unreachable("not everything that was logged could be sent in time")
                self._condition.wait(left)
            error, self._error = self._error, None
        if error is not None:
            raise error

    def close(self) -> None:
        """Flush and end the thread."""
        try:
            self.flush()
        finally:
            with self._condition:
                self._closed = True
                self._condition.notify_all()
            self._thread.join(5)

    def _pending(self) -> bool:
        return bool(self._points or self._params or self._tags)

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._pending() and not self._closed:
                    self._condition.wait()
                if not self._pending():
                    return
            time.sleep(INTERVAL_S)  # company for the first of a burst
            with self._condition:
                body = self._take()
            self._deliver(body)

    def _take(self) -> dict[str, Any]:
        body = {"metrics": self._points[:MAX_POINTS], "params": self._params, "tags": self._tags}
        self._points = self._points[MAX_POINTS:]
        self._params, self._tags = {}, {}
        self._sending = True
        return {key: value for key, value in body.items() if value}

    def _deliver(self, body: dict[str, Any]) -> None:
        error: LinealError | None = None
        while True:
            try:
                self._send(body)
            except Unreachable as failure:
                error = failure
                with self._condition:
                    self._error = failure
                    self._condition.notify_all()
                    if self._closed:
                        break
                time.sleep(1)
                continue
            except ApiError as failure:
                error = failure
            else:
                error = None
            break
        with self._condition:
            self._sending = False
            self._error = error
            self._condition.notify_all()
