"""Workspaces: who may see a record. `default` is made with the installation's key when a server first starts."""

import secrets as random_secrets

import sqlalchemy as sa

from registry.catalog.outbox import KEY_NAME
from registry.db.session import Session
from registry.errors import InvalidName, NotFound
from registry.names import check_name
from registry.tables.service import secrets, workspaces

DEFAULT = "default"


def bootstrap(session: Session, *, now: int) -> None:
    """What a new installation needs beside its tables: the default workspace and a key. Writes no nodes. Idempotent."""
    if session.scalar(sa.select(secrets.c.name).where(secrets.c.name == KEY_NAME)) is None:
        session.insert_ignore(secrets, [{"name": KEY_NAME, "value": random_secrets.token_hex(32)}])
    get_or_create_workspace(session, DEFAULT, now=now)


def find_workspace(session: Session, name: str) -> int | None:
    found = session.scalar(_NAMED, {"name": name})
    return None if found is None else int(found)


_NAMED = sa.select(workspaces.c.id).where(workspaces.c.name == sa.bindparam("name"))


def get_workspace(session: Session, name: str) -> int:
    """Raises NotFound."""
    found = find_workspace(session, name)
    if found is None:
        raise NotFound("workspace", name)
    return found


def get_or_create_workspace(session: Session, name: str, *, now: int) -> int:
    """For those who may make one: the agent's reports, and administrators.

    Raises InvalidName: a new one with a slash, whose files would lie in another workspace's folder.
    """
    found = find_workspace(session, check_name(name, "workspace"))
    if found is None:
        if "/" in name:
            raise InvalidName(f"the name of a workspace has no slash, got {name[:80]!r}", field="workspace")
        session.insert_ignore(workspaces, [{"id": session.next_id("workspace"), "name": name, "created_at": now}])
        found = get_workspace(session, name)
    return found


def list_workspaces(session: Session) -> list[tuple[int, str, int]]:
    """(id, name, created_at) of all, by name."""
    rows = session.all(sa.select(workspaces.c.id, workspaces.c.name, workspaces.c.created_at).order_by(workspaces.c.name))
    return [(row.id, row.name, row.created_at) for row in rows]
