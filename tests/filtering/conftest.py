from tests.catalog.conftest import actor
from tests.databases import database_url, runner
from tests.filtering.store import store
from tests.services.mariadb import mariadb_dsn, mariadb_server
from tests.services.postgres import postgres_dsn, postgres_server

__all__ = ["actor", "database_url", "mariadb_dsn", "mariadb_server", "postgres_dsn", "postgres_server", "runner", "store"]
