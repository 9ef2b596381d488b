"""Removing what no record knows: objects without a row, uploads that were never finished.

Bytes are written before their row, so an object without a row may be one that is just being recorded. It is an orphan
only if it is older than `grace`, which has to be longer than the slowest upload and its transaction. A referenced
object is never removed: the question is asked again, for this one key, right before it goes, and an object that was
written anew meanwhile is young.

One thing is left to the callers: who refers to an object that is there already (same digest) must put it again or touch
its row first.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from storage.errors import ObjectNotFound
from storage.keys import check_prefix
from storage.store import LIST_LIMIT, ObjectStat, ObjectStore, PendingUpload

Referenced = Callable[[Sequence[str]], Collection[str]]
"""Which of these keys are known to a record. Called with at most `LIST_LIMIT` keys; must see all that is committed."""

GRACE_MIN = timedelta(minutes=10)
"""Less would remove what a slow transaction is about to record."""


@dataclass(frozen=True, slots=True)
class Orphan:
    """`removed` is False on a dry run. `key` is empty for the remains of a put on a local store, `upload_id` for an
    object.
    """

    kind: Literal["object", "upload"]
    key: str
    upload_id: str
    size_bytes: int
    modified_at: datetime
    removed: bool


def sweep(
    store: ObjectStore,
    prefix: str,
    referenced: Referenced,
    *,
    now: datetime,
    grace: timedelta = timedelta(days=1),
    dry_run: bool = True,
) -> Iterator[Orphan]:
    """Go through the objects and unfinished uploads under `prefix`, and yield what is an orphan, after it was removed.

    Lazy: stops where the caller stops. What an error leaves is found by the next sweep. On a server of several
    databases or tenants, `prefix` has to be one that this database alone writes to.

    Raises:
        ValueError: `grace` is under `GRACE_MIN`, or `now` is naive.
        StorageError: as the store has it; also whatever `referenced` raises, before anything of that page is removed.
    """
    check_prefix(prefix)
    if grace < GRACE_MIN or now.tzinfo is None:
        raise ValueError(f"grace is at least {GRACE_MIN}, now is aware")
    return _sweep(store, prefix, referenced, now - grace, dry_run=dry_run)


def _sweep(store: ObjectStore, prefix: str, referenced: Referenced, before: datetime, *, dry_run: bool) -> Iterator[Orphan]:
    after = None
    while True:
        page = store.list(prefix, after, LIST_LIMIT)
        old = [entry for entry in page.objects if entry.modified_at < before]
        known = set(referenced([entry.key for entry in old])) if old else set()
        for entry in old:
            if entry.key not in known and (dry_run or _remove(store, entry, referenced)):
                yield Orphan("object", entry.key, "", entry.size_bytes, entry.modified_at, not dry_run)
        after = page.next_after
        if after is None:
            break
    for upload in store.pending(prefix):
        if upload.touched_at < before:
            yield _upload(store, upload, dry_run=dry_run)


def _remove(store: ObjectStore, entry: ObjectStat, referenced: Referenced) -> bool:
    """False if it is referenced or replaced by now, or gone already."""
    with suppress(ObjectNotFound):
        found = store.stat(entry.key)
        # S3 tells whole seconds in a stat and milliseconds in a listing.
        same = found.etag == entry.etag and abs(found.modified_at - entry.modified_at) < timedelta(seconds=1)
        if same and not referenced([entry.key]):
            store.delete(entry.key)
            return True
    return False


def _upload(store: ObjectStore, upload: PendingUpload, *, dry_run: bool) -> Orphan:
    if not dry_run:
        store.abort_multipart(upload.key, upload.upload_id)
    return Orphan("upload", upload.key, upload.upload_id, 0, upload.touched_at, not dry_run)
