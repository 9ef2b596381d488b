"""Chaining the audit rows after they have committed, so that no writer waits for the one before.

One chain per workspace, in seal order. Each event is written together with a row in `audit_waiting`, which goes when it is
sealed: what the sealer reads each second is what waits, however long the log is, and an event whose transaction commits late
is not missed. Only one leader appends to a chain: on SQLite the writer thread, on database servers whoever gets the lock of the
workspace's row. The unique key (workspace, seq) would refuse a second one.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from registry.catalog.outbox import audit_key, mac_of
from registry.db.session import Session
from registry.tables.service import audit_events, audit_seals, audit_waiting, workspaces

GENESIS = "0" * 64
BATCH = 1000


@dataclass(frozen=True)
class Flaw:
    """What is wrong with one row of the log: `table` is audit_events or audit_seals, `row` names it within the workspace."""

    table: str
    row: str
    what: str


@dataclass(frozen=True)
class Verdict:
    """What a walk over a workspace's chain found. `seals`: the number of the last one, whose hash is `head`.

    `unsealed`: events that wait for the sealer, which is no problem.

    Whoever keeps (`seals`, `head`) elsewhere can tell later that events and seals were cut off the end together.
    """

    problems: tuple[str, ...]
    seals: int
    head: str
    unsealed: int


def seal_hash(previous: str, mac: str) -> str:
    """64 hex characters: SHA-256 over the previous hash and the event's MAC."""
    return hashlib.sha256(f"{previous}{mac}".encode()).hexdigest()


def seal(session: Session) -> int:
    """Append the oldest waiting events, at most 1,000, to their chains; how many were sealed.

    A chain that another sealer is at is left to it. One statement where nothing waits.
    """
    waiting: dict[int, list[int]] = {}
    query = sa.select(audit_waiting.c.workspace, audit_waiting.c.event).order_by(audit_waiting.c.event).limit(BATCH)
    for row in session.all(query):
        waiting.setdefault(row.workspace, []).append(row.event)
    return sum(_seal_workspace(session, workspace, found) for workspace, found in sorted(waiting.items()))


def unsealed(session: Session, workspace: int) -> int:
    """How many events wait for the sealer."""
    query = sa.select(sa.func.count()).select_from(audit_waiting).where(audit_waiting.c.workspace == workspace)
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
    problems = tuple(f"{flaw.table} {flaw.row} {flaw.what}" for flaw in flaws(session, workspace))
    seals, last = head(session, workspace)
    return Verdict(problems, seals, last, unsealed(session, workspace))


def flaws(session: Session, workspace: int) -> Iterator[Flaw]:
    """What is wrong with the workspace's events, then with its seals; a page at a time is in memory."""
    key = audit_key(session)
    for event in _events(session, workspace):
        if mac_of(event._asdict(), key) != event.mac:
            yield Flaw("audit_events", str(event.id), "was changed after it was written")
        if event.seq is None and event.waits is None:
            yield Flaw("audit_events", str(event.id), "has lost its seal")
    seq, previous = 0, GENESIS
    for seal in _seals(session, workspace):
        if seal.seq != seq + 1 or seal.prev_hash != previous:
            yield Flaw("audit_seals", f"{workspace}/{seal.seq}", "does not follow the seal before it")
        if seal.mac is None or seal.event_workspace != workspace:
            yield Flaw("audit_seals", f"{workspace}/{seal.seq}", f"seals event {seal.event}, which is not there")
        elif seal.hash != seal_hash(seal.prev_hash, seal.mac):
            yield Flaw("audit_seals", f"{workspace}/{seal.seq}", f"does not seal event {seal.event}")
        seq, previous = seal.seq, seal.hash


def _events(session: Session, workspace: int) -> Iterator[sa.Row[Any]]:
    query = (
        sa.select(audit_events, audit_seals.c.seq, audit_waiting.c.event.label("waits"))
        .join(audit_seals, audit_seals.c.event == audit_events.c.id, isouter=True)
        .join(audit_waiting, audit_waiting.c.event == audit_events.c.id, isouter=True)
        .where(audit_events.c.workspace == workspace)
        .order_by(audit_events.c.id)
        .limit(BATCH)
    )
    after = 0
    while page := session.all(query.where(audit_events.c.id > after)):
        yield from page
        after = page[-1].id


def _seals(session: Session, workspace: int) -> Iterator[sa.Row[Any]]:
    query = (
        sa.select(audit_seals, audit_events.c.mac, audit_events.c.workspace.label("event_workspace"))
        .join(audit_events, audit_events.c.id == audit_seals.c.event, isouter=True)
        .where(audit_seals.c.workspace == workspace)
        .order_by(audit_seals.c.seq)
        .limit(BATCH)
    )
    after = -1
    while page := session.all(query.where(audit_seals.c.seq > after)):
        yield from page
        after = page[-1].seq


def _seal_workspace(session: Session, workspace: int, waiting: list[int]) -> int:
    if not _leads(session, workspace):
        return 0
    seq, previous = head(session, workspace)
    query = (  # read again under the lock: the last leader may have sealed some of them
        sa.select(audit_events.c.id, audit_events.c.mac)
        .join(audit_waiting, audit_waiting.c.event == audit_events.c.id)
        .where(audit_waiting.c.event.in_(waiting))
        .order_by(audit_events.c.id)
    )
    rows = []
    for event in session.all(query):
        seq += 1
        hash = seal_hash(previous, event.mac)
        rows.append({"workspace": workspace, "seq": seq, "event": event.id, "prev_hash": previous, "hash": hash})
        previous = hash
    session.insert(audit_seals, rows)
    session.execute(sa.delete(audit_waiting).where(audit_waiting.c.event.in_([row["event"] for row in rows])))
    return len(rows)


def _leads(session: Session, workspace: int) -> bool:
    """Take the chain until the transaction ends, if nobody has it."""
    if session.dialect == "sqlite":
        return True
    row = sa.select(workspaces.c.id).where(workspaces.c.id == workspace).with_for_update(skip_locked=True)
    return session.scalar(row) is not None
