"""Where the files of an import are: left where they lie, or copied into our own store with their digests.

Files are copied only from places that whoever imports has named, or that are the source itself: what a store says of its
locations was said by its clients, and nobody's client decides what a server reads.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from registry.catalog.places import is_local, lies_within
from registry.catalog.run_search import PROXIED
from registry.errors import InvalidArgument
from registry.importing.mlflow.server import Server
from storage.config import open_store
from storage.errors import StorageError
from storage.keys import key_or_none
from storage.locations import normalise_uri
from storage.store import ObjectStore


@dataclass(frozen=True)
class Files:
    """What was asked for: `root` is what `mlflow-artifacts:/` is at the source, `allowed` are places to copy from."""

    copied: bool = False
    root: str | None = None
    allowed: Sequence[str] = ()


@dataclass(frozen=True)
class File:
    """`path` below the place that was listed."""

    path: str
    size_bytes: int | None


class Reader(Protocol):
    """Files of one place at the source, by paths below it."""

    def list(self, folder: str) -> Iterator[File]: ...

    def read(self, path: str) -> Iterator[bytes]: ...


class StoreReader:
    """An object store, or a folder of this machine."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def list(self, folder: str) -> Iterator[File]:
        prefix = f"{folder}/" if folder else ""
        after = None
        while True:
            page = self._store.list(prefix, after)
            for one in page.objects:
                yield File(one.key.removeprefix(prefix), one.size_bytes)
            after = page.next_after
            if after is None:
                return

    def read(self, path: str) -> Iterator[bytes]:
        with closing(self._store.open(path)) as reader:
            yield from reader


class FolderReader:
    """A folder of this machine; nothing that leads out of it is followed."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def list(self, folder: str) -> Iterator[File]:
        top = self._root / folder
        if not top.is_dir() or not top.resolve().is_relative_to(self._root):
            return
        for path in sorted(top.rglob("*")):
            if path.is_file() and path.resolve().is_relative_to(self._root):
                yield File(path.relative_to(top).as_posix(), path.stat().st_size)

    def read(self, path: str) -> Iterator[bytes]:
        found = self._root / path
        if not found.resolve().is_relative_to(self._root):
            raise FileNotFoundError(path)
        with found.open("rb") as file:
            while chunk := file.read(2**20):
                yield chunk


MAX_DEPTH = 64
MAX_FOLDERS = 100_000
MAX_FILES = 1_000_000
"""Of one record's files, as a server lists them."""


class Unlistable(Exception):
    """What a server lists cannot be files of a record; the text says why."""


class ProxyReader:
    """What a server of MLflow passes on. Its lists are not trusted: they end, and their names are names."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def list(self, folder: str) -> Iterator[File]:
        """Raises Unlistable: too many, too deep, or no name."""
        pending, folders, files = [(folder, 0)], 0, 0
        while pending:
            at, depth = pending.pop()
            for one in self._server.proxied(at):
                path = f"{at}/{_name(one)}".lstrip("/")
                if one.get("is_dir"):
                    folders += 1
                    if folders > MAX_FOLDERS or depth == MAX_DEPTH:
                        raise Unlistable(f"more than {MAX_FOLDERS} folders, or {MAX_DEPTH} in each other")
                    pending.append((path, depth + 1))
                    continue
                files += 1
                if files > MAX_FILES:
                    raise Unlistable(f"more than {MAX_FILES} files")
                size = one.get("file_size")
                yield File(path[len(folder) :].lstrip("/"), size if isinstance(size, int) and size >= 0 else None)

    def read(self, path: str) -> Iterator[bytes]:
        return self._server.download(path)


def _name(one: Any) -> str:
    """Raises Unlistable."""
    name = one.get("path") if isinstance(one, dict) else None
    if not isinstance(name, str) or name in {"", ".", ".."} or "/" in name:
        raise Unlistable(f"{str(name)[:80]!r} is the name of no file")
    return name


@dataclass
class Placing:
    """Where locations of the source are to be found from now on.

    Copied files keep their path below the place that they are copied from, in the workspace's part of our store.
    """

    readers: list[tuple[str, Reader]] = field(default_factory=list)
    """Places that files are copied from, longest first."""

    proxied: str | None = None
    """What `mlflow-artifacts:/` becomes where nothing is copied from it."""

    def placed(self, location: str) -> str:
        found = self.find(location)
        if found is not None:
            return f"{PROXIED}{found[1]}"
        if self.proxied is not None and _is_proxied(location):
            return f"{self.proxied.rstrip('/')}/{location.removeprefix(PROXIED).lstrip('/')}".rstrip("/")
        return location

    def find(self, location: str) -> tuple[Reader, str] | None:
        """Who reads it, and its path there; None for a location that is not copied."""
        for root, reader in self.readers:
            if _is_proxied(location) if root == PROXIED else lies_within(location, root):
                path = _below(location, root)
                return None if path and key_or_none(path) is None else (reader, path)
        return None


def place_files(asked: Files, source: object) -> Placing:
    """Raises InvalidArgument: a place that cannot be read from."""
    placing = Placing()
    server = source if isinstance(source, Server) else None
    if not asked.copied:
        if asked.allowed:
            raise InvalidArgument("--artifacts-from names places to copy from: it takes --artifacts copy")
        placing.proxied = asked.root or (None if server is None else f"{PROXIED}/{urlsplit(server.url).netloc}")
        return placing
    if asked.root is not None:
        reader = _reader(asked.root)
        placing.readers += [(PROXIED, reader), (asked.root, reader)]
    elif server is not None:
        placing.readers.append((PROXIED, ProxyReader(server)))
    placing.readers += [(place, _reader(place)) for place in asked.allowed]
    root = getattr(source, "root", None)
    if isinstance(root, Path):
        placing.readers.append((str(root), FolderReader(root)))
    placing.readers.sort(key=lambda pair: -len(pair[0]))
    return placing


def _reader(place: str) -> Reader:
    if is_local(place):
        path = Path(_path_of(place))
        if not path.is_dir():
            raise InvalidArgument(f"there is no folder {path}")
        return FolderReader(path)
    try:
        return StoreReader(open_store(place))
    except StorageError as error:
        raise InvalidArgument(f"{urlsplit(place).scheme}: files cannot be copied from there: {error}") from error


def _is_proxied(location: str) -> bool:
    """In the source's own proxy: one with a host is another's."""
    return location.startswith(PROXIED) and not location.startswith(f"{PROXIED}/")


def _path_of(place: str) -> str:
    return unquote(urlsplit(place).path) if place[:5].lower() == "file:" else str(Path(place).absolute())


def _below(location: str, root: str) -> str:
    """The path of a location below a root that it lies within, as files are called."""
    if _is_proxied(root):
        return location.removeprefix(PROXIED).strip("/")
    inner, outer = normalise_uri(location), normalise_uri(root)
    path = inner[len(outer.rstrip("/")) :].strip("/")
    return unquote(path) if inner.startswith("file:") else path
