"""Pipelines and their versions: what runs are made from."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.naming import get_or_create
from registry.catalog.outbox import record
from registry.catalog.tagging import MAX_VALUE
from registry.db.session import Session
from registry.errors import AlreadyExists, InUse, NotFound
from registry.names import IdPrefix, Role, check_name, check_text, own_id
from registry.tables.runs import pipeline_versions, pipelines, runs


@dataclass(frozen=True)
class Pipeline:
    id: int
    name: str
    description: str | None
    created_at: int
    version: int

    @property
    def own_id(self) -> str:
        return own_id(IdPrefix.PIPELINE, self.id)


@dataclass(frozen=True)
class PipelineVersion:
    """`digest`: sha256 of the spec as given, 64 hex characters; None without a spec."""

    id: int
    pipeline: int
    name: str
    digest: str | None
    created_at: int

    @property
    def own_id(self) -> str:
        return own_id(IdPrefix.PIPELINE_VERSION, self.id)


_PIPELINE = sa.select(pipelines.c.id, pipelines.c.name, pipelines.c.description, pipelines.c.created_at, pipelines.c.version)
_VERSION = sa.select(
    pipeline_versions.c.id,
    pipeline_versions.c.pipeline,
    pipeline_versions.c.name,
    pipeline_versions.c.digest,
    pipeline_versions.c.created_at,
)


def create_pipeline(session: Session, actor: Actor, name: str, *, now: int, description: str | None = None) -> Pipeline:
    """Raises AlreadyExists: the name is taken."""
    actor.require(Role.CONTRIBUTOR)
    check_name(name)
    check_text(description or "", "description", limit=MAX_VALUE)
    made = session.next_id("record")
    row = {
        "id": made,
        "workspace": actor.workspace,
        "name": name,
        "description": description,
        "created_at": now,
        "version": 1,
    }
    if not session.insert_if_absent(pipelines, row):
        raise AlreadyExists("pipeline", name)
    return Pipeline(made, name, description, now, 1)


def get_or_create_pipeline(session: Session, actor: Actor, name: str, *, now: int) -> Pipeline:
    return get_or_create(lambda: find_pipeline(session, actor, name), lambda: create_pipeline(session, actor, name, now=now))


def find_pipeline(session: Session, actor: Actor, name: str) -> Pipeline | None:
    row = session.first(_PIPELINE.where(pipelines.c.workspace == actor.workspace, pipelines.c.name == name))
    return None if row is None else Pipeline(**row._asdict())


def get_pipeline(session: Session, actor: Actor, id: int) -> Pipeline:
    """Raises NotFound: absent, or in another workspace."""
    row = session.first(_PIPELINE.where(pipelines.c.workspace == actor.workspace, pipelines.c.id == id))
    if row is None:
        raise NotFound("pipeline", own_id(IdPrefix.PIPELINE, id))
    return Pipeline(**row._asdict())


def list_pipelines(
    session: Session, actor: Actor, *where: sa.ColumnElement[bool], order: Sequence[Any], limit: int
) -> list[Pipeline]:
    """The page that `where` and `order` describe; one statement."""
    query = _PIPELINE.where(pipelines.c.workspace == actor.workspace, *where).order_by(*order).limit(limit)
    return [Pipeline(**row._asdict()) for row in session.all(query)]


def create_pipeline_version(
    session: Session, actor: Actor, pipeline: int, name: str, *, now: int, spec: bytes | None = None
) -> PipelineVersion:
    """Raises NotFound (no such pipeline here), AlreadyExists (the name is taken in it)."""
    actor.require(Role.CONTRIBUTOR)
    get_pipeline(session, actor, pipeline)
    check_name(name)
    digest = None if spec is None else hashlib.sha256(spec).hexdigest()
    made = session.next_id("record")
    row = {"id": made, "pipeline": pipeline, "name": name, "digest": digest, "spec": spec, "created_at": now}
    if not session.insert_if_absent(pipeline_versions, row):
        raise AlreadyExists("pipeline version", name)
    session.execute(sa.update(pipelines).where(pipelines.c.id == pipeline).values(version=pipelines.c.version + 1))
    return PipelineVersion(made, pipeline, name, digest, now)


def get_pipeline_version(session: Session, actor: Actor, id: int) -> PipelineVersion:
    """Raises NotFound."""
    joined = _VERSION.join(pipelines, pipelines.c.id == pipeline_versions.c.pipeline)
    row = session.first(joined.where(pipelines.c.workspace == actor.workspace, pipeline_versions.c.id == id))
    if row is None:
        raise NotFound("pipeline version", own_id(IdPrefix.PIPELINE_VERSION, id))
    return PipelineVersion(**row._asdict())


def read_spec(session: Session, actor: Actor, version: int) -> bytes | None:
    """As it was given. Raises NotFound."""
    get_pipeline_version(session, actor, version)
    found = session.scalar(sa.select(pipeline_versions.c.spec).where(pipeline_versions.c.id == version))
    return None if found is None else bytes(found)


def list_pipeline_versions(
    session: Session, actor: Actor, pipeline: int, *where: sa.ColumnElement[bool], order: Sequence[Any], limit: int
) -> list[PipelineVersion]:
    """Raises NotFound: no such pipeline here."""
    get_pipeline(session, actor, pipeline)
    query = _VERSION.where(pipeline_versions.c.pipeline == pipeline, *where).order_by(*order).limit(limit)
    return [PipelineVersion(**row._asdict()) for row in session.all(query)]


def delete_pipeline(session: Session, actor: Actor, id: int, *, now: int) -> None:
    """With its versions. Raises NotFound, or InUse: runs were made from it."""
    actor.require(Role.CONTRIBUTOR)
    found = get_pipeline(session, actor, id)
    users = session.scalars(sa.select(runs.c.hex).where(runs.c.pipeline == id).order_by(runs.c.id).limit(20))
    if users:
        raise InUse(f"pipeline {found.own_id} has runs", [f"run_{hex}" for hex in users])
    session.execute(sa.delete(pipeline_versions).where(pipeline_versions.c.pipeline == id))
    session.execute(sa.delete(pipelines).where(pipelines.c.id == id))
    record(session, actor, "pipeline.deleted", found.own_id, now=now, before={"name": found.name})
