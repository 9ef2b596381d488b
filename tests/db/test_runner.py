"""What the runner promises: one commit per group on SQLite, a failed call alone, answers after the commit, retries."""

import asyncio
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from registry.db.coalescing import HotKind
from registry.db.ids import NODE_LIMIT, next_ids
from registry.db.runner import Runner
from registry.db.session import Session
from registry.errors import Exhausted, InvalidArgument, NotFound, OutcomeUnknown, RegistryError, Unavailable
from registry.tables.graph import names
from tests.databases import sqlite_url, started


def word() -> str:
    return secrets.token_hex(8)


def adds(name: str) -> Callable[[Session], int]:
    def add(session: Session) -> int:
        made = session.next_id("name")
        session.insert(names, {"id": made, "name": name})
        return made

    return add


def fails(session: Session) -> int:
    adds(word())(session)
    raise NotFound("thing", 7)


def stored(runner: Runner, *wanted: str) -> int:
    return int(runner.read(lambda session: session.scalar(sa.select(sa.func.count()).where(names.c.name.in_(wanted)))))


def test_64_concurrent_writes_on_sqlite_make_at_most_16_commits_and_one_failing_call_fails_alone(tmp_path: Path) -> None:
    with started(sqlite_url(tmp_path)) as runner:
        wanted = [word() for _ in range(63)]
        before = runner.commits

        async def all_at_once() -> list[object]:
            calls = [runner.awrite(adds(name)) for name in wanted]
            calls.insert(30, runner.awrite(fails))
            return list(await asyncio.gather(*calls, return_exceptions=True))

        answers = asyncio.run(all_at_once())

        assert [type(answer) for answer in answers].count(NotFound) == 1
        assert isinstance(answers[30], NotFound)
        assert stored(runner, *wanted) == 63
        assert runner.commits - before <= 16
        assert runner.read(lambda session: session.scalar(sa.select(sa.func.count()).select_from(names))) == 63


def test_a_call_that_is_cut_off_while_it_waits_leaves_nothing(tmp_path: Path) -> None:
    with started(sqlite_url(tmp_path)) as runner:
        gate = threading.Event()
        cut, kept = word(), word()

        async def cut_off() -> None:
            holding = asyncio.create_task(runner.awrite(lambda _session: gate.wait(10)))
            await asyncio.sleep(0.05)
            waiting = asyncio.create_task(runner.awrite(adds(cut)))
            await asyncio.sleep(0.05)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            gate.set()
            await holding
            await runner.awrite(adds(kept))

        asyncio.run(cut_off())

        assert stored(runner, cut) == 0
        assert stored(runner, kept) == 1


def test_a_call_that_has_begun_is_waited_for_however_often_it_is_cancelled(tmp_path: Path) -> None:
    with started(sqlite_url(tmp_path)) as runner:
        inside, gate, name = threading.Event(), threading.Event(), word()

        def slow(session: Session) -> None:
            adds(name)(session)
            inside.set()
            gate.wait(10)

        async def impatient() -> int:
            writing = asyncio.create_task(runner.awrite(slow))
            await asyncio.to_thread(inside.wait, 10)
            for _ in range(3):
                writing.cancel()
                await asyncio.sleep(0.02)
            still_waiting = not writing.done()
            gate.set()
            with pytest.raises(asyncio.CancelledError):
                await writing
            assert still_waiting
            return stored(runner, name)  # its commit is over once the caller is let go

        assert asyncio.run(impatient()) == 1


def test_a_hot_call_leaves_the_queue_when_cancelled_or_is_waited_for_once_its_group_has_begun(tmp_path: Path) -> None:
    with started(sqlite_url(tmp_path)) as runner:
        inside, gate = threading.Event(), threading.Event()
        begun, waiting, kept = word(), word(), word()

        def run_many(session: Session, items: Sequence[str]) -> list[int | RegistryError]:
            written: list[int | RegistryError] = [adds(item)(session) for item in items]
            inside.set()
            gate.wait(10)
            return written

        kind: HotKind[str, int] = HotKind("slow", run_many)

        async def impatient() -> tuple[bool, int]:
            first = asyncio.create_task(runner.agroup(kind, begun))
            await asyncio.to_thread(inside.wait, 10)
            second, third = (asyncio.create_task(runner.agroup(kind, item)) for item in (waiting, kept))
            await asyncio.sleep(0.02)
            first.cancel()
            second.cancel()
            await asyncio.sleep(0.02)
            seen = first.done(), second.done()
            gate.set()
            answers = await asyncio.gather(first, second, third, return_exceptions=True)
            assert seen == (False, True)
            return isinstance(answers[0], asyncio.CancelledError), stored(runner, begun, kept)

        assert asyncio.run(impatient()) == (True, 2)
        assert stored(runner, waiting) == 0


def test_a_group_that_fails_as_a_whole_is_run_again_one_by_one(runner: Runner) -> None:
    bad, good = word(), [word() for _ in range(5)]
    runs: list[int] = []

    def run_many(session: Session, items: Sequence[str]) -> list[int | RegistryError]:
        runs.append(len(items))
        if bad in items:
            raise ValueError(bad)
        return [adds(item)(session) for item in items]

    kind: HotKind[str, int] = HotKind("sinking", run_many)

    async def all_at_once() -> list[object]:
        return list(
            await asyncio.gather(*(runner.agroup(kind, item) for item in [good[0], bad, *good[1:]]), return_exceptions=True)
        )

    answers = asyncio.run(all_at_once())

    assert isinstance(answers[1], ValueError)
    assert stored(runner, *good) == 5
    assert runs == [1, 5, 1, 1, 1, 1, 1]  # the first did not wait for company


def test_a_group_of_which_nobody_knows_whether_it_was_committed_is_not_run_again(tmp_path: Path) -> None:
    runs: list[int] = []

    def run_many(_session: Session, items: Sequence[str]) -> list[int | RegistryError]:
        runs.append(len(items))
        if "lost" in items:
            raise OutcomeUnknown("the connection was lost")
        return [0 for _ in items]

    kind: HotKind[str, int] = HotKind("lost", run_many, replayable=False)

    async def all_at_once(runner: Runner) -> list[object]:
        calls = [runner.agroup(kind, item) for item in ["first", "lost", "other"]]
        return list(await asyncio.gather(*calls, return_exceptions=True))

    with started(sqlite_url(tmp_path)) as runner:
        answers = asyncio.run(all_at_once(runner))

    assert [type(answer) for answer in answers] == [int, OutcomeUnknown, OutcomeUnknown]
    assert runs == [1, 2]


def test_after_close_a_call_is_refused_and_none_hangs(tmp_path: Path) -> None:
    with started(sqlite_url(tmp_path)) as runner:
        pass

    with pytest.raises(Unavailable, match="shutting down"):
        runner.write(adds(word()))
    with pytest.raises(Unavailable, match="shutting down"):
        asyncio.run(runner.aread(lambda _session: None))


def test_a_failed_call_in_a_group_gives_its_ids_to_nobody_else(tmp_path: Path) -> None:
    with started(sqlite_url(tmp_path)) as runner:
        seen: list[int] = []

        def draw_and_fail(session: Session) -> None:
            seen.append(session.next_id("context"))
            raise InvalidArgument("no")

        gate = threading.Event()
        holding = runner._submit(lambda _session: gate.wait(10), replayable=False)
        failing = runner._submit(draw_and_fail, replayable=False)
        drawing = runner._submit(lambda session: session.next_id("context"), replayable=False)
        gate.set()
        holding.result(10)

        assert isinstance(failing.exception(10), InvalidArgument)
        assert drawing.result(10) == seen[0] + 1


def test_a_failed_call_changes_nothing(runner: Runner) -> None:
    name = word()

    def add_and_fail(session: Session) -> None:
        adds(name)(session)
        raise InvalidArgument("no")

    with pytest.raises(InvalidArgument):
        runner.write(add_and_fail)

    assert stored(runner, name) == 0


def test_a_hot_item_that_fails_does_not_sink_its_group_and_the_others_share_a_transaction(runner: Runner) -> None:
    def run_many(session: Session, items: Sequence[str]) -> list[int | RegistryError]:
        return [InvalidArgument("bad") if item == "bad" else adds(item)(session) for item in items]

    kind: HotKind[str, int] = HotKind("test", run_many)
    wanted = [word() for _ in range(15)]
    before = runner.commits

    async def all_at_once() -> list[object]:
        return list(await asyncio.gather(*(runner.agroup(kind, item) for item in [*wanted, "bad"]), return_exceptions=True))

    answers = asyncio.run(all_at_once())

    assert isinstance(answers[-1], InvalidArgument)
    assert stored(runner, *wanted) == 15
    assert runner.commits - before <= 2


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    with started(sqlite_url(tmp_path)) as runner, pytest.raises(Unavailable, match="readonly"):
        runner.read(lambda session: session.insert(names, {"id": 1, "name": "x"}))


def test_reads_on_threads_of_others_take_turns_and_none_begins_that_nobody_wants(runner: Runner) -> None:
    turns, at_once, most = runner.database.turns, 0, 0
    lock, met = threading.Lock(), threading.Event()

    def read(_session: Session) -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
            if at_once == turns:
                met.set()
        met.wait(30)
        time.sleep(0.05)  # in which one more would come in
        with lock:
            at_once -= 1

    with ThreadPoolExecutor(3 * turns) as pool:
        for done in [pool.submit(runner.read_here, read) for _ in range(3 * turns)]:
            done.result()
    assert most == turns
    with pytest.raises(CancelledError):
        runner.read_here(read, wanted=lambda: False)


def test_deadlocks_do_not_reach_the_caller(runner: Runner) -> None:
    first, second = word(), word()
    one, two = runner.write(adds(first)), runner.write(adds(second))
    meet = threading.Barrier(2)
    waited: set[int] = set()

    def crossing(here: int, there: int) -> Callable[[Session], None]:
        def change(session: Session) -> None:
            session.execute(sa.update(names).where(names.c.id == here).values(name=word()))
            if here not in waited and session.dialect != "sqlite":  # one writer cannot wait for itself
                waited.add(here)
                meet.wait(10)
            session.execute(sa.update(names).where(names.c.id == there).values(name=word()))

        return change

    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(runner.write, crossing(one, two)), pool.submit(runner.write, crossing(two, one))]
        for call in calls:
            call.result(30)

    assert stored(runner, first, second) == 0


def test_ids_are_unique_and_ascending_per_call_under_16_writers(runner: Runner) -> None:
    def draw(_: int) -> list[list[int]]:
        return [list(runner.write(lambda session: next_ids(session, "event", 3))) for _ in range(10)]

    with ThreadPoolExecutor(16) as pool:
        drawn = [ids for calls in pool.map(draw, range(16)) for ids in calls]

    flat = [id for ids in drawn for id in ids]
    assert len(flat) == len(set(flat)) == 480
    assert all(ids == sorted(ids) for ids in drawn)


def test_the_first_type_of_a_user_is_10_and_the_first_node_is_1(tmp_path: Path) -> None:
    with started(sqlite_url(tmp_path)) as runner:
        assert runner.write(lambda session: (session.next_id("type"), session.next_id("context"))) == (10, 1)


def test_ids_go_on_after_a_restart(tmp_path: Path) -> None:
    with started(sqlite_url(tmp_path)) as runner:
        last = runner.write(lambda session: session.next_ids("context", 5))[-1]

    with started(sqlite_url(tmp_path)) as runner:
        assert runner.write(lambda session: session.next_id("context")) == last + 1


def test_node_ids_end_at_the_highest_that_clients_take(tmp_path: Path) -> None:
    with started(sqlite_url(tmp_path)) as runner:
        runner.write(lambda session: session.execute(sa.text("UPDATE id_marks SET high = :high"), {"high": NODE_LIMIT - 1}))
    with started(sqlite_url(tmp_path)) as runner:
        assert runner.write(lambda session: session.next_id("artifact")) == NODE_LIMIT
        with pytest.raises(Exhausted):
            runner.write(lambda session: session.next_id("artifact"))


def test_what_postgresql_has_prepared_outlasts_the_read(postgres_dsn: str) -> None:
    with started(postgres_dsn) as runner:
        for _ in range(9):
            runner.read(lambda session: session.scalar(sa.select(names.c.id).where(names.c.name == "x")))

        prepared = runner.read(lambda session: session.scalar(sa.text("SELECT count(*) FROM pg_prepared_statements")))

    assert prepared > 0
