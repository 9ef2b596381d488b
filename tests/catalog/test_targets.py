"""Aliases and stages: moves, compare-and-set, history."""

import random
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.models import get_model
from registry.catalog.targets import (
    ANY,
    Move,
    Target,
    aliases_of,
    find_alias,
    holders,
    holding,
    list_moves,
    move,
    stages_of,
)
from registry.catalog.version_reads import get_version
from registry.catalog.versions import delete_version
from registry.db.runner import Runner
from registry.db.session import Session
from registry.errors import InvalidArgument, InvalidName, NotFound, NotWritable, PreconditionFailed
from registry.names import IdPrefix, TargetKind, own_id
from registry.tables.service import audit_events, outbox
from tests.catalog.registering import new_model, new_version


def prepared(runner: Runner, actor: Actor, versions: int = 3) -> tuple[int, list[int]]:
    model = new_model(runner, actor).id
    return model, [new_version(runner, actor, model).id for _ in range(versions)]


def put(
    runner: Runner, actor: Actor, target: Target, version: int | None, *, expected: object = ANY, archive_existing: bool = False
) -> list[Move]:
    return runner.write(
        partial(
            move,
            target=target,
            version=version,
            expected=expected,  # type: ignore[arg-type]
            actor=actor,
            now=9,
            reason="because",
            archive_existing=archive_existing,
        )
    )


def test_an_alias_names_one_version_and_its_history_says_who_and_why(runner: Runner, actor: Actor) -> None:
    model, (first, second, _) = prepared(runner, actor)
    champion = Target(TargetKind.ALIAS, model, "champion")

    put(runner, actor, champion, first)
    put(runner, actor, champion, second)
    put(runner, actor, champion, None)

    moves = runner.read(lambda session: list_moves(session, actor, model, kind=TargetKind.ALIAS, name="champion"))
    assert [(entry.from_version, entry.to_version) for entry in moves] == [(second, None), (first, second), (None, first)]
    assert {(entry.actor, entry.reason, entry.at) for entry in moves} == {(actor.name, "because", 9)}
    assert runner.read(lambda session: find_alias(session, model, "champion")) is None


def test_a_move_to_where_it_is_changes_nothing(runner: Runner, actor: Actor) -> None:
    model, (first, *_others) = prepared(runner, actor)
    champion, production = Target(TargetKind.ALIAS, model, "champion"), Target(TargetKind.STAGE, model, "Production")
    for target in (champion, production):
        put(runner, actor, target, first)
    before = runner.read(lambda session: get_version(session, actor, first))

    assert put(runner, actor, champion, first) == []
    assert put(runner, actor, production, first, archive_existing=True) == []

    assert runner.read(lambda session: get_version(session, actor, first)) == before
    assert len(runner.read(lambda session: list_moves(session, actor, model))) == 2


@pytest.mark.parametrize("kind", list(TargetKind))
def test_a_move_that_expects_another_holder_is_refused_and_says_who_holds_it(
    runner: Runner, actor: Actor, kind: TargetKind
) -> None:
    model, (first, second, third) = prepared(runner, actor)
    target = Target(kind, model, "challenger")
    put(runner, actor, target, first, expected=None)

    for wrong in (second, None):
        with pytest.raises(PreconditionFailed) as refused:
            put(runner, actor, target, third, expected=wrong)
        assert refused.value.data["found"] == own_id(IdPrefix.VERSION, first)
        assert refused.value.data["expected"] == (None if wrong is None else own_id(IdPrefix.VERSION, wrong))

    assert runner.read(lambda session: holders(session, target)) == [first]
    put(runner, actor, target, third, expected=first)
    assert third in runner.read(lambda session: holders(session, target))


def test_of_16_writers_who_expect_the_same_holder_one_wins_each_round(runner: Runner, actor: Actor) -> None:
    model, versions = prepared(runner, actor, 16)
    champion = Target(TargetKind.ALIAS, model, "champion")
    holder: int | None = None

    def attempt(version: int) -> int | None:
        try:
            return version if put(runner, actor, champion, version, expected=holder) else None
        except PreconditionFailed:
            return None

    with ThreadPoolExecutor(16) as pool:
        for _ in range(20):
            rivals = [version for version in versions if version != holder]
            won = [version for version in pool.map(attempt, rivals) if version is not None]
            assert len(won) == 1
            holder = won[0]

    assert runner.read(lambda session: holders(session, champion)) == [holder]


def test_320_concurrent_moves_leave_one_chain_of_history(runner: Runner, actor: Actor) -> None:
    model, versions = prepared(runner, actor, 16)
    champion = Target(TargetKind.ALIAS, model, "champion")

    def work(seed: int) -> int:
        dice = random.Random(seed)
        return sum(len(put(runner, actor, champion, dice.choice(versions))) for _ in range(20))

    with ThreadPoolExecutor(16) as pool:
        made = sum(pool.map(work, range(16)))

    moves = runner.read(lambda session: list_moves(session, actor, model, limit=1000))[::-1]
    assert len(moves) == made
    assert [entry.from_version for entry in moves] == [None, *(entry.to_version for entry in moves[:-1])]
    assert runner.read(lambda session: find_alias(session, model, "champion")) == moves[-1].to_version


@pytest.mark.parametrize("bad", ["", "latest", "Latest", "v1", "V22", "a b", "a.b", "a/b", "a\n", "x" * 256])
def test_an_alias_that_cannot_be_one_is_refused(runner: Runner, actor: Actor, bad: str) -> None:
    model, (first, *_others) = prepared(runner, actor)

    with pytest.raises(InvalidName):
        put(runner, actor, Target(TargetKind.ALIAS, model, bad), first)


@pytest.mark.parametrize("good", ["v", "v1a", "latest-2", "a_b-C", "größe", "x" * 255])
def test_an_alias_that_only_looks_reserved_is_fine(runner: Runner, actor: Actor, good: str) -> None:
    model, (first, *_others) = prepared(runner, actor)

    put(runner, actor, Target(TargetKind.ALIAS, model, good), first)

    assert runner.read(lambda session: get_version(session, actor, first)).aliases == [good]
    assert runner.read(lambda session: get_model(session, actor, model)).aliases == {good: 1}


def test_aliases_that_differ_in_case_are_two(runner: Runner, actor: Actor) -> None:
    model, (first, second, _) = prepared(runner, actor)

    put(runner, actor, Target(TargetKind.ALIAS, model, "a"), first)
    put(runner, actor, Target(TargetKind.ALIAS, model, "A"), second)

    assert runner.read(lambda session: aliases_of(session, [first, second])) == {first: ["a"], second: ["A"]}


def test_a_stage_may_be_held_by_several_and_archive_existing_leaves_one(runner: Runner, actor: Actor) -> None:
    model, (first, second, third) = prepared(runner, actor)
    production = Target(TargetKind.STAGE, model, "Production")
    put(runner, actor, production, first)
    put(runner, actor, production, second)
    shared = runner.read(lambda session: holders(session, production))

    put(runner, actor, production, third, archive_existing=True)

    assert shared == [first, second]
    assert runner.read(lambda session: stages_of(session, [first, second, third])) == {
        first: "Archived",
        second: "Archived",
        third: "Production",
    }


def test_a_stage_that_several_hold_matches_no_expected_holder(runner: Runner, actor: Actor) -> None:
    model, (first, second, third) = prepared(runner, actor)
    production = Target(TargetKind.STAGE, model, "Production")
    for version in (first, second):
        put(runner, actor, production, version)

    with pytest.raises(PreconditionFailed):
        put(runner, actor, production, third, expected=first)


def test_stage_none_takes_the_stage_away_and_known_stages_are_known_in_any_case(runner: Runner, actor: Actor) -> None:
    model, (first, second, _) = prepared(runner, actor)
    put(runner, actor, Target(TargetKind.STAGE, model, "production"), first)
    put(runner, actor, Target(TargetKind.STAGE, model, "shadow"), second)
    held = runner.read(lambda session: stages_of(session, [first, second]))

    put(runner, actor, Target(TargetKind.STAGE, model, "none"), first)
    put(runner, actor, Target(TargetKind.STAGE, model, "shadow"), None)

    assert held == {first: "Production", second: "shadow"}
    assert runner.read(lambda session: stages_of(session, [first, second])) == {}


def test_what_the_rules_of_stages_forbid_is_refused(runner: Runner, actor: Actor) -> None:
    model, (first, *_others) = prepared(runner, actor)

    with pytest.raises(InvalidName):
        put(runner, actor, Target(TargetKind.STAGE, model, ""), first)
    with pytest.raises(InvalidArgument):
        put(runner, actor, Target(TargetKind.STAGE, model, "None"), None)
    with pytest.raises(InvalidArgument):
        put(runner, actor, Target(TargetKind.ALIAS, model, "a"), first, archive_existing=True)


def test_the_history_of_stages_replayed_gives_who_holds_them(runner: Runner, actor: Actor) -> None:
    model, versions = prepared(runner, actor, 5)
    dice = random.Random(3)
    for _ in range(40):
        stage = Target(TargetKind.STAGE, model, dice.choice(["Staging", "Production", "Archived", "free"]))
        put(runner, actor, stage, dice.choice([*versions, None]), archive_existing=dice.random() < 0.5)
    runner.write(lambda session: delete_version(session, actor, versions[0], now=10))

    replayed: dict[str, set[int]] = defaultdict(set)
    for entry in runner.read(lambda session: list_moves(session, actor, model, limit=1000))[::-1]:
        if entry.from_version is not None:
            replayed[entry.target].remove(entry.from_version)
        if entry.to_version is not None:
            replayed[entry.target].add(entry.to_version)

    stored: dict[str, set[int]] = defaultdict(set)
    for version, held_stage in runner.read(lambda session: stages_of(session, versions)).items():
        stored[held_stage].add(version)
    assert {stage: held for stage, held in replayed.items() if held} == stored
    assert stored


def test_a_target_is_not_moved_onto_another_models_or_a_deleted_version(runner: Runner, actor: Actor) -> None:
    model, (first, *_others) = prepared(runner, actor)
    _other, (foreign, *_more) = prepared(runner, actor)
    runner.write(lambda session: delete_version(session, actor, first, now=2))
    champion = Target(TargetKind.ALIAS, model, "champion")

    with pytest.raises(NotFound):
        put(runner, actor, champion, foreign)
    with pytest.raises(NotWritable):
        put(runner, actor, champion, first)

    assert runner.read(lambda session: list_moves(session, actor, model)) == []


def test_a_move_is_audited_told_and_moves_the_etags_of_what_shows_it(runner: Runner, actor: Actor) -> None:
    model, (first, second, third) = prepared(runner, actor)
    champion = Target(TargetKind.ALIAS, model, "champion")
    put(runner, actor, champion, first)
    before = {version: runner.read(partial(get_version, actor=actor, id=version)).version for version in (first, second, third)}

    put(runner, actor, champion, second)

    after = {version: runner.read(partial(get_version, actor=actor, id=version)).version for version in before}
    own = own_id(IdPrefix.MODEL, model)
    audited = sa.select(audit_events.c.id).where(audit_events.c.object == own, audit_events.c.action == "alias.moved")
    told = sa.select(outbox.c.id).where(outbox.c.topic == "alias.moved", outbox.c.body.contains(f'"{own}"'))
    assert {version: after[version] - before[version] for version in before} == {first: 1, second: 1, third: 0}
    assert [len(runner.read(partial(Session.scalars, statement=query))) for query in (audited, told)] == [2, 2]


def test_versions_are_found_by_what_they_hold(runner: Runner, actor: Actor) -> None:
    model, (first, second, _) = prepared(runner, actor)
    put(runner, actor, Target(TargetKind.ALIAS, model, "only-here"), first)
    put(runner, actor, Target(TargetKind.STAGE, model, "only here"), second)

    found = [
        runner.read(partial(Session.scalars, statement=holding(kind, name)))
        for kind, name in ((TargetKind.ALIAS, "only-here"), (TargetKind.STAGE, "only here"), (TargetKind.ALIAS, "only here"))
    ]

    assert found == [[first], [second], []]
