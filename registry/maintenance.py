"""What `lineal-server check` and `lineal-server sweep` do beside a running server: they read records, and bytes."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from registry import migrate
from registry.catalog.blobs import known_keys
from registry.catalog.checking import CHECKS, Problem, blobs, snapshot
from registry.catalog.reports.sources import PREFIX
from registry.catalog.workspaces import list_workspaces
from registry.db.engine import Database, open_database
from registry.errors import Unavailable
from storage.errors import InvalidKey
from storage.keys import check_prefix
from storage.store import ObjectStore
from storage.sweep import Orphan, sweep

STATEMENT_TIMEOUT_S = 3600


def opened(url: str) -> Database:
    """An existing database of this version, to read from.

    Raises Unavailable: it is not there, or not at this version's schema.
    """
    database = open_database(url, statement_timeout_s=STATEMENT_TIMEOUT_S)
    if database.path is not None and not database.path.exists():
        raise Unavailable(f"there is no database {database.path}")
    if not migrate.is_current(database):
        raise Unavailable(f"{database} is not at this version's schema: run lineal-server migrate")
    return database


def check(database: Database, store: ObjectStore | None) -> Iterator[tuple[str, list[Problem]]]:
    """Each check's title and what it found; the bytes last, and only with a `store`.

    Raises StorageError: the store cannot be used.
    """
    for title, run in CHECKS.items():
        with snapshot(database) as session:
            yield title, list(run(session))
    if store is not None:
        store.check()  # or every blob would be said to be missing
        yield "bytes of blobs", _checked_blobs(database, store)


def _checked_blobs(database: Database, store: ObjectStore) -> list[Problem]:
    def read(fn: Callable[[Any], Any]) -> Any:
        with snapshot(database) as session:
            return fn(session)

    with _progress() as progress:
        bar = progress.add_task("bytes of blobs", total=read(blobs.total_bytes))
        return list(blobs.check(read, store, lambda count: progress.advance(bar, count)))


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on standard error, only where somebody sees it."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        yield progress


def orphans(database: Database, store: ObjectStore, *, grace: timedelta, delete: bool, now: datetime) -> Iterator[Orphan]:
    """Objects under the prefixes of the workspaces, and ours, that no record knows; removed first if `delete`.

    Raises StorageError, ValueError (`grace` is under ten minutes).
    """

    def referenced(keys: Any) -> set[str]:
        with snapshot(database) as session:
            return known_keys(session, {key: store.uri(key) for key in keys})

    with snapshot(database) as session:
        prefixes = [PREFIX, *(f"{name}/" for _, name, _ in list_workspaces(session))]
    for prefix in prefixes:
        with suppress(InvalidKey):  # no key can begin with this workspace's name, so there are no files of it
            yield from sweep(store, check_prefix(prefix), referenced, now=now, grace=grace, dry_run=not delete)
