"""`Idempotency-Key` on creates: the first answer is stored in the transaction of the change and given again for 24 hours."""

from collections.abc import Callable

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.db.session import Session
from registry.errors import IdempotencyMismatch
from registry.names import check_text, sha256
from registry.tables.service import idempotency

KEEP_MS = 24 * 3600 * 1000


def once(
    session: Session, actor: Actor, key: str | None, request: str, create: Callable[[], tuple[int, bytes]], *, now: int
) -> tuple[int, bytes]:
    """(status, body) of `create`, or of the earlier call with this key.

    `request` is the digest of method, path and body. Two calls with one key at the same time: the second waits for the first
    on a database server, and gets its answer.

    Raises IdempotencyMismatch: the key was used with another request.
    """
    if key is None:
        return create()
    check_text(key, "Idempotency-Key", limit=255, empty=False)
    row = {
        "workspace": actor.workspace,
        "actor": sha256(actor.name),
        "key": key,
        "request": request,
        "status": 0,
        "body": b"",
        "created_at": now,
    }
    table = idempotency
    where = (table.c.workspace == row["workspace"], table.c.actor == row["actor"], table.c.key == key)
    session.execute(sa.delete(table).where(*where, table.c.created_at < now - KEEP_MS))
    if not session.insert_if_absent(table, row):
        held = session.first(sa.select(table).where(*where))
        if held is not None:
            if held.request != request:
                raise IdempotencyMismatch("this Idempotency-Key was used with another request", key=key)
            return held.status, held.body
    status, body = create()
    session.execute(sa.update(table).where(*where).values(status=status, body=body))
    return status, body


def sweep(session: Session, *, now: int) -> int:
    """Remove keys older than 24 hours; how many."""
    return session.execute(sa.delete(idempotency).where(idempotency.c.created_at < now - KEEP_MS)).rowcount
