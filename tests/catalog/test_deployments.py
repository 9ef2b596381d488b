"""Deployments and environments: pins, states, and who got which traffic when."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from registry.catalog.actors import Actor
from registry.catalog.deployments import (
    archive_deployment,
    create_deployment,
    delete_deployment,
    find_deployment,
    get_deployment,
    history,
    list_deployments,
    record_traffic,
    restore_deployment,
    update_deployment,
)
from registry.catalog.environments import (
    create_environment,
    delete_environment,
    find_environment,
    get_environment,
    get_or_create_environment,
    list_environments,
    update_environment,
)
from registry.catalog.models import delete_model
from registry.catalog.pages import Search
from registry.catalog.versions import delete_version
from registry.db.counting import count_statements
from registry.db.runner import Runner
from registry.errors import AlreadyExists, InUse, InvalidArgument, NotFound, NotWritable, PreconditionFailed
from registry.names import DesiredState, Lifecycle
from tests.catalog.registering import new_model, new_version, some_name


def new_deployment(runner: Runner, actor: Actor, **fields: object) -> int:
    made = partial(create_deployment, actor=actor, name=some_name("d"), now=1, environment=some_name("env"), **fields)  # type: ignore[arg-type]
    return runner.write(made).id


def test_a_deployment_keeps_what_it_was_given(runner: Runner, actor: Actor) -> None:
    model = new_model(runner, actor)
    version = new_version(runner, actor, model.id)
    home = some_name("env")

    made = runner.write(
        lambda session: create_deployment(
            session,
            actor,
            "isvc/uid",
            now=1,
            environment=home,
            model_version=version.id,
            actual_state="Ready",
            runtime="triton",
            url="https://example.test",
            uid="u-1",
            conditions=[{"type": "Ready", "status": "True"}],
            shares=[{"version": version.id, "percent": 100}],
            tags={"a": "b"},
        )
    )

    found = runner.read(lambda session: find_deployment(session, actor, home, "isvc/uid"))
    assert found == made
    assert (made.model, made.model_name, made.model_version, made.model_version_number) == (model.id, model.name, version.id, 1)
    assert (made.environment_name, made.desired_state, made.actual_state) == (home, DesiredState.DEPLOYED, "Ready")
    assert made.conditions == [{"type": "Ready", "status": "True"}]
    assert made.shares == [{"version": version.id, "revision": None, "percent": 100, "tag": None}]
    assert made.tags == {"a": "b"}


def test_a_name_is_taken_in_its_environment_only_until_it_is_deleted(runner: Runner, actor: Actor) -> None:
    one, two = some_name("env"), some_name("env")

    def make(home: str) -> int:
        return runner.write(lambda session: create_deployment(session, actor, "d", now=1, environment=home)).id

    first = make(one)
    make(two)
    with pytest.raises(AlreadyExists):
        make(one)
    runner.write(lambda session: delete_deployment(session, actor, first, now=2))
    make(one)

    with pytest.raises(AlreadyExists):
        runner.write(lambda session: restore_deployment(session, actor, first, now=3))
    assert runner.read(lambda session: get_deployment(session, actor, first)).lifecycle is Lifecycle.DELETED


def test_a_pin_must_be_a_live_version_of_the_model(runner: Runner, actor: Actor) -> None:
    model, other = new_model(runner, actor).id, new_model(runner, actor).id
    mine, foreign, gone = (new_version(runner, actor, of).id for of in (model, other, model))
    runner.write(lambda session: delete_version(session, actor, gone, now=2))
    made = new_deployment(runner, actor, model_version=mine)

    for pin, error in (
        ({"model": model, "model_version": foreign}, NotFound),
        ({"model_version": gone}, NotWritable),
        ({"model_version": 999_999}, NotFound),
        ({"model": 999_999}, NotFound),
    ):
        with pytest.raises(error):
            new_deployment(runner, actor, **pin)
        with pytest.raises(error):
            runner.write(partial(update_deployment, actor=actor, id=made, now=3, **pin))  # type: ignore[arg-type]

    assert runner.read(lambda session: get_deployment(session, actor, made)).version == 1


def test_an_update_changes_what_is_given(runner: Runner, actor: Actor) -> None:
    model = new_model(runner, actor).id
    first, second = (new_version(runner, actor, model).id for _ in range(2))
    made = new_deployment(runner, actor, model_version=first, url="u")

    moved = runner.write(lambda session: update_deployment(session, actor, made, now=2, model_version=second))
    stopped = runner.write(
        lambda session: update_deployment(session, actor, made, now=3, desired_state=DesiredState.UNDEPLOYED, unpin=True)
    )
    with pytest.raises(PreconditionFailed):
        runner.write(lambda session: update_deployment(session, actor, made, now=4, url="x", expected_version=1))

    assert (moved.model_version, moved.url, moved.desired_state) == (second, "u", DesiredState.DEPLOYED)
    assert (stopped.model, stopped.model_version, stopped.desired_state) == (model, None, DesiredState.UNDEPLOYED)
    assert runner.read(lambda session: get_deployment(session, actor, made)) == stopped


def test_traffic_that_arrives_in_any_order_gives_one_history(runner: Runner, actor: Actor) -> None:
    model = new_model(runner, actor).id
    old, new = (new_version(runner, actor, model).id for _ in range(2))
    canary = [{"version": old, "percent": 90}, {"version": new, "percent": 10}]
    lists = [(10, [{"version": old, "percent": 100}]), (20, canary), (30, canary), (40, [{"version": new, "percent": 100}])]
    seen = set()

    for order in itertools.islice(itertools.permutations(lists), 0, 24, 5):
        made = new_deployment(runner, actor, model=model)
        for at, shares in [*order, order[0]]:
            runner.write(partial(record_traffic, actor=actor, id=made, shares=shares, at=at, now=50))
        seen.add(repr(runner.read(partial(history, actor=actor, id=made))))

    assert len(seen) == 1
    shown = runner.read(lambda session: history(session, actor, made))
    assert [entry.at for entry in shown] == [10, 20, 40]
    assert [share["percent"] for share in shown[1].shares] == [90, 10]
    for at, expected in ((9, []), (10, [10]), (35, [20]), (99, [40])):
        assert [entry.at for entry in runner.read(partial(history, actor=actor, id=made, at=at))] == expected


@pytest.mark.parametrize(
    ("shares", "error"),
    [
        ([{"percent": 101}], InvalidArgument),
        ([{"percent": True}], InvalidArgument),
        ([{"version": 1}], InvalidArgument),
        ([{"percent": 1, "other": 1}], InvalidArgument),
        ([{"percent": 1, "version": 999_999}], NotFound),
    ],
)
def test_a_share_that_cannot_be_one_is_refused(
    runner: Runner, actor: Actor, shares: list[dict[str, object]], error: type[Exception]
) -> None:
    made = new_deployment(runner, actor)

    with pytest.raises(error):
        runner.write(lambda session: record_traffic(session, actor, made, shares, at=1, now=1))

    assert runner.read(lambda session: history(session, actor, made)) == []


def test_a_deleted_deployment_leaves_lists_and_refuses_writes(runner: Runner, actor: Actor) -> None:
    made = new_deployment(runner, actor)
    runner.write(lambda session: delete_deployment(session, actor, made, now=2))

    for ask in (
        lambda session: update_deployment(session, actor, made, now=3, url="x"),
        lambda session: archive_deployment(session, actor, made, now=3),
        lambda session: record_traffic(session, actor, made, [], at=1, now=3),
    ):
        with pytest.raises(NotWritable):
            runner.write(ask)

    assert runner.read(lambda session: list_deployments(session, actor, Search(after=[made - 1])).records) == []
    restored = runner.write(lambda session: restore_deployment(session, actor, made, now=4))
    assert restored.lifecycle is Lifecycle.ACTIVE


def test_what_served_a_deleted_model_is_not_restored(runner: Runner, actor: Actor) -> None:
    model = new_model(runner, actor).id
    made = new_deployment(runner, actor, model=model)
    runner.write(lambda session: archive_deployment(session, actor, made, now=2))
    runner.write(lambda session: delete_model(session, actor, model, now=3))

    with pytest.raises(NotWritable):
        runner.write(lambda session: restore_deployment(session, actor, made, now=4))


def test_of_a_pin_and_a_delete_at_the_same_time_one_is_refused(runner: Runner, actor: Actor) -> None:
    model = new_model(runner, actor).id
    new_version(runner, actor, model)

    def attempt(ask: partial[object]) -> bool:
        try:
            runner.write(ask)
        except (InUse, NotWritable):
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        for turn in range(20):
            version = new_version(runner, actor, model).id
            new_version(runner, actor, model)
            pin = partial(create_deployment, actor=actor, name=f"d{turn}", now=1, environment=f"e{model}", model_version=version)
            delete = partial(delete_version, actor=actor, id=version, now=1)
            outcomes = list(pool.map(attempt, [pin, delete] if turn % 2 else [delete, pin]))
            assert sorted(outcomes) == [False, True]


def test_a_list_takes_as_many_statements_for_2_as_for_20(runner: Runner, actor: Actor) -> None:
    first, *_others = [new_deployment(runner, actor, shares=[{"percent": 100}]) for _ in range(20)]

    with count_statements(runner.database) as two:
        runner.read(lambda session: list_deployments(session, actor, Search(after=[first - 1], limit=2)).records)
    with count_statements(runner.database) as twenty:
        found = runner.read(lambda session: list_deployments(session, actor, Search(after=[first - 1], limit=20)).records)

    assert len(found) == 20
    assert two.count == twenty.count == 3


def test_16_writers_who_get_or_create_20_environments_get_the_same(runner: Runner, actor: Actor) -> None:
    wanted = [some_name("env") for _ in range(20)]

    def ask(_: int) -> list[int]:
        return [runner.write(partial(get_or_create_environment, actor=actor, name=name, now=1)).id for name in wanted]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(16)))

    assert len(set(answers[0])) == 20
    assert all(answer == answers[0] for answer in answers)


def test_an_environment_is_deleted_once_it_is_empty(runner: Runner, actor: Actor) -> None:
    name = some_name("env")
    held = runner.write(lambda session: create_deployment(session, actor, "d", now=1, environment=name))

    with pytest.raises(InUse) as refused:
        runner.write(lambda session: delete_environment(session, actor, held.environment, now=2))
    runner.write(lambda session: delete_deployment(session, actor, held.id, now=3))
    runner.write(lambda session: delete_environment(session, actor, held.environment, now=4))

    assert refused.value.data["dependants"] == [held.own_id]
    assert runner.read(lambda session: find_environment(session, actor, name)) is None
    assert runner.read(lambda session: get_environment(session, actor, held.environment)).lifecycle is Lifecycle.DELETED
    assert runner.write(lambda session: create_environment(session, actor, name, now=5)).id != held.environment


def test_describing_an_environment_moves_its_etag(runner: Runner, actor: Actor) -> None:
    made = runner.write(lambda session: create_environment(session, actor, some_name("env"), now=1))
    with pytest.raises(AlreadyExists):
        runner.write(lambda session: create_environment(session, actor, made.name, now=1))

    fresh = runner.write(lambda session: update_environment(session, actor, made.id, now=2, description="x", expected_version=1))
    with pytest.raises(PreconditionFailed):
        runner.write(lambda session: update_environment(session, actor, made.id, now=3, description="y", expected_version=1))

    assert (fresh.description, fresh.version) == ("x", 2)
    assert fresh in runner.read(lambda session: list_environments(session, actor, Search(after=[made.id - 1])).records)
