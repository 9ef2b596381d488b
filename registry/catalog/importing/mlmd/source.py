"""A database of ML Metadata, schema 4 to 10, as its C++ store wrote it on SQLite, MySQL, MariaDB or PostgreSQL. Only read.

Columns that a schema does not have yet are None. Traps, all of which are met in real stores: MySQL holds UTF-8 that went over a
latin1 connection; PostgreSQL has raw bytes where the others have base64; rows of properties without any value; events and edges
whose nodes are not there; doubled events before schema 8; event paths without an order of their own.
"""

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from registry.catalog.importing.foreign import Foreign
from registry.catalog.properties import Properties, PropertyKind, PropertyValue
from registry.errors import InvalidArgument
from registry.names import NodeKind

BATCH = 2_000
STRUCT = "mlmd-struct::"
NAMES = {NodeKind.ARTIFACT: "Artifact", NodeKind.EXECUTION: "Execution", NodeKind.CONTEXT: "Context"}
_STATES = {NodeKind.ARTIFACT: "state", NodeKind.EXECUTION: "last_known_state"}
_OLDEST, _NEWEST = 4, 10


@dataclass(frozen=True)
class Decoding:
    """What takes protobuf to read: a serialised Struct as JSON, a serialised Any as (type URL, bytes). Both raise ValueError."""

    struct: Callable[[bytes], dict[str, Any]]
    any: Callable[[bytes], tuple[str, bytes]]


@dataclass(frozen=True)
class SourceType:
    id: int
    kind: NodeKind
    name: str
    version: str
    description: str | None
    external_id: str | None
    base: int | None
    properties: Mapping[str, int]


@dataclass(frozen=True)
class SourceNode:
    id: int
    type_id: int
    name: str | None
    external_id: str | None
    state: int | None
    uri: str | None
    created_at: int
    updated_at: int
    properties: Properties
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class SourceEvent:
    """`dangling`: which of its ends is not there; empty where both are."""

    id: int
    artifact: int
    execution: int
    type: int
    at: int | None
    path: tuple[str | int, ...]
    dangling: str = ""


@dataclass(kw_only=True)
class Source(Foreign):
    """Opened by `open_source`."""

    decoding: Decoding
    schema: int = _NEWEST

    @property
    def is_mysql(self) -> bool:
        return self.engine.dialect.name in {"mysql", "mariadb"}

    def text(self, value: Any) -> Any:
        """As its writer meant it."""
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        return unmixed(value) if self.is_mysql and isinstance(value, str) else value

    # ---- what is in it ----------------------------------------------------------------------------------------------

    def types(self) -> list[SourceType]:
        """All, by id; there are never many."""
        table = self.tables["Type"]
        wanted = [self.column("Type", name) for name in ("id", "name", "version", "type_kind", "description", "external_id")]
        properties: dict[int, dict[str, int]] = {}
        own = self.tables["TypeProperty"]
        for row in self.rows(sa.select(own.c.type_id, own.c.name, own.c.data_type)):
            if row.data_type:
                properties.setdefault(row.type_id, {})[self.text(row.name)] = int(row.data_type)
        parents: dict[int, int] = {}
        if self.has("ParentType"):
            parent = self.tables["ParentType"]
            parents = {row.type_id: row.parent_type_id for row in self.rows(sa.select(parent.c.type_id, parent.c.parent_type_id))}
        return [
            SourceType(
                row.id,
                NodeKind(int(row.type_kind)),
                self.text(row.name),
                self.text(row.version) or "",
                self.text(row.description),
                self.text(row.external_id),
                parents.get(row.id),
                properties.get(row.id, {}),
            )
            for row in self.rows(sa.select(*wanted).order_by(table.c.id))
        ]

    def nodes(self, kind: NodeKind, after: int, *, limit: int = BATCH, ids: Sequence[int] | None = None) -> list[SourceNode]:
        """By id, behind `after`; or those of `ids`."""
        name = NAMES[kind]
        table = self.tables[name]
        state = _STATES.get(kind)
        wanted = ["id", "type_id", "name", "external_id", "create_time_since_epoch", "last_update_time_since_epoch"]
        columns = [self.column(name, one) for one in (*wanted, *((state,) if state else ()), *(("uri",) if kind is _A else ()))]
        query = sa.select(*columns).order_by(table.c.id)
        rows = self.rows(query.where(table.c.id.in_(ids)) if ids is not None else query.where(table.c.id > after).limit(limit))
        values = self._properties(kind, ids if ids is not None else range(after + 1, rows[-1][0] + 1)) if rows else {}
        found = []
        for id, type_id, own_name, external_id, created, updated, *more in rows:
            properties, notes = values.get(id, _NO_PROPERTIES)
            found.append(
                SourceNode(
                    id,
                    type_id,
                    self.text(own_name),
                    self.text(external_id),
                    more[0] if state else None,
                    (self.text(more[-1]) or None) if kind is _A else None,
                    created or 0,
                    updated or 0,
                    properties,
                    notes,
                )
            )
        return found

    def _properties(self, kind: NodeKind, ids: Sequence[int]) -> dict[int, tuple[Properties, tuple[str, ...]]]:
        """By node: of a range of ids, or of some."""
        name = f"{NAMES[kind]}Property"
        table, of = self.tables[name], f"{NAMES[kind].lower()}_id"
        wanted = (of, "name", "is_custom_property", "int_value", "double_value", "string_value", "proto_value", "bool_value")
        spaces: dict[int, tuple[dict[str, PropertyValue], dict[str, PropertyValue]]] = {}
        notes: dict[int, list[str]] = {}
        for id, own_name, is_custom, *values in self.rows(
            sa.select(*(self.column(name, one) for one in wanted)).where(_within(table.c[of], ids))
        ):
            key, value = self.text(own_name), self._value(*values)
            if isinstance(value, str):
                notes.setdefault(id, []).append(f"property {key!r}: {value}")
                continue
            spaces.setdefault(id, ({}, {}))[bool(is_custom)][key] = value
        return {id: (Properties(*spaces.get(id, ({}, {}))), tuple(notes.get(id, ()))) for id in {*spaces, *notes}}

    def _value(self, integer: Any, double: Any, string: Any, proto: Any, boolean: Any) -> "PropertyValue | str":
        """The first that is not NULL counts. A text says why there is none."""
        if integer is not None:
            return PropertyValue(PropertyKind.INT, int(integer))
        if double is not None:
            return PropertyValue(PropertyKind.DOUBLE, float(double))
        if string is not None:
            return self._string(self.text(string))
        if proto is not None:
            return self._proto(bytes(proto) if not isinstance(proto, str) else proto.encode())
        if boolean is not None:
            return PropertyValue(PropertyKind.BOOLEAN, bool(boolean))
        return "has no value"

    def _string(self, text: str) -> PropertyValue:
        if text.startswith(STRUCT):
            try:
                return PropertyValue(
                    PropertyKind.STRUCT, self.decoding.struct(base64.b64decode(text[len(STRUCT) :], validate=True))
                )
            except (ValueError, binascii.Error):
                pass  # a text that only begins so
        return PropertyValue(PropertyKind.STRING, text.replace("\x00", ""))

    def _proto(self, stored: bytes) -> "PropertyValue | str":
        raw = stored
        if self.engine.dialect.name != "postgresql":
            try:
                raw = base64.b64decode(stored, validate=True)
            except (ValueError, binascii.Error):
                return "is no base64"
        try:
            url, value = self.decoding.any(raw)
        except ValueError:
            return "is no message"
        return PropertyValue(PropertyKind.PROTO, (url, value)) if url else "is a message without type URL"

    def events(self, after: int, *, limit: int = BATCH) -> list[SourceEvent]:
        """By id, behind `after`. Of doubled ones the newest."""
        event, artifact, execution = (self.tables[name] for name in ("Event", "Artifact", "Execution"))
        query = (
            sa.select(event.c.id, event.c.artifact_id, event.c.execution_id, event.c.type, event.c.milliseconds_since_epoch)
            .add_columns(artifact.c.id.label("a"), execution.c.id.label("e"))
            .select_from(
                event.outerjoin(artifact, artifact.c.id == event.c.artifact_id).outerjoin(
                    execution, execution.c.id == event.c.execution_id
                )
            )
            .where(event.c.id > after)
            .order_by(event.c.id)
            .limit(limit)
        )
        if self.schema < 8:
            newer = event.alias("newer")
            same = (newer.c[name] == event.c[name] for name in ("artifact_id", "execution_id", "type"))
            query = query.add_columns(sa.exists().where(*same, newer.c.id > event.c.id).label("old"))
        rows = self.rows(query)
        paths = self._paths(range(after + 1, rows[-1][0] + 1)) if rows else {}
        found = []
        for id, artifact_id, execution_id, type_, at, a, e, *old in rows:
            lost = [word for word, end in (("artifact", a), ("execution", e)) if end is None]
            if any(old):
                lost.append("doubled")
            found.append(SourceEvent(id, artifact_id, execution_id, type_, at, paths.get(id, ()), " and ".join(lost)))
        return found

    def _paths(self, ids: range) -> dict[int, tuple[str | int, ...]]:
        """In the order in which the steps were written: the table has no other."""
        table = self.tables["EventPath"]
        query = sa.select(table.c.event_id, table.c.is_index_step, table.c.step_index, table.c.step_key)
        order = {"sqlite": "rowid", "postgresql": "ctid"}.get(self.engine.dialect.name)
        query = query.where(_within(table.c.event_id, ids))
        if order is not None:
            query = query.order_by(table.c.event_id, sa.literal_column(order))
        found: dict[int, tuple[str | int, ...]] = {}
        for row in self.rows(query):
            step = row.step_index if row.is_index_step else self.text(row.step_key)
            found[row.event_id] = (*found.get(row.event_id, ()), step)
        return found

    def pairs(self, name: str, first: str, second: str, after: tuple[int, int], *, limit: int = BATCH) -> list[tuple[int, int]]:
        """Of an edge table, by both columns, behind `after`."""
        if not self.has(name):
            return []
        table = self.tables[name]
        key = (table.c[first], table.c[second])
        behind = sa.or_(key[0] > after[0], sa.and_(key[0] == after[0], key[1] > after[1]))
        rows = self.rows(sa.select(*key).where(behind).order_by(*key).limit(limit))
        return [(row[0], row[1]) for row in rows]

    def present(self, kind: NodeKind, ids: Sequence[int]) -> set[int]:
        table = self.tables[NAMES[kind]]
        return {row[0] for row in self.rows(sa.select(table.c.id).where(_within(table.c.id, sorted(set(ids)))))} if ids else set()

    def owners(self, ids: Sequence[int]) -> dict[int, int]:
        """The context of each of the artifacts that has one and is in it."""
        if not ids or not self.has("Attribution"):
            return {}
        table, context = self.tables["Attribution"], self.tables["Context"]
        query = sa.select(table.c.artifact_id, table.c.context_id).join(context, context.c.id == table.c.context_id)
        rows = self.rows(query.where(_within(table.c.artifact_id, ids)).order_by(table.c.context_id.desc()))
        return {row[0]: row[1] for row in rows}

    def of_types(self, kind: NodeKind, ids: Sequence[int], types: Sequence[int]) -> set[int]:
        """Those of the nodes that are of one of the types."""
        if not ids or not types:
            return set()
        table = self.tables[NAMES[kind]]
        query = sa.select(table.c.id).where(_within(table.c.id, sorted(set(ids))), _within(table.c.type_id, types))
        return {row[0] for row in self.rows(query)}

    def of_other_types(self, kind: NodeKind, types: Sequence[int], ids: Sequence[int] | None = None) -> set[int]:
        """Those of the nodes that are of none of the types; without ids one of all such nodes."""
        table = self.tables[NAMES[kind]]
        query = sa.select(table.c.id).where(sa.not_(_within(table.c.type_id, types or [-1])))
        query = query.limit(1) if ids is None else query.where(_within(table.c.id, sorted(set(ids)) or [-1]))
        return {row[0] for row in self.rows(query)}

    def ids(self, kind: NodeKind) -> Iterator[list[int]]:
        """All, in batches."""
        after = 0
        while found := self.ids_behind(kind, after, limit=5000):
            yield found
            after = found[-1]

    def ids_behind(self, kind: NodeKind, after: int, *, limit: int) -> list[int]:
        table = self.tables[NAMES[kind]]
        return [row[0] for row in self.rows(sa.select(table.c.id).where(table.c.id > after).order_by(table.c.id).limit(limit))]


def _within(column: sa.ColumnElement[Any], ids: Sequence[int]) -> sa.ColumnElement[bool]:
    """Numbers in the text: as parameters thousands of them take longer than the database does."""
    if isinstance(ids, range):
        return column.between(ids.start, ids.stop - 1)
    return column.in_(sa.text(", ".join(str(int(id)) for id in ids)))


_A = NodeKind.ARTIFACT
_NO_PROPERTIES: tuple[Properties, tuple[str, ...]] = (Properties(), ())
_TABLES = (
    *("Type", "TypeProperty", "ParentType", "ParentContext", "Event", "EventPath", "Association", "Attribution", "MLMDEnv"),
    *(f"{name}{more}" for name in NAMES.values() for more in ("", "Property")),
)


def open_source(engine: sa.Engine, decoding: Decoding) -> Source:
    """Raises InvalidArgument: it is no database of ML Metadata, or of a schema that is not read."""
    made = Source(engine=engine, decoding=decoding)
    made.look(_TABLES)
    missing = [name for name in ("Type", "Artifact", "Execution", "Context", "Event", "Association") if name not in made.tables]
    if missing:
        raise InvalidArgument(
            f"this is no database of ML Metadata with schema {_OLDEST} to {_NEWEST}: it has no table {missing[0]}"
        )
    if made.has("MLMDEnv"):
        rows = made.rows(sa.select(made.tables["MLMDEnv"].c.schema_version))
        made.schema = int(rows[0][0]) if rows else _NEWEST
    if not _OLDEST <= made.schema <= _NEWEST:
        raise InvalidArgument(f"the database has schema {made.schema}; {_OLDEST} to {_NEWEST} are read")
    return made


def unmixed(text: str) -> str:
    """UTF-8 whose bytes were taken for latin1 characters, as it was meant; a text that is not such stays."""
    if text.isascii():
        return text
    try:
        raw = b"".join(_BYTE[one] for one in text)
        return raw.decode("utf-8")
    except (KeyError, UnicodeDecodeError):
        return text


def _bytes_of_latin1() -> dict[str, bytes]:
    """MySQL's latin1 is cp1252, with the five bytes that have no character there as themselves."""
    found = {}
    for number in range(256):
        raw = bytes([number])
        try:
            found[raw.decode("cp1252")] = raw
        except UnicodeDecodeError:
            found[chr(number)] = raw
    return found


_BYTE = _bytes_of_latin1()
