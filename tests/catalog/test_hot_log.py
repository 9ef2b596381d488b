"""Params logged as the doors do it: in one statement with the points where none of them is there, else with care."""

import time
from concurrent.futures import Future, ThreadPoolExecutor

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.hot_log import HOT_LOG
from registry.catalog.metrics import Batch, Point, history, log_many
from registry.catalog.runs import get_run
from registry.db.counting import count_statements
from registry.db.runner import Runner
from registry.db.session import Session
from registry.errors import Conflict, NotWritable, RegistryError
from tests.catalog.registering import new_run


def points_of(runner: Runner, actor: Actor, run: str, key: str) -> list[tuple[int, int, float]]:
    def read(session: Session) -> list[Point]:
        return history(session, get_run(session, actor, run).id, key, limit=100)

    return [(point.at, point.step, point.value) for point in runner.read(read)]


def hot(runner: Runner, *batches: Batch) -> list[RegistryError | None]:
    """As the doors log, in one group."""
    return runner._submit_group(HOT_LOG, batches).result(30)


def params_of(runner: Runner, actor: Actor, run: str) -> dict[str, str]:
    return dict(runner.read(lambda session: get_run(session, actor, run)).params)


def test_new_params_and_points_are_one_statement_on_postgresql(runner: Runner, actor: Actor) -> None:
    runs = [new_run(runner, actor) for _ in range(3)]
    values = {"lr": "0.1", "é": '"\\{}', "none": ""}
    hot(runner, Batch(actor.workspace, runs[0], params=values, points=[Point("m", 1.0, 1)]))  # the names are known from here

    with count_statements(runner.database) as params_alone:
        hot(runner, *(Batch(actor.workspace, run, params=values) for run in runs[1:]))
    with count_statements(runner.database) as with_points:
        hot(runner, Batch(actor.workspace, runs[1], [Point("m", 2.0, 2)], {"more": "1"}))
        hot(runner, Batch(actor.workspace, runs[2], [Point("m", 2.0, 2)], {"more": "1"}))

    is_postgresql = runner.database.dialect == "postgresql"
    assert params_alone.count == (1 if is_postgresql else 3)
    assert with_points.count <= (5 if is_postgresql else 15)  # of which two intern a name
    assert [params_of(runner, actor, run) for run in runs] == [values, *[values | {"more": "1"}] * 2]
    assert points_of(runner, actor, runs[2], "m") == [(2, 0, 2.0)]


def test_params_that_are_there_are_the_same_or_refuse_their_whole_batch(runner: Runner, actor: Actor) -> None:
    run, other = new_run(runner, actor), new_run(runner, actor)
    first = Batch(actor.workspace, run, [Point("m", 1.0, 1)], {"lr": "1", "depth": "3"})

    answers = [
        *hot(runner, first),
        *hot(runner, first, Batch(actor.workspace, other, params={"lr": "5"})),
        *hot(runner, Batch(actor.workspace, run, [Point("m", 2.0, 2)], {"new": "1", "lr": "2"})),
        *hot(
            runner, Batch(actor.workspace, other, params={"a": "1"}), Batch(actor.workspace, other, params={"a": "2", "b": "1"})
        ),
    ]

    assert [type(answer) for answer in answers] == [*[type(None)] * 3, Conflict, type(None), NotWritable]
    assert params_of(runner, actor, run) == {"lr": "1", "depth": "3"}
    assert params_of(runner, actor, other) == {"lr": "5", "a": "1"}
    assert points_of(runner, actor, run, "m") == [(1, 0, 1.0)]


def test_of_many_who_set_a_param_at_the_same_time_one_does(runner: Runner, actor: Actor) -> None:
    runs = [new_run(runner, actor) for _ in range(10)]

    def set_all(writer: int) -> list[RegistryError | None]:
        order = runs if writer % 2 else runs[::-1]
        return hot(runner, *(Batch(actor.workspace, run, params={"who": str(writer), "same": "1"}) for run in order))

    with ThreadPoolExecutor(4) as pool:
        answers = [answer for told in pool.map(set_all, range(4)) for answer in told]

    assert [type(answer) for answer in answers if answer is not None] == [Conflict] * 30
    assert all(params_of(runner, actor, run)["who"] in "0123" for run in runs)


def test_a_param_set_between_the_look_and_the_write_is_seen(runner: Runner, actor: Actor) -> None:
    """A group that waits for a transaction with the same key finds it taken and is done with care."""
    if runner.database.dialect != "postgresql":
        return  # both are one transaction
    run = new_run(runner, actor)
    hot(runner, Batch(actor.workspace, new_run(runner, actor), params={"slow": "1"}))

    with ThreadPoolExecutor(1) as pool:

        def set_and_wait(session: Session) -> Future[list[RegistryError | None]]:
            log_many(session, [Batch(actor.workspace, run, params={"slow": "1"})])
            waiting = pool.submit(hot, runner, Batch(actor.workspace, run, [Point("m", 1.0, 1)], {"slow": "2"}))
            while not session.scalar(sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
                time.sleep(0.01)
            return waiting

        [answer] = runner.write(set_and_wait).result(30)

    assert isinstance(answer, Conflict)
    assert params_of(runner, actor, run) == {"slow": "1"}
    assert points_of(runner, actor, run, "m") == []
