"""Writers of a database server: one transaction per call, run again on deadlock, on a pool of threads."""

import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import sqlalchemy as sa

from registry.db.coalescing import Answers, HotKind
from registry.db.engine import ALONE, Database
from registry.db.failures import is_lost_connection, is_retryable, outcome_known, translated
from registry.db.session import Session
from registry.errors import Aborted, OutcomeUnknown, Unavailable

T = TypeVar("T")
ATTEMPTS = 6
"""Once, and five times again."""


class ServerWriter:
    """Commits each call by itself; deadlocks and serialisation failures are run again with jitter."""

    def __init__(self, database: Database, pool: ThreadPoolExecutor) -> None:
        self._database = database
        self._pool = pool
        self.commits = 0

    def submit(self, fn: Callable[[Session], T], *, replayable: bool = False) -> "Future[T]":
        return self._begin(lambda: self._run(fn, self._in_transaction, replayable))

    def submit_group(self, kind: HotKind[Any, T], items: Sequence[Any]) -> "Future[Answers[T]]":
        return self._begin(lambda: self._run_group(kind, items))

    def _begin(self, work: Callable[[], T]) -> "Future[T]":
        try:
            return self._pool.submit(work)
        except RuntimeError as error:  # the pool has been shut down
            raise Unavailable("the server is shutting down") from error

    def _run_group(self, kind: HotKind[Any, T], items: Sequence[Any]) -> "Answers[T]":
        answers = None
        if kind.at_once is not None and self._database.dialect == "postgresql":
            at_once = kind.at_once
            answers = self._run(lambda session: at_once(session, items), self._without_transaction, kind.replayable)
        if answers is None:
            answers = self._run(lambda session: kind.run_many(session, items), self._in_transaction, kind.replayable)
        return answers

    def close(self) -> None:
        """Nothing of its own to end: the pool is the runner's."""

    def _run(self, fn: Callable[[Session], T], once: Callable[[Callable[[Session], T]], T], replayable: bool) -> T:
        unknown: OutcomeUnknown | None = None  # once a commit may have been made, "nothing changed" is no answer any more
        for attempt in range(ATTEMPTS):
            try:
                return once(fn)
            except OutcomeUnknown as error:
                if not replayable:
                    raise
                unknown = error
            except sa.exc.SQLAlchemyError as error:
                failure = _final(error, last=attempt == ATTEMPTS - 1)
                if failure is not None:
                    raise (unknown if unknown is not None and isinstance(failure, Unavailable) else failure) from error
            time.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311  (jitter, not a secret)
        assert unknown is not None  # noqa: S101  (every other way out of the last attempt has raised)
        raise unknown

    def _in_transaction(self, fn: Callable[[Session], T]) -> T:
        with self._database.writer.connect() as connection:
            session = Session(connection)
            with connection.begin() as transaction:
                result = fn(session)
                self._commit(transaction)
        self.commits += 1
        session.committed()
        return result

    def _without_transaction(self, fn: Callable[[Session], T]) -> T:
        """Each statement commits by itself, and `fn` has only one that writes."""
        with self._database.writer.connect().execution_options(**{ALONE: True}) as connection:
            session = Session(connection)
            result = fn(session)
        self.commits += 1
        session.committed()
        return result

    def _commit(self, transaction: sa.RootTransaction) -> None:
        with outcome_known():
            transaction.commit()


def _final(error: sa.exc.SQLAlchemyError, *, last: bool) -> Exception | None:
    """What to raise for `error`; None if the call may be run again."""
    if is_lost_connection(error):
        return translated(error) if last else None
    if is_retryable(error):
        return Aborted(f"gave up after {ATTEMPTS} attempts: {error.__cause__ or error}") if last else None
    return translated(error)
