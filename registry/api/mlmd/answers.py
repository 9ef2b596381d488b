"""Types as messages; nodes and edges are in `wire`."""

from typing import Any

from registry.api.mlmd.descriptors import service
from registry.api.mlmd.requests import TYPE_MESSAGES
from registry.catalog.graph_types import GraphType


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
