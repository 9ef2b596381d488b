"""A progress bar with its rate: on stderr, only on a terminal unless it is asked for."""

import shutil
import sys
import time
from types import TracebackType
from typing import Self, TextIO

FIRST_S = 0.5
"""What is over sooner shows no bar."""

EVERY_S = 0.1
LINES_EVERY_S = 2.0
"""Where there is no terminal, a line of its own each time."""


class Progress:
    """Counts what has been done of `total` (None: unknown). `shown`: None only on a terminal, True always, False never.

    `unit` is `B` for bytes or the plural of what is counted.
    """

    def __init__(
        self, label: str, total: int | None = None, *, unit: str = "B", shown: bool | None = None, stream: TextIO | None = None
    ) -> None:
        self.label = label
        self.total = total
        self.unit = unit
        self.done = 0
        self._stream = sys.stderr if stream is None else stream
        self._terminal = self._stream.isatty()
        self._shown = self._terminal if shown is None else shown
        self._forced = bool(shown)
        self._began = time.monotonic()
        self._next = self._began + FIRST_S
        self._drawn = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self.close()

    def add(self, count: int) -> None:
        """`count` more are done; fewer, if a transfer has to begin again."""
        self.done += count
        now = time.monotonic()
        if self._shown and now >= self._next:
            self._next = now + (EVERY_S if self._terminal else LINES_EVERY_S)
            self._draw(now)

    def close(self) -> None:
        """The last state stays on the screen."""
        if self._shown and (self._drawn or self._forced):
            self._draw(time.monotonic())
            if self._terminal:
                self._stream.write("\n")
                self._stream.flush()
        self._shown = False

    def _draw(self, now: float) -> None:
        self._drawn = True
        text = self._text(max(now - self._began, 1e-6))
        if self._terminal:
            width = max(20, shutil.get_terminal_size().columns - 1)
            text = "\r" + text[:width].ljust(width)
        else:
            text += "\n"
        self._stream.write(text)
        self._stream.flush()

    def _text(self, seconds: float) -> str:
        rate = self.done / seconds
        if self.total is None:
            return f"{self.label}: {self._amount(self.done)}, {self._amount(rate)}/s"
        share = min(1.0, self.done / self.total) if self.total else 1.0
        bar = ("#" * round(20 * share)).ljust(20, "-")
        left = f", {_clock((self.total - self.done) / rate)} left" if rate and share < 1 else ""
        amounts = f"{self._amount(self.done)} of {self._amount(self.total)}"
        return f"{self.label} [{bar}] {share:4.0%} {amounts}, {self._amount(rate)}/s{left}"

    def _amount(self, count: float) -> str:
        if self.unit != "B":
            return f"{count:,.0f} {self.unit}"
        for unit in ("B", "kB", "MB", "GB"):
            if count < 1000:
                return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
            count /= 1000
        return f"{count:.1f} TB"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
