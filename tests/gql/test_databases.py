"""The same operations give the same on PostgreSQL and MariaDB; `test_operations.py` and `test_lists.py` run them on SQLite."""

from collections.abc import Callable, Iterator

import httpx
import pytest

from registry.catalog import relations
from registry.settings import Settings
from tests.gql import test_lists as lists
from tests.gql import test_operations as operations
from tests.gql.world import World
from tests.servers import Served, serving

Test = Callable[[httpx.Client, World], None]
TESTS: list[Test] = [
    operations.test_run,
    operations.test_run_with_its_values,
    operations.test_run_metrics,
    operations.test_search_runs,
    operations.test_models,
    operations.test_model,
    operations.test_version,
    operations.test_lineage,
    operations.test_lineage_paths,
    operations.test_impact,
    operations.test_artifact,
    operations.test_artifact_that_is_a_dataset_s_version,
    operations.test_experiments,
    operations.test_deployments,
    lists.test_lists_inside_records_have_pages_too,
    lists.test_moves_and_uses_have_pages_too,
]


@pytest.fixture(scope="module", params=["postgres_dsn", "mariadb_dsn"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    dsn = str(request.getfixturevalue(request.param))
    with serving(Settings(data_dir=str(tmp_path_factory.mktemp("data")), db=dsn)) as served:
        yield served


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.__name__)
def test_an_operation_gives_the_same(http: httpx.Client, world: World, test: Test) -> None:
    test(http, world)


@pytest.mark.parametrize(
    "test", [operations.test_run, operations.test_model, operations.test_experiments], ids=lambda test: test.__name__
)
def test_many_owners_are_asked_together_for_the_same(
    http: httpx.Client, world: World, monkeypatch: pytest.MonkeyPatch, test: Test
) -> None:
    monkeypatch.setattr(relations, "FEW", 0)

    test(http, world)
