"""The process that opens a client's file for a preview. Started by `previews.py`, which is where the protocol is.

Whatever goes wrong in here ends as one sentence for a person. What pyarrow itself does to a hostile file (a crash, an
endless loop, a huge allocation) ends this process only.
"""

import io
import json
import resource
import struct
import sys
from typing import IO, Any

from storage.preview_cells import Page, Window
from storage.preview_csv import csv_page
from storage.preview_json import json_page, jsonl_page
from storage.preview_parquet import parquet_page

_CPU_S = 15
_READ_AHEAD_BYTES = 256 * 1024
"""Parquet's footer, page headers and small columns come in few round trips."""

_TAIL_BYTES = 64 * 1024


class RangeFile(io.RawIOBase):
    """A seekable file over the pipe to the parent. Keeps one window of bytes, so that small reads that follow cost
    nothing.
    """

    def __init__(self, size_bytes: int, requests: IO[bytes], answers: IO[bytes]) -> None:
        self._size_bytes = size_bytes
        self._requests = requests
        self._answers = answers
        self._at = 0
        self._window_at = 0
        self._window = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size_bytes}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def read(self, size: int = -1) -> bytes:
        end = self._size_bytes if size < 0 else min(self._at + size, self._size_bytes)
        length = max(0, end - self._at)
        start = self._at - self._window_at
        if start < 0 or start + length > len(self._window):
            self._fetch(self._at, length)
            start = self._at - self._window_at
        self._at += length
        return self._window[start : start + length]

    def _fetch(self, offset: int, length: int) -> None:
        """The end of a file is read backwards (footer length, footer, pages), so its last piece is fetched at once."""
        tail = max(0, self._size_bytes - _TAIL_BYTES)
        begin = min(offset, tail) if offset >= tail else offset
        end = min(self._size_bytes, max(offset + length, begin + _READ_AHEAD_BYTES))
        self._window, self._window_at = self._ask(begin, end - begin), begin

    def _ask(self, offset: int, length: int) -> bytes:
        self._requests.write(json.dumps({"read": [offset, length]}).encode() + b"\n")
        self._requests.flush()
        return received(self._answers)


def received(pipe: IO[bytes]) -> bytes:
    head = pipe.read(4)
    if len(head) < 4:
        raise SystemExit  # the parent has given up
    (length,) = struct.unpack(">I", head)
    return pipe.read(length)


def main() -> None:
    requests, answers = sys.stdout.buffer, sys.stdin.buffer
    task = json.loads(received(answers))
    _limit(task["memory_max_bytes"])
    window = Window(task["offset"], task["limit"], task["columns_max"], task["cell_max"], task["text_max"])
    file = RangeFile(task["size_bytes"], requests, answers)
    try:
        answer: dict[str, Any] = {"done": page_of(task["format"], file, window, tabs=task["tabs"])}
    except MemoryError:
        answer = {"error": "it takes too much memory"}
    except RecursionError:
        answer = {"error": "it is nested too deeply"}
    except Exception as error:  # noqa: BLE001 - the reader of a hostile file may raise anything
        answer = {"error": _sentence(error)}
    requests.write(json.dumps(answer, allow_nan=False).encode() + b"\n")
    requests.flush()


def page_of(format: str, file: io.RawIOBase, window: Window, *, tabs: bool) -> Page:
    if format == "parquet":
        return parquet_page(file, window)
    if format == "csv":
        return csv_page(file, window, tabs=tabs)
    return jsonl_page(file, window) if format == "jsonl" else json_page(file, window)


def _sentence(error: Exception) -> str:
    """Pyarrow's first line says what is wrong with the file; an allocation that fails is an ordinary error to it."""
    text = (str(error).splitlines() or [type(error).__name__])[0][:300]
    return "it takes too much memory" if "alloc" in text.lower() else text


def _limit(memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
