import pytest

from registry.catalog.actors import Actor
from registry.catalog.workspaces import get_workspace
from registry.db.runner import Runner
from registry.names import Role
from tests.databases import database_url, runner
from tests.services.mariadb import mariadb_dsn, mariadb_server
from tests.services.postgres import postgres_dsn, postgres_server

__all__ = ["actor", "database_url", "mariadb_dsn", "mariadb_server", "postgres_dsn", "postgres_server", "runner"]


@pytest.fixture(scope="module")
def actor(runner: Runner) -> Actor:
    """An administrator of the default workspace."""
    workspace = runner.read(lambda session: get_workspace(session, "default"))
    return Actor("tester", workspace, "default", Role.ADMIN)
