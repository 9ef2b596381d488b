"""Inserts of many plain rows: their text is made once per dialect, and rows go to the driver as they are.

SQLAlchemy prepares each call's statement and each row's values anew, which is most of the cost of a batch of 1,000 points.
Source of the array form: PostgreSQL takes a row per element of `unnest` in one statement, where executemany sends one per row.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite

from registry.db.session import Session

Plain = int | float | str | bytes | None
"""What drivers take as it is; an enumeration goes as its `int(…)`."""


@dataclass(frozen=True)
class Prepared:
    text: str
    arrays: Sequence[Callable[[Sequence[Any]], Any]]
    """PostgreSQL: per column what makes a parameter of its values."""


Conflict = Callable[[Any], Any]
"""Is given the dialect's own INSERT and says what a taken key does: with the rows' values and the table's, no others."""


def refused(insert: Any) -> Any:
    """A taken key raises SQLAlchemy's IntegrityError."""
    return insert


def ignored(insert: Any) -> Any:
    """A row whose key is taken stays out. `RowInsert.run` counts the others."""
    return insert.on_conflict_do_nothing()


def replaced(*columns: str) -> Conflict:
    """Where a key is taken these columns become the row's."""

    def conflict(insert: Any) -> Any:
        if hasattr(insert, "inserted"):  # MariaDB and MySQL
            return insert.on_duplicate_key_update({name: insert.inserted[name] for name in columns})
        keys = list(insert.table.primary_key.columns)
        return insert.on_conflict_do_update(index_elements=keys, set_={name: insert.excluded[name] for name in columns})

    return conflict


class RowInsert:
    """INSERT of rows of `names`, in that order, which is the table's."""

    def __init__(self, table: sa.Table, names: Sequence[str], conflict: Conflict = refused) -> None:
        self._table = table
        self._names = tuple(column.name for column in table.columns if column.name in names)
        if self._names != tuple(names):  # that is how SQLAlchemy writes them, whatever it is asked for
            raise ValueError(f"columns of {table.name} are given in its own order: {self._names}")
        self._conflict = conflict
        self._prepared: dict[tuple[str, bool], Prepared] = {}

    def run(self, session: Session, rows: Sequence[Sequence[Plain]]) -> int:
        """Rows in the order in which all writers of the table write; one statement.

        How many went in; where a taken key changes something, what MariaDB's and MySQL's drivers count.
        """
        if not rows:
            return 0
        if self._conflict is ignored and session.dialect in {"mariadb", "mysql"}:  # which need a way of their own to count
            return session.insert_ignore(self._table, [dict(zip(self._names, row, strict=True)) for row in rows])
        prepared = self.prepared(session)
        if session.dialect == "postgresql":
            given: Any = self.arrays(prepared, rows)
        else:
            given = list(rows) if len(rows) > 1 else rows[0]
        return max(0, session.change(prepared.text, given).rowcount)

    def arrays(self, prepared: Prepared, rows: Sequence[Sequence[Plain]]) -> dict[str, Any]:
        """PostgreSQL's parameters; their names are those of this table's alone."""
        return {
            self._array(name): array(column)
            for name, column, array in zip(self._names, zip(*rows, strict=True), prepared.arrays, strict=True)
        }

    def _array(self, name: str) -> str:
        return f"{self._table.name}_{name}"

    def prepared(self, session: Session, *, held: bool = False) -> Prepared:
        """`held`: of a statement that has `Held`."""
        return self._prepared.get((session.dialect, held)) or self._prepare(session, held)

    def _prepare(self, session: Session, held: bool) -> Prepared:
        statement = self._conflict(self._statement(session.dialect, held))
        compiled = statement.compile(dialect=session.connection.dialect, column_keys=list(self._names))
        text = str(compiled)
        if compiled.dialect.paramstyle == "pyformat" and session.dialect != "postgresql":
            text %= dict.fromkeys(self._names, "%s")  # PyMySQL takes a row's values by place, in either style
        arrays = [array_of(self._table.c[name].type) for name in self._names]
        made = self._prepared[session.dialect, held] = Prepared(text, arrays)
        return made

    def _statement(self, dialect: str, held: bool) -> Any:
        if dialect == "sqlite":
            return sqlite.insert(self._table)
        if dialect != "postgresql":
            return mysql.insert(self._table)
        types = {name: postgresql.ARRAY(element_of(self._table.c[name])) for name in self._names}
        rows = sa.select(*(sa.func.unnest(sa.bindparam(self._array(name), type_=type_)) for name, type_ in types.items()))
        if held:
            rows = rows.where(sa.literal_column(_HELD_NUMBER) == sa.bindparam("held_number", type_=sa.BigInteger()))
        return postgresql.insert(self._table).from_select(list(self._names), rows, include_defaults=False)


_HELD_NUMBER = "(SELECT count(*) FROM held)"
ALL_HELD = f"{_HELD_NUMBER} = %(held_number)s::BIGINT"
"""The condition of a change beside `Held`."""


@dataclass(frozen=True)
class Held:
    """What a statement of PostgreSQL's needs as it says: `text` selects and locks a row for each, `number` rows in all.

    Where it finds fewer, somebody has changed one of them, and the statement writes nothing.
    """

    text: str
    number: int
    given: Mapping[str, Any]


def run_together(
    session: Session,
    parts: Sequence[tuple[RowInsert, Sequence[Sequence[Plain]]]],
    also: Sequence[tuple[str, Mapping[str, Any]]] = (),
    held: Held | None = None,
) -> int:
    """Inserts into several tables, of each one; on PostgreSQL as one statement, with the changes `also`, of other rows.

    How many rows the last one wrote. With `held` (PostgreSQL; `also` has `ALL_HELD`) 0: nothing was written.
    """
    wanted = [(insert, rows) for insert, rows in parts if rows]
    if session.dialect != "postgresql" or (held is None and len(wanted) + len(also) < 2):
        written = 0
        for insert, rows in wanted:
            written = insert.run(session, rows)
        return written
    given: dict[str, Any] = {}
    texts = []
    for text, more in also:
        given |= more
        texts.append(text)
    for insert, rows in wanted:
        prepared = insert.prepared(session, held=held is not None)
        given |= insert.arrays(prepared, rows)
        texts.append(prepared.text)
    before = [f"part_{number} AS ({text})" for number, text in enumerate(texts[:-1])]
    if held is not None:
        before.insert(0, f"held AS ({held.text})")
        given |= {"held_number": held.number, **held.given}
    return max(0, session.change(f"WITH {', '.join(before)} {texts[-1]}", given).rowcount)


def element_of(column: sa.Column[Any]) -> Any:
    """Texts as TEXT: a cast to VARCHAR(n) would cut what is too long instead of refusing it."""
    return sa.Text() if isinstance(column.type, sa.String) else column.type


def array_of(type_: sa.types.TypeEngine[Any]) -> Callable[[Sequence[Any]], Any]:
    """What makes a parameter for PostgreSQL of values of that type."""
    if isinstance(type_, sa.Integer | sa.Double | sa.Float):
        return array_text
    return text_array if isinstance(type_, sa.String) else list


def text_array(column: Sequence[str | None]) -> str:
    """`{"a","b",NULL}`: psycopg's own way takes ten times as long."""
    elements = ["NULL" if value is None else f'"{value}"' for value in column]
    if any(value is not None and ('"' in value or "\\" in value) for value in column):
        elements = ["NULL" if value is None else f'"{_escaped(value)}"' for value in column]
    return f"{{{','.join(elements)}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def array_text(column: Sequence[Any]) -> str:
    """Numbers or None as `{1,2,NULL}`. The shortest text of a double that reads back as the same one is Python's own."""
    return f"{{{','.join(['NULL' if value is None else repr(value) for value in column])}}}"
