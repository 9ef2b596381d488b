"""The session that catalog functions take first: one connection inside a transaction that the runner owns."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite

from registry.db import ids
from registry.db.engine import ALONE
from registry.db.failures import outcome_known
from registry.errors import InvalidArgument

_log = logging.getLogger(__name__)

Row = Mapping[str, Any]


_COUNTED = {"preserve_rowcount": True}
_STATEMENT_BYTES = 900_000
"""PyMySQL cuts a long INSERT at 1,024,000 bytes, and only the last part's warnings could be counted."""

_MYSQL_DUPLICATE = 1062
_ARRAYS_FROM = 8
"""Rows from which on one statement of arrays is cheaper than a statement per row."""


class Session:
    """Executes SQLAlchemy Core statements; never commits. Valid only inside the runner's call.

    `alone`: on PostgreSQL there is no transaction (`engine.ALONE`). Reads are so, and `HotKind.at_once`: the one statement that
    changes something is `change`.
    """

    def __init__(self, connection: sa.Connection, counter: "ids.Counter | None" = None) -> None:
        self.connection = connection
        self.alone = bool(connection.get_execution_options().get(ALONE))
        self.dialect = connection.dialect.name
        self.counter = counter
        self._after_commit: list[Callable[[], None]] = []

    def execute(self, statement: sa.Executable, parameters: Any = None) -> sa.CursorResult[Any]:
        return self.connection.execute(statement, parameters)

    def begin(self) -> None:
        """Have a transaction also where there is none: for what holds for the time of one."""
        if self.alone and self.dialect == "postgresql":
            self.connection.exec_driver_sql("BEGIN")
        self.alone = False

    def change(self, text: str, parameters: Any = None) -> sa.CursorResult[Any]:
        """A prepared text that changes something; counts rows.

        Raises OutcomeUnknown: without a transaction, which makes it commit by itself, and the connection was lost meanwhile.
        """
        with outcome_known() if self.alone else nullcontext():
            return self.connection.exec_driver_sql(text, parameters, execution_options=_COUNTED)

    def all(self, statement: sa.Executable, parameters: Any = None) -> Sequence[sa.Row[tuple[Any, ...]]]:
        return self.connection.execute(statement, parameters).all()

    def tuples(self, statement: sa.Executable, parameters: Any = None) -> Sequence[tuple[Any, ...]]:
        """As `all`, for who takes rows apart by place: the hot way to read many."""
        return self.connection.execute(statement, parameters).all()

    def rows(self, text: str, parameters: Mapping[str, Any]) -> Sequence[tuple[Any, ...]]:
        """What the driver gives for its own text, past the result of SQLAlchemy, which takes longer to make than many a statement
        runs. Its listeners hear of the statement, and errors are its own, as always.
        """
        connection = self.connection
        if not connection.in_transaction():
            connection.begin()
        cursor = connection.connection.cursor()
        try:
            connection._cursor_execute(cursor, text, parameters)  # noqa: SLF001  (as it runs its own)
            try:
                found: Sequence[tuple[Any, ...]] = cursor.fetchall()
            except Exception as error:  # noqa: BLE001  (it raises what this means)
                connection._handle_dbapi_exception(error, text, parameters, cursor, None)  # noqa: SLF001
            return found
        finally:
            cursor.close()

    def by_ids(self, query: sa.Select[Any], column: sa.ColumnElement[Any], ids: Sequence[int]) -> list[sa.Row[tuple[Any, ...]]]:
        """The rows whose `column`, which each has as `id`, is one of `ids`, in their order. No statement without ids."""
        rows = {row.id: row for row in self.all(query.where(column.in_(ids)))} if ids else {}
        return [rows[id] for id in ids if id in rows]

    def first(self, statement: sa.Executable, parameters: Any = None) -> sa.Row[tuple[Any, ...]] | None:
        return self.connection.execute(statement, parameters).first()

    def scalar(self, statement: sa.Executable, parameters: Any = None) -> Any:
        return self.connection.execute(statement, parameters).scalar()

    def scalars(self, statement: sa.Executable, parameters: Any = None) -> list[Any]:
        return list(self.connection.execute(statement, parameters).scalars())

    def next_ids(self, kind: str, n: int = 1) -> Sequence[int]:
        """Ids never given before; see `registry/db/ids.py`."""
        return ids.next_ids(self, kind, n)

    def next_id(self, kind: str) -> int:
        return ids.next_ids(self, kind, 1)[0]

    def next_ids_of(self, wanted: Mapping[str, int]) -> Mapping[str, Sequence[int]]:
        """So many of each kind."""
        return ids.next_ids_of(self, wanted)

    def insert(self, table: sa.Table, rows: Row | Sequence[Row]) -> None:
        """Rows of one shape. A unique key that is met raises SQLAlchemy's IntegrityError."""
        if isinstance(rows, Mapping):
            self.connection.execute(_plain_insert(table), dict(rows))
        elif rows:
            self.insert_rows(table, rows)

    def insert_ignore(self, table: sa.Table, rows: Sequence[Row]) -> int:
        """Insert rows of one shape but those that meet a unique key; how many went in.

        On a database server waits for a transaction that is writing the same key, so give rows in an order that all writers
        of the table share.

        Raises:
            InvalidArgument: a value does not fit its column (MariaDB and MySQL; the others raise SQLAlchemy's DataError).
        """
        if not rows:
            return 0
        if self.dialect in {"mysql", "mariadb"}:
            return sum(self._insert_ignore_mysql(table, batch) for batch in _single_statements(rows))
        return self.insert_rows(table, rows, _ignored)

    def _insert_ignore_mysql(self, table: sa.Table, rows: Sequence[Row]) -> int:
        """ON DUPLICATE KEY cannot count what went in, IGNORE can; but IGNORE also cuts what does not fit, with a warning.

        A row skipped for its key is one warning. Any further one means that a value was changed.
        """
        result = self.connection.execute(
            mysql.insert(table).prefix_with("IGNORE"), list(rows), execution_options={"preserve_rowcount": True}
        )
        inserted = max(0, result.rowcount)
        if result.context.cursor.warning_count > len(rows) - inserted:
            for _level, code, message in self.connection.exec_driver_sql("SHOW WARNINGS").all():
                if code != _MYSQL_DUPLICATE:
                    raise InvalidArgument(f"{table.name}: {message}")
            raise InvalidArgument(f"{table.name}: a value does not fit its column")
        return inserted

    def insert_if_absent(self, table: sa.Table, row: Row) -> bool:
        """True if the row went in, False if a unique key was taken."""
        return self.insert_ignore(table, [row]) == 1

    def upsert(self, table: sa.Table, rows: Sequence[Row], *, key: Sequence[str], update: Sequence[str]) -> None:
        """Insert, or set `update` columns where the primary key `key` is taken. Keys are unique in `rows`.

        Writes in key order, so that two writers cannot lock each other out.
        """
        if not rows:
            return
        ordered = sorted(rows, key=lambda row: tuple(row[name] for name in key))

        def conflict(insert: Any) -> Any:
            if self.dialect in {"mysql", "mariadb"}:
                return insert.on_duplicate_key_update({name: insert.inserted[name] for name in update})
            return insert.on_conflict_do_update(
                index_elements=[table.c[name] for name in key], set_={name: insert.excluded[name] for name in update}
            )

        self.insert_rows(table, ordered, conflict)

    def insert_rows(self, table: sa.Table, rows: Sequence[Row], conflict: Callable[[Any], Any] = lambda insert: insert) -> int:
        """Insert rows of one shape, at least one, in their order; how many went in.

        `conflict` is given the dialect's own INSERT and says what happens where a key is taken.
        """
        if len(rows) == 1 and conflict is _ignored:
            statement, parameters = _ignoring_insert(table, self.dialect), rows[0]
        else:
            statement, parameters = self._insert(table, rows)
            statement = conflict(statement)
        result = self.connection.execute(statement, parameters, execution_options={"preserve_rowcount": True})
        return max(0, result.rowcount)

    def _insert(self, table: sa.Table, rows: Sequence[Row]) -> tuple[Any, Any]:
        if self.dialect in {"mysql", "mariadb"}:
            return mysql.insert(table), list(rows)
        if self.dialect == "sqlite":
            return sqlite.insert(table), list(rows)
        if len(rows) < _ARRAYS_FROM:
            return postgresql.insert(table), list(rows)
        # psycopg would send each row as a statement of its own: the columns go as arrays instead.
        names = list(rows[0])
        arrays = {f"all_{name}": _column(table.c[name], [row[name] for row in rows]) for name in names}
        unnested = [sa.func.unnest(sa.bindparam(f"all_{name}", type_=_array_of(table.c[name]))) for name in names]
        return postgresql.insert(table).from_select(names, sa.select(*unnested), include_defaults=False), arrays

    def lock(self, table: sa.Table, node_ids: Iterable[int]) -> None:
        """Lock the rows in id order until the transaction ends. SQLite has one writer and needs none."""
        wanted = sorted(set(node_ids))
        if self.dialect != "sqlite" and wanted:
            self.connection.execute(sa.select(table.c.id).where(table.c.id.in_(wanted)).order_by(table.c.id).with_for_update())

    def after_commit(self, action: Callable[[], None]) -> None:
        """Run once the transaction has committed; never if it has not. Its failure is logged: the change is there already."""
        self._after_commit.append(action)

    def committed(self) -> None:
        """For the runner: run what waited for the commit."""
        for action in self._after_commit:
            try:
                action()
            except Exception:  # noqa: BLE001  (the callers' commit stands whatever it is)
                _log.exception("an action after a commit failed; the commit stands")
        self._after_commit.clear()


def _ignored(insert: Any) -> Any:
    return insert.on_conflict_do_nothing()


# To make a statement costs more than to run it: those of every call are made once.


@cache
def _plain_insert(table: sa.Table) -> sa.Insert:
    return table.insert()


@cache
def _ignoring_insert(table: sa.Table, dialect: str) -> Any:
    return _ignored(sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table))


def _array_of(column: sa.Column[Any]) -> postgresql.ARRAY[Any]:
    """Texts as TEXT: a cast to VARCHAR(n) would cut what is too long instead of refusing it."""
    return postgresql.ARRAY(sa.Text() if isinstance(column.type, sa.String) else column.type)


def _column(column: sa.Column[Any], values: list[Any]) -> list[Any]:
    """Enumerations of integers as integers, which psycopg would write by name, and doubles as doubles: it takes no mixed list."""
    if isinstance(column.type, sa.Integer | sa.Double):
        plain = int if isinstance(column.type, sa.Integer) else float
        return [None if value is None else plain(value) for value in values]
    return values


def _single_statements(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Runs of rows that PyMySQL sends as one statement each; nearly always all of them."""
    start = size = 0
    for number, row in enumerate(rows):
        # At most four bytes a character, escaped or encoded; a number is shorter than 32.
        width = sum(4 * len(value) + 16 if isinstance(value, str | bytes) else 32 for value in row.values())
        if size + width > _STATEMENT_BYTES and number > start:
            yield rows[start:number]
            start, size = number, 0
        size += width
    yield rows[start:]
