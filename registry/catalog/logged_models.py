"""Logged models of MLflow: a model's files as a run made them, before anybody registers them. Each is an artifact.

Its id outside is `m-<32 hex>`; its tags and params are the artifact's, its metrics series of its own (`logged_model_metrics.py`).
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from registry.catalog import deployment_users, node_types, tagging
from registry.catalog.actors import Actor
from registry.catalog.artifacts import location_hash
from registry.catalog.logged_model_metrics import ModelPoint, points_of
from registry.catalog.nodes import artifact_row, bump, touch
from registry.catalog.outbox import record
from registry.catalog.places import Places
from registry.catalog.runs import parent_of
from registry.db.session import Session
from registry.errors import InUse, NotFound, NotWritable
from registry.names import ArtifactKind, IdPrefix, Lifecycle, NodeKind, Readiness, check_name, check_text, own_id
from registry.tables.graph import artifacts, params, tags
from registry.tables.models import logged_models, model_versions
from registry.tables.runs import experiments, runs
from storage.locations import under

VERSIONS_TAG = "mlflow.modelVersions"
"""Of a logged model: which versions it was registered as, as JSON."""


@dataclass(frozen=True)
class LoggedModel:
    """`id` is the artifact's. `run` is the 32 hex of the run that made it, or the text that a client called it by."""

    id: int
    model_id: str
    experiment: int
    name: str
    model_type: str | None
    run: str | None
    uri: str
    readiness: Readiness
    lifecycle: Lifecycle
    created_at: int
    updated_at: int
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Sequence[ModelPoint]


HEADS = (
    sa.select(
        logged_models,
        artifacts.c.uri,
        artifacts.c.readiness,
        artifacts.c.deleted_at,
        artifacts.c.created_at,
        artifacts.c.updated_at,
        runs.c.hex.label("run_hex"),
    )
    .join(artifacts, artifacts.c.id == logged_models.c.id)
    .join(runs, runs.c.id == logged_models.c.run, isouter=True)
)


def create_logged_model(
    session: Session,
    actor: Actor,
    places: Places,
    name: str,
    *,
    now: int,
    experiment: int,
    model_type: str | None = None,
    run_id: str | None = None,
    params: Mapping[str, str],
    tags: Mapping[str, str],
) -> LoggedModel:
    """Its files are not there yet: readiness PENDING. `run_id`: what the client calls the run that makes it, whatever it is.

    Raises:
        NotFound, NotWritable: the experiment is not here, or deleted.
        InvalidArgument: a text too long.
    """
    check_name(name)
    check_text(model_type or "", "model_type", limit=512)
    check_text(run_id or "", "source_run_id", limit=512)
    location = _location(session, actor, experiment)
    made, model_id = session.next_id("artifact"), f"m-{uuid.uuid4().hex}"
    uri = places.recorded(under(location, f"models/{model_id}/artifacts"))
    run = parent_of(session, actor, run_id, held=True)
    node = artifact_row(
        made,
        type_id=node_types.LOGGED_MODEL,
        workspace=actor.workspace,
        now=now,
        kind=ArtifactKind.LOGGED_MODEL,
        author=actor.author,
        uri=uri,
        location_hash=location_hash(uri),
        display_name=name,
        readiness=Readiness.PENDING,
    )
    session.insert(artifacts, node)
    row = {
        "id": made,
        "workspace": actor.workspace,
        "model_id": model_id,
        "experiment": experiment,
        "name": name,
        "model_type": model_type,
        "run": run,
        "run_text": run_id if run is None else None,
    }
    session.insert(logged_models, row)
    _set_params(session, actor, made, params)
    tagging.set_tags(session, NodeKind.ARTIFACT, {made: tags}, author=actor.author)
    return get_logged_model(session, actor, model_id)


def _location(session: Session, actor: Actor, experiment: int) -> str:
    where = (experiments.c.id == experiment, experiments.c.workspace == actor.workspace)
    found = session.first(sa.select(experiments.c.lifecycle, experiments.c.artifact_location).where(*where))
    if found is None:
        raise NotFound("experiment", own_id(IdPrefix.EXPERIMENT, experiment))
    if found.lifecycle == Lifecycle.DELETED:
        raise NotWritable(f"experiment {own_id(IdPrefix.EXPERIMENT, experiment)} is deleted: restore it first")
    return str(found.artifact_location or f"{actor.workspace_name}/{experiment}").rstrip("/")


def get_logged_model(session: Session, actor: Actor, model_id: str, *, deleted: bool = False) -> LoggedModel:
    """Four statements. Raises NotFound: absent, in another workspace, or deleted, unless `deleted` ones are wanted too."""
    query = HEADS.where(logged_models.c.workspace == actor.workspace, logged_models.c.model_id == model_id)
    row = session.first(query if deleted else query.where(artifacts.c.deleted_at.is_(None)))
    if row is None:
        raise NotFound("logged model", model_id)
    return with_values(session, [row])[0]


def find_ids(session: Session, actor: Actor, model_ids: Sequence[str]) -> dict[str, int]:
    """The artifacts of those that are here and not deleted."""
    here = (logged_models.c.workspace == actor.workspace, logged_models.c.model_id.in_(model_ids))
    query = sa.select(logged_models.c.model_id, logged_models.c.id).join(artifacts, artifacts.c.id == logged_models.c.id)
    rows = session.all(query.where(*here, artifacts.c.deleted_at.is_(None))) if model_ids else []
    return {row.model_id: row.id for row in rows}


def set_readiness(session: Session, actor: Actor, model_id: str, readiness: Readiness, *, now: int) -> LoggedModel:
    """Its files are there, or will never be. Idempotent. Raises NotFound."""
    before = _lock(session, actor, model_id)
    if before.readiness is not readiness:
        session.execute(sa.update(artifacts).where(artifacts.c.id == before.id).values(readiness=readiness))
        touch(session, NodeKind.ARTIFACT, before.id, now=now)
    return get_logged_model(session, actor, model_id)


def delete_logged_model(session: Session, actor: Actor, model_id: str, *, now: int) -> None:
    """The record, never the bytes; versions that have its files keep them. Idempotent.

    Raises:
        NotFound.
        InUse: a live deployment serves a version that has its files; `dependants` names them all.
    """
    before = _lock(session, actor, model_id, deleted=True)
    if before.lifecycle is Lifecycle.DELETED:
        return
    held = (model_versions.c.artifact == before.id, model_versions.c.lifecycle != Lifecycle.DELETED)
    used = deployment_users.users_of(session, session.scalars(sa.select(model_versions.c.id).where(*held)))
    users = sorted({user for found in used.values() for user in found})
    if users:
        raise InUse(f"logged model {model_id} is in use by {', '.join(users)}", users)
    session.execute(sa.update(artifacts).where(artifacts.c.id == before.id).values(deleted_at=now))
    touch(session, NodeKind.ARTIFACT, before.id, now=now)
    own = own_id(IdPrefix.ARTIFACT, before.id)
    record(session, actor, "artifact.deleted", own, now=now, before={"uri": before.uri, "digest": None})


def set_logged_model_tags(session: Session, actor: Actor, model_id: str, values: Mapping[str, str]) -> None:
    """Upsert. Raises NotFound."""
    id = _lock(session, actor, model_id).id
    tagging.set_tags(session, NodeKind.ARTIFACT, {id: values}, author=actor.author)
    bump(session, NodeKind.ARTIFACT, id)


def delete_logged_model_tag(session: Session, actor: Actor, model_id: str, key: str) -> None:
    """Raises NotFound (model or tag)."""
    id = _lock(session, actor, model_id).id
    tagging.delete_tag(session, NodeKind.ARTIFACT, id, key)
    bump(session, NodeKind.ARTIFACT, id)


def log_logged_model_params(session: Session, actor: Actor, model_id: str, values: Mapping[str, str]) -> None:
    """The same value again is fine. Raises NotFound, Conflict (a param would change)."""
    id = _lock(session, actor, model_id).id
    _set_params(session, actor, id, values)
    bump(session, NodeKind.ARTIFACT, id)


def note_registered(session: Session, actor: Actor, model_id: str, name: str, number: int) -> None:
    """Tell the logged model which version it has become. Idempotent."""
    before = _lock(session, actor, model_id).tags.get(VERSIONS_TAG)
    try:
        known = json.loads(before or "[]")
    except ValueError:  # a client's own text
        known = []
    entry = {"name": name, "version": number}
    if isinstance(known, list) and entry not in known:
        set_logged_model_tags(session, actor, model_id, {VERSIONS_TAG: json.dumps([*known, entry])})


def _set_params(session: Session, actor: Actor, id: int, values: Mapping[str, str]) -> None:
    refused = tagging.set_params(session, NodeKind.ARTIFACT, {id: values}, author=actor.author)
    if refused:
        raise refused[id]


def _lock(session: Session, actor: Actor, model_id: str, *, deleted: bool = False) -> LoggedModel:
    found = get_logged_model(session, actor, model_id, deleted=deleted)
    session.lock(artifacts, [found.id])
    return found if session.dialect == "sqlite" else get_logged_model(session, actor, model_id, deleted=deleted)


def with_values(session: Session, rows: Sequence[sa.Row[tuple[Any, ...]]]) -> list[LoggedModel]:
    """The models of rows of `HEADS`; three statements."""
    ids = [row.id for row in rows]
    found_tags = tagging.read_pairs(session, tags, NodeKind.ARTIFACT, ids)
    found_params = tagging.read_pairs(session, params, NodeKind.ARTIFACT, ids)
    metrics = points_of(session, ids)
    return [
        LoggedModel(
            id=row.id,
            model_id=row.model_id,
            experiment=row.experiment,
            name=row.name,
            model_type=row.model_type,
            run=row.run_hex or row.run_text,
            uri=row.uri,
            readiness=Readiness(row.readiness or Readiness.READY),
            lifecycle=Lifecycle.ACTIVE if row.deleted_at is None else Lifecycle.DELETED,
            created_at=row.created_at,
            updated_at=row.updated_at,
            tags=found_tags.get(row.id, {}),
            params=found_params.get(row.id, {}),
            metrics=metrics.get(row.id, []),
        )
        for row in rows
    ]
