"""A look into a stored table or text, without reading all of it.

The file is a client's, so it is opened in a process of its own (`preview_process.py`): limited in memory and time,
without the store's credentials, and gone afterwards, whatever the file did to it. That process asks for byte ranges,
which are read here. So the server never loads pyarrow (about 30 MB).
"""

import json
import os
import struct
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import IO, Any, Literal

from storage.errors import InvalidContent
from storage.media import guess_media_type
from storage.store import ObjectStat, ObjectStore

ROWS_MAX = 500
OFFSET_MAX = 1_000_000_000
COLUMNS_MAX = 200
TEXT_MAX_BYTES = 64 * 1024
CELL_MAX_CHARACTERS = 500
READ_MAX_BYTES = 64 * 1024 * 1024
"""Most that one preview reads from the store; a row that lies deeper in a CSV file is not reached."""

TIMEOUT_S = 20.0
MEMORY_MAX_BYTES = 1536 * 1024 * 1024
"""Of the process, address space included; a decompression bomb ends there."""

Format = Literal["parquet", "csv", "jsonl", "json", "text", "binary"]

_FORMATS: dict[str, Format] = {
    "application/vnd.apache.parquet": "parquet",
    "text/csv": "csv",
    "text/tab-separated-values": "csv",
    "application/jsonl": "jsonl",
    "application/json": "json",
    "application/x-ipynb+json": "text",
    "application/yaml": "text",
    "application/toml": "text",
    "application/xml": "text",
    "application/javascript": "text",
    "image/svg+xml": "text",
}


@dataclass(frozen=True, slots=True)
class Column:
    """`type` in Arrow's words for Parquet and CSV, in JSON's for JSON. `null_count` is None where it is not told or not
    all was read.
    """

    name: str
    type: str
    null_count: int | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """A page of a table, or the beginning of a text; `rows` hold JSON values, one per column, long ones cut.

    NaN and infinities are the strings `NaN`, `Infinity`, `-Infinity`; bytes are hexadecimal. `total_rows` and
    `total_columns` are of the whole file, None if that was not read to its end. `text` is given for `text` and for JSON
    that is no table; `binary` has neither.
    """

    format: Format
    size_bytes: int
    bytes_read: int
    columns: list[Column] = field(default_factory=list)
    total_columns: int | None = None
    rows: list[list[Any]] = field(default_factory=list)
    offset: int = 0
    total_rows: int | None = None
    text: str | None = None
    truncated: bool = False


def format_of(name: str, media_type: str | None = None) -> Format:
    """What `name` (or, where given, `media_type`) says. Text of any kind is text: its markup is shown, never run."""
    essence = (media_type or guess_media_type(name)).partition(";")[0].strip().lower()
    if media_type and essence in {"application/octet-stream", "text/plain"}:
        essence = guess_media_type(name)
    known = _FORMATS.get(essence)
    return known or ("text" if essence.startswith("text/") or essence.endswith(("+xml", "+json")) else "binary")


def preview(
    store: ObjectStore,
    key: str,
    *,
    media_type: str | None = None,
    offset: int = 0,
    limit: int = 50,
) -> Preview:
    """Rows `offset` to `offset + limit` of the table under `key`, or the beginning of the text.

    Takes 0.1 s more than the reading: a process is started for each table. Blocks; threads may call it at once.

    Raises:
        ObjectNotFound: there is no such object.
        InvalidContent: it is not what it says, or cannot be shown within the limits above; the reason is for a person.
        ValueError: `offset` or `limit` lies outside 0 to OFFSET_MAX and 1 to ROWS_MAX.
    """
    if not (0 <= offset <= OFFSET_MAX and 1 <= limit <= ROWS_MAX):
        raise ValueError(f"offset lies between 0 and {OFFSET_MAX}, limit between 1 and {ROWS_MAX}")
    stat = store.stat(key)
    format = format_of(key, media_type)
    if format == "binary":
        return Preview("binary", stat.size_bytes, 0)
    if format == "text":
        return _text(store, stat)
    task = {
        "format": format, "size_bytes": stat.size_bytes, "offset": offset, "limit": limit,
        "tabs": guess_media_type(key) == "text/tab-separated-values", "memory_max_bytes": MEMORY_MAX_BYTES,
        "columns_max": COLUMNS_MAX, "cell_max": CELL_MAX_CHARACTERS, "text_max": TEXT_MAX_BYTES,
    }  # fmt: skip
    answer, bytes_read = _Session(store, stat).run(task)
    columns = [Column(**column) for column in answer.pop("columns", [])]
    return Preview(size_bytes=stat.size_bytes, bytes_read=bytes_read, columns=columns, **answer)


def _text(store: ObjectStore, stat: ObjectStat) -> Preview:
    data = store.read(stat.key, 0, TEXT_MAX_BYTES)
    if b"\x00" in data[:8192]:
        return Preview("binary", stat.size_bytes, len(data))
    text = data.decode("utf-8", "replace")
    return Preview("text", stat.size_bytes, len(data), text=text, truncated=stat.size_bytes > len(data))


class _Session:
    """One child process, which asks by lines of JSON: `{"read": [offset, length]}`, at last `{"done": …}` or `{"error":
    …}`.
    """

    def __init__(self, store: ObjectStore, stat: ObjectStat) -> None:
        self._store = store
        self._stat = stat
        self._bytes_read = 0

    def run(self, task: dict[str, Any]) -> tuple[dict[str, Any], int]:
        process = subprocess.Popen(  # noqa: S603 - our own code, nothing of a client's
            [sys.executable, "-I", "-c", _start_code()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={"PATH": os.defpath, "OMP_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system", "LC_ALL":
            "C.UTF-8"},
        )  # fmt: skip
        timer = threading.Timer(TIMEOUT_S, process.kill)
        timer.start()
        try:
            return self._serve(process, task), self._bytes_read
        finally:
            timer.cancel()
            process.kill()
            process.communicate()

    def _serve(self, process: "subprocess.Popen[bytes]", task: dict[str, Any]) -> dict[str, Any]:
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - both are pipes
        try:
            _send(process.stdin, json.dumps(task).encode())
            while line := process.stdout.readline():
                message = json.loads(line)
                if "read" in message:
                    _send(process.stdin, self._read(*message["read"]))
                elif "error" in message:
                    raise InvalidContent(self._stat.key, message["error"])
                else:
                    return dict(message["done"])
        except BrokenPipeError:
            pass
        raise InvalidContent(self._stat.key, "it takes too much memory or time, or breaks its reader")

    def _read(self, offset: int, length: int) -> bytes:
        self._bytes_read += length
        if self._bytes_read > READ_MAX_BYTES:
            raise InvalidContent(self._stat.key, f"more than {READ_MAX_BYTES >> 20} MiB would have to be read")
        return self._store.read(self._stat.key, offset, length) if offset < self._stat.size_bytes else b""


def _start_code() -> str:
    """Isolated mode knows no current directory and no PYTHONPATH, so the child is told where we are."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - as a plain string
    return f"import sys; sys.path.insert(0, {root!r}); from storage.preview_process import main; main()"


def _send(pipe: IO[bytes], data: bytes) -> None:
    pipe.write(struct.pack(">I", len(data)) + data)
    pipe.flush()
