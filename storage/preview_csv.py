"""A page of a CSV file.

Runs in the preview's own process, see `preview_process.py`; gives the fields of `previews.Preview` as JSON values.
"""

import csv
import io
import re
from collections.abc import Iterator
from typing import Any

from storage.preview_cells import LINE_MAX_BYTES, WHOLE_BYTES, Page, Window, fitting, plain

_CSV_BUFFER_BYTES = 64 * 1024
_SAMPLED_ROWS = 1000

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?|nan|NaN|[+-]?inf")


def csv_page(file: io.RawIOBase, window: Window, *, tabs: bool) -> Page:
    """Row by row with the standard library: pyarrow's reader reads 20 blocks ahead and fails at the first row of
    another type.

    The first row is the header, an empty cell is null. Types are those of the first rows and of the page; a column that
    mixes them is `string`. Bytes that are not UTF-8 are shown as U+FFFD.
    """
    size_bytes = file.seek(0, io.SEEK_END)
    file.seek(0)
    buffered = io.BufferedReader(file, _CSV_BUFFER_BYTES)
    delimiter = "\t" if tabs else _delimiter(buffered.peek(_CSV_BUFFER_BYTES))
    csv.field_size_limit(LINE_MAX_BYTES)
    text = io.TextIOWrapper(buffered, encoding="utf-8-sig", errors="replace", newline="")
    lines = csv.reader(text, delimiter=delimiter)
    names = next(lines, [])
    shown = names[: window.columns_max]
    table = _CsvTable(len(names), len(shown))
    page = table.read(lines, window, whole=size_bytes <= WHOLE_BYTES)
    return {
        "format": "csv",
        "columns": [
            {"name": name, "type": table.types[at], "null_count": table.nulls[at] if table.ended else None}
            for at, name in enumerate(shown)
        ],
        "total_columns": len(names),
        "total_rows": table.rows if table.ended else None,
        "offset": window.offset,
        **fitting([[_csv_cell(cell, table.types[at], window) for at, cell in enumerate(row)] for row in page]),
    }


class _CsvTable:
    """What is known of the rows that have passed."""

    def __init__(self, width: int, shown: int) -> None:
        self.rows = 0
        self.types = ["null"] * shown
        self.nulls = [0] * shown
        self.ended = False
        self._width = width

    def read(self, lines: Iterator[list[str]], window: Window, *, whole: bool) -> list[list[str]]:
        page: list[list[str]] = []
        for row in lines:
            if not row:  # an empty line
                continue
            if len(row) != self._width:
                raise ValueError(f"row {self.rows + 1} has {len(row)} columns, the header has {self._width}")
            shown = window.offset <= self.rows < window.offset + window.limit
            self._count(row, sampled=shown or self.rows < _SAMPLED_ROWS)
            if shown:
                page.append(row[: len(self.types)])
            self.rows += 1
            if not whole and self.rows >= window.offset + window.limit:
                return page
        self.ended = True
        return page

    def _count(self, row: list[str], *, sampled: bool) -> None:
        for at, known in enumerate(self.types):
            if not row[at]:
                self.nulls[at] += 1
            elif sampled and known != "string":
                self.types[at] = _wider(known, _csv_type(row[at]))


def _csv_type(cell: str) -> str:
    if _INTEGER.fullmatch(cell):
        return "int64"
    if _NUMBER.fullmatch(cell):
        return "double"
    return "bool" if cell in {"true", "false", "True", "False"} else "string"


def _wider(one: str, other: str) -> str:
    if one in {"null", other}:
        return other
    return "double" if {one, other} == {"int64", "double"} else "string"


def _csv_cell(cell: str, type: str, window: Window) -> Any:
    if not cell:
        return None
    if type == "int64":
        return int(cell)
    if type == "bool":
        return cell in {"true", "True"}
    return plain(float(cell) if type == "double" else cell, window.cell_max)


def _delimiter(head: bytes) -> str:
    line = (head.decode("utf-8", "replace").splitlines() or [""])[0]
    return max(",;\t|", key=line.count)
