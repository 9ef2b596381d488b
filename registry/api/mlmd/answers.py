"""What the catalog found, as messages."""

from collections.abc import Iterable
from typing import Any

from registry.api.mlmd.descriptors import service
from registry.api.mlmd.requests import NODE_MESSAGES, STATE_FIELDS, TYPE_MESSAGES
from registry.catalog.graph_edges import Event
from registry.catalog.graph_reads import Node
from registry.catalog.graph_types import GraphType
from registry.catalog.properties import PropertyKind, PropertyValue
from registry.names import NodeKind


def write_type(into: Any, one: GraphType, *, external_id: bool = True, base_type: bool = True) -> None:
    """Into an empty message of the type's kind."""
    into.id = one.id
    into.name = one.name
    if one.version:
        into.version = one.version
    if one.description is not None:
        into.description = one.description
    if one.external_id is not None and external_id:
        into.external_id = one.external_id
    into.properties.update(one.properties)
    if base_type and one.base_type is not None:
        into.base_type = one.base_type
    for name in ("input_type", "output_type"):
        struct = getattr(one, name)
        if struct is not None:
            getattr(into, name).ParseFromString(struct)


def type_message(one: GraphType, **wanted: bool) -> Any:
    made = service().messages[TYPE_MESSAGES[one.kind]]()
    write_type(made, one, **wanted)
    return made


def write_node(into: Any, kind: NodeKind, node: Node) -> None:
    """Into an empty message of the kind. What is not stored is not said, but `type` and an artifact's `uri` always are."""
    into.id = node.id
    into.type_id = node.type.id
    into.type = node.type.name
    if node.name is not None:
        into.name = node.name
    if node.external_id is not None:
        into.external_id = node.external_id
    if node.state is not None:
        setattr(into, STATE_FIELDS[kind], node.state)
    if node.uri is not None:
        into.uri = node.uri
    into.create_time_since_epoch = node.created_at
    into.last_update_time_since_epoch = node.updated_at
    for name, value in node.properties.declared.items():
        _write_value(into.properties[name], value)
    for name, value in node.properties.custom.items():
        _write_value(into.custom_properties[name], value)


def node_message(kind: NodeKind, node: Node) -> Any:
    made = service().messages[NODE_MESSAGES[kind]]()
    write_node(made, kind, node)
    return made


def node_messages(kind: NodeKind, nodes: Iterable[Node]) -> list[Any]:
    return [node_message(kind, node) for node in nodes]


def _write_value(into: Any, value: PropertyValue) -> None:
    match value.kind:
        case PropertyKind.INT:
            into.int_value = value.value
        case PropertyKind.DOUBLE:
            into.double_value = value.value
        case PropertyKind.STRING:
            into.string_value = value.value
        case PropertyKind.STRUCT:
            into.struct_value.SetInParent()
            _write_fields(into.struct_value, value.value)
        case PropertyKind.PROTO:
            into.proto_value.type_url, into.proto_value.value = value.value
        case PropertyKind.BOOLEAN:
            into.bool_value = value.value


def _write_fields(into: Any, values: dict[str, Any]) -> None:
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


def event_message(event: Event) -> Any:
    made = service().messages["Event"](
        artifact_id=event.artifact, execution_id=event.execution, type=int(event.type), milliseconds_since_epoch=event.at
    )
    for step in event.path:
        if isinstance(step, str):
            made.path.steps.add(key=step)
        else:
            made.path.steps.add(index=step)
    return made
