"""Stored fragments of final runs: a valid one saves statements, a stale one is never shown."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.fragments import SETTLED_MS, Built, RunRead, keep_fragments, read_run
from registry.catalog.merging import adopt_kfp_run
from registry.catalog.metrics import Batch, Point, log_many
from registry.catalog.run_creation import create_run
from registry.catalog.runs import delete_run_tag, get_run, update_run
from registry.db.counting import count_statements
from registry.db.runner import Runner
from registry.db.session import Session
from registry.names import FragmentKind, Origin, Status, new_run_hex
from registry.tables.graph import contexts
from registry.tables.runs import fragments
from tests.catalog.reporting import apply, new_uid, owned, report, task

KIND = FragmentKind.RUN_VALUES_JSON
ENDED = 1000
LATER = ENDED + SETTLED_MS


def log(runner: Runner, actor: Actor, hex: str, tag: str) -> None:
    batch = Batch(actor.workspace, hex, [Point("m", 1.0, 1)], {"p": "1"}, {"t": tag})
    assert runner.write(lambda session: log_many(session, [batch])) == [None]


def finish(runner: Runner, actor: Actor, hex: str, *, now: int = ENDED) -> None:
    runner.write(lambda session: update_run(session, actor, hex, now=now, status=Status.SUCCEEDED))


@pytest.fixture
def run(runner: Runner, actor: Actor) -> str:
    """The hex of a final run with a metric, a param and a tag."""
    hex = new_run_hex()
    runner.write(lambda session: create_run(session, actor, now=1, experiment=None, hex=hex))
    log(runner, actor, hex, "old")
    finish(runner, actor, hex)
    return hex


def read(runner: Runner, actor: Actor, hex: str, *, now: int = LATER) -> RunRead:
    return runner.read(lambda session: read_run(session, actor, hex, KIND, now=now))


def keep(runner: Runner, found: RunRead, body: bytes = b"{}") -> bool:
    built = Built(found.run.id, found.run.version, body)
    return runner.write(lambda session: keep_fragments(session, KIND, [built])) == 1


def test_a_valid_fragment_is_read_in_one_statement_and_spares_three(runner: Runner, actor: Actor, run: str) -> None:
    with count_statements(runner.database) as without:
        first = read(runner, actor, run)
    kept = keep(runner, first, b'{"x":1}')

    with count_statements(runner.database) as counted:
        again = read(runner, actor, run)

    assert kept
    assert (first.fragment, again.fragment) == (None, b'{"x":1}')
    assert (without.count, counted.count) == (4, 1)
    assert (again.run.hex, again.run.version, again.run.tags, again.may_keep) == (run, first.run.version, {}, False)


CHANGES: dict[str, Callable[[Session, Actor, str], object]] = {
    "a metric": lambda session, actor, run: log_many(session, [Batch(actor.workspace, run, [Point("m", 2.0, 2)])]),
    "a param": lambda session, actor, run: log_many(session, [Batch(actor.workspace, run, (), {"q": "2"})]),
    "a tag": lambda session, actor, run: log_many(session, [Batch(actor.workspace, run, (), {}, {"t": "new"})]),
    "a tag that goes": lambda session, actor, run: delete_run_tag(session, actor, run, "t"),
    "a name": lambda session, actor, run: update_run(session, actor, run, now=LATER, name="other"),
    "the state": lambda session, actor, run: update_run(session, actor, run, now=LATER, status=Status.RUNNING),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_a_final_run_makes_its_fragment_stale(runner: Runner, actor: Actor, run: str, change: str) -> None:
    keep(runner, read(runner, actor, run))
    assert read(runner, actor, run).fragment == b"{}"

    runner.write(lambda session: CHANGES[change](session, actor, run))

    found = read(runner, actor, run)
    assert found.fragment is None
    assert found.run == runner.read(lambda session: get_run(session, actor, run))


def test_a_stale_fragment_is_replaced(runner: Runner, actor: Actor, run: str) -> None:
    keep(runner, read(runner, actor, run), b'"old"')
    log(runner, actor, run, "new")

    stale = read(runner, actor, run)
    keep(runner, stale, b'"new"')

    assert (stale.fragment, stale.run.tags) == (None, {"t": "new"})
    assert read(runner, actor, run).fragment == b'"new"'


def test_a_fragment_of_what_has_changed_meanwhile_is_not_stored(runner: Runner, actor: Actor, run: str) -> None:
    found = read(runner, actor, run)
    log(runner, actor, run, "new")

    kept = keep(runner, found)

    assert not kept
    assert runner.read(lambda session: session.scalars(sa.select(fragments.c.node).where(fragments.c.node == found.run.id))) == []


def test_only_a_run_that_has_been_final_for_a_minute_may_have_one(runner: Runner, actor: Actor, run: str) -> None:
    at_once, after = read(runner, actor, run, now=LATER - 1), read(runner, actor, run)
    finish(runner, actor, run, now=LATER)
    again = read(runner, actor, run, now=LATER)
    runner.write(lambda session: update_run(session, actor, run, now=LATER, status=Status.RUNNING))
    reopened = read(runner, actor, run, now=LATER * 9)

    assert [found.may_keep for found in (at_once, after, again, reopened)] == [False, True, False, False]


def test_a_run_that_was_born_final_may_have_one(runner: Runner, actor: Actor) -> None:
    hex = new_run_hex()
    runner.write(lambda session: create_run(session, actor, now=ENDED, experiment=None, hex=hex, status=Status.FAILED))

    assert read(runner, actor, hex).may_keep


def test_logging_to_an_unfinished_run_leaves_its_version(runner: Runner, actor: Actor, run: str) -> None:
    runner.write(lambda session: update_run(session, actor, run, now=LATER, status=Status.RUNNING))
    before = read(runner, actor, run).run.version

    log(runner, actor, run, "while it runs")

    assert read(runner, actor, run).run.version == before


def test_a_report_of_an_owned_job_makes_the_fragment_of_its_owners_run_stale(runner: Runner, actor: Actor) -> None:
    uid = new_uid()
    apply(runner, actor, report(uid, 1, task("a"), state="COMPLETE"))
    hex = uid.replace("-", "")
    keep(runner, read(runner, actor, hex, now=10**12))
    assert read(runner, actor, hex).fragment is not None

    apply(runner, actor, owned("Job", "job", new_uid(), ("Workflow", uid), task("step", metrics={"m/acc": 0.5})))

    found = read(runner, actor, hex)
    assert found.fragment is None
    assert list(found.run.metrics) != []


def test_a_merge_leaves_no_fragment_of_either_run(runner: Runner, actor: Actor) -> None:
    uid = new_uid()
    apply(runner, actor, report(uid, 1, task("a"), state="COMPLETE"))
    born, key = new_run_hex(), uid.replace("-", "")
    values = {"status": Status.SUCCEEDED, "origin": Origin.MLFLOW}
    runner.write(lambda session: create_run(session, actor, now=1, experiment=None, hex=born, **values))
    both = [read(runner, actor, hex, now=10**12) for hex in (born, key)]
    assert [keep(runner, found) for found in both] == [True, True]

    runner.write(lambda session: adopt_kfp_run(session, actor, born, uid, now=LATER))

    ids = [found.run.id for found in both]
    assert runner.read(lambda session: session.scalars(sa.select(fragments.c.node).where(fragments.c.node.in_(ids)))) == []
    assert read(runner, actor, key).run.hex == born  # the id that the other run had goes on answering
    assert len(runner.read(lambda session: session.scalars(sa.select(contexts.c.id).where(contexts.c.id.in_(ids))))) == 1
