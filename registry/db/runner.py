"""Runs catalog functions in transactions: `read(fn)` and `write(fn)`, blocking or from the event loop.

A function may be run more than once (deadlocks, lost connections), so it does nothing but SQL. The answer is given after the
commit. SQLite: one writer thread takes what has queued, runs each call in a savepoint, commits the group, then answers all
(`sqlite_writer.py`). Database servers: one transaction per call on a pool of threads (`server_writer.py`).
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any, TypeVar

import sqlalchemy as sa

from registry.db.coalescing import Answers, Coalescer, HotKind, outlasting_cancellation
from registry.db.engine import ALONE, Database
from registry.db.failures import is_lost_connection, translated
from registry.db.server_writer import ServerWriter
from registry.db.session import Session
from registry.db.sqlite_writer import SqliteWriter
from registry.errors import Unavailable

T = TypeVar("T")
READ_ATTEMPTS = 3
"""Connections are not probed before use, which would be a round trip more for every call."""


class Runner:
    """One per process. `close` waits for what has begun and refuses what has not."""

    def __init__(self, database: Database, *, readers: int = 8) -> None:
        self.database = database
        self._pool = ThreadPoolExecutor(readers, thread_name_prefix="sql")
        self._writer: SqliteWriter | ServerWriter
        self._writer = SqliteWriter(database) if database.is_sqlite else ServerWriter(database, self._pool)
        self._coalescers: dict[str, Coalescer[Any, Any]] = {}
        self._turns = threading.BoundedSemaphore(database.turns)
        self._closed = False

    def read(self, fn: Callable[[Session], T]) -> T:
        """Run on a reading connection (SQLite: one snapshot); again where the connection had died in the pool.

        Raises:
            Unavailable: the database cannot be used.
            StatementTimeout: a statement took too long.
        """
        for attempt in range(READ_ATTEMPTS):
            try:
                with self.database.reader.connect().execution_options(**{ALONE: True}) as connection:
                    found = fn(Session(connection))
                    if self.database.dialect == "postgresql":  # ends what `Session.begin` began: psycopg forgets on a rollback
                        connection.commit()  # all that the server has prepared for it
                    return found
            except sa.exc.SQLAlchemyError as error:
                if attempt == READ_ATTEMPTS - 1 or not is_lost_connection(error):
                    raise translated(error) from error
        raise AssertionError  # the last attempt returns or raises

    def write(self, fn: Callable[[Session], T], *, replayable: bool = False) -> T:
        """Run in a write transaction and return after its commit.

        `replayable`: running again after a commit whose outcome is unknown does no harm.

        Raises:
            Aborted: five deadlocks or serialisation failures.
            OutcomeUnknown: the connection was lost during COMMIT.
            Unavailable: the database cannot be used; nothing changed.
        """
        return self._submit(fn, replayable=replayable).result()

    def begin_write(self, fn: Callable[[Session], T]) -> "Future[T]":
        """Like `write`, for a thread that does something before it waits. Cancelled before it has begun it never runs."""
        return self._submit(fn, replayable=False)

    def read_here(self, fn: Callable[[Session], T], *, wanted: Callable[[], bool] = lambda: True) -> T:
        """Like `read`, on the caller's thread, of which there may be many: so many at once as connections are kept for.

        Raises CancelledError: it is not `wanted` any more when its turn has come. Otherwise as `read`.
        """
        if self._closed:
            raise Unavailable("the server is shutting down")
        with self._turns:
            if not wanted():
                raise CancelledError
            return self.read(fn)

    async def aread(self, fn: Callable[[Session], T]) -> T:
        if self._closed:
            raise Unavailable("the server is shutting down")
        return await asyncio.get_running_loop().run_in_executor(self._pool, self.read, fn)

    async def awrite(self, fn: Callable[[Session], T], *, replayable: bool = False) -> T:
        """Like `write`. A caller that is cancelled leaves the queue, or is waited for once its call has begun."""
        future = self._submit(fn, replayable=replayable)
        waiter = asyncio.wrap_future(future)
        try:
            return await asyncio.shield(waiter)
        except asyncio.CancelledError:
            if not future.cancel():  # it has begun and may commit
                await outlasting_cancellation(waiter)
            raise

    async def agroup(self, kind: HotKind[Any, T], item: Any) -> T:
        """Run `item` together with what else of this kind is waiting, in one transaction."""
        coalescer = self._coalescers.get(kind.name)
        if coalescer is None:
            coalescer = self._coalescers[kind.name] = Coalescer(kind, lambda items: self._submit_group(kind, items))
        result: T = await coalescer.run(item)
        return result

    @property
    def commits(self) -> int:
        """Transactions committed by this process so far."""
        return self._writer.commits

    def _submit(self, fn: Callable[[Session], T], *, replayable: bool) -> "Future[T]":
        if self._closed:
            raise Unavailable("the server is shutting down")
        return self._writer.submit(fn, replayable=replayable)

    def _submit_group(self, kind: HotKind[Any, T], items: Sequence[Any]) -> "Future[Answers[T]]":
        if self._closed:
            raise Unavailable("the server is shutting down")
        return self._writer.submit_group(kind, items)

    def close(self) -> None:
        self._closed = True
        self._writer.close()
        self._pool.shutdown(wait=True)
        self.database.close()
