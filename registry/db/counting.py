"""Counting statements: what tests assert and a benchmark prints."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from registry.db.engine import Database


class StatementCount:
    """The texts of the statements so far, without BEGIN, SAVEPOINT and COMMIT."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    @property
    def count(self) -> int:
        return len(self.statements)


_TRANSACTION_WORDS = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")


@contextmanager
def count_statements(database: Database, *, reads_only: bool = False) -> Iterator[StatementCount]:
    """What both engines of the database execute inside the block, in all threads; `reads_only`: what SQLite's readers do."""
    counted = StatementCount()

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if not statement.startswith(_TRANSACTION_WORDS):
            counted.statements.append(statement)

    engines = {
        id(engine): engine for engine in ((database.reader,) if reads_only else (database.writer, database.reader))
    }.values()
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    try:
        yield counted
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)
