"""Deployments: a model served in an environment, which version is wanted, what is the case, and who got which traffic when.

A deployment without a pinned version serves the model's newest one. traffic.py has the history of its traffic, revisions.py what
its revisions serve, deployment_users.py which versions must not go.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from registry.catalog import node_types, tagging
from registry.catalog.actors import Actor
from registry.catalog.environments import locked_environment
from registry.catalog.naming import take_name
from registry.catalog.nodes import MOVED, check_version, node_row, touch
from registry.catalog.outbox import record
from registry.catalog.pages import FIRST_PAGE, Page, Search, find_page, of_lifecycle, of_workspace
from registry.catalog.revisions import Served, served_by
from registry.catalog.subjects import DEPLOYMENTS
from registry.catalog.traffic import Shares, Traffic, add_list, checked, newest_lists, read_histories
from registry.db.session import Session
from registry.errors import AlreadyExists, InvalidArgument, NotFound, NotWritable
from registry.names import Author, DesiredState, IdPrefix, Lifecycle, NodeKind, check_name, check_text, own_id
from registry.tables.graph import contexts, tags
from registry.tables.models import deployments, environments, model_versions, registered_models


@dataclass(frozen=True)
class Deployment:
    """`model_version`: the pinned one. `shares`: the newest traffic list. `version` is the ETag."""

    id: int
    name: str
    description: str | None
    environment: int
    environment_name: str
    model: int | None
    model_name: str | None
    model_version: int | None
    model_version_number: int | None
    desired_state: DesiredState
    actual_state: str | None
    runtime: str | None
    url: str | None
    uid: str | None
    conditions: Any
    shares: Shares
    lifecycle: Lifecycle
    tags: Mapping[str, str]
    created_at: int
    updated_at: int
    version: int

    @property
    def own_id(self) -> str:
        return own_id(IdPrefix.DEPLOYMENT, self.id)


_QUERY = (
    sa.select(
        deployments,
        contexts.c.created_at,
        contexts.c.updated_at,
        contexts.c.version,
        environments.c.name.label("environment_name"),
        registered_models.c.name.label("model_name"),
        model_versions.c.number.label("model_version_number"),
    )
    .join(contexts, contexts.c.id == deployments.c.id)
    .join(environments, environments.c.id == deployments.c.environment)
    .join(registered_models, registered_models.c.id == deployments.c.model, isouter=True)
    .join(model_versions, model_versions.c.id == deployments.c.model_version, isouter=True)
)
_TEXTS = {"description": tagging.MAX_VALUE, "actual_state": 255, "runtime": 255, "url": 65_535, "uid": 255}


def create_deployment(
    session: Session,
    actor: Actor,
    name: str,
    *,
    now: int,
    environment: str,
    model: int | None = None,
    model_version: int | None = None,
    desired_state: DesiredState = DesiredState.DEPLOYED,
    conditions: Any = None,
    shares: Shares | None = None,
    tags: Mapping[str, str] | None = None,
    **texts: str | None,
) -> Deployment:
    """`environment` is a name, made on first use. `texts`: description, actual_state, runtime, url, uid.

    Raises:
        AlreadyExists: the environment has a deployment of that name.
        NotFound: the model or the version is not here, or the version is not the model's.
        NotWritable: the model or the version is deleted.
    """
    check_name(name)
    _check_texts(texts)
    home = locked_environment(session, actor, environment, now=now)
    model = _check_pin(session, actor, model, model_version)
    made = session.next_id("context")
    key = check_text(f"{home.id}:{name}", "environment and name", limit=512)
    node = node_row(made, type_id=node_types.DEPLOYMENT, workspace=actor.workspace, now=now, name=key, name_key=key)
    if not session.insert_if_absent(contexts, node):
        raise AlreadyExists("deployment", name)
    row = {
        "id": made,
        "workspace": actor.workspace,
        "environment": home.id,
        "name": name,
        "model": model,
        "model_version": model_version,
        "desired_state": desired_state,
        "conditions": _json(conditions),
        "pin_author": int(Author.CLIENT),
        "lifecycle": Lifecycle.ACTIVE,
        **{field: texts.get(field) for field in _TEXTS},
    }
    session.insert(deployments, row)
    if tags:
        tagging.set_tags(session, NodeKind.CONTEXT, {made: tags}, author=actor.author)
    if shares is not None:
        add_list(session, made, checked(session, actor, shares), now)
    after = get_deployment(session, actor, made)
    record(session, actor, "deployment.created", after.own_id, now=now, after=_audited(after))
    return after


def get_deployment(session: Session, actor: Actor, id: int) -> Deployment:
    """Deleted ones too. Raises NotFound: absent, or in another workspace."""
    row = session.first(_QUERY.where(deployments.c.id == id, deployments.c.workspace == actor.workspace))
    if row is None:
        raise NotFound("deployment", own_id(IdPrefix.DEPLOYMENT, id))
    return _rendered(session, [row])[0]


def get_deployments(session: Session, actor: Actor, ids: Sequence[int]) -> list[Deployment]:
    """In the order of `ids`, deleted ones too; those that are not here are left out."""
    return _rendered(session, session.by_ids(_QUERY.where(deployments.c.workspace == actor.workspace), deployments.c.id, ids))


def find_deployment(session: Session, actor: Actor, environment: str, name: str) -> Deployment | None:
    where = (
        deployments.c.workspace == actor.workspace,
        environments.c.name == environment,
        deployments.c.name == name,
        deployments.c.lifecycle != Lifecycle.DELETED,
    )
    row = session.first(_QUERY.where(*where))
    return None if row is None else _rendered(session, [row])[0]


def list_deployments(
    session: Session,
    actor: Actor,
    search: Search = FIRST_PAGE,
    *,
    lifecycle: Lifecycle | None = None,
    environment: int | None = None,
    model: int | None = None,
) -> Page[Deployment]:
    """Without `lifecycle` those that are not deleted; three statements whatever the size of the page. Raises as `find_page`."""
    narrower = environment is not None or model is not None
    here = of_workspace(deployments.c.workspace, actor.workspace, narrower=narrower)
    where = [here, of_lifecycle(deployments.c.lifecycle, lifecycle)]
    if environment is not None:
        where.append(deployments.c.environment == environment)
    if model is not None:
        where.append(deployments.c.model == model)
    return find_page(session, DEPLOYMENTS, where, search, rows=_QUERY, read=_rendered)


def update_deployment(
    session: Session,
    actor: Actor,
    id: int,
    *,
    now: int,
    model: int | None = None,
    model_version: int | None = None,
    unpin: bool = False,
    desired_state: DesiredState | None = None,
    conditions: Any = None,
    shares: Shares | None = None,
    expected_version: int | None = None,
    **texts: str | None,
) -> Deployment:
    """Change what is given; `unpin` lets it serve the newest version again. `texts` as for creating.

    Raises NotFound, NotWritable (deployment, model or version deleted), PreconditionFailed.
    """
    before = _locked(session, actor, id, expected_version)
    if before.lifecycle is Lifecycle.DELETED:
        raise NotWritable(f"deployment {before.own_id} is deleted: restore it first")
    _check_texts(texts)
    values: dict[str, Any] = {field: text for field, text in texts.items() if text is not None}
    if desired_state is not None:
        values["desired_state"] = desired_state
    if conditions is not None:
        values["conditions"] = _json(conditions)
    if unpin and model_version is not None:
        raise InvalidArgument("either pin a version or unpin", field="unpin")
    if model is not None or model_version is not None:
        values["model"] = _check_pin(session, actor, model, model_version)
        values["model_version"] = model_version
        values["pin_author"] = int(Author.CLIENT)
        if model_version is None and values["model"] == before.model:
            del values["model_version"]
    if unpin:
        values["model_version"] = None
        values["pin_author"] = int(Author.CLIENT)
    if shares is not None:
        add_list(session, id, checked(session, actor, shares), now)
    elif not values:
        return before
    if values:
        session.execute(sa.update(deployments).where(deployments.c.id == id).values(**values))
    touch(session, NodeKind.CONTEXT, id, now=now)
    after = get_deployment(session, actor, id)
    record(session, actor, "deployment.updated", after.own_id, now=now, before=_audited(before), after=_audited(after))
    return after


def record_traffic(session: Session, actor: Actor, id: int, shares: Shares, *, at: int, now: int) -> None:
    """Put a list at its own place in the history, also before lists that are there. The same one again changes nothing.

    Raises NotFound (deployment or a version), NotWritable, InvalidArgument (a share is none).
    """
    before = _locked(session, actor, id, None)
    if before.lifecycle is Lifecycle.DELETED:
        raise NotWritable(f"deployment {before.own_id} is deleted: restore it first")
    if add_list(session, id, checked(session, actor, shares), at):
        touch(session, NodeKind.CONTEXT, id, now=now)


def history(session: Session, actor: Actor, id: int, *, at: int | None = None) -> list[Traffic]:
    """Lists of shares by time, one equal to the one before it left out; with `at` only the one in force then, if any."""
    get_deployment(session, actor, id)
    return read_histories(session, [id], at=at).get(id, [])


def revisions_of(session: Session, actor: Actor, id: int) -> list[Served]:
    """By name and URI. Raises NotFound."""
    get_deployment(session, actor, id)
    return served_by(session, [id]).get(id, [])


def archive_deployment(session: Session, actor: Actor, id: int, *, now: int, expected_version: int | None = None) -> Deployment:
    """It is no longer live, so what it served may be deleted. Idempotent."""
    return _set_lifecycle(session, actor, id, Lifecycle.ARCHIVED, now=now, expected_version=expected_version)


def restore_deployment(session: Session, actor: Actor, id: int, *, now: int, expected_version: int | None = None) -> Deployment:
    """Idempotent.

    Raises:
        AlreadyExists: its name was taken meanwhile.
        NotWritable: the model or the version it served has been deleted.
    """
    return _set_lifecycle(session, actor, id, Lifecycle.ACTIVE, now=now, expected_version=expected_version)


def delete_deployment(session: Session, actor: Actor, id: int, *, now: int, expected_version: int | None = None) -> None:
    """Its name is free then. Idempotent."""
    _set_lifecycle(session, actor, id, Lifecycle.DELETED, now=now, expected_version=expected_version)


def _check_pin(session: Session, actor: Actor, model: int | None, version: int | None) -> int | None:
    """The model to be served, locked until the end: whoever deletes it or the version sees this deployment, or is seen."""
    if model is None and version is not None:
        model = session.scalar(sa.select(model_versions.c.model).where(model_versions.c.id == version))
        if model is None:
            raise NotFound("model version", own_id(IdPrefix.VERSION, version))
    if model is None:
        return None
    session.lock(registered_models, [model])
    here = (registered_models.c.id == model, registered_models.c.workspace == actor.workspace)
    lifecycle = session.scalar(sa.select(registered_models.c.lifecycle).where(*here))
    if lifecycle is None:
        raise NotFound("registered model", own_id(IdPrefix.MODEL, model))
    if lifecycle == Lifecycle.DELETED:
        raise NotWritable(f"registered model {own_id(IdPrefix.MODEL, model)} is deleted: restore it first")
    if version is not None:
        member = (model_versions.c.id == version, model_versions.c.model == model)
        lifecycle = session.scalar(sa.select(model_versions.c.lifecycle).where(*member))
        if lifecycle is None:
            raise NotFound("model version", own_id(IdPrefix.VERSION, version))
        if lifecycle == Lifecycle.DELETED:
            raise NotWritable(f"model version {own_id(IdPrefix.VERSION, version)} is deleted: restore it first")
    return model


def _set_lifecycle(
    session: Session, actor: Actor, id: int, lifecycle: Lifecycle, *, now: int, expected_version: int | None
) -> Deployment:
    before = _locked(session, actor, id, expected_version)
    if before.lifecycle is lifecycle:
        return before
    if before.lifecycle is Lifecycle.DELETED and lifecycle is Lifecycle.ARCHIVED:
        raise NotWritable(f"deployment {before.own_id} is deleted: restore it first")
    if lifecycle is Lifecycle.ACTIVE:
        _check_pin(session, actor, before.model, before.model_version)
    if before.lifecycle is Lifecycle.DELETED:
        take_name(session, id, f"{before.environment}:{before.name}", "deployment", before.name)
        session.execute(sa.update(contexts).where(contexts.c.id == id).values(deleted_at=None))
    elif lifecycle is Lifecycle.DELETED:
        session.execute(sa.update(contexts).where(contexts.c.id == id).values(name_key=None, deleted_at=now))
    session.execute(sa.update(deployments).where(deployments.c.id == id).values(lifecycle=lifecycle))
    touch(session, NodeKind.CONTEXT, id, now=now)
    record(session, actor, f"deployment.{MOVED[lifecycle]}", before.own_id, now=now, before=_audited(before))
    return get_deployment(session, actor, id)


def _locked(session: Session, actor: Actor, id: int, expected_version: int | None) -> Deployment:
    session.lock(deployments, [id])
    found = get_deployment(session, actor, id)
    check_version(found.version, expected_version, found.own_id)
    return found


def _check_texts(texts: Mapping[str, str | None]) -> None:
    for field, text in texts.items():
        if field not in _TEXTS:
            raise TypeError(field)  # a caller's mistake, not a client's
        check_text(text or "", field, limit=_TEXTS[field])


def _json(value: Any) -> bytes | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _audited(deployment: Deployment) -> dict[str, Any]:
    version = deployment.model_version
    return {
        "version": None if version is None else own_id(IdPrefix.VERSION, version),
        "desired_state": deployment.desired_state.name.lower(),
        "actual_state": deployment.actual_state,
    }


def _rendered(session: Session, rows: Sequence[sa.Row[tuple[Any, ...]]]) -> list[Deployment]:
    ids = [row.id for row in rows]
    found_tags = tagging.read_pairs(session, tags, NodeKind.CONTEXT, ids)
    sent = newest_lists(session, ids)
    return [
        Deployment(
            id=row.id,
            name=row.name,
            description=row.description,
            environment=row.environment,
            environment_name=row.environment_name,
            model=row.model,
            model_name=row.model_name,
            model_version=row.model_version,
            model_version_number=row.model_version_number,
            desired_state=DesiredState(row.desired_state),
            actual_state=row.actual_state,
            runtime=row.runtime,
            url=row.url,
            uid=row.uid,
            conditions=None if row.conditions is None else json.loads(row.conditions),
            shares=sent.get(row.id, ()),
            lifecycle=Lifecycle(row.lifecycle),
            tags=found_tags.get(row.id, {}),
            created_at=row.created_at,
            updated_at=row.updated_at,
            version=row.version,
        )
        for row in rows
    ]
