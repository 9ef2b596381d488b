"""The table of differences in docs/doors/mlflow.md is the one that `make differential-mlflow` shows."""

import re
from pathlib import Path

from tests.mlflow.differential.asking import differences
from tests.mlflow.differential.differences import DIFFERENCES
from tests.mlflow.differential.programs import playing

PAGE = Path(__file__).parents[2] / "docs" / "doors" / "mlflow.md"


def test_every_difference_of_the_page_is_shown_and_no_other() -> None:
    table = PAGE.read_text("utf-8").partition("\n| there | here |\n|---|---|\n")[2].partition("\n\n")[0]

    assert re.findall(r"^\| (.+?) \|", table, re.MULTILINE) == [one.row for one in DIFFERENCES]


def test_what_differs_is_said_field_by_field() -> None:
    theirs = {"status": 200, "body": {"a": [1, {"b": 2}], "c": 3}}
    ours = {"status": 400, "body": {"a": [1, {"b": 4}]}}

    assert differences(theirs, ours) == ["body.a[1].b: 2 -> 4", "body.c: 3 -> '<absent>'", "status: 200 -> 400"]
    assert differences(theirs, theirs) == []


def test_what_random_programs_may_see_is_on_the_page() -> None:
    rows = {one.row for one in DIFFERENCES}

    assert rows >= {playing.TWICE, playing.CUT, *playing.SAME_STATUS}


def test_a_program_is_the_same_whenever_it_is_written() -> None:
    one, again, other = (playing.program(seed, 1) for seed in (1, 1, 2))

    assert one == again != other
    assert len(one) == playing.STEPS
    assert {step.makes for step in one} >= {"<experiment 1-1>", "<run 1-3>", "<model 1-3>"}
