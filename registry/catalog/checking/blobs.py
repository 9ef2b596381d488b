"""The bytes in the object store against what is known of them: there, of that size, of that digest."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa

from registry.catalog.checking.problem import Problem
from registry.catalog.unverified import UNUSED_MS
from registry.db.session import Session
from registry.tables.service import blobs
from storage.errors import ObjectNotFound
from storage.store import ObjectStore, digest

BATCH = 500
_COLUMNS = sa.select(blobs.c.id, blobs.c.key, blobs.c.digest, blobs.c.size_bytes, blobs.c.updated_at)

Read = Callable[[Callable[[Session], Any]], Any]


def total_bytes(session: Session) -> int:
    """How much `check` will read."""
    return int(session.scalar(sa.select(sa.func.sum(blobs.c.size_bytes))) or 0)


def check(read: Read, store: ObjectStore, done: Callable[[int], None]) -> Iterator[Problem]:
    """Streams every blob once, outside of any transaction; `done` is told of the bytes of each blob after it was read.

    Of what nobody has verified only its presence is known, and not even that while a link may still bring it.

    A file that is replaced meanwhile is judged by the row that it has then. Raises StorageError: the store cannot be used.
    """
    after = 0
    while page := read(partial(_page, after)):
        for row in page:
            what = _wrong(store, row)
            if what is not None:
                now = read(partial(_again, row.id))
                if now != row:  # overwritten or deleted since the page was read
                    what = None if now is None else _wrong(store, now)
            if what is not None:
                yield Problem("blobs", str(row.id), f"{row.key} {what}")
            done(row.size_bytes)
        after = page[-1].id


def _page(after: int, session: Session) -> Sequence[Any]:
    return session.all(_COLUMNS.where(blobs.c.id > after).order_by(blobs.c.id).limit(BATCH))


def _again(blob: int, session: Session) -> Any:
    return session.first(_COLUMNS.where(blobs.c.id == blob))


def _wrong(store: ObjectStore, row: Any) -> str | None:
    try:
        if row.digest is None:
            store.stat(row.key)
            return None
        found = digest(store, row.key)
    except ObjectNotFound:
        awaited = row.digest is None and row.updated_at > time.time() * 1000 - UNUSED_MS
        return None if awaited else "is not in the object store"
    if found.size_bytes != row.size_bytes:
        return f"has {found.size_bytes} bytes, not {row.size_bytes}"
    return "has other bytes than its digest says" if found.sha256 != row.digest else None
