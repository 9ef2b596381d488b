"""Logging: latest by (step, timestamp, value), exact repeats dropped, params that do not change, each batch on its own."""

import dataclasses
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from registry.catalog import metrics
from registry.catalog.actors import Actor
from registry.catalog.hot_log import HOT_LOG, log_at_once
from registry.catalog.metrics import Batch, Point, latest_values, log_many
from registry.catalog.run_creation import create_run
from registry.catalog.runs import get_run, set_run_lifecycle, update_run
from registry.db.counting import count_statements
from registry.db.runner import Runner
from registry.db.server_writer import ServerWriter
from registry.db.session import Session
from registry.errors import Conflict, InvalidArgument, NotFound, NotWritable, RegistryError
from registry.names import Lifecycle, OwnerKind, Status, new_run_hex


def new_run(runner: Runner, actor: Actor) -> str:
    hex = new_run_hex()
    runner.write(lambda session: create_run(session, actor, now=1000, experiment=None, hex=hex))
    return hex


Log = Callable[..., list[RegistryError | None]]


@pytest.fixture(params=["with care", "hot"])
def log(request: pytest.FixtureRequest) -> Log:
    """In a transaction of several statements, or as the doors do it: on PostgreSQL in one statement where that will do."""

    def log(runner: Runner, *batches: Batch) -> list[RegistryError | None]:
        if request.param == "hot":
            return runner._submit_group(HOT_LOG, batches).result()
        return runner.write(lambda session: log_many(session, batches))

    return log


def points_of(runner: Runner, actor: Actor, run: str, key: str) -> list[tuple[int, int, float]]:
    def read(session: Session) -> list[Point]:
        return metrics.history(session, get_run(session, actor, run).id, key, limit=100)

    return [(point.at, point.step, point.value) for point in runner.read(read)]


@pytest.mark.parametrize(
    ("logged", "latest"),
    [
        ([(1, 10, 0.5), (2, 5, 0.4)], (2, 5, 0.4)),  # the step decides
        ([(2, 5, 0.4), (1, 10, 0.5)], (2, 5, 0.4)),  # whatever the order of arrival
        ([(1, 10, 0.5), (1, 11, 0.4)], (1, 11, 0.4)),  # then the timestamp
        ([(1, 10, 0.5), (1, 10, 0.6)], (1, 10, 0.6)),  # then the value
        ([(1, 10, -0.5), (1, 10, math.nan)], (1, 10, math.nan)),  # NaN counts as 0
        ([(1, 10, 0.5), (1, 10, math.nan)], (1, 10, 0.5)),
        ([(0, 10, math.inf), (0, 10, 1.0)], (0, 10, math.inf)),
        ([(-3, 10, 0.1), (-1, 10, 0.2)], (-1, 10, 0.2)),
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_latest_is_the_greatest_step_then_timestamp_then_value(
    runner: Runner, actor: Actor, log: Log, logged: list[tuple[int, int, float]], latest: tuple[int, int, float], together: bool
) -> None:
    run = new_run(runner, actor)
    points = [Point("loss", value, at, step) for step, at, value in logged]

    for part in [points] if together else [[point] for point in points]:
        assert log(runner, Batch(actor.workspace, run, part)) == [None]

    found = runner.read(lambda session: get_run(session, actor, run)).metrics["loss"]
    assert (found.step, found.at) == latest[:2]
    assert found.value == latest[2] or (math.isnan(found.value) and math.isnan(latest[2]))


def test_history_is_read_by_timestamp_step_value_and_exact_repeats_are_dropped(runner: Runner, actor: Actor, log: Log) -> None:
    run = new_run(runner, actor)
    points = [Point("loss", 3.0, 30, 1), Point("loss", 1.0, 10, 3), Point("loss", 2.0, 10, 2), Point("loss", 1.5, 10, 2)]

    for _ in range(2):  # a client's retry
        log(runner, Batch(actor.workspace, run, points))

    assert points_of(runner, actor, run, "loss") == [(10, 2, 1.5), (10, 2, 2.0), (10, 3, 1.0), (30, 1, 3.0)]


def test_a_page_of_history_begins_behind_the_one_before(runner: Runner, actor: Actor, log: Log) -> None:
    run = new_run(runner, actor)
    log(runner, Batch(actor.workspace, run, [Point("m", float(step), step, step) for step in range(5)]))

    def page(session: Session) -> list[Point]:
        return metrics.history(session, get_run(session, actor, run).id, "m", limit=2, after=(2, 2, 2.0, 0))

    assert [point.step for point in runner.read(page)] == [3, 4]


def test_doubles_come_back_exactly(runner: Runner, actor: Actor, log: Log) -> None:
    run = new_run(runner, actor)
    values = {"tiny": 5e-324, "huge": 1.7976931348623157e308, "third": 1 / 3, "inf": math.inf, "minf": -math.inf, "zero": -0.0}

    log(runner, Batch(actor.workspace, run, [Point(key, value, 1) for key, value in values.items()]))

    found = runner.read(lambda session: get_run(session, actor, run)).metrics
    assert {key: point.value for key, point in found.items()} == values


def test_a_param_keeps_its_value_and_the_whole_batch_that_would_change_it_is_refused(
    runner: Runner, actor: Actor, log: Log
) -> None:
    run = new_run(runner, actor)
    log(runner, Batch(actor.workspace, run, params={"lr": "0.1"}))

    again, other = log(
        runner,
        Batch(actor.workspace, run, params={"lr": "0.1", "depth": "3"}),
        Batch(actor.workspace, run, params={"lr": "0.2"}, points=[Point("m", 1.0, 1)], tags={"t": "x"}),
    )

    assert again is None or isinstance(again, Conflict)
    assert isinstance(other, Conflict)
    stored = runner.read(lambda session: get_run(session, actor, run))
    assert stored.params["lr"] == "0.1"
    assert stored.metrics == {}
    assert stored.tags == {}


def test_each_batch_has_its_own_answer(runner: Runner, actor: Actor, log: Log) -> None:
    good, deleted = new_run(runner, actor), new_run(runner, actor)
    runner.write(lambda session: set_run_lifecycle(session, actor, deleted, Lifecycle.DELETED, now=2000))

    answers = log(
        runner,
        Batch(actor.workspace, good, [Point("m", 1.0, 1)]),
        Batch(actor.workspace, new_run_hex(), [Point("m", 1.0, 1)]),
        Batch(actor.workspace, deleted, [Point("m", 1.0, 1)]),
        Batch(actor.workspace + 1, good, [Point("m", 1.0, 1)]),
        Batch(actor.workspace, good, [Point("m\x00", 1.0, 1)]),
        Batch(actor.workspace, good, [Point("m", 1.0, -1)]),
        Batch(actor.workspace, good, tags={"": "x"}),
    )

    kinds = [type(answer) for answer in answers]
    assert kinds == [type(None), NotFound, NotWritable, NotFound, InvalidArgument, InvalidArgument, InvalidArgument]
    assert points_of(runner, actor, good, "m") == [(1, 0, 1.0)]


def test_names_that_differ_in_one_code_point_are_different_keys(runner: Runner, actor: Actor, log: Log) -> None:
    run = new_run(runner, actor)
    keys = ["a", "A", "\u00e9", "e\u0301", "a ", "ａ"]

    log(runner, Batch(actor.workspace, run, params={key: str(index) for index, key in enumerate(keys)}))

    stored = runner.read(lambda session: get_run(session, actor, run)).params
    assert stored == {key: str(index) for index, key in enumerate(keys)}


def test_the_statements_of_a_log_call_do_not_grow_with_the_batch(runner: Runner, actor: Actor, log: Log) -> None:
    runs = [new_run(runner, actor) for _ in range(8)]
    small = [Point("m0", 1.0, 1)]
    large = [Point(f"m{index}", 1.0, 1) for index in range(200)]
    log(runner, Batch(actor.workspace, runs[0], large, params={"p": "1"}, tags={"t": "1"}))  # the names are known from here

    with count_statements(runner.database) as one:
        log(runner, Batch(actor.workspace, runs[1], small, params={"p": "1"}, tags={"t": "1"}))
    with count_statements(runner.database) as many:
        log(runner, *(Batch(actor.workspace, run, large, params={"p": "1"}, tags={"t": "1"}) for run in runs[2:4]))

    assert one.count == many.count <= 6


def test_a_hot_call_on_postgresql_is_one_statement_and_elsewhere_three(runner: Runner, actor: Actor, log: Log) -> None:
    runs = [new_run(runner, actor) for _ in range(3)]
    points = [Point(f"m{index}", 1.0, 1) for index in range(200)]
    log(runner, Batch(actor.workspace, runs[0], points))  # the names are known from here

    with count_statements(runner.database) as counted:
        runner._submit_group(HOT_LOG, [Batch(actor.workspace, run, points) for run in runs[1:]]).result()

    assert counted.count == (1 if runner.database.dialect == "postgresql" else 3)
    assert [len(points_of(runner, actor, run, "m7")) for run in runs] == [1, 1, 1]


def test_one_run_that_needs_care_leaves_a_hot_call_to_be_done_with_care(runner: Runner, actor: Actor) -> None:
    running, final = new_run(runner, actor), new_run(runner, actor)
    runner.write(lambda session: update_run(session, actor, final, now=2000, status=Status.SUCCEEDED))
    batches = [Batch(actor.workspace, run, [Point("m", 1.0, 1)]) for run in (running, final, new_run_hex())]

    answers = runner._submit_group(HOT_LOG, batches).result()

    assert [type(answer) for answer in answers] == [type(None), type(None), NotFound]
    assert [points_of(runner, actor, run, "m") for run in (running, final)] == [[(1, 0, 1.0)]] * 2


def deleted(runner: Runner, actor: Actor) -> Batch:
    run = new_run(runner, actor)
    runner.write(lambda session: set_run_lifecycle(session, actor, run, Lifecycle.DELETED, now=2000))
    return Batch(actor.workspace, run, [Point("m", 1.0, 1)])


def elsewhere(runner: Runner, actor: Actor) -> Batch:
    return Batch(actor.workspace + 1, new_run(runner, actor), [Point("m", 1.0, 1)])


def mirroring(runner: Runner, actor: Actor) -> Batch:
    """A series that shows a property of artifact 7."""
    batch = Batch(actor.workspace, new_run(runner, actor), [Point("step/out/accuracy", 1.0, 1)])

    def mirror(session: Session) -> None:
        rows = metrics.point_rows(session, OwnerKind.RUN, [(get_run(session, actor, batch.run).id, 0, batch.points)])
        metrics.write_points(session, rows, source=7)

    runner.write(mirror)
    return dataclasses.replace(batch, points=[Point("step/out/accuracy", 2.0, 2)])


@pytest.mark.parametrize(
    ("refused", "why"), [(deleted, NotWritable), (elsewhere, NotFound), (mirroring, NotWritable)], ids=lambda made: made.__name__
)
def test_a_call_of_points_alone_is_refused_either_way(
    runner: Runner, actor: Actor, log: Log, refused: Callable[[Runner, Actor], Batch], why: type[RegistryError]
) -> None:
    batch = refused(runner, actor)
    before = points_of(runner, actor, batch.run, batch.points[0].key)

    [answer] = log(runner, batch)

    assert isinstance(answer, why)
    assert points_of(runner, actor, batch.run, batch.points[0].key) == before


def test_a_hot_call_that_leaves_one_run_to_be_done_with_care_has_written_nothing(runner: Runner, actor: Actor) -> None:
    writer = runner._writer
    if not isinstance(writer, ServerWriter) or runner.database.dialect != "postgresql":
        return  # has no hot way of its own
    good, absent = new_run(runner, actor), new_run_hex()
    batches = [Batch(actor.workspace, run, [Point("m", 1.0, 1)]) for run in (good, absent)]

    answers = writer._without_transaction(lambda session: log_at_once(session, batches))

    assert answers is None
    assert points_of(runner, actor, good, "m") == []


def test_16_writers_of_one_series_lose_and_double_nothing(runner: Runner, actor: Actor, log: Log) -> None:
    run = new_run(runner, actor)

    def write(writer: int) -> None:
        for step in range(20):
            points = [Point("m", float(writer), step, step), Point("n", 1.0, step)]
            assert log(runner, Batch(actor.workspace, run, points)) == [None]

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(write, range(16)))

    def count(session: Session) -> tuple[int, Point]:
        id = get_run(session, actor, run).id
        return len(metrics.history(session, id, "m", limit=1000)), latest_values(session, [id])[id]["m"]

    total, latest = runner.read(count)
    assert total == 16 * 20
    assert (latest.step, latest.value) == (19, 15.0)


def test_metrics_move_the_version_of_a_final_run_only(runner: Runner, actor: Actor, log: Log) -> None:
    run = new_run(runner, actor)
    before = runner.read(lambda session: get_run(session, actor, run)).version
    log(runner, Batch(actor.workspace, run, [Point("m", 1.0, 1)]))
    running = runner.read(lambda session: get_run(session, actor, run)).version

    finished = runner.write(lambda session: update_run(session, actor, run, now=2000, status=Status.SUCCEEDED)).version
    log(runner, Batch(actor.workspace, run, [Point("m", 2.0, 2)]))

    assert running == before
    assert runner.read(lambda session: get_run(session, actor, run)).version == finished + 1
