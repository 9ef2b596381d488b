from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.settings import Settings
from tests.databases import database_url
from tests.mlmd.door import Door
from tests.servers import serving
from tests.services.mariadb import mariadb_dsn, mariadb_server
from tests.services.postgres import postgres_dsn, postgres_server
from tests.services.servers import required

__all__ = ["database_url", "mariadb_dsn", "mariadb_server", "postgres_dsn", "postgres_server"]


@pytest.fixture(scope="module")
def door(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """An empty store behind a door, on each database."""
    settings = Settings(data_dir=str(tmp_path_factory.mktemp("data")), db=database_url, grpc="127.0.0.1:0")
    with serving(settings) as served, Door(served) as made:
        yield made


@pytest.fixture(scope="module")
def sqlite_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    settings = Settings(data_dir=str(tmp_path_factory.mktemp("data")), grpc="127.0.0.1:0")
    with serving(settings) as served, Door(served) as made:
        yield made


@pytest.fixture(scope="session")
def reference_python() -> Path:
    """A Python with requirements/mlmd.txt installed."""
    return Path(required("MLMD_PYTHON", "ml-metadata 1.17.1 in an environment of its own"))
