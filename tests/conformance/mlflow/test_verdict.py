"""When a run of upstream's tests is a success, and which skips are honest."""

from pathlib import Path

import pytest

from tests.conformance.mlflow import verdict
from tests.conformance.mlflow.serving import folder_of
from tests.conformance.mlflow.verdict import REGISTRY, TRACKING, Result, dishonest, listed, refuted, summary, wrong

SKIPS = {f"{TRACKING}::skipped{number}": "traces" for number in range(60)}


def passed(tracking: int = 70, registry: int = 40) -> list[Result]:
    names = [f"{TRACKING}::test{number}" for number in range(tracking)] + [
        f"{REGISTRY}::test{number}" for number in range(registry)
    ]
    return [Result(name, "passed", ()) for name in names]


def test_all_passed_and_the_rest_skipped_is_a_success() -> None:
    results = {name: passed() for name in ("sqlite", "postgresql", "mariadb")}

    assert wrong(results, SKIPS, {}) == []
    assert summary(results, SKIPS) == "conformance mlflow: 40 + 70 passed, 0 failed, 60 skipped, 3 databases"


@pytest.mark.parametrize("result", ["failed", "skipped", "xfail"])
def test_one_test_that_does_not_pass_on_one_database_is_named(result: str) -> None:
    results = {"sqlite": passed(), "mariadb": [*passed()[1:], Result(f"{TRACKING}::test0", result, ())]}

    assert wrong(results, SKIPS, {}) == [f"mariadb: {TRACKING}::test0: {result}"]
    assert "40 + 69 passed, 1 failed" in summary(results, SKIPS)


def test_tests_that_were_not_found_are_missed() -> None:
    assert len(wrong({"sqlite": passed(tracking=69)}, SKIPS, {})) == 1
    assert len(wrong({"sqlite": passed(registry=39)}, SKIPS, {})) == 1
    assert len(wrong({"sqlite": passed()}, SKIPS, {f"{TRACKING}::skipped1": "fails upstream"})) == 1


@pytest.mark.parametrize(
    ("route", "honest"),
    [
        ("POST /api/3.0/mlflow/traces", True),
        ("GET /api/2.0/mlflow/traces/tr-1/info", True),
        ("GET /ajax-api/2.0/mlflow/get-trace-artifact", True),
        ("POST /api/2.0/mlflow/scorers/register", True),
        ("POST /api/3.0/mlflow/gateway/secrets/create", True),
        ("POST /api/3.0/mlflow/datasets/create", True),
        ("POST /graphql", True),
        ("POST /v1/traces", True),
        ("POST /api/2.0/mlflow/experiments/search-datasets", False),
        ("POST /api/2.0/mlflow/runs/create", False),
        ("GET /version", False),
    ],
)
def test_a_skip_is_honest_if_the_test_calls_what_is_not_served(route: str, honest: bool) -> None:
    results = [Result("a", "failed", ["POST /api/2.0/mlflow/runs/create", route])]

    assert dishonest({"a": "x"}, results) == ([] if honest else ["a"])
    assert dishonest({"b": "x"}, results) == ["b"]


@pytest.mark.parametrize(("result", "holds"), [("failed", True), ("xfail", True), ("skipped", True), ("passed", False)])
def test_a_test_is_foreign_if_it_does_not_pass_on_mlflows_own_server(result: str, holds: bool) -> None:
    results = [Result("a", result, ())]

    assert refuted({"a": "x"}, results) == ([] if holds else ["a"])
    assert refuted({"a": "x", "b": "x"}, results)[-1] == "b"


def test_the_lists_say_how_long_they_are_and_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    skips, foreign = listed("skips.txt"), listed("foreign.txt")
    assert not set(skips) & set(foreign)

    monkeypatch.setattr(verdict, "HERE", tmp_path)
    for text in ("# 2 tests\na  # b\n", "# 1 tests\na\n"):
        (tmp_path / "skips.txt").write_text(text)
        with pytest.raises(ValueError, match=r"skips\.txt"):
            listed("skips.txt")


def test_another_folder_is_not_taken_for_upstreams(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        folder_of(tmp_path)
