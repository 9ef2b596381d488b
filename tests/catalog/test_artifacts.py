"""Artifacts and datasets: locations, links to runs, one dataset version per digest."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.artifacts import (
    create_artifact,
    delete_artifact,
    delete_artifact_tag,
    find_artifact,
    get_artifact,
    list_artifacts,
    restore_artifact,
    set_artifact_tags,
    update_artifact,
)
from registry.catalog.datasets import (
    create_dataset,
    find_dataset,
    get_dataset,
    get_dataset_version,
    get_or_create_dataset_version,
    list_dataset_versions,
    list_datasets,
    log_dataset,
    update_dataset,
)
from registry.catalog.pages import Search
from registry.catalog.runs import set_run_lifecycle
from registry.catalog.uses import find_producer, link, list_uses, run_execution
from registry.catalog.workspaces import get_or_create_workspace
from registry.db.counting import count_statements
from registry.db.runner import Runner
from registry.db.session import Session
from registry.errors import AlreadyExists, InvalidArgument, NotFound, NotWritable, PreconditionFailed
from registry.names import INPUT_EVENTS, OUTPUT_EVENTS, ArtifactKind, EventType, Lifecycle, new_run_hex
from registry.tables.graph import artifacts, associations, events, executions
from registry.tables.models import dataset_versions
from tests.catalog.registering import new_run, some_name


@pytest.fixture
def stranger(runner: Runner, actor: Actor) -> Actor:
    made = runner.write(lambda session: get_or_create_workspace(session, "elsewhere", now=1))
    return dataclasses.replace(actor, workspace=made, workspace_name="elsewhere")


def new_artifact(runner: Runner, actor: Actor, uri: str | None = None) -> int:
    return runner.write(lambda session: create_artifact(session, actor, now=1, uri=uri)).id


def test_an_artifact_keeps_what_it_was_given(runner: Runner, actor: Actor) -> None:
    given = {
        "kind": ArtifactKind.DOC,
        "uri": "minio://b/k?x",
        "digest": "ab" * 32,
        "size_bytes": 2**40,
        "media_type": "text/html",
        "display_name": "a page",
        "description": "long",
        "tags": {"a": "b"},
    }

    made = runner.write(partial(create_artifact, actor=actor, now=1, **given))  # type: ignore[arg-type]

    stored = runner.read(lambda session: get_artifact(session, actor, made.id))
    assert {key: getattr(stored, key) for key in given} == given


@pytest.mark.parametrize(
    "bad",
    [
        {"digest": "AB" * 32},
        {"digest": "ab"},
        {"size_bytes": -1},
        {"size_bytes": 2**63},
        {"uri": "s3://b/\x00"},
        {"media_type": "x" * 256},
    ],
)
def test_a_field_that_cannot_be_is_refused(runner: Runner, actor: Actor, bad: dict[str, object]) -> None:
    made = new_artifact(runner, actor)

    with pytest.raises(InvalidArgument):
        runner.write(partial(create_artifact, actor=actor, now=1, **bad))  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument):
        runner.write(partial(update_artifact, actor=actor, id=made, now=2, **bad))  # type: ignore[arg-type]

    assert runner.read(lambda session: get_artifact(session, actor, made)).version == 1


def test_one_location_is_found_however_it_is_spelt(runner: Runner, actor: Actor, stranger: Actor) -> None:
    key = new_run_hex()
    made = new_artifact(runner, actor, f"minio://bucket/{key}/")
    new_artifact(runner, actor, f"s3://bucket/{key}")

    found = runner.read(lambda session: find_artifact(session, actor, f"s3a://bucket/{key}"))

    assert found is not None
    assert (found.id, found.uri) == (made, f"minio://bucket/{key}/")
    assert runner.read(lambda session: find_artifact(session, stranger, f"s3://bucket/{key}")) is None
    assert runner.read(lambda session: find_artifact(session, actor, f"s3://bucket/{key}x")) is None


def test_an_update_changes_what_is_given_and_a_stale_one_nothing(runner: Runner, actor: Actor) -> None:
    made = new_artifact(runner, actor, "s3://b/k")

    fresh = runner.write(
        lambda session: update_artifact(session, actor, made, now=2, uri="s3://b/other", size_bytes=3, expected_version=1)
    )
    with pytest.raises(PreconditionFailed):
        runner.write(lambda session: update_artifact(session, actor, made, now=3, size_bytes=4, expected_version=1))

    assert (fresh.uri, fresh.size_bytes, fresh.version) == ("s3://b/other", 3, 2)
    assert runner.read(lambda session: get_artifact(session, actor, made)) == fresh


def test_a_deleted_artifact_leaves_lists_still_answers_and_refuses_writes(runner: Runner, actor: Actor) -> None:
    uri = f"s3://b/{new_run_hex()}"
    made, run = new_artifact(runner, actor, uri), new_run(runner, actor)
    runner.write(lambda session: delete_artifact(session, actor, made, now=2))
    runner.write(lambda session: delete_artifact(session, actor, made, now=3))

    for ask in (
        lambda session: update_artifact(session, actor, made, now=3, description="x"),
        lambda session: set_artifact_tags(session, actor, made, {"a": "b"}),
        lambda session: link(session, actor, made, run, EventType.INPUT, now=3),
    ):
        with pytest.raises(NotWritable):
            runner.write(ask)

    assert runner.read(lambda session: get_artifact(session, actor, made)).lifecycle is Lifecycle.DELETED
    assert runner.read(lambda session: find_artifact(session, actor, uri)) is None
    assert runner.read(lambda session: list_artifacts(session, actor, Search(after=[made - 1], limit=1)).records) == []
    restored = runner.write(lambda session: restore_artifact(session, actor, made, now=4))
    assert restored.lifecycle is Lifecycle.ACTIVE


def test_tags_of_artifacts_move_the_etag(runner: Runner, actor: Actor) -> None:
    made = new_artifact(runner, actor)
    runner.write(lambda session: set_artifact_tags(session, actor, made, {"a": "1", "b": "2"}))
    runner.write(lambda session: delete_artifact_tag(session, actor, made, "a"))

    found = runner.read(lambda session: get_artifact(session, actor, made))

    assert (found.tags, found.version) == ({"b": "2"}, 3)


def test_a_run_has_no_execution_until_its_first_input_or_output(runner: Runner, actor: Actor) -> None:
    run, read, written = new_run(runner, actor), new_artifact(runner, actor), new_artifact(runner, actor)
    of_run = sa.select(executions.c.id).where(executions.c.name_key == run)
    before = runner.read(partial(Session.scalars, statement=of_run))

    runner.write(lambda session: link(session, actor, read, run, EventType.INPUT, now=2, port="data", tags={"context": "train"}))
    runner.write(lambda session: link(session, actor, written, run, EventType.OUTPUT, now=3, port="model"))

    uses = [use for _, use in runner.read(lambda session: list_uses(session, actor, run))]
    after = runner.read(partial(Session.scalars, statement=of_run))
    homes = sa.select(associations.c.execution).where(associations.c.execution.in_(after))
    assert before == []
    assert len(after) == 1
    assert runner.read(partial(Session.scalars, statement=homes)) == after
    assert [(use.artifact.id, use.type, use.port, use.step, use.tags) for use in uses] == [
        (read, EventType.INPUT, "data", None, {"context": "train"}),
        (written, EventType.OUTPUT, "model", None, {}),
    ]
    made = runner.read(lambda session: get_artifact(session, actor, written))
    assert (made.step, made.port) == (after[0], "model")
    assert runner.read(lambda session: find_producer(session, actor, written)) == run
    assert runner.read(lambda session: find_producer(session, actor, read)) is None


def test_a_link_said_again_changes_nothing_and_input_and_output_are_two(runner: Runner, actor: Actor) -> None:
    run, made = new_run(runner, actor), new_artifact(runner, actor)

    told = [
        runner.write(partial(link, actor=actor, artifact=made, run=run, type=type, now=2, tags=tags))
        for type, tags in ((EventType.INPUT, {"a": "1"}), (EventType.INPUT, {"a": "2"}), (EventType.OUTPUT, None))
    ]

    assert told == [True, False, True]
    inputs = runner.read(lambda session: list_uses(session, actor, run, types=INPUT_EVENTS))
    outputs = runner.read(lambda session: list_uses(session, actor, run, types=OUTPUT_EVENTS))
    assert [use.tags for _, use in inputs] == [{"a": "1"}]
    assert len(outputs) == 1


def test_16_writers_of_a_runs_first_link_make_one_execution_and_one_event_each(runner: Runner, actor: Actor) -> None:
    made = [new_artifact(runner, actor) for _ in range(16)]
    all_runs = [new_run(runner, actor) for _ in range(20)]

    def work(number: int) -> None:
        for run in all_runs:
            for artifact in (made[0], made[number]):
                runner.write(partial(link, actor=actor, artifact=artifact, run=run, type=EventType.INPUT, now=2))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))

    for run in all_runs:
        of_run = sa.select(executions.c.id).where(executions.c.name_key == run)
        (execution,) = runner.read(partial(Session.scalars, statement=of_run))
        query = sa.select(events.c.artifact).where(events.c.execution == execution).order_by(events.c.artifact)
        assert runner.read(partial(Session.scalars, statement=query)) == sorted(made)


def test_links_to_what_is_not_here_are_refused(runner: Runner, actor: Actor, stranger: Actor) -> None:
    run, made, deleted = new_run(runner, actor), new_artifact(runner, actor), new_run(runner, actor)
    runner.write(lambda session: set_run_lifecycle(session, actor, deleted, Lifecycle.DELETED, now=2))

    for who, artifact, of, error in (
        (actor, made, new_run_hex(), NotFound),
        (actor, 999_999, run, NotFound),
        (stranger, made, run, NotFound),
        (actor, made, deleted, NotWritable),
    ):
        with pytest.raises(error):
            runner.write(partial(link, actor=who, artifact=artifact, run=of, type=EventType.INPUT, now=3))
    with pytest.raises(InvalidArgument):
        runner.write(lambda session: link(session, actor, made, run, EventType.UNKNOWN, now=3))

    assert runner.read(lambda session: list_uses(session, actor, run)) == []


def test_uses_take_as_many_statements_for_2_as_for_20_and_page_by_event(runner: Runner, actor: Actor) -> None:
    run = new_run(runner, actor)
    made = [new_artifact(runner, actor) for _ in range(20)]
    for artifact in made:
        runner.write(partial(link, actor=actor, artifact=artifact, run=run, type=EventType.OUTPUT, now=2))

    with count_statements(runner.database) as two:
        first = runner.read(lambda session: list_uses(session, actor, run, limit=2))
    with count_statements(runner.database) as twenty:
        every = runner.read(lambda session: list_uses(session, actor, run, limit=20))
    rest = runner.read(lambda session: list_uses(session, actor, run, after=first[-1][0], limit=20))

    assert [use.artifact.id for _, use in every] == made
    assert first + rest == every
    assert two.count == twenty.count == 4


def test_a_use_of_an_artifact_of_another_workspace_takes_no_place_on_a_page(runner: Runner, actor: Actor) -> None:
    run, other = new_run(runner, actor), runner.write(lambda session: get_or_create_workspace(session, some_name("other"), now=1))
    made = [new_artifact(runner, actor) for _ in range(4)]
    for artifact in made:
        runner.write(partial(link, actor=actor, artifact=artifact, run=run, type=EventType.INPUT, now=2))
    move = sa.update(artifacts).where(artifacts.c.id.in_(made[1:3])).values(workspace=other)
    runner.write(lambda session: session.execute(move))

    page = runner.read(lambda session: list_uses(session, actor, run, limit=2))

    assert [use.artifact.id for _, use in page] == [made[0], made[3]]


def test_an_execution_of_a_run_is_made_once(runner: Runner, actor: Actor) -> None:
    run = new_run(runner, actor)

    first, second = (runner.write(partial(run_execution, actor=actor, run=run, now=1)) for _ in range(2))

    assert first == second


def test_a_dataset_has_one_version_per_digest_and_what_is_there_is_not_changed(runner: Runner, actor: Actor) -> None:
    name = some_name("dataset")

    def ask(**fields: Any) -> tuple[int, int, str | None]:
        made = runner.write(partial(get_or_create_dataset_version, actor=actor, name=name, now=1, **fields))
        return made.dataset, made.id, made.source

    first = ask(digest="1", source="a", source_type="local", schema="{}", profile="{}")
    again = ask(digest="1", source="b")
    other = ask(digest="2", source="b")
    elsewhere = ask(digest="1", namespace="ns")

    assert again == first
    assert (other[0] == first[0], other[1] != first[1], other[2]) == (True, True, "b")
    assert elsewhere[0] != first[0]
    found = runner.read(lambda session: list_dataset_versions(session, actor, dataset=first[0]))
    assert [(version.id, version.digest, version.schema) for version in found] == [(first[1], "1", "{}"), (other[1], "2", None)]
    assert runner.read(lambda session: get_artifact(session, actor, first[1])).kind is ArtifactKind.DATASET


def test_namespace_and_name_do_not_run_into_each_other(runner: Runner, actor: Actor) -> None:
    word = some_name("x")

    one = runner.write(lambda session: create_dataset(session, actor, "c", now=1, namespace=f"{word}b"))
    two = runner.write(lambda session: create_dataset(session, actor, "bc", now=1, namespace=word))

    assert one.id != two.id
    with pytest.raises(AlreadyExists):
        runner.write(lambda session: create_dataset(session, actor, "bc", now=1, namespace=word))


def test_16_writers_of_20_dataset_versions_make_20(runner: Runner, actor: Actor) -> None:
    name = some_name("dataset")

    def ask(_: int) -> list[int]:
        return [
            runner.write(partial(get_or_create_dataset_version, actor=actor, name=name, now=1, digest=str(digest))).id
            for digest in range(20)
        ]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(16)))

    dataset = runner.read(lambda session: find_dataset(session, actor, name))
    assert dataset is not None
    stored = sa.select(dataset_versions.c.id).where(dataset_versions.c.dataset == dataset.id)
    assert all(answer == answers[0] for answer in answers)
    assert sorted(runner.read(partial(Session.scalars, statement=stored))) == sorted(answers[0])


def test_a_dataset_logged_twice_is_one_input_with_its_first_tags(runner: Runner, actor: Actor) -> None:
    run, name = new_run(runner, actor), some_name("dataset")

    for context in ("train", "test"):
        runner.write(
            partial(log_dataset, actor=actor, run=run, name=name, now=1, digest="d", tags={"mlflow.data.context": context})
        )

    uses = [use for _, use in runner.read(lambda session: list_uses(session, actor, run))]
    assert [(use.artifact.display_name, use.tags) for use in uses] == [(name, {"mlflow.data.context": "train"})]


def test_another_workspace_has_datasets_of_its_own(runner: Runner, actor: Actor, stranger: Actor) -> None:
    name = some_name("dataset")
    made = runner.write(lambda session: get_or_create_dataset_version(session, actor, name, now=1, digest="d"))

    for ask in (
        lambda session: get_dataset(session, stranger, made.dataset),
        lambda session: get_dataset_version(session, stranger, made.id),
        lambda session: update_dataset(session, stranger, made.dataset, now=2, description="x"),
    ):
        with pytest.raises(NotFound):
            runner.write(ask)
    theirs = runner.write(lambda session: get_or_create_dataset_version(session, stranger, name, now=1, digest="d"))
    assert theirs.id != made.id
    assert [found.id for found in runner.read(lambda session: list_datasets(session, stranger, name=name).records)] == [
        theirs.dataset
    ]


def test_describing_a_dataset_moves_its_etag(runner: Runner, actor: Actor) -> None:
    made = runner.write(lambda session: create_dataset(session, actor, some_name("dataset"), now=1))

    fresh = runner.write(lambda session: update_dataset(session, actor, made.id, now=1, description="x", expected_version=1))
    with pytest.raises(PreconditionFailed):
        runner.write(lambda session: update_dataset(session, actor, made.id, now=2, description="y", expected_version=1))

    assert (fresh.description, fresh.version, fresh.updated_at) == ("x", 2, 2)
