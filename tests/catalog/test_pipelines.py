"""Pipelines and their versions."""

import hashlib

import pytest
import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.pipelines import (
    create_pipeline,
    create_pipeline_version,
    delete_pipeline,
    find_pipeline,
    get_or_create_pipeline,
    get_pipeline,
    get_pipeline_version,
    list_pipeline_versions,
    list_pipelines,
    read_spec,
)
from registry.catalog.run_creation import create_run
from registry.db.runner import Runner
from registry.db.session import Session
from registry.errors import AlreadyExists, InUse, NotFound
from registry.names import new_run_hex
from registry.tables.runs import pipeline_versions, pipelines, runs
from tests.catalog.reporting import new_uid


def test_a_pipeline_is_found_by_name_and_its_name_is_taken(runner: Runner, actor: Actor) -> None:
    name = new_uid()
    made = runner.write(lambda session: create_pipeline(session, actor, name, now=5, description="d"))

    assert runner.read(lambda session: get_pipeline(session, actor, made.id)) == made
    assert runner.read(lambda session: find_pipeline(session, actor, name)) == made
    assert runner.write(lambda session: get_or_create_pipeline(session, actor, name, now=9)) == made
    with pytest.raises(AlreadyExists):
        runner.write(lambda session: create_pipeline(session, actor, name, now=6))
    where = pipelines.c.name == name
    assert runner.read(lambda session: list_pipelines(session, actor, where, order=[pipelines.c.id], limit=9)) == [made]


def test_a_version_keeps_its_spec_and_moves_the_pipelines_version(runner: Runner, actor: Actor) -> None:
    pipeline = runner.write(lambda session: create_pipeline(session, actor, new_uid(), now=5))
    spec = b"\x00 any bytes"

    made = runner.write(lambda session: create_pipeline_version(session, actor, pipeline.id, "v1", now=6, spec=spec))

    assert made.digest == hashlib.sha256(spec).hexdigest()
    assert runner.read(lambda session: get_pipeline_version(session, actor, made.id)) == made
    assert runner.read(lambda session: read_spec(session, actor, made.id)) == spec
    order = [pipeline_versions.c.id]
    assert runner.read(lambda session: list_pipeline_versions(session, actor, pipeline.id, order=order, limit=9)) == [made]
    assert runner.read(lambda session: get_pipeline(session, actor, pipeline.id)).version == pipeline.version + 1
    with pytest.raises(AlreadyExists):
        runner.write(lambda session: create_pipeline_version(session, actor, pipeline.id, "v1", now=7))


def test_a_pipeline_with_runs_is_not_deleted(runner: Runner, actor: Actor) -> None:
    pipeline = runner.write(lambda session: create_pipeline(session, actor, new_uid(), now=5))
    hex = new_run_hex()

    def use(session: Session) -> None:
        run = create_run(session, actor, now=1, experiment=None, hex=hex)
        session.execute(sa.update(runs).where(runs.c.id == run).values(pipeline=pipeline.id))

    runner.write(use)
    with pytest.raises(InUse) as refused:
        runner.write(lambda session: delete_pipeline(session, actor, pipeline.id, now=6))

    assert refused.value.data["dependants"] == [f"run_{hex}"]
    assert runner.read(lambda session: get_pipeline(session, actor, pipeline.id)) == pipeline


def test_a_deleted_pipeline_is_gone_with_its_versions(runner: Runner, actor: Actor) -> None:
    pipeline = runner.write(lambda session: create_pipeline(session, actor, new_uid(), now=5))
    version = runner.write(lambda session: create_pipeline_version(session, actor, pipeline.id, "v1", now=6))

    runner.write(lambda session: delete_pipeline(session, actor, pipeline.id, now=7))

    with pytest.raises(NotFound):
        runner.read(lambda session: get_pipeline(session, actor, pipeline.id))
    with pytest.raises(NotFound):
        runner.read(lambda session: get_pipeline_version(session, actor, version.id))
