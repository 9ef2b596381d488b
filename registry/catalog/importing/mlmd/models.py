"""Registered models, their versions and files of a Model Registry database, whose tables are ML Metadata's with types of its own.

There a model's or version's fields are declared properties; here they are columns. A version is named `<model's id>:<name>`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from registry.catalog import node_types
from registry.catalog.properties import Properties
from registry.db.session import Session
from registry.names import Lifecycle, Origin, Readiness, sha256
from registry.tables.graph import artifacts, attributions
from registry.tables.models import model_versions, registered_models
from storage.locations import normalise_uri

TAKEN_OVER = {node_types.MODEL, node_types.VERSION, node_types.MODEL_ARTIFACT, node_types.DOC_ARTIFACT}
"""Of the server's own types, those whose records an import makes."""

_VERSION = re.compile(r"(\d{1,18}):(.+)", re.DOTALL)
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")


def insert_records(
    session: Session, contexts: Sequence[tuple[dict[str, Any], Properties]], ids: Mapping[int, int], *, now: int
) -> list[int]:
    """(row, properties) of models and versions that are about to be written, models first; ids of versions without a model.

    `ids`: ours by the source's, of this batch; others are their own. Changes the rows' names where a model has another id.
    """
    lost = []
    for row, properties in contexts:
        common = {"id": row["id"], "workspace": row["workspace"], "origin": int(Origin.KMR)}
        common |= {"description": _text(properties, "description"), "lifecycle": int(_lifecycle(properties))}
        if row["type_id"] == node_types.MODEL:
            own = {"name": row["name"], "owner": _text(properties, "owner"), "last_number": 0, "mlflow_updated_at": now}
            session.insert(registered_models, common | own)
            continue
        named = _VERSION.fullmatch(row["name"] or "")
        model = ids.get(int(named[1]), int(named[1])) if named else 0
        counter = session.scalar(sa.select(registered_models.c.last_number).where(registered_models.c.id == model))
        if named is None or counter is None:
            lost.append(int(row["id"]))
            continue
        name = named[2]
        taken = (model_versions.c.model == model, model_versions.c.name == name)
        if session.scalar(sa.select(model_versions.c.id).where(*taken)) is not None:
            name = f"{name}.imported"
        number = int(name) if _NUMBER.fullmatch(name) and int(name) > counter else counter + 1
        session.execute(sa.update(registered_models).where(registered_models.c.id == model).values(last_number=number))
        row["name"] = row["name_key"] = f"{model}:{name}"
        own = {"model": model, "number": number, "name": name, "author_name": _text(properties, "author")}
        blank = dict.fromkeys(column.name for column in model_versions.columns)
        session.insert(model_versions, blank | common | own | {"readiness": int(Readiness.READY)})
    return lost


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


def _text(properties: Properties, name: str) -> str | None:
    found = properties.declared.get(name)
    return found.value if found is not None and isinstance(found.value, str) and found.value else None


def _lifecycle(properties: Properties) -> Lifecycle:
    return Lifecycle.ARCHIVED if _text(properties, "state") == "ARCHIVED" else Lifecycle.ACTIVE
