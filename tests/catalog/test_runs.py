"""Experiments and runs: who sees them, what a write refuses, what deleting takes along."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from registry.catalog.actors import Actor
from registry.catalog.experiments import (
    create_experiment,
    find_experiment,
    get_experiment,
    get_or_create_experiment,
    list_experiments,
    set_experiment_lifecycle,
    update_experiment,
)
from registry.catalog.hot_runs import HOT_CREATE, create_at_once
from registry.catalog.pages import Search
from registry.catalog.run_creation import NewRun, create_run
from registry.catalog.run_lookup import find_runs
from registry.catalog.runs import Fields, Run, get_run, list_runs, set_run_lifecycle, update_run
from registry.catalog.workspaces import get_or_create_workspace
from registry.db.counting import count_statements
from registry.db.runner import Runner
from registry.errors import AlreadyExists, InvalidArgument, NotFound, NotPermitted, NotWritable, PreconditionFailed
from registry.names import Lifecycle, Role, Status, new_run_hex


def name() -> str:
    return f"experiment {new_run_hex()}"


@pytest.fixture
def stranger(runner: Runner, actor: Actor) -> Actor:
    """An administrator of another workspace."""
    made = runner.write(lambda session: get_or_create_workspace(session, "elsewhere", now=1))
    return dataclasses.replace(actor, workspace=made, workspace_name="elsewhere")


def new_experiment(runner: Runner, actor: Actor) -> int:
    return runner.write(lambda session: create_experiment(session, actor, name(), now=1)).id


def new_run(runner: Runner, actor: Actor, experiment: int | None = None) -> str:
    hex = new_run_hex()
    runner.write(lambda session: create_run(session, actor, now=1000, experiment=experiment, hex=hex))
    return hex


def test_names_compare_by_code_point(runner: Runner, actor: Actor) -> None:
    base = name()
    variants = [base + end for end in ("a", "A", "\u00e9", "e\u0301", "a ", "ß", "ss")]

    for variant in variants:
        runner.write(partial(create_experiment, actor=actor, name=variant, now=1))

    for variant in variants:
        found = runner.read(partial(find_experiment, actor=actor, name=variant))
        assert found is not None
        assert found.name == variant


def test_a_taken_name_is_refused_and_a_deleted_experiment_keeps_its_own(runner: Runner, actor: Actor) -> None:
    taken = name()
    made = runner.write(lambda session: create_experiment(session, actor, taken, now=1))
    runner.write(lambda session: set_experiment_lifecycle(session, actor, made.id, Lifecycle.DELETED, now=2))

    with pytest.raises(AlreadyExists):
        runner.write(lambda session: create_experiment(session, actor, taken, now=3))


def test_16_writers_who_get_or_create_one_experiment_get_the_same(runner: Runner, actor: Actor) -> None:
    wanted = name()

    def ask(_: int) -> int:
        return runner.write(lambda session: get_or_create_experiment(session, actor, wanted, now=1)).id

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(ask, range(48)))) == 1


def test_another_workspace_does_not_see_the_record_and_may_use_its_name(runner: Runner, actor: Actor, stranger: Actor) -> None:
    shared = name()
    made = runner.write(lambda session: create_experiment(session, actor, shared, now=1))
    run = new_run(runner, actor, made.id)

    for ask in (
        lambda session: get_experiment(session, stranger, made.id),
        lambda session: get_run(session, stranger, run),
        lambda session: create_run(session, stranger, now=1, experiment=made.id),
        lambda session: update_run(session, stranger, run, now=1, name="mine"),
    ):
        with pytest.raises(NotFound):
            runner.write(ask)
    other = runner.write(lambda session: create_experiment(session, stranger, shared, now=1))
    assert other.id != made.id


def test_an_update_with_a_stale_version_is_refused_and_changes_nothing(runner: Runner, actor: Actor) -> None:
    made = runner.write(lambda session: create_experiment(session, actor, name(), now=1))
    fresh = runner.write(
        lambda session: update_experiment(session, actor, made.id, now=2, description="new", expected_version=made.version)
    )

    with pytest.raises(PreconditionFailed):
        runner.write(
            lambda session: update_experiment(session, actor, made.id, now=3, description="stale", expected_version=made.version)
        )

    stored = runner.read(lambda session: get_experiment(session, actor, made.id))
    assert (stored.description, stored.version) == ("new", fresh.version)
    assert fresh.updated_at > made.updated_at


def test_deleting_an_experiment_takes_its_runs_along_and_restoring_brings_all_back(runner: Runner, actor: Actor) -> None:
    experiment = new_experiment(runner, actor)
    run = new_run(runner, actor, experiment)

    runner.write(lambda session: set_experiment_lifecycle(session, actor, experiment, Lifecycle.DELETED, now=2))
    deleted = runner.read(lambda session: get_run(session, actor, run))
    with pytest.raises(NotWritable):
        runner.write(lambda session: set_run_lifecycle(session, actor, run, Lifecycle.ACTIVE, now=3))
    with pytest.raises(NotWritable):
        new_run(runner, actor, experiment)
    runner.write(lambda session: set_experiment_lifecycle(session, actor, experiment, Lifecycle.ACTIVE, now=4))

    assert deleted.lifecycle is Lifecycle.DELETED
    assert runner.read(lambda session: get_run(session, actor, run)).lifecycle is Lifecycle.ACTIVE


def test_a_run_finishes_and_may_be_reopened(runner: Runner, actor: Actor) -> None:
    run = new_run(runner, actor)

    done = runner.write(lambda session: update_run(session, actor, run, now=5000, status=Status.SUCCEEDED))
    again = runner.write(lambda session: update_run(session, actor, run, now=6000, status=Status.RUNNING))

    assert (done.status, done.ended_at) == (Status.SUCCEEDED, 5000)
    assert (again.status, again.ended_at) == (Status.RUNNING, None)


def test_skipped_is_no_state_of_a_run(runner: Runner, actor: Actor) -> None:
    run = new_run(runner, actor)

    with pytest.raises(InvalidArgument):
        runner.write(lambda session: update_run(session, actor, run, now=1, status=Status.SKIPPED))


def test_a_deleted_run_is_read_and_not_written(runner: Runner, actor: Actor) -> None:
    run = new_run(runner, actor)
    runner.write(lambda session: set_run_lifecycle(session, actor, run, Lifecycle.DELETED, now=2))

    with pytest.raises(NotWritable):
        runner.write(lambda session: update_run(session, actor, run, now=3, name="x"))

    assert runner.read(lambda session: get_run(session, actor, run)).lifecycle is Lifecycle.DELETED


def test_runs_nest_and_an_id_that_is_taken_is_refused(runner: Runner, actor: Actor) -> None:
    parent = new_run(runner, actor)
    child = new_run_hex()
    runner.write(lambda session: create_run(session, actor, now=1, experiment=None, hex=child, parent=parent))

    with pytest.raises(AlreadyExists):
        runner.write(lambda session: create_run(session, actor, now=1, experiment=None, hex=child))

    assert runner.read(lambda session: get_run(session, actor, child)).parent == f"run_{parent}"


def test_a_page_of_runs_costs_the_same_statements_whatever_its_size_and_reads_only_what_is_asked(
    runner: Runner, actor: Actor
) -> None:
    experiment = new_experiment(runner, actor)
    hexes = [new_run(runner, actor, experiment) for _ in range(12)]

    def page(limit: int, fields: Fields) -> list[str]:
        search = Search(limit=limit)
        found = runner.read(lambda session: list_runs(session, actor, search, experiment=experiment, fields=fields))
        return [run.hex for run in found.records]

    with count_statements(runner.database) as two:
        assert page(2, Fields()) == hexes[:2]
    with count_statements(runner.database) as all_of_them:
        assert page(100, Fields()) == hexes
    with count_statements(runner.database) as bare:
        page(100, Fields(metrics=[], params=[], tags=[]))

    assert two.count == all_of_them.count == 4
    assert bare.count == 1


def test_a_page_of_experiments_costs_two_statements(runner: Runner, actor: Actor) -> None:
    for _ in range(3):
        new_experiment(runner, actor)

    with count_statements(runner.database) as counted:
        page = runner.read(lambda session: list_experiments(session, actor, Search(limit=3)).records)

    assert len(page) == 3
    assert counted.count == 2


def test_a_role_is_asked_for_by_name(actor: Actor) -> None:
    viewer = dataclasses.replace(actor, role=Role.VIEWER)

    with pytest.raises(NotPermitted, match="contributor"):
        viewer.require(Role.CONTRIBUTOR)
    actor.require(Role.ADMIN)


def test_hot_creates_share_what_they_write_and_give_each_its_own_answer(runner: Runner, actor: Actor, stranger: Actor) -> None:
    home, parent = new_experiment(runner, actor), new_run(runner, actor)
    wanted = [
        NewRun(actor, 1000, new_run_hex(), home, tags={"a": "1", "b": "2"}),
        NewRun(stranger, 1000, new_run_hex(), home),
        NewRun(actor, 1000, new_run_hex(), parent=new_run_hex()),
        NewRun(actor, 1000, new_run_hex(), name="x" * 513),
        NewRun(actor, 1000, new_run_hex(), parent=parent, tags={"a": "3"}),
    ]

    alone = runner._submit_group(HOT_CREATE, wanted[:2]).result()
    together = runner._submit_group(HOT_CREATE, wanted[2:]).result()

    assert [type(answer) for answer in (*alone, *together)] == [Run, NotFound, NotFound, InvalidArgument, Run]
    read = {run.hex: run for run in runner.read(lambda session: list_runs(session, actor, Search(limit=100))).records}
    assert read[wanted[0].hex] == alone[0]
    assert read[wanted[4].hex] == together[2]
    assert not {wanted[1].hex, wanted[2].hex, wanted[3].hex} & read.keys()


def test_a_hot_create_on_postgresql_is_one_statement_without_a_transaction(runner: Runner, actor: Actor) -> None:
    home = new_experiment(runner, actor)
    first, second = (NewRun(actor, 1000, new_run_hex(), home, tags={"hot": "1"}) for _ in range(2))
    runner._submit_group(HOT_CREATE, [first]).result()  # the tag's name is known from here

    with count_statements(runner.database) as counted:
        runner._submit_group(HOT_CREATE, [second]).result()

    if runner.database.dialect == "postgresql":
        assert counted.count == 1
    else:
        assert counted.count <= 6


def test_a_parent_is_held_until_its_child_is_there_which_takes_a_transaction(runner: Runner, actor: Actor) -> None:
    parent = new_run(runner, actor)
    wanted = [NewRun(actor, 1000, new_run_hex()), NewRun(actor, 1000, new_run_hex(), parent=parent)]

    assert runner.write(lambda session: create_at_once(session, wanted)) is None


@pytest.mark.parametrize("text", ['"', "{}", "a,b", "\\", "NULL", "%s", "'", ""])
def test_what_is_no_id_of_a_run_finds_none(runner: Runner, actor: Actor, text: str) -> None:
    there = new_run(runner, actor)

    found = runner.read(lambda session: find_runs(session, [(actor.workspace, text), (actor.workspace, there)]))

    assert found.keys() == {(actor.workspace, there)}


def test_a_hot_create_of_a_taken_id_is_refused_and_changes_nothing(runner: Runner, actor: Actor) -> None:
    taken = new_run(runner, actor)

    ended = runner._submit_group(HOT_CREATE, [NewRun(actor, 2000, taken, tags={"new": "1"})]).exception()

    assert isinstance(ended, AlreadyExists)
    assert runner.read(lambda session: get_run(session, actor, taken)).tags == {}
