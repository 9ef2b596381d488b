"""The demo itself: `make demo` runs it whole; here is what must hold without a training."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

DEMO = Path(__file__).parents[2] / "examples" / "demo"
OBJECTS = DEMO.parent / "objects"
CHECKS = "from checks import Checks; "


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": str(DEMO)} | environment
    return subprocess.run([sys.executable, *arguments], env=env, capture_output=True, text=True, check=False, timeout=60)


def test_the_first_difference_ends_the_demo_and_is_named() -> None:
    ended = python("-c", CHECKS + "c = Checks(1); c.same('a', 1, 1); c.same('the rate', 1, 2); print('went on')")

    assert ended.returncode == 1
    assert ended.stderr == "demo: the rate differs: 1 against 2\n"
    assert ended.stdout == ""


def test_every_comparison_is_counted_and_the_last_line_says_how_many() -> None:
    ended = python("-c", CHECKS + "c = Checks(1); c.part('x'); c.same('a', 1, 1, 1); c.true('b', True); c.end()")

    assert ended.stdout.splitlines()[-1] == "demo: ok, 3 checks"


def test_a_demo_that_left_out_a_part_does_not_end_well() -> None:
    assert python("-c", CHECKS + "c = Checks(2); c.part('x'); c.end()").returncode == 1


def test_a_folder_of_objects_that_is_not_there_is_said_before_anything_starts(tmp_path: Path) -> None:
    ended = python(str(DEMO), DATA=str(tmp_path / "missing"))

    assert ended.returncode == 1
    assert "there is no " + str(tmp_path / "missing") in ended.stderr
    assert ended.stdout == ""


def test_the_step_that_the_second_training_joins_is_one_of_the_object() -> None:
    object: dict[str, Any] = yaml.safe_load((OBJECTS / "kfp-v2-training.yaml").read_text(encoding="utf-8"))

    run, node = python("-c", "import workflows; print(workflows.TRAINING, workflows.NODE)").stdout.split()

    assert run == "run_" + object["metadata"]["labels"]["pipeline/runid"].replace("-", "")
    assert object["status"]["nodes"][node]["name"].endswith("iteration-iterations(0:0).iteration-item.train.executor")
