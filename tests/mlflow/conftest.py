import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.settings import Settings
from tests.databases import database_url
from tests.mlflow.calling import Caller
from tests.servers import serving
from tests.services.mariadb import mariadb_dsn, mariadb_server
from tests.services.minio import minio_server
from tests.services.postgres import postgres_dsn, postgres_server
from tests.services.s3 import S3Server
from tests.services.seaweedfs import seaweedfs_server
from tests.services.servers import required

__all__ = [
    "database_url",
    "mariadb_dsn",
    "mariadb_server",
    "minio_server",
    "postgres_dsn",
    "postgres_server",
    "seaweedfs_server",
]
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


@pytest.fixture(scope="module", params=["local", "minio", "seaweedfs"])
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """An empty store behind the door, its files in each kind of object store; links are not for clients."""
    yield from _with_files(request, tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module", params=["minio", "seaweedfs"])
def linked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """Likewise, with an object store that clients reach by links."""
    yield from _with_files(request, tmp_path_factory.mktemp("data"), linked=True)


def _with_files(request: pytest.FixtureRequest, folder: Path, *, linked: bool = False) -> Iterator[Caller]:
    with pytest.MonkeyPatch.context() as environment:
        store = ""
        if request.param != "local":
            server: S3Server = request.getfixturevalue(f"{request.param}_server")
            for name, value in server.environ.items():
                environment.setenv(name, value)
            store = server.url("mlflow", folder.name, **({"public_endpoint": server.endpoint} if linked else {}))
        with serving(Settings(data_dir=str(folder), store=store)) as served, Caller(served) as made:
            yield made


@pytest.fixture(scope="session")
def mlflow2_python() -> Path:
    """A Python with requirements/mlflow2.txt installed."""
    return Path(required("MLFLOW2_PYTHON", "mlflow-skinny 2.22.5 in an environment of its own"))


@pytest.fixture(scope="session")
def mlflow_python() -> Path:
    """A Python with requirements/bench.txt installed: `MLFLOW_PYTHON`, or the benchmark's environment."""
    if not os.environ.get("MLFLOW_PYTHON") and PEER.exists():
        return PEER
    return Path(required("MLFLOW_PYTHON", "mlflow 3.17.2 in an environment of its own"))
