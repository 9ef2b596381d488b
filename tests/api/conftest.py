from tests.databases import database_url
from tests.servers import docs_server, http, server
from tests.services.mariadb import mariadb_dsn, mariadb_server
from tests.services.postgres import postgres_dsn, postgres_server

__all__ = [
    "database_url",
    "docs_server",
    "http",
    "mariadb_dsn",
    "mariadb_server",
    "postgres_dsn",
    "postgres_server",
    "server",
]
