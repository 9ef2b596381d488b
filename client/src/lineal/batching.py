"""Sends what a run logs in the background, in batches; `flush` returns once all of it is acknowledged.

The server drops exact repeats, so a batch whose answer was lost is sent again unchanged: nothing is lost or doubled. A batch
that the server refuses is sent again in parts, so that one wrong value does not take others with it; the first refusal is raised
by the next `flush`, once all the rest is there.
"""

import os
import threading
import time
from collections.abc import Callable
from typing import Any

from lineal.errors import ApiError, LinealError, Unreachable
from lineal.transport import AGAIN

INTERVAL_S = 0.05
MAX_POINTS = 1000
REFUSALS = 100
"""Answers of no that a batch may get while what is wrong with it is being looked for; the rest of it is given up then."""

MAX_WAITING = 100_000
"""Points in memory before `log` waits for the server."""

_OF_CONTENT = {400, 409, 413, 422}
Body = dict[str, Any]


class Batcher:
    """Collects points, params and tags of one run. Thread-safe."""

    def __init__(self, send: Callable[[Body], Any]) -> None:
        self._send = send
        self._process = os.getpid()
        self._condition = threading.Condition()
        self._points: list[dict[str, Any]] = []
        self._params: list[dict[str, str]] = []  # one that is said again with another value waits for the server's word
        self._tags: dict[str, str] = {}
        self._sending = False
        self._closed = False
        self._refusal: LinealError | None = None
        self._outage: Unreachable | None = None
        self._thread = threading.Thread(target=self._run, name="lineal-log", daemon=True)
        self._thread.start()

    def add(self, points: list[dict[str, Any]], params: dict[str, str], tags: dict[str, str]) -> None:
        self._check_process()  # before the lock: in a forked child it may be held for ever
        with self._condition:
            while len(self._points) >= MAX_WAITING and self._outage is None and not self._closed:
                self._condition.wait(1)
            if self._closed:
                raise LinealError("the run has ended: nothing more can be logged through this object")
            self._points += points
            self._add_params(params)
            self._tags |= tags
            self._condition.notify_all()

    def flush(self, timeout_s: float | None = None) -> None:
        """Wait until everything added so far is acknowledged.

        Raises:
            LinealError: the server refused some of it; the rest was sent.
            Unreachable: the server did not answer while this waited; with `timeout_s`: not everything was sent by then.
        """
        self._check_process()
        end = None if timeout_s is None else time.monotonic() + timeout_s
        with self._condition:
            self._outage = None  # it may be over
            while self._pending() or self._sending:
                left = None if end is None else end - time.monotonic()
                if left is None and self._outage is not None:
                    raise self._outage
                if left is not None and left <= 0:
                    raise Unreachable("not everything that was logged could be sent in time")
                self._condition.wait(left)
            refusal, self._refusal = self._refusal, None
        if refusal is not None:
            raise refusal

    def close(self) -> None:
        """Flush and end the thread."""
        try:
            self.flush()
        finally:
            with self._condition:
                self._closed = True
                self._condition.notify_all()
            self._thread.join(5)

    def _check_process(self) -> None:
        """The thread that sends is not there in a forked child."""
        if os.getpid() != self._process:
            raise LinealError("the run was opened by another process: open it here with lineal.run(run_id=…)")

    def _add_params(self, params: dict[str, str]) -> None:
        if not params:
            return
        if self._params and all(self._params[-1].get(key, value) == value for key, value in params.items()):
            self._params[-1] |= params
        else:
            self._params.append(dict(params))

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

    def _take(self) -> Body:
        body = {"metrics": self._points[:MAX_POINTS], "params": self._params[0] if self._params else {}, "tags": self._tags}
        self._points, self._params, self._tags = self._points[MAX_POINTS:], self._params[1:], {}
        self._sending = True
        return {key: value for key, value in body.items() if value}

    def _deliver(self, body: Body) -> None:
        """Send the batch, in parts where it is refused as a whole. Notes the first error."""
        error: LinealError | None = None
        parts, refusals = [body], 0
        while parts and refusals < REFUSALS:
            part = parts.pop()
            try:
                self._send_until_answered(part)
            except Unreachable as failure:
                error = error or failure
                break
            except Exception as failure:  # noqa: BLE001  (the thread must live, or the next flush waits for ever)
                refusals += 1
                smaller = _halves(part) if not isinstance(failure, ApiError) or failure.status in _OF_CONTENT else []
                parts += smaller
                if not smaller:
                    error = error or _as_error(failure)
        if parts and error is not None:
            given_up = sum(len(values) for part in parts for values in part.values())
            error.add_note(f"With it {given_up} other values were given up.")
        with self._condition:
            self._sending = False
            self._refusal = self._refusal or error
            self._condition.notify_all()

    def _send_until_answered(self, body: Body) -> None:
        """Raises Unreachable once the run has been closed, ApiError."""
        while True:
            try:
                self._send(body)
            except (Unreachable, ApiError) as failure:
                if isinstance(failure, ApiError) and failure.status not in AGAIN:
                    raise
                with self._condition:
                    self._outage = Unreachable(str(failure))
                    self._condition.notify_all()
                    if self._closed:
                        raise self._outage from failure
                time.sleep(1)
            else:
                with self._condition:
                    self._outage = None
                return


def _halves(body: Body) -> list[Body]:
    """What is left of a refused batch to send: by kind, then by halves; nothing of a single value."""
    if len(body) > 1:
        return [{kind: values} for kind, values in body.items()]
    [(kind, values)] = body.items()
    if len(values) == 1:
        return []
    middle, listed = len(values) // 2, list(values.items()) if isinstance(values, dict) else values
    halves = (listed[middle:], listed[:middle])  # the last one is sent first
    return [{kind: dict(half) if isinstance(values, dict) else half} for half in halves]


def _as_error(failure: Exception) -> LinealError:
    if isinstance(failure, LinealError):
        return failure
    error = LinealError(f"what was logged cannot be sent: {type(failure).__name__}: {failure}")
    error.__cause__ = failure
    return error
