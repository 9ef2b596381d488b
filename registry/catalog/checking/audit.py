"""The audit log: each row against its own MAC, each seal against the one before."""

from collections.abc import Iterator

import sqlalchemy as sa

from registry.catalog.checking.problem import Problem
from registry.catalog.outbox import audit_key, mac_of
from registry.catalog.sealing import seal_hash
from registry.db.session import Session
from registry.tables.service import audit_events, audit_seals


def check(session: Session) -> Iterator[Problem]:
    key = audit_key(session)
    macs: dict[int, str] = {}
    for row in session.all(sa.select(audit_events).order_by(audit_events.c.id)):
        macs[row.id] = row.mac
        if mac_of(row._asdict(), key) != row.mac:
            yield Problem("audit_events", str(row.id), "was changed after it was written")
    before: dict[int, tuple[int, str]] = {}
    for seal in session.all(sa.select(audit_seals).order_by(audit_seals.c.workspace, audit_seals.c.seq)):
        seq, previous = before.get(seal.workspace, (0, "0" * 64))
        if seal.seq != seq + 1 or seal.prev_hash != previous:
            yield Problem("audit_seals", f"{seal.workspace}/{seal.seq}", "does not follow the seal before it")
        if seal.hash != seal_hash(seal.prev_hash, macs.get(seal.event, "")):
            yield Problem("audit_seals", f"{seal.workspace}/{seal.seq}", "does not seal its event")
        before[seal.workspace] = (seal.seq, seal.hash)
