"""API tokens: shown once, kept as a digest, of one workspace and one role, until they expire or are revoked."""

import hashlib
import secrets
from dataclasses import dataclass

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.outbox import record
from registry.db.session import Session
from registry.errors import InvalidArgument, NotFound
from registry.names import IdPrefix, Role, check_name, own_id
from registry.tables.service import tokens, workspaces

PREFIX = "lin_"


@dataclass(frozen=True)
class Identity:
    """Whom a token stands for."""

    name: str
    workspace: int
    workspace_name: str
    role: Role


@dataclass(frozen=True)
class Token:
    """A token without its secret."""

    id: int
    name: str
    role: Role
    created_by: str
    created_at: int
    expires_at: int | None
    revoked_at: int | None

    @property
    def own_id(self) -> str:
        return own_id(IdPrefix.TOKEN, self.id)


def create_token(
    session: Session, actor: Actor, name: str, role: Role, *, now: int, expires_at: int | None = None, secret: str | None = None
) -> tuple[Token, str]:
    """The token and its secret, which is not kept. `secret` is given where the call may be run again.

    Raises InvalidArgument: it would have expired already.
    """
    actor.require(Role.ADMIN)
    check_name(name)
    if expires_at is not None and expires_at <= now:
        raise InvalidArgument("expires_at lies in the past", field="expires_at")
    value = secret or new_secret()
    made = Token(session.next_id("record"), name, role, actor.name, now, expires_at, None)
    row = {
        "id": made.id,
        "workspace": actor.workspace,
        "name": name,
        "digest": hashlib.sha256(value.encode()).hexdigest(),
        "role": role,
        "created_by": actor.name,
        "created_at": now,
        "expires_at": expires_at,
        "revoked_at": None,
    }
    session.insert(tokens, row)
    record(session, actor, "token.created", made.own_id, now=now, after={"name": name, "role": role.name.lower()})
    return made, value


def new_secret() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def find_identity(session: Session, digest: str, *, now: int) -> Identity | None:
    """By the token's sha256; None if unknown, expired or revoked."""
    row = session.first(
        sa.select(tokens, workspaces.c.name.label("workspace_name"))
        .join(workspaces, workspaces.c.id == tokens.c.workspace)
        .where(tokens.c.digest == digest, tokens.c.revoked_at.is_(None))
    )
    if row is None or (row.expires_at is not None and row.expires_at <= now):
        return None
    return Identity(row.name, row.workspace, row.workspace_name, Role(row.role))


def any_token(session: Session) -> bool:
    return session.first(sa.select(tokens.c.id).where(tokens.c.revoked_at.is_(None)).limit(1)) is not None


def list_tokens(session: Session, actor: Actor, *, after: int = 0, limit: int = 100) -> list[Token]:
    """Those of the workspace, by id."""
    actor.require(Role.ADMIN)
    query = sa.select(tokens).where(tokens.c.workspace == actor.workspace, tokens.c.id > after).order_by(tokens.c.id).limit(limit)
    return [
        Token(row.id, row.name, Role(row.role), row.created_by, row.created_at, row.expires_at, row.revoked_at)
        for row in session.all(query)
    ]


def revoke_token(session: Session, actor: Actor, id: int, *, now: int) -> None:
    """Idempotent. Raises NotFound."""
    actor.require(Role.ADMIN)
    where = (tokens.c.id == id, tokens.c.workspace == actor.workspace)
    row = session.first(sa.select(tokens.c.revoked_at).where(*where))
    if row is None:
        raise NotFound("token", own_id(IdPrefix.TOKEN, id))
    if row.revoked_at is None:
        session.execute(sa.update(tokens).where(*where).values(revoked_at=now))
        record(session, actor, "token.revoked", own_id(IdPrefix.TOKEN, id), now=now)
