"""Bringing a database to the schema of this version; the only place that runs Alembic.

Safe for many replicas that start at once: an advisory lock lets one migrate while the others wait and then find it done. On
SQLite the lock is the file's (`Database.hold`), taken by whoever opened it to serve or migrate.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from registry.db.engine import Database
from registry.errors import Unavailable

_LOCK_NAME = "lineal-migrate"
_LOCK_NUMBER = 7301_0001


def scripts() -> Path:
    """The migrations: of the checkout, or carried inside the wheel."""
    checkout = Path(__file__).parent.parent / "migrations"
    return checkout if (checkout / "env.py").exists() else Path(__file__).parent / "_migrations"


def upgrade(database: Database, revision: str = "head") -> None:
    """To `revision`; does nothing where the database is there already.

    Raises:
        Unavailable: a newer version has migrated this database, or another process migrates it for longer than ten minutes.
    """
    _run(database, "upgrade", revision)


def downgrade(database: Database, revision: str) -> None:
    _run(database, "downgrade", revision)


def current(database: Database) -> str | None:
    """The revision the database is at; None for an empty one."""
    from alembic.migration import MigrationContext

    with database.reader.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head() -> str | None:
    """The revision that this version of the server wants."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(scripts())).get_current_head()


def is_current(database: Database) -> bool:
    return current(database) == head()


def _run(database: Database, direction: str, revision: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    with alone(database) as connection:
        config.attributes["connection"] = connection
        try:
            (command.upgrade if direction == "upgrade" else command.downgrade)(config, revision)
        except CommandError as error:
            raise Unavailable(f"{database} cannot be migrated by this version: {error}") from error


@contextmanager
def alone(database: Database) -> Iterator[sa.Connection]:
    """A connection on which nobody else migrates; commits at the end. The lock dies with the process."""
    with database.writer.connect() as connection:
        if database.is_sqlite:
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # all or nothing, and one flush for all tables
            yield connection
            connection.commit()
            return
        with _advisory_lock(connection):
            yield connection
            connection.commit()


@contextmanager
def _advisory_lock(connection: sa.Connection) -> Iterator[None]:
    dialect = connection.dialect.name
    if dialect == "postgresql":
        take, give = f"SELECT pg_advisory_lock({_LOCK_NUMBER})", f"SELECT pg_advisory_unlock({_LOCK_NUMBER})"
        connection.exec_driver_sql("SET lock_timeout = 0")
        connection.exec_driver_sql("SET statement_timeout = 0")
    else:
        take, give = f"SELECT GET_LOCK('{_LOCK_NAME}', 600)", f"SELECT RELEASE_LOCK('{_LOCK_NAME}')"
        if dialect == "mariadb":
            connection.exec_driver_sql("SET SESSION max_statement_time = 0")  # it counts waiting for the lock as well
    taken = connection.exec_driver_sql(take).scalar()
    connection.commit()
    if dialect != "postgresql" and taken != 1:
        raise Unavailable("another process has been migrating the database for ten minutes")
    try:
        yield
    finally:
        connection.rollback()
        connection.exec_driver_sql(give)
        connection.commit()
        connection.invalidate()  # its timeouts were changed
