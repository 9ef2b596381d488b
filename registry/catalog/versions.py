"""Making and changing versions of registered models: a number that is never given twice, files, where they come from.

Making many, and what that shares with making one, is in `version_creation.py`, reading them in `version_reads.py`.
The lock is the registered model's row: `lock_version` takes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from registry.catalog import deployment_users, tagging, targets
from registry.catalog.actors import Actor
from registry.catalog.metrics import Point, check_points, point_rows, write_points
from registry.catalog.models import lock_model
from registry.catalog.naming import take_name
from registry.catalog.nodes import MOVED, bump, check_version, touch
from registry.catalog.outbox import record
from registry.catalog.run_lookup import get_run_ref
from registry.catalog.version_creation import NewVersion, Numbered, check_texts, lock_numbers, name_key, write_versions
from registry.catalog.version_reads import ModelVersion, get_version
from registry.db.session import Session
from registry.errors import AlreadyExists, InUse, NotFound, NotWritable
from registry.names import (
    IdPrefix,
    Lifecycle,
    NodeKind,
    Origin,
    OwnerKind,
    Readiness,
    own_id,
)
from registry.tables.graph import artifacts, attributions, contexts
from registry.tables.models import model_versions, registered_models


def create_version(
    session: Session,
    actor: Actor,
    model: int,
    *,
    now: int,
    name: str | None = None,
    description: str | None = None,
    author_name: str | None = None,
    source: str | None = None,
    location: str | None = None,
    run: str | None = None,
    run_text: str | None = None,
    run_link: str | None = None,
    artifact: int | None = None,
    readiness: Readiness = Readiness.READY,
    status_message: str | None = None,
    tags: Mapping[str, str] | None = None,
    origin: Origin = Origin.REST,
) -> ModelVersion:
    """The next number of the model; `run`: 32 hex. Location and digest are the artifact's, else the source's.

    A name that is a decimal above the counter is the number; without a name the number is the name.

    Raises:
        NotFound: model, run or artifact is not here.
        NotWritable: the model is deleted.
        AlreadyExists: the model has a version of that name.
    """
    new = NewVersion(
        actor,
        model,
        now,
        name=name,
        description=description,
        author_name=author_name,
        source=source,
        location=location,
        run=run,
        run_text=run_text,
        run_link=run_link,
        readiness=readiness,
        status_message=status_message,
        tags=tags or {},
        origin=origin,
    )
    new.check()
    model_name, number = lock_numbers(session, new)
    producer = None if run is None else get_run_ref(session, actor.workspace, run, held=True)
    files = None if artifact is None else _files(session, actor, artifact)
    place = location or source if files is None else (files.uri or location or source)
    digest = None if files is None else files.digest
    wanted = Numbered(new, session.next_id("context"), number, str(number), model_name, producer, artifact, digest, place)
    made = _named(session, wanted)
    if files is not None:
        link = {"context": made.id, "artifact": artifact, "kind": files.kind, "name_key": model_name, "created_at": now}
        session.insert(attributions, link)
    return write_versions(session, [made], session.next_ids("record", 2))[0]


def _named(session: Session, wanted: Numbered) -> Numbered:
    """Without a name it is called by its number, or `<number>.<door>` where some version bears that as its free name."""
    number, name = wanted.number, wanted.new.name
    for shown in [str(number), f"{number}.{wanted.new.origin.name.lower()}"] if name is None else [name]:
        named = replace(wanted, shown=shown)
        if session.insert_if_absent(contexts, named.node()):
            return named
    raise AlreadyExists("model version", name or str(number))


def _files(session: Session, actor: Actor, artifact: int) -> sa.Row[tuple[Any, ...]]:
    where = (artifacts.c.id == artifact, artifacts.c.workspace == actor.workspace)
    query = sa.select(artifacts.c.uri, artifacts.c.digest, artifacts.c.kind, artifacts.c.deleted_at)
    session.lock(artifacts, [artifact])  # whoever deletes it looks for versions under this lock
    found = session.first(query.where(*where))
    if found is None:
        raise NotFound("artifact", own_id(IdPrefix.ARTIFACT, artifact))
    if found.deleted_at is not None:
        raise NotWritable(f"artifact {own_id(IdPrefix.ARTIFACT, artifact)} is deleted: restore it first")
    return found


def update_version(
    session: Session,
    actor: Actor,
    id: int,
    *,
    now: int,
    name: str | None = None,
    description: str | None = None,
    author_name: str | None = None,
    readiness: Readiness | None = None,
    status_message: str | None = None,
    expected_version: int | None = None,
) -> ModelVersion:
    """Change what is given; source, run and number do not change.

    Raises:
        NotFound, NotWritable (it or its model is deleted), PreconditionFailed.
        AlreadyExists: the model has a version of the new name.
    """
    before = lock_version(session, actor, id, expected_version=expected_version)
    check_texts(description=description, author_name=author_name, status_message=status_message)
    given = {
        "name": name,
        "description": description,
        "author_name": author_name,
        "readiness": readiness,
        "status_message": status_message,
    }
    changed = {key: value for key, value in given.items() if value is not None and value != getattr(before, key)}
    if not changed:
        return before
    if "name" in changed:
        _take_name(session, before, str(name))
    session.execute(sa.update(model_versions).where(model_versions.c.id == id).values(**changed))
    touch(session, NodeKind.CONTEXT, id, now=now)
    bump(session, NodeKind.CONTEXT, before.model)
    old = {key: getattr(before, key) for key in changed}
    record(session, actor, "version.updated", before.own_id, now=now, before=old, after=changed)
    return get_version(session, actor, id)


def _take_name(session: Session, version: ModelVersion, name: str) -> None:
    take_name(session, version.id, name_key(version.model, name), "model version", name)


def set_version_tags(session: Session, actor: Actor, id: int, values: Mapping[str, str]) -> None:
    """Upsert. Raises NotFound, NotWritable."""
    lock_version(session, actor, id)
    tagging.set_tags(session, NodeKind.CONTEXT, {id: values}, author=actor.author)
    bump(session, NodeKind.CONTEXT, id)


def delete_version_tag(session: Session, actor: Actor, id: int, key: str) -> None:
    """Raises NotFound (version or tag), NotWritable."""
    lock_version(session, actor, id)
    tagging.delete_tag(session, NodeKind.CONTEXT, id, key)
    bump(session, NodeKind.CONTEXT, id)


def log_to_version(
    session: Session, actor: Actor, id: int, *, points: Sequence[Point] = (), params: Mapping[str, str] | None = None
) -> None:
    """Metrics and params of the version itself. An exact repeat changes nothing.

    Raises:
        NotFound, NotWritable.
        Conflict: a param would change.
    """
    lock_version(session, actor, id)
    refused = tagging.set_params(session, NodeKind.CONTEXT, {id: params or {}}, author=actor.author)
    if refused:
        raise refused[id]
    if points:
        check_points(points)
        write_points(session, point_rows(session, OwnerKind.VERSION, [(id, 0, points)]), author=actor.author)
    bump(session, NodeKind.CONTEXT, id)


def archive_version(session: Session, actor: Actor, id: int, *, now: int, expected_version: int | None = None) -> ModelVersion:
    """Nothing of it changes but its lifecycle: stage `Archived` is another thing. Idempotent."""
    before = lock_version(session, actor, id, expected_version=expected_version)
    if before.lifecycle is Lifecycle.ARCHIVED:
        return before
    return _set_lifecycle(session, actor, before, Lifecycle.ARCHIVED, now=now)


def restore_version(session: Session, actor: Actor, id: int, *, now: int, expected_version: int | None = None) -> ModelVersion:
    """From the archive or from deletion, without the aliases and the stage it had. Idempotent.

    Raises:
        NotFound, PreconditionFailed.
        NotWritable: its model is deleted.
        AlreadyExists: its name was taken meanwhile.
    """
    before = lock_version(session, actor, id, expected_version=expected_version, deleted=True)
    if before.lifecycle is Lifecycle.ACTIVE:
        return before
    if before.lifecycle is Lifecycle.DELETED:
        if before.artifact is not None:
            _files(session, actor, before.artifact)
        _take_name(session, before, before.name)
    return _set_lifecycle(session, actor, before, Lifecycle.ACTIVE, now=now)


def delete_version(session: Session, actor: Actor, id: int, *, now: int, expected_version: int | None = None) -> None:
    """Its aliases and its stage go with it; its name is free, its number is not given again. Idempotent.

    Raises:
        NotFound, PreconditionFailed, NotWritable (its model is deleted).
        InUse: a live deployment serves it; `dependants` names them all.
    """
    before = lock_version(session, actor, id, expected_version=expected_version, deleted=True)
    if before.lifecycle is Lifecycle.DELETED:
        return
    users = deployment_users.users_of(session, [id]).get(id)
    if users:
        raise InUse(f"model version {before.own_id} is in use by {', '.join(users)}", users)
    targets.forget(session, before.model, [id], actor=actor, now=now)
    session.execute(sa.update(contexts).where(contexts.c.id == id).values(name_key=None))
    _set_lifecycle(session, actor, before, Lifecycle.DELETED, now=now)


def _set_lifecycle(session: Session, actor: Actor, version: ModelVersion, lifecycle: Lifecycle, *, now: int) -> ModelVersion:
    deleted_at = now if lifecycle is Lifecycle.DELETED else None
    session.execute(sa.update(contexts).where(contexts.c.id == version.id).values(deleted_at=deleted_at))
    session.execute(sa.update(model_versions).where(model_versions.c.id == version.id).values(lifecycle=lifecycle))
    session.execute(sa.update(registered_models).where(registered_models.c.id == version.model).values(mlflow_updated_at=now))
    touch(session, NodeKind.CONTEXT, version.id, now=now)
    bump(session, NodeKind.CONTEXT, version.model)
    before = {"model": version.model_name, "number": version.number}
    record(session, actor, f"version.{MOVED[lifecycle]}", version.own_id, now=now, before=before)
    return get_version(session, actor, version.id)


def lock_version(
    session: Session, actor: Actor, id: int, *, expected_version: int | None = None, deleted: bool = False
) -> ModelVersion:
    """The version as it is once its model's lock is held.

    Raises:
        NotFound, PreconditionFailed.
        NotWritable: its model is deleted, or it is, unless `deleted` ones are wanted too.
    """
    where = (model_versions.c.id == id, model_versions.c.workspace == actor.workspace)
    model = session.scalar(sa.select(model_versions.c.model).where(*where))
    if model is None:
        raise NotFound("model version", own_id(IdPrefix.VERSION, id))
    lock_model(session, actor, model)
    found = get_version(session, actor, id)
    check_version(found.version, expected_version, found.own_id)
    if found.lifecycle is Lifecycle.DELETED and not deleted:
        raise NotWritable(f"model version {found.own_id} is deleted: restore it first")
    return found
