"""The bytes in the object store against what is known of them: there, of that size, of that digest."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa

from registry.catalog.checking.problem import Problem
from registry.db.session import Session
from registry.tables.service import blobs
from storage.errors import ObjectNotFound
from storage.store import ObjectStore, digest

BATCH = 500
_COLUMNS = sa.select(blobs.c.id, blobs.c.key, blobs.c.digest, blobs.c.size_bytes)

Read = Callable[[Callable[[Session], Any]], Any]


def total_bytes(session: Session) -> int:
    """How much `check` will read."""
    return int(session.scalar(sa.select(sa.func.sum(blobs.c.size_bytes))) or 0)


def check(read: Read, store: ObjectStore, done: Callable[[int], None]) -> Iterator[Problem]:
    """Streams every blob once, outside of any transaction; `done` is told of the bytes of each blob after it was read.

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
        if row.digest is None:  # nobody has computed it yet
            size, sha256 = store.stat(row.key).size_bytes, None
        else:
            found = digest(store, row.key)
            size, sha256 = found.size_bytes, found.sha256
    except ObjectNotFound:
        return "is not in the object store"
    if size != row.size_bytes:
        return f"has {size} bytes, not {row.size_bytes}"
    return "has other bytes than its digest says" if sha256 != row.digest else None
