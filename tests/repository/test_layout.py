"""Names and places: what shadows what, who owns which package, how long a module may be."""

import ast
import importlib.metadata

import pytest

import graphql
from tests.repository.checkout import PACKAGES, ROOT, SOURCE_ROOTS, files, name, python_files

OURS = {**dict.fromkeys(PACKAGES, "lineal-server"), "lineal": "lineal", "migrations": None, "tests": None}
FORBIDDEN = {
    "graphql": "shadows graphql-core when a file beside it is run; use gql",
    "grpc": "shadows grpcio; use rpc",
    "http": "shadows the standard library; name the noun",
    "types": "shadows the standard library; name the noun",
    "utils": "says nothing; name the noun",
}
LONG = 400


def test_graphql_folder_holds_no_python() -> None:
    stray = [name(path) for path in python_files("graphql")]

    assert not stray, f"{stray}: a package named graphql shadows graphql-core; the graphene code lives in registry/api/gql/"


def test_graphql_is_graphql_core() -> None:
    assert "site-packages" in str(graphql.__file__)


@pytest.mark.parametrize("package", OURS)
def test_no_other_distribution_owns_our_package(package: str) -> None:
    """pip merges two distributions with one package name into one folder, silently; the last one installed wins."""
    owners = set(importlib.metadata.packages_distributions().get(package, ()))

    assert owners <= {OURS[package]}


def test_no_module_has_a_forbidden_name() -> None:
    found = {
        name(path): FORBIDDEN[part]
        for path in python_files(*SOURCE_ROOTS, "tests")
        for part in path.relative_to(ROOT).with_suffix("").parts
        if part in FORBIDDEN
    }

    assert not found


def test_every_test_folder_is_a_package() -> None:
    folders = {path.parent for path in python_files("tests")}

    assert not [name(folder) for folder in folders if not (folder / "__init__.py").exists()]


def test_every_module_says_what_lives_in_it() -> None:
    silent = [
        name(path)
        for path in python_files(*SOURCE_ROOTS)
        if path.read_text("utf-8").strip() and not docstring(path.read_text("utf-8"))
    ]

    assert not silent


def test_only_the_runner_ends_a_transaction() -> None:
    """What the catalog does is grouped with other calls and run again (docs/decisions/0004-write-path.md)."""
    found = [
        f"{name(path)}:{node.lineno}"
        for path in python_files("registry/catalog", "registry/tables", "registry/api", "lineage")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"commit", "rollback"}
    ]

    assert not found


def test_no_door_makes_sql() -> None:
    """Doors give typed arguments to the catalog: what can be seen, found and in which order is said there once."""
    found = [
        f"{name(path)} imports {module}"
        for path in python_files("registry/api")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for module in imported(node)
        if module.split(".")[0] == "sqlalchemy" or module.startswith("registry.tables")
    ]

    assert not found


def test_a_long_module_says_why_it_is_whole() -> None:
    """A module fits one reading. One over 400 lines explains itself, with the word *whole* in its docstring."""
    unexplained = []
    for path in [
        *python_files(*SOURCE_ROOTS, "tests", "examples", "benchmarks"),
        *(p for p in files() if name(p) == "dev.py"),
    ]:
        text = path.read_text("utf-8")
        if text.count("\n") > LONG and "whole" not in docstring(text):
            unexplained.append(f"{name(path)}: {text.count(chr(10))} lines")

    assert not unexplained


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


def docstring(source: str) -> str:
    return ast.get_docstring(ast.parse(source)) or ""
