"""Nodes as the bytes of their messages, which go into an answer as they are; events.

A message object that is filled field by field, and serialised after that, takes ten times as long; lists of nodes are what the
door is asked for most. Numbers of fields are those of the descriptors. https://protobuf.dev/programming-guides/encoding/
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from struct import Struct
from typing import Any

import orjson
from google.protobuf import any_pb2, struct_pb2

from registry.api.mlmd.descriptors import service
from registry.api.mlmd.requests import NODE_MESSAGES, STATE_FIELDS
from registry.catalog.graph_edges import path_of
from registry.catalog.graph_reads import Node
from registry.catalog.properties import PropertyKind, restored
from registry.names import EventType, NodeKind

_KEYS_KEPT = 4_096
_SHORT_PATH = 512
"""Characters of an event's path up to which its bytes are kept: most are a port and an index, of which there are few."""

_MASK = 2**64 - 1
_DOUBLE = Struct("<d").pack
_SHORT = [bytes([one]) for one in range(0x80)] + [bytes((one & 0x7F | 0x80, one >> 7)) for one in range(0x80, 0x4000)]
_GOING_ON = [bytes((one & 0x7F | 0x80, one >> 7 | 0x80)) for one in range(0x4000)]
"""Varints of up to 14 bits, and 14 bits of longer ones: looking two up takes half as long as to make four bytes."""


def varint(value: int) -> bytes:
    """Of an integer of 64 bits; a negative one in ten bytes."""
    if 0 <= value < 0x4000:
        return _SHORT[value]
    value &= _MASK
    made = b""
    while value >= 0x4000:
        made += _GOING_ON[value & 0x3FFF]
        value >>= 14
    return made + _SHORT[value]


def sized(content: bytes) -> bytes:
    return varint(len(content)) + content


def text(value: str) -> bytes:
    return sized(value.encode())


@cache
def tag_of(message: Any, field: str) -> bytes:
    """What stands before the field's value; `message` is a descriptor."""
    found = message.fields_by_name[field]
    wire_type = {found.TYPE_STRING: 2, found.TYPE_BYTES: 2, found.TYPE_MESSAGE: 2, found.TYPE_DOUBLE: 1}.get(found.type, 0)
    return varint(found.number << 3 | wire_type)


def tag(message: str, field: str) -> bytes:
    return tag_of(service().messages[message].DESCRIPTOR, field)


# ---- nodes ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Tags:
    """Of a kind's message."""

    id: bytes
    type_id: bytes
    type: bytes
    name: bytes
    external_id: bytes
    state: bytes
    uri: bytes
    created: bytes
    updated: bytes
    spaces: Mapping[str, bytes]


@cache
def _tags(kind: NodeKind) -> _Tags:
    message = NODE_MESSAGES[kind]
    return _Tags(
        id=tag(message, "id"),
        type_id=tag(message, "type_id"),
        type=tag(message, "type"),
        name=tag(message, "name"),
        external_id=tag(message, "external_id"),
        state=tag(message, STATE_FIELDS[kind]) if kind in STATE_FIELDS else b"",
        uri=tag(message, "uri") if kind is NodeKind.ARTIFACT else b"",
        created=tag(message, "create_time_since_epoch"),
        updated=tag(message, "last_update_time_since_epoch"),
        spaces={"d": tag(message, "properties"), "c": tag(message, "custom_properties")},
    )


@lru_cache(_KEYS_KEPT)
def _type(kind: NodeKind, id: int, name: str) -> bytes:
    tags = _tags(kind)
    return tags.type_id + varint(id) + tags.type + text(name)


def node(kind: NodeKind, one: Node) -> bytes:
    """What is not stored is not said, but `type` and an artifact's `uri` always are."""
    tags = _tags(kind)
    parts = [tags.id, varint(one.id), _type(kind, one.type.id, one.type.name)]
    if one.name is not None:
        parts += tags.name, text(one.name)
    if one.external_id is not None:
        parts += tags.external_id, text(one.external_id)
    if one.state is not None:
        parts += tags.state, varint(one.state)
    if one.uri is not None:
        parts += tags.uri, text(one.uri)
    parts += tags.created, varint(one.created_at), tags.updated, varint(one.updated_at)
    tags_ = one.shown_tags
    if one.blob is not None or tags_:
        spaces = {} if one.blob is None else orjson.loads(one.blob)
        if tags_:
            tagged = {key: (PropertyKind.STRING, value) for key, value in tags_.items()}
            spaces["c"] = {**tagged, **spaces.get("c", {})}
        for letter, values in spaces.items():
            _add_entries(parts, tags.spaces[letter], values)
    return b"".join(parts)


def nodes(into: bytes, kind: NodeKind, some: Iterable[Node]) -> bytes:
    """As entries of a repeated field, whose tag is `into`."""
    return b"".join([into + sized(node(kind, one)) for one in some])


@lru_cache(_KEYS_KEPT)
def _key(name: str) -> bytes:
    """The key of a map's entry, and what stands before its value."""
    return b"\x0a" + text(name) + b"\x12"


def _add_entries(into: list[bytes], space: bytes, values: Mapping[str, tuple[int, Any]]) -> None:
    for name, (kind, value) in values.items():
        content = _VALUES[kind](value)
        entry = _key(name) + sized(content)
        into += space, varint(len(entry)), entry


def _struct(value: dict[str, Any]) -> bytes:
    made = struct_pb2.Struct()
    _write_fields(made, value)
    return sized(made.SerializeToString())


def _write_fields(into: Any, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        _write_json(into.fields[key], value)


def _write_json(into: Any, value: Any) -> None:
    match value:
        case None:
            into.null_value = 0
        case bool():
            into.bool_value = value
        case str():
            into.string_value = value
        case dict():
            into.struct_value.SetInParent()
            _write_fields(into.struct_value, value)
        case list():
            into.list_value.SetInParent()
            for item in value:
                _write_json(into.list_value.values.add(), item)
        case _:
            into.number_value = value


def _proto(value: Any) -> bytes:
    type_url, content = restored(PropertyKind.PROTO, value).value
    return sized(any_pb2.Any(type_url=type_url, value=content).SerializeToString())


_VALUES: dict[int, Callable[[Any], bytes]] = {
    PropertyKind.INT: lambda value: b"\x08" + varint(value),
    PropertyKind.DOUBLE: lambda value: b"\x11" + _DOUBLE(float(value)),
    PropertyKind.STRING: lambda value: b"\x1a" + text(value),
    PropertyKind.STRUCT: lambda value: b"\x22" + _struct(value),
    PropertyKind.PROTO: lambda value: b"\x2a" + _proto(value),
    PropertyKind.BOOLEAN: lambda value: b"\x30\x01" if value else b"\x30\x00",
}
"""A `Value` of each kind, whose field has the kind's own number, from the blob's form (catalog/properties)."""


# ---- edges ----------------------------------------------------------------------------------------------------------


def events(into: bytes, rows: Iterable[Sequence[Any]]) -> bytes:
    """From `graph_rows.EVENT`, as entries of a repeated field, whose tag is `into`. What was put together has one time."""
    artifact_tag, execution_tag, time_tag, types = _event_tags()
    parts, at, time = list[bytes](), None, b""
    for row in rows:
        artifact, execution, type_, put_at, port, path = row[1:7]
        if put_at != at:
            at, time = put_at, time_tag + varint(put_at)
        content = b"%b%b%b%b%b%b" % (artifact_tag, varint(artifact), execution_tag, varint(execution), types[type_], time)
        if path is not None or port is not None:
            content += _short_path(port, path) if path is None or len(path) <= _SHORT_PATH else _path(port, path)
        parts.append(into + varint(len(content)) + content)
    return b"".join(parts)


@cache
def _event_tags() -> tuple[bytes, bytes, bytes, Mapping[int, bytes]]:
    """Before the artifact, the execution and the time; the whole field of each type."""
    type_tag = tag("Event", "type")
    types = {int(one): type_tag + varint(one) for one in EventType}
    return tag("Event", "artifact_id"), tag("Event", "execution_id"), tag("Event", "milliseconds_since_epoch"), types


def _path(port: str | None, path: str | bytes | None) -> bytes:
    """The whole field."""
    made = service().messages["Event"]()
    made.path.SetInParent()
    for step in path_of(port, path):
        made.path.steps.add(key=step) if isinstance(step, str) else made.path.steps.add(index=step)
    whole: bytes = made.SerializePartialToString()
    return whole


_short_path = lru_cache(_KEYS_KEPT)(_path)
