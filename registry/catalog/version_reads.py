"""Reading versions of registered models: by id, by number, name or alias, in pages.

Metrics and params of a version are its own and those of the run that produced it; where both have a key, its own is shown.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from registry.catalog import tagging, targets
from registry.catalog.actors import Actor
from registry.catalog.metrics import Point, latest_values
from registry.catalog.models import get_model
from registry.catalog.pages import FIRST_PAGE, Page, Search, find_page, of_lifecycle, of_workspace
from registry.catalog.run_lookup import get_run_ref
from registry.catalog.runs import ALL_FIELDS, Fields
from registry.catalog.subjects import VERSIONS
from registry.catalog.version_whole import WholeRead
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


class ModelVersion(msgspec.Struct, frozen=True, gc=False):
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
_WIDTH = len(HEADS.selected_columns)
_RUN = HEADS.selected_columns.keys().index("run")


_BY_ID = HEADS.where(
    model_versions.c.id.in_(sa.bindparam("ids", expanding=True)), model_versions.c.workspace == sa.bindparam("workspace")
)
_OF_MODEL = sa.select(model_versions.c.id, model_versions.c.run).where(
    model_versions.c.model == sa.bindparam("model", type_=sa.BigInteger),
    model_versions.c.workspace == sa.bindparam("workspace", type_=sa.BigInteger),
    model_versions.c.lifecycle != sa.literal_column(str(int(Lifecycle.DELETED))),
)
_HOLDER = targets.aliased(sa.bindparam("model", type_=sa.BigInteger), sa.bindparam("alias", type_=sa.String)).scalar_subquery()
_LIVE = {
    "number": _OF_MODEL.where(model_versions.c.number == sa.bindparam("number", type_=sa.Integer)),
    "name": _OF_MODEL.where(model_versions.c.name == sa.bindparam("name", type_=sa.String)),
    "latest": _OF_MODEL.order_by(model_versions.c.number.desc()).limit(sa.literal_column("1")),
    "alias": _OF_MODEL.where(model_versions.c.id == _HOLDER),
}
"""How one version of a model can be named: its id and its run's."""


def get_version(session: Session, actor: Actor, id: int, fields: Fields = ALL_FIELDS) -> ModelVersion:
    """Deleted ones too; one statement with all fields. Raises NotFound: absent, or in another workspace."""
    if fields == ALL_FIELDS:
        found = _whole(session, _WHOLE_BY_ID, workspace=actor.workspace, id=id)
    else:
        found = next(iter(get_versions(session, actor, [id], fields)), None)
    if found is None:
        raise NotFound("model version", own_id(IdPrefix.VERSION, id))
    return found


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
    which, asked = _which(number, name, alias)
    asked |= {"model": model, "workspace": actor.workspace}
    if fields == ALL_FIELDS:
        return _whole(session, _WHOLE[which], **asked)
    found = session.scalar(_LIVE[which], asked)
    return None if found is None else get_version(session, actor, found, fields)


def _which(number: int | None, name: str | None, alias: str | None) -> tuple[str, dict[str, Any]]:
    """A key of `_LIVE`, and its parameter."""
    if alias is not None and re.fullmatch(r"[vV][0-9]{1,9}", alias):
        return "number", {"number": int(alias[1:])}
    if alias is not None and alias.lower() == "latest":
        return "latest", {}
    if alias is not None:
        return "alias", {"alias": alias}
    return ("name", {"name": name}) if number is None else ("number", {"number": number})


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
    narrower = model is not None or run is not None
    here = of_workspace(model_versions.c.workspace, actor.workspace, narrower=narrower)
    where = [here, of_lifecycle(model_versions.c.lifecycle, lifecycle)]
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


_WHOLE = {which: WholeRead(HEADS, query) for which, query in _LIVE.items()}
_WHOLE_BY_ID = WholeRead(
    HEADS,
    sa.select(model_versions.c.id, model_versions.c.run).where(
        model_versions.c.id == sa.bindparam("id", type_=sa.BigInteger),
        model_versions.c.workspace == sa.bindparam("workspace", type_=sa.BigInteger),
    ),
)


def _whole(session: Session, read: WholeRead, **asked: Any) -> ModelVersion | None:
    """In one statement."""
    found = read.run(session, **asked)
    if found is None:
        return None
    return shown_version(
        found.head,
        stage=found.stage,
        aliases=sorted(found.aliases),
        metrics=_sorted(found.run_metrics | found.metrics),
        params=_sorted(found.run_params | found.params),
        tags=_sorted(found.tags),
    )


def _sorted(values: Mapping[str, T]) -> Mapping[str, T]:
    return dict(sorted(values.items()))


def _rendered(session: Session, rows: Sequence[sa.Row[tuple[Any, ...]]], fields: Fields) -> list[ModelVersion]:
    pairs: list[Any] = [(row[0], row[_RUN]) for row in rows]  # by place, which is ten times as fast as by name
    ids = [id for id, _ in pairs]
    producers = sorted({run for _, run in pairs if run is not None})
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
            stage=found_stages.get(id),
            aliases=found_aliases.get(id, []),
            metrics=_merged(run_metrics.get(run), own_metrics.get(id)),
            params=_merged(found_params.get(run), found_params.get(id)),
            tags=found_tags.get(id, {}),
        )
        for row, (id, run) in zip(rows, pairs, strict=True)
    ]


_LIFECYCLES = {int(one): one for one in Lifecycle}
_READINESS = {int(one): one for one in Readiness}
_ORIGINS = {int(one): one for one in Origin}
"""Calling an enumeration takes ten times as long."""


def shown_version(
    row: "sa.Row[tuple[Any, ...]] | tuple[Any, ...]",
    *,
    stage: str | None,
    aliases: Sequence[str],
    metrics: Mapping[str, Point] = MappingProxyType({}),
    params: Mapping[str, str] = MappingProxyType({}),
    tags: Mapping[str, str] = MappingProxyType({}),
) -> ModelVersion:
    """The version of a row that begins with `HEADS`. No statement."""
    columns: Any = row[:_WIDTH]
    (
        id,
        _,
        model,
        number,
        name,
        description,
        author_name,
        lifecycle,
        readiness,
        status_message,
        source,
        location,
        _,
        _,
        run_text,
        run_link,
        artifact,
        digest,
        origin,
        created_at,
        updated_at,
        version,
        model_name,
        run_hex,
    ) = columns
    return ModelVersion(
        id,
        model,
        model_name,
        number,
        name,
        description,
        author_name,
        _LIFECYCLES[lifecycle],
        _READINESS[readiness],
        status_message,
        stage,
        aliases,
        source,
        location,
        None if run_hex is None else f"run_{run_hex}",
        run_text,
        run_link,
        artifact,
        digest,
        _ORIGINS[origin],
        created_at,
        updated_at,
        version,
        metrics,
        params,
        tags,
    )


def _merged(of_run: Mapping[str, T] | None, own: Mapping[str, T] | None) -> Mapping[str, T]:
    """Each in code-point order of its keys, and so both; its own win."""
    if not of_run or not own:
        return own or of_run or {}
    return dict(sorted({**of_run, **own}.items()))
