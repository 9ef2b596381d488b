"""What a request says, as the catalog takes it. Raises InvalidArgument for what no store could keep."""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from registry.api.mlmd.descriptors import service
from registry.catalog.graph_edges import Event
from registry.catalog.graph_puts import Mask, NodePut
from registry.catalog.graph_types import GraphType
from registry.catalog.graph_writes import Link
from registry.catalog.properties import Properties, PropertyKind, PropertyValue
from registry.errors import InvalidArgument
from registry.names import EventType, NodeKind, check_text

MAX_STRUCT_DEPTH = 100
_KINDS = {
    "int_value": PropertyKind.INT,
    "double_value": PropertyKind.DOUBLE,
    "string_value": PropertyKind.STRING,
    "struct_value": PropertyKind.STRUCT,
    "proto_value": PropertyKind.PROTO,
    "bool_value": PropertyKind.BOOLEAN,
}
STATE_FIELDS = {NodeKind.ARTIFACT: "state", NodeKind.EXECUTION: "last_known_state"}
TYPE_MESSAGES = {NodeKind.ARTIFACT: "ArtifactType", NodeKind.EXECUTION: "ExecutionType", NodeKind.CONTEXT: "ContextType"}
NODE_MESSAGES = {NodeKind.ARTIFACT: "Artifact", NodeKind.EXECUTION: "Execution", NodeKind.CONTEXT: "Context"}


def said(message: Any, name: str) -> Any:
    """The field, None if it was not said."""
    return getattr(message, name) if message.HasField(name) else None


def said_text(message: Any, name: str) -> str | None:
    """As `said`. Raises InvalidArgument: text that no database keeps."""
    return check_text(_plain(name, getattr(message, name)), name) if message.HasField(name) else None


def _plain(field: str, text: str | bytes) -> str:
    """Protobuf gives a text that is no UTF-8 as bytes. Raises InvalidArgument."""
    if isinstance(text, bytes):
        raise InvalidArgument(f"{field} is not UTF-8", field=field)
    return text


def type_put(kind: NodeKind, message: Any) -> GraphType:
    structs = {
        name: getattr(message, name).SerializeToString(deterministic=True)
        for name in ("input_type", "output_type")
        if kind is NodeKind.EXECUTION and message.HasField(name)
    }
    return GraphType(
        0,
        kind,
        message.name,
        message.version,
        said(message, "description"),
        said(message, "external_id"),
        said(message, "base_type"),
        dict(message.properties),
        **structs,
    )


def node_put(kind: NodeKind, message: Any) -> NodePut:
    state = STATE_FIELDS.get(kind)
    return NodePut(
        kind=kind,
        id=said(message, "id"),
        type_id=said(message, "type_id"),
        type_name=said_text(message, "type"),
        name=said_text(message, "name"),
        external_id=said_text(message, "external_id"),
        state=None if state is None else said(message, state),
        uri=said_text(message, "uri") if kind is NodeKind.ARTIFACT else None,
        properties=Properties(_values(message.properties), _values(message.custom_properties)),
        updated_at=said(message, "last_update_time_since_epoch"),
    )


def _values(values: Mapping[str, Any]) -> dict[str, PropertyValue]:
    return {_plain("a property's name", name): _value(name, value) for name, value in values.items()} if values else {}


def _value(name: str, message: Any) -> PropertyValue:
    which = message.WhichOneof("value")
    if which is None:
        raise InvalidArgument(f"Found unmatched property type: {name[:200]} (it has no value)", field="properties")
    value = getattr(message, which)
    if which == "string_value":
        value = _plain("a property", value)
    elif which == "struct_value":
        value = _struct(name, value, 0)
    elif which == "proto_value":
        check_text(_plain("type_url", value.type_url), "type_url")
        if not value.type_url:
            raise InvalidArgument(f"property {name[:200]!r}: a proto without type_url cannot be read back", field="properties")
        value = (value.type_url, value.value)
    return PropertyValue(_KINDS[which], value)


def _struct(name: str, message: Any, depth: int) -> Any:
    """google.protobuf.Struct, Value or ListValue as JSON; numbers stay floats."""
    if depth > MAX_STRUCT_DEPTH:
        raise InvalidArgument(f"property {name[:200]!r}: a struct of more than {MAX_STRUCT_DEPTH} levels", field="properties")
    match message.DESCRIPTOR.name:
        case "Struct":
            return {_in_struct(key): _struct(name, value, depth + 1) for key, value in message.fields.items()}
        case "ListValue":
            return [_struct(name, value, depth + 1) for value in message.values]
    which = message.WhichOneof("kind")
    if which == "null_value":
        return None
    if which is None:
        raise InvalidArgument(f"property {name[:200]!r}: a struct with a value of no kind", field="properties")
    value = getattr(message, which)
    if which in {"struct_value", "list_value"}:
        return _struct(name, value, depth)
    if which == "string_value":
        return _in_struct(value)
    if which == "number_value" and not math.isfinite(value):
        raise InvalidArgument(f"property {name[:200]!r}: {value} is no number of a struct", field="properties")
    return value


def _in_struct(text: str | bytes) -> str:
    return check_text(_plain("a text in a struct", text), "a text in a struct")


def mask_of(message: Any, kind: NodeKind) -> Mask | None:
    """None for no mask; paths that name nothing are let pass."""
    if not message.update_mask.paths:
        return None
    fields, maps, keys = set[str](), set[str](), {"properties": set[str](), "custom_properties": set[str]()}
    spaces = {"properties": "declared", "custom_properties": "custom"}
    for path in map(partial(_plain, "update_mask"), message.update_mask.paths):
        head, dot, key = path.partition(".")
        if head in spaces and dot:
            keys[head].add(key)
        elif head in spaces:
            maps.add(spaces[head])
        else:
            fields.add("state" if path == STATE_FIELDS.get(kind) else path if path != "state" else "")
    return Mask(frozenset(fields), frozenset(maps), frozenset(keys["properties"]), frozenset(keys["custom_properties"]))


def link_of(message: Any) -> Link:
    """An event; a step of its path that is neither index nor key is dropped."""
    steps = [_step(step, which) for step in message.path.steps if (which := step.WhichOneof("value"))]
    return Link(
        EventType(message.type),
        said(message, "artifact_id"),
        said(message, "execution_id"),
        steps,
        said(message, "milliseconds_since_epoch"),
    )


def _step(message: Any, which: str) -> str | int:
    return _plain("a key in an event's path", message.key) if which == "key" else int(message.index)


def event_of(message: Any) -> Event:
    """Raises InvalidArgument: it names no artifact or no execution."""
    link = link_of(message)
    if link.artifact is None or link.execution is None:
        missing = "artifact_id" if link.artifact is None else "execution_id"
        raise InvalidArgument(f"an event needs an {missing}", field=missing)
    return Event(link.artifact, link.execution, link.type, link.path, link.at)


def message(name: str, **fields: Any) -> Any:
    """A new message of the package."""
    return service().messages[name](**fields)


def check_texts(message: Any) -> None:
    """Of a message whose texts nothing else looks at: NUL no database keeps or compares. Raises InvalidArgument."""
    for field, value in message.ListFields():
        if field.type == field.TYPE_STRING:
            for one in [value] if isinstance(value, str | bytes) else value:
                _check_one(field, one)
        elif field.type != field.TYPE_MESSAGE:
            continue
        elif not field.message_type.GetOptions().map_entry:
            for one in [value] if hasattr(value, "ListFields") else value:
                check_texts(one)
        else:
            _check_entries(field, value)


def _check_entries(field: Any, entries: Any) -> None:
    for key in entries:
        _check_one(field, key)
        if field.message_type.fields_by_name["value"].message_type is not None:
            check_texts(entries[key])


def _check_one(field: Any, text: str | bytes) -> None:
    check_text(_plain(field.full_name, text), field.name)
