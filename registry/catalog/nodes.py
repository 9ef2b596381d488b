"""What the three node tables share: making a row, moving its version and time, finding it by its unique name."""

from functools import cache, lru_cache
from typing import Any

import sqlalchemy as sa

from registry.db.session import Session
from registry.errors import PreconditionFailed
from registry.names import Author, Lifecycle, NodeKind, sha256
from registry.tables import graph
from storage.locations import normalise_uri

TABLES = {NodeKind.CONTEXT: graph.contexts, NodeKind.EXECUTION: graph.executions, NodeKind.ARTIFACT: graph.artifacts}
MOVED = {Lifecycle.ACTIVE: "restored", Lifecycle.ARCHIVED: "archived", Lifecycle.DELETED: "deleted"}
"""What the audit log says a record was when it came to be so."""

ID_KINDS = {NodeKind.CONTEXT: "context", NodeKind.EXECUTION: "execution", NodeKind.ARTIFACT: "artifact"}


def node_row(
    id: int,
    *,
    type_id: int,
    workspace: int,
    now: int,
    name: str | None = None,
    name_key: str | None = None,
    external_id: str | None = None,
    scope: int | None = None,
    state: int | None = None,
    **own: Any,
) -> dict[str, Any]:
    """A complete new row of a node table; `own` are the columns that artifacts have beside the common ones."""
    return {
        "id": id,
        "scope": workspace if scope is None else scope,
        "workspace": workspace,
        "listed": 0,
        "type_id": type_id,
        "name": name,
        "name_key": name_key,
        "external_id": external_id,
        "state": state,
        "created_at": now,
        "updated_at": now,
        "version": 1,
        "deleted_at": None,
        "properties": None,
        **own,
    }


def artifact_row(
    id: int, *, type_id: int, workspace: int, now: int, kind: int, author: int = Author.CLIENT, **own: Any
) -> dict[str, Any]:
    columns: dict[str, Any] = dict.fromkeys(
        (
            "uri",
            "location_hash",
            "folder_hash",
            "digest",
            "size_bytes",
            "readiness",
            "media_type",
            "display_name",
            "description",
            "step",
            "port",
        )
    )
    common = {key: own.pop(key) for key in ("name", "name_key", "external_id", "scope", "state") if key in own}
    own["folder_hash"] = folder_hash(own.get("uri"))
    return node_row(id, type_id=type_id, workspace=workspace, now=now, kind=kind, author=author, **common, **(columns | own))


def folder_hash(uri: str | None) -> str | None:
    """Of the folder that the location lies in, as `location_hash` has it of the folder itself; None at the root of a store."""
    folder = "" if uri is None else normalise_uri(uri).rpartition("/")[0]
    return None if not folder or folder.endswith(("/", ":")) else _hash_of(folder)


@lru_cache(64)
def _hash_of(folder: str) -> str:
    return sha256(normalise_uri(folder))


def touch(session: Session, kind: NodeKind, id: int, *, now: int) -> None:
    """The record itself changed: its version and its `updated_at`, which always grows."""
    session.execute(_touching(kind), {"node": id, "now": now})


def bump(session: Session, kind: NodeKind, id: int) -> None:
    """A child of the record changed: its version moves, its `updated_at` does not."""
    session.execute(_bumping(kind), {"node": id})


@cache
def _touching(kind: NodeKind) -> sa.Update:
    table, now = TABLES[kind], sa.bindparam("now", type_=sa.BigInteger)
    later = sa.case((table.c.updated_at >= now, table.c.updated_at + 1), else_=now)
    return _bumping(kind).values(updated_at=later)


@cache
def _bumping(kind: NodeKind) -> sa.Update:
    table = TABLES[kind]
    return sa.update(table).where(table.c.id == sa.bindparam("node")).values(version=table.c.version + 1)


def check_version(found: int, expected: int | None, own: str) -> None:
    """The `If-Match` of every update. Raises PreconditionFailed."""
    if expected is not None and found != expected:
        raise PreconditionFailed(f"{own} is at version {found}, not {expected}", found=found, expected=expected)
