"""`lineal-server import mlmd`: stores that the package itself has written, on each of its databases, in each of its schemas.

It is whole: one old store, filled once, for all of them.
"""

import json
import sqlite3
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from registry.catalog.checking import check_all
from registry.catalog.dumping import canonical
from registry.catalog.importing import progress
from registry.catalog.importing.mlmd.source import unmixed
from registry.main import main
from registry.settings import Settings
from tests.mlmd.door import Door, fresh, message, node
from tests.servers import serving
from tests.services import mariadb, postgres
from tests.services.databases import fresh_database
from tests.services.servers import required

FILL = Path(__file__).parent / "reference" / "fill.py"
UID = str(uuid.UUID(int=7))


def filled(python: Path, config: dict[str, Any], schema: int = 10) -> dict[str, int]:
    asked = json.dumps({"config": config, "schema": schema, "uid": UID, "dangling": True})
    done = subprocess.run([str(python), str(FILL), asked], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return {name: int(id) for name, id in json.loads(done.stdout).items()}


def sqlite_config(path: Path) -> dict[str, Any]:
    return {"sqlite": {"filename_uri": str(path), "connection_mode": "READWRITE_OPENCREATE"}}


@pytest.fixture(scope="module")
def store(reference_python: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    """An SQLite store of the newest schema; tests copy it."""
    path = tmp_path_factory.mktemp("mlmd") / "store.db"
    return path, filled(reference_python, sqlite_config(path))


@pytest.fixture
def copied(store: tuple[Path, dict[str, int]], tmp_path: Path) -> Path:
    path = tmp_path / "copy.db"
    path.write_bytes(store[0].read_bytes())
    return path


def imported(folder: Path, source: str, *more: str, code: int = 0, db: str | None = None) -> str:
    """What it printed, and its report."""
    report = folder / "report.txt"
    given = ["--data-dir", str(folder / "data"), "--report", str(report), *(["--db", db] if db else []), *more]

    assert main(["import", "mlmd", "--from", source, *given]) == code
    return report.read_text("utf-8") if report.exists() else ""


@contextmanager
def served(folder: Path, db: str = "") -> Iterator[Door]:
    with serving(Settings(data_dir=str(folder / "data"), db=db, grpc="127.0.0.1:0")) as running, Door(running) as door:
        yield door


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def looks_right(door: Door, ids: dict[str, int], *, schema: int = 10) -> None:
    """As the client has put it, and as a run with steps."""
    model = door.one("artifact", ids["model"])
    assert (model.uri, model.name, model.state, model.type) == ("minio://b/model-é", "m", 2, "system.Model")
    assert (model.properties["i"].int_value, model.properties["d"].double_value) == (-7, 0.5)
    assert model.custom_properties["note"].string_value == "größer"
    assert dict(model.custom_properties["t"].struct_value)["list"][2]["é"] == "x"
    if schema >= 10:
        assert model.custom_properties["b"].bool_value
        assert model.custom_properties["p"].proto_value.type_url.endswith("ml_metadata.Value")
    if schema >= 9:
        assert model.external_id == "external"
    events = door.call("GetEventsByArtifactIDs", artifact_ids=[ids["model"]]).events
    assert [(one.type, one.execution_id) for one in events] == [(4, ids["train"]), (3, ids["evaluate"])]
    assert [step.WhichOneof("value") for step in events[0].path.steps] == ["key", "index"]
    found = door.call("GetContextByTypeAndName", type_name="system.PipelineRun", context_name=UID).context
    assert (found.id, found.custom_properties["pipeline_root"].string_value) == (ids["run"], "minio://b/é")
    url = f"{door.served.url}/api/v1/runs/run_{UID.replace('-', '')}"
    run = httpx.get(url, timeout=60).json()
    steps = httpx.get(f"{url}/steps", timeout=60).json()["steps"]
    assert run["status"] == "succeeded"
    assert {metric["key"]: metric["value"] for metric in run["metrics"]} == {"train/metrics/auc": 0.5}
    assert [(step["path"], step["id"], step["status"]) for step in steps] == [
        ("train", f"step_{ids['train']}", "succeeded"),
        ("évaluer", f"step_{ids['evaluate']}", "failed"),
    ]
    if schema >= 6:
        assert run["experiment_name"] == "pipelines/taxi é"
    assert not door.served.services.runner.read(lambda session: list(check_all(session)))


@pytest.mark.parametrize("schema", range(4, 11))
def test_a_store_of_every_schema_that_is_read(reference_python: Path, tmp_path: Path, schema: int) -> None:
    path = tmp_path / "store.db"
    ids = filled(reference_python, sqlite_config(path), schema)
    if schema == 4:  # it has no names, states or times: only nodes, properties and edges
        assert imported(tmp_path, f"sqlite:///{path}").count("\n") >= 1
        with served(tmp_path) as door:
            assert door.one("artifact", ids["model"]).uri == "minio://b/model-é"
        return

    report = imported(tmp_path, f"sqlite:///{path}")

    assert f"artifact: artifact 987654, execution {ids['train']}" in report
    with served(tmp_path) as door:
        looks_right(door, ids, schema=schema)


def test_schemas_before_are_refused(reference_python: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "store.db"
    filled(reference_python, sqlite_config(path), 3)

    imported(tmp_path, f"sqlite:///{path}", code=2)

    assert capsys.readouterr().err.count("\n") == 1


def _mysql() -> tuple[str, Any]:
    url = required("LINEAL_TEST_MARIADB", "a SQLAlchemy URL to MariaDB, of a role that may create databases")
    return url, (mariadb.CREATE, mariadb.DROP)


def _postgres() -> tuple[str, Any]:
    url = required("LINEAL_TEST_POSTGRES", "a SQLAlchemy URL to PostgreSQL, of a role that may create databases")
    return url, (postgres.CREATE, postgres.DROP)


@pytest.mark.parametrize(("server", "key"), [(_mysql, "mysql"), (_postgres, "postgresql")], ids=["mysql", "postgresql"])
@pytest.mark.parametrize("into", ["sqlite", "server"])
def test_a_store_that_the_package_wrote_into_a_server(
    reference_python: Path, tmp_path: Path, server: Callable[[], tuple[str, Any]], key: str, into: str
) -> None:
    dsn, (create, drop) = server()
    with fresh_database(dsn, create, drop) as source, fresh_database(dsn, create, drop) as target:
        url = sa.make_url(source)
        config: dict[str, Any] = {"host": url.host, "port": url.port, "user": url.username, "password": url.password}
        config = (
            {**config, "database": url.database} if key == "mysql" else {**config, "port": str(url.port), "dbname": url.database}
        )
        ids = filled(reference_python, {key: config})
        db = target if into == "server" else ""

        imported(tmp_path, source, db=db or None)

        with served(tmp_path, db) as door:
            looks_right(door, ids)
            after = door.put("artifact", node("artifact", door.type("artifact")))
            assert after[0] > max(ids["model"], 2)  # trap h: sequences begin behind what was imported


# ---- traps ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "meant"),
    [
        ("Ã©", "é"),
        ("grÃ¶ÃŸer", "größer"),
        ("é", "é"),
        ("größer", "größer"),
        ("plain", "plain"),
        ("日本", "日本"),
        ("æ—¥æœ¬", "日本"),
        ("Ã\x81", "Á"),
        ("", ""),
    ],
)
def test_trap_a_text_is_undone_where_it_is_mixed_up_and_stays_where_it_is_not(stored: str, meant: str) -> None:
    assert unmixed(stored) == meant


def test_traps_b_e_f_and_i_values_that_no_client_could_read(
    copied: Path, store: tuple[Path, dict[str, int]], tmp_path: Path
) -> None:
    id = store[1]["model"]
    insert = "INSERT INTO ArtifactProperty (artifact_id, name, is_custom_property, string_value, proto_value) VALUES"
    change(
        copied,
        f"{insert} ({id}, 'nothing', 1, NULL, NULL)",
        f"{insert} ({id}, 'liar', 1, 'mlmd-struct::%%%', NULL)",
        f"{insert} ({id}, 'nameless', 1, NULL, 'EgF4')",
        f"UPDATE Artifact SET state = 6 WHERE id = {id}",
        "UPDATE Event SET type = 7 WHERE id = 1",
    )

    report = imported(tmp_path, f"sqlite:///{copied}")

    assert "property 'nothing': has no value" in report
    assert "property 'nameless': is a message without type URL" in report
    with served(tmp_path) as door:
        found = door.one("artifact", id)
        assert found.custom_properties["liar"].string_value == "mlmd-struct::%%%"
        assert not {"nothing", "nameless"} & set(found.custom_properties)
        assert found.state == 6
        assert {one.type for one in door.call("GetEventsByArtifactIDs", artifact_ids=[id]).events} == {7, 3}


def test_trap_c_edges_to_nothing_are_in_the_report(copied: Path, tmp_path: Path) -> None:
    change(
        copied,
        "INSERT INTO Attribution (context_id, artifact_id) VALUES (999, 1)",
        "INSERT INTO Association (context_id, execution_id) VALUES (1, 999)",
        "INSERT INTO ParentContext (context_id, parent_context_id) VALUES (1, 999)",
        "INSERT INTO Event (artifact_id, execution_id, type) VALUES (1, 1, 99)",
    )

    report = imported(tmp_path, f"sqlite:///{copied}")

    assert report.count("an end of it is not there") == 3
    assert "its type 99 is none" in report


def test_traps_g_and_h_ids_are_kept_and_new_ones_come_behind_them(
    store: tuple[Path, dict[str, int]], copied: Path, tmp_path: Path
) -> None:
    change(copied, "UPDATE Artifact SET id = 500 WHERE id = 2", "UPDATE Event SET artifact_id = 500 WHERE artifact_id = 2")
    change(copied, "UPDATE ArtifactProperty SET artifact_id = 500 WHERE artifact_id = 2", "DELETE FROM Attribution")

    imported(tmp_path, f"sqlite:///{copied}")

    with served(tmp_path) as door:
        assert door.one("artifact", 500).id == 500
        assert door.put("artifact", node("artifact", door.type("artifact"))) == [501]


# ---- the command ----------------------------------------------------------------------------------------------------


def test_on_a_collision_the_later_store_gets_new_ids_and_the_old_ones_answer(
    store: tuple[Path, dict[str, int]], copied: Path, tmp_path: Path
) -> None:
    change(copied, "UPDATE Artifact SET name = NULL, external_id = NULL")
    (tmp_path / "data").mkdir()
    with served(tmp_path) as door:
        own = door.put("artifact", *(node("artifact", door.type("artifact")) for _ in range(1)))

    report = imported(tmp_path, f"sqlite:///{copied}")

    assert f"artifact {own[0]}: the id is taken: it has" in report
    with served(tmp_path) as door:
        [moved] = door.call("GetArtifactsByURI", uris=["minio://b/model-é"]).artifacts
        assert moved.id not in {own[0], store[1]["model"]}
        events = door.call("GetEventsByArtifactIDs", artifact_ids=[moved.id]).events
        assert {one.execution_id for one in events} == {store[1]["train"], store[1]["evaluate"]}
        assert door.one("artifact", own[0]).id == own[0]


def test_types_that_are_there_otherwise_stay_as_they_are(store: tuple[Path, dict[str, int]], tmp_path: Path) -> None:
    with served(tmp_path) as door:
        door.type("artifact", "system.Model", i=3, own=1)

    imported(tmp_path, f"sqlite:///{store[0]}")

    with served(tmp_path) as door:
        found = door.call("GetArtifactType", type_name="system.Model").artifact_type
        assert dict(found.properties) == {"i": 3, "own": 1, "d": 2, "s": 3}
        assert door.one("artifact", store[1]["model"]).properties["i"].int_value == -7


def test_an_import_that_broke_off_at_any_point_goes_on(
    store: tuple[Path, dict[str, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = f"sqlite:///{store[0]}"
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
    imported(tmp_path / "whole", source)
    with served(tmp_path / "whole") as door:
        expected = door.served.services.runner.read(lambda session: list(canonical(session)))
    saved, calls = progress.save, 0

    def failing(*given: Any) -> None:
        nonlocal calls
        calls += 1
        if calls % 2:
            raise KeyboardInterrupt
        saved(*given)

    monkeypatch.setattr(progress, "save", failing)
    command = [
        "import",
        "mlmd",
        "--from",
        source,
        "--data-dir",
        str(tmp_path / "broken" / "data"),
        "--report",
        str(tmp_path / "r"),
    ]
    codes: list[int] = []
    while not codes or codes[-1] == 130:
        codes.append(main(command))

    assert (codes[-1], codes.count(130) > 8) == (0, True)
    with served(tmp_path / "broken") as door:
        assert door.served.services.runner.read(lambda session: list(canonical(session))) == expected


def test_a_second_import_changes_nothing(store: tuple[Path, dict[str, int]], tmp_path: Path) -> None:
    imported(tmp_path, f"sqlite:///{store[0]}")
    with served(tmp_path) as door:
        before = door.served.services.runner.read(lambda session: list(canonical(session)))

    imported(tmp_path, f"sqlite:///{store[0]}")

    with served(tmp_path) as door:
        assert door.served.services.runner.read(lambda session: list(canonical(session))) == before


def test_a_dry_run_only_says_what_there_is(
    store: tuple[Path, dict[str, int]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    imported(tmp_path, f"sqlite:///{store[0]}", "--dry-run")

    assert "executions: 3" in capsys.readouterr().out.splitlines()
    with served(tmp_path) as door:
        assert not door.call("GetExecutions").executions


def test_what_is_not_as_in_the_source_is_exit_3(
    store: tuple[Path, dict[str, int]], copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    imported(tmp_path, f"sqlite:///{copied}")
    change(
        copied,
        f"UPDATE Artifact SET uri = 'elsewhere' WHERE id = {store[1]['model']}",
        "INSERT INTO Artifact (type_id) VALUES (10)",
    )
    capsys.readouterr()

    imported(tmp_path, f"sqlite:///{copied}", code=3)

    printed = capsys.readouterr().out
    assert "uri is 'minio://b/model-é', there 'elsewhere'" in printed
    assert "artifacts: 2 here, 3 there" in printed


def test_platform_mode_puts_runs_into_their_namespaces(store: tuple[Path, dict[str, int]], tmp_path: Path) -> None:
    imported(tmp_path, f"sqlite:///{store[0]}", "--platform")

    settings = Settings(data_dir=str(tmp_path / "data"), grpc="127.0.0.1:0", mlmd_platform=True)
    with serving(settings) as running, Door(running) as door:
        url = f"{running.url}/api/v1/runs/run_{UID.replace('-', '')}"
        assert httpx.get(url, headers={"x-lineal-workspace": "team"}, timeout=60).status_code == 200
        assert httpx.get(url, timeout=60).status_code == 404
        assert door.one("artifact", store[1]["model"]).name == "m"
        again = message("Context", type_id=door.type("context", "system.Pipeline"), name="taxi é")
        assert door.refusal("PutContexts", contexts=[again]) == "ALREADY_EXISTS"


@pytest.mark.parametrize("source", ["nonsense", "oracle://x/y", "sqlite:///nowhere.db"])
def test_what_is_no_source_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str) -> None:
    imported(tmp_path, source, code=2)

    assert capsys.readouterr().err.count("\n") == 1
    assert fresh("")


def test_a_database_of_something_else_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(tmp_path / "other.db", "CREATE TABLE something (id INTEGER)")

    imported(tmp_path, f"sqlite:///{tmp_path / 'other.db'}", code=2)

    assert "no database of ML Metadata" in capsys.readouterr().err
