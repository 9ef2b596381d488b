"""Tags that are columns of a run: its name, its user, its parent. Written as tags they set the column, and are shown from it.

`lineal.lifecycle` is shown of an archived run and cannot be written.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from registry.catalog import tagging
from registry.catalog.actors import Actor
from registry.catalog.logged_model_metrics import Measured, log_to_models
from registry.catalog.merging import KFP_TAG, adopt_kfp_run, create_claiming
from registry.catalog.metrics import Batch, log_many
from registry.catalog.nodes import bump, touch
from registry.catalog.run_creation import NewRun
from registry.catalog.run_lookup import lock_run
from registry.catalog.runs import Run, delete_run_tag, get_runs, lock_writable, parent_of, rename_node
from registry.db.session import Session
from registry.errors import InvalidArgument, NotFound
from registry.names import Lifecycle, NodeKind, Origin, check_name, check_text, new_run_hex
from registry.tables.graph import contexts, tags
from registry.tables.runs import runs

NAME = "mlflow.runName"
USER = "mlflow.user"
PARENT = "mlflow.parentRunId"
LIFECYCLE = "lineal.lifecycle"
MODELS = "mlflow.log-model.history"
COLUMNS = frozenset({NAME, USER, PARENT, LIFECYCLE})
NOBODY = "unknown"
"""What MLflow's client calls a user whose tag it was not given."""


@dataclass(frozen=True)
class Split:
    """None: not among the tags. `rest` are those with rows of their own."""

    name: str | None
    user: str | None
    parent: str | None
    rest: Mapping[str, str]


def split(tags: Mapping[str, str]) -> Split:
    """Raises InvalidArgument: a value that its column cannot hold, or a tag that is read-only."""
    if LIFECYCLE in tags:
        raise InvalidArgument(f"{LIFECYCLE} shows what the run is and cannot be set", field=LIFECYCLE)
    for key in (USER, PARENT):
        check_text(tags.get(key, ""), key, limit=512)
    if NAME in tags:
        check_name(tags[NAME], NAME)
    rest = {key: value for key, value in tags.items() if key not in COLUMNS}
    return Split(tags.get(NAME), tags.get(USER), tags.get(PARENT), rest)


def column_tags(run: Run) -> dict[str, str]:
    """The run's tags that are columns, shown whatever rows of their keys say. Never empty."""
    shown = {NAME: run.name}
    if run.user_name is not None and run.user_name != NOBODY:
        shown[USER] = run.user_name
    parent = run.parent_text or (run.parent.removeprefix("run_") if run.parent else None)
    if parent is not None:
        shown[PARENT] = parent
    if run.lifecycle is Lifecycle.ARCHIVED:
        shown[LIFECYCLE] = "archived"
    return shown


def new_run(
    actor: Actor,
    *,
    now: int,
    experiment: int,
    name: str,
    user: str | None = None,
    started_at: int | None = None,
    tags: Mapping[str, str],
) -> NewRun:
    """A run of MLflow's that is to be made. Raises InvalidArgument as `split`."""
    parts = split(tags)
    return NewRun(
        actor,
        now,
        new_run_hex(),
        experiment,
        parts.name or name,
        started_at=started_at,
        user_name=parts.user or user,
        parent_text=parts.parent,
        tags=parts.rest,
        origin=Origin.MLFLOW,
    )


def claims(new: NewRun) -> bool:
    """Whether it may become one with a KFP run's, and so has to be made by `create_claimed`, one at a time."""
    return KFP_TAG in new.tags


def create_claimed(session: Session, new: NewRun) -> Run:
    """Make the run, which may become one with what the agent or ML Metadata made. Raises as `create_run`."""
    made = create_claiming(
        session,
        new.actor,
        now=new.now,
        tags=new.tags,
        experiment=new.experiment,
        hex=new.hex,
        name=new.name,
        started_at=new.started_at,
        user_name=new.user_name,
        parent_text=new.parent_text,
        origin=new.origin,
    )
    return get_runs(session, new.actor, [made])[0]


def needs_columns(tags: Mapping[str, str]) -> bool:
    """Whether a batch with these tags has to go through `log_tagged`."""
    return KFP_TAG in tags or not COLUMNS.isdisjoint(tags)


def log_tagged(session: Session, actor: Actor, batch: Batch, *, now: int) -> None:
    """Log a batch with tags that are columns, or that name a KFP run, in one transaction. Idempotent.

    Errors as of `log_many` and `split`.
    """
    parts = split(batch.tags)
    ref = lock_run(session, contexts, actor.workspace, batch.run)
    [refused] = log_many(session, [replace(batch, tags=parts.rest)])
    if refused is not None:
        raise refused
    values: dict[str, Any] = {}
    if parts.name is not None:
        values |= {"name": parts.name, "name_author": actor.author}
    if parts.user is not None:
        values["user_name"] = parts.user
    if parts.parent is not None:
        values |= {"parent_text": parts.parent, "parent": parent_of(session, actor, parts.parent, held=True)}
    _set(session, ref.id, values, now=now)
    if KFP_TAG in batch.tags:
        adopt_kfp_run(session, actor, batch.run, batch.tags[KFP_TAG], now=now)


def log_measured(session: Session, actor: Actor, batch: Batch, measured: Sequence[Measured], *, now: int) -> None:
    """As `log_tagged`; `measured` of its points are logged models' too. Raises NotFound: one of those is not here."""
    log_tagged(session, actor, batch, now=now)
    log_to_models(session, actor, batch.run, measured, now=now)


def note_model(session: Session, actor: Actor, hex: str, entry: Mapping[str, Any]) -> None:
    """Add to the run's list of models, which is a tag, what is not its last entry. Raises NotFound, NotWritable (deleted)."""
    ref = lock_writable(session, actor, hex)
    before = tagging.read_pairs(session, tags, NodeKind.CONTEXT, [ref.id], keys=[MODELS])[ref.id].get(MODELS, "[]")
    try:
        known = json.loads(before)
    except ValueError:  # a client's own text
        known = []
    known = known if isinstance(known, list) else []
    if known[-1:] == [entry]:
        return
    tagging.set_tags(session, NodeKind.CONTEXT, {ref.id: {MODELS: json.dumps([*known, entry])}}, author=actor.author)
    if ref.is_final:
        bump(session, NodeKind.CONTEXT, ref.id)


def delete_tag(session: Session, actor: Actor, hex: str, key: str, *, now: int) -> None:
    """Of a run, whether it is a row or a column.

    Raises:
        NotFound: no such run or tag.
        NotWritable: the run is deleted.
        InvalidArgument: a run cannot be without it.
    """
    if key not in COLUMNS:
        delete_run_tag(session, actor, hex, key)
        return
    ref = lock_writable(session, actor, hex)
    if key in {NAME, LIFECYCLE}:
        raise InvalidArgument(f"{key} shows what the run is and cannot be deleted", field="key")
    values = {"user_name": None} if key == USER else {"parent": None, "parent_text": None}
    if not _set(session, ref.id, values, now=now):
        raise NotFound("tag", key)


def _set(session: Session, id: int, values: dict[str, Any], *, now: int) -> bool:
    """Whether anything was different."""
    if not values:
        return False
    before = session.first(sa.select(*(runs.c[name] for name in values)).where(runs.c.id == id))
    if before is None or before._asdict() == values:
        return False
    session.execute(sa.update(runs).where(runs.c.id == id).values(**values))
    if "name" in values:
        rename_node(session, id, values["name"])
    touch(session, NodeKind.CONTEXT, id, now=now)
    return True
