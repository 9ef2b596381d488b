"""Registered models and versions by the names that MLflow's clients use: a model's name, a version's number, an alias."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from registry.catalog import targets
from registry.catalog.actors import Actor
from registry.catalog.model_creation import RegisteredModel
from registry.catalog.models import find_model
from registry.catalog.version_reads import HEADS, ModelVersion, shown_version
from registry.db.session import Session
from registry.errors import NotFound
from registry.names import Lifecycle, NodeKind
from registry.tables.graph import names, tags
from registry.tables.models import model_versions, registered_models

Row = sa.Row[tuple[Any, ...]]
_HEAD, _TAG, _ALIAS = range(3)


def get_named_model(session: Session, actor: Actor, name: str) -> RegisteredModel:
    """Three statements. Raises NotFound."""
    found = find_model(session, actor, name)
    if found is None:
        raise NotFound("registered model", name)
    return found


def get_model_id(session: Session, actor: Actor, name: str) -> int:
    """Raises NotFound: there is none, or it is deleted."""
    found: int | None = session.scalar(_LIVE_MODEL, _named(actor, name))
    if found is None:
        raise NotFound("registered model", name)
    return found


def lock_model_id(session: Session, actor: Actor, name: str) -> int:
    """As `get_model_id`, and nobody changes the model from here on until the transaction ends."""
    found = get_model_id(session, actor, name)
    session.lock(registered_models, [found])
    return found


def get_version_id(session: Session, actor: Actor, name: str, number: int) -> int:
    """Raises NotFound: model or version is not there, or deleted."""
    found: int | None = session.scalar(_NUMBERED, _named(actor, name) | {"number": number})
    if found is None:
        raise NotFound("model version", f"{name}/{number}")
    return found


def read_version(session: Session, actor: Actor, name: str, number: int) -> ModelVersion:
    """With tags and aliases, without metrics and params. One statement. Raises NotFound."""
    found = list(_versions(session.all(_READ_NUMBERED, _named(actor, name) | {"number": number})))
    if not found:
        raise NotFound("model version", f"{name}/{number}")
    return found[0]


def find_aliased(session: Session, actor: Actor, name: str, alias: str) -> ModelVersion | None:
    """As `read_version`; `latest` and `v<number>` are aliases that always are. One statement where there is such a version.

    Raises NotFound: no such model.
    """
    named = _named(actor, name)
    if re.fullmatch(r"[vV][0-9]{1,9}", alias):
        rows = session.all(_READ_NUMBERED, named | {"number": int(alias[1:])})
    elif alias.lower() == "latest":
        rows = session.all(_READ_NEWEST, named)
    else:
        rows = session.all(_READ_ALIASED, named | {"alias": alias})
    found = list(_versions(rows))
    if not found:
        get_model_id(session, actor, name)
        return None
    return found[0]


def find_latest(session: Session, actor: Actor, name: str, stage: str | None) -> ModelVersion | None:
    """The highest version in the stage, None for those in none. Raises NotFound: no such model."""
    model = get_model_id(session, actor, name)
    return next((one for one in latest_versions(session, [model])[model] if one.stage == stage), None)


def latest_versions(session: Session, models: Sequence[int]) -> Mapping[int, Sequence[ModelVersion]]:
    """Of each model the highest version of each stage, and of those without one; by number. As `read_version`. One statement."""
    found: dict[int, list[ModelVersion]] = defaultdict(list)
    if models:
        for one in _versions(session.all(_READ_LATEST, {"models": models})):
            found[one.model].append(one)
    return found


def _versions(rows: Sequence[Row]) -> Iterable[ModelVersion]:
    """Of rows of `_reading`."""
    by_id: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        by_id[row.id].append(row)
    for own in by_id.values():
        found_tags = {row.tag: row.tag_value for row in own if row.part == _TAG and row.tag is not None}
        found_aliases = sorted(row.alias for row in own if row.part == _ALIAS and row.alias is not None)
        yield shown_version(own[0], stage=own[0].stage, aliases=found_aliases, tags=found_tags)


# ---- the statements, made once: that costs more than to run them -----------------------------------------------------


def _named(actor: Actor, name: str) -> dict[str, Any]:
    """What `_LIVE_MODEL` asks for."""
    return {"workspace": actor.workspace, "model_name": name}


def _live_versions() -> "sa.Select[tuple[int]]":
    """For subqueries of statements that read versions too."""
    own = sa.select(model_versions.c.id).where(model_versions.c.lifecycle != Lifecycle.DELETED)
    return own.correlate_except(model_versions)


def _latest() -> sa.Subquery:
    """Of each of `models` the highest version of each stage, and of those without one."""
    models: Any = sa.bindparam("models", expanding=True)
    unstaged = (
        _live_versions()
        .where(model_versions.c.model == registered_models.c.id, ~targets.has_stage(model_versions.c.id))
        .order_by(model_versions.c.number.desc())
        .limit(1)
        .scalar_subquery()
    )
    rest = sa.select(unstaged.label("id")).select_from(registered_models).where(registered_models.c.id.in_(models))
    return sa.union_all(targets.highest_of_stages(models), rest).subquery()


def _reading(where: sa.ColumnElement[bool]) -> "sa.Select[Any]":
    """A row for each version, for each of its tags and for each of its aliases."""
    parts = sa.union_all(*(sa.select(sa.literal(part, sa.Integer).label("part")) for part in (_HEAD, _TAG, _ALIAS))).subquery()
    query = (
        HEADS.add_columns(parts.c.part, names.c.name.label("tag"), tags.c.value.label("tag_value"))
        .join(parts, model_versions.c.id >= -parts.c.part)  # always: an id is above 0, and no cross join is warned of
        .join(
            tags,
            sa.and_(parts.c.part == _TAG, tags.c.kind == NodeKind.CONTEXT, tags.c.node == model_versions.c.id),
            isouter=True,
        )
        .join(names, names.c.id == tags.c.name_id, isouter=True)
        .where(where)
    )
    query = targets.with_held(query, model_versions.c.id, parts.c.part == _ALIAS)
    return query.order_by(model_versions.c.number, model_versions.c.id, parts.c.part, names.c.name)


_LIVE_MODEL = sa.select(registered_models.c.id).where(
    registered_models.c.workspace == sa.bindparam("workspace"),
    registered_models.c.name == sa.bindparam("model_name"),
    registered_models.c.lifecycle != Lifecycle.DELETED,
)
_MODEL = _LIVE_MODEL.scalar_subquery()
_OF_MODEL = _live_versions().where(model_versions.c.model == _MODEL)
_NUMBERED = _OF_MODEL.where(model_versions.c.number == sa.bindparam("number"))
_NEWEST = _OF_MODEL.order_by(model_versions.c.number.desc()).limit(1)
_READ_NUMBERED = _reading(model_versions.c.id == _NUMBERED.scalar_subquery())
_READ_NEWEST = _reading(model_versions.c.id == _NEWEST.scalar_subquery())
_READ_ALIASED = _reading(model_versions.c.id == targets.aliased(_MODEL, sa.bindparam("alias")).scalar_subquery())
_READ_LATEST = _reading(model_versions.c.id == _latest().c.id)
