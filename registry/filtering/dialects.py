"""What databases do differently about text. Everything else that the compiler writes is the same on all of them.

The engine has to see to it that

- SQLite connections have `PRAGMA case_sensitive_like=ON` and the function `lineal_lower(text)` (`str.lower`; NULL stays NULL):
  SQLite's LIKE ignores the case of ASCII letters, its `lower` knows no others;
- columns compare by code point: collation "C" on PostgreSQL, `utf8mb4_nopad_bin` on MariaDB, `utf8mb4_0900_bin` on MySQL.

`prepare_sqlite` does the first for a connection of the driver.
"""

import sqlite3
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import ReturnTypeFromArgs

from registry.filtering.patterns import SQL_ESCAPE

_Stored = str | bytes | int | float | None


def prepare_sqlite(connection: sqlite3.Connection) -> None:
    """Make LIKE and ILIKE mean on this connection what they mean elsewhere."""
    connection.create_function("lineal_lower", 1, _lower, deterministic=True)
    connection.execute("PRAGMA case_sensitive_like=ON")


def _lower(value: _Stored) -> _Stored:
    return value.lower() if isinstance(value, str) else value


class lowered(ReturnTypeFromArgs[str]):  # noqa: N801  (SQLAlchemy names functions so)
    """Lower case of all letters, not only of ASCII's; compares by code point.

    Promised for ASCII, Latin-1, Greek but final sigma, and basic Cyrillic; beyond that databases differ.
    """

    inherit_cache = True


@compiles(lowered)
def _lowered(element: lowered, compiler: SQLCompiler, **options: Any) -> str:
    return f"lower({compiler.process(element.clauses, **options)})"


@compiles(lowered, "sqlite")
def _lowered_sqlite(element: lowered, compiler: SQLCompiler, **options: Any) -> str:
    return f"lineal_lower({compiler.process(element.clauses, **options)})"


@compiles(lowered, "postgresql")
def _lowered_postgresql(element: lowered, compiler: SQLCompiler, **options: Any) -> str:
    # Collation "C" lowers ASCII only; the ICU root collation is in every usual build and does not depend on the system.
    inner = compiler.process(element.clauses, **options)
    return f'(lower(({inner}) COLLATE "und-x-icu") COLLATE "C")'


def like(column: sa.ColumnElement[str], pattern: str, *, ignore_case: bool) -> sa.ColumnElement[bool]:
    """`pattern` as `Pattern.sql` gives it."""
    bound: sa.ColumnElement[str] = sa.bindparam(None, pattern, type_=sa.Text())
    if ignore_case:
        # Both sides in the database: its idea of lower case need not be Python's.
        return lowered(column).like(lowered(bound), escape=SQL_ESCAPE)
    return column.like(bound, escape=SQL_ESCAPE)
