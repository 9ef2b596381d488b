"""What happens to open runs when the process ends: SIGTERM, Ctrl-C and the normal exit flush them; a SIGKILL nobody can catch.

Handlers are there only while a run is open, only if the main thread opened it, and pass the signal on to who was there before.
"""

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Literal, Protocol

GRACE_S = 20.0
"""Kubernetes kills a pod 30 s after SIGTERM."""

Status = Literal["succeeded", "failed", "canceled"]
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Ending(Protocol):
    """A run that is open in this process."""

    def settle(self, timeout_s: float) -> None:
        """Send what was logged; raises nothing, but says what could not be sent."""

    def stop(self, status: Status, timeout_s: float) -> None:
        """Send what was logged and end the run; likewise."""

    def finish(self, status: Status) -> None: ...


_open: list[Ending] = []
_before: dict[int, Any] = {}
_registered = False


def opened(run: Ending) -> None:
    """From now on the end of the process is the end of this run too."""
    global _registered  # noqa: PLW0603  (once per process)
    if not _registered:
        _registered = True
        atexit.register(_at_exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_forget)
    _open.append(run)
    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            _install(number)


def closed(run: Ending) -> None:
    """Idempotent. With the last open run the handlers go, unless somebody has put his own over them."""
    if run in _open:
        _open.remove(run)
    if not _open and threading.current_thread() is threading.main_thread():
        _uninstall()


def say(error: BaseException) -> None:
    """What nobody is left to catch, on stderr; past Python's own buffer, which the interrupted code may be writing to."""
    text = "\n".join([f"lineal: {error}", *getattr(error, "__notes__", ())])
    with contextlib.suppress(OSError):
        os.write(2, f"{text}\n".encode("utf-8", "backslashreplace"))


def innermost() -> Ending | None:
    """The run that was opened last and is still open."""
    return _open[-1] if _open else None


def _install(number: int) -> None:
    held = signal.getsignal(number)
    if held is _on_signal or held in {None, signal.SIG_IGN} or number in _before:
        return  # None: a handler that Python does not know cannot be called from here
    if held is signal.default_int_handler:
        return  # its KeyboardInterrupt ends the block or the program, and either ends the run
    _before[number] = held
    signal.signal(number, _on_signal)


def _uninstall() -> None:
    for number, held in list(_before.items()):
        if signal.getsignal(number) is _on_signal:
            signal.signal(number, held)
        del _before[number]


def _on_signal(number: int, frame: FrameType | None) -> None:
    held = _before.get(number, signal.SIG_DFL)
    if callable(held):  # it may go on, or raise: the run stays open, but loses nothing if the process is gone after this
        _each(lambda run, seconds: run.settle(seconds))
        try:
            held(number, frame)
        except SystemExit as left:
            if left.code not in {None, 0}:
                _each(lambda run, seconds: run.stop("failed", seconds))
            raise
        return
    _each(lambda run, seconds: run.stop("canceled", seconds))
    _open.clear()
    _uninstall()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _each(end: Callable[[Ending, float], None]) -> None:
    """In the thread that was interrupted: what it holds locked it can lock again. All together take `GRACE_S` at most."""
    over = time.monotonic() + GRACE_S
    for run in reversed(_open):
        with contextlib.suppress(Exception):
            end(run, max(0.1, over - time.monotonic()))


def _at_exit() -> None:
    """The interpreter keeps the exception that ended the program, if one did."""
    error = getattr(sys, "last_value", None)
    status: Status = "succeeded" if error is None else ("canceled" if isinstance(error, KeyboardInterrupt) else "failed")
    for run in reversed(_open.copy()):
        try:
            run.finish(status)
        except Exception as refused:  # noqa: BLE001  (nobody is left to catch it)
            say(refused)


def _forget() -> None:
    """A forked child is another process: the runs are its parent's."""
    _open.clear()
    for number, held in list(_before.items()):
        if signal.getsignal(number) is _on_signal:
            signal.signal(number, held)
    _before.clear()
