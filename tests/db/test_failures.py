"""What callers are told when the database fails, and what is run again."""

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from registry.db.engine import Database, open_database
from registry.db.runner import Runner
from registry.db.session import Session
from registry.errors import Aborted, DatabaseFull, OutcomeUnknown, StatementTimeout, Unavailable
from registry.tables.graph import names
from tests.databases import sqlite_url, started

SLOW = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
    "postgresql": "SELECT pg_sleep(20)",
    "mariadb": "SELECT SLEEP(20)",
}


def word() -> str:
    return secrets.token_hex(8)


def adds(session: Session, name: str) -> None:
    session.insert(names, {"id": session.next_id("name"), "name": name})


def count(runner: Runner, *wanted: str) -> int:
    return int(runner.read(lambda session: session.scalar(sa.select(sa.func.count()).where(names.c.name.in_(wanted)))))


def cut(session: Session, database: Database) -> None:
    """The server ends this session's connection, as it does when it is stopped."""
    own = session.scalar(sa.text("SELECT pg_backend_pid()" if session.dialect == "postgresql" else "SELECT CONNECTION_ID()"))
    kill = f"SELECT pg_terminate_backend({own})" if session.dialect == "postgresql" else f"KILL {own}"
    with database.writer.connect() as other:
        other.exec_driver_sql(kill)
    time.sleep(0.1)


def address(runner: Runner) -> str:
    return runner.database.url.render_as_string(hide_password=False)


@pytest.fixture(scope="module", params=["postgres_dsn", "mariadb_dsn"])
def server(request: pytest.FixtureRequest) -> Iterator[Runner]:
    """Where a connection can be lost; SQLite has none."""
    with started(str(request.getfixturevalue(request.param))) as made:
        yield made


def times(runner: Runner, name: str, lose: Callable[[Session, int], None], *, replayable: bool = False) -> int:
    """Write `name`, losing the connection as `lose(session, attempt)` says; how often the function ran."""
    attempts = 0

    def add(session: Session) -> None:
        nonlocal attempts
        attempts += 1
        adds(session, name)
        lose(session, attempts)

    runner.write(add, replayable=replayable)
    return attempts


def test_a_connection_lost_before_the_commit_is_run_again(server: Runner) -> None:
    name = word()

    def lose(session: Session, attempt: int) -> None:
        if attempt == 1:
            cut(session, server.database)
            session.scalar(sa.text("SELECT 1"))

    assert times(server, name, lose) == 2
    assert count(server, name) == 1


def test_a_connection_lost_during_the_commit_leaves_the_outcome_unknown(server: Runner) -> None:
    attempts: list[int] = []

    def lose(session: Session, attempt: int) -> None:
        attempts.append(attempt)
        cut(session, server.database)

    with pytest.raises(OutcomeUnknown):
        times(server, word(), lose)

    assert attempts == [1]


def test_a_replayable_call_is_run_again_after_an_unknown_outcome(server: Runner) -> None:
    name = word()

    def lose(session: Session, attempt: int) -> None:
        if attempt == 1:
            cut(session, server.database)

    assert times(server, name, lose, replayable=True) == 2
    assert count(server, name) == 1


def test_a_replayable_call_whose_outcome_stays_unknown_does_not_claim_that_nothing_changed(server: Runner) -> None:
    with pytest.raises(OutcomeUnknown):
        times(server, word(), lambda session, _attempt: cut(session, server.database), replayable=True)


def test_a_read_on_a_connection_that_died_in_the_pool_is_run_again(server: Runner) -> None:
    with started(address(server)) as runner:
        pid = "SELECT pg_backend_pid()" if runner.database.dialect == "postgresql" else "SELECT CONNECTION_ID()"
        kill = "SELECT pg_terminate_backend({})" if runner.database.dialect == "postgresql" else "KILL {}"
        idle = runner.read(lambda session: session.scalar(sa.text(pid)))
        other = open_database(address(server))
        with other.writer.connect() as connection:
            connection.exec_driver_sql(kill.format(idle))
        other.close()
        time.sleep(0.1)

        found = runner.read(lambda session: session.scalar(sa.text(pid)))

        assert found != idle


def test_a_lock_that_is_never_given_up_ends_in_aborted(server: Runner) -> None:
    with started(address(server)) as runner:
        name = word()
        runner.write(lambda session: adds(session, name))
        attempts: list[None] = []

        def impatient(session: Session) -> None:
            attempts.append(None)
            patience = "SET LOCAL lock_timeout = 20" if session.dialect == "postgresql" else "SET innodb_lock_wait_timeout = 0"
            session.execute(sa.text(patience))
            session.execute(sa.update(names).where(names.c.name == name).values(name=word()))

        with runner.database.writer.connect() as holder:
            holder.execute(sa.select(names.c.id).where(names.c.name == name).with_for_update())
            with pytest.raises(Aborted, match="6 attempts"):
                runner.write(impatient)

        assert len(attempts) == 6
        assert count(runner, name) == 1


@pytest.mark.parametrize(
    "read",
    [lambda session, text: session.scalar(sa.text(text)), lambda session, text: session.rows(text, {})],
    ids=["scalar", "rows"],
)
def test_a_slow_statement_is_stopped_and_the_connection_serves_on(runner: Runner, read: Callable[[Session, str], object]) -> None:
    runner = Runner(open_database(address(runner), statement_timeout_s=0.3))
    began = time.monotonic()

    with pytest.raises(StatementTimeout):
        runner.read(lambda session: read(session, SLOW[session.dialect]))

    assert time.monotonic() - began < 10
    assert count(runner, word()) == 0
    runner.close()


def test_wrong_sql_is_our_fault_and_not_called_unavailable(runner: Runner) -> None:
    with pytest.raises(sa.exc.DBAPIError):
        runner.read(lambda session: session.scalar(sa.text("SELECT no_such_column FROM names")))


def test_a_server_that_does_not_answer_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        open_database("mysql://someone:secret@127.0.0.1:1/none")
    runner = Runner(open_database("postgresql://someone:secret@127.0.0.1:1/none"))
    with pytest.raises(Unavailable) as refused:
        runner.write(lambda session: session.scalar(sa.text("SELECT 1")))
    assert "secret" not in str(refused.value)
    runner.close()


def test_a_full_disk_fails_the_whole_group_and_the_writer_goes_on(tmp_path: Path) -> None:
    with started(sqlite_url(tmp_path)) as runner:
        kept, lost, later = word(), word(), word()
        runner.write(lambda session: adds(session, kept))
        gate = threading.Event()
        pages = runner.read(lambda session: session.scalar(sa.text("PRAGMA page_count")))

        def limit(session: Session, most: int) -> None:
            session.execute(sa.text(f"PRAGMA max_page_count = {most}"))

        def fill(session: Session) -> None:
            session.insert(names, [{"id": id, "name": f"{id:0>500}"} for id in session.next_ids("name", 3000)])

        runner.write(lambda session: limit(session, pages))
        holding = runner._submit(lambda _session: gate.wait(10), replayable=False)
        answers = [runner._submit(fn, replayable=False) for fn in (lambda session: adds(session, lost), fill)]
        gate.set()
        holding.exception(10)  # of the same group, or of one before it

        with pytest.raises(DatabaseFull, match="full"):
            answers[1].result(10)
        told = answers[0].exception(10)
        runner.write(lambda session: limit(session, 1_000_000))
        runner.write(lambda session: adds(session, later))

        assert count(runner, lost) == (0 if told else 1)
        assert count(runner, kept, later) == 2


def test_nobody_else_gets_the_writer_connection_while_a_group_runs(tmp_path: Path) -> None:
    """Giving it back rolls back, which would take the group's changes with it."""
    with started(sqlite_url(tmp_path)) as runner:
        inside, gate, name = threading.Event(), threading.Event(), word()

        def slow(session: Session) -> None:
            adds(session, name)
            inside.set()
            gate.wait(10)

        writing = runner._submit(slow, replayable=False)
        inside.wait(10)
        intruder = threading.Thread(target=lambda: runner.database.writer.connect().close())
        intruder.start()
        intruder.join(0.2)
        waited = intruder.is_alive()
        gate.set()
        writing.result(10)
        intruder.join(10)

        assert waited
        assert count(runner, name) == 1
