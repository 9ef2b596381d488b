"""Bringing a database to the schema of this version; the only place that runs Alembic.

A database that is at it, or empty, is done without Alembic, whose import would be a tenth of the server's start: an empty one is
made as the tables say, which tests hold against the migrations.

Safe for many replicas that start at once: an advisory lock lets one migrate while the others wait and then find it done. On
SQLite the lock is the file's (`Database.hold`), taken by whoever opened it to serve or migrate.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from registry.db.ddl import create_table_if_missing
from registry.db.engine import Database
from registry.db.ids import create_id_sources
from registry.errors import Unavailable
from registry.tables import metadata

HEAD = "0001"
"""The revision that this version of the server wants: the last one under migrations/versions."""

_version = sa.Table("alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32), nullable=False))
_version.append_constraint(sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"))

_LOCK_NAME = "lineal-migrate"
_LOCK_NUMBER = 7301_0001


def scripts() -> Path:
    """The migrations: of the checkout, or carried inside the wheel."""
    checkout = Path(__file__).parent.parent / "migrations"
    return checkout if (checkout / "env.py").exists() else Path(__file__).parent / "_migrations"


def upgrade(database: Database) -> None:
    """To this version's schema; does nothing where the database is there already.

    Raises:
        Unavailable: a newer version has migrated this database, or another process migrates it for longer than ten minutes.
    """
    if not is_current(database) and not _made_anew(database):
        migrate(database)


def migrate(database: Database) -> None:
    """To this version's schema by every migration from where it is, an empty database too. Raises as `upgrade`."""
    _run(database, "upgrade", "head")


def downgrade(database: Database, revision: str) -> None:
    _run(database, "downgrade", revision)


def current(database: Database) -> str | None:
    """The revision the database is at; None for an empty one."""
    with database.reader.connect() as connection:
        return _revision(connection)


def is_current(database: Database) -> bool:
    return current(database) == HEAD


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table(_version.name):
        return None
    found: str | None = connection.execute(sa.select(_version.c.version_num)).scalar()
    return found


def _made_anew(database: Database) -> bool:
    """Make the tables of a database without a revision, also where a start was cut off in the midst. False: it has one."""
    with alone(database) as connection:
        if _revision(connection) is not None:
            return False
        create_id_sources(connection)
        for table in (*metadata.sorted_tables, _version):
            create_table_if_missing(connection, table)
        connection.execute(_version.insert().values(version_num=HEAD))
    return True


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
