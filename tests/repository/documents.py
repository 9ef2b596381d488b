"""The code blocks of the documents, and how they are run.

In README.md and under docs/:

- ```python blocks are run in order, all of a file in one namespace.
- ```console blocks hold commands after `$ `, whose first word is one of `COMMANDS`. Each must exit 0. What follows a
  command is its expected output; `...` stands for any text.
- Whatever cannot or must not run (needs a cluster, a clone, another machine) is marked ```text, configuration by its
  own name.

A file becomes one script in which every statement keeps its line, so a traceback names the line of the document.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.repository.checkout import ROOT, files, name

COMMANDS = ("lineal", "lineal-server", "lineal-agent", "curl", "python")
UNRUN = {"text", "toml", "yaml", "json", "jsonl", "graphql", "sql", "mermaid", "diff", "nginx"}
FENCE = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```\s*$", re.MULTILINE | re.DOTALL)

# What a script starts with, on the first line so that the others keep theirs.
PRELUDE = "from tests.repository.documents import run_command as _run_command; "


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the number of its first line."""

    language: str
    text: str
    line: int


def documents() -> list[Path]:
    """README.md, CONTRIBUTING.md and everything under docs/ that is Markdown."""
    return [path for path in files() if path.suffix == ".md" and (name(path).startswith("docs/") or path.parent == ROOT)]


def blocks(text: str) -> Iterator[Block]:
    for match in FENCE.finditer(text):
        yield Block(match[1], match[2], text.count("\n", 0, match.start(2)) + 1)


def script(text: str) -> str:
    """The Python program that a document is; empty when nothing in it runs."""
    lines = [""] * (text.count("\n") + 1)
    for block in blocks(text):
        if block.language == "python":
            lines[block.line - 1 : block.line - 1 + block.text.count("\n")] = block.text.splitlines()
        elif block.language == "console":
            for line, command, expected in commands(block):
                lines[line - 1] = f"_run_command({command!r}, {expected!r})"
    body = "\n".join(lines)
    return PRELUDE + body if body.strip() else ""


def commands(block: Block) -> Iterator[tuple[int, str, str]]:
    """Line, command, expected output. A command that ends with a backslash goes on in the next line."""
    rows = block.text.splitlines()
    starts = [row for row, line in enumerate(rows) if line.startswith("$ ")]
    for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
        last = start
        while rows[last].endswith("\\") and last + 1 < end:
            last += 1
        command = " ".join(line.rstrip("\\").strip() for line in [rows[start][2:], *rows[start + 1 : last + 1]])
        yield block.line + start, command, "\n".join(rows[last + 1 : end])


def run_command(command: str, expected: str) -> None:
    """Run one command of a document; AssertionError when it fails or prints something else."""
    import shlex
    import subprocess

    done = subprocess.run(shlex.split(command), capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    assert matches(expected, done.stdout), f"{command} printed\n{done.stdout}\nand not\n{expected}"


def matches(expected: str, printed: str) -> bool:
    """Whether the output is as the document shows it. Nothing shown matches all; spaces at line ends do not count."""
    if not expected.strip():
        return True
    pattern = ".*".join(re.escape(part) for part in tidy(expected).split("..."))
    return re.fullmatch(pattern, tidy(printed), re.DOTALL) is not None


def tidy(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
