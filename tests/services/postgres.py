"""PostgreSQL, reached by `LINEAL_TEST_POSTGRES`: a SQLAlchemy DSN whose role may create databases."""

from collections.abc import Iterator

import pytest

from tests.services.databases import fresh_database
from tests.services.servers import required

CREATE = ("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'",)
DROP = "DROP DATABASE IF EXISTS {name} WITH (FORCE)"


@pytest.fixture(scope="session")
def postgres_server() -> str:
    """The DSN as it is set: for tests of the server itself."""
    return required("LINEAL_TEST_POSTGRES", "a SQLAlchemy URL to PostgreSQL 15 or later, of a role that may create databases")


@pytest.fixture(scope="module")
def postgres_dsn(postgres_server: str) -> Iterator[str]:
    """An empty database for the module; with pytest-xdist, for the module on this worker."""
    with fresh_database(postgres_server, CREATE, DROP) as dsn:
        yield dsn
