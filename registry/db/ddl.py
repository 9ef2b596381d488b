"""DDL that can be repeated: MariaDB and MySQL do not roll it back, so a migration that was cut off runs again from its start."""

import sqlalchemy as sa
from sqlalchemy.schema import CreateColumn, CreateIndex, CreateTable


def create_table_if_missing(connection: sa.Connection, table: sa.Table) -> None:
    """The table, then each of its indexes that is missing: a crash may have come between them."""
    if not sa.inspect(connection).has_table(table.name):
        connection.execute(CreateTable(table))
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        add_index_if_missing(connection, index)


def add_index_if_missing(connection: sa.Connection, index: sa.Index) -> None:
    """By name; an index of that name with other columns is taken for this one."""
    assert index.table is not None and index.name is not None, "an index of a table, with a name"  # noqa: PT018, S101
    present = {found["name"] for found in sa.inspect(connection).get_indexes(index.table.name)}
    if str(index.name) not in present:
        connection.execute(CreateIndex(index))


def add_column_if_missing(connection: sa.Connection, column: sa.Column[object]) -> None:
    """A column that is nullable or has a server default: the previous version goes on inserting without it."""
    table = column.table
    if column.name in {found["name"] for found in sa.inspect(connection).get_columns(table.name)}:
        return
    preparer = connection.dialect.identifier_preparer
    definition = CreateColumn(column).compile(dialect=connection.dialect)
    connection.exec_driver_sql(f"ALTER TABLE {preparer.format_table(table)} ADD COLUMN {definition}")


def drop_table_if_there(connection: sa.Connection, name: str) -> None:
    quoted = connection.dialect.identifier_preparer.quote(name)
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS {quoted}")
