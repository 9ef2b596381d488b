"""Files whose bytes did not pass through the server: known without a digest until somebody has read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from registry.db.session import Session
from registry.names import sha256
from registry.tables.service import blobs
from storage.store import Stored

BATCH = 500
UNUSED_MS = 24 * 3_600_000
"""A link by which nothing came until then will not be used."""


@dataclass(frozen=True)
class Unverified:
    """`updated_at`: when its link was given, its upload was completed, or somebody began to read it."""

    id: int
    key: str
    updated_at: int


_COLUMNS = sa.select(blobs.c.id, blobs.c.key, blobs.c.updated_at).where(blobs.c.digest.is_(None))


def find_unverified(session: Session, key: str) -> Unverified | None:
    row = session.first(_COLUMNS.where(blobs.c.key_hash == sha256(key)))
    return None if row is None else Unverified(row.id, row.key, row.updated_at)


def list_unverified(session: Session, *, before: int, after: int = 0) -> Sequence[Unverified]:
    """Those that nobody has touched since `before` (ms), by id, those up to `after` left out; a page of `BATCH`."""
    query = _COLUMNS.where(blobs.c.updated_at < before, blobs.c.id > after).order_by(blobs.c.id).limit(BATCH)
    return [Unverified(row.id, row.key, row.updated_at) for row in session.all(query)]


def claim(session: Session, file: Unverified, *, now: int) -> Unverified | None:
    """Say that it is being read from now on; None where somebody else has said so, or other bytes have come."""
    changed = session.execute(sa.update(blobs).where(*_as_seen(file)).values(updated_at=now)).rowcount
    return Unverified(file.id, file.key, now) if changed else None


def verified(session: Session, file: Unverified, found: Stored) -> bool:
    """Keep what was read; False where other bytes may have come meanwhile."""
    values: dict[str, Any] = {"digest": found.sha256, "size_bytes": found.size_bytes}
    return bool(session.execute(sa.update(blobs).where(*_as_seen(file)).values(**values)).rowcount)


def forget(session: Session, file: Unverified) -> None:
    """Of a link that nobody used."""
    session.execute(sa.delete(blobs).where(*_as_seen(file)))


def _as_seen(file: Unverified) -> Sequence[sa.ColumnElement[bool]]:
    return blobs.c.id == file.id, blobs.c.digest.is_(None), blobs.c.updated_at == file.updated_at
