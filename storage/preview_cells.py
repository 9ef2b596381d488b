"""What the pages of all formats share: the asked window, and values as JSON of bounded size."""

import json
import math
from dataclasses import dataclass
from itertools import islice
from typing import Any

Page = dict[str, Any]

WHOLE_BYTES = 8 * 1024 * 1024
"""Files up to this size are read to the end, so that rows and nulls are counted; JSON documents are parsed up to it."""

LINE_MAX_BYTES = 4 * 1024 * 1024
_PAGE_MAX_CHARACTERS = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Window:
    """Rows `offset` to `offset + limit`, and what else bounds a page; see the limits in `previews.py`."""

    offset: int
    limit: int
    columns_max: int
    cell_max: int
    text_max: int


def fitting(rows: list[list[Any]]) -> Page:
    """As many rows as an answer can hold."""
    left = _PAGE_MAX_CHARACTERS
    for at, row in enumerate(rows):
        left -= len(json.dumps(row))
        if left < 0:
            return {"rows": rows[:at], "truncated": True}
    return {"rows": rows}


def plain(value: Any, cell_max: int) -> Any:
    """`value` as JSON: what has no word there becomes a string, and what is longer than `cell_max` characters is
    cut.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= 1024 else str(value)[:cell_max]
    if isinstance(value, float):
        return value if math.isfinite(value) else {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    if isinstance(value, bytes):
        return _cut(value[:cell_max].hex(), cell_max)
    if isinstance(value, list | tuple | dict):
        return _cut(json.dumps(_shallow(value, 0), ensure_ascii=False, default=str), cell_max)
    return _cut(str(value.isoformat()) if hasattr(value, "isoformat") else str(value), cell_max)


def _shallow(value: Any, depth: int) -> Any:
    """A nested value small enough to be written before it is cut: a list cell may have a million items."""
    if depth > 20:
        return "…"
    if isinstance(value, dict):
        return {str(name)[:200]: _shallow(item, depth + 1) for name, item in islice(value.items(), 100)}
    if isinstance(value, list | tuple):
        return [_shallow(item, depth + 1) for item in value[:100]] + ["…"] * (len(value) > 100)
    if isinstance(value, bytes):
        return value[:200].hex()
    return value if not isinstance(value, float) or math.isfinite(value) else str(value)


def _cut(text: str, cell_max: int) -> str:
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= cell_max else text[: cell_max - 1] + "…"
