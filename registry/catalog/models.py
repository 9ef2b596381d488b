"""Registered models: a name, a counter that numbers versions, aliases. The row is the lock for all that belongs to it."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from registry.catalog import deployment_users, tagging, targets
from registry.catalog.actors import Actor
from registry.catalog.model_creation import NewModel, RegisteredModel, create_models
from registry.catalog.naming import get_or_create, take_name
from registry.catalog.nodes import bump, check_version, touch
from registry.catalog.outbox import record
from registry.catalog.pages import FIRST_PAGE, Page, Search, find_page, of_lifecycle
from registry.catalog.subjects import MODELS
from registry.db.session import Session
from registry.errors import InUse, NotFound, NotWritable, RegistryError
from registry.filtering.subject import Subject
from registry.names import IdPrefix, Lifecycle, NodeKind, Origin, check_name, check_text, own_id
from registry.tables.graph import attributions, contexts, tags
from registry.tables.models import model_versions, registered_models

_QUERY = sa.select(registered_models, contexts.c.created_at, contexts.c.updated_at, contexts.c.version).join(
    contexts, contexts.c.id == registered_models.c.id
)


def create_model(
    session: Session,
    actor: Actor,
    name: str,
    *,
    now: int,
    description: str | None = None,
    owner: str | None = None,
    tags: Mapping[str, str] | None = None,
    origin: Origin = Origin.REST,
) -> RegisteredModel:
    """Raises AlreadyExists: the name is taken. A deleted model's name is free. Otherwise as `create_models`."""
    made = create_models(session, [NewModel(actor, name, now, description, owner, tags or {}, origin)])[0]
    if isinstance(made, RegistryError):
        raise made
    return made


def get_or_create_model(session: Session, actor: Actor, name: str, *, now: int, **fields: Any) -> RegisteredModel:
    """By name. However many ask at the same time, one makes it."""
    return get_or_create(lambda: find_model(session, actor, name), lambda: create_model(session, actor, name, now=now, **fields))


def get_model(session: Session, actor: Actor, id: int) -> RegisteredModel:
    """Deleted ones too. Raises NotFound: absent, or in another workspace."""
    row = session.first(_QUERY.where(registered_models.c.id == id, registered_models.c.workspace == actor.workspace))
    if row is None:
        raise NotFound("registered model", own_id(IdPrefix.MODEL, id))
    return _rendered(session, [row])[0]


def get_models(session: Session, actor: Actor, ids: Sequence[int]) -> list[RegisteredModel]:
    """In the order of `ids`, deleted ones too; those that are not here are left out."""
    return _rendered(
        session, session.by_ids(_QUERY.where(registered_models.c.workspace == actor.workspace), registered_models.c.id, ids)
    )


def find_model(session: Session, actor: Actor, name: str) -> RegisteredModel | None:
    """By name; a deleted one has none."""
    where = (
        registered_models.c.workspace == actor.workspace,
        registered_models.c.name == name,
        registered_models.c.lifecycle != Lifecycle.DELETED,
    )
    row = session.first(_QUERY.where(*where))
    return None if row is None else _rendered(session, [row])[0]


def list_models(
    session: Session, actor: Actor, search: Search = FIRST_PAGE, *, lifecycle: Lifecycle | None = None, name: str | None = None
) -> Page[RegisteredModel]:
    """Without `lifecycle` those that are not deleted; three statements whatever the size of the page. Raises as `find_page`."""
    where = [registered_models.c.workspace == actor.workspace, of_lifecycle(registered_models.c.lifecycle, lifecycle)]
    if name is not None:
        where.append(registered_models.c.name == name)
    return find_page(session, MODELS, where, search, rows=_QUERY, read=_rendered)


def page_of_models(
    session: Session, subject: Subject, where: Sequence[sa.ColumnElement[bool]], search: Search
) -> Page[RegisteredModel]:
    """As `list_models`, for a door that names the fields in its own way."""
    return find_page(session, subject, where, search, rows=_QUERY, read=_rendered)


def update_model(
    session: Session,
    actor: Actor,
    id: int,
    *,
    now: int,
    name: str | None = None,
    description: str | None = None,
    owner: str | None = None,
    expected_version: int | None = None,
) -> RegisteredModel:
    """Change what is given. A rename also renames the links to files that bore the model's old name.

    Raises:
        NotFound, NotWritable (deleted), PreconditionFailed (its version is not `expected_version`).
        AlreadyExists: the new name is taken.
    """
    before = lock_model(session, actor, id, expected_version=expected_version)
    values: dict[str, Any] = {}
    if description is not None:
        values["description"] = check_text(description, "description", limit=tagging.MAX_VALUE)
    if owner is not None:
        values["owner"] = check_text(owner, "owner", limit=512)
    if name is not None and name != before.name:
        values["name"] = check_name(name)
        _rename(session, before, name)
    changed = {key: value for key, value in values.items() if value != getattr(before, key)}
    if not changed:
        return before
    session.execute(sa.update(registered_models).where(registered_models.c.id == id).values(**changed, mlflow_updated_at=now))
    touch(session, NodeKind.CONTEXT, id, now=now)
    old = {key: getattr(before, key) for key in changed}
    record(session, actor, "model.updated", before.own_id, now=now, before=old, after=changed)
    return get_model(session, actor, id)


def _rename(session: Session, model: RegisteredModel, name: str) -> None:
    take_name(session, model.id, name, "registered model", name)
    members = sa.select(model_versions.c.id).where(model_versions.c.model == model.id)
    links = (attributions.c.context.in_(members), attributions.c.name_key == model.name)
    session.execute(sa.update(attributions).where(*links).values(name_key=name))


def set_model_tags(session: Session, actor: Actor, id: int, values: Mapping[str, str]) -> None:
    """Upsert. Raises NotFound, NotWritable."""
    lock_model(session, actor, id)
    tagging.set_tags(session, NodeKind.CONTEXT, {id: values}, author=actor.author)
    bump(session, NodeKind.CONTEXT, id)


def delete_model_tag(session: Session, actor: Actor, id: int, key: str) -> None:
    """Raises NotFound (model or tag), NotWritable."""
    lock_model(session, actor, id)
    tagging.delete_tag(session, NodeKind.CONTEXT, id, key)
    bump(session, NodeKind.CONTEXT, id)


def archive_model(session: Session, actor: Actor, id: int, *, now: int, expected_version: int | None = None) -> RegisteredModel:
    """Idempotent. Raises NotFound, NotWritable (deleted), PreconditionFailed."""
    before = lock_model(session, actor, id, expected_version=expected_version)
    if before.lifecycle is Lifecycle.ARCHIVED:
        return before
    _set_lifecycle(session, id, Lifecycle.ARCHIVED, deleted_at=None, now=now)
    record(session, actor, "model.archived", before.own_id, now=now)
    return get_model(session, actor, id)


def restore_model(session: Session, actor: Actor, id: int, *, now: int, expected_version: int | None = None) -> RegisteredModel:
    """From the archive, or from deletion with the versions that were deleted with it. Idempotent.

    Raises AlreadyExists: its name was taken meanwhile.
    """
    before = lock_model(session, actor, id, expected_version=expected_version, deleted=True)
    if before.lifecycle is Lifecycle.ACTIVE:
        return before
    if before.lifecycle is Lifecycle.DELETED:
        take_name(session, id, before.name, "registered model", before.name)
        deleted_at = session.scalar(sa.select(contexts.c.deleted_at).where(contexts.c.id == id))
        _restore_versions(session, id, deleted_at, now=now)
    _set_lifecycle(session, id, Lifecycle.ACTIVE, deleted_at=None, now=now)
    record(session, actor, "model.restored", before.own_id, now=now)
    return get_model(session, actor, id)


def delete_model(session: Session, actor: Actor, id: int, *, now: int, expected_version: int | None = None) -> None:
    """Its versions, their aliases and stages go with it; its name is free. Idempotent.

    Raises:
        NotFound, PreconditionFailed.
        InUse: a live deployment serves it or one of its versions; `dependants` names them all.
    """
    before = lock_model(session, actor, id, expected_version=expected_version, deleted=True)
    if before.lifecycle is Lifecycle.DELETED:
        return
    users = deployment_users.users_of_model(session, id)
    if users:
        raise InUse(f"registered model {before.own_id} is in use by {', '.join(users)}", users)
    live = (model_versions.c.model == id, model_versions.c.lifecycle != Lifecycle.DELETED)
    members = session.scalars(sa.select(model_versions.c.id).where(*live).order_by(model_versions.c.id))
    targets.forget(session, id, members, actor=actor, now=now)
    at = _after_the_last(session, id, now)
    gone = sa.update(contexts).where(contexts.c.id.in_([*members, id]))
    session.execute(gone.values(name_key=None, deleted_at=at, version=contexts.c.version + 1, updated_at=later(now)))
    session.execute(sa.update(model_versions).where(*live).values(lifecycle=Lifecycle.DELETED))
    session.execute(sa.update(registered_models).where(registered_models.c.id == id).values(lifecycle=Lifecycle.DELETED))
    own = [own_id(IdPrefix.VERSION, member) for member in members]
    record(session, actor, "model.deleted", before.own_id, now=now, before={"name": before.name, "versions": own})


def _after_the_last(session: Session, model: int, now: int) -> int:
    """A time that no version deleted earlier has: restoring brings back those of this time only."""
    members = sa.select(model_versions.c.id).where(model_versions.c.model == model)
    last = session.scalar(sa.select(sa.func.max(contexts.c.deleted_at)).where(contexts.c.id.in_(members)))
    return now if last is None else max(now, int(last) + 1)


def _restore_versions(session: Session, model: int, deleted_at: int, *, now: int) -> None:
    members = sa.select(model_versions.c.id).where(model_versions.c.model == model)
    gone = session.scalars(sa.select(contexts.c.id).where(contexts.c.id.in_(members), contexts.c.deleted_at == deleted_at))
    back = sa.update(contexts).where(contexts.c.id.in_(gone))
    session.execute(back.values(name_key=contexts.c.name, deleted_at=None, version=contexts.c.version + 1, updated_at=later(now)))
    session.execute(sa.update(model_versions).where(model_versions.c.id.in_(gone)).values(lifecycle=Lifecycle.ACTIVE))


def later(now: int) -> sa.ColumnElement[int]:
    """What `nodes.touch` makes of `updated_at`, for changes of many contexts at once."""
    return sa.case((contexts.c.updated_at >= now, contexts.c.updated_at + 1), else_=now)


def _set_lifecycle(session: Session, id: int, lifecycle: Lifecycle, *, deleted_at: int | None, now: int) -> None:
    session.execute(sa.update(registered_models).where(registered_models.c.id == id).values(lifecycle=lifecycle))
    session.execute(sa.update(contexts).where(contexts.c.id == id).values(deleted_at=deleted_at))
    touch(session, NodeKind.CONTEXT, id, now=now)


def lock_model(
    session: Session, actor: Actor, id: int, *, expected_version: int | None = None, deleted: bool = False
) -> RegisteredModel:
    """The model as it is once its lock is held; changes of its versions, aliases and stages wait for it too.

    Raises:
        NotFound, PreconditionFailed.
        NotWritable: it is deleted, unless `deleted` ones are wanted too.
    """
    session.lock(registered_models, [id])
    found = get_model(session, actor, id)
    check_version(found.version, expected_version, found.own_id)
    if found.lifecycle is Lifecycle.DELETED and not deleted:
        raise NotWritable(f"registered model {found.own_id} is deleted: restore it first")
    return found


def _rendered(session: Session, rows: Sequence[sa.Row[tuple[Any, ...]]]) -> list[RegisteredModel]:
    ids = [row.id for row in rows]
    found_tags = tagging.read_pairs(session, tags, NodeKind.CONTEXT, ids)
    found_aliases = targets.aliases_of_models(session, ids)
    return [
        RegisteredModel(
            id=row.id,
            name=row.name,
            description=row.description,
            owner=row.owner,
            last_number=row.last_number,
            lifecycle=Lifecycle(row.lifecycle),
            origin=Origin(row.origin),
            aliases=found_aliases.get(row.id, {}),
            tags=found_tags.get(row.id, {}),
            created_at=row.created_at,
            updated_at=row.updated_at,
            mlflow_updated_at=row.mlflow_updated_at,
            version=row.version,
        )
        for row in rows
    ]
