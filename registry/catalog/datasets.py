"""Datasets: one per workspace, namespace and name; each content (digest) is a version, which is an artifact."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from registry.catalog import artifacts as catalog_artifacts
from registry.catalog import node_types, tagging
from registry.catalog.actors import Actor
from registry.catalog.naming import get_or_create
from registry.catalog.nodes import artifact_row, check_version
from registry.catalog.outbox import record
from registry.catalog.pages import FIRST_PAGE, Page, Search, find_page
from registry.catalog.subjects import DATASETS
from registry.catalog.uses import link
from registry.db.session import Session
from registry.errors import AlreadyExists, NotFound
from registry.names import (
    ArtifactKind,
    EventType,
    IdPrefix,
    Lifecycle,
    NodeKind,
    Readiness,
    check_name,
    check_text,
    own_id,
    sha256,
)
from registry.tables.graph import artifacts, tags
from registry.tables.models import dataset_versions, datasets


@dataclass(frozen=True)
class Dataset:
    """`namespace` is empty for none; `version` is the ETag."""

    id: int
    namespace: str
    name: str
    description: str | None
    created_at: int
    updated_at: int
    version: int

    @property
    def own_id(self) -> str:
        return own_id(IdPrefix.DATASET, self.id)


@dataclass(frozen=True)
class DatasetVersion:
    """`id` is the artifact's. `digest` is the client's own word for the content, empty for none."""

    id: int
    dataset: int
    namespace: str
    name: str
    digest: str
    source_type: str | None
    source: str | None
    schema: str | None
    profile: str | None
    uri: str | None
    lifecycle: Lifecycle
    tags: Mapping[str, str]
    created_at: int
    updated_at: int
    version: int

    @property
    def own_id(self) -> str:
        return own_id(IdPrefix.ARTIFACT, self.id)


_VERSIONS = (
    sa.select(
        dataset_versions,
        datasets.c.namespace,
        datasets.c.name,
        artifacts.c.uri,
        artifacts.c.deleted_at,
        artifacts.c.created_at,
        artifacts.c.updated_at,
        artifacts.c.version,
    )
    .join(datasets, datasets.c.id == dataset_versions.c.dataset)
    .join(artifacts, artifacts.c.id == dataset_versions.c.id)
)


def create_dataset(
    session: Session, actor: Actor, name: str, *, now: int, namespace: str = "", description: str | None = None
) -> Dataset:
    """Raises AlreadyExists: the namespace has a dataset of that name."""
    check_name(name)
    check_text(namespace, "namespace", limit=512)
    check_text(description or "", "description", limit=tagging.MAX_VALUE)
    made = session.next_id("record")
    row = {
        "id": made,
        "workspace": actor.workspace,
        "namespace": namespace,
        "name": name,
        "name_hash": sha256(namespace, name),
        "description": description,
        "created_at": now,
        "updated_at": now,
        "version": 1,
    }
    if not session.insert_if_absent(datasets, row):
        raise AlreadyExists("dataset", f"{namespace}/{name}" if namespace else name)
    record(
        session, actor, "dataset.created", own_id(IdPrefix.DATASET, made), now=now, after={"namespace": namespace, "name": name}
    )
    return get_dataset(session, actor, made)


def get_or_create_dataset(session: Session, actor: Actor, name: str, *, now: int, namespace: str = "") -> Dataset:
    return get_or_create(
        lambda: find_dataset(session, actor, name, namespace=namespace),
        lambda: create_dataset(session, actor, name, now=now, namespace=namespace),
    )


def get_dataset(session: Session, actor: Actor, id: int) -> Dataset:
    """Raises NotFound: absent, or in another workspace."""
    row = session.first(sa.select(datasets).where(datasets.c.id == id, datasets.c.workspace == actor.workspace))
    if row is None:
        raise NotFound("dataset", own_id(IdPrefix.DATASET, id))
    return _dataset(row)


def get_datasets(session: Session, actor: Actor, ids: Sequence[int]) -> list[Dataset]:
    """In the order of `ids`, deleted ones too; those that are not here are left out."""
    return [
        _dataset(row)
        for row in session.by_ids(sa.select(datasets).where(datasets.c.workspace == actor.workspace), datasets.c.id, ids)
    ]


def find_dataset(session: Session, actor: Actor, name: str, *, namespace: str = "") -> Dataset | None:
    where = (datasets.c.workspace == actor.workspace, datasets.c.name_hash == sha256(namespace, name))
    row = session.first(sa.select(datasets).where(*where))
    return None if row is None else _dataset(row)


def list_datasets(session: Session, actor: Actor, search: Search = FIRST_PAGE, *, name: str | None = None) -> Page[Dataset]:
    """One statement. Raises as `find_page`."""
    where = [datasets.c.workspace == actor.workspace]
    if name is not None:
        where.append(datasets.c.name == name)
    return find_page(
        session, DATASETS, where, search, rows=sa.select(datasets), read=lambda _session, rows: [_dataset(row) for row in rows]
    )


def update_dataset(
    session: Session, actor: Actor, id: int, *, now: int, description: str, expected_version: int | None = None
) -> Dataset:
    """Raises NotFound, PreconditionFailed."""
    session.lock(datasets, [id])
    before = get_dataset(session, actor, id)
    check_version(before.version, expected_version, before.own_id)
    if description == before.description:
        return before
    check_text(description, "description", limit=tagging.MAX_VALUE)
    values = {"description": description, "version": before.version + 1, "updated_at": max(now, before.updated_at + 1)}
    session.execute(sa.update(datasets).where(datasets.c.id == id).values(**values))
    old, new = {"description": before.description}, {"description": description}
    record(session, actor, "dataset.updated", before.own_id, now=now, before=old, after=new)
    return get_dataset(session, actor, id)


def get_or_create_dataset_version(
    session: Session,
    actor: Actor,
    name: str,
    *,
    now: int,
    namespace: str = "",
    digest: str = "",
    source_type: str | None = None,
    source: str | None = None,
    schema: str | None = None,
    profile: str | None = None,
    uri: str | None = None,
) -> DatasetVersion:
    """One per dataset and digest, however many ask at the same time; one that is there is not changed.

    Raises InvalidArgument: a text too long.
    """
    texts = {"source": source, "schema": schema, "profile": profile}
    for field, text in texts.items():
        check_text(text or "", field, limit=tagging.MAX_VALUE)
    check_text(digest, "digest", limit=255)
    check_text(source_type or "", "source_type", limit=255)
    check_text(uri or "", "uri", limit=catalog_artifacts.MAX_URI)
    dataset = get_or_create_dataset(session, actor, name, now=now, namespace=namespace)
    here = (dataset_versions.c.dataset == dataset.id, dataset_versions.c.digest == digest)
    found = session.scalar(sa.select(dataset_versions.c.id).where(*here))
    if found is not None:
        return get_dataset_version(session, actor, found)
    made = session.next_id("artifact")
    row = {
        "id": made,
        "dataset": dataset.id,
        "digest": digest,
        "source_type": source_type,
        "source": source,
        "schema_text": schema,
        "profile_text": profile,
    }
    if not session.insert_if_absent(dataset_versions, row):
        return get_dataset_version(session, actor, session.scalar(sa.select(dataset_versions.c.id).where(*here)))
    node = artifact_row(
        made,
        type_id=node_types.DATASET,
        workspace=actor.workspace,
        now=now,
        kind=ArtifactKind.DATASET,
        author=actor.author,
        uri=uri,
        location_hash=catalog_artifacts.location_hash(uri),
        display_name=name,
        readiness=Readiness.READY,
    )
    session.insert(artifacts, node)
    return get_dataset_version(session, actor, made)


def get_dataset_version(session: Session, actor: Actor, id: int) -> DatasetVersion:
    """Raises NotFound: absent, or in another workspace."""
    row = session.first(_VERSIONS.where(dataset_versions.c.id == id, datasets.c.workspace == actor.workspace))
    if row is None:
        raise NotFound("dataset version", own_id(IdPrefix.ARTIFACT, id))
    return _rendered(session, [row])[0]


def get_dataset_versions(session: Session, actor: Actor, ids: Sequence[int]) -> list[DatasetVersion]:
    """In the order of `ids`, deleted ones too; those that are not here are left out."""
    return _rendered(
        session, session.by_ids(_VERSIONS.where(datasets.c.workspace == actor.workspace), dataset_versions.c.id, ids)
    )


def list_dataset_versions(
    session: Session,
    actor: Actor,
    *,
    dataset: int,
    digest: str | None = None,
    after: int | None = None,
    limit: int = 100,
) -> list[DatasetVersion]:
    """Those that are not deleted, by id; of one content where its `digest` is given; two statements."""
    here = (datasets.c.workspace == actor.workspace, datasets.c.id == dataset, artifacts.c.deleted_at.is_(None))
    query = _VERSIONS.where(*here)
    if digest is not None:
        query = query.where(dataset_versions.c.digest == digest)
    if after is not None:
        query = query.where(dataset_versions.c.id > after)
    return _rendered(session, session.all(query.order_by(dataset_versions.c.id).limit(limit)))


def log_dataset(
    session: Session,
    actor: Actor,
    run: str,
    name: str,
    *,
    now: int,
    tags: Mapping[str, str] | None = None,
    port: str | None = None,
    step: int | None = None,
    type: EventType = EventType.INPUT,
    **version: Any,
) -> DatasetVersion:
    """The run (32 hex), or its step, read it, or made it (`type`). Said again it changes nothing.

    `version` as for `get_or_create_dataset_version`.

    Raises:
        NotFound: the run is not here.
        NotWritable: the run or the dataset's version is deleted.
    """
    found = get_or_create_dataset_version(session, actor, name, now=now, **version)
    link(session, actor, found.id, run, type, now=now, port=port, step=step, tags=tags)
    return found


def _dataset(row: sa.Row[tuple[Any, ...]]) -> Dataset:
    return Dataset(
        id=row.id,
        namespace=row.namespace,
        name=row.name,
        description=row.description,
        created_at=row.created_at,
        updated_at=row.updated_at,
        version=row.version,
    )


def _rendered(session: Session, rows: Sequence[sa.Row[tuple[Any, ...]]]) -> list[DatasetVersion]:
    found = tagging.read_pairs(session, tags, NodeKind.ARTIFACT, [row.id for row in rows])
    return [
        DatasetVersion(
            id=row.id,
            dataset=row.dataset,
            namespace=row.namespace,
            name=row.name,
            digest=row.digest,
            source_type=row.source_type,
            source=row.source,
            schema=row.schema_text,
            profile=row.profile_text,
            uri=row.uri,
            lifecycle=Lifecycle.ACTIVE if row.deleted_at is None else Lifecycle.DELETED,
            tags=found.get(row.id, {}),
            created_at=row.created_at,
            updated_at=row.updated_at,
            version=row.version,
        )
        for row in rows
    ]
