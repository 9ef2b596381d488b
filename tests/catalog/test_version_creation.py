"""Versions made in one pass: each call has its own answer, and each version is what it would have been alone."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.audit import list_audit
from registry.catalog.metrics import Batch, Point, log_many
from registry.catalog.models import delete_model, get_model, update_model
from registry.catalog.version_creation import HOT_CREATE_VERSION, NewVersion, create_versions
from registry.catalog.version_reads import ModelVersion, find_version, get_version
from registry.catalog.versions import create_version, update_version
from registry.db.counting import count_statements
from registry.db.runner import Runner
from registry.errors import AlreadyExists, InvalidName, NotFound, NotWritable, OutcomeUnknown
from registry.names import Readiness
from tests.catalog.registering import new_model, new_run, new_version
from tests.catalog.writing import before_the_write, end_the_others

RICH: dict[str, Any] = {
    "description": "d",
    "author_name": "ada",
    "source": "s3://b/m",
    "readiness": Readiness.PENDING,
    "status_message": "soon",
    "tags": {"z": "1", "a": "é"},
}


def new_producer(runner: Runner, actor: Actor) -> str:
    run = new_run(runner, actor)
    batch = Batch(actor.workspace, run, [Point("auc", float("nan"), 1), Point("loss", 2.0, 1, 3)], {"lr": "1"})
    runner.write(lambda session: log_many(session, [batch]))
    return run


def test_each_of_a_group_is_what_a_read_of_it_gives(runner: Runner, actor: Actor) -> None:
    first, second, run = new_model(runner, actor).id, new_model(runner, actor).id, new_producer(runner, actor)
    wanted = [
        NewVersion(actor, second, 5, run=run, **RICH),
        NewVersion(actor, first, 6),
        NewVersion(actor, second, 7, name="blue", run_text="r", run_link="l", location="s3://b/elsewhere"),
    ]

    made = runner.write(lambda session: create_versions(session, wanted))

    read = [runner.read(partial(get_version, actor=actor, id=one.id)) for one in made]  # type: ignore[union-attr]
    assert repr(made) == repr(read)  # by their texts: NaN is not itself
    assert [(one.model, one.number, one.name) for one in read] == [(second, 1, "1"), (first, 1, "1"), (second, 2, "blue")]
    assert list(read[0].tags) == ["a", "z"]
    assert (list(read[0].metrics), dict(read[0].params)) == (["auc", "loss"], {"lr": "1"})


def test_one_made_with_care_is_what_a_read_of_it_gives(runner: Runner, actor: Actor) -> None:
    model, run = new_model(runner, actor).id, new_producer(runner, actor)

    made = runner.write(lambda session: create_version(session, actor, model, now=5, run=run, **RICH))

    assert repr(made) == repr(runner.read(lambda session: get_version(session, actor, made.id)))


def test_a_group_moves_counter_and_version_of_its_model_as_its_calls_would(runner: Runner, actor: Actor) -> None:
    before = new_model(runner, actor)
    names = [None, "7", "3", None]

    made = runner.write(
        lambda session: create_versions(session, [NewVersion(actor, before.id, 10 + at, name) for at, name in enumerate(names)])
    )

    after = runner.read(lambda session: get_model(session, actor, before.id))
    assert [one.number for one in made] == [1, 7, 8, 9]  # type: ignore[union-attr]
    assert (after.last_number, after.version, after.mlflow_updated_at) == (9, before.version + 4, 13)
    assert after.updated_at == before.updated_at


def test_a_bad_call_of_a_group_fails_alone(runner: Runner, actor: Actor) -> None:
    model, gone = new_model(runner, actor).id, new_model(runner, actor).id
    runner.write(lambda session: delete_model(session, actor, gone, now=2))
    stranger = replace(actor, workspace=actor.workspace + 1)
    wanted = [
        NewVersion(actor, model, 1),
        NewVersion(actor, 999_999, 1),
        NewVersion(actor, gone, 1),
        NewVersion(stranger, model, 1),
        NewVersion(actor, model, 1, run="f" * 32),
        NewVersion(actor, model, 1, name="x" * 300),
        NewVersion(actor, model, 1),
    ]

    answers = runner.write(lambda session: create_versions(session, wanted))

    assert [type(answer) for answer in answers[1:6]] == [NotFound, NotWritable, NotFound, NotFound, InvalidName]
    assert [answers[index].number for index in (0, 6)] == [1, 2]  # type: ignore[union-attr]


def test_a_group_of_bad_calls_writes_nothing(runner: Runner, actor: Actor) -> None:
    with count_statements(runner.database) as counted:
        answers = runner.write(lambda session: create_versions(session, [NewVersion(actor, 999_999, 1)]))

    assert [type(answer) for answer in answers] == [NotFound]
    assert counted.count == 1


def test_a_taken_name_sinks_its_group_which_then_runs_one_by_one(runner: Runner, actor: Actor) -> None:
    model = new_model(runner, actor).id
    taken = new_version(runner, actor, model)
    runner.write(lambda session: update_version(session, actor, taken.id, now=2, name="blue"))
    blue, other = NewVersion(actor, model, 3, name="blue"), NewVersion(actor, model, 3)

    with pytest.raises(sa.exc.IntegrityError):
        runner.write(lambda session: create_versions(session, [other, blue]))
    with pytest.raises(AlreadyExists):
        runner.write(lambda session: create_versions(session, [blue]))

    assert runner.write(lambda session: create_versions(session, [other]))[0].number == 2  # type: ignore[union-attr]


def test_each_version_of_a_group_is_audited(runner: Runner, actor: Actor) -> None:
    model = new_model(runner, actor)

    made = runner.write(lambda session: create_versions(session, [NewVersion(actor, model.id, 1, source="s")] * 2))

    for number, one in enumerate(made, 1):
        events = runner.read(partial(list_audit, actor=actor, object=one.own_id))  # type: ignore[union-attr]
        assert [event.action for event in events] == ["version.created"]
        assert events[0].after == {"model": model.name, "number": number, "source": "s", "run": None}


def test_many_take_as_many_statements_as_one(runner: Runner, actor: Actor) -> None:
    model, run = new_model(runner, actor).id, new_run(runner, actor)
    one, plain = NewVersion(actor, model, 1, run=run, tags={"a": "b"}), NewVersion(actor, model, 1)
    runner.write(lambda session: create_versions(session, [one]))  # interns the tag's name, reads the audit key
    counts = []

    for wanted in ([plain], [one], [one] * 20):
        with count_statements(runner.database) as counted:
            runner.write(partial(create_versions, wanted=wanted))
        counts.append(counted.count)

    # On PostgreSQL all that changes is one statement, and the ids of both kinds another; on SQLite ids cost one at the end.
    expected = {"sqlite": [9, 13, 13], "postgresql": [3, 6, 6]}
    assert counts == expected.get(runner.database.dialect, [10, 14, 14])


def grouped(runner: Runner, *wanted: NewVersion) -> list[Any]:
    """As the doors make them, in one group."""
    return runner._submit_group(HOT_CREATE_VERSION, wanted).result(30)


def test_each_of_a_group_of_several_models_is_what_a_read_of_it_gives(runner: Runner, actor: Actor) -> None:
    first, second = new_model(runner, actor), new_model(runner, actor)
    wanted = [
        NewVersion(actor, second.id, 5, **RICH),
        NewVersion(actor, first.id, 6, name='"b\\lue", {é}', location="s3://b/elsewhere"),
        NewVersion(actor, second.id, 7, name="7"),
        NewVersion(actor, second.id, 6),
    ]

    made = grouped(runner, *wanted)

    assert made == [runner.read(partial(get_version, actor=actor, id=one.id)) for one in made]
    assert [(one.model, one.number, one.name) for one in made] == [
        (second.id, 1, "1"),
        (first.id, 1, '"b\\lue", {é}'),
        (second.id, 7, "7"),
        (second.id, 8, "8"),
    ]
    after = runner.read(lambda session: get_model(session, actor, second.id))
    assert (after.last_number, after.version, after.mlflow_updated_at) == (8, second.version + 3, 7)
    audited = [runner.read(partial(list_audit, actor=actor, object=one.own_id))[0].after["number"] for one in made]
    assert audited == [1, 1, 7, 8]


def test_a_hot_create_on_postgresql_is_two_statements_without_a_transaction(runner: Runner, actor: Actor) -> None:
    model = new_model(runner, actor).id
    new = NewVersion(actor, model, 1, source="s", tags={"a": "b"})
    grouped(runner, new)  # interns the tag's name, reads the audit key
    counts = []

    for number in (1, 20):
        with count_statements(runner.database) as counted:
            grouped(runner, *[new] * number)
        counts.append(counted.count)

    assert counts == {"sqlite": [10, 10], "postgresql": [2, 2]}.get(runner.database.dialect, [11, 11])


def test_a_call_that_cannot_be_written_as_it_is_is_answered_with_care_and_the_others_of_its_group_too(
    runner: Runner, actor: Actor
) -> None:
    model, gone, run = new_model(runner, actor).id, new_model(runner, actor).id, new_producer(runner, actor)
    runner.write(lambda session: delete_model(session, actor, gone, now=2))
    stranger = replace(actor, workspace=actor.workspace + 1)
    plain = NewVersion(actor, model, 1)

    answers = [
        grouped(runner, plain, other)
        for other in (
            NewVersion(actor, gone, 1),
            NewVersion(stranger, model, 1),
            NewVersion(actor, 999_999, 1),
            NewVersion(actor, model, 1, name="x" * 300),
            NewVersion(actor, model, 1, run=run),
        )
    ]

    assert [plain.number for plain, _ in answers] == [1, 2, 3, 4, 5]
    assert [type(other) for _, other in answers] == [NotWritable, NotFound, NotFound, InvalidName, ModelVersion]
    assert answers[4][1].params == {"lr": "1"}


def test_what_changes_a_model_between_the_look_and_the_write_is_seen(runner: Runner, actor: Actor) -> None:
    if runner.database.dialect != "postgresql":
        return  # both are under the model's lock
    model, other = new_model(runner, actor).id, new_model(runner, actor).id
    wanted = [NewVersion(actor, other, 3), NewVersion(actor, model, 3)]

    with before_the_write(runner, lambda: new_version(runner, actor, model)):
        numbered = grouped(runner, *wanted)
    with before_the_write(runner, lambda: runner.write(lambda session: update_model(session, actor, model, now=2, name="new"))):
        renamed = grouped(runner, *wanted)
    with before_the_write(runner, lambda: runner.write(lambda session: delete_model(session, actor, model, now=2))):
        deleted = grouped(runner, *wanted)

    assert [one.number for one in numbered] == [1, 2]
    assert [(one.number, one.model_name) for one in renamed] == [(2, renamed[0].model_name), (3, "new")]
    assert runner.read(lambda session: list_audit(session, actor, object=renamed[1].own_id))[0].after["model"] == "new"
    assert deleted[0].number == 3
    assert isinstance(deleted[1], NotWritable)
    assert runner.read(lambda session: get_model(session, actor, model)).last_number == 3


def test_numbers_are_given_once_however_many_ask_at_the_same_time(runner: Runner, actor: Actor) -> None:
    models = [new_model(runner, actor).id for _ in range(2)]

    def ask(asker: int) -> list[Any]:
        order = models if asker % 2 else models[::-1]
        return [one for _ in range(10) for one in grouped(runner, *(NewVersion(actor, model, 1) for model in order))]

    with ThreadPoolExecutor(4) as pool:
        made = [one for own in pool.map(ask, range(4)) for one in own]

    for model in models:
        assert sorted(one.number for one in made if one.model == model) == list(range(1, 41))
    assert len({one.id for one in made}) == 80


def test_a_connection_lost_while_a_version_is_written_leaves_all_of_it_or_nothing(runner: Runner, actor: Actor) -> None:
    if runner.database.dialect != "postgresql":
        return  # no other writes outside of a transaction
    before = new_model(runner, actor)

    with before_the_write(runner, partial(end_the_others, runner)), pytest.raises(OutcomeUnknown):
        grouped(runner, NewVersion(actor, before.id, 1, **RICH))

    assert runner.read(lambda session: get_model(session, actor, before.id)) == before
    assert grouped(runner, NewVersion(actor, before.id, 1, **RICH))[0].number == 1


def test_a_hot_create_of_a_taken_name_is_refused_alone(runner: Runner, actor: Actor) -> None:
    model = new_model(runner, actor).id
    grouped(runner, NewVersion(actor, model, 1, name="blue"))

    with pytest.raises(AlreadyExists):
        grouped(runner, NewVersion(actor, model, 2, name="blue"))

    assert grouped(runner, NewVersion(actor, model, 3))[0].number == 2


def test_a_version_is_read_with_all_that_it_shows_in_one_statement(runner: Runner, actor: Actor) -> None:
    model, run = new_model(runner, actor).id, new_producer(runner, actor)
    made = runner.write(lambda session: create_version(session, actor, model, now=5, run=run, **RICH))

    with count_statements(runner.database) as counted:
        ways: list[dict[str, Any]] = [{"number": 1}, {"name": "1"}, {"alias": "latest"}, {"alias": "V1"}]
        found = [runner.read(partial(find_version, actor=actor, model=model, **way)) for way in ways]
        found.append(runner.read(partial(get_version, actor=actor, id=made.id)))

    assert [repr(one) for one in found] == [repr(made)] * 5
    assert counted.count == 5
