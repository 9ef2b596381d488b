"""Runs: one record whoever comes first. A run is a context; its integer is the context's id, its own id `run_<32 hex>`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa

from registry.catalog import node_types, tagging
from registry.catalog.actors import Actor
from registry.catalog.metrics import Point, latest_values
from registry.catalog.nodes import MOVED, bump, check_version, touch
from registry.catalog.outbox import record
from registry.catalog.pages import FIRST_PAGE, Page, Search, find_page, of_lifecycle, of_workspace
from registry.catalog.run_lookup import RunRef, find_runs, get_run_ref, lock_run
from registry.catalog.subjects import RUNS
from registry.db.session import Session
from registry.errors import InvalidArgument, NotWritable
from registry.names import (
    IdPrefix,
    Lifecycle,
    NodeKind,
    Origin,
    Status,
    check_name,
    own_id,
    run_hex_or_none,
)
from registry.tables.graph import contexts, params, tags
from registry.tables.runs import experiments, runs

T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """As stored; `metrics`, `params` and `tags` hold the keys that were asked for."""

    id: int
    hex: str
    name: str
    experiment: int | None
    experiment_name: str | None
    status: Status | None
    phase: str | None
    started_at: int | None
    ended_at: int | None
    user_name: str | None
    parent: str | None
    parent_text: str | None
    artifact_root: str | None
    lifecycle: Lifecycle
    origin: Origin
    execution: int | None
    created_at: int
    updated_at: int
    version: int
    metrics: Mapping[str, Point]
    params: Mapping[str, str]
    tags: Mapping[str, str]

    @property
    def own_id(self) -> str:
        return f"run_{self.hex}"


@dataclass(frozen=True)
class Fields:
    """Which keys of metrics, params and tags a read wants: None = all, empty = none."""

    metrics: Sequence[str] | None = None
    params: Sequence[str] | None = None
    tags: Sequence[str] | None = None


ALL_FIELDS = Fields()
_parents = runs.alias("parents")
HEADS = (
    sa.select(
        runs,
        contexts.c.created_at,
        contexts.c.updated_at,
        contexts.c.version,
        experiments.c.name.label("experiment_name"),
        _parents.c.hex.label("parent_hex"),
    )
    .join(contexts, contexts.c.id == runs.c.id)
    .join(experiments, experiments.c.id == runs.c.experiment, isouter=True)
    .join(_parents, _parents.c.id == runs.c.parent, isouter=True)
)


def parent_of(session: Session, actor: Actor, text: str | None, *, held: bool = False) -> int | None:
    """The run that a client's text names; None for any other text. `held` as of `find_runs`."""
    hex = None if text is None else run_hex_or_none(text)
    if hex is None:
        return None
    found = find_runs(session, [(actor.workspace, hex)], held=held).get((actor.workspace, hex))
    return None if found is None else found.id


def get_run(session: Session, actor: Actor, hex: str, fields: Fields = ALL_FIELDS) -> Run:
    """By its id or one that a merged run had. Raises NotFound. `fragments.read_run` is faster for all fields."""
    ref = get_run_ref(session, actor.workspace, hex)
    return get_runs(session, actor, [ref.id], fields)[0]


def get_runs(session: Session, actor: Actor, ids: Sequence[int], fields: Fields = ALL_FIELDS) -> list[Run]:
    """In the order of `ids`, those that are not here left out; at most four statements."""
    return with_values(session, session.by_ids(HEADS.where(runs.c.workspace == actor.workspace), runs.c.id, ids), fields)


def list_runs(
    session: Session,
    actor: Actor,
    search: Search = FIRST_PAGE,
    *,
    lifecycle: Lifecycle | None = None,
    experiment: int | None = None,
    fields: Fields = ALL_FIELDS,
) -> Page[Run]:
    """Without `lifecycle` those that are not deleted; at most four statements whatever the size of the page.

    Raises as `find_page`. `fragments.list_run_reads` is faster for all fields.
    """
    return page_of_runs(
        session,
        actor,
        search,
        lifecycle=lifecycle,
        experiment=experiment,
        read=lambda session, rows: with_values(session, rows, fields),
    )


def page_of_runs(
    session: Session,
    actor: Actor,
    search: Search,
    *,
    lifecycle: Lifecycle | None,
    experiment: int | None,
    read: Callable[[Session, Sequence[sa.Row[tuple[Any, ...]]]], Sequence[T]],
) -> Page[T]:
    """As `list_runs`, of what `read` makes of rows of `HEADS`."""
    here = of_workspace(runs.c.workspace, actor.workspace, narrower=experiment is not None)
    where = [here, of_lifecycle(runs.c.lifecycle, lifecycle)]
    if experiment is not None:
        where.append(runs.c.experiment == experiment)
    return find_page(session, RUNS, where, search, rows=HEADS, read=read)


def update_run(
    session: Session,
    actor: Actor,
    hex: str,
    *,
    now: int,
    name: str | None = None,
    status: Status | None = None,
    ended_at: int | None = None,
    expected_version: int | None = None,
    weak: bool = False,
    fields: Fields = ALL_FIELDS,
) -> Run:
    """Change what is given: rename, finish, reopen. The last client write wins.

    A final status without `ended_at` ends the run now; an unfinished one clears its end.
    `weak`: the caller has fewer words for states, so the word that the run's state is shown as leaves its state alone, and its
    end where none is given.

    Raises:
        NotFound, NotWritable (deleted), PreconditionFailed (its version is not `expected_version`).
    """
    ref = lock_writable(session, actor, hex)
    if expected_version is not None:
        found = session.scalar(sa.select(contexts.c.version).where(contexts.c.id == ref.id))
        check_version(found, expected_version, f"run_{ref.hex}")
    values: dict[str, Any] = {}
    if name is not None:
        values |= {"name": check_name(name), "name_author": actor.author}
        rename_node(session, ref.id, name)
    if weak and status is SHOWN_WEAKER.get(ref.status, ref.status):
        status = None
    if status is not None:
        values |= _status_values(status, ended_at, now) | {"status_author": actor.author}
    elif ended_at is not None:
        values["ended_at"] = ended_at
    if values:
        session.execute(sa.update(runs).where(runs.c.id == ref.id).values(**values))
        touch(session, NodeKind.CONTEXT, ref.id, now=now)
    return get_runs(session, actor, [ref.id], fields)[0]


SHOWN_WEAKER: Mapping[Status | None, Status] = {
    None: Status.PENDING,
    Status.UNKNOWN: Status.PENDING,
    Status.CACHED: Status.SUCCEEDED,
    Status.SKIPPED: Status.CANCELED,
}
"""How a state appears where MLflow's words are all there are; the others as they are."""


def _status_values(status: Status, ended_at: int | None, now: int) -> dict[str, Any]:
    if status is Status.SKIPPED:
        raise InvalidArgument("skipped is a state of steps, not of runs", field="status")
    if status.is_final:
        return {"status": status, "ended_at": now if ended_at is None else ended_at, "final_at": now}
    return {"status": status, "ended_at": ended_at, "final_at": None}


def set_run_lifecycle(session: Session, actor: Actor, hex: str, lifecycle: Lifecycle, *, now: int) -> Run:
    """Archive, restore or delete. Idempotent.

    Raises NotWritable: restoring a run of a deleted experiment.
    """
    ref = lock_run(session, contexts, actor.workspace, hex)
    if ref.lifecycle is not lifecycle:
        experiment = session.scalar(sa.select(runs.c.experiment).where(runs.c.id == ref.id))
        if experiment is not None and lifecycle is Lifecycle.ACTIVE:
            lifecycle_there = session.scalar(sa.select(experiments.c.lifecycle).where(experiments.c.id == experiment))
            if lifecycle_there == Lifecycle.DELETED:
                raise NotWritable(f"experiment {own_id(IdPrefix.EXPERIMENT, experiment)} is deleted: restore it first")
        session.execute(sa.update(runs).where(runs.c.id == ref.id).values(lifecycle=lifecycle))
        deleted_at = now if lifecycle is Lifecycle.DELETED else None
        session.execute(sa.update(contexts).where(contexts.c.id == ref.id).values(deleted_at=deleted_at))
        touch(session, NodeKind.CONTEXT, ref.id, now=now)
        record(session, actor, f"run.{MOVED[lifecycle]}", f"run_{ref.hex}", now=now)
    return get_runs(session, actor, [ref.id])[0]


def delete_run_tag(session: Session, actor: Actor, hex: str, key: str) -> None:
    """Raises NotFound: no such run or tag."""
    ref = lock_writable(session, actor, hex)
    tagging.delete_tag(session, NodeKind.CONTEXT, ref.id, key)
    if ref.is_final:
        bump(session, NodeKind.CONTEXT, ref.id)


def rename_node(session: Session, id: int, name: str) -> None:
    """ML Metadata's own types keep the name that its client gave."""
    own = (contexts.c.id == id, contexts.c.type_id == node_types.RUN)
    session.execute(sa.update(contexts).where(*own).values(name=name))


def lock_writable(session: Session, actor: Actor, hex: str) -> RunRef:
    """Locks its context, as `lock_run`. Raises NotFound, NotWritable (deleted)."""
    ref = lock_run(session, contexts, actor.workspace, hex)
    if ref.lifecycle is Lifecycle.DELETED:
        raise NotWritable(f"run run_{ref.hex} is deleted: restore it first")
    return ref


def without_values(row: sa.Row[tuple[Any, ...]]) -> Run:
    """The run of a row of `HEADS`, with no metrics, params and tags. No statement."""
    return _run(row, {}, {}, {})


def with_values(session: Session, rows: Sequence[sa.Row[tuple[Any, ...]]], fields: Fields = ALL_FIELDS) -> list[Run]:
    """The runs of rows of `HEADS`; a statement for each of metrics, params and tags that is wanted."""
    ids = [row.id for row in rows]
    metrics = latest_values(session, ids if fields.metrics != [] else [], keys=fields.metrics)
    found_params = tagging.read_pairs(session, params, NodeKind.CONTEXT, ids if fields.params != [] else [], keys=fields.params)
    found_tags = tagging.read_pairs(session, tags, NodeKind.CONTEXT, ids if fields.tags != [] else [], keys=fields.tags)
    return [_run(row, metrics.get(row.id, {}), found_params.get(row.id, {}), found_tags.get(row.id, {})) for row in rows]


_HEAD = len(HEADS.selected_columns)
"""Behind them a row may have what a page or a fragment needs."""


def _run(row: Sequence[Any], metrics: Mapping[str, Point], params: Mapping[str, str], tags: Mapping[str, str]) -> Run:
    """By place: by name costs three times as much, and a page has a thousand of them."""
    head: Any = row[:_HEAD]
    (id, _workspace, hex, experiment, _experiment_author, name, _name_author, status, _status_author, phase, started_at, ended_at,
     user_name, _parent, parent_text, artifact_root, lifecycle, origin, execution, _pipeline, _final_at,
     created_at, updated_at, version, experiment_name, parent_hex) = head  # fmt: skip
    return Run(
        id=id,
        hex=hex,
        name=name,
        experiment=experiment,
        experiment_name=experiment_name,
        status=None if status is None else Status(status),
        phase=phase,
        started_at=started_at,
        ended_at=ended_at,
        user_name=user_name,
        parent=None if parent_hex is None else f"run_{parent_hex}",
        parent_text=parent_text,
        artifact_root=artifact_root,
        lifecycle=Lifecycle(lifecycle),
        origin=Origin(origin),
        execution=execution,
        created_at=created_at,
        updated_at=updated_at,
        version=version,
        metrics=metrics,
        params=params,
        tags=tags,
    )
