"""Registering in one call: where the files come from, and nothing of it where a part is refused."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from registry.catalog.actors import Actor
from registry.catalog.artifacts import create_artifact, find_artifact
from registry.catalog.models import find_model, get_model
from registry.catalog.registering import register
from registry.catalog.targets import list_moves
from registry.catalog.uses import link, list_uses
from registry.catalog.workspaces import get_or_create_workspace
from registry.db.runner import Runner
from registry.errors import InvalidArgument, InvalidName, NotFound
from registry.names import ArtifactKind, EventType, Readiness, new_run_hex
from tests.catalog.registering import new_run, some_name


def an_output(runner: Runner, actor: Actor, run: str, port: str, uri: str) -> int:
    made = runner.write(lambda session: create_artifact(session, actor, now=1, uri=uri, digest="ab" * 32))
    runner.write(lambda session: link(session, actor, made.id, run, EventType.OUTPUT, now=1, port=port))
    return made.id


def test_from_a_runs_output_with_alias_and_stage(runner: Runner, actor: Actor) -> None:
    run, name = new_run(runner, actor), some_name("model")
    files = an_output(runner, actor, run, "model", "s3://b/m")

    made = runner.write(
        lambda session: register(
            session, actor, name, now=2, run=run, output="model", alias="champion", stage="Staging", tags={"a": "b"}
        )
    )

    assert (made.model_name, made.number, made.artifact, made.run) == (name, 1, files, f"run_{run}")
    assert (made.source, made.digest, made.aliases, made.stage) == ("s3://b/m", "ab" * 32, ["champion"], "Staging")
    assert made.tags == {"a": "b"}
    assert len(runner.read(lambda session: list_moves(session, actor, made.model))) == 2


def test_from_an_upload_the_producer_is_the_artifacts(runner: Runner, actor: Actor) -> None:
    run, name = new_run(runner, actor), some_name("model")
    made_by_run = an_output(runner, actor, run, "model", "s3://b/m")
    loose = runner.write(lambda session: create_artifact(session, actor, now=1, readiness=Readiness.PENDING)).id

    first = runner.write(lambda session: register(session, actor, name, now=2, artifact=made_by_run))
    second = runner.write(lambda session: register(session, actor, name, now=2, artifact=loose))

    assert (first.run, first.number, first.readiness) == (f"run_{run}", 1, Readiness.READY)
    assert (second.run, second.number, second.readiness) == (None, 2, Readiness.PENDING)


def test_from_a_uri_the_artifact_there_is_taken_or_made(runner: Runner, actor: Actor) -> None:
    key, name = new_run_hex(), some_name("model")

    first = runner.write(lambda session: register(session, actor, name, now=2, uri=f"s3://b/{key}"))
    second = runner.write(lambda session: register(session, actor, name, now=2, uri=f"minio://b/{key}/"))

    files = runner.read(lambda session: find_artifact(session, actor, f"s3://b/{key}"))
    assert files is not None
    assert files.kind is ArtifactKind.MODEL
    assert first.artifact == second.artifact == files.id
    assert (first.source, second.source) == (f"s3://b/{key}", f"minio://b/{key}/")


def test_from_a_uri_of_a_run_it_becomes_the_runs_output_once(runner: Runner, actor: Actor) -> None:
    run, name, uri = new_run(runner, actor), some_name("model"), f"s3://b/{new_run_hex()}"

    made = [runner.write(lambda session: register(session, actor, name, now=2, uri=uri, run=run)) for _ in range(2)]

    uses = runner.read(lambda session: list_uses(session, actor, run))
    assert [(use.artifact.id, use.type) for _, use in uses] == [(made[0].artifact, EventType.OUTPUT)]
    assert made[1].artifact == made[0].artifact
    assert {version.run for version in made} == {f"run_{run}"}


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"uri": "s3://b/k", "artifact": 1},
        {"output": "model"},
        {"uri": "s3://b/k", "alias": "latest"},
        {"uri": "s3://b/k", "version_name": "x" * 300},
    ],
)
def test_a_part_that_is_wrong_leaves_nothing_of_the_call(runner: Runner, actor: Actor, wrong: dict[str, object]) -> None:
    name = some_name("model")

    with pytest.raises(InvalidArgument):
        runner.write(partial(register, actor=actor, name=name, now=2, **wrong))  # type: ignore[arg-type]

    assert runner.read(lambda session: find_model(session, actor, name)) is None


def test_a_refused_alias_takes_the_number_back(runner: Runner, actor: Actor) -> None:
    name = some_name("model")
    made = runner.write(lambda session: register(session, actor, name, now=2, uri="s3://b/k"))

    with pytest.raises(InvalidName):
        runner.write(lambda session: register(session, actor, name, now=2, uri="s3://b/k", alias="v1"))

    assert runner.read(lambda session: get_model(session, actor, made.model)).last_number == 1


def test_an_output_is_found_by_its_name_in_the_run_only(runner: Runner, actor: Actor) -> None:
    run, other, name = new_run(runner, actor), new_run(runner, actor), some_name("model")
    an_output(runner, actor, run, "model", "s3://b/m")
    an_output(runner, actor, other, "twice", "s3://b/1")
    an_output(runner, actor, other, "twice", "s3://b/2")

    with pytest.raises(NotFound):
        runner.write(lambda session: register(session, actor, name, now=2, run=other, output="model"))
    with pytest.raises(InvalidArgument):
        runner.write(lambda session: register(session, actor, name, now=2, run=other, output="twice"))


def test_another_workspaces_run_and_artifact_are_not_found(runner: Runner, actor: Actor) -> None:
    elsewhere = runner.write(lambda session: get_or_create_workspace(session, "elsewhere", now=1))
    stranger = dataclasses.replace(actor, workspace=elsewhere, workspace_name="elsewhere")
    run = new_run(runner, actor)
    files = an_output(runner, actor, run, "model", "s3://b/m")

    for wrong in ({"artifact": files}, {"run": run, "output": "model"}, {"run": run, "uri": "s3://b/m"}):
        with pytest.raises(NotFound):
            runner.write(partial(register, actor=stranger, name="m", now=2, **wrong))


def test_16_writers_who_register_under_one_new_name_share_one_model(runner: Runner, actor: Actor) -> None:
    name = some_name("model")

    def work(number: int) -> list[tuple[int, int]]:
        made = [
            runner.write(partial(register, actor=actor, name=name, now=2, uri=f"s3://b/{number}/{turn}", alias="newest"))
            for turn in range(20)
        ]
        return [(version.model, version.number) for version in made]

    with ThreadPoolExecutor(16) as pool:
        made = [entry for entries in pool.map(work, range(16)) for entry in entries]

    assert len({model for model, _ in made}) == 1
    assert sorted(number for _, number in made) == list(range(1, 321))
