"""Where the runner opens a transaction and where not, and what a lost connection means in either."""

from collections.abc import Sequence
from functools import partial

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from registry.db.coalescing import HotKind
from registry.db.runner import Runner
from registry.db.session import Session
from registry.errors import OutcomeUnknown, RegistryError


def test_a_hot_kind_without_a_transaction_is_for_postgresql_and_what_it_leaves_is_done_with_care(runner: Runner) -> None:
    ways: list[str] = []

    def at_once(_session: Session, items: Sequence[str]) -> list[int | RegistryError] | None:
        ways.append("at once")
        return None if "careful" in items else [7 for _ in items]

    def run_many(_session: Session, items: Sequence[str]) -> list[int | RegistryError]:
        ways.append("with care")
        return [7 for _ in items]

    kind: HotKind[str, int] = HotKind("two ways", run_many, at_once=at_once)

    runner._submit_group(kind, ["quick"]).result(10)
    runner._submit_group(kind, ["quick", "careful"]).result(10)

    is_postgresql = runner.database.dialect == "postgresql"
    assert ways == (["at once", "at once", "with care"] if is_postgresql else ["with care", "with care"])


@pytest.mark.parametrize(
    ("place", "replayable"), [("reading", True), ("reading", False), ("changing", True), ("changing", False)]
)
def test_without_a_transaction_a_connection_lost_while_changing_leaves_the_outcome_unknown(
    runner: Runner, place: str, replayable: bool
) -> None:
    if runner.database.dialect != "postgresql":
        return  # has transactions only
    attempts: list[str] = []
    ending = "SELECT pg_terminate_backend(pg_backend_pid())"

    def at_once(session: Session, items: Sequence[str]) -> list[int | RegistryError]:
        attempts.append(place)
        if len(attempts) == 1 and place == "reading":
            session.scalar(sa.text(ending))
        session.change(ending if len(attempts) == 1 else "SELECT 1")
        return [7 for _ in items]

    kind: HotKind[str, int] = HotKind("lost", lambda _session, items: [0 for _ in items], replayable=replayable, at_once=at_once)
    ended = runner._submit_group(kind, ["quick"]).exception(10)

    if place == "changing" and not replayable:
        assert isinstance(ended, OutcomeUnknown)
        assert len(attempts) == 1
    else:
        assert ended is None
        assert len(attempts) == 2


def test_within_a_transaction_a_connection_lost_while_changing_means_that_nothing_changed(runner: Runner) -> None:
    if runner.database.dialect != "postgresql":
        return  # no other has the statement that ends a connection from within
    attempts: list[int] = []

    def change(session: Session) -> int:
        attempts.append(1)
        session.change("SELECT pg_terminate_backend(pg_backend_pid())" if len(attempts) == 1 else "SELECT 1")
        return len(attempts)

    assert runner.write(change, replayable=False) == 2


def test_a_read_on_postgresql_has_a_transaction_only_where_it_asks_for_one(runner: Runner) -> None:
    begun: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        begun.extend([statement] if statement == "BEGIN" else [])

    def read(session: Session, *, asks: bool) -> int:
        if asks:
            session.begin()
            session.begin()
        return int(session.scalar(sa.text("SELECT 7")))

    event.listen(runner.database.reader, "before_cursor_execute", note)
    try:
        plain = runner.read(partial(read, asks=False)), len(begun)
        asking = runner.read(partial(read, asks=True)), len(begun)
    finally:
        event.remove(runner.database.reader, "before_cursor_execute", note)

    assert (plain, asking) == ((7, 0), (7, 1 if runner.database.dialect == "postgresql" else 0))
