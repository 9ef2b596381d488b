"""Chaining the audit rows after they have committed, so that no writer waits for the one before.

One chain per workspace, in seal order. Only one leader seals: on SQLite the writer thread, on database servers whoever gets the
chain's lock. The unique key (workspace, seq) would refuse a second one.
"""

import hashlib

import sqlalchemy as sa

from registry.db.session import Session
from registry.tables.service import audit_events, audit_seals, workspaces

GENESIS = "0" * 64
BATCH = 1000


def seal_hash(previous: str, mac: str) -> str:
    """64 hex characters: SHA-256 over the previous hash and the event's MAC."""
    return hashlib.sha256(f"{previous}{mac}".encode()).hexdigest()


def seal(session: Session) -> int:
    """Append up to 1,000 committed events of each workspace to its chain; how many were sealed."""
    waiting = session.scalars(sa.select(audit_events.c.workspace).distinct().where(_unsealed()))
    return sum(_seal_workspace(session, workspace) for workspace in sorted(waiting))


def unsealed(session: Session, workspace: int) -> int:
    """How many events wait for the sealer."""
    query = sa.select(sa.func.count()).select_from(audit_events).where(audit_events.c.workspace == workspace, _unsealed())
    return int(session.scalar(query))


def head(session: Session, workspace: int) -> tuple[int, str]:
    """(seq, hash) of the chain's last seal; (0, 64 zeros) of an empty one."""
    query = (
        sa.select(audit_seals.c.seq, audit_seals.c.hash)
        .where(audit_seals.c.workspace == workspace)
        .order_by(audit_seals.c.seq.desc())
        .limit(1)
    )
    row = session.first(query)
    return (0, GENESIS) if row is None else (row.seq, row.hash)


def _unsealed() -> sa.ColumnElement[bool]:
    return ~sa.exists().where(audit_seals.c.event == audit_events.c.id)


def _seal_workspace(session: Session, workspace: int) -> int:
    session.lock(workspaces, [workspace])
    seq, previous = head(session, workspace)
    query = (
        sa.select(audit_events.c.id, audit_events.c.mac)
        .where(audit_events.c.workspace == workspace, _unsealed())
        .order_by(audit_events.c.id)
        .limit(BATCH)
    )
    rows = []
    for event in session.all(query):
        seq += 1
        hash = seal_hash(previous, event.mac)
        rows.append({"workspace": workspace, "seq": seq, "event": event.id, "prev_hash": previous, "hash": hash})
        previous = hash
    session.insert(audit_seals, rows)
    return len(rows)
