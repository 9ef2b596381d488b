"""Keys from outside: what other systems call a record. One record may own several; a key belongs to one record."""

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from registry.db.session import Session
from registry.names import KeyKind, NodeKind, narrow
from registry.tables.graph import contexts, properties
from registry.tables.runs import runs
from registry.tables.service import id_aliases, keys

Key = tuple[KeyKind, str]
EVERYWHERE = 0
"""Workspace and door of a merge's alias."""


def find_claimed(session: Session, workspace: int, wanted: Sequence[Key], kind: NodeKind) -> int | None:
    """The node that owns the first claimed of the keys, in their order."""
    found = find_many(session, workspace, wanted, kind)
    return next((found[key] for key in wanted if key in found), None)


def find_many(session: Session, workspace: int, wanted: Iterable[Key], kind: NodeKind) -> dict[Key, int]:
    """The owners of those keys that are claimed; one statement."""
    by_stored = {(int(key_kind), narrow(key)): (key_kind, key) for key_kind, key in wanted}
    if not by_stored:
        return {}
    given = {"workspace": workspace, "keys": list(by_stored), "of": int(kind)}
    return {by_stored[row.kind, row.key]: int(row.node) for row in session.all(_MANY, given)}


_MANY = sa.select(keys.c.kind, keys.c.key, keys.c.node).where(
    keys.c.workspace == sa.bindparam("workspace"),
    sa.tuple_(keys.c.kind, keys.c.key).in_(sa.bindparam("keys", expanding=True)),
    keys.c.node_kind == sa.bindparam("of"),
)


def claim(session: Session, workspace: int, wanted: Iterable[Key], kind: NodeKind, node: int) -> int:
    """Give the keys to the node where nobody has them; how many it got. Idempotent."""
    rows = [
        {"workspace": workspace, "kind": int(key_kind), "key": narrow(key), "node_kind": int(kind), "node": node}
        for key_kind, key in sorted(set(wanted))
    ]
    return session.insert_ignore(keys, rows)


def find_alias(session: Session, kind: NodeKind, old: int) -> int | None:
    """The node that the integer id means since its own record became part of another: on every door."""
    where = (id_aliases.c.workspace == EVERYWHERE, id_aliases.c.door == EVERYWHERE, id_aliases.c.kind == kind)
    found: int | None = session.scalar(sa.select(id_aliases.c.node).where(*where, id_aliases.c.old_id == old))
    return found


def add_alias(session: Session, kind: NodeKind, old: int, new: int) -> None:
    """An integer id that a client was shown goes on answering, on every door; those that led to it lead on."""
    session.execute(sa.update(id_aliases).where(id_aliases.c.kind == kind, id_aliases.c.node == old).values(node=new))
    row = {"workspace": EVERYWHERE, "door": EVERYWHERE, "kind": int(kind), "old_id": old, "node": new}
    session.insert_ignore(id_aliases, [row])


def move_keys(session: Session, kind: NodeKind, old: int, new: int) -> None:
    """All keys of one node become another's: the two are one record now."""
    session.execute(sa.update(keys).where(keys.c.node_kind == kind, keys.c.node == old).values(node=new))


def unmake_run(session: Session, id: int) -> None:
    """Take back a run that this transaction has just made and that nobody has seen."""
    session.execute(sa.delete(keys).where(keys.c.node_kind == NodeKind.CONTEXT, keys.c.node == id))
    session.execute(sa.delete(properties).where(properties.c.kind == NodeKind.CONTEXT, properties.c.node == id))
    session.execute(sa.delete(runs).where(runs.c.id == id))
    session.execute(sa.delete(contexts).where(contexts.c.id == id))
