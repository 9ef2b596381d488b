"""`lineal-server import mlflow`: stores that MLflow itself has written, in each of their forms, read back by its own client."""

import copy
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.mlflow.calling import Caller
from tests.mlflow.importing import Store, change, dumped, filled, imported, is_sound, killed_at, served, shown_by
from tests.services import mariadb, postgres
from tests.services.databases import fresh_database
from tests.services.servers import free_ports, required, running


@pytest.fixture(scope="module")
def tables(mlflow_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A database of MLflow 3, with a history of 10,000 points."""
    folder = tmp_path_factory.mktemp("tables")
    return filled(mlflow_python, folder, f"sqlite:///{folder / 'store.db'}", points=10_000)


@pytest.fixture(scope="module")
def folder(mlflow_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A folder of MLflow 3."""
    home = tmp_path_factory.mktemp("folder")
    return filled(mlflow_python, home, str(home / "mlruns"))


@pytest.fixture(scope="module")
def tables2(mlflow2_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A database of the last MLflow 2."""
    home = tmp_path_factory.mktemp("tables2")
    return filled(mlflow2_python, home, f"sqlite:///{home / 'store.db'}")


@pytest.fixture(scope="module")
def folder2(mlflow2_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A folder of the last MLflow 2."""
    home = tmp_path_factory.mktemp("folder2")
    return filled(mlflow2_python, home, str(home / "mlruns"))


def told(shown: dict[str, Any]) -> dict[str, Any]:
    """What MLflow's store of files reads wrongly of itself is left aside: the steps of points that a dataset belongs to."""
    found = copy.deepcopy(shown)
    for run in found["runs"].values():
        run["history"].pop("f1", None)
    return found


@pytest.mark.parametrize("form", ["tables", "folder", "tables2", "folder2"])
def test_what_mlflow_shows_of_a_store_it_shows_of_the_import(form: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    store: Store = request.getfixturevalue(form)

    report = imported(tmp_path, store.source)

    assert report == ""
    with served(tmp_path) as door:
        assert told(shown_by(store, door, tmp_path)) == told(store.shown)
        assert is_sound(door)


@pytest.mark.parametrize("into", ["postgresql", "mariadb"])
def test_it_is_the_same_in_a_database_server(tables: Store, into: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    db = str(request.getfixturevalue({"postgresql": "postgres_dsn", "mariadb": "mariadb_dsn"}[into]))

    imported(tmp_path, tables.source, db=db)

    with served(tmp_path, db) as door:
        assert told(shown_by(tables, door, tmp_path)) == told(tables.shown)
        assert is_sound(door)


def _postgres() -> tuple[str, Any, str]:
    url = required("LINEAL_TEST_POSTGRES", "a SQLAlchemy URL to PostgreSQL, of a role that may create databases")
    return url, (postgres.CREATE, postgres.DROP), "postgresql+psycopg"


def _mariadb() -> tuple[str, Any, str]:
    url = required("LINEAL_TEST_MARIADB", "a SQLAlchemy URL to MariaDB, of a role that may create databases")
    return url, (mariadb.CREATE, mariadb.DROP), "mysql+pymysql"


@pytest.mark.parametrize("server", [_postgres, _mariadb], ids=["postgresql", "mariadb"])
def test_a_store_that_mlflow_wrote_into_a_database_server(
    mlflow_python: Path, tmp_path: Path, server: Callable[[], tuple[str, Any, str]]
) -> None:
    dsn, (create, drop), driver = server()
    with fresh_database(dsn, create, drop) as source:
        uri = sa.make_url(source).set(drivername=driver, query={}).render_as_string(hide_password=False)
        store = filled(mlflow_python, tmp_path, uri)

        report = imported(tmp_path, source.replace("+psycopg", "").replace("+pymysql", ""))

        assert report == ""
        with served(tmp_path) as door:
            assert told(shown_by(store, door, tmp_path)) == told(store.shown)


@pytest.fixture
def server(tables: Store, tmp_path: Path) -> Iterator[str]:
    """MLflow's own server over a copy of the database."""
    shutil.copy(tables.source.removeprefix("sqlite:///"), tmp_path / "store.db")
    (port,) = free_ports(1)
    command = [str(tables.python), "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{tmp_path / 'store.db'}"]
    command += ["--artifacts-destination", str(tmp_path / "kept"), "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    environ = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "HOME": str(tmp_path)}
    with running(command, tmp_path, f"http://127.0.0.1:{port}/health", environ):
        yield f"http://127.0.0.1:{port}"


def test_what_a_running_server_of_mlflow_shows_is_taken_over(server: str, tables: Store, tmp_path: Path) -> None:
    report = imported(tmp_path, server)

    assert report == "versions and logged models that were deleted: a server shows none\n"
    with served(tmp_path) as door:
        assert told(shown_by(tables, door, tmp_path)) == told(tables.shown)
        assert is_sound(door)


def test_what_no_client_is_shown_is_taken_over_from_a_database(tables: Store, tmp_path: Path) -> None:
    imported(tmp_path, tables.source)

    with served(tmp_path) as door:
        gone = tables.made["models"]["deleted"]
        assert door.ask("GET", f"logged-models/{gone}").status_code == 404
        shown = door.get(f"logged-models/{gone}", allow_deleted="true")["model"]
        assert shown["info"]["tags"] == [{"key": "t", "value": "1"}]
        assert door.refused("GET", "model-versions/get", name="tour", version="3")[1] == "RESOURCE_DOES_NOT_EXIST"
        made = door.post("model-versions/create", name="tour", source="s3://b/new")["model_version"]
        assert made["version"] == "7"


# ---- again, and again -----------------------------------------------------------------------------------------------


def test_killed_at_any_point_the_same_command_goes_on_and_the_result_is_the_same(tables: Store, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for place in (whole, broken):
        place.mkdir()
    imported(whole, tables.source)

    codes = [killed_at(7, broken, tables.source)]
    while codes[-1] == -9 and len(codes) < 20:
        codes.append(killed_at(7, broken, tables.source))

    assert (codes[-1], codes.count(-9) > 2) == (0, True)
    assert dumped(broken) == dumped(whole)


def test_a_second_import_only_compares(tables: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    imported(tmp_path, tables.source)
    before = dumped(tmp_path)

    imported(tmp_path, tables.source)

    assert dumped(tmp_path) == before
    assert capsys.readouterr().out.count("verified") == 2


def test_the_same_runs_from_another_place_stay_as_they_are(tables: Store, tmp_path: Path) -> None:
    imported(tmp_path, tables.source)
    shutil.copy(tables.source.removeprefix("sqlite:///"), tmp_path / "moved.db")

    report = imported(tmp_path, f"sqlite:///{tmp_path / 'moved.db'}")

    assert report.count("it is here already, and stays as it is") == len(tables.shown["runs"]) + 4
    with served(tmp_path) as door:
        assert len(shown_by(tables, door, tmp_path)["runs"]) == len(tables.shown["runs"])
        assert is_sound(door)


def test_a_dry_run_says_what_there_is_and_changes_nothing(
    tables: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    imported(tmp_path, tables.source, "--dry-run")

    lines = capsys.readouterr().out.splitlines()
    assert {"experiments: 5", "runs: 12", "metrics: 10019", "versions: 9", "logged_models: 4"} <= set(lines)
    assert not (tmp_path / "data").exists()


def test_a_dry_run_leaves_a_store_that_is_there_as_it_is(tables: Store, tmp_path: Path) -> None:
    with served(tmp_path) as door:
        door.experiment(name="plain é")
    before = dumped(tmp_path)

    imported(tmp_path, tables.source, "--dry-run", "--workspace", "new")

    assert dumped(tmp_path) == before


@pytest.mark.parametrize(
    ("statement", "line"),
    [
        ("UPDATE params SET value = 'other' WHERE key = 'lr'", "params is"),
        ("UPDATE runs SET end_time = 1 WHERE name = 'parent'", "end_time is"),
        ("UPDATE metrics SET value = 7 WHERE key = 'same' AND step = 1", "history is"),
        ("DELETE FROM metrics WHERE key = 'loss' AND step = 9999", "10019 points are here, 10018 are there"),
        ("INSERT INTO experiments (name, lifecycle_stage, workspace) VALUES ('new', 'active', 'default')", "experiments: 5 were"),
        ("UPDATE model_versions SET source = 's3://other' WHERE version = 4", "source is"),
        ("UPDATE registered_model_aliases SET version = 1 WHERE alias = 'best'", "aliases is"),
        ("DELETE FROM input_tags WHERE name = 'fold'", "datasets is"),
        ("UPDATE logged_model_params SET param_value = '4' WHERE param_key = 'depth'", "params is"),
        ("UPDATE experiment_tags SET value = 'blue' WHERE key = 'team'", "tags is"),
    ],
)
def test_what_is_not_as_in_the_source_is_exit_3(
    tables: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], statement: str, line: str
) -> None:
    path = tmp_path / "store.db"
    shutil.copy(tables.source.removeprefix("sqlite:///"), path)
    imported(tmp_path, f"sqlite:///{path}")
    change(path, statement)
    capsys.readouterr()

    imported(tmp_path, f"sqlite:///{path}", code=3)

    printed = capsys.readouterr().out
    assert line in printed
    assert "difference" in printed.splitlines()[-1]


# ---- ids and names --------------------------------------------------------------------------------------------------


def test_experiments_keep_their_ids_and_what_is_made_later_has_others(tables: Store, tmp_path: Path) -> None:
    imported(tmp_path, tables.source)

    with served(tmp_path) as door:
        for name, id in tables.made["experiments"].items():
            assert door.get("experiments/get", experiment_id=id)["experiment"]["name"].startswith(name)
        assert door.get("experiments/get", experiment_id="0")["experiment"]["name"] == "Default"
        assert int(door.experiment()) > 4


def test_an_id_of_18_digits_goes_on_answering(folder: Store, tmp_path: Path) -> None:
    old = folder.made["experiments"]["plain"]
    imported(tmp_path, folder.source)

    with served(tmp_path) as door:
        found = door.get("experiments/get", experiment_id=old)["experiment"]
        assert (found["name"], len(found["experiment_id"]) < 10) == ("plain é", True)
        assert len(door.post("runs/search", experiment_ids=[old], run_view_type="ALL")["runs"]) == 4
        assert door.get("runs/get", run_id=door.run(old))["run"]["info"]["experiment_id"] == found["experiment_id"]
        assert door.refused("GET", "experiments/get", experiment_id="9" * 18)[1] == "RESOURCE_DOES_NOT_EXIST"


def test_an_experiment_whose_id_is_taken_gets_another_and_answers_to_both(tables: Store, tmp_path: Path) -> None:
    with served(tmp_path) as door:
        run = door.run("0")  # Default and its run are contexts 1 and 2

    report = imported(tmp_path, tables.source)

    assert "experiment 2: the id is taken: it has" in report
    with served(tmp_path) as door:
        assert door.get("experiments/get", experiment_id="2")["experiment"]["name"] == "local"
        assert len(door.post("runs/search", experiment_ids=["2"])["runs"]) == 5
        assert run in door.get("runs/get", run_id=run)["run"]["info"]["run_id"]
        assert is_sound(door)


def test_an_id_that_an_experiment_here_has_goes_on_meaning_that_one(tables: Store, tmp_path: Path) -> None:
    with served(tmp_path) as door:
        own = door.experiment(name="own")

    report = imported(tmp_path, tables.source)

    assert f"experiment {own}: the id is taken: it has" in report
    with served(tmp_path) as door:
        assert door.get("experiments/get", experiment_id=own)["experiment"]["name"] == "own"
        assert door.post("runs/search", experiment_ids=[own]) == {}


def test_a_server_that_runs_learns_of_an_import(folder: Store, tmp_path: Path) -> None:
    old = folder.made["experiments"]["local"]
    dsn, (create, drop), _ = _postgres()
    with fresh_database(dsn, create, drop) as db, served(tmp_path, db) as door:
        assert door.refused("GET", "experiments/get", experiment_id=old)[1] == "RESOURCE_DOES_NOT_EXIST"
        imported(tmp_path, folder.source, "--workspace", "default", db=db)

        assert len(door.post("runs/search", experiment_ids=[old])["runs"]) == 5


def test_what_has_a_name_that_is_taken_becomes_that(tables: Store, tmp_path: Path) -> None:
    with served(tmp_path) as door:
        own = door.experiment(name="local")
        door.post("registered-models/create", name="tour")
        door.post("model-versions/create", name="tour", source="s3://b/own")

    report = imported(tmp_path, tables.source)

    assert f"the name 'local' is taken: it is experiment {own}" in report
    assert "model version tour/1: the number is taken: it has 2" in report
    with served(tmp_path) as door:
        assert len(door.post("runs/search", experiment_ids=[own])["runs"]) == 5
        assert door.get("model-versions/get", name="tour", version="1")["model_version"]["source"] == "s3://b/own"
        assert is_sound(door)


def test_a_number_that_is_another_versions_name_is_taken(tables: Store, tmp_path: Path) -> None:
    with served(tmp_path) as door:
        door.post("registered-models/create", name="tour")
        door.post("model-versions/create", name="tour", source="s3://b/own")
        [version] = door.http.get("/api/v1/model-versions").json()["versions"]
        door.http.patch(f"/api/v1/model-versions/{version['id']}", json={"name": "4"}).raise_for_status()

    report = imported(tmp_path, tables.source)

    assert "model version tour/4: the number is taken" in report
    with served(tmp_path) as door:
        assert is_sound(door)


def test_runs_are_nested_and_lineage_is_whole(tables: Store, tmp_path: Path) -> None:
    imported(tmp_path, tables.source)

    with served(tmp_path) as door:
        runs = tables.made["runs"]
        child = door.http.get(f"/api/v1/runs/run_{runs['child']}").json()
        assert child["parent"] == f"run_{runs['parent']}"
        versions = door.http.get("/api/v1/model-versions", params={"filter": "number = 5"}).json()["versions"]
        graph = door.http.get("/api/v1/lineage", params={"root": versions[0]["id"], "direction": "upstream"})
        assert graph.status_code == 200
        assert f"run_{runs['parent']}" in graph.text


# ---- what is no source ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["nowhere/mlruns", "oracle://x/y", "sqlite:///nowhere.db", "http://127.0.0.1:9/", "http://"])
def test_what_is_no_source_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.setattr("registry.importing.mlflow.server.ATTEMPTS", 1)

    imported(tmp_path, source, code=2)

    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_a_database_of_something_else_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(tmp_path / "other.db", "CREATE TABLE experiments (id INTEGER)")

    imported(tmp_path, f"sqlite:///{tmp_path / 'other.db'}", code=2)

    assert "no database of MLflow" in capsys.readouterr().err


def test_an_option_of_another_import_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    imported(tmp_path, "mlruns", "--platform", code=2)

    assert "--platform is of import mlmd" in capsys.readouterr().err


def test_wrong_credentials_are_said_and_never_shown(
    sqlite_door: Caller, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = sqlite_door.served.url.replace("://", "://ann:hidden@")

    imported(tmp_path, source, code=2)

    printed = capsys.readouterr().err
    assert "other credentials" in printed
    assert "hidden" not in printed


def test_our_own_server_is_a_source_too(sqlite_door: Caller, tmp_path: Path) -> None:
    experiment = sqlite_door.experiment(name="ours")
    run = sqlite_door.run(experiment)
    sqlite_door.post("runs/log-metric", run_id=run, key="m", value="NaN", timestamp=5, step=1)

    imported(tmp_path, sqlite_door.served.url)

    with served(tmp_path) as door:
        assert door.get("metrics/get-history", run_id=run, metric_key="m")["metrics"][0]["value"] == "NaN"
