"""Files and folders of this machine: their digests and sizes, and what a folder holds.

The digest of a folder is the sha256 of what `sha256sum` prints for its files in the order of their names, with the paths
relative to the folder: one line `<sha256>  <path>` each.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lineal.errors import LinealError

PIECE_BYTES = 1024 * 1024
FOLDER_TYPE = "inode/directory"
"""The media type of an artifact that is a folder and whose digest is the one above."""


@dataclass(frozen=True)
class LocalFile:
    """`name` is the path inside what is sent, with slashes."""

    path: Path
    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Content:
    """What is sent as one: a file (`folder` false: `files` is that one), or a folder and all that lies in it."""

    folder: bool
    files: list[LocalFile]
    digest: str

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


def read_content(path: str | os.PathLike[str]) -> Content:
    """Reads all of it once, for the digests.

    Raises LinealError: there is nothing there, an empty folder, or something in it that is neither a file nor a folder.
    """
    place = Path(path)
    if place.is_dir():
        files = [_read(found, found.relative_to(place).as_posix()) for found in _walk(place)]
        if not files:
            raise LinealError(f"{place} holds no file")
        files.sort(key=lambda file: file.name)
        return Content(True, files, folder_digest((file.name, file.sha256) for file in files))
    if not place.is_file():
        raise LinealError(f"{place} is {'neither a file nor a folder' if place.exists() else 'not there'}")
    file = _read(place, place.name)
    return Content(False, [file], file.sha256)


def folder_digest(files: Iterable[tuple[str, str]]) -> str:
    """From (name, sha256) of the files, in any order."""
    listed = "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(files))
    return hashlib.sha256(listed.encode("utf-8", "surrogateescape")).hexdigest()


def pieces(path: Path, offset: int = 0) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(offset)
        while piece := file.read(PIECE_BYTES):
            yield piece


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    for piece in pieces(path):
        digest.update(piece)
    return digest.hexdigest()


def check_name(name: str) -> str:
    """`name`, if it is a path inside a folder. Raises LinealError."""
    parts = PurePosixPath(name).parts
    if not name or name.endswith("/") or name.startswith("/") or "\\" in name or "\x00" in name or ".." in parts or "//" in name:
        raise LinealError(f"{name!r} is no path inside a folder")
    if "." in name.split("/") or (os.name == "nt" and ":" in name) or any("\ud800" <= char <= "\udfff" for char in name):
        raise LinealError(f"{name!r} is no path inside a folder")
    return name


def _read(path: Path, name: str) -> LocalFile:
    try:
        return LocalFile(path, name, path.stat().st_size, sha256_of(path))
    except OSError as error:
        raise LinealError(f"{path} cannot be read: {error.strerror}") from error


def _walk(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise LinealError(f"{error.filename} cannot be read: {error.strerror}") from error

    for here, folders, names in os.walk(folder, onerror=refuse):
        for name in folders:
            if (Path(here) / name).is_symlink():  # following it might never end, leaving it out would lose what it holds
                raise LinealError(f"{Path(here) / name} is a link to a folder: send that folder itself")
        for name in names:
            path = Path(here) / name
            if not path.is_file():
                raise LinealError(f"{path} is neither a file nor a folder")
            yield path
