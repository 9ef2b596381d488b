from collections.abc import Iterator

import pytest

from registry.settings import Settings
from tests.databases import database_url
from tests.mlmd.door import Door
from tests.servers import serving
from tests.services.mariadb import mariadb_dsn, mariadb_server
from tests.services.postgres import postgres_dsn, postgres_server

__all__ = ["database_url", "mariadb_dsn", "mariadb_server", "postgres_dsn", "postgres_server"]


@pytest.fixture(scope="module")
def door(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A server with all its doors open, on each database."""
    settings = Settings(data_dir=str(tmp_path_factory.mktemp("data")), db=database_url, grpc="127.0.0.1:0")
    with serving(settings) as served, Door(served) as made:
        yield made
