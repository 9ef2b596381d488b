"""What ML Metadata's filters can ask of artifacts, executions and contexts: fields, neighbours, and where their values lie.

Within AND one alias (`contexts_a`) is one neighbour. A missing value compares with nothing. The grammar is the door's.
"""

from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import visitors

from registry.catalog import node_types
from registry.catalog.actors import Actor, Reach
from registry.catalog.graph_rows import shown_name
from registry.catalog.interning import find_names
from registry.catalog.nodes import TABLES
from registry.db.session import Session
from registry.errors import InvalidFilter
from registry.filtering import FieldSpec, FieldType, FilterError, RecordFields, check, compile_filter
from registry.filtering.operands import Condition, Operand, Scope, Storage, neighbour, rows
from registry.filtering.tree import (
    ATTRIBUTES,
    Accessor,
    And,
    Between,
    Compare,
    Field,
    In,
    Leaf,
    Not,
    Or,
    Tree,
    fields_of,
    leaves,
)
from registry.names import EventType, NodeKind
from registry.tables import graph
from registry.tables.graph import artifacts, associations, attributions, contexts, events, executions, parent_contexts, properties

_INTEGER, _TEXT = FieldSpec(FieldType.INTEGER), FieldSpec(FieldType.TEXT)
ARTIFACT_STATES = {
    "UNKNOWN": 0,
    "PENDING": 1,
    "LIVE": 2,
    "MARKED_FOR_DELETION": 3,
    "DELETED": 4,
    "ABANDONED": 5,
    "REFERENCE": 6,
}
EXECUTION_STATES = {"UNKNOWN": 0, "NEW": 1, "RUNNING": 2, "COMPLETE": 3, "FAILED": 4, "CACHED": 5, "CANCELED": 6}
EVENT_TYPES = {one.name: int(one) for one in EventType}

_TIMES = {"create_time_since_epoch": "created_at", "last_update_time_since_epoch": "updated_at"}
_SHORT = {"id": "id", "name": "name", "external_id": "external_id", "type": "type", **_TIMES}
_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "artifacts": {**_SHORT, "uri": "uri", "state": "state"},
    "executions": {**_SHORT, "last_known_state": "state"},
    "contexts": _SHORT,
    "parent_contexts": _SHORT,
    "child_contexts": _SHORT,
    "events": {"type": "type", "milliseconds_since_epoch": "at", "artifact_id": "artifact", "execution_id": "execution"},
}
"""Neighbourhood: attribute: column of its rows."""

_NEIGHBOURS = {
    NodeKind.ARTIFACT: ("contexts", "events"),
    NodeKind.EXECUTION: ("contexts", "events"),
    NodeKind.CONTEXT: ("artifacts", "executions", "parent_contexts", "child_contexts"),
}
_OWN = {
    NodeKind.ARTIFACT: {**_COLUMNS["artifacts"], "type_id": "type_id"},
    NodeKind.EXECUTION: {**_COLUMNS["executions"], "type_id": "type_id"},
    NodeKind.CONTEXT: {**_COLUMNS["contexts"], "type_id": "type_id"},
}
_TEXTS = {"name", "external_id", "uri"}
_ACCESSORS = {
    Accessor.INT: (Storage.INTEGER, "int_value"),
    Accessor.DOUBLE: (Storage.REAL, "double_value"),
    Accessor.STRING: (Storage.TEXT, "string_value"),
    Accessor.BOOL: (Storage.BOOLEAN, "bool_value"),
}


def _spec(space: str, attribute: str) -> FieldSpec:
    return _TEXT if attribute in _TEXTS or (attribute == "type" and space != "events") else _INTEGER


@cache
def fields_of_kind(kind: NodeKind) -> RecordFields:
    """For the grammar and the check. Enumerations are integers here: the grammar knows their words (`words_of`)."""
    anything = FieldSpec(FieldType.ANY)
    return RecordFields(
        kind=kind.name.lower(),
        attributes={name: _spec("", name) for name in _OWN[kind]},
        spaces={"properties": anything, "custom_properties": anything},
        neighbours={
            space: {
                name: _spec(space, name) for name in _COLUMNS[space] if (space, name) != ("events", f"{kind.name.lower()}_id")
            }
            for space in _NEIGHBOURS[kind]
        },
    )


def words_of(field: Field) -> Mapping[str, int]:
    """The names that an enumeration's values have; empty for other fields."""
    if field.space == "events" and field.name == "type":
        return EVENT_TYPES
    if field.space in {ATTRIBUTES, *_COLUMNS}:
        return {"state": ARTIFACT_STATES, "last_known_state": EXECUTION_STATES}.get(field.name, {})
    return {}


def leader_of(tree: Tree) -> Leaf | None:
    """The part of an AND from whose index a database does best to come to the nodes: one that asks for equality, of a property,
    a neighbour or the id; else a property's range. None: there is nothing like it, the nodes are gone through.
    """
    parts = tree.parts if isinstance(tree, And) else (tree,)
    candidates = [part for part in parts if isinstance(part, Compare | In | Between) and _leads(part)]
    equal = (part for part in candidates if isinstance(part, In) or (isinstance(part, Compare) and part.op == "="))
    ranges = (part for part in candidates if part.field.space in _PROPERTIES)
    return next(equal, None) or next(ranges, None)


_PROPERTIES = {"properties", "custom_properties"}


def _leads(part: Compare | In | Between) -> bool:
    if isinstance(part, Compare):
        if isinstance(part.value, Field) or part.op == "!=":
            return False
    elif part.negated:
        return False
    return part.field.space != ATTRIBUTES or part.field.name == "id"


def _looked_up(tree: Tree) -> set[int]:
    """`id()` of the property fields that need no list of nodes of their own: another part of the AND has found the nodes."""
    leader = leader_of(tree)
    if leader is None or not isinstance(tree, And):
        return set()
    others = (part for part in tree.parts if part is not leader and not isinstance(part, And | Or | Not))
    return {id(part.field) for part in others if part.field.space in _PROPERTIES and len(fields_of(part)) == 1}


def condition_of(session: Session, actor: Actor, kind: NodeKind, tree: Tree) -> Condition:
    """The predicate on the kind's table; one statement, for the names of properties.

    Raises InvalidFilter: an unknown field, or a comparison that its types do not allow.
    """
    try:
        checked = check(tree, fields_of_kind(kind))
        names = {of.name for leaf in leaves(checked) for of in fields_of(leaf) if of.space in _PROPERTIES}
        return compile_filter(checked, _Resolver(actor, kind, find_names(session, names), _looked_up(checked)))
    except FilterError as error:
        raise InvalidFilter(f"Invalid `filter_query`: {error.message}", line=error.line, column=error.column) from None


@cache
def _type_names() -> sa.Subquery:
    """(id, name) of all types, built-in ones too."""
    known = [
        sa.select(sa.literal(one.id, sa.BigInteger()).label("id"), sa.literal(one.name, graph.types.c.name.type).label("name"))
        for one in node_types.BUILT_IN.values()
    ]
    return sa.union_all(sa.select(graph.types.c.id, graph.types.c.name), *known).subquery("type_names")


@dataclass
class _Resolver:
    """Of one filter: it makes one row source per alias. `looked_up`: as `_looked_up`."""

    actor: Actor
    kind: NodeKind
    names: Mapping[str, int]
    looked_up: AbstractSet[int]
    _sources: dict[tuple[str, str], sa.Subquery] = field(default_factory=dict)

    @property
    def record(self) -> sa.Table:
        return TABLES[self.kind]

    def operand(self, field: Field) -> Operand:
        if field.alias is not None:
            return self._neighbour(field, field.alias)
        if field.space == ATTRIBUTES:
            return self._own(field)
        return self._property(field)

    def _own(self, field: Field) -> Operand:
        if field.name == "type":
            known = _type_names().alias()
            return Operand({Storage.TEXT: known.c.name}, nullable=False, scope=rows(self.record.c.type_id, known.c.id))
        column = self.record.c[_OWN[self.kind][field.name]]
        value = shown_name(self.record) if field.name == "name" else column
        return Operand({_storage(field): value}, nullable=bool(column.nullable))

    def _property(self, field: Field) -> Operand:
        if field.accessor is None:
            raise FilterError.at(
                field.position,
                f"`{field.space}.{field.name[:80]}` needs its type: .int_value, .double_value, .string_value, .bool_value",
            )
        storage, name = _ACCESSORS[field.accessor]
        own = properties.alias()
        where = (
            own.c.kind == int(self.kind),
            own.c.space == int(field.space == "custom_properties"),
            own.c.name_id == self.names.get(field.name, -1),
        )
        prefix = own.c.string_prefix if storage is Storage.TEXT else None
        if id(field) in self.looked_up:
            scope = Scope(neighbour("", own, own.c.node == self.record.c.id, *where).wrap)
        else:
            scope = rows(self.record.c.id, own.c.node, *where)
        return Operand({storage: own.c[name]}, prefix, scope=scope)

    def _neighbour(self, field: Field, alias: str) -> Operand:
        key = (field.space, alias)
        if key not in self._sources:
            rows_ = _SOURCES[field.space](self.kind)
            if self.actor.reach is Reach.SHARED:  # what all share has neighbours that not all may see
                rows_ = _seen(rows_, self.actor, field.space, self.kind)
            self._sources[key] = rows_.subquery()
        source = self._sources[key]
        column: sa.ColumnElement[Any] = source.c[_COLUMNS[field.space][field.name]] if field.name != "type" else source.c.type
        if field.name == "type" and field.space != "events":
            known = _type_names().alias()
            column = sa.select(known.c.name).where(known.c.id == source.c.type_id).scalar_subquery()
        return Operand(
            {_storage(field): column}, scope=Scope(lambda condition: self._exists(source, condition), f"{key[0]}_{alias}")
        )

    def _exists(self, source: sa.Subquery, condition: Condition) -> Condition:
        """There is a row of `source` for the record with `condition`.

        A condition on that row alone is asked from that side, so that its index can lead.
        """
        outer = {self.record, *self._sources.values()} - {source}
        if outer.isdisjoint(_tables(condition)):
            return self.record.c.id.in_(sa.select(source.c.near).where(condition).correlate(None))
        mine = source.c.near == self.record.c.id
        found: sa.Select[Any] = sa.select(sa.literal_column("1")).select_from(source).where(mine, condition)
        return sa.exists(found.correlate_except(source))


def _seen(source: "sa.Select[Any]", actor: Actor, space: str, kind: NodeKind) -> "sa.Select[Any]":
    if space != "events":
        table = {"artifacts": artifacts, "executions": executions}.get(space, contexts)
        return source.where(actor.sees(table.c.workspace))
    table, far = (executions, events.c.execution) if kind is NodeKind.ARTIFACT else (artifacts, events.c.artifact)
    return source.join(table, table.c.id == far).where(actor.sees(table.c.workspace))


def _tables(condition: Condition) -> Iterable[Any]:
    return {found.table for found in visitors.iterate(condition) if isinstance(found, sa.ColumnClause)}


def _storage(field: Field) -> Storage:
    return Storage.TEXT if _spec(field.space, field.name) is _TEXT else Storage.INTEGER


def _nodes(table: sa.Table, near: sa.Column[Any], far: sa.Column[Any]) -> "sa.Select[Any]":
    wanted = ["id", "name", "external_id", "type_id", "created_at", "updated_at"]
    wanted += [] if table is contexts else ["state"]
    wanted += ["uri"] if table is artifacts else []
    present = sa.or_(table.c.deleted_at.is_(None), table.c.listed == 1)
    columns = [shown_name(table).label(name) if name == "name" else table.c[name] for name in wanted]
    # `type` is there so that every source has it; it is only read where it is the event's.
    return sa.select(near.label("near"), *columns, sa.null().label("type")).join(table, table.c.id == far).where(present)


def _contexts_of(kind: NodeKind) -> "sa.Select[Any]":
    if kind is NodeKind.ARTIFACT:
        return _nodes(contexts, attributions.c.artifact, attributions.c.context)
    return _nodes(contexts, associations.c.execution, associations.c.context)


def _events_of(kind: NodeKind) -> "sa.Select[Any]":
    near = events.c.artifact if kind is NodeKind.ARTIFACT else events.c.execution
    return sa.select(near.label("near"), events.c.type, events.c.at, events.c.artifact, events.c.execution)


_SOURCES: Mapping[str, Callable[[NodeKind], "sa.Select[Any]"]] = {
    "contexts": _contexts_of,
    "events": _events_of,
    "artifacts": lambda _kind: _nodes(artifacts, attributions.c.context, attributions.c.artifact),
    "executions": lambda _kind: _nodes(executions, associations.c.context, associations.c.execution),
    "parent_contexts": lambda _kind: _nodes(contexts, parent_contexts.c.child, parent_contexts.c.parent),
    "child_contexts": lambda _kind: _nodes(contexts, parent_contexts.c.parent, parent_contexts.c.child),
}
