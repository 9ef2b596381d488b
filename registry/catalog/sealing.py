"""Chaining the audit rows after they have committed, so that no writer waits for the one before.

One chain per workspace, in seal order. Only one leader seals: on SQLite the writer thread, on database servers whoever gets the
chain's lock. The unique key (workspace, seq) would refuse a second one.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from registry.catalog.outbox import audit_key, mac_of
from registry.db.session import Session
from registry.tables.service import audit_events, audit_seals, workspaces

GENESIS = "0" * 64
BATCH = 1000


@dataclass(frozen=True)
class Verdict:
    """What a walk over a workspace's chain found. `unsealed`: events that wait for the sealer, which is no problem.

    Whoever keeps (`seals`, `head`) elsewhere can tell later that no seals were cut off the end.
    """

    problems: tuple[str, ...]
    seals: int
    head: str
    unsealed: int


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


def verify(session: Session, workspace: int) -> Verdict:
    """Walk the chain from its beginning: every event against its MAC, every seal against its event and the one before."""
    problems: list[str] = list(_changed_events(session, workspace))
    query = (
        sa.select(audit_seals, audit_events.c.mac, audit_events.c.workspace.label("event_workspace"))
        .join(audit_events, audit_events.c.id == audit_seals.c.event, isouter=True)
        .where(audit_seals.c.workspace == workspace)
        .order_by(audit_seals.c.seq)
    )
    count, previous = 0, GENESIS
    for row in session.execute(query):
        count += 1
        if row.seq != count or row.prev_hash != previous:
            problems.append(f"seal {row.seq} does not follow the one before it")
        if row.mac is None or row.event_workspace != workspace:
            problems.append(f"seal {row.seq} seals event {row.event}, which is not there")
        elif row.hash != seal_hash(row.prev_hash, row.mac):
            problems.append(f"seal {row.seq} does not seal event {row.event}")
        count, previous = row.seq, row.hash
    return Verdict(tuple(problems), count, previous, unsealed(session, workspace))


def _changed_events(session: Session, workspace: int) -> Iterator[str]:
    key = audit_key(session)
    for row in session.execute(sa.select(audit_events).where(audit_events.c.workspace == workspace).order_by(audit_events.c.id)):
        if mac_of(row._asdict(), key) != row.mac:
            yield f"event {row.id} was changed after it was written"


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
