import httpx
import pytest

from tests.gql.world import World, make_world
from tests.servers import http, server
from tests.services.mariadb import mariadb_dsn, mariadb_server
from tests.services.postgres import postgres_dsn, postgres_server

__all__ = ["http", "mariadb_dsn", "mariadb_server", "postgres_dsn", "postgres_server", "server"]


@pytest.fixture(scope="module")
def world(http: httpx.Client) -> World:
    return make_world(http)
