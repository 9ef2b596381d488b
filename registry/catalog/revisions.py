"""Revisions of deployments: what each serves, and which model version that is.

A report tells where a revision's model lies, often before or after the version is registered. So the version is found when it is
asked for: the one that lies there, else the one of that name (`model-registry://model/version`), else the labelled one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from registry.db.session import Session
from registry.names import Lifecycle
from registry.tables.models import deployments, model_versions, registered_models, revisions

REGISTRY_SCHEME = "model-registry://"
_Found = dict[Any, int]


@dataclass(frozen=True)
class Served:
    """`version`: the model version that lies at `uri`, if one is registered. `inferred`: only the location says so."""

    name: str
    uri: str
    version: int | None
    inferred: bool


def served_by(session: Session, ids: Sequence[int]) -> dict[int, list[Served]]:
    """The revisions of each deployment, by name and URI; deployments without are left out. At most four statements."""
    if not ids:
        return {}
    query = sa.select(revisions, deployments.c.workspace, deployments.c.model)
    query = query.join(deployments, deployments.c.id == revisions.c.deployment).where(revisions.c.deployment.in_(ids))
    rows = session.all(query.order_by(revisions.c.name, revisions.c.uri))
    if not rows:
        return {}
    lying, labelled = _lying(session, rows), _labelled(session, rows)
    names = {(row.workspace, named_version(row.uri)) for row in rows if row.uri.startswith(REGISTRY_SCHEME)}
    named = _named(session, {(workspace, wanted) for workspace, wanted in names if wanted is not None})
    found: dict[int, list[Served]] = {}
    for row in rows:
        inferred = lying.get((row.workspace, row.location_hash, row.model)) or lying.get((row.workspace, row.location_hash, None))
        said = named.get((row.workspace, named_version(row.uri))) or labelled.get((row.workspace, row.label))
        found.setdefault(row.deployment, []).append(Served(row.name, row.uri, inferred or said, inferred is not None))
    return found


def fill_versions(session: Session, lists: Iterable[tuple[int, Sequence[Mapping[str, Any]]]]) -> list[list[dict[str, Any]]]:
    """Traffic lists of deployments; a share whose revision is known has its `uri`, and the version where it says none itself."""
    plain = [(deployment, [dict(share) for share in shares]) for deployment, shares in lists]
    served = served_by(session, sorted({of for of, shares in plain for share in shares if share.get("revision")}))
    known: dict[tuple[int, str], Served] = {}
    for of, revisions_ in served.items():
        for one in revisions_:
            if (of, one.name) not in known or known[of, one.name].version is None:
                known[of, one.name] = one
    for deployment, shares in plain:
        for share in shares:
            found = known.get((deployment, str(share.get("revision"))))
            if found is not None:
                share["uri"] = found.uri
                share["version"] = found.version if share.get("version") is None else share["version"]
    return [shares for _, shares in plain]


def named_version(uri: str) -> tuple[str, str | None] | None:
    """Model and version (None: the newest) that `model-registry://[host/]model[/version]` names."""
    if not uri.startswith(REGISTRY_SCHEME):
        return None
    parts = [part for part in uri.removeprefix(REGISTRY_SCHEME).split("/") if part]
    if len(parts) == 1:
        return parts[0], None
    return (parts[-2], parts[-1]) if parts else None


def _lying(session: Session, rows: Sequence[sa.Row[Any]]) -> _Found:
    """By workspace, location and model (None: any model): of several versions that lie there the newest."""
    hashes = sorted({row.location_hash for row in rows})
    query = sa.select(model_versions.c.id, model_versions.c.workspace, model_versions.c.location_hash, model_versions.c.model)
    here = (model_versions.c.location_hash.in_(hashes), model_versions.c.lifecycle != Lifecycle.DELETED)
    found: _Found = {}
    for row in session.all(query.where(*here).order_by(model_versions.c.id)):
        found[row.workspace, row.location_hash, None] = found[row.workspace, row.location_hash, row.model] = row.id
    return found


def _labelled(session: Session, rows: Sequence[sa.Row[Any]]) -> _Found:
    wanted = sorted({row.label for row in rows if row.label is not None})
    if not wanted:
        return {}
    query = sa.select(model_versions.c.id, model_versions.c.workspace).where(model_versions.c.id.in_(wanted))
    return {(row.workspace, row.id): row.id for row in session.all(query)}


def _named(session: Session, wanted: set[tuple[int, tuple[str, str | None]]]) -> _Found:
    """By workspace and (model, version)."""
    if not wanted:
        return {}
    query = (
        sa.select(
            model_versions.c.id, model_versions.c.workspace, model_versions.c.name, registered_models.c.name.label("model_name")
        )
        .join(registered_models, registered_models.c.id == model_versions.c.model)
        .where(registered_models.c.name.in_(sorted({model for _, (model, _) in wanted})))
        .where(model_versions.c.lifecycle != Lifecycle.DELETED)
        .order_by(model_versions.c.number)
    )
    found: _Found = {}
    for row in session.all(query):
        found[row.workspace, (row.model_name, None)] = found[row.workspace, (row.model_name, row.name)] = row.id
    return found
