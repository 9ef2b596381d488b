from collections.abc import Iterator

import pytest

from registry.settings import Settings
from tests.behaviour.agent import AgentWriter
from tests.behaviour.gql import GqlReader
from tests.behaviour.mlflow import MlflowReader, MlflowWriter
from tests.behaviour.mlmd import MlmdReader, MlmdWriter
from tests.behaviour.rest import RestReader, RestWriter
from tests.behaviour.story import Reader, Story
from tests.databases import database_url
from tests.mlflow.conftest import mlflow_python
from tests.mlmd.door import Door
from tests.servers import serving
from tests.services.mariadb import mariadb_dsn, mariadb_server
from tests.services.postgres import postgres_dsn, postgres_server

__all__ = ["database_url", "mariadb_dsn", "mariadb_server", "mlflow_python", "postgres_dsn", "postgres_server"]
WRITERS = (RestWriter, MlflowWriter, MlmdWriter, AgentWriter)
READERS = (RestReader, GqlReader, MlflowReader, MlmdReader)


@pytest.fixture(scope="module")
def door(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A server with all its doors open, on each database."""
    settings = Settings(data_dir=str(tmp_path_factory.mktemp("data")), db=database_url, grpc="127.0.0.1:0")
    with serving(settings) as served, Door(served) as made:
        yield made


@pytest.fixture(scope="module")
def told(door: Door) -> dict[str, Story]:
    """What each door has told, by its name."""
    return {writer.name: writer(door).tell() for writer in WRITERS}


@pytest.fixture(params=[writer.name for writer in WRITERS])
def story(request: pytest.FixtureRequest, told: dict[str, Story]) -> Story:
    return told[request.param]


@pytest.fixture(params=READERS, ids=lambda reader: str(reader.name))
def reader(request: pytest.FixtureRequest, door: Door) -> Reader:
    made: Reader = request.param(door)
    return made
