"""Properties of nodes, stored twice by one function: the blob is what reads return, the index rows are what filters use.

Two spaces: *declared* (in the node's type) and *custom*; a name may be in both. The blob is JSON `{"d": {name: [kind, value]},
"c": {...}}`. In the index NaN has no value and the infinities stand as the largest double of their sign, because not every
database can keep them; structs and protos are not indexed. `lineal-server check` proves that blob and index agree.
"""

import base64
import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

import orjson
import sqlalchemy as sa

from registry.catalog.interning import intern_names
from registry.catalog.metrics import LARGEST
from registry.catalog.nodes import TABLES
from registry.db.row_inserts import RowInsert
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


IndexRow = tuple[int, str, int | None, float | None, str | None, str | None, int | None]
"""What the index holds of a value: space, name, then integer, double, string, its prefix and boolean. At most one value is
not None, and the prefix stands beside the string.
"""


_INSERT = RowInsert(
    properties, ("kind", "node", "space", "name_id", "int_value", "double_value", "string_value", "string_prefix", "bool_value")
)


def write_index(
    session: Session, values: Mapping[tuple[NodeKind, int], Properties], *, fresh: Collection[tuple[NodeKind, int]] = ()
) -> None:
    """The index half of `write_properties`, for callers who write the blob with the rest of the row; nodes of any kinds.

    `fresh`: nodes made just now, which have no index rows. Raises InvalidArgument, as `write_properties`.
    """
    rows = [(int(kind), node, row) for (kind, node), entry in sorted(values.items()) for row in index_rows(entry)]
    ids = intern_names(session, {row[1] for _, _, row in rows})
    for kind in NodeKind:
        old = sorted(node for of, node in values if of is kind and (of, node) not in fresh)
        if old:
            session.execute(sa.delete(properties).where(properties.c.kind == kind, properties.c.node.in_(old)))
    _INSERT.run(session, [(kind, node, row[0], ids[row[1]], *row[2:]) for kind, node, row in rows])


def index_rows(entry: Properties) -> list[IndexRow]:
    """What the index must hold for `entry`. Raises InvalidArgument, as `write_properties`."""
    rows = []
    for space, values in enumerate((entry.declared, entry.custom)):
        for name, (kind, value) in values.items():
            check_text(name, "property name", limit=512)
            row = _INDEXED[kind](space, name, value)
            if row is not None:
                rows.append(row)
    return rows


def _int_row(space: int, name: str, value: int) -> IndexRow:
    if not -(2**63) <= value < 2**63:
        raise InvalidArgument(f"property {name!r}: {value} does not fit into 64 bits")
    return space, name, value, None, None, None, None


def _double_row(space: int, name: str, value: float) -> IndexRow | None:
    return None if math.isnan(value) else (space, name, None, max(-LARGEST, min(LARGEST, value)), None, None, None)


def _string_row(space: int, name: str, value: str) -> IndexRow:
    return space, name, None, None, check_text(value, f"property {name!r}"), prefix_of(value), None


def _no_row(_space: int, _name: str, _value: object) -> None:
    """Structs and protos."""


_INDEXED: Mapping[PropertyKind, Callable[[int, str, Any], IndexRow | None]] = {
    PropertyKind.INT: _int_row,
    PropertyKind.DOUBLE: _double_row,
    PropertyKind.STRING: _string_row,
    PropertyKind.STRUCT: _no_row,
    PropertyKind.PROTO: _no_row,
    PropertyKind.BOOLEAN: lambda space, name, value: (space, name, None, None, None, None, int(value)),
}


def encoded(entry: Properties) -> bytes | None:
    """The blob; None for no properties at all. Names in code-point order, so equal properties are equal bytes."""
    if not entry.declared and not entry.custom:
        return None
    spaces = ((letter, values) for letter, values in (("d", entry.declared), ("c", entry.custom)) if values)
    parts = ",".join([f'"{letter}":{{{",".join([_item(one) for one in sorted(values.items())])}}}' for letter, values in spaces])
    return f"{{{parts}}}".encode()


def _item(one: tuple[str, PropertyValue]) -> str:
    name, (kind, value) = one
    return f"{_quoted(name)}:[{kind:d},{_TEXTS[kind](value)}]"


_quoted = json.encoder.encode_basestring
"""Escapes what JSON must have escaped, and nothing else."""

_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def _proto_text(value: tuple[str, bytes]) -> str:
    return _json([value[0], base64.b64encode(value[1]).decode()])


_TEXTS: Mapping[PropertyKind, Callable[[Any], str]] = {
    PropertyKind.INT: int.__repr__,
    PropertyKind.DOUBLE: lambda value: repr(float(value)) if math.isfinite(value) else f'"{float(value)}"',
    PropertyKind.STRING: _quoted,
    PropertyKind.STRUCT: _json,
    PropertyKind.PROTO: _proto_text,
    PropertyKind.BOOLEAN: lambda value: "true" if value else "false",
}
"""As `json.dumps` writes them, at a third of its cost for small values."""


def decoded(blob: bytes | str | None) -> Properties:
    if blob is None:
        return Properties()
    body = orjson.loads(blob)
    declared, custom = (
        {name: restored(_KINDS[kind], value) for name, (kind, value) in body.get(letter, _NOTHING).items()} for letter in "dc"
    )
    return Properties(declared, custom)


def restored(kind: PropertyKind, value: Any) -> PropertyValue:
    if kind is PropertyKind.DOUBLE:
        return PropertyValue(kind, float(value))
    if kind is PropertyKind.PROTO:
        return PropertyValue(kind, (value[0], base64.b64decode(value[1])))
    return PropertyValue(kind, value)
