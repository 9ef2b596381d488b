"""What a client puts of a node, held against its type and against what is stored. Pure: no SQL.

Without a mask a put replaces the node: what it does not say is cleared. Two things stay: the name of an artifact or execution,
which can never change, and a context's name, which must be said.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from registry.catalog.graph_types import GraphType
from registry.catalog.properties import Properties, PropertyKind, PropertyValue, decoded, encoded
from registry.errors import InvalidArgument
from registry.names import MAX_NAME, NodeKind, check_text

MAX_URI = 65_535
_KIND_NAMES = {kind: kind.name.lower() for kind in NodeKind}


@dataclass(frozen=True)
class NodePut:
    """None is what the client did not say. `updated_at`: the time of the last change that it knows.

    `place`: what records have for a `uri` that is a link of ours.
    """

    kind: NodeKind
    id: int | None = None
    type_id: int | None = None
    type_name: str | None = None
    name: str | None = None
    external_id: str | None = None
    state: int | None = None
    uri: str | None = None
    place: str | None = None
    properties: Properties = field(default_factory=Properties)
    updated_at: int | None = None


@dataclass(frozen=True)
class Mask:
    """What an update may touch: fields by their column (`name`, `external_id`, `state`, `uri`), property maps, single keys."""

    fields: frozenset[str] = frozenset()
    maps: frozenset[str] = frozenset()
    declared: frozenset[str] = frozenset()
    custom: frozenset[str] = frozenset()


FIELDS = ("name", "external_id", "state", "uri")


@dataclass(frozen=True)
class Values:
    """A node's own columns as they are stored."""

    name: str | None
    external_id: str | None
    state: int | None
    uri: str | None
    properties: Properties

    @property
    def columns(self) -> dict[str, Any]:
        return {**{name: getattr(self, name) for name in FIELDS}, "properties": encoded(self.properties)}


def stored_values(row: Any, kind: NodeKind) -> Values:
    uri = row.uri if kind is NodeKind.ARTIFACT else None
    return Values(row.name, row.external_id, row.state, uri, decoded(row.properties))


def new_values(put: NodePut, type_: GraphType) -> Values:
    """Raises InvalidArgument: a property that the type does not have so, a context without name, text that cannot be kept."""
    check_put(put)
    if put.kind is NodeKind.CONTEXT and not put.name:
        raise InvalidArgument("a context needs a name", field="name")
    _check_declared(put.properties.declared, type_)
    return Values(put.name, put.external_id, put.state, put.uri or None, put.properties)


def changed_values(put: NodePut, type_: GraphType, before: Values, mask: Mask | None) -> tuple[Values, bool]:
    """(the node as it will be, whether it moves at all).

    It moves if what came differs from what a read would have shown, in the presence of a field too, whatever the mask says.

    Raises InvalidArgument: as `new_values`; declared properties that the mask leaves alone are not looked at.
    """
    check_put(put)
    moves = not _is_same(put, type_, before)
    if mask is None:
        _check_declared(put.properties.declared, type_)
        after = Values(put.name, put.external_id, put.state, put.uri or None, put.properties)
    else:
        after = _masked(put, type_, before, mask)
    if put.kind is not NodeKind.CONTEXT:
        after = replace(after, name=before.name)
    elif not after.name:
        raise InvalidArgument("a context needs a name", field="name")
    return after, moves


def _is_same(put: NodePut, type_: GraphType, before: Values) -> bool:
    shown_uri = (before.uri or "") if put.kind is NodeKind.ARTIFACT else None
    said = (put.type_name, put.name, put.external_id, put.state, put.uri, encoded(put.properties))
    return said == (type_.name, before.name, before.external_id, before.state, shown_uri, encoded(before.properties))


def _masked(put: NodePut, type_: GraphType, before: Values, mask: Mask) -> Values:
    spaces = {}
    for space in ("declared", "custom"):
        held: Mapping[str, PropertyValue] = getattr(before.properties, space)
        given: Mapping[str, PropertyValue] = getattr(put.properties, space)
        if space in mask.maps:
            touched, after = dict(given), dict(given)
        else:
            keys: frozenset[str] = getattr(mask, space)
            touched = {key: given[key] for key in keys & given.keys()}
            after = {key: value for key, value in held.items() if key not in keys} | touched
        if space == "declared":
            _check_declared(touched, type_)
        spaces[space] = after
    fields = {name: (getattr(put, name) if name in mask.fields else getattr(before, name)) for name in FIELDS}
    return Values(**{**fields, "uri": fields["uri"] or None}, properties=Properties(**spaces))


def check_put(put: NodePut) -> None:
    """Raises InvalidArgument: text that no database keeps, or a name that is too long."""
    kind = _KIND_NAMES[put.kind]
    check_text(put.name or "", f"{kind} name", limit=MAX_NAME)
    check_text(put.external_id or "", "external_id", limit=MAX_NAME)
    check_text(put.uri or "", "uri", limit=MAX_URI)


def _check_declared(given: Mapping[str, PropertyValue], type_: GraphType) -> None:
    for name, value in given.items():
        wanted = type_.properties.get(name)
        if wanted is None:
            raise InvalidArgument(f"Found unknown property: {name[:200]} (type {type_.name} has none of this name)")
        if wanted != value.kind:  # clients look for the first four words
            kinds = f"{PropertyKind(wanted).name} is declared, {value.kind.name} came"
            raise InvalidArgument(f"Found unmatched property type: {name[:200]} ({kinds})")
