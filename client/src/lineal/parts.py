"""A file under way: what has arrived of it lies beside its place, under a name that bears its digest.

Whoever fetches the file again takes it up. One process writes it at a time: a lock that ends with the process says so, and a
second one writes into a file of its own. (Where there are no such locks, as on Windows, nothing is taken up.)
"""

import contextlib
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from lineal.local_files import PIECE_BYTES

LOCKS = os.name == "posix"
if LOCKS:
    import fcntl


class Part:
    """Open for writing behind what has arrived; `count` bytes with this `digest`. `counted` is told of each piece."""

    def __init__(self, out: BinaryIO, counted: Callable[[int], None]) -> None:
        self._out = out
        self._counted = counted
        self.digest = hashlib.sha256()
        self.count = 0
        out.seek(0)
        while piece := out.read(PIECE_BYTES):
            self._count(piece)
        self.resumed = self.count > 0

    def add(self, piece: bytes) -> None:
        self._out.write(piece)
        self._count(piece)

    def drop(self) -> None:
        """Begin again."""
        self._out.seek(0)
        self._out.truncate()
        self._counted(-self.count)
        self.digest, self.count, self.resumed = hashlib.sha256(), 0, False

    def _count(self, piece: bytes) -> None:
        self.digest.update(piece)
        self.count += len(piece)
        self._counted(len(piece))


@contextmanager
def opened(place: Path, sha256: str | None, counted: Callable[[int], None]) -> Iterator[Part]:
    """The part of the file at `place`; after the block it is there, after an error it is not.

    What has arrived stays for the next time if the digest is known. Raises OSError.
    """
    path, out = _open(place, sha256)
    with out:
        part = Part(out, counted)
        try:
            yield part
            out.flush()
            os.fsync(out.fileno())
            if LOCKS:
                path.replace(place)  # before the lock ends
        except BaseException:
            if LOCKS and (part.count == 0 or path.name != _name(place, sha256)):
                path.unlink(missing_ok=True)
            raise
    if not LOCKS:  # Windows does not rename an open file
        path.replace(place)


def _open(place: Path, sha256: str | None) -> tuple[Path, BinaryIO]:
    if LOCKS and sha256 is not None:
        path = place.with_name(_name(place, sha256))
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            out = stack.enter_context(_open_file(path, 0))
            fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.stat().st_ino == os.fstat(out.fileno()).st_ino:  # else somebody has just finished it
                stack.pop_all()
                return path, out
    path = place.with_name(_name(place, secrets.token_hex(8)))
    return path, _open_file(path, os.O_EXCL)


def _open_file(path: Path, flags: int) -> BinaryIO:
    flags |= os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, 0o666), "r+b")


def _name(place: Path, mark: str | None) -> str:
    start = place.name.encode("utf-8", "surrogateescape")[:150].decode("utf-8", "ignore")
    return f".{start}.{str(mark)[:16]}.part"
