"""Folders that no MLflow has written, or not to the end: what cannot be read is in the report, and the rest is taken over."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest
import yaml
from starlette.types import ASGIApp, Receive, Scope, Send

from registry.importing.mlflow import files
from registry.settings import Settings
from tests.mlflow.calling import Caller
from tests.mlflow.importing import change, imported, is_sound, served
from tests.mlflow.test_import_files import meta, run, write
from tests.servers import serving

GOOD = "a" * 32
LONG = "x" * 2_000_000
BOMB = "name: &a [l, l]\nb: &b [*a, *a, *a, *a]\nc: &c [*b, *b, *b, *b]\nd: [*c, *c, *c, *c]\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "mlruns"
    meta(root / "7", name="e", experiment_id="7", lifecycle_stage="active")
    run(root, "7", GOOD, "s3://b/x", run_name="good")
    return root


def taken_over(root: Path, tmp_path: Path) -> tuple[str, list[str]]:
    """The report, and the names of the runs that are here."""
    report = imported(tmp_path, str(root))
    with served(tmp_path) as door:
        ids = [one["experiment_id"] for one in door.post("experiments/search", max_results=100, view_type="ALL")["experiments"]]
        runs = door.post("runs/search", experiment_ids=ids, run_view_type="ALL").get("runs", [])
        assert is_sound(door)
    return report, sorted(found["info"]["run_name"] for found in runs)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is no mapping"),
        ("- a\n- b\n", "is no mapping"),
        ("{", "is no YAML"),
        ("!!python/object/apply:os.system ['true']", "is no YAML"),
        ("a: b: c\n", "is no YAML"),
        ("run_id: " + "b" * 32 + "\n", "is of another run"),
        ("run_id: [1]\n", "is of another run"),
        (BOMB, "is of another run"),
        ("[" * 5000, "is no YAML"),
    ],
)
def test_a_run_whose_description_is_garbled_is_told_of(root: Path, tmp_path: Path, text: str, why: str) -> None:
    write(root / "7" / ("c" * 32) / "meta.yaml", text)

    report, runs = taken_over(root, tmp_path)

    assert why in report
    assert runs == ["good"]


def test_bytes_that_are_no_text_are_told_of(root: Path, tmp_path: Path) -> None:
    folder = run(root, "7", "c" * 32, "s3://b/y", run_name="other")
    write(folder / "params" / "good", "1")
    (folder / "params" / "bad").write_bytes(b"\xff\xfe")
    write(folder / "tags" / "nul", "a\0b")
    write(folder / "tags" / "long", LONG)
    write(folder / "tags" / ("k" * 251), "v")

    report, runs = taken_over(root, tmp_path)

    assert runs == ["good", "other"]
    for part in ("bad is not UTF-8", "NUL character", "2000000 characters", "251 characters"):
        assert part in report


def test_lines_of_a_metric_that_are_none_are_told_of(root: Path, tmp_path: Path) -> None:
    lines = [
        "5 1.5 0",
        "",
        "nonsense",
        "5 x 0",
        "-1 1 0",
        "6 2",
        "7 3 1 data digest",
        "7 3 1 2",
        f"{2**64} 1 0",
        "9" * 5000,
        "8 nan 2",
    ]
    write(root / "7" / GOOD / "metrics" / "m", "\n".join(lines))

    report, _ = taken_over(root, tmp_path)

    assert sum("it is left out" in line for line in report.splitlines()) == 6
    with served(tmp_path) as door:
        found = door.get("metrics/get-history", run_id=GOOD, metric_key="m")["metrics"]
        assert [(one["timestamp"], one["value"]) for one in found] == [(5, 1.5), (6, 2.0), (7, 3.0), (8, "NaN")]


def test_an_experiment_that_cannot_be_read_takes_its_runs_with_it(root: Path, tmp_path: Path) -> None:
    write(root / "8" / "meta.yaml", "experiment_id: '9'\nname: wrong\n")
    run(root, "8", "c" * 32, "s3://b/y", run_name="lost")
    (root / "empty").mkdir()

    report, runs = taken_over(root, tmp_path)

    assert runs == ["good"]
    assert "meta.yaml is of another experiment" in report
    assert "its experiment 8 is not taken over" in report
    assert "experiment empty: it is left out: meta.yaml: No such file or directory" in report


def test_ids_that_are_none_are_told_of(root: Path, tmp_path: Path) -> None:
    meta(root / "not a number", name="named", experiment_id="not a number", lifecycle_stage="active")
    run(root, "7", "short", "s3://b/y", run_name="short")
    run(root, "not a number", "d" * 32, "s3://b/z", run_name="inside")

    report, runs = taken_over(root, tmp_path)

    assert runs == ["good", "inside"]
    assert "experiment not a number: its id is none that clients can ask for" in report
    assert "run short: it is left out: its id is not 32 hexadecimal characters" in report


def test_two_experiments_of_one_name_are_one(root: Path, tmp_path: Path) -> None:
    meta(root / "9", name="e", experiment_id="9", lifecycle_stage="active")
    run(root, "9", "c" * 32, "s3://b/y", run_name="other")

    report, runs = taken_over(root, tmp_path)

    assert "the name 'e' is taken: it is experiment 7" in report
    assert runs == ["good", "other"]


def test_links_that_lead_out_of_the_folder_are_not_followed(root: Path, tmp_path: Path) -> None:
    write(tmp_path / "outside" / "secret", "hidden")
    folder = root / "7" / GOOD
    (folder / "params").mkdir()
    (folder / "params" / "stolen").symlink_to(tmp_path / "outside" / "secret")
    (folder / "tags").symlink_to(tmp_path / "outside")
    (root / "8").symlink_to(tmp_path / "outside")

    report, runs = taken_over(root, tmp_path)

    assert runs == ["good"]
    assert "stolen: it is left out: it leads out of the folder" in report
    with served(tmp_path) as door:
        assert "hidden" not in str(door.get("runs/get", run_id=GOOD))


def test_links_that_lead_in_circles_are_not_followed(root: Path, tmp_path: Path) -> None:
    params = root / "7" / GOOD / "params"
    write(params / "lr", "0.1")
    for name in ("one", "two"):  # followed, they would be read 2 to the power of 40 times
        (params / name).symlink_to(params)

    report, runs = taken_over(root, tmp_path)

    assert runs == ["good"]
    assert "params/one: it is left out: it is a link to a folder" in report
    with served(tmp_path) as door:
        assert door.get("runs/get", run_id=GOOD)["run"]["data"]["params"] == [{"key": "lr", "value": "0.1"}]


def test_models_versions_and_aliases_that_are_garbled_are_told_of(root: Path, tmp_path: Path) -> None:
    models = root / "models"
    meta(models / "m", name="m", creation_timestamp=1)
    meta(models / "m" / "version-1", name="m", version=1, source="s3://b/1", current_stage="x" * 300)
    write(models / "m" / "version-2" / "meta.yaml", "{")
    write(models / "m" / "aliases" / "gone", "9")
    write(models / "m" / "aliases" / "latest", "1")
    write(models / "m" / "aliases" / "good", "1")
    write(models / "n" / "meta.yaml", "name: other\n")

    report, _ = taken_over(root, tmp_path)

    for part in (
        "models/n: it is left out",
        "version-2: it is left out",
        "its stage is left out",
        "version 9 is not there",
        "reserved",
    ):
        assert part in report
    with served(tmp_path) as door:
        assert door.get("registered-models/get", name="m")["registered_model"]["aliases"] == [{"alias": "good", "version": "1"}]


def test_inputs_and_logged_models_that_are_garbled_are_told_of(root: Path, tmp_path: Path) -> None:
    folder = root / "7" / GOOD
    meta(folder / "inputs" / "1", source_type="DATASET", source_id="nowhere", tags={})
    meta(folder / "inputs" / "2", source_type="DATASET", source_id="../../../x", tags={})
    meta(folder / "inputs" / "3", source_type="MODEL", source_id="m-none", tags={})
    write(folder / "outputs" / "1" / "meta.yaml", "{")
    write(root / "7" / "models" / "m-1" / "meta.yaml", yaml.safe_dump({"model_id": "m-2"}))
    meta(
        root / "7" / "models" / "m-3", model_id="m-3", name="fine", artifact_location="s3://b/m", status=99, creation_timestamp=1
    )
    write(root / "7" / "models" / "m-3" / "metrics" / "acc", f"1 0.5 0 {GOOD} a b c\nx y z w\n")

    report, _ = taken_over(root, tmp_path)

    for part in (
        "it names no dataset",
        "m-none, which it names",
        "is of another model",
        "its status '99' is none",
        "line 2 is none",
    ):
        assert part in report
    with served(tmp_path) as door:
        [measured] = door.get("logged-models/m-3")["model"]["data"]["metrics"]
        assert (measured["dataset_name"], measured["dataset_digest"]) == ("a b", "c")


def test_a_database_with_bytes_that_are_no_text_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "store.db"
    change(
        path,
        "CREATE TABLE experiments (experiment_id INTEGER, name TEXT)",
        "CREATE TABLE runs (run_uuid TEXT, start_time INTEGER)",
    )
    change(path, *(f"CREATE TABLE {name} (key TEXT, value TEXT, run_uuid TEXT)" for name in ("params", "tags")))
    change(path, "CREATE TABLE metrics (key TEXT, value REAL, run_uuid TEXT, step INTEGER, is_nan INTEGER, timestamp INTEGER)")
    change(path, "INSERT INTO experiments VALUES (1, CAST(x'ff' AS TEXT))")

    imported(tmp_path, f"sqlite:///{path}", code=2)

    assert capsys.readouterr().err.startswith("lineal-server: the source cannot be read")


def test_a_folder_without_any_store_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mlruns" / "7").mkdir(parents=True)

    imported(tmp_path, str(tmp_path / "mlruns"), code=2)

    assert "is no store of MLflow" in capsys.readouterr().err


def lying(path: str, answer: Callable[[str], Any]) -> Callable[[ASGIApp], ASGIApp]:
    """A server that answers to GET of `path` with what `answer` makes of the folder that is asked for."""

    def around(app: ASGIApp) -> ASGIApp:
        async def lie(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["path"] != path or scope["method"] != "GET":
                await app(scope, receive, send)
                return
            folder = parse_qs(scope["query_string"].decode()).get("path", [""])[0]
            body = orjson.dumps(answer(folder))
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})

        return lie

    return around


def folder(name: Any) -> dict[str, Any]:
    return {"path": name, "is_dir": True}


@pytest.mark.parametrize(
    ("listed", "why"),
    [
        (lambda _: {"files": [folder("deeper")]}, "64 in each other"),
        (lambda at: {"files": [folder("a"), folder("b"), {"path": f"{len(at)}.txt", "file_size": 1}]}, "more than 50 folders"),
        (lambda at: {"files": [] if "wide" in at else [folder(f"wide{number}") for number in range(60)]}, "more than 50 folders"),
        (lambda _: {"files": [{"path": f"{number}.txt"} for number in range(200)]}, "more than 100 files"),
        (lambda _: {"files": [folder("..")]}, "'..' is the name of no file"),
        (lambda _: {"files": [{"path": "/etc/passwd"}]}, "'/etc/passwd' is the name of no file"),
        (lambda _: {"files": [folder("")]}, "'' is the name of no file"),
        (lambda _: {"files": [{"is_dir": True}, 5]}, "'None' is the name of no file"),
        (lambda _: {"files": {"path": "x"}}, ""),
        (lambda _: [1], ""),
    ],
)
def test_what_a_server_lists_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: Callable[[str], Any], why: str
) -> None:
    monkeypatch.setattr(files, "MAX_FOLDERS", 50)
    if "files" in why:
        monkeypatch.setattr(files, "MAX_FILES", 100)
    if "64" in why:
        monkeypatch.setattr(files, "MAX_FOLDERS", 1_000)
    hostile = lying("/api/2.0/mlflow-artifacts/artifacts", listed)
    with serving(Settings(data_dir=str(tmp_path / "there")), hostile) as there, Caller(there) as caller:
        id = caller.run(caller.experiment(name="e"))
        report = imported(tmp_path, there.url, "--artifacts", "copy")

    assert why in report
    with served(tmp_path) as door:
        assert door.get("runs/get", run_id=id)
        assert is_sound(door)


def test_a_server_that_gives_the_same_page_again_and_again_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = lying("/api/2.0/mlflow/registered-models/search", lambda _: {"next_page_token": "again"})
    with serving(Settings(data_dir=str(tmp_path / "there")), hostile) as there:
        imported(tmp_path, there.url, code=2)

    assert "gives the same page again and again" in capsys.readouterr().err
