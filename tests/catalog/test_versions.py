"""Model versions: numbers, names, what they show of their run, what deleting them refuses."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from registry.catalog.actors import Actor
from registry.catalog.artifacts import create_artifact, delete_artifact, update_artifact
from registry.catalog.deployments import create_deployment, update_deployment
from registry.catalog.metrics import Batch, Point, log_many
from registry.catalog.models import get_model
from registry.catalog.pages import Search
from registry.catalog.runs import Fields
from registry.catalog.targets import ANY, Target, move
from registry.catalog.version_reads import find_version, get_version, list_versions
from registry.catalog.versions import (
    archive_version,
    create_version,
    delete_version,
    delete_version_tag,
    log_to_version,
    restore_version,
    set_version_tags,
    update_version,
)
from registry.db.counting import count_statements
from registry.db.runner import Runner
from registry.errors import (
    AlreadyExists,
    Conflict,
    InUse,
    InvalidArgument,
    InvalidName,
    NotFound,
    NotWritable,
    PreconditionFailed,
)
from registry.names import DesiredState, Lifecycle, Origin, Readiness, TargetKind
from tests.catalog.registering import new_model, new_run, new_version, some_name


def test_16_writers_get_320_numbers_without_a_gap(runner: Runner, actor: Actor) -> None:
    model = new_model(runner, actor).id

    def make(_: int) -> list[int]:
        return [new_version(runner, actor, model).number for _ in range(20)]

    with ThreadPoolExecutor(16) as pool:
        numbers = sorted(number for made in pool.map(make, range(16)) for number in made)

    assert numbers == list(range(1, 321))
    assert runner.read(lambda session: get_model(session, actor, model)).last_number == 320


def test_a_number_is_never_given_again(runner: Runner, actor: Actor) -> None:
    model = new_model(runner, actor).id
    first = new_version(runner, actor, model)

    runner.write(lambda session: delete_version(session, actor, first.id, now=2))

    assert new_version(runner, actor, model).number == 2


def test_a_name_that_is_a_decimal_above_the_counter_is_the_number(runner: Runner, actor: Actor) -> None:
    model = new_model(runner, actor).id

    made = [
        runner.write(partial(create_version, actor=actor, model=model, now=1, name=name, origin=Origin.KMR))
        for name in ("7", "3", "blue", "07", "9999999999")
    ]
    made.append(new_version(runner, actor, model))

    assert [(version.name, version.number) for version in made] == [
        ("7", 7),
        ("3", 8),
        ("blue", 9),
        ("07", 10),
        ("9999999999", 11),
        ("12", 12),
    ]


def test_a_number_whose_name_is_taken_is_named_after_its_door(runner: Runner, actor: Actor) -> None:
    model = new_model(runner, actor).id
    first = new_version(runner, actor, model)
    runner.write(lambda session: update_version(session, actor, first.id, now=2, name="2"))

    second = runner.write(lambda session: create_version(session, actor, model, now=3, origin=Origin.MLFLOW))

    assert (second.number, second.name) == (2, "2.mlflow")


def test_a_taken_name_is_refused_and_uses_no_number_up(runner: Runner, actor: Actor) -> None:
    model = new_model(runner, actor).id
    runner.write(lambda session: create_version(session, actor, model, now=1, name="blue"))

    with pytest.raises(AlreadyExists):
        runner.write(lambda session: create_version(session, actor, model, now=2, name="blue"))

    assert new_version(runner, actor, model).number == 2


def test_a_name_is_as_long_as_the_model_registry_shows_it_with_the_models_id(runner: Runner, actor: Actor) -> None:
    model = new_model(runner, actor).id
    longest = "x" * (255 - len(f"{model}:"))

    runner.write(lambda session: create_version(session, actor, model, now=1, name=longest))
    with pytest.raises(InvalidName):
        runner.write(lambda session: create_version(session, actor, model, now=1, name=longest + "x"))


def test_a_version_shows_metrics_and_params_of_its_run_and_its_own_first(runner: Runner, actor: Actor) -> None:
    model, run = new_model(runner, actor).id, new_run(runner, actor)
    batch = Batch(actor.workspace, run, [Point("auc", 0.5, 1), Point("loss", 2.0, 1)], {"lr": "1", "depth": "3"})
    assert runner.write(lambda session: log_many(session, [batch])) == [None]
    made = runner.write(lambda session: create_version(session, actor, model, now=1, run=run))

    runner.write(
        lambda session: log_to_version(session, actor, made.id, points=[Point("auc", 0.9, 2)], params={"threshold": "0.5"})
    )

    found = runner.read(lambda session: get_version(session, actor, made.id))
    assert found.run == f"run_{run}"
    assert {key: point.value for key, point in found.metrics.items()} == {"auc": 0.9, "loss": 2.0}
    assert dict(found.params) == {"lr": "1", "depth": "3", "threshold": "0.5"}
    few = runner.read(lambda session: get_version(session, actor, made.id, Fields(metrics=["loss"], params=[], tags=[])))
    assert (list(few.metrics), few.params) == (["loss"], {})


def test_a_param_of_a_version_does_not_change(runner: Runner, actor: Actor) -> None:
    made = new_version(runner, actor, new_model(runner, actor).id)
    runner.write(lambda session: log_to_version(session, actor, made.id, params={"a": "1"}))

    with pytest.raises(Conflict):
        runner.write(lambda session: log_to_version(session, actor, made.id, points=[Point("m", 1.0, 1)], params={"a": "2"}))

    found = runner.read(lambda session: get_version(session, actor, made.id))
    assert (found.params, found.metrics) == ({"a": "1"}, {})


def test_location_and_digest_are_the_artifacts(runner: Runner, actor: Actor) -> None:
    model, digest = new_model(runner, actor).id, "ab" * 32
    files = runner.write(lambda session: create_artifact(session, actor, now=1, uri="s3://b/m", digest=digest))

    made = runner.write(lambda session: create_version(session, actor, model, now=1, artifact=files.id))

    assert (made.source, made.digest, made.artifact) == ("s3://b/m", digest, files.id)


def test_what_is_not_here_cannot_be_the_origin_of_a_version(runner: Runner, actor: Actor) -> None:
    model = new_model(runner, actor).id
    for wrong in ({"run": "0" * 32}, {"artifact": 999_999}):
        with pytest.raises(NotFound):
            runner.write(partial(create_version, actor=actor, model=model, now=1, **wrong))

    assert runner.read(lambda session: get_model(session, actor, model)).last_number == 0


def test_files_of_a_version_are_not_deleted_and_deleted_files_make_none(runner: Runner, actor: Actor) -> None:
    model = new_model(runner, actor).id
    files = runner.write(lambda session: create_artifact(session, actor, now=1, uri="s3://b/m"))
    made = runner.write(lambda session: create_version(session, actor, model, now=1, artifact=files.id))

    with pytest.raises(InUse) as refused:
        runner.write(lambda session: delete_artifact(session, actor, files.id, now=2))
    runner.write(lambda session: delete_version(session, actor, made.id, now=3))
    runner.write(lambda session: delete_artifact(session, actor, files.id, now=4))
    for ask in (
        lambda session: create_version(session, actor, model, now=5, artifact=files.id),
        lambda session: restore_version(session, actor, made.id, now=5),
    ):
        with pytest.raises(NotWritable):
            runner.write(ask)

    assert refused.value.data["dependants"] == [made.own_id]


def test_a_version_is_found_by_number_name_alias_and_the_words_that_are_always_there(runner: Runner, actor: Actor) -> None:
    model = new_model(runner, actor).id
    first, second = (
        runner.write(partial(create_version, actor=actor, model=model, now=1, name=name)) for name in ("blue", "green")
    )
    target = Target(TargetKind.ALIAS, model, "champion")
    runner.write(lambda session: move(session, target, first.id, expected=None, actor=actor, now=2))

    def find(**by: object) -> int | None:
        found = runner.read(lambda session: find_version(session, actor, model, **by))  # type: ignore[arg-type]
        return None if found is None else found.id

    assert [find(number=1), find(name="green"), find(alias="champion"), find(alias="latest"), find(alias="v1")] == [
        first.id,
        second.id,
        first.id,
        second.id,
        first.id,
    ]
    assert [find(number=3), find(name="Green"), find(alias="Champion"), find(alias="v3")] == [None] * 4
    with pytest.raises(InvalidArgument):
        find(number=1, name="blue")


def test_a_version_in_use_is_not_deleted(runner: Runner, actor: Actor) -> None:
    model, home = new_model(runner, actor).id, some_name("env")
    pinned, canary, free, newest = (new_version(runner, actor, model) for _ in range(4))
    first = runner.write(
        lambda session: create_deployment(
            session,
            actor,
            "pinned",
            now=1,
            environment=home,
            model_version=pinned.id,
            shares=[{"version": pinned.id, "percent": 90}, {"version": canary.id, "percent": 10}],
        )
    )
    second = runner.write(lambda session: create_deployment(session, actor, "newest", now=1, environment=home, model=model))

    for version, user in ((pinned, first), (canary, first), (newest, second)):
        with pytest.raises(InUse) as refused:
            runner.write(partial(delete_version, actor=actor, id=version.id, now=2))
        assert refused.value.data["dependants"] == [user.own_id]
    runner.write(lambda session: delete_version(session, actor, free.id, now=3))
    for user in (first, second):
        runner.write(partial(update_deployment, actor=actor, id=user.id, now=4, desired_state=DesiredState.UNDEPLOYED))
    runner.write(lambda session: delete_version(session, actor, pinned.id, now=5))

    assert [version.id for version in runner.read(lambda session: list_versions(session, actor, model=model).records)] == [
        canary.id,
        newest.id,
    ]


def test_bytes_that_are_served_are_not_overwritten(runner: Runner, actor: Actor) -> None:
    model, home = new_model(runner, actor).id, some_name("env")
    files = runner.write(lambda session: create_artifact(session, actor, now=1, uri="s3://b/m", digest="aa" * 32))
    made = runner.write(lambda session: create_version(session, actor, model, now=1, artifact=files.id))
    runner.write(lambda session: update_artifact(session, actor, files.id, now=2, digest="bb" * 32))
    before = runner.read(lambda session: get_version(session, actor, made.id))
    runner.write(lambda session: create_deployment(session, actor, "d", now=3, environment=home, model_version=made.id))

    for change in ({"digest": "cc" * 32}, {"uri": "s3://b/other"}):
        with pytest.raises(InUse):
            runner.write(partial(update_artifact, actor=actor, id=files.id, now=4, **change))  # type: ignore[arg-type]
    runner.write(lambda session: update_artifact(session, actor, files.id, now=5, uri="s3a://b/m/", description="same place"))

    assert before.digest == "bb" * 32
    assert runner.read(lambda session: get_version(session, actor, made.id)).digest == "bb" * 32


def test_deleting_takes_aliases_and_stage_along_and_restoring_does_not_bring_them_back(runner: Runner, actor: Actor) -> None:
    model = new_model(runner, actor).id
    made = new_version(runner, actor, model)
    for kind, name in ((TargetKind.ALIAS, "champion"), (TargetKind.STAGE, "Staging")):
        runner.write(partial(move, target=Target(kind, model, name), version=made.id, expected=ANY, actor=actor, now=2))

    runner.write(lambda session: delete_version(session, actor, made.id, now=3))
    runner.write(lambda session: delete_version(session, actor, made.id, now=4))
    with pytest.raises(NotWritable):
        runner.write(lambda session: update_version(session, actor, made.id, now=5, description="x"))
    restored = runner.write(lambda session: restore_version(session, actor, made.id, now=6))

    assert (restored.lifecycle, restored.aliases, restored.stage) == (Lifecycle.ACTIVE, [], None)


def test_a_deleted_versions_name_is_free_and_then_restoring_is_refused(runner: Runner, actor: Actor) -> None:
    model = new_model(runner, actor).id
    made = runner.write(lambda session: create_version(session, actor, model, now=1, name="blue"))
    runner.write(lambda session: delete_version(session, actor, made.id, now=2))
    runner.write(lambda session: create_version(session, actor, model, now=3, name="blue"))

    with pytest.raises(AlreadyExists):
        runner.write(lambda session: restore_version(session, actor, made.id, now=4))


def test_an_update_changes_what_is_given_and_a_stale_one_nothing(runner: Runner, actor: Actor) -> None:
    made = new_version(runner, actor, new_model(runner, actor).id)

    fresh = runner.write(
        lambda session: update_version(
            session, actor, made.id, now=2, name="blue", readiness=Readiness.PENDING, expected_version=made.version
        )
    )
    with pytest.raises(PreconditionFailed):
        runner.write(
            lambda session: update_version(session, actor, made.id, now=3, description="x", expected_version=made.version)
        )

    assert (fresh.name, fresh.readiness, fresh.number, fresh.description) == ("blue", Readiness.PENDING, 1, None)
    assert runner.read(lambda session: get_version(session, actor, made.id)) == fresh


def test_archiving_leaves_the_stage_alone(runner: Runner, actor: Actor) -> None:
    model = new_model(runner, actor).id
    made = new_version(runner, actor, model)
    stage = Target(TargetKind.STAGE, model, "Production")
    runner.write(lambda session: move(session, stage, made.id, expected=ANY, actor=actor, now=2))

    archived = runner.write(lambda session: archive_version(session, actor, made.id, now=3))

    assert (archived.lifecycle, archived.stage) == (Lifecycle.ARCHIVED, "Production")


def test_tags_move_the_etag(runner: Runner, actor: Actor) -> None:
    made = new_version(runner, actor, new_model(runner, actor).id)

    runner.write(lambda session: set_version_tags(session, actor, made.id, {"a": "1", "b": "2"}))
    runner.write(lambda session: delete_version_tag(session, actor, made.id, "b"))

    found = runner.read(lambda session: get_version(session, actor, made.id))
    assert (found.tags, found.version) == ({"a": "1"}, made.version + 2)


def test_a_list_takes_as_many_statements_for_2_as_for_20(runner: Runner, actor: Actor) -> None:
    model, run = new_model(runner, actor).id, new_run(runner, actor)
    for _ in range(20):
        runner.write(lambda session: create_version(session, actor, model, now=1, run=run, tags={"a": "b"}))

    with count_statements(runner.database) as two:
        runner.read(lambda session: list_versions(session, actor, Search(limit=2), model=model).records)
    with count_statements(runner.database) as twenty:
        found = runner.read(lambda session: list_versions(session, actor, Search(limit=20), model=model).records)

    assert [version.number for version in found] == list(range(1, 21))
    assert two.count == twenty.count == 7
