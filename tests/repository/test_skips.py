"""A skip is told with its reason, and in CI it is a failure: the hooks of tests/conftest.py, in a run of their own."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository.checkout import ROOT

CASES = """
import pytest

@pytest.mark.skipif(True, reason="needs A_TOOL")
def test_by_mark():
    pass

def test_by_call():
    pytest.skip("needs B_TOOL")

@pytest.mark.xfail(strict=True)
def test_that_is_known_to_fail():
    assert False
"""


def run(folder: Path, ci: str, cases: str) -> subprocess.CompletedProcess[str]:
    (folder / "graphql").mkdir()
    (folder / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", folder / "tests")
    (folder / "tests" / "test_cases.py").write_text(cases)
    argv = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "tests"]
    env = {"PATH": os.environ["PATH"], "CI": ci}
    return subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_every_reason_says_what_is_needed_and_what_that_is() -> None:
    """Where a stranger reads it. Reasons that are put together are those of `required` and of `MissingTool`."""
    reasons = {
        f"{path.relative_to(ROOT)}:{call.lineno}": reason.value
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call) and ast.unparse(call.func) in {"pytest.skip", "pytest.mark.skip", "pytest.mark.skipif"}
        for reason in [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "reason")]
        if isinstance(reason, ast.Constant) and isinstance(reason.value, str)
    }

    assert reasons
    assert {place: reason for place, reason in reasons.items() if not re.fullmatch(r"needs [A-Za-z_]+: \w.{14,}", reason)} == {}


def test_a_skip_is_told_with_its_reason(tmp_path: Path) -> None:
    done = run(tmp_path, "", CASES)

    assert done.returncode == 0
    assert "needs A_TOOL" in done.stdout
    assert "needs B_TOOL" in done.stdout


def test_a_skip_is_a_failure_in_ci(tmp_path: Path) -> None:
    done = run(tmp_path, "true", CASES)

    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "CI=true and this did not run: Skipped: needs A_TOOL" in done.stdout
    assert "CI=true and this did not run: Skipped: needs B_TOOL" in done.stdout
    assert "1 failed, 1 xfailed, 1 error" in done.stdout  # the mark skips while the test is set up


def test_a_skipped_module_is_a_failure_in_ci(tmp_path: Path) -> None:
    done = run(tmp_path, "true", "import pytest\npytest.skip('needs C_TOOL', allow_module_level=True)\n")

    assert done.returncode == pytest.ExitCode.INTERRUPTED
    assert "CI=true and this did not run: Skipped: needs C_TOOL" in done.stdout


def test_python_under_graphql_stops_the_run_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "graphql").mkdir()
    (tmp_path / "graphql" / "resolvers.py").touch()
    shutil.copytree(ROOT / "tests" / "repository", tmp_path / "tests" / "repository")
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path / "tests")

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "graphql/resolvers.py: graphql/ must hold no Python" in done.stdout + done.stderr
