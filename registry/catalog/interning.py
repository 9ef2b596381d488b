"""Names of metrics, params, tags and properties as small integers: one row per name for all workspaces, never changed.

Rows only grow, so a process may cache them; a new one is cached after the transaction that made it has committed.
"""

from collections.abc import Iterable, Mapping
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from registry.db.session import Session
from registry.tables.graph import names as table

_LIMIT = 200_000  # names; beyond that the cache starts anew
_caches: WeakKeyDictionary[sa.Engine, dict[str, int]] = WeakKeyDictionary()


def _cache(session: Session) -> dict[str, int]:
    """The cache of the session's database: its engine's, so that two databases in one process do not mix."""
    return _caches.setdefault(session.connection.engine, {})


def find_names(session: Session, names: Iterable[str]) -> dict[str, int]:
    """The ids of those names that are known; others are left out."""
    cache = _cache(session)
    wanted = set(names)
    missing = sorted(name for name in wanted if name not in cache)
    found = {name: cache[name] for name in wanted if name in cache}
    if missing:
        rows = session.all(sa.select(table.c.name, table.c.id).where(table.c.name.in_(missing)))
        fresh = {row.name: row.id for row in rows}
        found.update(fresh)
        _remember(session, cache, fresh)
    return found


def intern_names(session: Session, names: Iterable[str]) -> dict[str, int]:
    """The ids of all names; those not known are made."""
    wanted = set(names)
    found = find_names(session, wanted)
    missing = sorted(wanted - found.keys())
    if missing:
        ids = session.next_ids("name", len(missing))
        fresh = dict(zip(missing, ids, strict=True))
        rows = [{"id": id, "name": name} for name, id in fresh.items()]
        if session.insert_ignore(table, rows) != len(rows):  # somebody else made one of them at the same time
            rows_now = session.all(sa.select(table.c.name, table.c.id).where(table.c.name.in_(missing)))
            fresh = {row.name: row.id for row in rows_now}
        found.update(fresh)
        cache = _cache(session)
        session.after_commit(lambda: _store(cache, fresh))
    return found


def _remember(session: Session, cache: dict[str, int], fresh: Mapping[str, int]) -> None:
    # A writer on SQLite may read a name that an earlier call of its group has made and that is not committed yet.
    if session.counter is None:
        _store(cache, fresh)
    else:
        session.after_commit(lambda: _store(cache, fresh))


def _store(cache: dict[str, int], fresh: Mapping[str, int]) -> None:
    if len(cache) + len(fresh) > _LIMIT:
        cache.clear()
    cache.update(fresh)
