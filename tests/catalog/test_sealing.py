"""The audit chain: what the sealer appends, and which damages a walk over it finds."""

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.outbox import KEEP_MS, record, trim_outbox
from registry.catalog.sealing import GENESIS, seal, unsealed, verify
from registry.catalog.workspaces import get_or_create_workspace
from registry.db.counting import count_statements
from registry.db.runner import Runner
from registry.db.session import Session
from registry.tables.service import audit_events, audit_seals, outbox, workspaces
from tests.catalog.registering import some_name


@pytest.fixture
def auditor(runner: Runner, actor: Actor) -> Actor:
    """In a workspace whose chain is empty."""
    name = some_name("workspace")
    made = runner.write(lambda session: get_or_create_workspace(session, name, now=1))
    return dataclasses.replace(actor, workspace=made, workspace_name=name)


def note(runner: Runner, actor: Actor, events: int) -> None:
    for number in range(events):
        runner.write(partial(record, actor=actor, action="thing.done", object_id=f"thing_{number}", now=number, after={"é": 1}))


def test_an_empty_chain_is_sound(runner: Runner, auditor: Actor) -> None:
    verdict = runner.read(lambda session: verify(session, auditor.workspace))

    assert (verdict.problems, verdict.seals, verdict.head, verdict.unsealed) == ((), 0, GENESIS, 0)


def test_events_wait_until_they_are_sealed_and_are_sealed_once(runner: Runner, auditor: Actor) -> None:
    note(runner, auditor, 3)
    waiting = runner.read(lambda session: verify(session, auditor.workspace))

    runner.write(seal)
    note(runner, auditor, 2)
    runner.write(seal)
    again = runner.write(seal)

    verdict = runner.read(lambda session: verify(session, auditor.workspace))
    assert (waiting.problems, waiting.seals, waiting.unsealed) == ((), 0, 3)
    assert (verdict.problems, verdict.seals, verdict.unsealed) == ((), 5, 0)
    assert again == 0


def test_messages_of_more_than_a_week_ago_are_trimmed_and_their_events_stay(runner: Runner, auditor: Actor) -> None:
    note(runner, auditor, 3)  # at 0, 1 and 2 ms

    runner.write(lambda session: trim_outbox(session, now=KEEP_MS + 1))

    here = (outbox.c.workspace == auditor.workspace,)
    kept = runner.read(lambda session: session.scalars(sa.select(outbox.c.created_at).where(*here).order_by(outbox.c.id)))
    assert kept == [1, 2]
    assert runner.read(lambda session: unsealed(session, auditor.workspace)) == 3


def test_writers_and_sealers_at_the_same_time_leave_a_sound_chain(runner: Runner, auditor: Actor) -> None:
    def work(number: int) -> None:
        for _ in range(5):
            note(runner, auditor, 4)
            if number % 4 == 0:
                runner.write(seal)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))
    runner.write(seal)

    verdict = runner.read(lambda session: verify(session, auditor.workspace))
    assert (verdict.problems, verdict.seals, verdict.unsealed) == ((), 320, 0)


def _of(auditor: Actor, seq: int) -> "sa.ScalarSelect[int]":
    here = (audit_seals.c.workspace == auditor.workspace, audit_seals.c.seq == seq)
    return sa.select(audit_seals.c.event).where(*here).scalar_subquery()


def _event(auditor: Actor, seq: int) -> sa.ColumnElement[bool]:
    return audit_events.c.id == _of(auditor, seq)


def _seal(auditor: Actor, seq: int) -> sa.ColumnElement[bool]:
    return (audit_seals.c.workspace == auditor.workspace) & (audit_seals.c.seq == seq)


Damage = Callable[[Actor], sa.Executable]
DAMAGES: dict[str, Damage] = {
    "an event's actor": lambda auditor: sa.update(audit_events).where(_event(auditor, 2)).values(actor="somebody else"),
    "an event's time": lambda auditor: sa.update(audit_events).where(_event(auditor, 2)).values(at=77),
    "an event's MAC": lambda auditor: sa.update(audit_events).where(_event(auditor, 2)).values(mac="0" * 64),
    "a removed event": lambda auditor: sa.delete(audit_events).where(_event(auditor, 2)),
    "an event moved to another workspace": lambda auditor: (
        sa.update(audit_events).where(_event(auditor, 2)).values(workspace=auditor.workspace + 1000)
    ),
    "a removed seal": lambda auditor: sa.delete(audit_seals).where(_seal(auditor, 2)),
    "a seal's hash": lambda auditor: sa.update(audit_seals).where(_seal(auditor, 2)).values(hash="0" * 64),
    "a seal's link": lambda auditor: sa.update(audit_seals).where(_seal(auditor, 1)).values(prev_hash="1" * 64),
    "a seal's place": lambda auditor: sa.update(audit_seals).where(_seal(auditor, 3)).values(seq=9),
}


@pytest.mark.parametrize("damage", list(DAMAGES))
def test_a_damage_is_found(runner: Runner, auditor: Actor, damage: str) -> None:
    note(runner, auditor, 3)
    runner.write(seal)
    sound = runner.read(lambda session: verify(session, auditor.workspace))

    runner.write(partial(Session.execute, statement=DAMAGES[damage](auditor)))

    assert sound.problems == ()
    assert runner.read(lambda session: verify(session, auditor.workspace)).problems != ()


def test_what_the_sealer_reads_does_not_grow_with_the_log(runner: Runner, auditor: Actor) -> None:
    note(runner, auditor, 3)
    while runner.write(seal):
        pass

    with count_statements(runner.database) as idle:
        runner.write(seal)
    note(runner, auditor, 1)
    with count_statements(runner.database) as busy:
        sealed = runner.write(seal)

    assert [text.count("audit_") for text in idle.statements] == [idle.statements[0].count("audit_waiting")]
    assert sealed == 1
    assert not [text for text in busy.statements if "NOT (EXISTS" in text]


def test_an_event_that_commits_after_later_ones_were_sealed_is_sealed_next(runner: Runner, auditor: Actor) -> None:
    """On a database server: ids are drawn in one order and committed in another."""
    if runner.database.is_sqlite:
        return  # one writer: commits are in the order of ids
    with runner.database.writer.connect() as slow:
        record(Session(slow), auditor, "slow.thing", "thing_0", now=1)
        note(runner, auditor, 2)
        before = runner.write(seal)
        slow.commit()

    after = runner.write(seal)

    verdict = runner.read(lambda session: verify(session, auditor.workspace))
    assert (before, after) == (2, 1)
    assert (verdict.problems, verdict.seals, verdict.unsealed) == ((), 3, 0)


def test_a_chain_that_another_sealer_is_at_is_left_to_it_and_others_are_sealed(runner: Runner, auditor: Actor) -> None:
    if runner.database.is_sqlite:
        return  # its writer thread is the only sealer
    note(runner, auditor, 2)
    with runner.database.writer.connect() as other:
        Session(other).lock(workspaces, [auditor.workspace])
        skipped = runner.write(seal)
        other.rollback()

    assert (skipped, runner.write(seal)) == (0, 2)


def test_seals_cut_off_the_end_show_as_another_head_and_events_that_lost_them(runner: Runner, auditor: Actor) -> None:
    note(runner, auditor, 3)
    runner.write(seal)
    before = runner.read(lambda session: verify(session, auditor.workspace))

    runner.write(lambda session: session.execute(sa.delete(audit_seals).where(_seal(auditor, 3))))

    after = runner.read(lambda session: verify(session, auditor.workspace))
    assert (before.seals, after.seals, after.unsealed) == (3, 2, 0)
    assert after.head != before.head
    assert [problem.partition(" has ")[2] for problem in after.problems] == ["lost its seal"]
