"""Opening a database: its driver, its connection settings, and who may use an SQLite file.

`Database` holds the engines. On SQLite there are two: a writer (one connection, used by one thread) and readers that cannot
write. Sessions and transactions are the runner's (`registry/db/runner.py`).
"""

import fcntl
import os
import sqlite3
import time
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.pool import QueuePool

from registry.errors import InvalidArgument, Unavailable

_VM_STEPS = 100_000
"""SQLite's steps between two looks at the clock: about a millisecond."""

_WAL_PAGES = 4_000
"""16 MB after which what was committed is copied into the file itself: pages that many calls write, as the ends of indexes, are
copied once for all of them. Up to 4,062 pages are one table of the index by which readers find theirs.
"""

_TURNS_SQLITE = 4
"""More only take the interpreter's lock from one another; fewer let one long walk hold up every short read."""

ALONE = "alone"
"""The execution option of a connection to PostgreSQL on which each statement is a transaction of its own.

Statements see what has been committed when they begin, in a transaction or not: one is worth its BEGIN and COMMIT, two round
trips, only to those who change something by more than one statement, or hold a lock. No option elsewhere.
"""

_DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}


class Database:
    """Engines of one database. `dialect` is sqlite, postgresql, mariadb or mysql.

    `turns`: reads at once on threads that are not the runner's, for which there are connections too.
    """

    def __init__(self, url: URL, writer: sa.Engine, reader: sa.Engine, path: Path | None, *, turns: int) -> None:
        self.url = url
        self.writer = writer
        self.reader = reader
        self.path = path
        self.turns = turns
        self.dialect = writer.dialect.name
        self._lock_file: IO[str] | None = None

    def __repr__(self) -> str:
        return f"Database({self.url.render_as_string(hide_password=True)})"

    @property
    def is_sqlite(self) -> bool:
        return self.dialect == "sqlite"

    def hold(self) -> None:
        """Take the lock of an SQLite file for this process; nothing on a database server. Idempotent.

        Raises:
            Unavailable: another process holds it; the message names it.
        """
        if self.path is None or self._lock_file is not None:
            return
        try:
            file = Path(f"{self.path}.lock").open("a+", encoding="utf-8")  # noqa: SIM115  (held open for as long as the lock)
        except OSError as error:
            raise Unavailable(f"the database file cannot be used: {error}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise Unavailable(
                f"{self.path} is in use by process {holder}: SQLite takes one server; stop it, or use PostgreSQL or MariaDB"
            ) from None
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        self._lock_file = file

    def close(self) -> None:
        self.writer.dispose()
        self.reader.dispose()
        if self._lock_file is not None:
            self._lock_file.close()  # closing gives the lock up
            self._lock_file = None


def open_database(url: str, *, statement_timeout_s: float = 30, readers: int = 8) -> Database:
    """Prepare the engines; connects to nothing yet, but tells MariaDB and MySQL apart by asking the server once.

    Raises:
        InvalidArgument: the URL names no database that is supported.
        Unavailable: the server cannot be reached.
    """
    try:
        parsed = make_url(url)
    except sa.exc.ArgumentError as error:
        raise InvalidArgument(f"{url.rsplit('@', maxsplit=1)[-1]!r} is not a database URL such as sqlite:///file.db") from error
    family = parsed.drivername.partition("+")[0]
    if family not in _DRIVERS:
        raise InvalidArgument(f"database {family!r} is not supported: use sqlite, postgresql, mariadb or mysql")
    parsed = parsed.set(drivername=_DRIVERS[family])
    if family == "sqlite":
        return _open_sqlite(parsed, statement_timeout_s, readers)
    if family in {"mysql", "mariadb"}:
        parsed = _tell_apart(parsed)
    engine = _server_engine(parsed, statement_timeout_s, readers)
    return Database(parsed, engine, engine, None, turns=readers)


def _open_sqlite(url: URL, statement_timeout_s: float, readers: int) -> Database:
    if not url.database or url.database == ":memory:":
        raise InvalidArgument("an SQLite database needs a file: sqlite:///path/to/file.db")
    if url.database.startswith("file:"):
        raise InvalidArgument("an SQLite database is given by its path, not as file: URI: sqlite:///path/to/file.db")
    path = Path(url.database).resolve()  # one lock file, by whichever link it is reached
    arguments: dict[str, Any] = {"check_same_thread": False, "timeout": statement_timeout_s}
    # A pool of one: whoever else asked for the writer's connection would roll its group back on giving it up.
    writer = sa.create_engine(
        url, poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=statement_timeout_s, connect_args=arguments
    )
    reader = sa.create_engine(
        url,
        poolclass=QueuePool,
        pool_size=readers + _TURNS_SQLITE,
        max_overflow=0,
        pool_timeout=statement_timeout_s,
        connect_args=arguments,
    )
    event.listen(writer, "connect", _prepare_sqlite)
    event.listen(reader, "connect", _prepare_sqlite)
    event.listen(reader, "connect", _refuse_writes)
    event.listen(reader, "begin", _begin)
    _stop_slow_reads(reader, statement_timeout_s)
    return Database(url, writer, reader, path, turns=_TURNS_SQLITE)


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver would open transactions by itself, and not for SAVEPOINT
    connection.create_function(
        "lineal_lower", 1, lambda value: value.lower() if isinstance(value, str) else value, deterministic=True
    )
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "case_sensitive_like=ON",
        "temp_store=MEMORY",
        "cache_size=-32768",
        f"wal_autocheckpoint={_WAL_PAGES}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _refuse_writes(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA query_only=ON")


def _stop_slow_reads(reader: sa.Engine, statement_timeout_s: float) -> None:
    """SQLite has no statement timeout; its progress handler can ask for the time. Counts fetching, too."""

    def watch(connection: sqlite3.Connection, record: Any) -> None:
        record.info["deadline"] = None

        def too_late() -> int:
            deadline = record.info["deadline"]
            return int(deadline is not None and time.monotonic() > deadline)

        connection.set_progress_handler(too_late, _VM_STEPS)

    def start(connection: sa.Connection, *_rest: Any) -> None:
        connection.info["deadline"] = time.monotonic() + statement_timeout_s

    event.listen(reader, "connect", watch)
    event.listen(reader, "before_cursor_execute", start)


def _begin(connection: sa.Connection) -> None:
    connection.connection.driver_connection.execute("BEGIN")  # type: ignore[union-attr]  # SQLAlchemy's way takes ten times as long


def _tell_apart(url: URL) -> URL:
    probe = sa.create_engine(url.set(drivername="mysql+pymysql"), poolclass=sa.NullPool)
    try:
        with probe.connect() as connection:
            version = str(connection.exec_driver_sql("SELECT VERSION()").scalar())
    except sa.exc.DBAPIError as error:
        raise Unavailable(f"the database does not answer: {error.orig}") from error
    finally:
        probe.dispose()
    return url.set(drivername="mariadb+pymysql" if "mariadb" in version.lower() else "mysql+pymysql")


def _server_engine(url: URL, statement_timeout_s: float, readers: int) -> sa.Engine:
    millis = int(statement_timeout_s * 1000)
    lock_millis = max(1000, millis // 3)  # less than a statement may take, or a lock that is waited for would never be run again
    arguments: dict[str, Any]
    if url.drivername.startswith("postgresql"):
        arguments = {
            # No JIT: it takes 100 ms to compile what runs in 5, wherever a planner's estimate is far too high.
            "options": f"-c statement_timeout={millis} -c lock_timeout={lock_millis} -c timezone=UTC -c client_encoding=UTF8 "
            r"-c jit=off -c default_transaction_isolation=read\ committed",
            "keepalives": 1,
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "connect_timeout": 10,
        }
    else:
        limit = (
            f"max_statement_time={statement_timeout_s}"
            if url.drivername.startswith("mariadb")
            else f"max_execution_time={millis}"
        )
        arguments = {
            "charset": "utf8mb4",
            "connect_timeout": 10,
            "init_command": f"SET SESSION sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', time_zone='+00:00', "
            f"auto_increment_increment=1, auto_increment_offset=1, innodb_lock_wait_timeout={lock_millis // 1000}, {limit}",
        }
    is_postgresql = url.drivername.startswith("postgresql")
    engine = sa.create_engine(
        url,
        isolation_level="AUTOCOMMIT" if is_postgresql else "READ COMMITTED",
        pool_size=readers,
        max_overflow=readers,
        pool_timeout=statement_timeout_s,
        pool_recycle=1800,  # not probed before use: the runner runs again what met a dead connection
        connect_args=arguments,
    )
    if is_postgresql:
        event.listen(engine, "begin", _begin_unless_alone)
    return engine


def _begin_unless_alone(connection: sa.Connection) -> None:
    """The driver would begin a transaction by itself, also for a single statement."""
    if connection.connection.driver_connection.autocommit and not connection.get_execution_options().get(ALONE):  # type: ignore[union-attr]
        connection.exec_driver_sql("BEGIN")
