"""Properties of nodes, stored twice by one function: the blob is what reads return, the index rows are what filters use.

Two spaces: *declared* (in the node's type) and *custom*; a name may be in both. The blob is JSON `{"d": {name: [kind, value]},
"c": {...}}`. In the index NaN has no value and the infinities stand as the largest double of their sign, because not every
database can keep them; structs and protos are not indexed. `lineal-server check` proves that blob and index agree.
"""

import base64
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

import orjson
import sqlalchemy as sa

from registry.catalog.interning import intern_names
from registry.catalog.metrics import LARGEST
from registry.catalog.nodes import TABLES
from registry.db.session import Session
from registry.errors import InvalidArgument
from registry.names import NodeKind, check_text, prefix_of
from registry.tables.graph import properties


class PropertyKind(IntEnum):
    """ML Metadata's `PropertyType`, which is also the number in its `Value` oneof."""

    INT = 1
    DOUBLE = 2
    STRING = 3
    STRUCT = 4
    PROTO = 5
    BOOLEAN = 6


class PropertyValue(NamedTuple):
    """`value` by kind: int (64 bits), float, str, JSON object, (type URL, bytes), bool."""

    kind: PropertyKind
    value: Any


@dataclass(frozen=True)
class Properties:
    declared: Mapping[str, PropertyValue] = field(default_factory=dict)
    custom: Mapping[str, PropertyValue] = field(default_factory=dict)


SPACES = ("declared", "custom")
_KINDS = {int(kind): kind for kind in PropertyKind}
_NOTHING: dict[str, Any] = {}


def write_properties(session: Session, kind: NodeKind, values: Mapping[int, Properties]) -> None:
    """Replace the properties of the nodes, blob and index together. Does not move versions: the caller's change does.

    Raises InvalidArgument: an integer over 64 bits, or text that no database keeps.
    """
    table = TABLES[kind]
    write_index(session, {(kind, node): entry for node, entry in values.items()})
    session.execute(
        sa.update(table).where(table.c.id == sa.bindparam("node")).values(properties=sa.bindparam("blob")),
        [{"node": node, "blob": encoded(entry)} for node, entry in sorted(values.items())],
    )


def write_index(
    session: Session, values: Mapping[tuple[NodeKind, int], Properties], *, fresh: Collection[tuple[NodeKind, int]] = ()
) -> None:
    """The index half of `write_properties`, for callers who write the blob with the rest of the row; nodes of any kinds.

    `fresh`: nodes made just now, which have no index rows. Raises InvalidArgument, as `write_properties`.
    """
    rows = [row for (kind, node), entry in sorted(values.items()) for row in index_rows(kind, node, entry)]
    ids = intern_names(session, {row["name"] for row in rows})
    for kind in NodeKind:
        old = sorted(node for of, node in values if of is kind and (of, node) not in fresh)
        if old:
            session.execute(sa.delete(properties).where(properties.c.kind == kind, properties.c.node.in_(old)))
    session.insert(properties, [{"name_id": ids[row.pop("name")], **row} for row in rows])


def index_rows(kind: NodeKind, node: int, entry: Properties) -> list[dict[str, Any]]:
    """What the index must hold for `entry`, with `name` in place of its id."""
    rows = []
    for space, values in enumerate((entry.declared, entry.custom)):
        for name, value in values.items():
            check_text(name, "property name", limit=512)
            columns = _columns(name, value)
            if columns is not None:
                rows.append({"kind": kind, "node": node, "space": space, "name": name, **columns})
    return rows


def _columns(name: str, value: PropertyValue) -> dict[str, Any] | None:
    columns: dict[str, Any] = dict.fromkeys(("int_value", "double_value", "string_value", "string_prefix", "bool_value"))
    match value.kind:
        case PropertyKind.INT:
            if not -(2**63) <= value.value < 2**63:
                raise InvalidArgument(f"property {name!r}: {value.value} does not fit into 64 bits")
            columns["int_value"] = value.value
        case PropertyKind.DOUBLE:
            if math.isnan(value.value):
                return None
            columns["double_value"] = max(-LARGEST, min(LARGEST, value.value))
        case PropertyKind.STRING:
            columns["string_value"] = check_text(value.value, f"property {name!r}")
            columns["string_prefix"] = prefix_of(value.value)
        case PropertyKind.BOOLEAN:
            columns["bool_value"] = int(value.value)
        case _:
            return None
    return columns


def encoded(entry: Properties) -> bytes | None:
    """The blob; None for no properties at all. Names in code-point order, so equal properties are equal bytes."""
    if not entry.declared and not entry.custom:
        return None
    body = {
        letter: {name: [value.kind, _plain(value)] for name, value in sorted(values.items())}
        for letter, values in (("d", entry.declared), ("c", entry.custom))
        if values
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def decoded(blob: bytes | None) -> Properties:
    if blob is None:
        return Properties()
    body = orjson.loads(blob)
    declared, custom = (
        {name: restored(_KINDS[kind], value) for name, (kind, value) in body.get(letter, _NOTHING).items()} for letter in "dc"
    )
    return Properties(declared, custom)


def _plain(value: PropertyValue) -> Any:
    if value.kind is PropertyKind.DOUBLE and not math.isfinite(value.value):
        return str(float(value.value))
    if value.kind is PropertyKind.PROTO:
        type_url, data = value.value
        return [type_url, base64.b64encode(data).decode()]
    return value.value


def restored(kind: PropertyKind, value: Any) -> PropertyValue:
    if kind is PropertyKind.DOUBLE:
        return PropertyValue(kind, float(value))
    if kind is PropertyKind.PROTO:
        return PropertyValue(kind, (value[0], base64.b64decode(value[1])))
    return PropertyValue(kind, value)
