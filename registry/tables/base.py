"""The shared metadata, the column types that behave alike on every database, and the common columns of nodes."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    },
)

# Names compare byte for byte: MariaDB's plain _bin collation ignores trailing spaces, and PostgreSQL's default one does
# not sort by code point.
_MARIADB_BINARY = "utf8mb4_nopad_bin"
_MYSQL_BINARY = "utf8mb4_0900_bin"


def text(length: int) -> sa.types.TypeEngine[str]:
    """A string of at most `length` characters that can be a key."""
    return (
        sa.String(length)
        .with_variant(sa.String(length, collation="C"), "postgresql")
        .with_variant(mysql.VARCHAR(length, charset="utf8mb4", collation=_MARIADB_BINARY), "mariadb")
        .with_variant(mysql.VARCHAR(length, charset="utf8mb4", collation=_MYSQL_BINARY), "mysql")
    )


Name = text(512)
ShortName = text(255)
Prefix = text(200)
"""The first 200 characters of a value: what its index holds."""

Hash = text(64)
"""64 lowercase hex characters."""

LongText: sa.types.TypeEngine[str] = (
    sa.Text()
    .with_variant(sa.Text(collation="C"), "postgresql")
    .with_variant(mysql.LONGTEXT(charset="utf8mb4", collation=_MARIADB_BINARY), "mariadb")
    .with_variant(mysql.LONGTEXT(charset="utf8mb4", collation=_MYSQL_BINARY), "mysql")
)
Blob: sa.types.TypeEngine[bytes] = sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")
Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Millis = sa.BigInteger()
"""Milliseconds since 1970-01-01 UTC."""
Small = sa.SmallInteger()
Real: sa.types.TypeEngine[float] = sa.Double()


def table(name: str, *parts: Any, **options: Any) -> sa.Table:
    """A table of the shared metadata; clustered by its primary key where the database can (SQLite: WITHOUT ROWID)."""
    return sa.Table(name, metadata, *parts, mysql_engine="InnoDB", mariadb_engine="InnoDB", **options)


def column(name: str, kind: Any, *, null: bool = False, **options: Any) -> sa.Column[Any]:
    """A column that is NOT NULL unless `null`."""
    return sa.Column(name, kind, nullable=null, **options)


def key_id(name: str = "id") -> sa.Column[Any]:
    """A primary key whose values come from `session.next_ids`, never from the database."""
    return sa.Column(name, Id, primary_key=True, autoincrement=False, nullable=False)


def where_given(name: str) -> sa.Index:
    """An index of the column's values, without the rows that have none where the database can: most have none, and each would
    be an entry more to write.
    """
    given = sa.column(name).is_not(None)
    return sa.Index(None, name, sqlite_where=given, postgresql_where=given)
