"""The files of an MLflow store on import: left where they lie, or copied with their digests, from nowhere that was not named."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from registry.catalog.checking import blobs
from registry.settings import Settings
from registry.tables.service import blobs as blobs_table
from storage.config import open_store
from tests.mlflow.calling import Caller
from tests.mlflow.importing import dumped, imported, is_sound, served
from tests.servers import serving
from tests.services.s3 import S3Server

RUN, OTHER, THIRD = "a" * 32, "b" * 32, "c" * 32


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def meta(path: Path, **fields: Any) -> None:
    write(path / "meta.yaml", yaml.safe_dump(fields))


def run(root: Path, experiment: str, id: str, artifact_uri: str, **more: Any) -> Path:
    folder = root / experiment / id
    meta(folder, run_id=id, experiment_id=experiment, status=3, start_time=5, end_time=6, artifact_uri=artifact_uri, **more)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder as MLflow writes it: a run with files in it, one whose files lie elsewhere, one that is in a proxy's store."""
    root = tmp_path / "mlruns"
    meta(root / "7", name="e", experiment_id="7", artifact_location=str(root / "7"), lifecycle_stage="active")
    home = run(root, "7", RUN, str(root / "7" / RUN / "artifacts"))
    write(home / "artifacts" / "model" / "MLmodel", "a model")
    write(home / "artifacts" / "läs mich.txt", "größer")
    write(home / "artifacts" / "con", "a name that is a device")
    run(root, "7", OTHER, (tmp_path / "secret").as_uri())
    write(tmp_path / "secret" / "key", "hidden")
    (home / "artifacts" / "stolen").symlink_to(tmp_path / "secret" / "key")
    (home / "artifacts" / "all").symlink_to(tmp_path / "secret")
    run(root, "7", THIRD, f"mlflow-artifacts:/7/{THIRD}/artifacts")
    model = root / "models" / "m"
    meta(model, name="m", creation_timestamp=1, last_updated_timestamp=2)
    source = str(root / "7" / RUN / "artifacts" / "model")
    meta(model / "version-1", name="m", version=1, source=source, run_id=RUN, current_stage="None", status="READY")
    return root


def stored(folder: Path) -> dict[str, bytes]:
    """All bytes in the embedded object store."""
    store = open_store((folder / "data" / "files").as_uri())
    return {one.key: store.read(one.key) for one in store.list().objects}


def test_files_stay_where_they_lie(root: Path, tmp_path: Path) -> None:
    imported(tmp_path, str(root))

    assert stored(tmp_path) == {}
    with served(tmp_path) as door:
        info = door.get("runs/get", run_id=RUN)["run"]["info"]
        assert info["artifact_uri"] == str(root / "7" / RUN / "artifacts")
        assert is_sound(door)


def test_an_import_is_in_the_audit_log(root: Path, tmp_path: Path) -> None:
    imported(tmp_path, str(root))

    with served(tmp_path) as door:
        events = door.http.get("/api/v1/audit").json()["events"]
        assert [one["action"] for one in events if one["action"].startswith("import.")] == ["import.finished", "import.started"]
        assert events[0]["after"]["source"] == root.as_uri()


def test_files_are_copied_with_their_digests(root: Path, tmp_path: Path) -> None:
    report = imported(tmp_path, str(root), "--artifacts", "copy")

    assert stored(tmp_path) == {
        f"default/7/{RUN}/artifacts/model/MLmodel": b"a model",
        f"default/7/{RUN}/artifacts/läs mich.txt": "größer".encode(),
    }
    assert f"run {RUN}: the file 'con' is left out" in report
    with served(tmp_path) as door:
        services = door.served.services
        info = door.get("runs/get", run_id=RUN)["run"]["info"]
        assert info["artifact_uri"] == f"mlflow-artifacts:/7/{RUN}/artifacts"
        files = door.get("artifacts/list", run_id=RUN, path="model")["files"]
        assert [(file["path"], file["file_size"]) for file in files] == [("model/MLmodel", 7)]
        download = door.get("model-versions/get-download-uri", name="m", version="1")
        assert download["artifact_uri"] == f"mlflow-artifacts:/7/{RUN}/artifacts/model"
        digests = services.runner.read(lambda session: session.scalars(sa.select(blobs_table.c.digest)))
        assert hashlib.sha256(b"a model").hexdigest() in digests
        assert len(digests) == 2
        assert not list(blobs.check(services.runner.read, services.store, lambda _size: None))
        assert is_sound(door)


def test_nothing_is_read_that_the_source_is_not_and_nobody_has_named(root: Path, tmp_path: Path) -> None:
    report = imported(tmp_path, str(root), "--artifacts", "copy")

    assert b"hidden" not in stored(tmp_path).values()
    assert f"run {OTHER}: its files stay where they lie: {(tmp_path / 'secret').as_uri()}" in report
    with served(tmp_path) as door:
        assert door.get("runs/get", run_id=OTHER)["run"]["info"]["artifact_uri"] == (tmp_path / "secret").as_uri()


def test_a_place_that_was_named_is_copied_from(root: Path, tmp_path: Path) -> None:
    imported(tmp_path, str(root), "--artifacts", "copy", "--artifacts-from", str(tmp_path))

    assert stored(tmp_path)["default/secret/key"] == b"hidden"


def test_what_the_proxy_had_is_copied_from_where_that_kept_it(root: Path, tmp_path: Path) -> None:
    write(tmp_path / "kept" / "7" / THIRD / "artifacts" / "a.txt", "proxied")

    imported(tmp_path, str(root), "--artifacts", "copy", "--artifacts-root", str(tmp_path / "kept"))

    with served(tmp_path) as door:
        assert door.get("runs/get", run_id=THIRD)["run"]["info"]["artifact_uri"] == f"mlflow-artifacts:/7/{THIRD}/artifacts"
        answer = door.http.get(f"/api/2.0/mlflow-artifacts/artifacts/7/{THIRD}/artifacts/a.txt")
        assert answer.text == "proxied"


def test_what_the_proxy_had_is_referred_to_where_that_kept_it(root: Path, tmp_path: Path) -> None:
    imported(tmp_path, str(root), "--artifacts-root", "s3://kept/there")

    with served(tmp_path) as door:
        assert door.get("runs/get", run_id=THIRD)["run"]["info"]["artifact_uri"] == f"s3://kept/there/7/{THIRD}/artifacts"


def test_an_import_that_broke_off_among_files_goes_on(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imported(tmp_path, str(root), "--artifacts", "copy")
    whole = dumped(tmp_path)
    shutil.rmtree(tmp_path / "data")  # the same place again: it is a part of what is dumped
    monkeypatch.setattr("registry.importing.mlflow.copying.FILES_AT_ONCE", 1)
    put, calls = type(open_store((tmp_path / "x").as_uri())).put, []

    def failing(*given: Any, **more: Any) -> Any:
        calls.append(given[1])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return put(*given, **more)

    monkeypatch.setattr("storage.local.LocalStore.put", failing)
    imported(tmp_path, str(root), "--artifacts", "copy", code=130)

    imported(tmp_path, str(root), "--artifacts", "copy")

    assert len(calls) == 3  # the first file was not copied again
    assert dumped(tmp_path) == whole


@pytest.fixture
def bucket(minio_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    for name, value in minio_server.environ.items():
        monkeypatch.setenv(name, value)
    return minio_server.url("imported", tmp_path.name)


def test_files_in_a_bucket_are_copied(root: Path, bucket: str, tmp_path: Path) -> None:
    there = open_store(bucket)
    there.prepare()
    there.put("mlflow/x/artifacts/w.bin", (b"12",))
    run(root, "7", "d" * 32, f"{bucket.partition('?')[0]}/mlflow/x/artifacts")

    imported(tmp_path, str(root), "--artifacts", "copy", "--artifacts-from", bucket)

    assert stored(tmp_path)["default/mlflow/x/artifacts/w.bin"] == b"12"


def test_a_server_passes_its_files_on(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path / "there"))
    with serving(settings) as served_there, Caller(served_there) as there:
        id = there.run(there.experiment(name="files"))
        root = there.get("runs/get", run_id=id)["run"]["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/")
        for name in ("a.txt", "deep/ü b.txt"):
            there.http.put(f"/api/2.0/mlflow-artifacts/artifacts/{root}/{name}", content=name.encode()).raise_for_status()

        imported(tmp_path, served_there.url, "--artifacts", "copy")

    assert stored(tmp_path) == {f"default/{root}/a.txt": b"a.txt", f"default/{root}/deep/ü b.txt": "deep/ü b.txt".encode()}


@pytest.mark.parametrize("options", [("--artifacts-from", "/x"), ("--artifacts", "copy", "--artifacts-from", "/nowhere")])
def test_places_that_cannot_be_copied_from_are_refused(
    root: Path, tmp_path: Path, options: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    imported(tmp_path, str(root), *options, code=2)

    assert capsys.readouterr().err.count("\n") == 1
