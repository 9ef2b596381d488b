"""Where a version's files come from: what its source may be, what record they become, what the client is told to download."""

from typing import Any

import pytest

from registry.catalog.actors import Actor
from registry.catalog.artifacts import Artifact, get_artifact
from registry.catalog.model_lookup import read_version
from registry.catalog.version_reads import ModelVersion
from registry.db.session import Session
from registry.names import ArtifactKind, Role
from tests.mlflow.calling import Caller, fresh, pairs

ACTOR = Actor("tester", 1, "default", Role.ADMIN)
INVALID = (400, "INVALID_PARAMETER_VALUE")
GONE = (404, "RESOURCE_DOES_NOT_EXIST")


@pytest.fixture
def name(door: Caller) -> str:
    made = fresh("model")
    door.post("registered-models/create", name=made)
    return made


def create(door: Caller, name: str, source: str, **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = door.post("model-versions/create", name=name, source=source, **fields)["model_version"]
    return found


def download(door: Caller, name: str, version: str) -> str:
    return str(door.get("model-versions/get-download-uri", name=name, version=version)["artifact_uri"])


def stored(door: Caller, name: str, number: int) -> tuple[ModelVersion, Artifact | None]:
    def read(session: Session) -> tuple[ModelVersion, Artifact | None]:
        version = read_version(session, ACTOR, name, number)
        return version, None if version.artifact is None else get_artifact(session, ACTOR, version.artifact)

    return door.served.services.runner.read(read)


def test_files_of_a_run_are_an_artifact_that_it_wrote_in_our_own_store(door: Caller, name: str) -> None:
    run = door.run(door.experiment())
    root = door.get("runs/get", run_id=run)["run"]["info"]["artifact_uri"]
    create(door, name, f"runs:/{run}/model", run_id=run)
    create(door, name, f"{root}/model", run_id=run)

    one, files = stored(door, name, 1)
    assert files is not None
    assert files.uri == door.served.services.store.uri(f"default/{root.removeprefix('mlflow-artifacts:/')}/model")
    assert (files.kind, files.step is not None, one.run) == (ArtifactKind.MODEL, True, f"run_{run}")
    assert stored(door, name, 2)[0].artifact == one.artifact
    assert [download(door, name, number) for number in ("1", "2")] == [f"runs:/{run}/model", f"{root}/model"]


def test_a_run_that_is_not_here_keeps_its_text(door: Caller, name: str) -> None:
    made = create(door, name, "runs:/elsewhere/model", run_id="elsewhere")

    assert (made["run_id"], made["source"]) == ("elsewhere", "runs:/elsewhere/model")
    assert stored(door, name, 1)[0].artifact is None


def test_a_deleted_run_may_be_registered_and_nothing_is_written_to_it(door: Caller, name: str) -> None:
    run = door.run(door.experiment())
    door.post("runs/delete", run_id=run)

    assert create(door, name, f"runs:/{run}/model", run_id=run)["run_id"] == run
    assert "model_outputs" not in door.get("runs/get", run_id=run)["run"]["outputs"]


def test_a_copy_has_the_same_files_and_says_whose(door: Caller, name: str) -> None:
    run = door.run(door.experiment())
    create(door, name, f"runs:/{run}/model", run_id=run)
    door.post("registered-models/alias", name=name, alias="best", version="1")
    door.post("model-versions/transition-stage", name=name, version="1", stage="Production")
    other = fresh("copy")
    door.post("registered-models/create", name=other)

    for source in (f"models:/{name}/1", f"models:/{name}@best", f"models:/{name}/latest", f"models:/{name}/production"):
        made = create(door, other, source)
        assert (made["source"], made["run_id"]) == (f"models:/{name}/1", run)
        assert download(door, other, made["version"]) == f"runs:/{run}/model"
    copy_of_copy = create(door, name, f"models:/{other}/2", run_id=run)
    assert (copy_of_copy["source"], download(door, name, "2")) == (f"models:/{other}/2", f"runs:/{run}/model")
    assert stored(door, name, 2)[0].artifact == stored(door, name, 1)[0].artifact


def test_places_elsewhere_are_taken_as_they_are(door: Caller, name: str) -> None:
    for source in ("s3://bucket/a b#c", "gs://b/m", "hdfs://host/x", "http://host/m/", "dbfs:/models/x"):
        assert create(door, name, source)["source"] == source
    assert stored(door, name, 1)[0].artifact == stored(door, name, 1)[0].artifact


@pytest.mark.parametrize(
    "source",
    [
        "runs:/{other}/model",
        "runs:/{run}x/model",
        "mlflow-artifacts:/models",
        "mlflow-artifacts:/{elsewhere}",
        "mlflow-artifacts:/{root}/../../x",
        "mlflow-artifacts:/{root}/..%2f..%2fx",
        "mlflow-artifacts:/{root}/..%252fx",
        "mlflow-artifacts:/{root}%00",
        "mlflow-artifacts://host/{root}",
        "http://host/api/2.0/mlflow-artifacts/artifacts/models",
        "s3://b/a/../b",
        "s3://b/a/./b",
        "/etc/passwd",
        "file:///etc/passwd",
        "model",
        "dummy-source",
        "models:/{name}/1/2",
        "models://host/{name}/1",
        "models:/m-1",
    ],
)
def test_a_place_that_is_not_the_runs_is_refused(sqlite_door: Caller, source: str) -> None:
    name = fresh("model")
    sqlite_door.post("registered-models/create", name=name)
    experiment = sqlite_door.experiment()
    run, other = sqlite_door.run(experiment), sqlite_door.run(experiment)
    roots = [sqlite_door.get("runs/get", run_id=one)["run"]["info"]["artifact_uri"] for one in (run, other)]
    root, elsewhere = (one.removeprefix("mlflow-artifacts:/") for one in roots)
    text = source.format(run=run, other=other, root=root, elsewhere=elsewhere, name=name)

    assert sqlite_door.refused("POST", "model-versions/create", name=name, source=text, run_id=run) == INVALID
    assert sqlite_door.get("model-versions/search", filter=f"name = '{name}'") == {}


def test_a_local_path_must_lie_in_the_root_of_its_run(sqlite_door: Caller) -> None:
    name = fresh("model")
    sqlite_door.post("registered-models/create", name=name)
    run = sqlite_door.run(sqlite_door.experiment(artifact_location="file:///data/e"))
    root = f"/data/e/{run}/artifacts"

    for source in (root, f"{root}/model", f"file://{root}/model/..", f"file://{root}/."):
        assert create(sqlite_door, name, source, run_id=run)["source"] == source
    for source in ("/data/e", f"{root}/../x", f"{root}x", "file:///data"):
        assert sqlite_door.refused("POST", "model-versions/create", name=name, source=source, run_id=run) == INVALID
    assert sqlite_door.refused("POST", "model-versions/create", name=name, source=root) == INVALID


def test_a_copy_of_nothing_is_not_found_and_of_a_prompt_refused(sqlite_door: Caller) -> None:
    name, prompt = fresh("model"), fresh("prompt")
    is_prompt = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
    sqlite_door.post("registered-models/create", name=name)
    sqlite_door.post("registered-models/create", name=prompt, tags=is_prompt)
    create(sqlite_door, prompt, "dummy-source", tags=[*is_prompt, *pairs(text="hello")])

    def refused(source: str, **fields: Any) -> tuple[int, str]:
        return sqlite_door.refused("POST", "model-versions/create", name=name, source=source, **fields)

    for source in ("models:/nobody/1", f"models:/{name}/1", f"models:/{name}@none", f"models:/{name}/Staging"):
        assert refused(source) == GONE
    assert refused(f"models:/{prompt}/1") == INVALID
    create(sqlite_door, name, "s3://b/m", run_id="theirs")
    assert refused(f"models:/{name}/1", run_id="mine") == INVALID
    assert sqlite_door.refused("POST", "model-versions/create", name=prompt, source="s3://x", tags=is_prompt) == INVALID
    assert sqlite_door.refused("POST", "registered-models/create", name=prompt) == (400, "RESOURCE_ALREADY_EXISTS")
