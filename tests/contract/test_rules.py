"""Every rule of the contract has tests that exist, or says what it waits for."""

import ast
import tomllib
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parents[1]
RULES: dict[str, Any] = tomllib.loads((TESTS / "contract" / "rules.toml").read_text("utf-8"))
NUMBERED = {"identity": 9, "mutability": 5, "write path": 7}
"""How many rules each numbered list of the contract has."""


def defined(file: str) -> set[str]:
    tree = ast.parse((TESTS / file).read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_names_tests_that_are_there_or_what_it_waits_for(rule: str) -> None:
    entry = RULES[rule]
    assert entry["tests"] or entry.get("waits_for"), "neither a test nor a reason"
    for test in entry["tests"]:
        file, _, name = test.partition("::")
        assert name in defined(file), f"{test} is gone"
    assert entry.keys() <= {"tests", "waits_for"}


@pytest.mark.parametrize(("part", "count"), NUMBERED.items())
def test_every_numbered_rule_is_listed_once(part: str, count: int) -> None:
    listed = [int(rule.removeprefix(part).partition(",")[0]) for rule in RULES if rule.startswith(part)]

    assert listed == list(range(1, count + 1))
