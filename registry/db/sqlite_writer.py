"""SQLite's only writer: a thread that commits waiting calls in groups, one flush for all of them."""

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa

from registry.db.coalescing import Answers, HotKind
from registry.db.engine import Database
from registry.db.failures import translated
from registry.db.ids import Counter
from registry.db.session import Session
from registry.errors import Unavailable

T = TypeVar("T")
MAX_GROUP = 64


@dataclass
class _Call:
    fn: Callable[[Session], Any]
    future: "Future[Any]"


class SqliteWriter:
    """Takes up to 64 waiting calls at a time. A call that fails rolls back alone."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queue: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._counter = Counter()
        self._door = threading.Lock()
        self._closed = False
        self.commits = 0  # groups committed so far; tests and /metrics read it
        self._thread = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)
        self._thread.start()

    def submit(self, fn: Callable[[Session], T], *, replayable: bool = False) -> "Future[T]":
        """A cancelled future leaves the queue; `replayable` matters to database servers only."""
        future: Future[T] = Future()
        with self._door:  # nothing may queue behind the end
            if self._closed:
                raise Unavailable("the server is shutting down")
            self._queue.put(_Call(fn, future))
        return future

    def submit_group(self, kind: HotKind[Any, T], items: Sequence[Any]) -> "Future[Answers[T]]":
        return self.submit(lambda session: kind.run_many(session, items))

    def close(self) -> None:
        """What has queued is written first. Idempotent."""
        with self._door:
            if not self._closed:
                self._queue.put(None)
            self._closed = True
        self._thread.join()

    def _run(self) -> None:
        closing = False
        while not closing:
            calls: list[_Call] = []
            waiting = self._queue.get()
            while waiting is not None:
                if waiting.future.set_running_or_notify_cancel():
                    calls.append(waiting)
                if len(calls) == MAX_GROUP or self._queue.empty():
                    break
                waiting = self._queue.get()
            closing = waiting is None
            if calls:
                self._commit(calls)

    def _commit(self, calls: list[_Call]) -> None:
        """Run the group and answer; if the group's own transaction fails nobody's change is there."""
        answers: list[tuple[_Call, Session, Any]] = []
        try:
            with self._database.writer.connect() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                try:
                    for call in calls:
                        self._run_one(connection, call, answers, alone=len(calls) == 1)
                    self._counter.save(connection)
                    connection.exec_driver_sql("COMMIT")
                    self.commits += 1
                except BaseException:
                    self._counter = Counter()  # the marks in the file did not move
                    _roll_back(connection)
                    raise
        except BaseException as error:  # noqa: BLE001  (the thread must live; the callers get the error)
            failure = translated(error) if isinstance(error, sa.exc.SQLAlchemyError) else error
            for call in calls:
                if not call.future.done():
                    call.future.set_exception(failure)
            return
        for call, session, result in answers:
            session.committed()
            call.future.set_result(result)

    def _run_one(self, connection: sa.Connection, call: _Call, answers: list[tuple[_Call, Session, Any]], *, alone: bool) -> None:
        session = Session(connection, self._counter)
        if not alone:
            connection.exec_driver_sql("SAVEPOINT one")
        try:
            result = call.fn(session)
        except Exception as error:
            if alone or not _in_transaction(connection):
                raise
            connection.exec_driver_sql("ROLLBACK TO one")
            connection.exec_driver_sql("RELEASE one")
            call.future.set_exception(translated(error) if isinstance(error, sa.exc.SQLAlchemyError) else error)
            return
        if not alone:
            connection.exec_driver_sql("RELEASE one")
        answers.append((call, session, result))


def _in_transaction(connection: sa.Connection) -> bool:
    """False once SQLite has ended the whole transaction by itself (disk full, I/O error)."""
    return bool(connection.connection.driver_connection.in_transaction)  # type: ignore[union-attr]


def _roll_back(connection: sa.Connection) -> None:
    try:
        connection.exec_driver_sql("ROLLBACK")
    except sa.exc.SQLAlchemyError:
        connection.invalidate()  # SQLite has rolled back by itself, or the connection is of no more use
