"""Each fault once, on each database and store, and kill -9 `LINEAL_FAULT_KILLS` times; `make faults` has the figures."""

import os
from pathlib import Path

import pytest

from tests.faults import cases
from tests.faults.cases import Case, Stage, small_disk, staged
from tests.faults.databases import MissingTool, Postgres, Sqlite
from tests.faults.load import Verdict
from tests.faults.proxy import Proxy
from tests.mlflow.conftest import mlflow_python
from tests.services.minio import minio_server
from tests.services.s3 import S3Server
from tests.services.seaweedfs import seaweedfs_server

__all__ = ["minio_server", "mlflow_python", "seaweedfs_server"]


def nothing_lost(found: Verdict) -> None:
    assert (found.lost, found.doubled) == ([], [])
    assert found.writes > 0


@pytest.mark.parametrize("case", cases.ON_EVERY_DATABASE.values(), ids=cases.ON_EVERY_DATABASE)
def test_nothing_acknowledged_is_lost_or_doubled(stage: Stage, case: Case) -> None:
    nothing_lost(case(stage))


@pytest.mark.parametrize("number", range(int(os.environ.get("LINEAL_FAULT_KILLS") or 1)))
def test_a_killed_server_loses_nothing(stage: Stage, number: int) -> None:
    nothing_lost(cases.kill_server(stage))


@pytest.mark.parametrize("number", range(int(os.environ.get("LINEAL_FAULT_KILLS") or 1)))
def test_a_killed_server_loses_nothing_that_mlflows_client_logged(stage: Stage, mlflow_python: Path, number: int) -> None:
    nothing_lost(cases.kill_server(stage.with_client(mlflow_python)))


def test_a_killed_database_loses_nothing_that_mlflows_client_logged(stage: Stage, mlflow_python: Path) -> None:
    if isinstance(stage.database, Postgres):
        nothing_lost(cases.kill_database(stage.with_client(mlflow_python)))


def test_a_killed_database_loses_nothing_and_needs_no_restart_of_ours(stage: Stage) -> None:
    if stage.database.can_die:
        nothing_lost(cases.kill_database(stage))


def test_a_full_disk_is_507_and_leaves_nothing(tmp_path: Path) -> None:
    try:
        with small_disk(tmp_path / "disk", 48) as folder, staged(Sqlite(folder), folder) as made:
            nothing_lost(cases.disk_full(made))
    except MissingTool as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("kind", ["minio_server", "seaweedfs_server"])
def test_an_object_store_that_goes_away_loses_nothing(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    server: S3Server = request.getfixturevalue(kind)
    host, _, port = server.endpoint.removeprefix("http://").partition(":")
    with Proxy((host, int(port))) as proxy:
        store = S3Server(proxy.url).url(f"faults-{kind.partition('_')[0]}")
        with staged(Sqlite(tmp_path), tmp_path, store=store, environ=server.environ) as made:
            nothing_lost(cases.store_away(made, proxy))
