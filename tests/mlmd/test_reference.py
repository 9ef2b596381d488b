"""The reference client, ml-metadata 1.17.1 in an environment of its own, over the network."""

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx
from google.protobuf import descriptor_pb2

from registry.api.mlmd.descriptors import service
from tests.mlmd.door import Door

SCRIPTS = Path(__file__).parent / "reference"


def printed(python: Path, script: str, *arguments: str) -> str:
    command = [str(python), str(SCRIPTS / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def facts(file: descriptor_pb2.FileDescriptorProto) -> dict[str, Any]:
    """By full name: fields with number, type, label, default and group; values of enumerations; methods."""
    found: dict[str, Any] = {}

    def enum(made: descriptor_pb2.EnumDescriptorProto, scope: str) -> None:
        found[f"{scope}.{made.name}"] = {value.name: value.number for value in made.value}

    def message(made: descriptor_pb2.DescriptorProto, scope: str) -> None:
        name = f"{scope}.{made.name}"
        found[name] = {
            field.name: (
                field.number,
                field.type,
                field.label,
                field.type_name,
                field.default_value,
                made.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else "",
                field.options.packed,
            )
            for field in made.field
        }
        for nested in made.nested_type:
            message(nested, name)
        for nested_enum in made.enum_type:
            enum(nested_enum, name)

    for one in file.message_type:
        message(one, f".{file.package}")
    for one_enum in file.enum_type:
        enum(one_enum, f".{file.package}")
    for declared in file.service:
        found[declared.name] = {method.name: (method.input_type, method.output_type) for method in declared.method}
    return found


def test_our_messages_are_those_of_the_reference_client(reference_python: Path) -> None:
    theirs: dict[str, Any] = {}
    for line in printed(reference_python, "descriptors.py").splitlines():
        theirs |= facts(descriptor_pb2.FileDescriptorProto.FromString(bytes.fromhex(line)))
    ours = facts(descriptor_pb2.FileDescriptorProto.FromString(service().file))

    assert {name: theirs.get(name) for name in ours} == ours
    assert len(ours["MetadataStoreService"]) == 52


def test_a_run_of_tfx_by_the_reference_client(reference_python: Path, door: Door) -> None:
    found = json.loads(printed(reference_python, "tour.py", door.address.rpartition(":")[2]))

    assert found == {
        "types": ["Examples", "Model"],
        "by_filter": True,
        "in_run": True,
        "events": [[3, "examples"], [4, "model"]],
        "lineage": [["s3://b/examples", "s3://b/model"], 2, 4],
        "typed": ["Model"],
        "many": 2,
        "refused": "Found unmatched property type: x (it has no value)",
        "missing": True,
    }
    [run] = httpx.get(f"{door.served.url}/api/v1/runs", timeout=60).json()["runs"]
    steps = httpx.get(f"{door.served.url}/api/v1/runs/{run['id']}/steps", timeout=60).json()["steps"]
    assert run["name"] == "taxi.1"
    assert [step["status"] for step in steps] == ["succeeded", "succeeded"]
