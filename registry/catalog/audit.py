"""Reading the audit log of a workspace. `sealing.py` proves that nobody changed it."""

import json
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.db.session import Session
from registry.tables.service import audit_events, audit_seals


@dataclass(frozen=True)
class AuditEvent:
    """`seq` and `hash` are of its seal, None until it is sealed."""

    id: int
    at: int
    actor: str
    action: str
    object: str
    before: Any
    after: Any
    request_id: str | None
    seq: int | None
    hash: str | None


def list_audit(
    session: Session,
    actor: Actor,
    *,
    object: str | None = None,
    action: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[AuditEvent]:
    """Newest first; `before` is the id of the last one seen. One statement."""
    where = [audit_events.c.workspace == actor.workspace]
    if object is not None:
        where.append(audit_events.c.object == object)
    if action is not None:
        where.append(audit_events.c.action == action)
    if before is not None:
        where.append(audit_events.c.id < before)
    query = (
        sa.select(audit_events, audit_seals.c.seq, audit_seals.c.hash)
        .join(audit_seals, audit_seals.c.event == audit_events.c.id, isouter=True)
        .where(*where)
        .order_by(audit_events.c.id.desc())
        .limit(limit)
    )
    return [
        AuditEvent(
            row.id,
            row.at,
            row.actor,
            row.action,
            row.object,
            None if row.before is None else json.loads(row.before),
            None if row.after is None else json.loads(row.after),
            row.request_id,
            row.seq,
            row.hash,
        )
        for row in session.all(query)
    ]
