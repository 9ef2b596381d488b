"""Documents tell the truth: their code runs, their links lead somewhere, the commands that they name exist."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import dev
from tests.repository.checkout import ROOT, name
from tests.repository.documents import COMMANDS, UNRUN, blocks, commands, documents, matches, script

RUNNABLE = [path for path in documents() if script(path.read_text("utf-8"))]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("path", RUNNABLE or documents()[:1], ids=name)  # an empty list would count as a skip
def test_code_of_a_document_runs(path: Path, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """`docs_server` starts a scratch server and gives the environment variables that lead a client to it."""
    variables: Mapping[str, str] = request.getfixturevalue("docs_server") if RUNNABLE else {}
    program = tmp_path / f"{path.stem}.py"
    program.write_text(script(path.read_text("utf-8")), "utf-8")
    paths = {
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'client' / 'src'}",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }

    done = subprocess.run(
        [sys.executable, "-W", "error", str(program)],
        cwd=tmp_path,
        env={**os.environ, **paths, **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, f"{name(path)}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("path", documents(), ids=name)
def test_blocks_run_or_say_that_they_do_not(path: Path) -> None:
    found = list(blocks(path.read_text("utf-8")))

    assert not [
        f"line {block.line}: {block.language or 'no language'}"
        for block in found
        if block.language not in UNRUN | {"python", "console"}
    ]
    assert not [
        f"line {line}: {command}; a command that cannot run here belongs in a text block"
        for block in found
        if block.language == "console"
        for line, command, _ in commands(block)
        if command.split()[0] not in COMMANDS
    ]


@pytest.mark.parametrize("path", documents(), ids=name)
def test_links_lead_to_files(path: Path) -> None:
    targets = LINK.findall(path.read_text("utf-8"))

    assert not [target for target in targets if "://" not in target and not (path.parent / target).exists()]


@pytest.mark.parametrize("path", documents(), ids=name)
def test_commands_of_the_checkout_that_a_document_names_exist(path: Path) -> None:
    text = path.read_text("utf-8")
    named = set(re.findall(r"(?:^|`)(?:make|python3 dev\.py) ([a-z]+(?:-[a-z]+)*)", text, re.MULTILINE))

    assert named <= dev.COMMANDS.keys()


def test_every_command_of_the_checkout_is_a_make_target_and_documented() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    contributing = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    [targets] = re.findall(r"^COMMANDS := (.+)$", makefile, re.MULTILINE)

    assert re.findall(r"^(.+):$", makefile, re.MULTILINE) == ["$(COMMANDS)"]
    assert sorted(targets.split()) == sorted(dev.COMMANDS)
    assert not [command for command in dev.COMMANDS if f"`make {command}" not in contributing]


def test_a_recipe_is_one_call_of_dev_py() -> None:
    recipes = [line for line in (ROOT / "Makefile").read_text("utf-8").splitlines() if line.startswith("\t")]

    assert recipes == ["\t@$(PYTHON) dev.py $@ $(ARGS)"]


def test_a_script_keeps_the_lines_of_its_document() -> None:
    console = "```console\n$ lineal runs \\\n    --json\n[...]\n$ lineal models\n```\n"
    text = f"# Title\n\n```python\nx = 1\n```\n\n{console}\n```python\nassert x\n```\n"

    lines = script(text).splitlines()

    assert lines[3] == "x = 1"
    assert lines[7] == "_run_command('lineal runs --json', '[...]')"
    assert lines[10] == "_run_command('lineal models', '')"
    assert lines[14] == "assert x"
    compile("\n".join(lines), "document", "exec")


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("", "anything", True),
        ("a\nb", "a  \nb\n", True),
        ("a ... c", "a b\nb c", True),
        ("a", "a\nb", False),
        ("a...c", "a b", False),
        ("1.5", "1x5", False),
    ],
)
def test_expected_output_is_compared(expected: str, printed: str, same: bool) -> None:
    assert matches(expected, printed) is same
