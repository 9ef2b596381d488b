"""Reading versions of registered models: by id, by number, name or alias, in pages.

Metrics and params of a version are its own and those of the run that produced it; where both have a key, its own is shown.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

import sqlalchemy as sa

from registry.catalog import tagging, targets
from registry.catalog.actors import Actor
from registry.catalog.metrics import Point, latest_values
from registry.catalog.models import get_model
from registry.catalog.pages import FIRST_PAGE, Page, Search, find_page, of_lifecycle
from registry.catalog.run_lookup import get_run_ref
from registry.catalog.runs import ALL_FIELDS, Fields
from registry.catalog.subjects import VERSIONS
from registry.db.session import Session
from registry.errors import InvalidArgument, NotFound
from registry.filtering.subject import Subject
from registry.names import (
    IdPrefix,
    Lifecycle,
    NodeKind,
    Origin,
    OwnerKind,
    Readiness,
    own_id,
)
from registry.tables.graph import contexts, params, tags
from registry.tables.models import model_versions, registered_models
from registry.tables.runs import runs

T = TypeVar("T")


@dataclass(frozen=True)
class ModelVersion:
    """`run` is `run_<hex>` of the producer, `version` the ETag; metrics, params and tags hold the keys that were asked for.

    `location`: where the files are, if `source` names another record. `run_text`: what MLflow's client called the run, if there
    is none of that id.
    """

    id: int
    model: int
    model_name: str
    number: int
    name: str
    description: str | None
    author_name: str | None
    lifecycle: Lifecycle
    readiness: Readiness
    status_message: str | None
    stage: str | None
    aliases: Sequence[str]
    source: str | None
    location: str | None
    run: str | None
    run_text: str | None
    run_link: str | None
    artifact: int | None
    digest: str | None
    origin: Origin
    created_at: int
    updated_at: int
    version: int
    metrics: Mapping[str, Point]
    params: Mapping[str, str]
    tags: Mapping[str, str]

    @property
    def own_id(self) -> str:
        return own_id(IdPrefix.VERSION, self.id)


HEADS = (
    sa.select(
        model_versions,
        contexts.c.created_at,
        contexts.c.updated_at,
        contexts.c.version,
        registered_models.c.name.label("model_name"),
        runs.c.hex.label("run_hex"),
    )
    .join(contexts, contexts.c.id == model_versions.c.id)
    .join(registered_models, registered_models.c.id == model_versions.c.model)
    .join(runs, runs.c.id == model_versions.c.run, isouter=True)
)


_BY_ID = HEADS.where(
    model_versions.c.id.in_(sa.bindparam("ids", expanding=True)), model_versions.c.workspace == sa.bindparam("workspace")
)
_LIVE = sa.select(model_versions.c.id).where(
    model_versions.c.model == sa.bindparam("model"),
    model_versions.c.workspace == sa.bindparam("workspace"),
    model_versions.c.lifecycle != Lifecycle.DELETED,
)
_LIVE_OF_ID = _LIVE.where(model_versions.c.id == sa.bindparam("id"))


def get_version(session: Session, actor: Actor, id: int, fields: Fields = ALL_FIELDS) -> ModelVersion:
    """Deleted ones too. Raises NotFound: absent, or in another workspace."""
    found = get_versions(session, actor, [id], fields)
    if not found:
        raise NotFound("model version", own_id(IdPrefix.VERSION, id))
    return found[0]


def get_versions(session: Session, actor: Actor, ids: Sequence[int], fields: Fields = ALL_FIELDS) -> list[ModelVersion]:
    """In the order of `ids`, those that are not here left out; at most seven statements."""
    asked = {"ids": list(ids), "workspace": actor.workspace}
    rows = {row.id: row for row in session.all(_BY_ID, asked)} if ids else {}
    return _rendered(session, [rows[id] for id in ids if id in rows], fields)


def find_version(
    session: Session,
    actor: Actor,
    model: int,
    *,
    number: int | None = None,
    name: str | None = None,
    alias: str | None = None,
    fields: Fields = ALL_FIELDS,
) -> ModelVersion | None:
    """By exactly one of number, name and alias, where `latest` and `v<number>` are aliases that always are; no deleted ones."""
    if sum(word is not None for word in (number, name, alias)) != 1:
        raise InvalidArgument("name a version by exactly one of number, name and alias")
    query, asked = _LIVE, {"model": model, "workspace": actor.workspace}
    if alias is not None and re.fullmatch(r"[vV][0-9]{1,9}", alias):
        number = int(alias[1:])
    if number is not None:
        query = query.where(model_versions.c.number == number)
    elif name is not None:
        query = query.where(model_versions.c.name == name)
    elif alias is not None and alias.lower() == "latest":
        query = query.order_by(model_versions.c.number.desc()).limit(1)
    else:
        query, asked = _LIVE_OF_ID, asked | {"id": targets.find_alias(session, model, alias or "") or 0}
    found = session.scalar(query, asked)
    return None if found is None else get_version(session, actor, found, fields)


def get_by_alias(session: Session, actor: Actor, model: int, alias: str) -> ModelVersion:
    """Raises NotFound: no such model, or nobody holds the alias."""
    found = find_version(session, actor, model, alias=alias)
    if found is None:
        get_model(session, actor, model)
        raise NotFound("alias", alias)
    return found


def list_versions(
    session: Session,
    actor: Actor,
    search: Search = FIRST_PAGE,
    *,
    lifecycle: Lifecycle | None = None,
    model: int | None = None,
    run: str | None = None,
    fields: Fields = ALL_FIELDS,
) -> Page[ModelVersion]:
    """Without `lifecycle` those that are not deleted; `run`: 32 hex. At most seven statements whatever the size of the page.

    Raises NotFound: the run is not here. Otherwise as `find_page`.
    """
    where = [model_versions.c.workspace == actor.workspace, of_lifecycle(model_versions.c.lifecycle, lifecycle)]
    if model is not None:
        where.append(model_versions.c.model == model)
    if run is not None:
        where.append(model_versions.c.run == get_run_ref(session, actor.workspace, run).id)
    return find_page(session, VERSIONS, where, search, rows=HEADS, read=lambda session, rows: _rendered(session, rows, fields))


def page_of_versions(
    session: Session,
    subject: Subject,
    where: Sequence[sa.ColumnElement[bool]],
    search: Search,
    *,
    fields: Fields = ALL_FIELDS,
    chunk: int,
) -> Page[ModelVersion]:
    """As `list_versions`, for a door that names the fields in its own way. The values of `chunk` versions are read at once."""

    def read(session: Session, rows: Sequence[sa.Row[tuple[Any, ...]]]) -> list[ModelVersion]:
        return [one for start in range(0, len(rows), chunk) for one in _rendered(session, rows[start : start + chunk], fields)]

    return find_page(session, subject, where, search, rows=HEADS, read=read)


def _rendered(session: Session, rows: Sequence[sa.Row[tuple[Any, ...]]], fields: Fields) -> list[ModelVersion]:
    ids = [row.id for row in rows]
    producers = sorted({row.run for row in rows if row.run is not None})
    wants_metrics, wants_params = fields.metrics != [], fields.params != []
    own_metrics = latest_values(session, ids if wants_metrics else [], kind=OwnerKind.VERSION, keys=fields.metrics)
    run_metrics = latest_values(session, producers if wants_metrics else [], keys=fields.metrics)
    found_params = tagging.read_pairs(
        session, params, NodeKind.CONTEXT, [*ids, *producers] if wants_params else [], keys=fields.params
    )
    found_tags = tagging.read_pairs(session, tags, NodeKind.CONTEXT, ids if fields.tags != [] else [], keys=fields.tags)
    found_aliases, found_stages = targets.aliases_of(session, ids), targets.stages_of(session, ids)
    return [
        shown_version(
            row,
            stage=found_stages.get(row.id),
            aliases=found_aliases.get(row.id, []),
            metrics=_merged(run_metrics.get(row.run), own_metrics.get(row.id)),
            params=_merged(found_params.get(row.run), found_params.get(row.id)),
            tags=found_tags.get(row.id, {}),
        )
        for row in rows
    ]


def shown_version(
    row: sa.Row[tuple[Any, ...]],
    *,
    stage: str | None,
    aliases: Sequence[str],
    metrics: Mapping[str, Point] = MappingProxyType({}),
    params: Mapping[str, str] = MappingProxyType({}),
    tags: Mapping[str, str] = MappingProxyType({}),
) -> ModelVersion:
    """The version of a row of `HEADS`. No statement."""
    return ModelVersion(
        id=row.id,
        model=row.model,
        model_name=row.model_name,
        number=row.number,
        name=row.name,
        description=row.description,
        author_name=row.author_name,
        lifecycle=Lifecycle(row.lifecycle),
        readiness=Readiness(row.readiness),
        status_message=row.status_message,
        stage=stage,
        aliases=aliases,
        source=row.source,
        location=row.location,
        run=None if row.run_hex is None else f"run_{row.run_hex}",
        run_text=row.run_text,
        run_link=row.run_link,
        artifact=row.artifact,
        digest=row.digest,
        origin=Origin(row.origin),
        created_at=row.created_at,
        updated_at=row.updated_at,
        version=row.version,
        metrics=metrics,
        params=params,
        tags=tags,
    )


def _merged(of_run: Mapping[str, T] | None, own: Mapping[str, T] | None) -> Mapping[str, T]:
    """Each in code-point order of its keys, and so both; its own win."""
    if not of_run or not own:
        return own or of_run or {}
    return dict(sorted({**of_run, **own}.items()))
