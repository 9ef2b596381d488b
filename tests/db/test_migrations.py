"""One chain of migrations for three databases; many servers may start at once; SQLite takes one."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from registry import migrate
from registry.db.engine import Database, open_database
from registry.db.runner import Runner
from registry.errors import InvalidArgument, Unavailable
from registry.tables import metadata
from registry.tables.graph import names
from tests.databases import sqlite_url

START = """
import sys
from registry import migrate
from registry.db.engine import open_database
from registry.db.runner import Runner
from registry.errors import RegistryError
try:
    database = open_database(sys.argv[1])
    database.hold()
    migrate.upgrade(database)
    print("current" if migrate.is_current(database) else "behind", flush=True)
    sys.stdin.read()
except RegistryError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def database(database_url: str) -> Database:
    return open_database(database_url)


def test_upgrade_downgrade_upgrade_with_data(database: Database) -> None:
    migrate.upgrade(database)
    runner = Runner(database)
    runner.write(lambda session: session.insert(names, {"id": 1, "name": "kept until the downgrade"}))

    migrate.downgrade(database, "base")
    left = set(sa.inspect(database.writer).get_table_names()) - {"alembic_version"}
    migrate.upgrade(database)

    assert left == set()
    assert migrate.is_current(database)
    assert runner.read(lambda session: session.scalar(sa.select(sa.func.count()).select_from(names))) == 0
    runner.close()


def test_the_migrated_database_is_what_the_tables_say(database: Database) -> None:
    if migrate.current(database) is not None:
        migrate.downgrade(database, "base")
    migrate.migrate(database)
    with database.writer.connect() as connection:
        options = {"include_name": lambda name, kind, _parents: kind != "table" or not str(name).startswith(("ids_", "id_marks"))}
        differences = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    database.close()

    assert differences == []


def test_eight_servers_started_at_once_find_one_schema_or_are_refused_on_sqlite(database: Database, database_url: str) -> None:
    migrate.downgrade(database, "base") if migrate.current(database) else None
    database.close()

    started = [
        subprocess.Popen(
            [sys.executable, "-c", START, database_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for _ in range(8)
    ]
    words = []
    for process in started:
        assert process.stdout is not None
        words.append(process.stdout.readline().strip())
    refusals = [process.communicate("")[1] for process in started]

    serving = words.count("current")
    assert serving == (1 if database.is_sqlite else 8)
    if database.is_sqlite:
        assert sum("is in use by process" in refusal for refusal in refusals) == 7


def test_a_second_server_on_one_sqlite_file_is_refused(tmp_path: Path) -> None:
    first, second = open_database(sqlite_url(tmp_path)), open_database(sqlite_url(tmp_path))
    first.hold()

    with pytest.raises(Unavailable, match="in use by process"):
        second.hold()

    first.close()
    second.hold()
    second.close()


def test_a_second_server_is_refused_by_whichever_link_it_comes(tmp_path: Path) -> None:
    first = open_database(sqlite_url(tmp_path))
    first.hold()
    first.writer.connect().close()
    (tmp_path / "link.db").symlink_to(tmp_path / "lineal.db")
    second = open_database(f"sqlite:///{tmp_path / 'link.db'}")

    with pytest.raises(Unavailable, match="in use by process"):
        second.hold()

    first.close()


def test_a_folder_that_is_not_there_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="No such file"):
        open_database(sqlite_url(tmp_path / "missing")).hold()


def test_a_migration_that_was_cut_off_is_finished_by_the_next_start(database: Database) -> None:
    migrate.upgrade(database)
    index = next(index for table in metadata.sorted_tables for index in table.indexes)
    with database.writer.connect() as connection:
        index.drop(connection)
        connection.execute(sa.text("DELETE FROM alembic_version"))
        connection.commit()

    migrate.upgrade(database)

    assert index.table is not None
    assert index.name in {found["name"] for found in sa.inspect(database.writer).get_indexes(index.table.name)}
    assert migrate.is_current(database)
    database.close()


def test_a_database_of_a_newer_version_is_refused_and_left_as_it_is(database: Database) -> None:
    migrate.upgrade(database)
    with database.writer.connect() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        connection.commit()

    with pytest.raises(Unavailable, match="9999"):
        migrate.upgrade(database)
    left = migrate.current(database)
    with database.writer.connect() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :head"), {"head": migrate.HEAD})
        connection.commit()

    assert left == "9999"
    database.close()


def test_waiting_for_another_migration_is_no_slow_statement(database: Database, database_url: str) -> None:
    if database.is_sqlite:
        return
    migrate.upgrade(database)
    with database.writer.begin() as connection:
        connection.exec_driver_sql("DELETE FROM alembic_version")
    impatient = open_database(database_url, statement_timeout_s=0.5)
    done = threading.Event()

    def wait_and_find() -> None:
        migrate.upgrade(impatient)
        done.set()

    with migrate.alone(database):
        waiting = threading.Thread(target=wait_and_find)
        waiting.start()
        early = done.wait(1.5)
    waiting.join(20)

    assert not early
    assert done.is_set()
    impatient.close()
    database.close()


def test_an_empty_database_is_made_as_the_migrations_make_it(database: Database) -> None:
    def described() -> dict[str, object]:
        found = sa.inspect(database.writer)
        return {
            name: (
                [(column["name"], str(column["type"]), column["nullable"]) for column in found.get_columns(name)],
                found.get_pk_constraint(name)["constrained_columns"],
                sorted((str(index["name"]), index["column_names"], index["unique"]) for index in found.get_indexes(name)),
            )
            for name in found.get_table_names()
        }

    migrate.upgrade(database)
    anew = described()
    migrate.downgrade(database, "base")
    migrate.migrate(database)

    assert described() == anew
    assert len(anew) > len(metadata.tables)
    database.close()


def test_the_head_is_the_last_migration() -> None:
    assert ScriptDirectory(str(migrate.scripts())).get_current_head() == migrate.HEAD


def test_alembic_on_the_command_line_uses_the_same_migrations(tmp_path: Path) -> None:
    script = "import sys; from alembic.config import main; main(argv=sys.argv[1:])"
    (tmp_path / "alembic.ini").write_text(f"[alembic]\nscript_location = {migrate.scripts()}\n")

    subprocess.run(
        [sys.executable, "-c", script, "-c", str(tmp_path / "alembic.ini"), "upgrade", "head"],
        check=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "LINEAL_DB": sqlite_url(tmp_path)},
    )

    database = open_database(sqlite_url(tmp_path))
    assert migrate.is_current(database)
    database.close()


@pytest.mark.parametrize("url", ["oracle://x/y", "nonsense", "sqlite://", "sqlite:///:memory:"])
def test_a_database_that_cannot_be_used_is_refused_with_the_reason(url: str) -> None:
    with pytest.raises(InvalidArgument):
        open_database(url)


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    database = open_database("postgresql://someone:secret-word@127.0.0.1:1/none")

    assert "secret-word" not in repr(database)


def test_no_unique_key_is_a_hash_on_mariadb(database: Database) -> None:
    """MariaDB silently turns a UNIQUE over 3,072 bytes into a hash that lookups cannot use."""
    if database.dialect != "mariadb":
        return
    migrate.upgrade(database)
    with database.writer.connect() as connection:
        made = [connection.exec_driver_sql(f"SHOW CREATE TABLE `{name}`").all()[0][1] for name in metadata.tables]
    database.close()

    assert made
    assert not [text for text in made if "USING HASH" in text]
