"""The only source of ids: `next_ids(session, kind, n)`.

One source per kind over all workspaces. Ids are never reused, also not after a purge, and grow in the order of the calls. No
counter row that writers update: a native sequence on PostgreSQL, an auto-increment table on MariaDB and MySQL, and on SQLite
(one writer) a counter in the process whose high-water mark goes into the same commit.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa

from registry.errors import Exhausted

if TYPE_CHECKING:
    from registry.db.session import Session

NODE_KINDS = ("context", "artifact", "execution")
KINDS = (*NODE_KINDS, "type", "event", "name", "workspace", "record")
"""`record`: every table whose ids no door shows as a node's."""

FIRST = {"type": 10}
"""ML Metadata gives its system types 1 to 9, so the first type of a user is 10."""

NODE_LIMIT = 999_999_999

_marks = sa.table("id_marks", sa.column("kind"), sa.column("high"))


class Counter:
    """SQLite's counters. Rolled-back calls leave gaps: an id that was handed out is never handed out again.

    The marks of what was drawn are written by `save`, once for all calls of a transaction.
    """

    def __init__(self) -> None:
        self._next: dict[str, int] = {}
        self._moved: set[str] = set()

    def draw(self, session: "Session", kind: str, n: int) -> range:
        start = self._high(session, kind) + 1
        self._next[kind] = start + n
        self._moved.add(kind)
        return range(start, start + n)

    def seed(self, session: "Session", kind: str, highest: int) -> None:
        if highest > self._high(session, kind):
            self._next[kind] = highest + 1
            self._moved.add(kind)

    def _high(self, session: "Session", kind: str) -> int:
        held = self._next.get(kind)
        return int(session.scalar(sa.select(_marks.c.high).where(_marks.c.kind == kind))) if held is None else held - 1

    def save(self, connection: sa.Connection) -> None:
        """Before the transaction of the draws commits."""
        if self._moved:
            marks = [(self._next[kind] - 1, kind) for kind in sorted(self._moved)]
            connection.exec_driver_sql("UPDATE id_marks SET high = ? WHERE kind = ?", marks)
            self._moved.clear()


def next_ids(session: "Session", kind: str, n: int) -> Sequence[int]:
    """`n` new ids, ascending, of `kind` (one of KINDS). On PostgreSQL other callers' ids may lie between them.

    Raises:
        Exhausted: a node id would pass 999,999,999, the highest that the Model Registry's clients accept.
    """
    if kind not in KINDS:
        raise ValueError(kind)
    if n < 1:
        return ()
    if session.dialect == "sqlite":
        assert session.counter is not None, "ids are drawn by writers only"  # noqa: S101
        drawn: Sequence[int] = session.counter.draw(session, kind, n)
    elif session.dialect == "postgresql":
        drawn = _postgresql(session, kind, n)
    else:
        drawn = _mysql(session, kind, n)
    return below_limit(kind, drawn)


def below_limit(kind: str, drawn: Sequence[int]) -> Sequence[int]:
    """The same ids, ascending, of one kind. Raises Exhausted."""
    if kind in NODE_KINDS and drawn and drawn[-1] > NODE_LIMIT:
        raise Exhausted(f"no {kind} ids are left below {NODE_LIMIT}", kind=kind)
    return drawn


def next_ids_of(session: "Session", wanted: Mapping[str, int]) -> Mapping[str, Sequence[int]]:
    """As `next_ids` of several kinds, each at least one; on PostgreSQL one statement."""
    if session.dialect != "postgresql":
        return {kind: next_ids(session, kind, n) for kind, n in wanted.items()}
    parts = [f"SELECT '{kind}', nextval('ids_{kind}') FROM generate_series(1, %s)" for kind in wanted if kind in KINDS]  # noqa: S608
    drawn: dict[str, list[int]] = {kind: [] for kind in wanted}
    for kind, id in session.connection.exec_driver_sql(" UNION ALL ".join(parts), tuple(wanted.values())):
        drawn[kind].append(id)
    return {kind: below_limit(kind, sorted(found)) for kind, found in drawn.items()}


def seed_ids(session: "Session", kind: str, highest: int) -> None:
    """Ids of `kind` that are drawn from now on are greater than `highest`. Idempotent; never goes back."""
    if session.dialect == "sqlite":
        assert session.counter is not None, "ids are drawn by writers only"  # noqa: S101
        session.counter.seed(session, kind, highest)
    elif session.dialect == "postgresql":
        last = int(session.scalar(sa.text(f"SELECT nextval('ids_{kind}')")))
        if last <= highest:
            session.execute(sa.text(f"SELECT setval('ids_{kind}', :highest)"), {"highest": highest})
    else:
        last = int(session.scalar(sa.text(f"SELECT coalesce(max(id), 0) FROM ids_{kind}")))  # noqa: S608
        if last < highest:
            session.execute(sa.text(f"INSERT INTO ids_{kind} (id) VALUES (:highest)"), {"highest": highest})  # noqa: S608


def _postgresql(session: "Session", kind: str, n: int) -> Sequence[int]:
    text = f"SELECT nextval('ids_{kind}') FROM generate_series(1, %s)"  # noqa: S608  (kind is one of KINDS)
    return sorted(session.connection.exec_driver_sql(text, (n,)).scalars())


def _mysql(session: "Session", kind: str, n: int) -> Sequence[int]:
    """InnoDB gives a multi-row insert of known size consecutive ids (innodb_autoinc_lock_mode 1 and 2).

    The step between them is auto_increment_increment, which engine.py sets to 1 (Galera's own setting is its number of
    nodes). The rows stay: deleting them would need locks and undo on the hottest insert of all, to save about 30 bytes an id.
    """
    values = ", ".join(["()"] * n)
    result = session.connection.exec_driver_sql(f"INSERT INTO ids_{kind} () VALUES {values}")  # noqa: S608  (likewise)
    first = int(result.lastrowid)
    return range(first, first + n)


def create_id_sources(connection: sa.Connection) -> None:
    """Repeatable; called by the first migration."""
    dialect = connection.dialect.name
    if dialect == "sqlite":
        connection.execute(
            sa.text("CREATE TABLE IF NOT EXISTS id_marks (kind TEXT PRIMARY KEY, high INTEGER NOT NULL) WITHOUT ROWID")
        )
    for kind in KINDS:
        first = FIRST.get(kind, 1)
        if dialect == "sqlite":
            connection.execute(
                sa.text("INSERT OR IGNORE INTO id_marks (kind, high) VALUES (:kind, :high)"),
                {"kind": kind, "high": first - 1},
            )
        elif dialect == "postgresql":
            connection.execute(sa.text(f"CREATE SEQUENCE IF NOT EXISTS ids_{kind} START {first}"))
        else:
            connection.execute(
                sa.text(
                    f"CREATE TABLE IF NOT EXISTS ids_{kind} (id BIGINT AUTO_INCREMENT PRIMARY KEY) "
                    f"ENGINE=InnoDB AUTO_INCREMENT={first}"
                )
            )


def drop_id_sources(connection: sa.Connection) -> None:
    dialect = connection.dialect.name
    if dialect == "sqlite":
        connection.execute(sa.text("DROP TABLE IF EXISTS id_marks"))
        return
    what = "SEQUENCE" if dialect == "postgresql" else "TABLE"
    for kind in KINDS:
        connection.execute(sa.text(f"DROP {what} IF EXISTS ids_{kind}"))
