"""The three databases as one fixture: a test that takes `database_url` runs on SQLite, PostgreSQL and MariaDB."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from registry import migrate
from registry.catalog.workspaces import bootstrap
from registry.db.engine import open_database
from registry.db.runner import Runner

DIALECTS = ("sqlite", "postgresql", "mariadb")


@pytest.fixture(scope="module", params=DIALECTS)
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An empty database of its own for the module."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('db') / 'lineal.db'}"
    return str(request.getfixturevalue({"postgresql": "postgres_dsn", "mariadb": "mariadb_dsn"}[request.param]))


@pytest.fixture(scope="module")
def runner(database_url: str) -> Iterator[Runner]:
    """On a migrated database with the default workspace."""
    with started(database_url) as made:
        yield made


class started:  # noqa: N801  (reads as a verb where it is used)
    """A runner on a migrated database; closed at the end."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __enter__(self) -> Runner:
        database = open_database(self.url)
        database.hold()
        migrate.upgrade(database)
        self.runner = Runner(database)
        self.runner.write(lambda session: bootstrap(session, now=1))
        return self.runner

    def __exit__(self, *_error: object) -> None:
        self.runner.close()


def sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder / 'lineal.db'}"
