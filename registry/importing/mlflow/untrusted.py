"""A folder in which nothing is trusted: no name leads out of it, no link is followed in a circle, no text is longer than it may
be. What cannot be read is told of and passed by.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from registry.importing.mlflow.source import Bad

META = "meta.yaml"
MAX_TEXT_BYTES = 16 * 2**20
MAX_LINE_BYTES = 4096
INT64 = 2**63
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Unreadable(Exception):
    """Why a file or folder cannot be read, without what stands in it."""


@dataclass
class Seen:
    """What one batch could not read."""

    bad: list[Bad] = field(default_factory=list)
    lost: int = 0
    lost_versions: int = 0

    def add(self, what: str, path: str, why: object, *, lost: int = 0) -> None:
        self.bad.append(Bad(what, path, f"{why}"))
        self.lost += lost


class Untrusted:
    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.realpath(root))

    def folders(self, path: Path) -> list[Path]:
        """By name; none that leads elsewhere."""
        try:
            with os.scandir(path) as entries:
                names = [entry.name for entry in entries if entry.is_dir()]
        except OSError:
            return []
        return [path / name for name in sorted(names) if self._is_inside(path / name)]

    def files(self, path: Path, seen: Seen | None = None) -> Iterator[tuple[str, Path]]:
        """Files below the folder, by the names that they have in it. What cannot be followed is told of."""
        pending = [path] if self._is_inside(path) else []
        if not pending and seen is not None:
            seen.add("folder", self.shown(path), "it is left out: it leads out of the folder")
        while pending:
            folder = pending.pop()
            try:
                with os.scandir(folder) as entries:
                    found = sorted(entries, key=lambda entry: entry.name)
            except OSError:
                continue
            for entry in found:
                if entry.is_symlink() and (entry.is_dir() or not self._is_inside(Path(entry.path))):
                    if seen is not None:
                        why = "is a link to a folder" if self._is_inside(Path(entry.path)) else "leads out of the folder"
                        seen.add("file", self.shown(Path(entry.path)), f"it is left out: it {why}")
                elif entry.is_dir():
                    pending.append(Path(entry.path))
                elif entry.is_file():
                    yield Path(entry.path).relative_to(path).as_posix(), Path(entry.path)

    def _is_inside(self, path: Path) -> bool:
        real = os.path.realpath(path)
        return real == str(self.root) or real.startswith(f"{self.root}{os.sep}")

    def pairs(self, path: Path, seen: Seen) -> dict[str, str]:
        """A file for each: its name and what stands in it."""
        found = {}
        for name, file in self.files(path, seen):
            try:
                found[name] = self.text(file)
            except Unreadable as error:
                seen.add("file", self.shown(file), f"it is left out: {error}")
        return found

    def meta(self, folder: Path) -> dict[str, Any]:
        path = folder / META
        if path.is_symlink() and not self._is_inside(path):
            raise Unreadable(f"{META} leads out of the folder")
        text = self.text(path)
        try:
            found = yaml.load(text, _LOADER)  # noqa: S506  (a safe loader, in C where there is one)
        except (yaml.YAMLError, ValueError, RecursionError, OverflowError):
            raise Unreadable(f"{META} is no YAML") from None
        if not isinstance(found, dict):
            raise Unreadable(f"{META} is no mapping")
        return found

    def text(self, path: Path) -> str:
        try:
            if path.stat().st_size > MAX_TEXT_BYTES:
                raise Unreadable(f"{path.name[:80]} is larger than {MAX_TEXT_BYTES} bytes")
            return path.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            raise Unreadable(f"{path.name[:80]} is not UTF-8") from None
        except OSError as error:
            raise Unreadable(f"{path.name[:80]}: {error.strerror}") from None

    def shown(self, path: Path) -> str:
        return str(path.relative_to(self.root))


def lines_of(path: Path, lengths: Sequence[int]) -> Iterator[tuple[int, list[str] | None]]:
    """(number, fields) of the lines; None for one that has not as many fields as it should. Never more than a line is held."""
    with path.open("rb") as file:
        number = 0
        while raw := file.readline(MAX_LINE_BYTES):
            number += 1
            is_cut = not raw.endswith(b"\n") and len(raw) == MAX_LINE_BYTES
            while is_cut and (rest := file.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
            if not is_cut and not raw.strip():
                continue
            try:
                fields = raw.decode("utf-8").strip().split(" ")
            except UnicodeDecodeError:
                fields = []
            yield number, None if is_cut or len(fields) not in lengths else fields


def count_lines(path: Path) -> int:
    try:
        with path.open("rb") as file:
            return sum(part.count(b"\n") for part in iter(lambda: file.read(2**20), b""))
    except OSError:
        return 0


def text_of(meta: Mapping[str, Any], name: str) -> str | None:
    value = meta.get(name)
    return None if value is None or not is_plain(value) else str(value)


def is_plain(value: Any) -> bool:
    """What stands for itself: a list of lists that name each other could be longer than any memory as a text."""
    return not isinstance(value, dict | list | set | tuple)


def integer_of(meta: Mapping[str, Any], name: str) -> int | None:
    value = meta.get(name)
    return value if type(value) is int and 0 <= value < INT64 else None
