"""Fetching the files of an artifact: verified, resumed where a transfer broke off, never outside the folder they go into.

A file appears at its place only when it is whole; what a broken transfer left is taken up by the next one (`parts.py`).
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lineal import parts
from lineal.errors import LinealError, Unreachable
from lineal.local_files import FOLDER_TYPE, PIECE_BYTES, check_name, folder_digest, sha256_of
from lineal.progress import Progress
from lineal.transport import RETRIES, Transport, pause
from lineal.uploads import path_of


def check_digest(artifact: Mapping[str, Any], folder: bool, files: Sequence[dict[str, Any]]) -> None:
    """Before anything is fetched: the artifact's digest is that of its files. A file without sha256 takes the artifact's.

    Raises LinealError: files were added, changed or removed since the artifact was logged.
    """
    digest = artifact["digest"]
    if digest is None or (folder and artifact["media_type"] != FOLDER_TYPE):  # others may mean something else by it
        return
    if not folder and files[0]["sha256"] is None:
        files[0]["sha256"] = digest
    found = folder_digest((file["name"], str(file["sha256"])) for file in files) if folder else files[0]["sha256"]
    if found != digest:
        raise LinealError(f"the files of {artifact['id']} are not those that were logged: digest {found}, not {digest}")


def fetch(
    transport: Transport, files: Sequence[dict[str, Any]], to: str | os.PathLike[str], *, progress: bool | None = None
) -> list[Path]:
    """Write the files (`name`, `path`, `size_bytes`, `sha256` or null) into folder `to`, which is made; where they are now.

    One that is there already with these bytes stays.

    Raises:
        LinealError: a name leads out of the folder, bytes differ from their sha256, or the disk refuses.
        ApiError, Unreachable.
    """
    folder = Path(to)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        places = [_place(folder, file["name"]) for file in files]
        label = f"fetching {files[0]['name'] if len(files) == 1 else f'{len(files)} files'}"
        with Progress(label, sum(file["size_bytes"] for file in files), shown=progress) as shown:
            for file, place in zip(files, places, strict=True):
                _fetch(transport, file, place, shown)
    except OSError as error:
        raise LinealError(f"{error.filename or folder} cannot be written: {error.strerror or error}") from error
    return places


def _place(folder: Path, name: str) -> Path:
    """Where the file goes; its folder is made. Raises LinealError: it would lie outside, also by a link that is there."""
    place = folder / check_name(name)
    root = folder.resolve()
    for parent in reversed(place.relative_to(folder).parents):
        here = folder / parent
        if here.is_symlink() and not here.resolve().is_relative_to(root):
            raise LinealError(f"{name!r} would be written outside of {folder}: {here} is a link")
        here.mkdir(exist_ok=True)
    if place.is_dir() and not place.is_symlink():
        raise LinealError(f"{place} is a folder: there is no place for the file")
    return place


def _fetch(transport: Transport, file: dict[str, Any], place: Path, shown: Progress) -> None:
    path, sha256, size = file["path"], file["sha256"], file["size_bytes"]
    if sha256 is not None and _has(place, size, sha256):
        shown.add(size)
        return
    with parts.opened(place, sha256, shown.add) as part:
        _transfer(transport, path, size, part)
        if part.resumed and part.digest.hexdigest() != sha256:  # what lay there was not the beginning of this file
            part.drop()
            _transfer(transport, path, size, part)
        found = part.digest.hexdigest()
        if sha256 is not None and found != sha256:
            part.drop()
            raise LinealError(f"{path} has sha256 {found}, not {sha256}: nothing was kept")


def _has(place: Path, size: int, sha256: str) -> bool:
    return place.is_file() and not place.is_symlink() and place.stat().st_size == size and sha256_of(place) == sha256


def _transfer(transport: Transport, path: str, size: int, part: parts.Part) -> None:
    """Fetch what the part lacks. Tried again from where it broke off; each step forward counts anew."""
    if part.count > size:
        part.drop()
    attempt = 0
    while part.count < size:
        before = part.count
        try:
            with transport.download(path_of(path), offset=before) as response:
                if before and response.status_code != 206:  # somebody on the way takes no ranges
                    part.drop()
                for piece in response.iter_raw(PIECE_BYTES):
                    part.add(piece)
            break
        except Unreachable:
            attempt = 0 if part.count > before else attempt + 1
            if attempt >= RETRIES:
                raise
            pause(attempt)
    if part.count != size:
        part.drop()
        raise LinealError(f"{path} has not the {size} bytes that were told: it was changed meanwhile; try again")
