"""Registered models: unique names, what a rename and a delete take along."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.artifacts import create_artifact
from registry.catalog.deployments import archive_deployment, create_deployment
from registry.catalog.models import (
    archive_model,
    create_model,
    delete_model,
    delete_model_tag,
    find_model,
    get_model,
    get_or_create_model,
    list_models,
    restore_model,
    set_model_tags,
    update_model,
)
from registry.catalog.pages import Search
from registry.catalog.targets import ANY, Target, list_moves, move
from registry.catalog.version_reads import find_version, get_version, list_versions
from registry.catalog.versions import create_version, delete_version
from registry.catalog.workspaces import get_or_create_workspace
from registry.db.counting import count_statements
from registry.db.runner import Runner
from registry.db.session import Session
from registry.errors import AlreadyExists, InUse, InvalidArgument, NotFound, NotWritable, PreconditionFailed
from registry.names import Lifecycle, TargetKind
from registry.tables.graph import attributions
from registry.tables.models import registered_models
from registry.tables.service import audit_events
from tests.catalog.registering import new_model, new_version, some_name


@pytest.fixture
def stranger(runner: Runner, actor: Actor) -> Actor:
    made = runner.write(lambda session: get_or_create_workspace(session, "elsewhere", now=1))
    return dataclasses.replace(actor, workspace=made, workspace_name="elsewhere")


def test_names_compare_by_code_point(runner: Runner, actor: Actor) -> None:
    base = some_name("model")
    variants = [base + end for end in ("a", "A", "\u00e9", "e\u0301", "a ")]

    made = {variant: runner.write(partial(create_model, actor=actor, name=variant, now=1)).id for variant in variants}

    for variant in variants:
        found = runner.read(partial(find_model, actor=actor, name=variant))
        assert found is not None
        assert (found.name, found.id) == (variant, made[variant])


def test_a_taken_name_is_refused(runner: Runner, actor: Actor) -> None:
    made = new_model(runner, actor)

    with pytest.raises(AlreadyExists):
        runner.write(lambda session: create_model(session, actor, made.name, now=2))


@pytest.mark.parametrize("bad", ["", "a\x00b", "a\ud800", "x" * 513])
def test_a_name_that_cannot_be_one_is_refused(runner: Runner, actor: Actor, bad: str) -> None:
    made = new_model(runner, actor)

    with pytest.raises(InvalidArgument):
        runner.write(lambda session: create_model(session, actor, bad, now=1))
    with pytest.raises(InvalidArgument):
        runner.write(lambda session: update_model(session, actor, made.id, now=2, name=bad))

    assert runner.read(lambda session: get_model(session, actor, made.id)) == made


def test_16_writers_who_get_or_create_one_model_get_the_same(runner: Runner, actor: Actor) -> None:
    wanted = [some_name("model") for _ in range(20)]

    def ask(_: int) -> list[int]:
        return [runner.write(partial(get_or_create_model, actor=actor, name=name, now=1)).id for name in wanted]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(16)))

    assert len(set(answers[0])) == 20
    assert all(answer == answers[0] for answer in answers)
    for name in wanted:
        held = sa.select(registered_models.c.id).where(registered_models.c.name == name)
        assert len(runner.read(partial(Session.scalars, statement=held))) == 1


def test_another_workspace_does_not_see_the_model_and_may_use_its_name(runner: Runner, actor: Actor, stranger: Actor) -> None:
    made = new_model(runner, actor)
    version = new_version(runner, actor, made.id)

    for ask in (
        lambda session: get_model(session, stranger, made.id),
        lambda session: update_model(session, stranger, made.id, now=2, description="mine"),
        lambda session: delete_model(session, stranger, made.id, now=2),
        lambda session: create_version(session, stranger, made.id, now=2),
        lambda session: get_version(session, stranger, version.id),
        lambda session: delete_version(session, stranger, version.id, now=2),
        lambda session: move(session, Target(TargetKind.ALIAS, made.id, "x"), version.id, expected=ANY, actor=stranger, now=2),
        lambda session: create_deployment(session, stranger, "d", now=2, environment="e", model=made.id),
    ):
        with pytest.raises(NotFound):
            runner.write(ask)
    assert runner.read(lambda session: find_model(session, stranger, made.name)) is None
    assert runner.read(lambda session: list_moves(session, stranger, made.id)) == []
    assert runner.read(lambda session: get_model(session, actor, made.id)).last_number == 1
    assert runner.write(lambda session: create_model(session, stranger, made.name, now=1)).id != made.id


def test_an_update_with_a_stale_version_is_refused_and_changes_nothing(runner: Runner, actor: Actor) -> None:
    made = new_model(runner, actor)
    fresh = runner.write(
        lambda session: update_model(session, actor, made.id, now=2, description="new", expected_version=made.version)
    )

    with pytest.raises(PreconditionFailed):
        runner.write(
            lambda session: update_model(session, actor, made.id, now=3, description="stale", expected_version=made.version)
        )

    assert runner.read(lambda session: get_model(session, actor, made.id)) == fresh
    assert fresh.description == "new"
    assert fresh.updated_at > made.updated_at


def test_a_new_version_moves_the_etag_but_not_the_time_of_the_model(runner: Runner, actor: Actor) -> None:
    made = new_model(runner, actor)

    runner.write(lambda session: create_version(session, actor, made.id, now=5000))

    after = runner.read(lambda session: get_model(session, actor, made.id))
    assert after.version > made.version
    assert (after.updated_at, after.mlflow_updated_at) == (made.updated_at, 5000)


def test_a_rename_frees_the_old_name_and_renames_the_links_that_bore_it(runner: Runner, actor: Actor) -> None:
    made = new_model(runner, actor)
    files = runner.write(lambda session: create_artifact(session, actor, now=1, uri="s3://bucket/model"))
    version = runner.write(lambda session: create_version(session, actor, made.id, now=1, artifact=files.id))
    wanted = some_name("model")

    runner.write(lambda session: update_model(session, actor, made.id, now=2, name=wanted))

    link = sa.select(attributions.c.name_key).where(attributions.c.context == version.id)
    assert runner.read(lambda session: session.scalars(link)) == [wanted]
    assert runner.read(lambda session: find_model(session, actor, made.name)) is None
    renamed = runner.read(lambda session: find_model(session, actor, wanted))
    assert renamed is not None
    assert renamed.id == made.id
    assert runner.read(lambda session: get_version(session, actor, version.id)).model_name == wanted
    runner.write(lambda session: create_model(session, actor, made.name, now=3))


def test_a_rename_onto_a_taken_name_is_refused_and_leaves_the_call_usable(runner: Runner, actor: Actor) -> None:
    first, second = new_model(runner, actor), new_model(runner, actor)

    def rename_and_look(session: Session) -> str:
        with pytest.raises(AlreadyExists):
            update_model(session, actor, second.id, now=2, name=first.name)
        return get_model(session, actor, second.id).name

    assert runner.write(rename_and_look) == second.name


def test_deleting_frees_the_name_and_takes_versions_aliases_and_stages_along(runner: Runner, actor: Actor) -> None:
    made = new_model(runner, actor)
    version = new_version(runner, actor, made.id)
    for kind, name in ((TargetKind.ALIAS, "champion"), (TargetKind.STAGE, "Production")):
        runner.write(partial(move, target=Target(kind, made.id, name), version=version.id, expected=None, actor=actor, now=2))

    runner.write(lambda session: delete_model(session, actor, made.id, now=3))

    gone = runner.read(lambda session: get_version(session, actor, version.id))
    assert (gone.lifecycle, gone.stage, gone.aliases) == (Lifecycle.DELETED, None, [])
    assert runner.read(lambda session: get_model(session, actor, made.id)).lifecycle is Lifecycle.DELETED
    assert runner.read(lambda session: list_versions(session, actor, model=made.id).records) == []
    last = runner.read(lambda session: list_moves(session, actor, made.id))[:2]
    assert {(entry.target, entry.from_version, entry.to_version) for entry in last} == {
        ("champion", version.id, None),
        ("Production", version.id, None),
    }
    again = runner.write(lambda session: create_model(session, actor, made.name, now=4))
    assert again.id != made.id
    assert again.last_number == 0


def test_a_deleted_model_refuses_writes(runner: Runner, actor: Actor) -> None:
    made = new_model(runner, actor)
    version = new_version(runner, actor, made.id)
    runner.write(lambda session: delete_model(session, actor, made.id, now=2))

    for ask in (
        lambda session: update_model(session, actor, made.id, now=3, description="x"),
        lambda session: archive_model(session, actor, made.id, now=3),
        lambda session: set_model_tags(session, actor, made.id, {"a": "b"}),
        lambda session: create_version(session, actor, made.id, now=3),
        lambda session: move(session, Target(TargetKind.ALIAS, made.id, "a"), version.id, expected=ANY, actor=actor, now=3),
    ):
        with pytest.raises(NotWritable):
            runner.write(ask)


def test_restoring_brings_back_the_versions_deleted_with_it_and_no_others(runner: Runner, actor: Actor) -> None:
    made = new_model(runner, actor)
    early, late = new_version(runner, actor, made.id), new_version(runner, actor, made.id)
    runner.write(lambda session: delete_version(session, actor, early.id, now=7))
    runner.write(lambda session: delete_model(session, actor, made.id, now=7))

    runner.write(lambda session: restore_model(session, actor, made.id, now=8))

    assert runner.read(lambda session: get_version(session, actor, early.id)).lifecycle is Lifecycle.DELETED
    assert runner.read(lambda session: get_version(session, actor, late.id)).lifecycle is Lifecycle.ACTIVE
    found = runner.read(lambda session: find_version(session, actor, made.id, number=late.number))
    assert found is not None
    assert new_version(runner, actor, made.id).number == 3


def test_restoring_is_refused_where_the_name_was_taken_meanwhile(runner: Runner, actor: Actor) -> None:
    made = new_model(runner, actor)
    runner.write(lambda session: delete_model(session, actor, made.id, now=2))
    runner.write(lambda session: create_model(session, actor, made.name, now=3))

    with pytest.raises(AlreadyExists):
        runner.write(lambda session: restore_model(session, actor, made.id, now=4))

    assert runner.read(lambda session: get_model(session, actor, made.id)).lifecycle is Lifecycle.DELETED


def test_a_model_that_a_live_deployment_serves_is_not_deleted(runner: Runner, actor: Actor) -> None:
    made = new_model(runner, actor)
    version = new_version(runner, actor, made.id)
    home = some_name("env")
    serving = runner.write(
        lambda session: create_deployment(session, actor, "d", now=1, environment=home, model_version=version.id)
    )

    with pytest.raises(InUse) as refused:
        runner.write(lambda session: delete_model(session, actor, made.id, now=2))
    runner.write(lambda session: archive_deployment(session, actor, serving.id, now=3))
    runner.write(lambda session: delete_model(session, actor, made.id, now=4))

    assert refused.value.data["dependants"] == [serving.own_id]
    assert runner.read(lambda session: get_model(session, actor, made.id)).lifecycle is Lifecycle.DELETED


def test_archiving_is_reversible_and_changes_nothing_else(runner: Runner, actor: Actor) -> None:
    made = new_model(runner, actor)

    archived = runner.write(lambda session: archive_model(session, actor, made.id, now=2))
    again = runner.write(lambda session: archive_model(session, actor, made.id, now=3))
    restored = runner.write(lambda session: restore_model(session, actor, made.id, now=4))

    assert archived.lifecycle is Lifecycle.ARCHIVED
    assert again == archived
    assert (restored.lifecycle, restored.name) == (Lifecycle.ACTIVE, made.name)


def test_tags_are_set_and_deleted_one_by_one(runner: Runner, actor: Actor) -> None:
    made = new_model(runner, actor)

    runner.write(lambda session: set_model_tags(session, actor, made.id, {"a": "1", "b": "2"}))
    runner.write(lambda session: delete_model_tag(session, actor, made.id, "a"))
    with pytest.raises(NotFound):
        runner.write(lambda session: delete_model_tag(session, actor, made.id, "a"))

    assert runner.read(lambda session: get_model(session, actor, made.id)).tags == {"b": "2"}


def test_a_list_takes_as_many_statements_for_2_as_for_20(runner: Runner, actor: Actor) -> None:
    first, *_others = [new_model(runner, actor) for _ in range(20)]

    with count_statements(runner.database) as two:
        runner.read(lambda session: list_models(session, actor, Search(after=[first.id - 1], limit=2)).records)
    with count_statements(runner.database) as twenty:
        found = runner.read(lambda session: list_models(session, actor, Search(after=[first.id - 1], limit=20)).records)

    assert len(found) == 20
    assert two.count == twenty.count == 3


def test_every_change_of_a_model_leaves_an_audit_row(runner: Runner, actor: Actor) -> None:
    made = new_model(runner, actor)
    runner.write(lambda session: update_model(session, actor, made.id, now=2, description="x"))
    runner.write(lambda session: update_model(session, actor, made.id, now=2, description="x"))
    runner.write(lambda session: archive_model(session, actor, made.id, now=3))
    runner.write(lambda session: restore_model(session, actor, made.id, now=4))
    runner.write(lambda session: delete_model(session, actor, made.id, now=5))

    query = sa.select(audit_events.c.action).where(audit_events.c.object == made.own_id).order_by(audit_events.c.id)
    assert runner.read(lambda session: session.scalars(query)) == [
        "model.created",
        "model.updated",
        "model.archived",
        "model.restored",
        "model.deleted",
    ]


def test_what_making_a_model_gives_is_what_a_read_of_it_gives(runner: Runner, actor: Actor) -> None:
    name, tags = some_name("model"), {"z": "1", "a": "2"}
    runner.write(lambda session: create_model(session, actor, some_name("model"), now=5, tags=tags))  # interns the tags' names

    with count_statements(runner.database) as counted:
        made = runner.write(lambda session: create_model(session, actor, name, now=5, description="d", owner="o", tags=tags))

    assert made == runner.read(lambda session: get_model(session, actor, made.id))
    assert counted.count == {"sqlite": 7, "postgresql": 3}.get(runner.database.dialect, 8)
