"""Reading Kubernetes objects from files: YAML with many documents, JSON, and JSON lines of watch events.

What cannot be read becomes an `Unreadable` at its place and the rest goes on. Nothing here knows a kind.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from agent.values import MAX_DEPTH, as_map, depth_within, short

MAX_FILE_BYTES = 256 * 1024 * 1024
"""A list of a thousand objects of the size that etcd allows is far below this."""
MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
"""etcd refuses objects over 1.5 MiB; decompressed and pretty-printed ones stay below this."""
MAX_VALUES = 2_000_000
"""Values in one document, shared YAML parts counted each time they are used."""

FOLDER_SUFFIXES = (".yaml", ".yml", ".json", ".jsonl", ".ndjson")
STDIN = "-"

_MARKER = re.compile(r"^(?:---(?=\s|$)|\.\.\.[ \t]*$)", re.MULTILINE)
_DIRECTIVES = re.compile(r"\A(?:\s*(?:%[^\n]*|#[^\n]*)?(?:\n|\Z))*\Z")


@dataclass(frozen=True, slots=True)
class Read:
    """One object as it was written, with where it stood."""

    file: str
    index: int
    """Position among the documents of the file, from 0; events that carry no object count, empty documents do not."""
    content: dict[str, Any]
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Unreadable:
    file: str
    index: int
    error: str

    def to_dict(self) -> dict[str, Any]:
        return {"file": self.file, "index": self.index, "error": self.error}


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # the C loader is chosen where it exists
    """Plain data only, and times stay the text that was written: Kubernetes has no time type either."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


def files(paths: Iterable[str]) -> list[str]:
    """The files that the arguments name, in order; a folder stands for its files with a known suffix, sorted by path.

    An argument that names nothing stays in the list: reading it says so, and the rest goes on.
    """
    found: list[str] = []
    for path in paths:
        place = Path(path)
        if path != STDIN and place.is_dir():
            inside = (file for file in place.rglob("*") if file.suffix.lower() in FOLDER_SUFFIXES and file.is_file())
            found.extend(str(file) for file in sorted(inside, key=lambda file: file.parts))
        else:
            found.append(path)
    return found


def read_file(file: str) -> Iterator[Read | Unreadable]:
    """The objects of one file in their order. `-` is standard input."""
    try:
        data = _bytes_of(file)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        yield Unreadable(file, 0, f"The file cannot be read: {reason}.")
        return
    if len(data) > MAX_FILE_BYTES:
        yield Unreadable(file, 0, f"The file is larger than {MAX_FILE_BYTES} bytes.")
        return
    yield from read_bytes(data, file)


def read_bytes(data: bytes, file: str = STDIN) -> Iterator[Read | Unreadable]:
    """The objects in the bytes; `file` is only what results call it."""
    try:
        content = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        yield Unreadable(file, 0, f"The file is not UTF-8: byte {error.start} does not belong there.")
        return
    index = 0
    for document in _documents(content):
        for entry in _expand(document, file, index):
            index = max(index, entry.index)
            if isinstance(entry, Read | Unreadable):
                yield entry
        index += 1


def _bytes_of(file: str) -> bytes:
    if file == STDIN:
        return sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
    with Path(file).open("rb") as stream:
        return stream.read(MAX_FILE_BYTES + 1)


def _documents(content: str) -> Iterator[object]:
    """Each document's value, or the exception that reading it raised."""
    stripped = content.lstrip()
    if stripped.startswith(("{", "[")):
        whole = _json(content)
        if not isinstance(whole, Exception):
            yield from whole if isinstance(whole, list) else [whole]
            return
        lines = [line for line in content.split("\n") if line.strip()]
        if len(lines) > 1 and not isinstance(_json(lines[0]), Exception):
            yield from map(_json, lines)
            return
    yield from _yaml_documents(content)


def _json(content: str) -> object:
    if len(content) > MAX_DOCUMENT_BYTES:
        return ValueError(f"it is longer than {MAX_DOCUMENT_BYTES} bytes")
    try:
        value = json.loads(content)
    except RecursionError:
        return ValueError(f"it is nested deeper than {MAX_DEPTH} levels")
    except ValueError as error:
        return error
    return value if depth_within(value, MAX_DEPTH) else ValueError(f"it is nested deeper than {MAX_DEPTH} levels")


def _yaml_documents(content: str) -> Iterator[object]:
    """Split by the markers first, so that a document that cannot be read does not take the next ones with it."""
    start = 0
    for marker in [*_MARKER.finditer(content), None]:
        part = content[start : marker.start() if marker else len(content)]
        start = marker.end() if marker else len(content)
        if _DIRECTIVES.match(part):
            continue
        value = _yaml(part)
        if value is not None:
            yield value


def _yaml(content: str) -> object:
    if len(content) > MAX_DOCUMENT_BYTES:
        return ValueError(f"it is longer than {MAX_DOCUMENT_BYTES} bytes")
    try:
        value = yaml.load(content, Loader=_Loader)  # noqa: S506 - _Loader is a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        return ValueError(" ".join(str(error).split()) or type(error).__name__)
    if not depth_within(value, MAX_DEPTH, max_values=MAX_VALUES):
        return ValueError(f"it is nested deeper than {MAX_DEPTH} levels or has more than {MAX_VALUES} values")
    return value


@dataclass(frozen=True, slots=True)
class _Nothing:
    """A bookmark or an error event: it takes a place but gives no line."""

    index: int


def _expand(document: object, file: str, index: int) -> Iterator[Read | Unreadable | _Nothing]:
    """An event's object, the members of a list, or the object itself."""
    if isinstance(document, Exception):
        yield Unreadable(file, index, f"The document cannot be read: {short(document, 200)}.")
    elif not isinstance(document, dict):
        yield Unreadable(file, index, "The document is not a Kubernetes object: it is not a map.")
    elif _is_event(document):
        yield _event(document, file, index)
    elif _is_list(document):
        yield from _members(document, file, index)
    else:
        yield Read(file, index, document)


def _is_event(document: dict[str, Any]) -> bool:
    return isinstance(document.get("type"), str) and "object" in document and "metadata" not in document


def _event(document: dict[str, Any], file: str, index: int) -> Read | Unreadable | _Nothing:
    if document["type"] in ("BOOKMARK", "ERROR"):
        return _Nothing(index)
    if document["type"] not in ("ADDED", "MODIFIED", "DELETED"):
        return Unreadable(file, index, f"The event has the unknown type {short(document['type'])}.")
    if not isinstance(document["object"], dict):
        return Unreadable(file, index, "The event has no object.")
    return Read(file, index, document["object"], deleted=document["type"] == "DELETED")


def _is_list(document: dict[str, Any]) -> bool:
    kind = document.get("kind")
    return isinstance(kind, str) and kind.endswith("List") and isinstance(document.get("items"), list)


def _members(document: dict[str, Any], file: str, index: int) -> Iterator[Read | Unreadable | _Nothing]:
    """The members of what `kubectl get -o yaml` prints; those of a typed list get the kind that the API leaves out."""
    kind = str(document["kind"]).removesuffix("List")
    for number, member in enumerate(document["items"]):
        if not isinstance(member, dict):
            yield Unreadable(file, index + number, "The member of the list is not a map.")
        else:
            inherited = {"kind": kind, "apiVersion": document.get("apiVersion")} if kind and "kind" not in member else {}
            yield Read(file, index + number, {**inherited, **as_map(member)})
