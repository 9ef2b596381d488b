"""The Kubernetes objects in `examples/objects`: sound by Argo's own rules, and translated as a reader of them expects."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from agent.workflow.pods import fnv32a
from tests.agent.test_expected import compare, translate_file

OBJECTS = Path(__file__).parents[2] / "examples" / "objects"
EXPECTED = Path(__file__).parent / "expected"
NAMES = sorted({path.name for folder in (OBJECTS, EXPECTED) for path in folder.glob("*.yaml")})


@pytest.mark.parametrize("name", NAMES)
def test_the_report_of_an_example_says_what_a_reader_of_the_object_expects(name: str) -> None:
    expected = yaml.safe_load((EXPECTED / name).read_text(encoding="utf-8"))["reports"]

    reports = translate_file(OBJECTS / name)

    differences = [found for wanted, report in zip(expected, reports, strict=True) for found in compare(wanted, report)]
    assert not differences, "\n" + "\n".join(f"{where}: {what}" for where, what in differences)


@pytest.mark.parametrize("name", NAMES)
def test_the_nodes_of_an_example_have_ids_and_relatives_as_the_controller_gives_them(name: str) -> None:
    workflow: dict[str, Any] = yaml.safe_load((OBJECTS / name).read_text(encoding="utf-8"))
    root, nodes = workflow["metadata"]["name"], workflow["status"]["nodes"]

    ids = {node["name"]: root if node["name"] == root else f"{root}-{fnv32a(node['name'])}" for node in nodes.values()}
    related = [id for node in nodes.values() for key in ("children", "outboundNodes") for id in node.get(key, [])]
    related += [node["boundaryID"] for node in nodes.values() if "boundaryID" in node]

    assert {node["name"]: node["id"] for node in nodes.values()} == ids
    assert set(nodes) == set(ids.values())
    assert not set(related) - set(nodes)
    assert not set(nodes) - {root, *related}
