"""What the two wheels carry."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.repository.checkout import PACKAGES, ROOT

PIP = [sys.executable, "-m", "pip", "--isolated", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """File names by distribution."""
    folder = tmp_path_factory.mktemp("wheels")
    subprocess.run([*PIP, "--wheel-dir", str(folder), str(ROOT), str(ROOT / "client")], check=True)
    return {wheel.name.split("-")[0]: zipfile.ZipFile(wheel).namelist() for wheel in folder.glob("*.whl")}


def top_level(names: list[str]) -> set[str]:
    return {Path(name).parts[0] for name in names if ".dist-info" not in Path(name).parts[0]}


def test_the_server_wheel_holds_the_four_packages(contents: dict[str, list[str]]) -> None:
    assert top_level(contents["lineal_server"]) == set(PACKAGES)


def test_the_server_wheel_carries_the_migrations(contents: dict[str, list[str]]) -> None:
    names = contents["lineal_server"]

    assert "registry/_migrations/env.py" in names
    assert [name for name in names if name.startswith("registry/_migrations/versions/") and name.endswith(".py")]


def test_the_client_wheel_holds_the_client_only(contents: dict[str, list[str]]) -> None:
    assert top_level(contents["lineal"]) == {"lineal"}


@pytest.mark.parametrize("distribution", ["lineal_server", "lineal"])
def test_a_wheel_has_its_licence_and_no_caches(distribution: str, contents: dict[str, list[str]]) -> None:
    names = contents[distribution]

    assert [name for name in names if name.endswith("/licenses/LICENSE")]
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]
