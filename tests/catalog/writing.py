"""What may happen in between what a hot write reads and what it writes: on PostgreSQL these are two statements."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import event

from registry.db.runner import Runner


@contextmanager
def before_the_write(runner: Runner, act: Callable[[], object]) -> Iterator[None]:
    """`act`, once, before the statement that writes contexts is sent."""
    acted: list[int] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "INTO contexts" in statement and not acted:
            acted.append(1)
            act()

    event.listen(runner.database.writer, "before_cursor_execute", note)
    try:
        yield
    finally:
        event.remove(runner.database.writer, "before_cursor_execute", note)
    assert acted


def end_the_others(runner: Runner) -> None:
    """End all connections to PostgreSQL but one."""
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    with runner.database.reader.connect() as connection:
        connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
