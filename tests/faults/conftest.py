"""The stage of a test: our server on each database, as processes that may be killed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.cases import Stage, staged
from tests.faults.databases import KINDS, Database, MissingTool


@pytest.fixture(scope="module", params=list(KINDS))
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("faults")
    for parent in (folder, *folder.parents):  # a database server runs as another user
        if parent.owner() == folder.owner() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    database: Database = KINDS[request.param](folder)
    try:
        with staged(database, folder) as made:
            yield made
    except MissingTool as missing:
        pytest.skip(str(missing))
    finally:
        database.stop()
