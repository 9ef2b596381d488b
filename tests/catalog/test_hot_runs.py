"""Runs made in one pass: each is what it would have been alone, and each call has its own answer."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.experiments import create_experiment, set_experiment_lifecycle
from registry.catalog.hot_runs import HOT_CREATE
from registry.catalog.run_creation import NewRun, create_run
from registry.catalog.runs import get_run
from registry.db.ids import NODE_LIMIT
from registry.db.runner import Runner
from registry.errors import Exhausted, NotFound, NotWritable, OutcomeUnknown
from registry.names import Author, Lifecycle, Origin, Status, new_run_hex
from registry.tables.graph import contexts
from registry.tables.runs import runs
from tests.catalog.registering import some_name
from tests.catalog.writing import before_the_write, end_the_others


def grouped(runner: Runner, *wanted: NewRun) -> list[Any]:
    """As the doors make them, in one group."""
    return runner._submit_group(HOT_CREATE, wanted).result(30)


def new_experiment(runner: Runner, actor: Actor, location: str | None = None) -> int:
    made = runner.write(lambda session: create_experiment(session, actor, some_name("home"), now=1, artifact_location=location))
    return made.id


def test_each_of_a_group_is_what_a_read_of_it_gives(runner: Runner, actor: Actor) -> None:
    plain, located = new_experiment(runner, actor), new_experiment(runner, actor, "s3://b/there//")
    agent, mlflow = replace(actor, author=Author.AGENT), Origin.MLFLOW
    wanted = [
        NewRun(actor, 5, new_run_hex(), plain, tags={"z": "1", "a": '"é\\", {}'}),
        NewRun(actor, 6, new_run_hex(), located, name="NULL", user_name="ada", status=Status.SUCCEEDED, started_at=3),
        NewRun(actor, 7, new_run_hex(), plain, parent_text="no run's id", origin=mlflow),
        NewRun(agent, 8, new_run_hex(), located, tags={"a": "agent's"}, status=None, origin=mlflow),
        NewRun(actor, 9, new_run_hex(), status=Status.PENDING),
    ]

    made = grouped(runner, *wanted)

    assert made == [runner.read(partial(get_run, actor=actor, hex=new.hex)) for new in wanted]
    assert [one.hex for one in made] == [new.hex for new in wanted]
    assert [one.artifact_root.replace(one.hex, "<hex>") for one in made] == [
        "default/runs/<hex>/artifacts",
        "default/runs/<hex>/artifacts",
        f"default/{plain}/<hex>/artifacts",
        "s3://b/there/<hex>/artifacts",
        "default/runs/<hex>/artifacts",
    ]


def test_rows_are_those_that_one_made_with_care_has(runner: Runner, actor: Actor) -> None:
    home = new_experiment(runner, actor)
    hot, careful = new_run_hex(), new_run_hex()
    fields: dict[str, Any] = {"name": "n", "user_name": "u", "tags": {"a": "b"}, "status": Status.FAILED, "started_at": 3}

    grouped(runner, NewRun(actor, 5, hot, home, **fields))
    runner.write(lambda session: create_run(session, actor, now=5, experiment=home, hex=careful, **fields))

    def rows(hex: str) -> list[dict[str, Any]]:
        run = runner.read(lambda session: session.all(sa.select(runs).where(runs.c.hex == hex)))[0]
        node = runner.read(lambda session: session.all(sa.select(contexts).where(contexts.c.id == run.id)))[0]
        shown = [{key: str(value).replace(hex, "<hex>") for key, value in row._asdict().items()} for row in (run, node)]
        return [row | {"id": ""} for row in shown]

    assert rows(hot) == rows(careful)


def test_a_bad_call_of_a_group_fails_alone(runner: Runner, actor: Actor) -> None:
    home, gone = new_experiment(runner, actor), new_experiment(runner, actor)
    runner.write(lambda session: set_experiment_lifecycle(session, actor, gone, Lifecycle.DELETED, now=2))
    stranger = replace(actor, workspace=actor.workspace + 1)
    wanted = [
        NewRun(actor, 5, new_run_hex(), gone),
        NewRun(actor, 5, new_run_hex(), home),
        NewRun(stranger, 5, new_run_hex(), home, tags={"a": "b"}),
        NewRun(actor, 5, new_run_hex(), 999_999),
        NewRun(actor, 5, new_run_hex(), home),
    ]

    answers = grouped(runner, *wanted)

    assert [type(answer) for answer in (answers[0], answers[2], answers[3])] == [NotWritable, NotFound, NotFound]
    assert [answers[index].hex for index in (1, 4)] == [wanted[index].hex for index in (1, 4)]
    there = sa.select(runs.c.hex).where(runs.c.hex.in_([new.hex for new in wanted]))
    assert set(runner.read(lambda session: session.scalars(there))) == {wanted[1].hex, wanted[4].hex}


def test_a_taken_id_sinks_its_group_which_then_runs_one_by_one(runner: Runner, actor: Actor) -> None:
    taken = NewRun(actor, 5, new_run_hex())
    grouped(runner, taken)
    other = NewRun(actor, 5, new_run_hex())

    with pytest.raises(sa.exc.IntegrityError):
        grouped(runner, other, taken)

    assert grouped(runner, other)[0].hex == other.hex


def test_a_connection_lost_while_a_run_is_written_leaves_all_of_it_or_nothing(runner: Runner, actor: Actor) -> None:
    if runner.database.dialect != "postgresql":
        return  # no other writes outside of a transaction
    new = NewRun(actor, 5, new_run_hex(), new_experiment(runner, actor), tags={"a": "b"})

    with before_the_write(runner, partial(end_the_others, runner)), pytest.raises(OutcomeUnknown):
        grouped(runner, new)

    with pytest.raises(NotFound):
        runner.read(lambda session: get_run(session, actor, new.hex))
    assert grouped(runner, new)[0] == runner.read(lambda session: get_run(session, actor, new.hex))


@pytest.fixture
def last_id(runner: Runner) -> Iterator[None]:
    """The next id of a context is the last one; on PostgreSQL."""

    def move(to: int) -> None:
        with runner.database.writer.connect() as connection:
            connection.exec_driver_sql(f"SELECT setval('ids_context', {to})")

    before = runner.write(lambda session: session.next_id("context"))
    if runner.database.dialect == "postgresql":
        move(NODE_LIMIT - 1)
    yield
    if runner.database.dialect == "postgresql":
        move(before)


@pytest.mark.usefixtures("last_id")
def test_where_ids_end_within_a_group_nothing_of_it_is_made(runner: Runner, actor: Actor) -> None:
    if runner.database.dialect != "postgresql":
        return  # where ids are drawn before anything is written
    wanted = [NewRun(actor, 5, new_run_hex()) for _ in range(2)]

    with pytest.raises(Exhausted):
        grouped(runner, *wanted)

    there = sa.select(runs.c.hex).where(runs.c.hex.in_([new.hex for new in wanted]))
    assert runner.read(lambda session: session.scalars(there)) == []
