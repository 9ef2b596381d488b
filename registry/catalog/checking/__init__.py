"""`lineal-server check`: proves that what is stored twice agrees, and that nothing points at nothing.

Each check is a function `(session) -> Iterator[Problem]`, listed in `CHECKS`; a new one is one function and one entry there.
`blobs.check` stands apart: it reads the object store.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from registry.catalog.checking import audit, counters, dangling, derived, metrics, properties, uniqueness
from registry.catalog.checking.problem import Problem
from registry.db.engine import Database
from registry.db.failures import translated
from registry.db.session import Session

CHECKS: dict[str, Callable[[Session], Iterator[Problem]]] = {
    "dangling rows": dangling.check,
    "properties against their index": properties.check,
    "latest against points": metrics.check,
    "prefixes, locations and fragments": derived.check,
    "counters": counters.check,
    "names and targets": uniqueness.check,
    "audit chain": audit.check,
}

__all__ = ["CHECKS", "Problem", "check_all", "snapshot"]


def check_all(session: Session) -> Iterator[Problem]:
    """Every problem of every check."""
    for check in CHECKS.values():
        yield from check(session)


@contextmanager
def snapshot(database: Database) -> Iterator[Session]:
    """A session that sees the store as it is at its first statement, whatever is written meanwhile.

    The runner's reads see every commit, so two statements of one check could disagree about a row that is changed between them.
    """
    engine = database.reader if database.is_sqlite else database.reader.execution_options(isolation_level="REPEATABLE READ")
    try:
        with engine.connect() as connection:
            yield Session(connection)
    except sa.exc.SQLAlchemyError as error:
        raise translated(error) from error
