"""Every operation, setting, error and command is documented, and nothing is documented that is not there."""

import argparse
import dataclasses
import re
from pathlib import Path

import agent.main
import agent.settings
import lineal.cli
import registry.catalog.subjects
import registry.main
from agent.status import Counters, exposition
from registry.api.app import create_app
from registry.api.problems import TABLE, kebab
from registry.filtering.subject import Subject
from registry.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"


def first_cells(page: str) -> list[str]:
    """The code words in the first column of the page's tables."""
    rows = re.findall(r"^\| (`.*?) \|", (DOCS / page).read_text("utf-8"), re.MULTILINE)
    return [word for row in rows for word in re.findall(r"`([^`]+)`", row)]


def test_rest_md_lists_every_operation_and_no_other() -> None:
    spec = create_app().openapi()
    operations = [operation["operationId"] for path in spec["paths"].values() for operation in path.values()]

    assert sorted(first_cells("rest.md")) == sorted(operations)


def test_filters_md_lists_every_field_of_every_list_with_a_filter() -> None:
    rows = re.findall(r"^\| `(list\w+)` \| (.*) \|$", (DOCS / "filters.md").read_text("utf-8"), re.MULTILINE)
    subjects = [kind for kind in vars(registry.catalog.subjects).values() if isinstance(kind, Subject)]

    assert sorted(fields for _, fields in rows) == sorted(
        ", ".join([f"`{name}`" for name in sorted(kind.attributes)] + [f"`{name}.`" for name in sorted(kind.spaces)])
        for kind in subjects
    )


def test_errors_md_lists_every_problem_type() -> None:
    types = {f"urn:lineal:problem:{kebab(kind.__name__)}" for kind in TABLE}

    assert set(first_cells("errors.md")) - types == {"urn:lineal:problem:method-not-allowed", "urn:lineal:problem:internal"}
    assert types <= set(first_cells("errors.md"))


def test_settings_md_lists_every_setting() -> None:
    assert first_cells("settings.md") == [f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(Settings)]


def test_agent_md_lists_every_setting_and_metric() -> None:
    flags = [f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(agent.settings.Settings)]
    page = exposition([], {}, Counters(), spooled_bytes=0, memory_bytes=0, away=False)
    told = list(dict.fromkeys(first_cells("agent.md")))

    assert [word for word in told if word.startswith("--")] == flags
    assert [word for word in told if word.startswith("lineal_agent_")] == re.findall(r"^# TYPE (\S+)", page, re.MULTILINE)


def commands(name: str, parser: argparse.ArgumentParser) -> list[str]:
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return [f"{name} {choice}" for group in groups for choice in group.choices]


def test_commands_md_lists_every_command() -> None:
    known = [
        *commands("lineal-server", registry.main.parser()),
        *commands("lineal-agent", agent.main.parser()),
        *commands("lineal", lineal.cli.parser()),
    ]

    assert first_cells("commands.md") == known
