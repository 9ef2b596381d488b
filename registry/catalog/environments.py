"""Serving environments: where deployments live. One is made on first use, by name."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from registry.catalog import node_types, tagging
from registry.catalog.actors import Actor
from registry.catalog.naming import get_or_create
from registry.catalog.nodes import check_version, node_row, touch
from registry.catalog.outbox import record
from registry.catalog.pages import FIRST_PAGE, Page, Search, find_page
from registry.catalog.subjects import ENVIRONMENTS
from registry.db.session import Session
from registry.errors import AlreadyExists, InUse, NotFound, NotWritable
from registry.names import IdPrefix, Lifecycle, NodeKind, check_name, check_text, own_id
from registry.tables.graph import attributions, contexts, parent_contexts
from registry.tables.models import deployments, environments
from registry.tables.service import audit_events


@dataclass(frozen=True)
class Environment:
    """`lifecycle` is active or deleted; `version` is the ETag."""

    id: int
    name: str
    description: str | None
    lifecycle: Lifecycle
    created_at: int
    updated_at: int
    version: int

    @property
    def own_id(self) -> str:
        return own_id(IdPrefix.ENVIRONMENT, self.id)


CREATED = "environment.created"
_QUERY = sa.select(environments, contexts.c.created_at, contexts.c.updated_at, contexts.c.version, contexts.c.deleted_at).join(
    contexts, contexts.c.id == environments.c.id
)


def create_environment(session: Session, actor: Actor, name: str, *, now: int, description: str | None = None) -> Environment:
    """Raises AlreadyExists: the name is taken."""
    check_name(name)
    check_text(description or "", "description", limit=tagging.MAX_VALUE)
    made = session.next_id("context")
    node = node_row(made, type_id=node_types.ENVIRONMENT, workspace=actor.workspace, now=now, name=name, name_key=name)
    if not session.insert_if_absent(contexts, node):
        raise AlreadyExists("environment", name)
    row = {"id": made, "workspace": actor.workspace, "name": name, "description": description}
    session.insert(environments, row)
    record(session, actor, CREATED, own_id(IdPrefix.ENVIRONMENT, made), now=now, after={"name": name})
    return get_environment(session, actor, made)


def get_or_create_environment(session: Session, actor: Actor, name: str, *, now: int) -> Environment:
    return get_or_create(
        lambda: find_environment(session, actor, name), lambda: create_environment(session, actor, name, now=now)
    )


def locked_environment(session: Session, actor: Actor, name: str, *, now: int) -> Environment:
    """The environment of that name, made on first use, and locked: who deletes it looks for deployments under this lock."""
    while True:
        found = get_or_create_environment(session, actor, name, now=now)
        session.lock(environments, [found.id])
        if session.dialect == "sqlite" or session.scalar(_ALIVE, {"environment": found.id}) is not None:
            return found


_ALIVE = sa.select(contexts.c.id).where(contexts.c.id == sa.bindparam("environment"), contexts.c.deleted_at.is_(None))


def get_environment(session: Session, actor: Actor, id: int) -> Environment:
    """Deleted ones too. Raises NotFound: absent, or in another workspace."""
    row = session.first(_QUERY.where(environments.c.id == id, environments.c.workspace == actor.workspace))
    if row is None:
        raise NotFound("environment", own_id(IdPrefix.ENVIRONMENT, id))
    return _rendered(row)


def get_environments(session: Session, actor: Actor, ids: Sequence[int]) -> list[Environment]:
    """In the order of `ids`, deleted ones too; those that are not here are left out."""
    return [
        _rendered(row)
        for row in session.by_ids(_QUERY.where(environments.c.workspace == actor.workspace), environments.c.id, ids)
    ]


def find_environment(session: Session, actor: Actor, name: str) -> Environment | None:
    where = (
        environments.c.workspace == actor.workspace,
        contexts.c.type_id == node_types.ENVIRONMENT,
        contexts.c.name_key == name,
    )
    row = session.first(_QUERY.where(*where))
    return None if row is None else _rendered(row)


def list_environments(session: Session, actor: Actor, search: Search = FIRST_PAGE) -> Page[Environment]:
    """Those that are not deleted; one statement. Raises as `find_page`."""
    alive = sa.exists().where(contexts.c.id == environments.c.id, contexts.c.deleted_at.is_(None))
    where = [environments.c.workspace == actor.workspace, alive]
    return find_page(
        session, ENVIRONMENTS, where, search, rows=_QUERY, read=lambda _session, rows: [_rendered(row) for row in rows]
    )


def update_environment(
    session: Session, actor: Actor, id: int, *, now: int, description: str | None = None, expected_version: int | None = None
) -> Environment:
    """Raises NotFound, NotWritable (deleted), PreconditionFailed."""
    before = _locked(session, actor, id, expected_version)
    if before.lifecycle is Lifecycle.DELETED:
        raise NotWritable(f"environment {before.own_id} is deleted")
    if description is None or description == before.description:
        return before
    check_text(description, "description", limit=tagging.MAX_VALUE)
    session.execute(sa.update(environments).where(environments.c.id == id).values(description=description))
    touch(session, NodeKind.CONTEXT, id, now=now)
    old, new = {"description": before.description}, {"description": description}
    record(session, actor, "environment.updated", before.own_id, now=now, before=old, after=new)
    return get_environment(session, actor, id)


def delete_environment(session: Session, actor: Actor, id: int, *, now: int, expected_version: int | None = None) -> None:
    """Its name is free then. Idempotent.

    Raises InUse: it holds a deployment that is not deleted; `dependants` names them.
    """
    before = _locked(session, actor, id, expected_version)
    if before.lifecycle is Lifecycle.DELETED:
        return
    held = (deployments.c.environment == id, deployments.c.lifecycle != Lifecycle.DELETED)
    query = sa.select(deployments.c.id).where(*held).order_by(deployments.c.id)
    users = [own_id(IdPrefix.DEPLOYMENT, found) for found in session.scalars(query)]
    if users:
        raise InUse(f"environment {before.own_id} holds {', '.join(users)}", users)
    session.execute(sa.update(contexts).where(contexts.c.id == id).values(name_key=None, deleted_at=now))
    touch(session, NodeKind.CONTEXT, id, now=now)
    record(session, actor, "environment.deleted", before.own_id, now=now, before={"name": before.name})


def unmake_environment(session: Session, actor: Actor, id: int, *, now: int) -> None:
    """Take back one that `actor` made on first use, if nobody else has touched it and nothing is in it any more."""
    session.lock(environments, [id])
    query = sa.select(environments, contexts.c.version, contexts.c.deleted_at)
    row = session.first(query.join(contexts, contexts.c.id == environments.c.id).where(environments.c.id == id))
    if row is None or row.version != 1 or row.description is not None or row.deleted_at is not None:
        return
    if session.scalar(sa.select(deployments.c.id).where(deployments.c.environment == id).limit(1)) is not None:
        return
    own = own_id(IdPrefix.ENVIRONMENT, id)
    made = (audit_events.c.workspace == row.workspace, audit_events.c.object == own, audit_events.c.action == CREATED)
    if session.scalar(sa.select(audit_events.c.actor).where(*made).limit(1)) != actor.name:
        return
    for table, column in ((attributions, "context"), (parent_contexts, "parent")):
        if session.first(sa.select(table.c[column]).where(table.c[column] == id).limit(1)) is not None:
            return
    session.execute(sa.delete(environments).where(environments.c.id == id))
    session.execute(sa.delete(contexts).where(contexts.c.id == id))
    record(session, replace(actor, workspace=row.workspace), "environment.deleted", own, now=now, before={"name": row.name})


def _locked(session: Session, actor: Actor, id: int, expected_version: int | None) -> Environment:
    session.lock(environments, [id])
    found = get_environment(session, actor, id)
    check_version(found.version, expected_version, found.own_id)
    return found


def _rendered(row: sa.Row[tuple[Any, ...]]) -> Environment:
    return Environment(
        id=row.id,
        name=row.name,
        description=row.description,
        lifecycle=Lifecycle.ACTIVE if row.deleted_at is None else Lifecycle.DELETED,
        created_at=row.created_at,
        updated_at=row.updated_at,
        version=row.version,
    )
