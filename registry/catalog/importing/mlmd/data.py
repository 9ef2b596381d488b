"""Data sets of a Model Registry database: each artifact a version of the data set of its name, what a run has an input of it."""

from collections.abc import Sequence

import sqlalchemy as sa

from registry.catalog import node_types, uses
from registry.catalog.actors import Actor
from registry.catalog.datasets import find_dataset, get_or_create_dataset
from registry.catalog.importing.mlmd.owned import Record, text_of
from registry.catalog.properties import decoded
from registry.db.session import Session
from registry.names import EventType
from registry.tables.graph import artifacts
from registry.tables.models import dataset_versions
from registry.tables.runs import runs


def insert_dataset(session: Session, actor: Actor, record: Record, name: str, *, now: int) -> None:
    """One that says what a version says already, digest and all, is no further version: what has it has that one."""
    dataset = get_or_create_dataset(session, actor, name, now=record.row["created_at"] or now)
    fields = {"source_type": "sourceType", "source": "source", "schema_text": "schema", "profile_text": "profile"}
    own = {column: text_of(record, field) or text_of(record, column.removesuffix("_text")) for column, field in fields.items()}
    row = {"id": record.row["id"], "dataset": dataset.id, "digest": (text_of(record, "digest") or "")[:255], **own}
    session.insert_if_absent(dataset_versions, row)


def link_inputs(session: Session, actor: Actor, pairs: Sequence[tuple[int, int]], *, now: int) -> None:
    """(context, artifact) pairs: a run that has a data set has read it."""
    hexes = {
        row.id: row.hex for row in session.all(sa.select(runs.c.id, runs.c.hex).where(runs.c.id.in_({one for one, _ in pairs})))
    }
    wanted = {artifact for context, artifact in pairs if context in hexes}
    query = sa.select(artifacts.c.id, artifacts.c.display_name, artifacts.c.properties, artifacts.c.created_at)
    rows = session.all(query.where(artifacts.c.id.in_(wanted), artifacts.c.type_id == node_types.DATASET)) if wanted else []
    found = {row.id: row for row in rows}
    for context, artifact in sorted(pairs):
        if context not in hexes or artifact not in found:
            continue
        row = found[artifact]
        digest = decoded(row.properties).declared.get("digest")
        version = _version(session, actor, row.display_name, "" if digest is None else str(digest.value)[:255])
        if version is not None:
            uses.link(session, actor, version, hexes[context], EventType.INPUT, now=row.created_at or now)


def _version(session: Session, actor: Actor, name: str, digest: str) -> int | None:
    dataset = find_dataset(session, actor, name)
    if dataset is None:
        return None
    where = (dataset_versions.c.dataset == dataset.id, dataset_versions.c.digest == digest)
    found: int | None = session.scalar(sa.select(dataset_versions.c.id).where(*where))
    return found
