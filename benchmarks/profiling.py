"""A flame graph of our server for one case (`PROFILE=1`): py-spy looks on while the case repeats itself."""

import html
import re
import time
from pathlib import Path

from benchmarks.measuring import Meter, Side
from benchmarks.processes import Process
from benchmarks.servers import PEER_BIN, Missing

SECONDS = 12
RATE = 250
_FRAME = re.compile(r'<title>(.+?) \([\d,]+ samples, [\d.]+%\)</title><rect [^>]*? y="(\d+)"[^>]*? fg:x="(\d+)" fg:w="(\d+)"')
_ROW = 16
"""Pixels from a frame to those that it called."""

_OURS = ("registry/", "lineage/", "storage/")
_DRIVER = "sqlalchemy/engine/default.py"
"""Calls the driver: its own time is SQL, commit and rollback."""


def record(side: Side, file: Path) -> str:
    """Write `file` (SVG) and give its text. Looks on at whole repeats: with what they prepare and check.

    Raises:
        Missing: py-spy is not there.
    """
    program = PEER_BIN / "py-spy"
    if not program.exists():
        raise Missing(f"{program} is not there: start with `make bench`, which makes it, or set LINEAL_BENCH_BIN")
    side.once(Meter(side.server, side.database))  # what is made once is made before
    file.parent.mkdir(parents=True, exist_ok=True)
    argv = [str(program), "record", "--pid", str(side.server), "--duration", str(SECONDS), "--rate", str(RATE)]
    recorder = Process(
        [*argv, "--subprocesses", "--format", "flamegraph", "--output", str(file)], file.parent / "logs", cwd=file.parent
    )
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        side.once(Meter(side.server, side.database))
    deadline = time.monotonic() + 60
    while not file.exists() or recorder.is_running:
        if time.monotonic() > deadline or not (recorder.is_running or file.exists()):
            raise Missing(f"py-spy wrote no profile: {recorder.text()[-500:]}")
        time.sleep(0.2)
    return file.read_text("utf-8")


def frames(svg: str) -> list[tuple[str, float]]:
    """Frames of our own code with their percentage, what they called included, largest first.

    Percentages add up over the places in which a line stands; one that calls itself may pass 100.
    """
    found: dict[str, float] = {}
    boxes = _boxes(svg)
    whole = max(width for _, _, _, width in boxes)
    for name, _, _, width in boxes:
        if any(f"({folder}" in name for folder in _OURS):
            found[name] = found.get(name, 0.0) + width * 100 / whole
    return _largest(found)


def layers(svg: str) -> list[tuple[str, float]]:
    """Percentage of each package's own time, what it called not included, largest first."""
    boxes = _boxes(svg)
    whole = max(width for _, _, _, width in boxes)
    rows: dict[int, list[tuple[int, int]]] = {}
    for _, y, x, width in boxes:
        rows.setdefault(y, []).append((x, width))
    found: dict[str, float] = {}
    for name, y, x, width in boxes:
        called = sum(w for left, w in rows.get(y + _ROW, ()) if x <= left < x + width)
        layer = _layer(name)
        if layer:
            found[layer] = found.get(layer, 0.0) + (width - called) * 100 / whole
    return _largest(found)


def _boxes(svg: str) -> list[tuple[str, int, int, int]]:
    """Name, row, left, width in samples."""
    return [(html.unescape(name), int(y), int(x), int(width)) for name, y, x, width in _FRAME.findall(svg)]


def _layer(name: str) -> str:
    file = re.search(r"\(([^()]+?)(?::\d+)?\)$", name)
    if file is None:
        return ""
    return "the database driver" if file[1] == _DRIVER else file[1].partition("/")[0]


def _largest(found: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(found.items(), key=lambda item: -item[1])
