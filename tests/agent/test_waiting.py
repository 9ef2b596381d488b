"""Reports that wait: the newest of each object, in memory or on disk, and nothing is lost."""

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.delivery.outgoing import Outgoing
from agent.delivery.state import AgentState, InUse
from agent.delivery.waiting import Limits, Waiting
from agent.watching.change import Seen


@pytest.fixture
def state(tmp_path: Path) -> Iterator[AgentState]:
    made = state_in(tmp_path)
    yield made
    made.close()


def state_in(folder: Path, server: str = "http://server", cluster: str = "") -> AgentState:
    return AgentState(folder, server=server, cluster=cluster)


class Made:
    """Makes reports and counts which of them were settled."""

    def __init__(self) -> None:
        self.settled: list[str] = []

    def __call__(self, uid: str, text: str, *lasting: str, gone: bool = False) -> Outgoing:
        report = f'"{text}"'.encode()
        said = Outgoing(
            "Workflow", uid, uid, "ns", report, None, frozenset(lasting), gone, settle=lambda: self.settled.append(text)
        )
        return said


@pytest.fixture
def made() -> Made:
    return Made()


def run(scenario: Callable[[], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        return await asyncio.wait_for(scenario(), 60)

    return asyncio.run(bounded())


async def all_of(waiting: Waiting, number: int) -> list[str]:
    """The texts of the next ones, each delivered."""
    found = []
    for _ in range(number):
        one = await waiting.take()
        found.append(one.report.decode().strip('"'))
        await waiting.done(one)
    return found


@pytest.mark.parametrize("away", [False, True])
def test_the_newest_takes_the_place_of_an_older_one(state: AgentState, made: Made, away: bool) -> None:
    async def scenario() -> list[str]:
        waiting = Waiting(state)
        if away:
            await waiting.server_is_away()
        for one in (made("a", "a1"), made("b", "b1"), made("a", "a2"), made("a", "a3")):
            await waiting.put(one)
        return await all_of(waiting, 2)

    assert run(scenario) == ["a3", "b1"]
    assert sorted(made.settled) == ["a1", "a2", "a3", "b1"]


@pytest.mark.parametrize("away", [False, True])
def test_one_that_says_what_the_newer_does_not_is_kept(state: AgentState, made: Made, away: bool) -> None:
    async def scenario() -> list[str]:
        waiting = Waiting(state)
        if away:
            await waiting.server_is_away()
        for one in (made("a", "a1", "x", "y"), made("a", "a2", "x"), made("a", "a3", "x", "z"), made("a", "a4")):
            await waiting.put(one)
        return await all_of(waiting, 3)

    assert run(scenario) == ["a1", "a3", "a4"]


def test_that_an_object_is_gone_takes_the_place_of_no_report(state: AgentState, made: Made) -> None:
    async def scenario() -> list[str]:
        waiting = Waiting(state)
        for one in (made("a", "last state"), made("a", "gone", gone=True), made("a", "gone too", gone=True)):
            await waiting.put(one)
        return await all_of(waiting, 2)

    assert run(scenario) == ["last state", "gone too"]


def test_of_one_object_one_report_is_under_way_at_a_time(state: AgentState, made: Made) -> None:
    async def scenario() -> tuple[list[str], bool]:
        waiting = Waiting(state)
        await waiting.put(made("a", "a1", "x"))
        under_way = await waiting.take()
        await waiting.put(made("a", "a2"))
        await waiting.put(made("b", "b1"))
        others = await all_of(waiting, 1)
        next_one = asyncio.ensure_future(waiting.take())
        await asyncio.sleep(0.02)
        waited = not next_one.done()
        await waiting.done(under_way)
        return [*others, (await next_one).report.decode().strip('"')], waited

    assert run(scenario) == (["b1", "a2"], True)


def test_a_full_queue_makes_the_next_wait_and_loses_nothing(state: AgentState, made: Made) -> None:
    async def scenario() -> tuple[bool, list[str]]:
        waiting = Waiting(state, Limits(reports=2))
        await waiting.put(made("a", "a1"))
        await waiting.put(made("b", "b1"))
        third = asyncio.ensure_future(waiting.put(made("c", "c1")))
        await waiting.put(made("a", "a2"))  # takes a place that is there
        await asyncio.sleep(0.02)
        waited = not third.done()
        found = await all_of(waiting, 3)
        await third
        return waited, found

    assert run(scenario) == (True, ["a2", "b1", "c1"])


def test_a_full_disk_limit_makes_the_next_wait_and_loses_nothing(state: AgentState, made: Made) -> None:
    async def scenario() -> tuple[bool, list[str]]:
        waiting = Waiting(state, Limits(disk_bytes=10))
        await waiting.server_is_away()
        await waiting.put(made("a", "a1"))
        second = asyncio.ensure_future(waiting.put(made("b", "b1")))
        await asyncio.sleep(0.02)
        waited = not second.done()
        await waiting.server_is_back()
        return waited, await all_of(waiting, 2)

    assert run(scenario) == (True, ["a1", "b1"])


def test_what_is_in_memory_when_the_server_goes_away_is_safe_on_disk(state: AgentState, made: Made) -> None:
    async def scenario() -> list[str]:
        waiting = Waiting(state)
        await waiting.put(made("a", "a1"))
        before = list(made.settled)
        await waiting.server_is_away()
        return before

    assert run(scenario) == []
    assert made.settled == ["a1"]
    assert state.spooled_bytes > 0


def test_one_that_was_not_delivered_waits_behind_the_others(state: AgentState, made: Made) -> None:
    async def scenario() -> list[str]:
        waiting = Waiting(state)
        await waiting.put(made("a", "a1", "x"))
        await waiting.put(made("b", "b1"))
        one = await waiting.take()
        await waiting.put(made("a", "a2"))
        await waiting.give_back(one)
        return await all_of(waiting, 3)

    assert run(scenario) == ["b1", "a1", "a2"]


def test_the_spool_survives_a_restart_in_its_order(tmp_path: Path, made: Made) -> None:
    async def before() -> None:
        waiting = Waiting(first)
        await waiting.server_is_away()
        for one in (made("a", "a1", "x"), made("b", "b1"), made("a", "a2")):
            await waiting.put(one)
        await waiting.take()  # under way when the process dies

    async def after() -> list[str]:
        return await all_of(Waiting(again), 3)

    first = state_in(tmp_path)
    run(before)
    first._db.close()  # as a kill leaves it
    first._lock.close()
    again = state_in(tmp_path)

    assert run(after) == ["a1", "a2", "b1"]
    assert again.spooled_bytes == 0
    again.close()


def test_a_report_that_the_disk_has_spoilt_is_told_and_the_rest_goes_on(tmp_path: Path, made: Made) -> None:
    spoilt: list[str] = []
    state = state_in(tmp_path)

    async def scenario() -> list[str]:
        waiting = Waiting(state, spoilt=spoilt.append)
        await waiting.server_is_away()
        await waiting.put(made("a", "a1"))
        await waiting.put(made("b", "b1"))
        with sqlite3.connect(tmp_path / "agent.db") as disk:
            disk.execute("UPDATE spool SET report = (SELECT report FROM spool WHERE uid = 'b') WHERE uid = 'a'")
        return await all_of(waiting, 1)

    assert run(scenario) == ["b1"]
    assert spoilt == ["Workflow"]
    state.close()


def test_who_waits_for_the_end_is_told_when_the_last_report_is_spoilt(tmp_path: Path, made: Made) -> None:
    state = state_in(tmp_path)
    [seq] = state.append([(made("a", "a1"), None)])
    state._db.execute("UPDATE spool SET checksum = checksum + 1 WHERE seq = ?", (seq,))
    state._db.commit()

    async def scenario() -> None:
        waiting = Waiting(state)
        emptied = asyncio.create_task(waiting.emptied())
        await asyncio.sleep(0)
        taking = asyncio.create_task(waiting.take())
        await asyncio.wait_for(emptied, 30)
        taking.cancel()

    run(scenario)
    state.close()


def test_what_a_full_disk_has_not_taken_does_not_count(tmp_path: Path, made: Made) -> None:
    state = state_in(tmp_path)
    state.append([(made("a", "a1"), None)])
    before = state.spooled_bytes
    pages = state._db.execute("PRAGMA page_count").fetchone()[0]
    state._db.execute(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(sqlite3.OperationalError):
        state.append([(made(str(number), os.urandom(20_000).hex()), None) for number in range(20)])

    assert state.spooled_bytes == before
    assert [uid for _, _, uid, _ in state.spooled()] == ["a"]
    state.close()


def test_a_file_that_is_damaged_is_set_aside_and_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "agent.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)

    state = state_in(tmp_path)

    assert list(state.spooled()) == []
    assert len(list(tmp_path.glob("agent.damaged-*"))) == 1
    state.close()


def test_a_folder_belongs_to_one_process(tmp_path: Path) -> None:
    state = state_in(tmp_path)

    with pytest.raises(InUse, match="another agent"):
        state_in(tmp_path)

    state.close()


def test_positions_and_objects_are_kept_together(tmp_path: Path) -> None:
    state = state_in(tmp_path)
    state.remember("Workflow", Seen("u1", "w1", "a", "5"))
    state.remember("Workflow", Seen("u2", "w2", "b", "6"))
    state.remember("Trial", Seen("u3", "t", "a", "6"))
    state.checkpoint({("Workflow", None): "6"})
    state.forget("Workflow", "u1")
    state.checkpoint({("Workflow", None): "7"})
    state.close()

    state = state_in(tmp_path)

    assert state.position("Workflow", None) == "7"
    assert state.position("Workflow", "a") is None
    assert list(state.known("Workflow", None)) == ["u2"]
    assert list(state.known("Workflow", "a")) == []
    assert list(state.known("Trial", "a")) == ["u3"]
    state.close()


def test_an_object_is_known_before_it_is_sent(tmp_path: Path) -> None:
    """A process that dies after the report has arrived and before its next checkpoint still asks what became of it."""
    state = state_in(tmp_path)
    state.remember("Workflow", Seen("u", "w", "a", "5"))
    state._db.close()
    state._lock.close()

    state = state_in(tmp_path)

    assert list(state.known("Workflow", None)) == ["u"]
    state.close()


@pytest.mark.parametrize(("server", "cluster"), [("http://other", ""), ("http://server", "west")])
def test_for_another_server_or_cluster_everything_is_told_anew(tmp_path: Path, server: str, cluster: str) -> None:
    state = state_in(tmp_path)
    state.remember("Workflow", Seen("u", "w", "a", "5"))
    state.checkpoint({("Workflow", None): "5"})
    state.close()

    state = state_in(tmp_path, server, cluster)

    assert state.position("Workflow", None) is None
    assert state.known("Workflow", None) == {}
    state.close()


def test_depth_and_age_are_known_by_kind(state: AgentState, made: Made) -> None:
    async def scenario() -> tuple[int, float | None]:
        waiting = Waiting(state)
        await waiting.put(made("a", "a1"))
        await waiting.put(made("b", "b1"))
        await waiting.take()
        depth = waiting.depths()["Workflow"]
        return depth.reports, depth.oldest_at

    reports, oldest_at = run(scenario)

    assert reports == 2
    assert oldest_at is not None
