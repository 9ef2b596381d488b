"""Registered models, their versions and files of a Model Registry database, whose tables are ML Metadata's with types of its own.

There a model's or version's fields are declared properties; here they are columns. A version is named `<model's id>:<name>`.
"""

import re
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from registry.catalog import node_types
from registry.catalog.importing.mlmd.owned import Owned, Record, lifecycle_of, split, text_of
from registry.db.session import Session
from registry.names import Origin, Readiness, sha256
from registry.tables.graph import artifacts, attributions
from registry.tables.models import model_versions, registered_models
from storage.locations import normalise_uri

_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


def insert_model(session: Session, record: Record, *, now: int) -> None:
    own = {"name": record.row["name"], "owner": text_of(record, "owner"), "last_number": 0, "mlflow_updated_at": now}
    session.insert(registered_models, _common(record) | own)


def insert_version(session: Session, record: Record, owned: Owned) -> bool:
    """Changes the row's name to that under its model here. False: it is a version of no model."""
    model, name = split(record.row["name"], owned)
    counter = session.scalar(sa.select(registered_models.c.last_number).where(registered_models.c.id == model))
    if counter is None:
        return False
    taken = (model_versions.c.model == model, model_versions.c.name == name)
    if session.scalar(sa.select(model_versions.c.id).where(*taken)) is not None:
        name = f"{name}.imported"
    number = int(name) if _NUMBER.fullmatch(name) and int(name) > counter else counter + 1
    session.execute(sa.update(registered_models).where(registered_models.c.id == model).values(last_number=number))
    record.row["name"] = record.row["name_key"] = f"{model}:{name}"
    own = {"model": model, "number": number, "name": name, "author_name": text_of(record, "author")}
    blank = dict.fromkeys(column.name for column in model_versions.columns)
    session.insert(model_versions, blank | _common(record) | own | {"readiness": int(Readiness.READY)})
    return True


def _common(record: Record) -> dict[str, Any]:
    lifecycle = {"description": text_of(record, "description"), "lifecycle": int(lifecycle_of(record))}
    return {"id": record.row["id"], "workspace": record.row["workspace"], "origin": int(Origin.KMR), **lifecycle}


def link_files(session: Session, pairs: Sequence[tuple[int, int]]) -> None:
    """(context, artifact) pairs: the first file of a version is its artifact."""
    rows = session.all(
        sa.select(model_versions.c.id, artifacts.c.id.label("artifact"), artifacts.c.uri)
        .join(attributions, attributions.c.context == model_versions.c.id)
        .join(artifacts, artifacts.c.id == attributions.c.artifact)
        .where(model_versions.c.id.in_({context for context, _ in pairs}), model_versions.c.artifact.is_(None))
        .where(artifacts.c.type_id == node_types.MODEL_ARTIFACT)
        .order_by(model_versions.c.id, artifacts.c.id.desc())
    )
    for row in rows:
        values = {"artifact": row.artifact, "source": row.uri}
        values["location_hash"] = None if row.uri is None else sha256(normalise_uri(row.uri))
        session.execute(sa.update(model_versions).where(model_versions.c.id == row.id).values(**values))
