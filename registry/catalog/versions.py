"""Versions of registered models: a number that is never given twice, files, where they come from.

Metrics and params of a version are its own and those of the run that produced it; where both have a key, its own is shown.
The lock is the registered model's row: `lock_version` takes it. Kept whole over 400 lines, because every verb needs the same
lock, the same row and the same rules of names.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

import sqlalchemy as sa

from registry.catalog import deployment_users, node_types, tagging, targets
from registry.catalog.actors import Actor
from registry.catalog.metrics import Point, check_points, latest_values, point_rows, write_points
from registry.catalog.models import get_model, lock_model
from registry.catalog.naming import take_name
from registry.catalog.nodes import MOVED, bump, check_version, node_row, touch
from registry.catalog.outbox import record
from registry.catalog.pages import FIRST_PAGE, Page, Search, find_page, of_lifecycle
from registry.catalog.run_lookup import get_run_ref
from registry.catalog.runs import ALL_FIELDS, Fields
from registry.catalog.subjects import VERSIONS
from registry.db.session import Session
from registry.errors import AlreadyExists, InUse, InvalidArgument, InvalidName, NotFound, NotWritable
from registry.filtering.subject import Subject
from registry.names import (
    IdPrefix,
    Lifecycle,
    NodeKind,
    Origin,
    OwnerKind,
    Readiness,
    check_name,
    check_text,
    own_id,
    sha256,
)
from registry.tables.graph import artifacts, attributions, contexts, params, tags
from registry.tables.models import model_versions, registered_models
from registry.tables.runs import runs
from storage.locations import normalise_uri

MAX_KEY = 255
"""Of `<model id>:<name>`, which is what the Model Registry's clients see."""

_DECIMAL = re.compile(r"[1-9][0-9]{0,8}")

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


def create_version(
    session: Session,
    actor: Actor,
    model: int,
    *,
    now: int,
    name: str | None = None,
    description: str | None = None,
    author_name: str | None = None,
    source: str | None = None,
    location: str | None = None,
    run: str | None = None,
    run_text: str | None = None,
    run_link: str | None = None,
    artifact: int | None = None,
    readiness: Readiness = Readiness.READY,
    status_message: str | None = None,
    tags: Mapping[str, str] | None = None,
    origin: Origin = Origin.REST,
) -> ModelVersion:
    """The next number of the model; `run`: 32 hex. Location and digest are the artifact's, else the source's.

    A name that is a decimal above the counter is the number; without a name the number is the name.

    Raises:
        NotFound: model, run or artifact is not here.
        NotWritable: the model is deleted.
        AlreadyExists: the model has a version of that name.
    """
    _check_texts(description=description, author_name=author_name, source=source, location=location, run_link=run_link)
    _check_texts(status_message=status_message, run_text=run_text)
    if name is not None:
        _name_key(model, name)
    number, model_name = _next_number(session, actor, model, name, now)
    producer = None if run is None else get_run_ref(session, actor.workspace, run, held=True).id
    files = None if artifact is None else _files(session, actor, artifact)
    place = location or source if files is None else (files.uri or location or source)
    made = session.next_id("context")
    shown = _insert_context(session, actor, made, model, name=name, number=number, origin=origin, now=now)
    row = {
        "id": made,
        "workspace": actor.workspace,
        "model": model,
        "number": number,
        "name": shown,
        "description": description,
        "author_name": author_name,
        "lifecycle": Lifecycle.ACTIVE,
        "readiness": readiness,
        "status_message": status_message,
        "source": source if source is not None else place,
        "location": location,
        "location_hash": None if place is None else sha256(normalise_uri(place)),
        "run": producer,
        "run_text": run_text,
        "run_link": run_link,
        "artifact": artifact,
        "digest": None if files is None else files.digest,
        "origin": origin,
    }
    session.insert(model_versions, row)
    if files is not None:
        link = {"context": made, "artifact": artifact, "kind": files.kind, "name_key": model_name, "created_at": now}
        session.insert(attributions, link)
    if tags:
        tagging.set_tags(session, NodeKind.CONTEXT, {made: tags}, author=actor.author)
    bump(session, NodeKind.CONTEXT, model)
    created = _created(session, actor, made, tags or {})
    after = {"model": model_name, "number": number, "source": row["source"], "run": created.run}
    record(session, actor, "version.created", created.own_id, now=now, after=after)
    return created


def _created(session: Session, actor: Actor, id: int, own_tags: Mapping[str, str]) -> ModelVersion:
    """As it would be read: a version that was just made has of its own only tags."""
    row = session.first(_BY_ID, {"ids": [id], "workspace": actor.workspace})
    assert row is not None  # noqa: S101  (inserted in this transaction)
    producers = [] if row.run is None else [row.run]
    return shown_version(
        row,
        stage=None,
        aliases=[],
        metrics=latest_values(session, producers).get(row.run, {}),
        params=tagging.read_pairs(session, params, NodeKind.CONTEXT, producers).get(row.run, {}),
        tags=dict(sorted(own_tags.items())),
    )


def _next_number(session: Session, actor: Actor, model: int, name: str | None, now: int) -> tuple[int, str]:
    """(number, model's name). The UPDATE takes the row's lock, so that no two get one number."""
    counter = registered_models.c.last_number
    following: Any = counter + 1
    if name is not None and _DECIMAL.fullmatch(name):
        following = sa.case((counter < int(name), int(name)), else_=counter + 1)
    here = (registered_models.c.id == model, registered_models.c.workspace == actor.workspace)
    live = registered_models.c.lifecycle != Lifecycle.DELETED
    values = {"last_number": following, "mlflow_updated_at": now}
    if not session.execute(sa.update(registered_models).where(*here, live).values(**values)).rowcount:
        lock_model(session, actor, model)  # says which of the two it is
    row = session.first(sa.select(counter, registered_models.c.name).where(*here))
    assert row is not None  # noqa: S101  (updated one statement ago)
    return row.last_number, row.name


def _insert_context(
    session: Session, actor: Actor, id: int, model: int, *, name: str | None, number: int, origin: Origin, now: int
) -> str:
    """The name it got: without one the number, or `<number>.<door>` where some version bears that as its free name."""
    for shown in [str(number), f"{number}.{origin.name.lower()}"] if name is None else [name]:
        key = _name_key(model, shown)
        node = node_row(id, type_id=node_types.VERSION, workspace=actor.workspace, now=now, name=key, name_key=key)
        if session.insert_if_absent(contexts, node):
            return shown
    raise AlreadyExists("model version", name or str(number))


def _name_key(model: int, name: str) -> str:
    """Raises InvalidName: too long for the doors that show it with the model's id."""
    key = f"{model}:{check_name(name)}"
    if len(key) > MAX_KEY:
        raise InvalidName(f"name has {len(name)} characters, at most {MAX_KEY - len(key) + len(name)} are allowed", field="name")
    return key


def _files(session: Session, actor: Actor, artifact: int) -> sa.Row[tuple[Any, ...]]:
    where = (artifacts.c.id == artifact, artifacts.c.workspace == actor.workspace)
    query = sa.select(artifacts.c.uri, artifacts.c.digest, artifacts.c.kind, artifacts.c.deleted_at)
    session.lock(artifacts, [artifact])  # whoever deletes it looks for versions under this lock
    found = session.first(query.where(*where))
    if found is None:
        raise NotFound("artifact", own_id(IdPrefix.ARTIFACT, artifact))
    if found.deleted_at is not None:
        raise NotWritable(f"artifact {own_id(IdPrefix.ARTIFACT, artifact)} is deleted: restore it first")
    return found


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


def update_version(
    session: Session,
    actor: Actor,
    id: int,
    *,
    now: int,
    name: str | None = None,
    description: str | None = None,
    author_name: str | None = None,
    readiness: Readiness | None = None,
    status_message: str | None = None,
    expected_version: int | None = None,
) -> ModelVersion:
    """Change what is given; source, run and number do not change.

    Raises:
        NotFound, NotWritable (it or its model is deleted), PreconditionFailed.
        AlreadyExists: the model has a version of the new name.
    """
    before = lock_version(session, actor, id, expected_version=expected_version)
    _check_texts(description=description, author_name=author_name, status_message=status_message)
    given = {
        "name": name,
        "description": description,
        "author_name": author_name,
        "readiness": readiness,
        "status_message": status_message,
    }
    changed = {key: value for key, value in given.items() if value is not None and value != getattr(before, key)}
    if not changed:
        return before
    if "name" in changed:
        _take_name(session, before, str(name))
    session.execute(sa.update(model_versions).where(model_versions.c.id == id).values(**changed))
    touch(session, NodeKind.CONTEXT, id, now=now)
    bump(session, NodeKind.CONTEXT, before.model)
    old = {key: getattr(before, key) for key in changed}
    record(session, actor, "version.updated", before.own_id, now=now, before=old, after=changed)
    return get_version(session, actor, id)


def _take_name(session: Session, version: ModelVersion, name: str) -> None:
    take_name(session, version.id, _name_key(version.model, name), "model version", name)


def set_version_tags(session: Session, actor: Actor, id: int, values: Mapping[str, str]) -> None:
    """Upsert. Raises NotFound, NotWritable."""
    lock_version(session, actor, id)
    tagging.set_tags(session, NodeKind.CONTEXT, {id: values}, author=actor.author)
    bump(session, NodeKind.CONTEXT, id)


def delete_version_tag(session: Session, actor: Actor, id: int, key: str) -> None:
    """Raises NotFound (version or tag), NotWritable."""
    lock_version(session, actor, id)
    tagging.delete_tag(session, NodeKind.CONTEXT, id, key)
    bump(session, NodeKind.CONTEXT, id)


def log_to_version(
    session: Session, actor: Actor, id: int, *, points: Sequence[Point] = (), params: Mapping[str, str] | None = None
) -> None:
    """Metrics and params of the version itself. An exact repeat changes nothing.

    Raises:
        NotFound, NotWritable.
        Conflict: a param would change.
    """
    lock_version(session, actor, id)
    refused = tagging.set_params(session, NodeKind.CONTEXT, {id: params or {}}, author=actor.author)
    if refused:
        raise refused[id]
    if points:
        check_points(points)
        write_points(session, point_rows(session, OwnerKind.VERSION, [(id, 0, points)]), author=actor.author)
    bump(session, NodeKind.CONTEXT, id)


def archive_version(session: Session, actor: Actor, id: int, *, now: int, expected_version: int | None = None) -> ModelVersion:
    """Nothing of it changes but its lifecycle: stage `Archived` is another thing. Idempotent."""
    before = lock_version(session, actor, id, expected_version=expected_version)
    if before.lifecycle is Lifecycle.ARCHIVED:
        return before
    return _set_lifecycle(session, actor, before, Lifecycle.ARCHIVED, now=now)


def restore_version(session: Session, actor: Actor, id: int, *, now: int, expected_version: int | None = None) -> ModelVersion:
    """From the archive or from deletion, without the aliases and the stage it had. Idempotent.

    Raises:
        NotFound, PreconditionFailed.
        NotWritable: its model is deleted.
        AlreadyExists: its name was taken meanwhile.
    """
    before = lock_version(session, actor, id, expected_version=expected_version, deleted=True)
    if before.lifecycle is Lifecycle.ACTIVE:
        return before
    if before.lifecycle is Lifecycle.DELETED:
        if before.artifact is not None:
            _files(session, actor, before.artifact)
        _take_name(session, before, before.name)
    return _set_lifecycle(session, actor, before, Lifecycle.ACTIVE, now=now)


def delete_version(session: Session, actor: Actor, id: int, *, now: int, expected_version: int | None = None) -> None:
    """Its aliases and its stage go with it; its name is free, its number is not given again. Idempotent.

    Raises:
        NotFound, PreconditionFailed, NotWritable (its model is deleted).
        InUse: a live deployment serves it; `dependants` names them all.
    """
    before = lock_version(session, actor, id, expected_version=expected_version, deleted=True)
    if before.lifecycle is Lifecycle.DELETED:
        return
    users = deployment_users.users_of(session, [id]).get(id)
    if users:
        raise InUse(f"model version {before.own_id} is in use by {', '.join(users)}", users)
    targets.forget(session, before.model, [id], actor=actor, now=now)
    session.execute(sa.update(contexts).where(contexts.c.id == id).values(name_key=None))
    _set_lifecycle(session, actor, before, Lifecycle.DELETED, now=now)


def _set_lifecycle(session: Session, actor: Actor, version: ModelVersion, lifecycle: Lifecycle, *, now: int) -> ModelVersion:
    deleted_at = now if lifecycle is Lifecycle.DELETED else None
    session.execute(sa.update(contexts).where(contexts.c.id == version.id).values(deleted_at=deleted_at))
    session.execute(sa.update(model_versions).where(model_versions.c.id == version.id).values(lifecycle=lifecycle))
    session.execute(sa.update(registered_models).where(registered_models.c.id == version.model).values(mlflow_updated_at=now))
    touch(session, NodeKind.CONTEXT, version.id, now=now)
    bump(session, NodeKind.CONTEXT, version.model)
    before = {"model": version.model_name, "number": version.number}
    record(session, actor, f"version.{MOVED[lifecycle]}", version.own_id, now=now, before=before)
    return get_version(session, actor, version.id)


def lock_version(
    session: Session, actor: Actor, id: int, *, expected_version: int | None = None, deleted: bool = False
) -> ModelVersion:
    """The version as it is once its model's lock is held.

    Raises:
        NotFound, PreconditionFailed.
        NotWritable: its model is deleted, or it is, unless `deleted` ones are wanted too.
    """
    where = (model_versions.c.id == id, model_versions.c.workspace == actor.workspace)
    model = session.scalar(sa.select(model_versions.c.model).where(*where))
    if model is None:
        raise NotFound("model version", own_id(IdPrefix.VERSION, id))
    lock_model(session, actor, model)
    found = get_version(session, actor, id)
    check_version(found.version, expected_version, found.own_id)
    if found.lifecycle is Lifecycle.DELETED and not deleted:
        raise NotWritable(f"model version {found.own_id} is deleted: restore it first")
    return found


def _check_texts(**texts: str | None) -> None:
    for field, text in texts.items():
        check_text(text or "", field, limit=512 if field in {"author_name", "run_text"} else tagging.MAX_VALUE)


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
