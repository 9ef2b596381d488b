"""MariaDB, reached by `LINEAL_TEST_MARIADB`: a SQLAlchemy DSN whose user may create databases."""

from collections.abc import Iterator

import pytest

from tests.services.databases import fresh_database
from tests.services.servers import required

CREATE = ("CREATE DATABASE {name} CHARACTER SET utf8mb4",)
DROP = "DROP DATABASE IF EXISTS {name}"


@pytest.fixture(scope="session")
def mariadb_server() -> str:
    """The DSN as it is set: for tests of the server itself."""
    return required("LINEAL_TEST_MARIADB", "a SQLAlchemy URL to MariaDB 10.11 or later, of a role that may create databases")


@pytest.fixture(scope="module")
def mariadb_dsn(mariadb_server: str) -> Iterator[str]:
    """An empty database for the module; with pytest-xdist, for the module on this worker."""
    with fresh_database(mariadb_server, CREATE, DROP) as dsn:
        yield dsn
