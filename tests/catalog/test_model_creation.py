"""Registered models made in one pass: each call has its own answer, and a name has one model whoever asks for it when."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.audit import list_audit
from registry.catalog.model_creation import HOT_CREATE_MODEL, NewModel, RegisteredModel, create_at_once, create_models
from registry.catalog.models import create_model, delete_model, find_model, get_model
from registry.catalog.outbox import audit_key, mac_of
from registry.db.counting import count_statements
from registry.db.runner import Runner
from registry.db.session import Session
from registry.errors import AlreadyExists, InvalidArgument, OutcomeUnknown
from registry.names import Author, Origin
from registry.tables.service import audit_events, audit_waiting, outbox
from tests.catalog.registering import some_name
from tests.catalog.writing import before_the_write, end_the_others

RICH: dict[str, Any] = {"description": "d", "owner": "ada", "tags": {"z": "1", "a": "é"}, "origin": Origin.MLFLOW}


def grouped(runner: Runner, *wanted: NewModel) -> list[Any]:
    """As the doors make them, in one group."""
    return runner._submit_group(HOT_CREATE_MODEL, wanted).result(30)


def found(runner: Runner, actor: Actor, name: str) -> RegisteredModel | None:
    return runner.read(lambda session: find_model(session, actor, name))


def test_each_of_a_group_is_what_a_read_of_it_gives(runner: Runner, actor: Actor) -> None:
    agent = replace(actor, author=Author.AGENT)
    wanted = [
        NewModel(actor, some_name("z"), 5, **RICH),
        NewModel(agent, some_name("é"), 6, tags={"a": "agent's"}),
        NewModel(actor, some_name("a"), 7),
    ]

    made = grouped(runner, *wanted)

    assert made == [runner.read(partial(get_model, actor=actor, id=one.id)) for one in made]
    assert [(one.name, one.created_at, dict(one.tags)) for one in made] == [
        (new.name, new.now, dict(sorted(new.tags.items()))) for new in wanted
    ]


def test_a_bad_call_of_a_group_fails_alone_and_writes_nothing(runner: Runner, actor: Actor) -> None:
    taken, fresh = some_name("taken"), some_name("fresh")
    grouped(runner, NewModel(actor, taken, 1))
    wanted = [NewModel(actor, taken, 2, **RICH), NewModel(actor, "", 2), NewModel(actor, fresh, 2), NewModel(actor, "x" * 600, 2)]

    answers = grouped(runner, *wanted)

    assert [type(answer) for answer in answers] == [AlreadyExists, InvalidArgument, RegisteredModel, InvalidArgument]
    assert answers[2] == found(runner, actor, fresh)
    kept = found(runner, actor, taken)
    assert kept is not None
    assert (kept.created_at, kept.description, kept.tags, kept.version) == (1, None, {}, 1)
    assert len(runner.read(lambda session: list_audit(session, actor, object=kept.own_id))) == 1


def test_of_one_name_twice_in_a_group_the_first_is_made(runner: Runner, actor: Actor) -> None:
    name = some_name("twice")

    answers = grouped(runner, *(NewModel(actor, name, at, description=f"{at}") for at in (1, 2, 3)))

    assert [type(answer) for answer in answers] == [RegisteredModel, AlreadyExists, AlreadyExists]
    assert answers[0] == found(runner, actor, name)


def test_a_name_is_taken_in_its_workspace_alone_and_free_once_its_model_is_deleted(runner: Runner, actor: Actor) -> None:
    name, stranger = some_name("model"), replace(actor, workspace=actor.workspace + 1)

    mine, theirs = grouped(runner, NewModel(actor, name, 1), NewModel(stranger, name, 1))
    runner.write(lambda session: delete_model(session, actor, mine.id, now=2))
    again, refused = grouped(runner, NewModel(actor, name, 3), NewModel(stranger, name, 3))

    assert found(runner, actor, name) == again
    assert found(runner, stranger, name) == theirs
    assert isinstance(refused, AlreadyExists)
    assert len({mine.id, theirs.id, again.id}) == 3


def test_of_many_who_ask_for_a_name_at_the_same_time_one_gets_it(runner: Runner, actor: Actor) -> None:
    names = [some_name("raced") for _ in range(20)]

    def ask(asker: int) -> list[Any]:
        return grouped(runner, *(NewModel(actor, name, asker) for name in (names if asker % 2 else reversed(names))))

    with ThreadPoolExecutor(4) as pool:
        answers = [answer for told in pool.map(ask, range(4)) for answer in told]

    made = {answer.name: answer for answer in answers if isinstance(answer, RegisteredModel)}
    assert len(answers) == 80
    assert sorted(made) == sorted(names)
    assert [found(runner, actor, name) for name in names] == [made[name] for name in names]
    assert [type(answer) for answer in answers if not isinstance(answer, RegisteredModel)] == [AlreadyExists] * 60


def test_a_name_taken_between_the_look_and_the_write_is_refused_and_the_others_are_made(runner: Runner, actor: Actor) -> None:
    if runner.database.dialect != "postgresql":
        return  # look and write are one transaction: the race above
    taken, free = some_name("taken"), some_name("free")

    with before_the_write(runner, lambda: runner.write(lambda session: create_model(session, actor, taken, now=1))):
        answers = grouped(runner, NewModel(actor, free, 2), NewModel(actor, taken, 2))

    assert [type(answer) for answer in answers] == [RegisteredModel, AlreadyExists]
    assert answers[0] == found(runner, actor, free)


def test_a_connection_lost_while_a_model_is_written_leaves_all_of_it_or_nothing(runner: Runner, actor: Actor) -> None:
    if runner.database.dialect != "postgresql":
        return  # no other writes outside of a transaction
    name = some_name("lost")

    with before_the_write(runner, partial(end_the_others, runner)), pytest.raises(OutcomeUnknown):
        grouped(runner, NewModel(actor, name, 1, **RICH))

    assert found(runner, actor, name) is None
    assert grouped(runner, NewModel(actor, name, 2, **RICH))[0] == found(runner, actor, name)


def test_each_model_of_a_group_is_audited_and_told(runner: Runner, actor: Actor) -> None:
    made = grouped(runner, *(NewModel(replace(actor, request_id=f"r{at}"), some_name("m"), at) for at in (1, 2)))

    def look(session: Session, object: str) -> tuple[Any, ...]:
        (row,) = session.all(sa.select(audit_events).where(audit_events.c.object == object))
        waits = session.scalar(sa.select(audit_waiting.c.workspace).where(audit_waiting.c.event == row.id))
        topics = session.scalars(sa.select(outbox.c.topic).where(outbox.c.event == row.id))
        sound = mac_of(row._asdict(), audit_key(session)) == row.mac
        return row.action, row.at, row.request_id, row.after, sound, waits, topics

    for at, one in enumerate(made, 1):
        after = f'{{"name":"{one.name}"}}'
        assert runner.read(partial(look, object=one.own_id)) == (
            "model.created",
            at,
            f"r{at}",
            after,
            True,
            actor.workspace,
            ["model.created"],
        )


def test_many_take_as_many_statements_as_one(runner: Runner, actor: Actor) -> None:
    def new(number: int) -> list[NewModel]:
        return [NewModel(actor, some_name("counted"), 1, tags={"a": "b"}) for _ in range(number)]

    grouped(runner, *new(1))  # interns the tag's name, reads the audit key
    counts = []
    for number in (1, 20):
        wanted = new(number)
        with count_statements(runner.database) as counted:
            grouped(runner, *wanted)
        counts.append(counted.count)
    with count_statements(runner.database) as refused:
        assert isinstance(grouped(runner, wanted[0])[0], AlreadyExists)

    # On PostgreSQL: which names are free, with ids for them; then all rows.
    assert counts == {"sqlite": [7, 7], "postgresql": [2, 2]}.get(runner.database.dialect, [8, 8])
    assert refused.count == {"sqlite": 3, "postgresql": 1}.get(runner.database.dialect, 4)


def test_in_a_transaction_it_is_three_statements_on_postgresql(runner: Runner, actor: Actor) -> None:
    runner.write(lambda session: create_models(session, [NewModel(actor, some_name("m"), 1)]))

    with count_statements(runner.database) as counted:
        runner.write(lambda session: create_models(session, [NewModel(actor, some_name("m"), 1)]))

    assert counted.count == {"sqlite": 6, "postgresql": 3}.get(runner.database.dialect, 7)


def test_one_name_twice_is_left_to_a_transaction(runner: Runner, actor: Actor) -> None:
    new = NewModel(actor, some_name("twice"), 1)

    assert runner.write(lambda session: create_at_once(session, [new, new])) is None
