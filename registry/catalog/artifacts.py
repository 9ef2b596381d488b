"""Artifacts: files and what is known of them. Records of different sources meet in the normalised location.

Which run read or wrote one is in `uses.py`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from registry.catalog import deployment_users, node_types, tagging
from registry.catalog.actors import INSTALL, Actor
from registry.catalog.keys import find_alias
from registry.catalog.nodes import artifact_row, bump, check_version, folder_hash, touch
from registry.catalog.outbox import record
from registry.catalog.pages import FIRST_PAGE, Page, Search, find_page
from registry.catalog.subjects import ARTIFACTS
from registry.db.session import Session
from registry.errors import InUse, InvalidArgument, NotFound, NotWritable
from registry.names import (
    ArtifactKind,
    IdPrefix,
    Lifecycle,
    NodeKind,
    Readiness,
    check_text,
    own_id,
    sha256,
)
from registry.tables.graph import artifacts, tags
from registry.tables.models import model_versions
from storage.locations import normalise_uri

TYPES = {
    ArtifactKind.OTHER: node_types.ARTIFACT,
    ArtifactKind.MODEL: node_types.MODEL_ARTIFACT,
    ArtifactKind.DATASET: node_types.DATASET,
    ArtifactKind.DOC: node_types.DOC_ARTIFACT,
    ArtifactKind.LOGGED_MODEL: node_types.LOGGED_MODEL,
}
MAX_URI = 65_535
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TEXTS = {"uri": MAX_URI, "media_type": 255, "display_name": 512, "description": tagging.MAX_VALUE}


@dataclass(frozen=True)
class Artifact:
    """`digest`: sha256 of the bytes, None while unverified. `step`: the execution that made it. `version` is the ETag."""

    id: int
    kind: ArtifactKind
    name: str | None
    display_name: str | None
    description: str | None
    uri: str | None
    digest: str | None
    size_bytes: int | None
    media_type: str | None
    readiness: Readiness
    lifecycle: Lifecycle
    step: int | None
    port: str | None
    tags: Mapping[str, str]
    created_at: int
    updated_at: int
    version: int

    @property
    def own_id(self) -> str:
        return own_id(IdPrefix.ARTIFACT, self.id)


def location_hash(uri: str | None) -> str | None:
    """What equal locations have in common, however they are spelt."""
    return None if uri is None else sha256(normalise_uri(uri))


def create_artifact(session: Session, actor: Actor, *, now: int, **fields: Any) -> Artifact:
    """Two equal calls make two artifacts; `fields` are those of `add_artifact`. Raises InvalidArgument as that."""
    return get_artifact(session, actor, add_artifact(session, actor, now=now, **fields))


def add_artifact(
    session: Session,
    actor: Actor,
    *,
    now: int,
    kind: ArtifactKind = ArtifactKind.OTHER,
    uri: str | None = None,
    digest: str | None = None,
    size_bytes: int | None = None,
    media_type: str | None = None,
    display_name: str | None = None,
    description: str | None = None,
    readiness: Readiness = Readiness.READY,
    tags: Mapping[str, str] | None = None,
) -> int:
    """Make one and return its id. Raises InvalidArgument: a digest or size that cannot be one."""
    values = {
        "uri": uri,
        "digest": digest,
        "size_bytes": size_bytes,
        "media_type": media_type,
        "display_name": display_name,
        "description": description,
    }
    _check(values)
    made = session.next_id("artifact")
    row = artifact_row(
        made,
        type_id=TYPES[kind],
        workspace=actor.workspace,
        now=now,
        kind=kind,
        author=actor.author,
        location_hash=location_hash(uri),
        readiness=readiness,
        **values,
    )
    session.insert(artifacts, row)
    if tags:
        tagging.set_tags(session, NodeKind.ARTIFACT, {made: tags}, author=actor.author)
    return made


def get_artifact(session: Session, actor: Actor, id: int, *, shared: bool = True) -> Artifact:
    """Deleted ones too, and what the whole installation has, unless not `shared`.

    Raises NotFound: absent, or in another workspace.
    """
    found = get_artifacts(session, actor, [id], shared=shared)
    if not found:  # an id from before a merge
        other = find_alias(session, NodeKind.ARTIFACT, id)
        found = [] if other is None else get_artifacts(session, actor, [other], shared=shared)
    if not found:
        raise NotFound("artifact", own_id(IdPrefix.ARTIFACT, id))
    return found[0]


def get_artifacts(session: Session, actor: Actor, ids: Sequence[int], *, shared: bool = True) -> list[Artifact]:
    """In the order of `ids`, those that are not here left out; two statements."""
    homes = [actor.workspace, INSTALL] if shared else [actor.workspace]
    return _rendered(session, session.by_ids(sa.select(artifacts).where(artifacts.c.workspace.in_(homes)), artifacts.c.id, ids))


def find_artifact(session: Session, actor: Actor, uri: str, *, kind: ArtifactKind | None = None) -> Artifact | None:
    """The first one made at this location, however it is spelt; no deleted ones."""
    query = sa.select(artifacts).where(*_live_at(actor, uri))
    if kind is not None:
        query = query.where(artifacts.c.kind == kind)
    row = session.first(query.order_by(artifacts.c.id).limit(1))
    return None if row is None else _rendered(session, [row])[0]


def find_artifact_id(session: Session, actor: Actor, uri: str) -> int | None:
    """As `find_artifact`, of any kind. One statement."""
    query = sa.select(artifacts.c.id).where(*_live_at(actor, uri)).order_by(artifacts.c.id).limit(1)
    found: int | None = session.scalar(query)
    return found


def _live_at(actor: Actor, uri: str) -> Sequence[sa.ColumnElement[bool]]:
    here = artifacts.c.location_hash == location_hash(uri)
    return here, artifacts.c.workspace == actor.workspace, artifacts.c.deleted_at.is_(None)


def list_artifacts(
    session: Session, actor: Actor, search: Search = FIRST_PAGE, *, kind: ArtifactKind | None = None, deleted: bool = False
) -> Page[Artifact]:
    """`deleted` ones too; two statements whatever the size of the page. Raises as `find_page`."""
    where = [artifacts.c.workspace == actor.workspace]
    if kind is not None:
        where.append(artifacts.c.kind == kind)
    if not deleted:
        where.append(artifacts.c.deleted_at.is_(None))
    return find_page(session, ARTIFACTS, where, search, rows=sa.select(artifacts), read=_rendered)


def update_artifact(
    session: Session,
    actor: Actor,
    id: int,
    *,
    now: int,
    uri: str | None = None,
    digest: str | None = None,
    size_bytes: int | None = None,
    media_type: str | None = None,
    display_name: str | None = None,
    description: str | None = None,
    readiness: Readiness | None = None,
    expected_version: int | None = None,
) -> Artifact:
    """Change what is given.

    Raises:
        NotFound, NotWritable (deleted), PreconditionFailed.
        InUse: it would be other bytes, and a live deployment serves a version that has them.
    """
    before = lock_artifact(session, actor, id, expected_version)
    id = before.id
    given = {
        "uri": uri,
        "digest": digest,
        "size_bytes": size_bytes,
        "media_type": media_type,
        "display_name": display_name,
        "description": description,
        "readiness": readiness,
    }
    changed: dict[str, Any] = {key: value for key, value in given.items() if value is not None and value != getattr(before, key)}
    if not changed:
        return before
    _check(changed)
    if _is_overwrite(before, changed):
        _refuse_in_use(session, before)
        old = {key: getattr(before, key) for key in ("uri", "digest")}
        record(session, actor, "artifact.overwritten", before.own_id, now=now, before=old, after=old | _only(changed, old))
    if "uri" in changed:
        changed |= {"location_hash": location_hash(uri), "folder_hash": folder_hash(uri)}
    session.execute(sa.update(artifacts).where(artifacts.c.id == id).values(**changed))
    if "digest" in changed:
        session.execute(sa.update(model_versions).where(model_versions.c.artifact == id).values(digest=digest))
    touch(session, NodeKind.ARTIFACT, id, now=now)
    return get_artifact(session, actor, id)


def _is_overwrite(before: Artifact, changed: Mapping[str, Any]) -> bool:
    """A first digest says what the bytes are; another one, or another place, makes them others."""
    moved = "uri" in changed and before.uri is not None and location_hash(changed["uri"]) != location_hash(before.uri)
    return moved or ("digest" in changed and before.digest is not None)


def _only(values: Mapping[str, Any], keys: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key in keys}


def _refuse_in_use(session: Session, artifact: Artifact) -> None:
    held = (model_versions.c.artifact == artifact.id, model_versions.c.lifecycle != Lifecycle.DELETED)
    used = deployment_users.users_of(session, session.scalars(sa.select(model_versions.c.id).where(*held)))
    users = sorted({user for found in used.values() for user in found})
    if users:
        raise InUse(f"artifact {artifact.own_id} is in use by {', '.join(users)}", users)


def set_artifact_tags(session: Session, actor: Actor, id: int, values: Mapping[str, str]) -> None:
    """Upsert. Raises NotFound, NotWritable."""
    id = lock_artifact(session, actor, id, None).id
    tagging.set_tags(session, NodeKind.ARTIFACT, {id: values}, author=actor.author)
    bump(session, NodeKind.ARTIFACT, id)


def delete_artifact_tag(session: Session, actor: Actor, id: int, key: str) -> None:
    """Raises NotFound (artifact or tag), NotWritable."""
    id = lock_artifact(session, actor, id, None).id
    tagging.delete_tag(session, NodeKind.ARTIFACT, id, key)
    bump(session, NodeKind.ARTIFACT, id)


def delete_artifact(session: Session, actor: Actor, id: int, *, now: int, expected_version: int | None = None) -> None:
    """The record, never the bytes: lineage goes on naming it. Idempotent.

    Raises InUse: a version has its files; `dependants` names them all.
    """
    before = lock_artifact(session, actor, id, expected_version, deleted=True)
    id = before.id
    if before.lifecycle is Lifecycle.DELETED:
        return
    held = (model_versions.c.artifact == id, model_versions.c.lifecycle != Lifecycle.DELETED)
    query = sa.select(model_versions.c.id).where(*held).order_by(model_versions.c.id)
    users = [own_id(IdPrefix.VERSION, version) for version in session.scalars(query)]
    if users:
        raise InUse(f"artifact {before.own_id} has the files of {', '.join(users)}", users)
    session.execute(sa.update(artifacts).where(artifacts.c.id == id).values(deleted_at=now))
    touch(session, NodeKind.ARTIFACT, id, now=now)
    record(session, actor, "artifact.deleted", before.own_id, now=now, before={"uri": before.uri, "digest": before.digest})


def restore_artifact(session: Session, actor: Actor, id: int, *, now: int, expected_version: int | None = None) -> Artifact:
    """Idempotent."""
    before = lock_artifact(session, actor, id, expected_version, deleted=True)
    id = before.id
    if before.lifecycle is Lifecycle.ACTIVE:
        return before
    session.execute(sa.update(artifacts).where(artifacts.c.id == id).values(deleted_at=None))
    touch(session, NodeKind.ARTIFACT, id, now=now)
    record(session, actor, "artifact.restored", before.own_id, now=now)
    return get_artifact(session, actor, id)


def _check(values: Mapping[str, Any]) -> None:
    for field, limit in _TEXTS.items():
        check_text(values.get(field) or "", field, limit=limit)
    digest, size = values.get("digest"), values.get("size_bytes")
    if digest is not None and not _DIGEST.fullmatch(digest):
        raise InvalidArgument("digest must be a sha256 of 64 lowercase hex characters", field="digest")
    if size is not None and not 0 <= size < 2**63:
        raise InvalidArgument("size_bytes must be from 0 to 2^63 - 1", field="size_bytes")


def lock_artifact(session: Session, actor: Actor, id: int, expected_version: int | None, *, deleted: bool = False) -> Artifact:
    """The artifact as it is once its lock is held.

    Raises NotFound (nobody's alone, too), PreconditionFailed, NotWritable (deleted, unless `deleted` ones are wanted too).
    """
    session.lock(artifacts, [id])
    found = get_artifact(session, actor, id, shared=False)
    if found.id != id:  # it was merged: its own row is another
        return lock_artifact(session, actor, found.id, expected_version, deleted=deleted)
    check_version(found.version, expected_version, found.own_id)
    if found.lifecycle is Lifecycle.DELETED and not deleted:
        raise NotWritable(f"artifact {found.own_id} is deleted: restore it first")
    return found


def _rendered(session: Session, rows: Sequence[sa.Row[tuple[Any, ...]]]) -> list[Artifact]:
    found = tagging.read_pairs(session, tags, NodeKind.ARTIFACT, [row.id for row in rows])
    return [
        Artifact(
            id=row.id,
            kind=ArtifactKind(row.kind),
            name=row.name,
            display_name=row.display_name,
            description=row.description,
            uri=row.uri,
            digest=row.digest,
            size_bytes=row.size_bytes,
            media_type=row.media_type,
            readiness=Readiness.READY if row.readiness is None else Readiness(row.readiness),
            lifecycle=Lifecycle.ACTIVE if row.deleted_at is None else Lifecycle.DELETED,
            step=row.step,
            port=row.port,
            tags=found.get(row.id, {}),
            created_at=row.created_at,
            updated_at=row.updated_at,
            version=row.version,
        )
        for row in rows
    ]
