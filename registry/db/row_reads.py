"""Reads of plain rows by many ids: the text of a statement is made once per dialect, rows come as the driver gives them.

SQLAlchemy goes over a large statement at each call to see whether it has compiled it before, which costs more than to run it;
ids written into the text would have it compiled, and by the database prepared, each time. The twin of `row_inserts.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.compiler import compiles

from registry.db.row_inserts import array_text, text_array
from registry.db.session import Session

Rows = Sequence[tuple[Any, ...]]


class among(sa.ColumnElement[bool]):  # noqa: N801  (reads as a condition, like `sa.and_`)
    """True where the column, of integers or texts, is one of a list parameter; its FROM has to be said."""

    type: sa.types.TypeEngine[Any] = sa.types.NullType()  # SQLite would be asked whether a Boolean `= 1`
    inherit_cache = False

    def __init__(self, column: sa.ColumnElement[Any], name: str = "ids") -> None:
        self.column = column
        self.name = name


@compiles(among)
def _sqlite(element: among, compiler: Any, **given: Any) -> str:
    return f"{compiler.process(element.column, **given)} IN (SELECT value FROM json_each(:{element.name}))"  # noqa: S608


@compiles(among, "postgresql")
def _postgresql(element: among, compiler: Any, **given: Any) -> str:
    of = "TEXT" if isinstance(element.column.type, sa.String) else "BIGINT"
    return f"{compiler.process(element.column, **given)} = ANY(%({element.name})s::{of}[])"


@compiles(among, "mysql")
@compiles(among, "mariadb")
def _mysql(element: among, compiler: Any, **given: Any) -> str:
    """PyMySQL writes a tuple as a list of values: it knows no parameters but in the text."""
    return f"{compiler.process(element.column, **given)} IN %({element.name})s"


class RowRead:
    """A SELECT whose parameters are lists, which `among` compares with, and bind parameters by name; none that expands.

    `packed`: SQLite gives all rows as one JSON text, bytes of UTF-8 as text; no column may be a double. To fetch a row gives the
    interpreter's lock away and waits for it again, which for hundreds of rows, with other threads at work, is most of the time.
    """

    def __init__(self, make: Callable[[], sa.SelectBase], *, packed: bool = False) -> None:
        self._make = make
        self._packed = packed
        self._prepared: dict[str, tuple[str, Mapping[str, Any]]] = {}

    def run(self, session: Session, ids: Sequence[int] = (), **given: Any) -> Rows:
        """Columns by place, values as the driver has them. At least one id where they are compared with, no more than a statement
        takes: 10,000 are well.
        """
        dialect = session.dialect
        text, constants = self._prepared.get(dialect) or self._prepare(session)
        given["ids"] = ids
        lists = {
            name: _list(dialect, value)
            for name, value in given.items()
            if isinstance(value, Sequence) and not isinstance(value, str | bytes)
        }
        rows = session.rows(text, {**constants, **given, **lists})
        return orjson.loads(rows[0][0]) if self._packed and dialect == "sqlite" else rows

    def _prepare(self, session: Session) -> tuple[str, Mapping[str, Any]]:
        dialect = sqlite.dialect(paramstyle="named") if session.dialect == "sqlite" else session.connection.dialect
        statement = self._make()
        if self._packed and session.dialect == "sqlite":
            columns = statement.subquery().columns
            row = [sa.cast(one, sa.Text) if isinstance(one.type, sa.LargeBinary) else one for one in columns]
            statement = sa.select(sa.func.json_group_array(sa.func.json_array(*row)))
        compiled = statement.compile(dialect=dialect)
        made = self._prepared[session.dialect] = str(compiled), compiled.params
        return made


def _list(dialect: str, values: Sequence[int] | Sequence[str]) -> Any:
    if dialect == "sqlite":
        return orjson.dumps(list(values)).decode()
    if dialect == "postgresql":
        return text_array(values) if values and isinstance(values[0], str) else array_text(values)  # type: ignore[arg-type]
    return tuple(values)
