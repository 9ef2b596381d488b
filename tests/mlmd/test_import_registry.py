"""Importing a Model Registry's database: the same tables, with types of its own."""

import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from registry.catalog.checking import check_all
from tests.mlmd.door import Door
from tests.mlmd.test_import import change, imported, served


@pytest.fixture
def registry(reference_python: Path, tmp_path: Path) -> str:
    """As the Go server has filled it: the same tables, types of its own, fields as declared properties, no MLMDEnv."""
    path = tmp_path / "registry.db"
    script = Path(__file__).parent / "reference" / "fill_registry.py"
    subprocess.run([str(reference_python), str(script), str(path)], check=True, timeout=120)
    change(path, "DROP TABLE MLMDEnv")
    return f"sqlite:///{path}"


def models(door: Door) -> dict[str, list[tuple[Any, ...]]]:
    """Versions by model: name, number, source, lifecycle."""
    url = f"{door.served.url}/api/v1"
    found = {}
    for model in httpx.get(f"{url}/models", timeout=60).json()["models"]:
        found[model["name"]] = sorted(
            (one["name"], one["number"], one["source"], one["lifecycle"])
            for lifecycle in ("active", "archived")
            for one in httpx.get(
                f"{url}/model-versions", params={"model_id": model["id"], "lifecycle": lifecycle}, timeout=60
            ).json()["versions"]
        )
    return found


def test_models_versions_and_files_of_a_model_registry_are_ours(registry: str, tmp_path: Path) -> None:
    report = imported(tmp_path, registry)

    assert "context 6: it is a version of no model" in report
    with served(tmp_path) as door:
        assert models(door) == {
            "churn": [
                ("4", 4, "s3://b/churn/4", "active"),
                ("first", 1, "s3://b/churn/1", "active"),
                ("old", 5, None, "archived"),
            ]
        }
        [model] = httpx.get(f"{door.served.url}/api/v1/models", timeout=60).json()["models"]
        assert (model["id"], model["description"], model["owner"]) == ("model_1", "leaves", "ann")
        assert not door.served.services.runner.read(lambda session: list(check_all(session)))
        assert door.one("context", 1).custom_properties["team"].string_value == "red"


def test_a_model_that_is_there_takes_the_versions(registry: str, tmp_path: Path) -> None:
    with served(tmp_path) as door:
        url = f"{door.served.url}/api/v1/models"
        own = httpx.post(url, json={"name": "churn"}, timeout=60).json()
        httpx.post(f"{url}/{own['id']}/versions", json={"source": "s3://b/own", "name": "first"}, timeout=60).raise_for_status()

    imported(tmp_path, registry)

    with served(tmp_path) as door:
        assert [name for name, *_ in models(door)["churn"]] == ["4", "first", "first.imported", "old"]
        assert not door.served.services.runner.read(lambda session: list(check_all(session)))
