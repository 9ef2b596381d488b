"""What the demo has compared, and how far it is."""

import sys
import time
from collections.abc import Iterable

_CELLS = 24


class Checks:
    """Counts what agreed, and draws one bar over all parts of the demo. The first difference ends it."""

    def __init__(self, parts: int) -> None:
        self.count = 0
        self._parts = parts
        self._done = 0
        self._bar = ""
        self._terminal = sys.stdout.isatty()
        self._began = time.monotonic()

    def same(self, what: str, one: object, *others: object) -> None:
        """Each of the others is a check of its own."""
        for other in others:
            if one != other:
                self._clear()
                sys.exit(f"demo: {what} differs: {one!r} against {other!r}")
            self.count += 1

    def true(self, what: str, held: bool) -> None:
        self.same(what, held, True)

    def say(self, text: str, *, indent: str = "  ") -> None:
        self._clear()
        print(f"{indent}{text}", flush=True)
        self._draw()

    def table(self, head: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
        """Columns as wide as their widest cell."""
        lines = [tuple(head), *map(tuple, rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        for line in lines:
            self.say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())

    def part(self, title: str) -> None:
        """The next part begins."""
        self._clear()
        full = round(_CELLS * self._done / self._parts)
        self._bar = f"[{'#' * full}{'-' * (_CELLS - full)}] {100 * self._done // self._parts:3} %"
        self._done += 1
        print(f"{self._bar}  {title}", flush=True)
        self._draw()

    def end(self) -> None:
        assert self._done == self._parts, f"{self._done} of {self._parts} parts"
        self._clear()
        print(f"[{'#' * _CELLS}] 100 %  {time.monotonic() - self._began:.0f} s", flush=True)
        print(f"demo: ok, {self.count} checks", flush=True)

    def _draw(self) -> None:
        """On a terminal the bar also stays below what was said last."""
        if self._terminal:
            sys.stdout.write(f"{self._bar} …")
            sys.stdout.flush()

    def _clear(self) -> None:
        if self._terminal:
            sys.stdout.write("\r\x1b[2K")
