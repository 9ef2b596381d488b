"""Experiments: what groups runs. One is derived (`pipelines/<name>`) where a run names none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from registry.catalog import node_types, tagging
from registry.catalog.actors import Actor
from registry.catalog.naming import get_or_create, take_name
from registry.catalog.nodes import MOVED, bump, check_version, node_row, touch
from registry.catalog.outbox import record
from registry.catalog.pages import FIRST_PAGE, Page, Search, find_page, of_lifecycle
from registry.catalog.subjects import EXPERIMENTS
from registry.db.session import Session
from registry.errors import AlreadyExists, NotFound, NotWritable
from registry.filtering.subject import Subject
from registry.names import IdPrefix, Lifecycle, NodeKind, Origin, check_name, check_text, own_id
from registry.tables.graph import contexts, tags
from registry.tables.runs import experiments, runs


@dataclass(frozen=True)
class Experiment:
    id: int
    name: str
    description: str | None
    artifact_location: str | None
    lifecycle: Lifecycle
    derived: bool
    tags: Mapping[str, str]
    created_at: int
    updated_at: int
    version: int

    @property
    def own_id(self) -> str:
        return own_id(IdPrefix.EXPERIMENT, self.id)


_QUERY = sa.select(experiments, contexts.c.created_at, contexts.c.updated_at, contexts.c.version).join(
    contexts, contexts.c.id == experiments.c.id
)


def create_experiment(
    session: Session,
    actor: Actor,
    name: str,
    *,
    now: int,
    description: str | None = None,
    artifact_location: str | None = None,
    tags: Mapping[str, str] | None = None,
    origin: Origin = Origin.REST,
    derived: bool = False,
) -> Experiment:
    """Raises AlreadyExists: the name is taken, also by a deleted experiment (as in MLflow)."""
    check_name(name)
    check_text(description or "", "description", limit=tagging.MAX_VALUE)
    check_text(artifact_location or "", "artifact_location", limit=2048)
    made = session.next_id("context")
    node = node_row(made, type_id=node_types.EXPERIMENT, workspace=actor.workspace, now=now, name=name, name_key=name)
    if not session.insert_if_absent(contexts, node):
        raise AlreadyExists("experiment", name)
    session.insert(
        experiments,
        {
            "id": made,
            "workspace": actor.workspace,
            "name": name,
            "description": description,
            "artifact_location": artifact_location,
            "lifecycle": Lifecycle.ACTIVE,
            "origin": origin,
            "derived": int(derived),
        },
    )
    if tags:
        tagging_target = {made: tags}
        tagging.set_tags(session, NodeKind.CONTEXT, tagging_target, author=actor.author)
    return get_experiment(session, actor, made)


def get_or_create_experiment(session: Session, actor: Actor, name: str, *, now: int, **fields: Any) -> Experiment:
    """By name; a deleted one is returned as it is."""
    return get_or_create(
        lambda: find_experiment(session, actor, name), lambda: create_experiment(session, actor, name, now=now, **fields)
    )


def get_experiment(session: Session, actor: Actor, id: int) -> Experiment:
    """Raises NotFound: absent, or in another workspace."""
    row = session.first(_QUERY.where(experiments.c.id == id, experiments.c.workspace == actor.workspace))
    if row is None:
        raise NotFound("experiment", own_id(IdPrefix.EXPERIMENT, id))
    return _rendered(session, [row])[0]


def get_experiments(session: Session, actor: Actor, ids: Sequence[int]) -> list[Experiment]:
    """In the order of `ids`, deleted ones too; those that are not here are left out."""
    return _rendered(session, session.by_ids(_QUERY.where(experiments.c.workspace == actor.workspace), experiments.c.id, ids))


def find_experiment(session: Session, actor: Actor, name: str) -> Experiment | None:
    row = session.first(_QUERY.where(experiments.c.workspace == actor.workspace, experiments.c.name == name))
    return None if row is None else _rendered(session, [row])[0]


def list_experiments(
    session: Session, actor: Actor, search: Search = FIRST_PAGE, *, lifecycle: Lifecycle | None = None, name: str | None = None
) -> Page[Experiment]:
    """Without `lifecycle` those that are not deleted; two statements whatever the size of the page. Raises as `find_page`."""
    where = [experiments.c.workspace == actor.workspace, of_lifecycle(experiments.c.lifecycle, lifecycle)]
    if name is not None:
        where.append(experiments.c.name == name)
    return find_page(session, EXPERIMENTS, where, search, rows=_QUERY, read=_rendered)


def page_of_experiments(
    session: Session, subject: Subject, where: Sequence[sa.ColumnElement[bool]], search: Search
) -> Page[Experiment]:
    """As `list_experiments`, for a door that names the fields in its own way."""
    return find_page(session, subject, where, search, rows=_QUERY, read=_rendered)


def update_experiment(
    session: Session,
    actor: Actor,
    id: int,
    *,
    now: int,
    name: str | None = None,
    description: str | None = None,
    expected_version: int | None = None,
) -> Experiment:
    """Change what is given.

    Raises:
        PreconditionFailed: its version is not `expected_version`.
        NotWritable: it is deleted.
        AlreadyExists: the new name is taken.
    """
    session.lock(contexts, [id])
    before = get_experiment(session, actor, id)
    check_version(before.version, expected_version, before.own_id)
    if before.lifecycle is Lifecycle.DELETED:
        raise NotWritable(f"experiment {before.own_id} is deleted: restore it first")
    if name is not None and name != before.name:
        take_name(session, id, check_name(name), "experiment", name)
        session.execute(sa.update(experiments).where(experiments.c.id == id).values(name=name))
    if description is not None:
        check_text(description, "description", limit=tagging.MAX_VALUE)
        session.execute(sa.update(experiments).where(experiments.c.id == id).values(description=description))
    touch(session, NodeKind.CONTEXT, id, now=now)
    after = get_experiment(session, actor, id)
    record(session, actor, "experiment.updated", after.own_id, now=now, before={"name": before.name}, after={"name": after.name})
    return after


def set_experiment_lifecycle(session: Session, actor: Actor, id: int, lifecycle: Lifecycle, *, now: int) -> Experiment:
    """Archive, restore or delete. Deleting and restoring take the runs along (as in MLflow). Idempotent."""
    session.lock(contexts, [id])
    before = get_experiment(session, actor, id)
    if before.lifecycle is lifecycle:
        return before
    session.execute(sa.update(experiments).where(experiments.c.id == id).values(lifecycle=lifecycle))
    deleted_at = now if lifecycle is Lifecycle.DELETED else None
    members = sa.select(runs.c.id).where(runs.c.experiment == id)
    if Lifecycle.DELETED in {before.lifecycle, lifecycle}:
        session.execute(sa.update(contexts).where(contexts.c.id.in_(members)).values(deleted_at=deleted_at))
        session.execute(sa.update(runs).where(runs.c.experiment == id).values(lifecycle=lifecycle))
    session.execute(sa.update(contexts).where(contexts.c.id == id).values(deleted_at=deleted_at))
    touch(session, NodeKind.CONTEXT, id, now=now)
    record(session, actor, f"experiment.{MOVED[lifecycle]}", before.own_id, now=now)
    return get_experiment(session, actor, id)


def set_experiment_tags(session: Session, actor: Actor, id: int, tags: Mapping[str, str]) -> None:
    """Raises NotFound, NotWritable (deleted)."""
    _writable(session, actor, id)
    tagging.set_tags(session, NodeKind.CONTEXT, {id: tags}, author=actor.author)
    bump(session, NodeKind.CONTEXT, id)


def delete_experiment_tag(session: Session, actor: Actor, id: int, key: str) -> None:
    """Raises NotFound (no such experiment or tag), NotWritable (deleted)."""
    _writable(session, actor, id)
    tagging.delete_tag(session, NodeKind.CONTEXT, id, key)
    bump(session, NodeKind.CONTEXT, id)


def _writable(session: Session, actor: Actor, id: int) -> None:
    session.lock(contexts, [id])
    where = (experiments.c.id == id, experiments.c.workspace == actor.workspace)
    lifecycle = session.scalar(sa.select(experiments.c.lifecycle).where(*where))
    if lifecycle is None:
        raise NotFound("experiment", own_id(IdPrefix.EXPERIMENT, id))
    if lifecycle == Lifecycle.DELETED:
        raise NotWritable(f"experiment {own_id(IdPrefix.EXPERIMENT, id)} is deleted: restore it first")


def _rendered(session: Session, rows: Sequence[sa.Row[tuple[Any, ...]]]) -> list[Experiment]:
    found = tagging.read_pairs(session, tags, NodeKind.CONTEXT, [row.id for row in rows])
    return [
        Experiment(
            id=row.id,
            name=row.name,
            description=row.description,
            artifact_location=row.artifact_location,
            lifecycle=Lifecycle(row.lifecycle),
            derived=bool(row.derived),
            tags=found[row.id],
            created_at=row.created_at,
            updated_at=row.updated_at,
            version=row.version,
        )
        for row in rows
    ]
