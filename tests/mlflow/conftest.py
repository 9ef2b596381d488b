import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.settings import Settings
from tests.databases import database_url
from tests.mlflow.calling import Caller
from tests.servers import serving
from tests.services.mariadb import mariadb_dsn, mariadb_server
from tests.services.postgres import postgres_dsn, postgres_server
from tests.services.servers import required

__all__ = ["database_url", "mariadb_dsn", "mariadb_server", "postgres_dsn", "postgres_server"]
PEER = Path(__file__).parents[2] / ".venv.bench" / "bin" / "python"


@pytest.fixture(scope="module")
def door(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """An empty store behind the door, on each database."""
    with serving(Settings(data_dir=str(tmp_path_factory.mktemp("data")), db=database_url)) as served, Caller(served) as made:
        yield made


@pytest.fixture(scope="module")
def sqlite_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with serving(Settings(data_dir=str(tmp_path_factory.mktemp("data")))) as served, Caller(served) as made:
        yield made


@pytest.fixture(scope="session")
def mlflow_python() -> Path:
    """A Python with requirements/bench.txt installed: `MLFLOW_PYTHON`, or the benchmark's environment."""
    if not os.environ.get("MLFLOW_PYTHON") and PEER.exists():
        return PEER
    return Path(required("MLFLOW_PYTHON", "mlflow 3.17.2 in an environment of its own"))
