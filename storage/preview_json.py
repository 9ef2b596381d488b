"""A page of a JSON document, or of one JSON value per line.

Runs in the preview's own process, see `preview_process.py`; gives the fields of `previews.Preview` as JSON values.
"""

import io
import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from storage.preview_cells import LINE_MAX_BYTES, WHOLE_BYTES, Page, Window, fitting, plain


def jsonl_page(file: io.RawIOBase, window: Window) -> Page:
    """Columns are the keys of the shown rows, in the order of their first appearance. Empty lines do not count."""
    size_bytes = file.seek(0, io.SEEK_END)
    file.seek(0)
    lines = (line for line in _lines(io.BufferedReader(file, 256 * 1024)) if line.strip())
    before = sum(1 for _ in islice(lines, window.offset))
    values = [json.loads(line) for line in islice(lines, window.limit)]
    rest = sum(1 for _ in lines) if size_bytes <= WHOLE_BYTES else None
    if rest is None and next(lines, None) is None:
        rest = 0
    total = None if rest is None else before + len(values) + rest
    return {"format": "jsonl", "total_rows": total, "offset": window.offset, **_records(values, window)}


def json_page(file: io.RawIOBase, window: Window) -> Page:
    """An array of objects, and pandas' `{"columns": …, "data": …}`, are tables; anything else is shown as text."""
    size_bytes = file.seek(0, io.SEEK_END)
    file.seek(0)
    if size_bytes > WHOLE_BYTES:
        head = (file.read(window.text_max) or b"").decode("utf-8", "replace")
        return {"format": "json", "text": head, "truncated": True}
    value = json.loads(file.read(size_bytes) or b"")
    if isinstance(value, dict) and isinstance(value.get("columns"), list) and _all(value.get("data"), list):
        value = [dict(zip(map(str, value["columns"]), row, strict=False)) for row in value["data"]]
    if _all(value, dict) and value:
        shown = value[window.offset : window.offset + window.limit]
        return {"format": "json", "total_rows": len(value), "offset": window.offset, **_records(shown, window)}
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return {"format": "json", "text": text[: window.text_max], "truncated": len(text) > window.text_max}


def _lines(file: io.BufferedReader) -> Iterator[bytes]:
    while line := file.readline(LINE_MAX_BYTES):
        if len(line) == LINE_MAX_BYTES and not line.endswith(b"\n"):
            raise ValueError(f"a line is longer than {LINE_MAX_BYTES >> 20} MiB")
        yield line


def _all(value: Any, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(item, kind) for item in value)


def _records(values: list[Any], window: Window) -> Page:
    records = [value if isinstance(value, dict) else {"value": value} for value in values]
    names = list(dict.fromkeys(name for record in records for name in record))
    shown = names[: window.columns_max]
    rows = [[plain(record.get(name), window.cell_max) for name in shown] for record in records]
    columns = [{"name": name, "type": _json_type(record.get(name) for record in records)} for name in shown]
    return {"columns": columns, "total_columns": len(names), **fitting(rows)}


def _json_type(values: Iterator[Any]) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    found = {names[type(value)] for value in values if value is not None}
    if found == {"integer", "number"}:
        return "number"
    return found.pop() if len(found) == 1 else "mixed" if found else "null"
