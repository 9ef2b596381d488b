"""Artifacts, datasets and models of a run: what is stored, what is recorded, and what comes back."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pyarrow as pa
import pytest
from pyarrow import parquet

import lineal
from lineal import parts
from lineal.downloads import fetch
from lineal.local_files import folder_digest
from lineal.transport import Transport
from tests.servers import Served

DATA = bytes(range(256)) * 5000


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[lineal.Client]:
    with lineal.Client(server.url) as made:
        yield made


@pytest.fixture
def run(client: lineal.Client) -> Iterator[lineal.Run]:
    with lineal.run(experiment="files", client=client) as made:
        yield made


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.bin"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "saved model"
    (path / "variables").mkdir(parents=True)
    (path / "graph.pb").write_bytes(b"graph")
    (path / "variables" / "0.bin").write_bytes(DATA)
    return path


def read(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_file_is_stored_as_an_output_and_comes_back(run: lineal.Run, model: Path, tmp_path: Path) -> None:
    record = run.log_artifact(model, kind="model")

    [use] = run.client.uses(run.id)
    got = run.client.download(record, tmp_path / "got")
    assert (record["digest"], record["size_bytes"], record["kind"]) == (hashlib.sha256(DATA).hexdigest(), len(DATA), "model")
    assert (use["artifact"]["id"], use["direction"], use["port"], use["step"]) == (record["id"], "output", "model.bin", None)
    assert got == tmp_path / "got" / "model.bin"
    assert got.read_bytes() == DATA


def test_a_folder_is_one_artifact_with_a_digest_over_its_files(run: lineal.Run, folder: Path, tmp_path: Path) -> None:
    record = run.log_artifact(folder, "model")

    got = run.client.download(record["id"], tmp_path / "got")
    lines = f"{hashlib.sha256(b'graph').hexdigest()}  graph.pb\n{hashlib.sha256(DATA).hexdigest()}  variables/0.bin\n"
    assert record["digest"] == hashlib.sha256(lines.encode()).hexdigest()
    assert record["size_bytes"] == len(DATA) + 5
    assert read(got) == read(folder)


def test_logged_again_it_is_the_same_artifact_with_the_new_bytes(run: lineal.Run, folder: Path, tmp_path: Path) -> None:
    first = run.log_artifact(folder, "model")
    same = run.log_artifact(folder, "model")
    (folder / "graph.pb").unlink()
    (folder / "new.pb").write_bytes(b"new")
    with lineal.run(run_id=run.id, client=run.client) as other_process:
        changed = other_process.log_artifact(folder, "model")

    assert (same["id"], same["version"]) == (first["id"], first["version"])
    assert (changed["id"], changed["digest"] == first["digest"]) == (first["id"], False)
    assert len(list(run.client.uses(run.id))) == 1
    assert read(run.client.download(changed, tmp_path / "got")) == read(folder)


@pytest.mark.parametrize("name", ["../out.bin", "/etc/out.bin", "a/../../b", "a\\b", "a/"])
def test_a_name_outside_of_the_run_is_refused(run: lineal.Run, model: Path, name: str) -> None:
    with pytest.raises(lineal.LinealError, match="no path inside"):
        run.log_artifact(model, name)

    assert list(run.client.uses(run.id)) == []


def test_an_empty_folder_and_a_missing_file_are_refused(run: lineal.Run, tmp_path: Path) -> None:
    with pytest.raises(lineal.LinealError, match="holds no file"):
        run.log_artifact(tmp_path)
    with pytest.raises(lineal.LinealError, match="is not there"):
        run.log_artifact(tmp_path / "none")

    assert list(run.client.uses(run.id)) == []


def test_a_link_to_a_folder_is_refused_rather_than_left_out(run: lineal.Run, folder: Path, tmp_path: Path) -> None:
    (folder / "more").symlink_to(tmp_path)

    with pytest.raises(lineal.LinealError, match="link to a folder"):
        run.log_artifact(folder)


def test_a_broken_upload_is_sent_again(run: lineal.Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put: Any = httpx.Client.put
    broken: list[bytes] = []

    def put_or_break(http: httpx.Client, url: str, **rest: Any) -> httpx.Response:
        if not broken:
            broken.append(next(iter(rest["content"])))
            raise httpx.WriteError("connection lost")
        answer: httpx.Response = put(http, url, **rest)
        return answer

    monkeypatch.setattr(httpx.Client, "put", put_or_break)

    record = run.log_artifact(model)

    assert broken
    assert run.client.download(record, tmp_path / "got").read_bytes() == DATA


def test_a_dataset_file_is_stored_once_under_its_sha256(run: lineal.Run, model: Path, tmp_path: Path) -> None:
    version = run.log_dataset(model, "rows", tags={"split": "train"})
    with lineal.run(experiment="files", client=run.client) as other:
        again = other.log_dataset(model, "rows")

    [use] = run.client.uses(run.id)
    artifact = run.client.get_artifact(version["id"])
    assert version["digest"] == artifact["digest"] == hashlib.sha256(DATA).hexdigest()
    assert (use["artifact"]["id"], use["direction"], use["tags"]) == (version["id"], "input", {"split": "train"})
    assert again["id"] == version["id"]
    assert run.client.download(version, tmp_path / "got").read_bytes() == DATA


def test_a_dataset_by_uri_is_only_recorded(run: lineal.Run) -> None:
    version = run.log_dataset("s3://lake/clicks/2026-11", version="2026-11", output=True)

    [use] = run.client.uses(run.id)
    assert (version["name"], version["digest"], version["uri"]) == ("2026-11", "2026-11", "s3://lake/clicks/2026-11")
    assert use["direction"] == "output"
    with pytest.raises(lineal.ApiError, match="not in this server's store"):
        run.client.download(version, "nowhere")
    assert not Path("nowhere").exists()


def test_one_version_of_a_dataset_is_one_content(run: lineal.Run, model: Path) -> None:
    run.log_dataset(model, "labelled", version="v1")
    model.write_bytes(b"other")

    with pytest.raises(lineal.LinealError, match="other bytes"):
        run.log_dataset(model, "labelled", version="v1")
    assert run.log_dataset(model, "labelled", version="v2")["digest"] == "v2"


def test_a_dataframe_is_stored_as_parquet(run: lineal.Run, tmp_path: Path) -> None:
    # pandas is not among this project's test tools; what the client needs of a DataFrame is this much
    table = pa.table({"a": [1, 2], "b": ["x", "y"]})
    frame_type = type("DataFrame", (), {"to_parquet": lambda _self, path, engine: parquet.write_table(table, path)})
    frame_type.__module__ = "pandas.core.frame"
    frame: Any = frame_type()
    frame.shape, frame.dtypes = (2, 2), {"a": "int64", "b": "object"}

    version = run.log_dataset(frame, "frame", output=True)

    preview = run.client.transport.get(f"/api/v1/artifacts/{version['id']}/preview")
    assert preview["rows"] == [[1, "x"], [2, "y"]]
    assert version["schema_text"] == '[{"name": "a", "type": "int64"}, {"name": "b", "type": "object"}]'


def test_used_artifacts_and_versions_are_inputs(run: lineal.Run, model: Path) -> None:
    with lineal.run(experiment="files", client=run.client) as maker:
        made = maker.log_artifact(model, "weights.bin")
        version = maker.register_model("used", made, alias="champion", tags={"a": "b"})

    by_alias = run.use("models:/used@champion", port="start")
    by_number = run.use("models:/used/1")
    by_id = run.use(made["id"])

    [use] = run.client.uses(run.id)
    assert (by_alias["id"], by_number["id"], by_id["id"]) == (version["id"], version["id"], made["id"])
    assert (use["artifact"]["id"], use["direction"], use["port"]) == (made["id"], "input", "start")


@pytest.mark.parametrize("reference", ["models:/none such/1", "models:/used@nobody", "art_999999999", "weights.bin"])
def test_what_is_not_there_cannot_be_used(run: lineal.Run, reference: str) -> None:
    with pytest.raises(lineal.LinealError):
        run.use(reference)

    assert list(run.client.uses(run.id)) == []


def test_a_model_is_registered_from_a_path_an_output_or_a_uri(run: lineal.Run, model: Path, tmp_path: Path) -> None:
    first = run.register_model("three ways", model, alias="champion", stage="Staging", description="d")
    second = run.register_model("three ways", "model.bin")
    third = run.register_model("three ways", "s3://elsewhere/model")

    assert [one["number"] for one in (first, second, third)] == [1, 2, 3]
    assert (first["aliases"], first["stage"], first["description"], first["run_id"]) == (["champion"], "Staging", "d", run.id)
    assert first["artifact_id"] == second["artifact_id"]
    assert third["source"] == "s3://elsewhere/model"
    assert run.client.download("models:/three ways@champion", tmp_path / "got").read_bytes() == DATA


def test_a_refused_registration_leaves_no_model(run: lineal.Run) -> None:
    with pytest.raises(lineal.ApiError):
        run.register_model("half", "no such output")

    with pytest.raises(lineal.LinealError, match="no model 'half'"):
        run.client.get_model("half")


# ---- downloads ----


@pytest.fixture
def stored(run: lineal.Run, model: Path) -> dict[str, Any]:
    return run.log_artifact(model)


def part_of(folder: Path, digest: str) -> Path:
    return folder / f".model.bin.{digest[:16]}.part"


def test_a_broken_download_is_taken_up_where_it_stopped(
    run: lineal.Run, stored: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offsets = []
    download = Transport.download

    def noted(transport: Any, path: str, *, offset: int = 0) -> Any:
        offsets.append(offset)
        return download(transport, path, offset=offset)

    monkeypatch.setattr("lineal.transport.Transport.download", noted)
    (tmp_path / "got").mkdir()
    part_of(tmp_path / "got", stored["digest"]).write_bytes(DATA[:1000])

    got = run.client.download(stored, tmp_path / "got")

    assert offsets == [1000]
    assert read(tmp_path / "got") == {"model.bin": DATA}
    assert got.read_bytes() == DATA


def test_a_wrong_beginning_is_fetched_anew(run: lineal.Run, stored: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "got").mkdir()
    part_of(tmp_path / "got", stored["digest"]).write_bytes(b"wrong")

    assert run.client.download(stored, tmp_path / "got").read_bytes() == DATA


def test_two_at_a_time_do_not_write_into_each_other(run: lineal.Run, stored: dict[str, Any], tmp_path: Path) -> None:
    place = tmp_path / "model.bin"

    with parts.opened(place, stored["digest"], lambda _count: None) as slow:
        slow.add(DATA[:1000])
        run.client.download(stored, tmp_path)
        slow.add(DATA[1000:])

    assert place.read_bytes() == DATA
    assert list(tmp_path.glob(".*")) == []


def test_wrong_bytes_are_refused_and_nothing_is_kept(
    server: Served, run: lineal.Run, stored: dict[str, Any], tmp_path: Path
) -> None:
    key = server.services.store.key_of(stored["uri"])
    assert key is not None
    server.services.store.put(key, [b"x" * len(DATA)])

    with pytest.raises(lineal.LinealError, match="sha256"):
        run.client.download(stored, tmp_path / "got")

    assert read(tmp_path / "got") == {}


def test_a_file_changed_behind_the_record_is_noticed(run: lineal.Run, stored: dict[str, Any], tmp_path: Path) -> None:
    [file] = run.client.artifact_files(stored["id"])[1]
    other = b"other"
    run.client.transport.upload(
        f"/api/v1/files/{file['path']}", lambda: [other], size_bytes=5, sha256=hashlib.sha256(other).hexdigest()
    )

    with pytest.raises(lineal.LinealError, match="not those that were logged"):
        run.client.download(stored, tmp_path / "got")


@pytest.mark.parametrize("name", ["../out", "/out", "a/../../out", "a\\out", "", "a//b", "./a"])
def test_a_name_that_leads_outside_is_not_written(tmp_path: Path, name: str) -> None:
    file = {"name": name, "path": "x", "size_bytes": 0, "sha256": None}

    with pytest.raises(lineal.LinealError, match="no path inside"):
        fetch(SimpleNamespace(), [file], tmp_path / "got")  # type: ignore[arg-type]
    assert list(tmp_path.rglob("*")) == [tmp_path / "got"]


def test_a_link_that_lies_there_leads_nowhere(run: lineal.Run, folder: Path, tmp_path: Path) -> None:
    record = run.log_artifact(folder, "model")
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "got").mkdir()
    (tmp_path / "got" / "variables").symlink_to(outside)

    with pytest.raises(lineal.LinealError, match="outside"):
        run.client.download(record, tmp_path / "got")
    assert list(outside.iterdir()) == []


def test_the_client_imports_neither_pandas_nor_pyarrow() -> None:
    code = "import sys, lineal, lineal.cli; sys.exit(bool({'pandas', 'pyarrow', 'numpy'} & set(sys.modules)))"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_digest_of_a_folder_is_that_of_sha256sums_lines() -> None:
    assert (
        folder_digest([("b", "2" * 64), ("a", "1" * 64)])
        == hashlib.sha256(f"{'1' * 64}  a\n{'2' * 64}  b\n".encode()).hexdigest()
    )
