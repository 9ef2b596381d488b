"""Every dependency has a role, written in docs/dependencies.md; what is declared is pinned, with hashes."""

import re
import tomllib

import pytest

from tests.repository.checkout import ROOT

GIVEN = ("ml-metadata", "sqlalchemy", "fastapi", "minio", "graphene", "pyarrow", "alembic", "pytest")
REQUIREMENTS = ROOT / "requirements"
SETS = ("server", "build", "dev", "demo", "mlmd", "mlmd-new", "bench", "mlflow2")
ROW = re.compile(r"^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)


def project(folder: str = ".") -> dict[str, list[str]]:
    data = tomllib.loads((ROOT / folder / "pyproject.toml").read_text("utf-8"))
    return {"runtime": data["project"]["dependencies"], "build": data["build-system"]["requires"]}


def wanted(need: str) -> list[str]:
    lines = (REQUIREMENTS / f"{need}.in").read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-"))]


def bare(requirement: str) -> str:
    """The normalised name in a requirement."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def roles() -> dict[str, tuple[str, str]]:
    text = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    return {bare(match[1]): (match[2].strip(), match[3].strip()) for match in ROW.finditer(text)}


def declared() -> set[str]:
    lists = [*project().values(), *project("client").values(), *map(wanted, SETS)]
    return {bare(requirement) for requirements in lists for requirement in requirements}


def pins(need: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for match in re.finditer(
        r"^([\w.-]+)(?:\[[\w,-]+])?==(\S+)", (REQUIREMENTS / f"{need}.txt").read_text("utf-8"), re.MULTILINE
    ):
        found.setdefault(bare(match[1]), set()).add(match[2])
    return found


@pytest.mark.parametrize("package", GIVEN)
def test_a_given_package_has_a_role(package: str) -> None:
    assert package in declared()
    assert len(roles()[package][1]) > 20


def test_every_declared_dependency_has_a_line() -> None:
    assert not declared() - roles().keys()


def test_no_line_is_about_something_that_is_not_declared() -> None:
    assert not roles().keys() - declared()


def test_the_server_pins_are_of_what_the_project_declares() -> None:
    assert sorted(wanted("server")) == sorted(project()["runtime"])


def test_the_client_needs_httpx_only() -> None:
    assert [bare(requirement) for requirement in project("client")["runtime"]] == ["httpx"]


@pytest.mark.parametrize("need", SETS)
def test_everything_wanted_is_pinned(need: str) -> None:
    assert not {bare(requirement) for requirement in wanted(need)} - pins(need).keys()


@pytest.mark.parametrize("need", ["server", "build", "demo"])
def test_sets_of_one_environment_agree_on_versions(need: str) -> None:
    everything = pins("dev")
    apart = {package for package, versions in pins(need).items() if package in everything and everything[package] != versions}

    assert not apart


@pytest.mark.parametrize("need", SETS)
def test_every_pin_has_a_hash(need: str) -> None:
    blocks = re.split(r"\n(?=[\w-])", (REQUIREMENTS / f"{need}.txt").read_text("utf-8"))

    assert not [block.splitlines()[0] for block in blocks if not block.startswith("#") and "--hash=sha256:" not in block]


def test_the_reference_client_stays_out_of_our_environments() -> None:
    """Its protobuf pin fits nothing else, and the server must not come to need it."""
    assert "ml-metadata" in pins("mlmd")
    assert not [need for need in SETS if not need.startswith("mlmd") and "ml-metadata" in pins(need)]
