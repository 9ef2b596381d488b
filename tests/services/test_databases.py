"""The databases that tests get are empty, their own, and gone afterwards."""

import pytest
from sqlalchemy import create_engine, make_url, text

from tests.services import mariadb, postgres
from tests.services.databases import fresh_database
from tests.services.mariadb import mariadb_dsn, mariadb_server
from tests.services.postgres import postgres_dsn, postgres_server

__all__ = ["mariadb_dsn", "mariadb_server", "postgres_dsn", "postgres_server"]


def scalar(dsn: str, statement: str) -> object:
    engine = create_engine(dsn)
    try:
        with engine.connect() as connection:
            return connection.execute(text(statement)).scalar()
    finally:
        engine.dispose()


def test_a_postgres_database_is_empty_and_sorts_by_code_point(postgres_dsn: str) -> None:
    assert scalar(postgres_dsn, "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'") == 0
    assert scalar(postgres_dsn, "SELECT datcollate FROM pg_database WHERE datname = current_database()") == "C.UTF-8"


def test_a_mariadb_database_is_empty_and_takes_every_character(mariadb_dsn: str) -> None:
    tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = database()"

    assert scalar(mariadb_dsn, tables) == 0
    assert scalar(mariadb_dsn, "SELECT @@character_set_database") == "utf8mb4"


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
def test_a_database_is_gone_afterwards(request: pytest.FixtureRequest, kind: str) -> None:
    server: str = request.getfixturevalue(f"{kind}_server")
    module = {"postgres": postgres, "mariadb": mariadb}[kind]

    with fresh_database(server, module.CREATE, module.DROP) as dsn:
        name = make_url(dsn).database
        assert scalar(dsn, "SELECT 1") == 1

    names = {
        "postgres": "SELECT count(*) FROM pg_database WHERE datname = ",
        "mariadb": "SELECT count(*) FROM information_schema.schemata WHERE schema_name = ",
    }
    assert scalar(server, f"{names[kind]}'{name}'") == 0
