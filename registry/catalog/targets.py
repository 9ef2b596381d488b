"""Moving aliases and stages. The only module that touches `registry/tables/targets.py`; every door moves through `move`.

An alias names one version of a model. A stage is held by any number of its versions; a version has one, or none. The lock is
the registered model's row, so moves of one model follow each other and each sees what the one before has left.

It is whole, because nobody else may touch those tables: what reads them is here too.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.nodes import bump, touch
from registry.catalog.outbox import record
from registry.db.row_reads import RowRead, among
from registry.db.session import Session
from registry.errors import InvalidArgument, InvalidName, NotFound, NotWritable, PreconditionFailed
from registry.names import MAX_ALIAS, IdPrefix, Lifecycle, NodeKind, TargetKind, check_text, own_id
from registry.tables.models import model_versions, registered_models
from registry.tables.targets import aliases, stages, target_moves


class Expected(Enum):
    """`ANY`: move whoever holds the target now."""

    ANY = 0


ANY: Final = Expected.ANY
NO_STAGE = "None"
ARCHIVED = "Archived"
STAGES = (NO_STAGE, "Staging", "Production", ARCHIVED)
"""The stages that MLflow knows; any other name is a free one."""

_ALIAS = re.compile(r"[\w-]+")
_RESERVED = re.compile(r"latest|v[0-9]+", re.IGNORECASE)
_CANONICAL = {stage.lower(): stage for stage in STAGES}


@dataclass(frozen=True)
class Target:
    """`model` is the registered model's id."""

    kind: TargetKind
    model: int
    name: str


@dataclass(frozen=True)
class Move:
    """One line of the history. A stage that several versions share has one line for each that left or came."""

    id: int
    kind: TargetKind
    model: int
    target: str
    from_version: int | None
    to_version: int | None
    actor: str
    reason: str | None
    at: int


def is_reserved(alias: str) -> bool:
    """Whether it always names a version, so that no version is given it. Raises InvalidName: it cannot be an alias at all."""
    if len(alias) > MAX_ALIAS or not _ALIAS.fullmatch(check_text(alias, "alias")):
        raise InvalidName(f"alias {alias[:80]!r} must be 1 to {MAX_ALIAS} letters, digits, _ or -", field="alias")
    return _RESERVED.fullmatch(alias) is not None


def check_alias(alias: str) -> str:
    """Raises InvalidName: other characters than word characters and `-`, longer than 255, `latest` or `v<digits>`."""
    if is_reserved(alias):
        raise InvalidName(f"alias {alias!r} is reserved: latest and v<number> always name a version", field="alias")
    return alias


def check_stage(stage: str) -> str:
    """The stage as it is stored: MLflow's four in any case are those four.

    Raises InvalidName: empty, or longer than 255.
    """
    try:
        check_text(stage, "stage", limit=MAX_ALIAS, empty=False)
    except InvalidArgument as error:
        raise InvalidName(error.message, field="stage") from error
    return _CANONICAL.get(stage.lower(), stage)


def move(
    session: Session,
    target: Target,
    version: int | None,
    *,
    expected: "int | Expected | None",
    actor: Actor,
    now: int,
    reason: str | None = None,
    archive_existing: bool = False,
) -> list[Move]:
    """Put the alias or stage onto `version`, or take it away (None). What changed, in order; nothing for no change.

    `expected`: the version that must hold the target, None for nobody; a stage that several hold matches neither. Stage `None`
    takes the version's stage away. `archive_existing`: the stage's other holders become `Archived`.

    Raises:
        NotFound: the model is not here, or the version is not the model's.
        NotWritable: model or version is deleted.
        InvalidName: the alias or stage cannot be one.
        PreconditionFailed: the holder is not `expected`; `found` says who is.
    """
    check_text(reason or "", "reason", limit=10_000)
    _lock_model(session, actor, target.model)
    if version is not None:
        _check_version(session, target.model, version)
    if target.kind is TargetKind.ALIAS:
        if archive_existing:
            raise InvalidArgument("archive_existing is for stages", field="archive_existing")
        target = Target(target.kind, target.model, check_alias(target.name))
        steps = _alias_steps(session, target, version, expected, now)
    else:
        target = Target(target.kind, target.model, check_stage(target.name))
        steps = _stage_steps(session, target, version, expected, now, archive_existing=archive_existing)
    return _note(session, target, steps, actor=actor, now=now, reason=reason)


def forget(session: Session, model: int, versions: Sequence[int], *, actor: Actor, now: int) -> None:
    """Versions of `model` that are being deleted lose their aliases and stages; the caller holds the model's lock."""
    held = session.all(
        sa.select(aliases.c.alias, aliases.c.model_version)
        .where(aliases.c.model == model, aliases.c.model_version.in_(versions))
        .order_by(aliases.c.alias)
    )
    reason = "the version was deleted"
    for row in held:
        session.execute(sa.delete(aliases).where(aliases.c.model == model, aliases.c.alias == row.alias))
        target = Target(TargetKind.ALIAS, model, row.alias)
        _note(session, target, [(row.alias, row.model_version, None)], actor=actor, now=now, reason=reason)
    for version, stage in stages_of(session, versions).items():
        session.execute(sa.delete(stages).where(stages.c.model_version == version))
        target = Target(TargetKind.STAGE, model, stage)
        _note(session, target, [(stage, version, None)], actor=actor, now=now, reason=reason)


def take_over(
    session: Session, model: int, held: Mapping[str, int], staged: Mapping[int, str], *, actor: Actor, at: int
) -> list[str]:
    """Aliases (to versions) and stages (of versions) as another registry has them, of versions that an import has just made.

    The times of the records stay what they were there; history has a line for each. Returns aliases that somebody has already.
    """
    query = sa.select(aliases.c.alias).where(aliases.c.model == model, aliases.c.alias.in_(sorted(held)))
    taken = sorted(session.scalars(query)) if held else []
    free = {alias: version for alias, version in sorted(held.items()) if alias not in taken}
    session.insert(aliases, [{"model": model, "alias": alias, "model_version": id, "moved_at": at} for alias, id in free.items()])
    canonical = {version: check_stage(stage) for version, stage in sorted(staged.items())}
    session.insert(
        stages, [{"model_version": id, "model": model, "stage": stage, "moved_at": at} for id, stage in canonical.items()]
    )
    came = [(TargetKind.ALIAS, alias, version) for alias, version in free.items()]
    came += [(TargetKind.STAGE, stage, version) for version, stage in canonical.items()]
    ids = session.next_ids("record", len(came))
    moves = [
        Move(id, kind, model, name, None, version, actor.name, "imported", at)
        for id, (kind, name, version) in zip(ids, came, strict=True)
    ]
    session.insert(target_moves, [_row(entry) for entry in moves])
    return taken


Step = tuple[str, int | None, int | None]
"""(alias or stage, version that left it, version that came)."""


def _alias_steps(
    session: Session, target: Target, version: int | None, expected: "int | Expected | None", now: int
) -> list[Step]:
    here = (aliases.c.model == target.model, aliases.c.alias == target.name)
    holder = session.scalar(sa.select(aliases.c.model_version).where(*here))
    _check_expected(target, [] if holder is None else [holder], expected)
    if holder == version:
        return []
    if version is None:
        session.execute(sa.delete(aliases).where(*here))
    elif holder is None:
        row = {"model": target.model, "alias": target.name, "model_version": version, "moved_at": now}
        session.insert(aliases, row)
    else:
        session.execute(sa.update(aliases).where(*here).values(model_version=version, moved_at=now))
    return [(target.name, holder, version)]


def _stage_steps(
    session: Session,
    target: Target,
    version: int | None,
    expected: "int | Expected | None",
    now: int,
    *,
    archive_existing: bool,
) -> list[Step]:
    if target.name == NO_STAGE:
        return _clear_stage(session, version, expected)
    here = holders(session, target)
    _check_expected(target, here, expected)
    leaving = [holder for holder in here if holder != version] if version is None or archive_existing else []
    if archive_existing and target.name == ARCHIVED:
        leaving = []
    steps: list[Step] = []
    if version is not None and version not in here:
        before = stages_of(session, [version]).get(version)
        steps += [] if before is None else [(before, version, None)]
        _set_stage(session, target.model, version, target.name, now)
        steps.append((target.name, leaving[0] if leaving else None, version))
        steps += [(target.name, holder, None) for holder in leaving[1:]]
    else:
        steps += [(target.name, holder, None) for holder in leaving]
    for holder in leaving:
        if version is None:
            session.execute(sa.delete(stages).where(stages.c.model_version == holder))
        else:
            _set_stage(session, target.model, holder, ARCHIVED, now)
            steps.append((ARCHIVED, None, holder))
    return steps


def _clear_stage(session: Session, version: int | None, expected: "int | Expected | None") -> list[Step]:
    if version is None or expected is not ANY:
        raise InvalidArgument("stage None is nobody's to hold: name the version that shall have no stage", field="stage")
    before = stages_of(session, [version]).get(version)
    session.execute(sa.delete(stages).where(stages.c.model_version == version))
    return [] if before is None else [(before, version, None)]


def _set_stage(session: Session, model: int, version: int, stage: str, now: int) -> None:
    row = {"model_version": version, "model": model, "stage": stage, "moved_at": now}
    session.upsert(stages, [row], key=("model_version",), update=("stage", "moved_at"))


def _check_expected(target: Target, found: Sequence[int], expected: "int | Expected | None") -> None:
    if expected is ANY or list(found) == ([] if expected is None else [expected]):
        return
    names = [own_id(IdPrefix.VERSION, holder) for holder in found]
    wanted = None if expected is None else own_id(IdPrefix.VERSION, expected)
    shown = ", ".join(names) or "nobody"
    raise PreconditionFailed(
        f"{target.kind.name.lower()} {target.name!r} is held by {shown}, not by {wanted or 'nobody'}",
        found=names[0] if len(names) == 1 else (names or None),
        expected=wanted,
    )


def _lock_model(session: Session, actor: Actor, model: int) -> None:
    session.lock(registered_models, [model])
    where = (registered_models.c.id == model, registered_models.c.workspace == actor.workspace)
    lifecycle = session.scalar(sa.select(registered_models.c.lifecycle).where(*where))
    if lifecycle is None:
        raise NotFound("registered model", own_id(IdPrefix.MODEL, model))
    if lifecycle == Lifecycle.DELETED:
        raise NotWritable(f"registered model {own_id(IdPrefix.MODEL, model)} is deleted: restore it first")


def _check_version(session: Session, model: int, version: int) -> None:
    where = (model_versions.c.id == version, model_versions.c.model == model)
    lifecycle = session.scalar(sa.select(model_versions.c.lifecycle).where(*where))
    if lifecycle is None:
        raise NotFound("model version", own_id(IdPrefix.VERSION, version))
    if lifecycle == Lifecycle.DELETED:
        raise NotWritable(f"model version {own_id(IdPrefix.VERSION, version)} is deleted: restore it first")


def _note(session: Session, target: Target, steps: Sequence[Step], *, actor: Actor, now: int, reason: str | None) -> list[Move]:
    """History, audit and versions of the records that show the target."""
    if not steps:
        return []
    ids = session.next_ids("record", len(steps))
    moves = [
        Move(id, target.kind, target.model, name, left, came, actor.name, reason, now)
        for id, (name, left, came) in zip(ids, steps, strict=True)
    ]
    session.insert(target_moves, [_row(entry) for entry in moves])
    word = target.kind.name.lower()
    for entry in moves:
        before = {word: entry.target, "version": _shown(entry.from_version)}
        after = {word: entry.target, "version": _shown(entry.to_version), "reason": reason}
        own = own_id(IdPrefix.MODEL, target.model)
        record(session, actor, f"{word}.moved", own, now=now, before=before, after=after)
    bump(session, NodeKind.CONTEXT, target.model)
    touched = {version for _, left, came in steps for version in (left, came) if version is not None}
    for version in sorted(touched):
        if target.kind is TargetKind.STAGE:  # a stage is a version's own field, an alias is the model's
            touch(session, NodeKind.CONTEXT, version, now=now)
        else:
            bump(session, NodeKind.CONTEXT, version)
    if target.kind is TargetKind.STAGE:
        session.execute(sa.update(registered_models).where(registered_models.c.id == target.model).values(mlflow_updated_at=now))
    return moves


def _row(entry: Move) -> dict[str, object]:
    return {
        "id": entry.id,
        "model": entry.model,
        "kind": entry.kind,
        "target": entry.target,
        "from_version": entry.from_version,
        "to_version": entry.to_version,
        "actor": entry.actor,
        "reason": entry.reason,
        "at": entry.at,
    }


def _shown(version: int | None) -> str | None:
    return None if version is None else own_id(IdPrefix.VERSION, version)


def find_alias(session: Session, model: int, alias: str) -> int | None:
    """The version that the alias names."""
    found = session.scalar(_ALIASED, {"model": model, "alias": alias})
    return None if found is None else int(found)


def holders(session: Session, target: Target) -> list[int]:
    """The versions that hold the alias or stage, by id."""
    table, name = (aliases, aliases.c.alias) if target.kind is TargetKind.ALIAS else (stages, stages.c.stage)
    query = sa.select(table.c.model_version).where(table.c.model == target.model, name == target.name)
    return session.scalars(query.order_by(table.c.model_version))


def holding(kind: TargetKind, name: str) -> "sa.Select[tuple[int]]":
    """The ids of the versions of any model that hold it: for `id IN (…)` of a filter."""
    if kind is TargetKind.ALIAS:
        return sa.select(aliases.c.model_version).where(aliases.c.alias == name)
    return sa.select(stages.c.model_version).where(stages.c.stage == name)


def aliases_of(session: Session, versions: Sequence[int]) -> dict[int, list[str]]:
    """The aliases of each version, in code-point order; versions without are left out. One statement."""
    found: dict[int, list[str]] = defaultdict(list)
    if versions:
        for version, alias in _ALIASES_OF.run(session, versions):
            found[version].append(alias)
    return dict(found)


def aliases_of_models(session: Session, models: Sequence[int]) -> dict[int, dict[str, int]]:
    """Alias to version number for each model; models without are left out. One statement."""
    found: dict[int, dict[str, int]] = defaultdict(dict)
    if models:
        query = (
            sa.select(aliases.c.model, aliases.c.alias, model_versions.c.number)
            .join(model_versions, model_versions.c.id == aliases.c.model_version)
            .where(aliases.c.model.in_(models))
            .order_by(aliases.c.model, aliases.c.alias)
        )
        for row in session.all(query):
            found[row.model][row.alias] = row.number
    return dict(found)


def stages_of(session: Session, versions: Sequence[int]) -> dict[int, str]:
    """The stage of each version that has one. One statement."""
    if not versions:
        return {}
    return dict(_STAGES_OF.run(session, versions))


def _of_versions(version: sa.Column[int], held: sa.Column[str]) -> RowRead:
    return RowRead(lambda: sa.select(version, held).where(among(version)).order_by(version, held))


_ALIASES_OF = _of_versions(aliases.c.model_version, aliases.c.alias)
_STAGES_OF = _of_versions(stages.c.model_version, stages.c.stage)
_ALIASED = sa.select(aliases.c.model_version).where(
    aliases.c.model == sa.bindparam("model"), aliases.c.alias == sa.bindparam("alias")
)


# ---- parts of statements that read versions with what they hold ------------------------------------------------------


def aliased(model: sa.ColumnElement[int], alias: "str | sa.ColumnElement[str]") -> "sa.Select[tuple[int]]":
    """The id of the version that the alias names."""
    return sa.select(aliases.c.model_version).where(aliases.c.model == model, aliases.c.alias == alias)


def stage_of(version: sa.ColumnElement[int]) -> sa.ColumnElement[str]:
    return sa.select(stages.c.stage).where(stages.c.model_version == version).scalar_subquery()


def alias_of(version: sa.ColumnElement[int]) -> tuple[sa.Column[str], sa.ColumnElement[bool]]:
    """The column of aliases, and where it is one of the version's."""
    return aliases.c.alias, aliases.c.model_version == version


def with_held(query: "sa.Select[Any]", version: sa.ColumnElement[int], wanted: sa.ColumnElement[bool]) -> "sa.Select[Any]":
    """`query` with the columns `stage` and `alias`: a row for each alias of the version where `wanted` is true."""
    joined = query.join(stages, stages.c.model_version == version, isouter=True)
    joined = joined.join(aliases, sa.and_(wanted, aliases.c.model_version == version), isouter=True)
    return joined.add_columns(stages.c.stage, aliases.c.alias)


def has_stage(version: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    return sa.exists().where(stages.c.model_version == version)


def highest_of_stages(models: "Sequence[int] | sa.BindParameter[Sequence[int]]") -> "sa.Select[tuple[int]]":
    """Of each stage of each model the version with the highest number."""
    place = sa.func.row_number().over(partition_by=[stages.c.model, stages.c.stage], order_by=model_versions.c.number.desc())
    held = (
        sa.select(stages.c.model_version.label("id"), place.label("place"))
        .join(model_versions, model_versions.c.id == stages.c.model_version)
        .where(stages.c.model.in_(models), model_versions.c.lifecycle != Lifecycle.DELETED)
        .subquery()
    )
    return sa.select(held.c.id).where(held.c.place == 1)


def list_moves(
    session: Session,
    actor: Actor,
    model: int,
    *,
    kind: TargetKind | None = None,
    name: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[Move]:
    """History of a model's aliases and stages, newest first; `before` is the id of the last one seen."""
    here = (target_moves.c.model == model, registered_models.c.workspace == actor.workspace)
    query = sa.select(target_moves).join(registered_models, registered_models.c.id == target_moves.c.model).where(*here)
    if kind is not None:
        query = query.where(target_moves.c.kind == kind)
    if name is not None:
        query = query.where(target_moves.c.target == name)
    if before is not None:
        query = query.where(target_moves.c.id < before)
    return [_move(row) for row in session.all(query.order_by(target_moves.c.id.desc()).limit(limit))]


def moves_of_models(
    session: Session, actor: Actor, models: Sequence[int], *, before: int | None = None, limit: int = 100
) -> dict[int, list[Move]]:
    """The newest `limit` of each model, newest first; models without are left out. One statement."""
    newest_first = sa.func.row_number().over(partition_by=target_moves.c.model, order_by=target_moves.c.id.desc())
    here = [target_moves.c.model.in_(models), registered_models.c.workspace == actor.workspace]
    if before is not None:
        here.append(target_moves.c.id < before)
    some = sa.select(target_moves, newest_first.label("place")).where(*here)
    ranked = some.join(registered_models, registered_models.c.id == target_moves.c.model).subquery()
    query = sa.select(ranked).where(ranked.c.place <= limit).order_by(ranked.c.id.desc())
    found: dict[int, list[Move]] = defaultdict(list)
    for row in session.all(query) if models else ():
        found[row.model].append(_move(row))
    return dict(found)


def _move(row: sa.Row[tuple[Any, ...]]) -> Move:
    return Move(
        id=row.id,
        kind=TargetKind(row.kind),
        model=row.model,
        target=row.target,
        from_version=row.from_version,
        to_version=row.to_version,
        actor=row.actor,
        reason=row.reason,
        at=row.at,
    )
