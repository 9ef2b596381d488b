"""The JSON Schema of a report, from the types in `report.py`: `python -m agent.schema > agent/report.schema.json`."""

import json
import sys
import types
from dataclasses import fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from agent.rendering import json_name
from agent.report import Json, Report

_TIME = {"type": ["string", "null"], "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"}
_SCALARS: dict[object, Json] = {
    str: {"type": "string", "minLength": 1},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
}


def report_schema() -> Json:
    """Draft 2020-12. Scalars are required and may be null where they may be unknown; what can be empty is optional."""
    definitions: dict[str, Json] = {}
    root = _object(Report, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:lineal:report",
        "title": "Report",
        "description": "What one picture of one Kubernetes object says. One line of `lineal-agent translate`.",
        **root,
        "$defs": dict(sorted(definitions.items())),
    }


def _object(cls: Any, definitions: dict[str, Json]) -> Json:
    hints = get_type_hints(cls)
    properties: dict[str, Json] = {}
    required: list[str] = []
    for part in fields(cls):
        name = json_name(part.name, part.metadata)
        schema = _TIME if part.name.endswith("_at") else _type(hints[part.name], definitions)
        properties[name] = dict(schema)
        if not _may_be_absent(hints[part.name]) and "sparse" not in part.metadata:
            required.append(name)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _type(hint: Any, definitions: dict[str, Json]) -> Json:
    if hint in _SCALARS:
        return _SCALARS[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        [inner] = [argument for argument in arguments if argument is not type(None)]
        schema = _type(inner, definitions)
        if is_dataclass(inner):
            return schema
        return {"enum": [*schema["enum"], None]} if "enum" in schema else {**schema, "type": [schema["type"], "null"]}
    if origin is tuple:
        return {"type": "array", "items": _type(arguments[0], definitions), "minItems": 1}
    if origin is dict:
        return {"type": "object", "minProperties": 1}
    definitions[hint.__name__] = _object(hint, definitions)
    return {"$ref": f"#/$defs/{hint.__name__}"}


def _may_be_absent(hint: Any) -> bool:
    inner = [argument for argument in get_args(hint) if is_dataclass(argument)]
    return bool(inner) or get_origin(hint) in (tuple, dict) or getattr(hint, "__name__", "") == "Ports"


def main() -> None:
    sys.stdout.write(json.dumps(report_schema(), indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
