"""User types of nodes: what ML Metadata's clients declare before they put nodes. Keyed by (kind, name, version) in a scope.

A type only grows: properties and a base type are added, nothing is taken away. Built-in types are in `node_types.py`; they
answer by name and id, and no client changes one.
"""

import base64
import json
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from registry.catalog import node_types
from registry.catalog.actors import Actor
from registry.catalog.properties import PropertyKind
from registry.db.session import Session
from registry.errors import AlreadyExists, InvalidArgument, NotFound, NotSupported, NotWritable
from registry.names import NodeKind, Role, check_text
from registry.tables.graph import types

LAST_SYSTEM = 9
"""`mlmd.*` have the ids 1 to 9. Unlike our own built-in types they may have nodes that clients put."""

Key = tuple[NodeKind, str, str]


@dataclass(frozen=True)
class GraphType:
    """`version` "" = none. `properties`: kind by name. `input_type`, `output_type`: of executions, serialised struct types."""

    id: int
    kind: NodeKind
    name: str
    version: str = ""
    description: str | None = None
    external_id: str | None = None
    base_type: int | None = None
    properties: Mapping[str, int] = field(default_factory=dict)
    input_type: bytes | None = None
    output_type: bytes | None = None

    @property
    def key(self) -> Key:
        return self.kind, self.name, self.version

    @property
    def is_own(self) -> bool:
        """One of ours: its nodes are written through the use cases that know them."""
        return self.id > 1_000_000_000


BUILT_IN = {known.id: GraphType(known.id, known.kind, known.name) for known in node_types.BUILT_IN.values()}
_SYSTEM_NAMES = [known.name for known in BUILT_IN.values() if known.id <= LAST_SYSTEM]
_BUILT_IN_KEYS = {known.key: known for known in BUILT_IN.values()}


def put_types(
    session: Session, actor: Actor, puts: Sequence[GraphType], *, can_add: bool = False, can_omit: bool = False
) -> list[int]:
    """Make or widen types, all or none; the ids in the order of `puts`, whose own `id` is ignored.

    Raises:
        InvalidArgument: no name, or a property without a kind.
        AlreadyExists: what is stored differs and may not be widened so, or the external id is taken.
        NotSupported: a base type changes.
        NotWritable: a built-in type would change.
    """
    actor.require(Role.CONTRIBUTOR)
    for put in puts:
        _check(put)
    held = _by_key(session, actor, [put.key for put in puts])
    new, changed, ids = _plan(puts, held, can_add=can_add, can_omit=can_omit)
    if changed:  # again, on what is there once nobody else can change it
        session.lock(types, [one.id for one in changed])
        held = _by_key(session, actor, [put.key for put in puts])
        new, changed, ids = _plan(puts, held, can_add=can_add, can_omit=can_omit)
    if new:
        made = dict(zip(new, session.next_ids("type", len(new)), strict=True))
        rows = [{"id": made[key], "scope": actor.scope, **_columns(one)} for key, one in new.items()]
        if session.insert_ignore(types, rows) != len(rows):
            session.execute(sa.delete(types).where(types.c.id.in_(list(made.values()))))
            if not _by_key(session, actor, list(new)):
                raise AlreadyExists("type", "with this external id")
            return put_types(session, actor, puts, can_add=can_add, can_omit=can_omit)
        ids = {**ids, **made}
    try:
        for one in changed:
            session.execute(sa.update(types).where(types.c.id == one.id).values(**_columns(one)))
    except sa.exc.IntegrityError as error:
        raise AlreadyExists("type", "with this external id") from error
    return [ids[put.key] for put in puts]


def _check(put: GraphType) -> None:
    check_text(put.name, "type name", limit=255, empty=False)
    check_text(put.version, "type version", limit=255)
    check_text(put.description or "", "type description")
    check_text(put.external_id or "", "external_id", limit=512)
    for name, kind in put.properties.items():
        check_text(name, "property name", limit=512)
        if kind not in set(PropertyKind):
            raise InvalidArgument(f"type {put.name!r}: property {name!r} has no kind", field="properties")
    if put.base_type is not None and put.base_type <= 0:
        raise NotSupported(f"type {put.name!r}: a base type cannot be unset")


def _plan(
    puts: Sequence[GraphType], held: Mapping[Key, GraphType], *, can_add: bool, can_omit: bool
) -> tuple[dict[Key, GraphType], list[GraphType], dict[Key, int]]:
    """(new ones, changed ones as they will be, ids of those that are there); a type put twice meets the first."""
    after = dict(held)
    for put in puts:
        stored = after.get(put.key)
        after[put.key] = put if stored is None else _widened(stored, put, can_add=can_add, can_omit=can_omit)
    new = {key: one for key, one in after.items() if key not in held}
    changed = [one for key, one in after.items() if key in held and one != held[key]]
    for one in changed:
        if one.id in BUILT_IN:
            raise NotWritable(f"type {one.name!r} is built in: it cannot be changed")
    return new, sorted(changed, key=lambda one: one.id), {key: one.id for key, one in held.items()}


def _widened(stored: GraphType, put: GraphType, *, can_add: bool, can_omit: bool) -> GraphType:
    for name, kind in put.properties.items():
        if stored.properties.get(name, kind) != kind:
            raise AlreadyExists("type", f"{put.name}: property {name!r} is of another kind there; a type of this name")
    extra = put.properties.keys() - stored.properties.keys()
    if extra and not can_add:
        raise AlreadyExists("type", f"{put.name} without {', '.join(sorted(extra))} (can_add_fields is not set)")
    if stored.properties.keys() - put.properties.keys() and not can_omit:
        raise AlreadyExists("type", f"{put.name} with properties that are left out here (can_omit_fields is not set)")
    if put.base_type is not None and stored.base_type not in {None, put.base_type}:
        raise NotSupported(f"type {put.name!r} has a base type already, which cannot change")
    return replace(
        stored,
        properties={**stored.properties, **put.properties},
        base_type=put.base_type if stored.base_type is None and put.base_type else stored.base_type,
        external_id=put.external_id or stored.external_id,
    )


def _columns(one: GraphType) -> dict[str, Any]:
    body: dict[str, Any] = {"properties": dict(sorted(one.properties.items()))}
    for name in ("input_type", "output_type"):
        if getattr(one, name) is not None:
            body[name] = base64.b64encode(getattr(one, name)).decode()
    return {
        "kind": int(one.kind),
        "name": one.name,
        "version": one.version,
        "description": one.description,
        "external_id": one.external_id,
        "base_type": one.base_type or None,
        "properties": json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(),
    }


def _loaded(row: Any) -> GraphType:
    body = json.loads(row.properties)
    structs = {
        name: base64.b64decode(body[name]) if name in body else None  # absent in nearly all types
        for name in ("input_type", "output_type")
    }
    return GraphType(
        row.id,
        NodeKind(row.kind),
        row.name,
        row.version,
        row.description,
        row.external_id,
        row.base_type,
        body.get("properties", {}),
        **structs,
    )


def _by_key(session: Session, actor: Actor, wanted: Sequence[Key]) -> dict[Key, GraphType]:
    """Those that are there; one statement."""
    found = {key: _BUILT_IN_KEYS[key] for key in wanted if key in _BUILT_IN_KEYS}
    rest = sorted({(int(kind), name, version) for kind, name, version in wanted if (kind, name, version) not in found})
    if rest:
        key = sa.tuple_(types.c.kind, types.c.name, types.c.version)
        for row in session.all(sa.select(types).where(types.c.scope == actor.scope, key.in_(rest))):
            one = _loaded(row)
            found[one.key] = one
    return found


def get_type(session: Session, actor: Actor, kind: NodeKind, name: str, version: str = "") -> GraphType:
    """Raises NotFound."""
    found = find_type(session, actor, kind, name, version)
    if found is None:
        raise NotFound("type", f"{name}:{version}" if version else name)
    return found


def find_type(session: Session, actor: Actor, kind: NodeKind, name: str, version: str = "") -> GraphType | None:
    return _by_key(session, actor, [(kind, name, version)]).get((kind, name, version))


def types_by_id(session: Session, actor: Actor, ids: Iterable[int]) -> dict[int, GraphType]:
    """Of every kind, built-in ones too; those that are not here left out. One statement."""
    wanted = set(ids)
    found = {id: BUILT_IN[id] for id in wanted & BUILT_IN.keys()}
    rest = sorted(id for id in wanted - found.keys() if 0 < id < 2**63)
    if rest:
        rows = session.all(sa.select(types).where(types.c.id.in_(rest), types.c.scope == actor.scope))
        found |= {row.id: _loaded(row) for row in rows}
    return found


_known: WeakKeyDictionary[sa.Engine, dict[tuple[int, int], GraphType]] = WeakKeyDictionary()
_MOST_KNOWN = 20_000


def known_types(session: Session, actor: Actor, ids: Iterable[int]) -> dict[int, GraphType]:
    """As `types_by_id`, from what this process has read before: kind, name and version are a type's for good.

    Properties, base type and external id may have come since.
    """
    cache = _known.setdefault(session.connection.engine, {})
    found, missing = {}, []
    for id in ids:
        one = BUILT_IN.get(id) or cache.get((actor.scope, id))
        if one is None:
            missing.append(id)
        else:
            found[id] = one
    if missing:
        fresh = types_by_id(session, actor, missing)
        found |= fresh

        def remember() -> None:
            if len(cache) > _MOST_KNOWN:
                cache.clear()
            cache.update({(actor.scope, id): one for id, one in fresh.items()})

        # A writer on SQLite may read a type that an earlier call of its group has made, whose id is given again if that fails.
        remember() if session.counter is None else session.after_commit(remember)
    return found


def list_types(session: Session, actor: Actor, kind: NodeKind) -> list[GraphType]:
    """User types, by id; without versions of the system's types, which ML Metadata leaves out by their name."""
    where = (types.c.scope == actor.scope, types.c.kind == kind, types.c.name.not_in(_SYSTEM_NAMES))
    query = sa.select(types).where(*where).order_by(types.c.id)
    return [_loaded(row) for row in session.all(query)]


def types_for_lineage(session: Session, actor: Actor, used: Container[int]) -> list[GraphType]:
    """All types, by id: the system's and users', and of our own those that are used. One statement."""
    built_in = [one for id, one in BUILT_IN.items() if not one.is_own or id in used]
    rows = session.all(sa.select(types).where(types.c.scope == actor.scope))
    return sorted([*built_in, *map(_loaded, rows)], key=lambda one: one.id)


def types_by_external_id(session: Session, actor: Actor, kind: NodeKind, external_ids: Sequence[str]) -> list[GraphType]:
    """By id. Raises NotFound: none of them is here, though some were asked for."""
    where = (types.c.scope == actor.scope, types.c.kind == kind, types.c.external_id.in_(sorted(set(external_ids))))
    found = [_loaded(row) for row in session.all(sa.select(types).where(*where).order_by(types.c.id))]
    if external_ids and not found:
        raise NotFound("type", ", ".join(external_ids[:5]))
    return found
