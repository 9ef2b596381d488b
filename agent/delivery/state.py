"""What the agent knows beyond its own life, in one SQLite file of its folder: reports that wait for the server (the spool), the
objects that it has reported, and how far each watch has come.

A spooled report carries a checksum: one that the disk has spoilt is found when its turn comes. A file that SQLite cannot read is
set aside and begun anew; then every object is listed and told again. Nothing here needs to survive a power cut but in order, and
that a write-ahead log gives: a position is never newer than what was spooled before it.
"""

import fcntl
import logging
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import zstandard

from agent.delivery.outgoing import Outgoing, lasting_of, lasting_text
from agent.watching.change import Seen

log = logging.getLogger("lineal.agent.state")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS positions (
    kind TEXT, namespace TEXT, version TEXT NOT NULL, PRIMARY KEY (kind, namespace)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
    kind TEXT, uid TEXT, namespace TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (kind, uid)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spool (
    seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, uid TEXT NOT NULL, name TEXT NOT NULL, namespace TEXT NOT NULL,
    lasting TEXT NOT NULL, gone INTEGER NOT NULL, final INTEGER NOT NULL, received_at REAL NOT NULL,
    report BLOB NOT NULL, source BLOB NOT NULL, checksum INTEGER NOT NULL);
"""
_ROW = "seq, kind, uid, name, namespace, lasting, gone, final, received_at, report, source, checksum"


class InUse(Exception):
    """Another process has the folder."""


class Spoilt(Exception):
    """What was read from the spool is not what was written."""

    def __init__(self, kind: str, uid: str) -> None:
        super().__init__(f"a spooled report of {kind} {uid} is damaged")
        self.kind = kind


class AgentState:
    """One process at a time. Positions and objects are those of one server and cluster: for another they are forgotten."""

    def __init__(self, folder: Path, *, server: str, cluster: str) -> None:
        """Raises InUse, OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(folder / "agent.lock")
        self._file = folder / "agent.db"
        self._compress = zstandard.ZstdCompressor(level=1)
        self._expand = zstandard.ZstdDecompressor()
        self._db = self._opened()
        self._belong_to(f"{server} {cluster}")
        totals = "SELECT coalesce(max(seq), 0), coalesce(sum(length(report) + length(source)), 0) FROM spool"
        self._seq, self._bytes = map(int, self._db.execute(totals).fetchone())
        self._known = {(kind, uid) for kind, uid in self._db.execute("SELECT kind, uid FROM objects")}
        self._gone: set[tuple[str, str]] = set()

    def close(self) -> None:
        self.checkpoint({})
        self._db.close()
        self._lock.close()

    # ---- the spool --------------------------------------------------------------------------------------------------

    @property
    def spooled_bytes(self) -> int:
        return self._bytes

    def append(self, waiting: Iterable[tuple[Outgoing, int | None]]) -> list[int]:
        """Each at the end, or in the place of the one with this number. In one transaction; their numbers.

        Raises sqlite3.Error: the disk is full; nothing was written.
        """
        numbers, before = [], self._bytes
        try:
            with self._db:
                for one, replaced in waiting:
                    if replaced is None:
                        self._seq += 1
                    numbers.append(self._write(replaced or self._seq, one))
        except sqlite3.Error:
            self._bytes = before
            raise
        return numbers

    def _write(self, seq: int, one: Outgoing) -> int:
        report = self._compress.compress(one.report)
        source = self._compress.compress(one.source) if one.source is not None else b""
        columns = (one.kind, one.uid, one.name, one.namespace, lasting_text(one.lasting), int(one.gone), int(one.is_final))
        self._bytes += len(report) + len(source) - self._length(seq)
        self._db.execute(
            f"INSERT OR REPLACE INTO spool ({_ROW}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - constant names
            (seq, *columns, one.received_at, report, source, _checksum(columns, report, source)),
        )
        return seq

    def spooled(self) -> Iterator[tuple[int, str, str, float]]:
        """Number, kind, uid and time of receipt of all, in their order."""
        yield from self._db.execute("SELECT seq, kind, uid, received_at FROM spool ORDER BY seq")

    def lasting(self, seq: int) -> tuple[frozenset[str], bool]:
        """What a report has to say to take this one's place, and whether this one only says that the object is gone."""
        lasting, gone = self._db.execute("SELECT lasting, gone FROM spool WHERE seq = ?", (seq,)).fetchone()
        return lasting_of(lasting), bool(gone)

    def read(self, seq: int) -> Outgoing:
        """Raises Spoilt, and forgets it."""
        row = self._db.execute(f"SELECT {_ROW} FROM spool WHERE seq = ?", (seq,)).fetchone()  # noqa: S608 - constant names
        _, kind, uid, name, namespace, lasting, gone, final, received_at, report, source, checksum = row
        try:
            if checksum != _checksum((kind, uid, name, namespace, lasting, gone, final), report, source):
                raise Spoilt(kind, uid)
            whole, object = self._expand.decompress(report), self._expand.decompress(source) if source else None
        except (zstandard.ZstdError, TypeError) as error:
            raise Spoilt(kind, uid) from error
        return Outgoing(
            kind, uid, name, namespace, whole, object, lasting_of(lasting), bool(gone), bool(final), received_at=received_at
        )

    def remove(self, seq: int) -> None:
        length = self._length(seq)
        with self._db:
            self._db.execute("DELETE FROM spool WHERE seq = ?", (seq,))
        self._bytes -= length

    def _length(self, seq: int) -> int:
        row = self._db.execute("SELECT length(report) + length(source) FROM spool WHERE seq = ?", (seq,)).fetchone()
        return int(row[0]) if row else 0

    # ---- objects and positions --------------------------------------------------------------------------------------

    def remember(self, kind: str, seen: Seen) -> None:
        """Before the first report of the object is sent: if it goes while nobody looks, somebody has to ask what became of it."""
        if (kind, seen.uid) not in self._known:
            with self._db:
                self._db.execute(
                    "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)", (kind, seen.uid, seen.namespace, seen.name)
                )
            self._known.add((kind, seen.uid))

    def forget(self, kind: str, uid: str) -> None:
        """That it is gone has been told. Written by the next checkpoint."""
        self._gone.add((kind, uid))

    def known(self, kind: str, namespace: str | None) -> dict[str, Seen]:
        """What was seen and not told to be gone, by uid."""
        query, values = "SELECT uid, name, namespace FROM objects WHERE kind = ?", [kind]
        if namespace is not None:
            query, values = f"{query} AND namespace = ?", [kind, namespace]
        return {uid: Seen(uid, name, space, "") for uid, name, space in self._db.execute(query, values)}

    def position(self, kind: str, namespace: str | None) -> str | None:
        query = "SELECT version FROM positions WHERE kind = ? AND namespace = ?"
        row = self._db.execute(query, (kind, namespace or "*")).fetchone()
        return str(row[0]) if row else None

    def checkpoint(self, positions: dict[tuple[str, str | None], str]) -> None:
        """Together: a position is worth nothing without the objects that were there at that time."""
        if not self._gone and not positions:
            return
        places = [(kind, namespace or "*", version) for (kind, namespace), version in positions.items()]
        with self._db:
            self._db.executemany("DELETE FROM objects WHERE kind = ? AND uid = ?", sorted(self._gone))
            self._db.executemany("INSERT OR REPLACE INTO positions VALUES (?, ?, ?)", places)
        self._known -= self._gone
        self._gone.clear()

    # ---- the file ---------------------------------------------------------------------------------------------------

    def _opened(self) -> sqlite3.Connection:
        try:
            return _open(self._file)
        except sqlite3.DatabaseError as error:
            aside = self._file.with_suffix(f".damaged-{int(time.time())}")
            data = {"file": str(aside), "error": str(error)}
            log.error("the agent's file is damaged and set aside", extra={"data": data})  # noqa: TRY400 - no fault of ours
            self._file.rename(aside)
            for rest in ("agent.db-wal", "agent.db-shm"):
                (self._file.parent / rest).unlink(missing_ok=True)
            return _open(self._file)

    def _belong_to(self, owner: str) -> None:
        row = self._db.execute("SELECT value FROM about WHERE name = 'owner'").fetchone()
        if row and row[0] == owner:
            return
        with self._db:
            self._db.execute("DELETE FROM positions")
            self._db.execute("DELETE FROM objects")
            self._db.execute("INSERT OR REPLACE INTO about VALUES ('owner', ?)", (owner,))


def _open(file: Path) -> sqlite3.Connection:
    db = sqlite3.connect(file, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        if db.execute("PRAGMA quick_check").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("quick_check found damage")
        db.executescript(_SCHEMA)
    except BaseException:
        db.close()
        raise
    return db


def _locked(file: Path) -> IO[bytes]:
    held = file.open("wb")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        held.close()
        raise InUse(f"{file.parent} is in use by another agent") from error
    return held


def _checksum(columns: tuple[object, ...], report: bytes, source: bytes) -> int:
    return zlib.crc32(source, zlib.crc32(report, zlib.crc32(repr(columns).encode())))
