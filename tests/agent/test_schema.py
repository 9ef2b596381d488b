"""The committed JSON Schema is the one of the types, and says what the page says."""

import json
from pathlib import Path

import jsonschema
import pytest

import agent.schema
from agent.schema import report_schema
from tests.agent.building import dag, node, report_of, workflow

COMMITTED = Path(agent.schema.__file__).with_name("report.schema.json")


def test_the_committed_schema_is_the_one_of_the_types() -> None:
    assert json.loads(COMMITTED.read_text()) == report_schema(), "run: python -m agent.schema > agent/report.schema.json"


def test_the_schema_is_a_draft_2020_12_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(report_schema())


def test_a_report_is_valid_and_one_with_an_empty_text_or_another_word_is_not() -> None:
    validator = jsonschema.Draft202012Validator(report_schema())
    report = report_of(workflow(dag(), node("wf.a", inside="wf")))

    validator.validate(report)

    for broken in ({"message": ""}, {"state": "DONE"}, {"started_at": "yesterday"}, {"more": 1}):
        with pytest.raises(jsonschema.ValidationError):
            validator.validate({**report, "tasks": [{**report["tasks"][0], **broken}]})


def test_the_keys_of_a_report_stand_in_the_pages_order() -> None:
    content = workflow(dag(), node("wf.a", inside="wf"), node("wf.b", inside="gone"))

    report = report_of(content)

    assert list(report) == ["object", "run", "tasks", "warnings"]
    assert list(report["run"])[:8] == [
        "id",
        "name",
        "state",
        "phase",
        "started_at",
        "finished_at",
        "pipeline",
    ] + (["parameters"] if "parameters" in report["run"] else [])
    assert list(report["tasks"][0])[:6] == ["key", "name", "display_name", "parent", "state", "skipped"]


def test_the_same_object_gives_the_same_bytes_whatever_the_order_of_its_keys() -> None:
    content = workflow(dag("wf.a"), node("wf.a", inside="wf"), node("wf.b", inside="wf"))
    turned = json.loads(json.dumps(content))
    turned["status"]["nodes"] = dict(reversed(turned["status"]["nodes"].items()))

    assert json.dumps(report_of(content)) == json.dumps(report_of(turned))
