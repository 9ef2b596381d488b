"""Nodes, events and memberships as the bytes of their messages, which go into an answer as they are.

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
from registry.catalog.graph_edges import Event
from registry.catalog.graph_reads import Node
from registry.catalog.properties import PropertyKind, restored
from registry.names import NodeKind

_KEYS_KEPT = 4_096
_MASK = 2**64 - 1
_ONE = [bytes([number]) for number in range(0x80)]
_DOUBLE = Struct("<d").pack


def varint(value: int) -> bytes:
    """Of an integer of 64 bits; a negative one in ten bytes."""
    value &= _MASK
    if value < 0x80:
        return _ONE[value]
    if value < 0x4000:
        return bytes((value & 0x7F | 0x80, value >> 7))
    if value < 0x200000:
        return bytes((value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80, value >> 14))
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


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


@cache
def _event_tags() -> Sequence[bytes]:
    return [tag("Event", name) for name in ("artifact_id", "execution_id", "type", "milliseconds_since_epoch", "path")]


def events(into: bytes, some: Iterable[Event]) -> bytes:
    """As entries of a repeated field, whose tag is `into`."""
    artifact, execution, type_, at, path = _event_tags()
    parts: list[bytes] = []
    ends: dict[tuple[int, int | None], bytes] = {}  # many have one type and time
    for one in some:
        when = one.type, one.at
        end = ends.get(when)
        if end is None:
            end = ends[when] = type_ + varint(one.type) + at + varint(one.at or 0)
        body = artifact + varint(one.artifact) + execution + varint(one.execution) + end
        if one.path:
            body += path + sized(_path(one.path))
        parts += into, varint(len(body)), body
    return b"".join(parts)


def _path(steps: Sequence[str | int]) -> bytes:
    into, index, key = tag("Event.Path", "steps"), tag("Event.Path.Step", "index"), tag("Event.Path.Step", "key")
    found = (key + text(step) if isinstance(step, str) else index + varint(step) for step in steps)
    return b"".join(into + sized(step) for step in found)


def nodes(into: bytes, kind: NodeKind, some: Iterable[Node]) -> bytes:
    return b"".join([into + sized(node(kind, one)) for one in some])


def ids(into: bytes, kind: NodeKind, some: Iterable[int]) -> bytes:
    """Nodes that have nothing but their id."""
    own = _tags(kind).id
    return b"".join([into + sized(own + varint(one)) for one in some])


def memberships(into: bytes, kind: NodeKind, some: Iterable[tuple[int, int]]) -> bytes:
    """Attributions or associations, from (context, node)."""
    message, far = ("Attribution", "artifact_id") if kind is NodeKind.ARTIFACT else ("Association", "execution_id")
    near_tag, far_tag = tag(message, "context_id"), tag(message, far)
    return b"".join([into + sized(near_tag + varint(near) + far_tag + varint(one)) for near, one in some])
