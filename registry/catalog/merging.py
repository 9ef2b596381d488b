"""One pipeline run whoever comes first: agent, ML Metadata, or Kubeflow Pipelines' MLflow plugin.

`adopt_kfp_run`: an MLflow-born run says which KFP run it is. `adopt_mlmd_run`: ML Metadata writes the run's context. Each meets
what the others have made, and every id that a client was shown goes on answering.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from registry.catalog import node_types
from registry.catalog.actors import Actor
from registry.catalog.fragments import drop_fragments
from registry.catalog.keys import add_alias, claim, find_claimed, move_keys, unmake_run
from registry.catalog.metrics import Batch, log_many
from registry.catalog.nodes import touch
from registry.catalog.properties import Properties, write_properties
from registry.catalog.run_creation import create_run
from registry.catalog.run_lookup import get_run_ref
from registry.db.session import Session
from registry.errors import AlreadyExists, InvalidArgument
from registry.names import (
    Author,
    KeyKind,
    Lifecycle,
    LinkKind,
    NodeKind,
    Origin,
    OwnerKind,
    Role,
    Status,
    check_name,
    run_hex_or_none,
)
from registry.tables.graph import (
    associations,
    attributions,
    contexts,
    events,
    executions,
    links,
    params,
    parent_contexts,
    properties,
    tags,
)
from registry.tables.metrics import metric_points, series
from registry.tables.models import logged_models, model_versions
from registry.tables.runs import objects, runs, steps

KFP_TAG = "kfp.pipeline_run_id"


def adopt_kfp_run(session: Session, actor: Actor, hex: str, kfp_run_id: str, *, now: int) -> str:
    """The MLflow-born run `hex` carries the tag `kfp.pipeline_run_id`, from its birth or set later. Idempotent.

    The first parentless one claims the KFP run id. What the agent or ML Metadata has made for that id becomes one record with it;
    it keeps its run id, which is returned. Any other run with the tag stays itself. Raises NotFound: no such run.
    """
    actor.require(Role.CONTRIBUTOR)
    own = get_run_ref(session, actor.workspace, hex)
    key = run_hex_or_none(kfp_run_id)
    if key is None:
        return own.hex
    other = _locked_holder(session, actor.workspace, key, own.id)
    own = get_run_ref(session, actor.workspace, hex)
    held = {row.id: row for row in session.all(_RUN.where(runs.c.id.in_([own.id, other or own.id])))}
    mine = held[own.id]
    if mine.origin != Origin.MLFLOW or mine.parent is not None or other == own.id:
        return own.hex
    if other is None:
        if claim(session, actor.workspace, [(KeyKind.KFP_RUN, key)], NodeKind.CONTEXT, own.id) == 0:
            return adopt_kfp_run(session, actor, hex, kfp_run_id, now=now)  # somebody else did at the same time
        claim(session, actor.workspace, [(KeyKind.RUN_ID, key)], NodeKind.CONTEXT, own.id)
    elif held[other].origin in {Origin.AGENT, Origin.MLMD}:
        _merge(session, actor, mine, held[other], now=now)
        survivor = _survivor(mine, held[other])
        claim(session, actor.workspace, _ids(key), NodeKind.CONTEXT, survivor.id)
    return own.hex


def log_claiming(session: Session, actor: Actor, batch: Batch, *, now: int) -> None:
    """Log a batch whose tags name a KFP run (`KFP_TAG`), and adopt that run, in one transaction. Errors as of `log_many`."""
    [refused] = log_many(session, [batch])
    if refused is not None:
        raise refused
    adopt_kfp_run(session, actor, batch.run, batch.tags[KFP_TAG], now=now)


def create_claiming(session: Session, actor: Actor, *, now: int, tags: Mapping[str, str], **fields: Any) -> int:
    """`create_run`, and adopt the KFP run that the tags may name; the context id that the run has then."""
    made = create_run(session, actor, now=now, tags=tags, **fields)
    if KFP_TAG not in tags:
        return made
    hex = session.scalar(sa.select(runs.c.hex).where(runs.c.id == made))
    return get_run_ref(session, actor.workspace, adopt_kfp_run(session, actor, hex, tags[KFP_TAG], now=now)).id


def _ids(key: str) -> list[tuple[KeyKind, str]]:
    """The KFP run id answers as a run id too, whether or not a run was born with it before."""
    return [(KeyKind.KFP_RUN, key), (KeyKind.RUN_ID, key)]


_RUN = sa.select(runs, contexts.c.type_id, contexts.c.version).join(contexts, contexts.c.id == runs.c.id)


def _locked_holder(session: Session, workspace: int, key: str, own: int | None = None) -> int | None:
    """Locks it, and `own`; the holder is looked up again under the lock, because it may have been merged meanwhile."""
    other = None
    for _ in range(3):
        other = _holder(session, workspace, key)
        session.lock(contexts, [id for id in (own, other) if id is not None])
        if session.dialect == "sqlite" or _holder(session, workspace, key) == other:
            break
    return other


def _holder(session: Session, workspace: int, key: str) -> int | None:
    """Whose KFP run id this is: the claimant's, else the run's that was born with it."""
    wanted = [(KeyKind.KFP_RUN, key), (KeyKind.RUN_ID, key), (KeyKind.KUBERNETES_UID, key)]
    found = find_claimed(session, workspace, wanted, NodeKind.CONTEXT)
    if found is None:
        found = session.scalar(sa.select(runs.c.id).where(runs.c.hex == key, runs.c.workspace == workspace))
    return found


def _survivor(one: Any, other: Any) -> Any:
    """The node that ML Metadata has typed, else the older: the context's id that stays."""
    typed = [row for row in (one, other) if row.type_id != node_types.RUN]
    return typed[0] if typed else min(one, other, key=lambda row: row.id)


def _merge(session: Session, actor: Actor, born: Any, other: Any, *, now: int) -> None:
    """`born` (in MLflow) gives run id, name, experiment, lifecycle, user and artifact root; the survivor's node stays."""
    session.lock(runs, [born.id, other.id])  # whoever logs to one of them now has ended, or finds the one
    held = {row.id: row for row in session.all(_RUN.where(runs.c.id.in_([born.id, other.id])))}
    born, other = held[born.id], held[other.id]  # an execution may have been made for an input meanwhile
    stays = _survivor(born, other)
    goes = other if stays is born else born
    columns = {
        name: getattr(born, name)
        for name in (
            "experiment",
            "experiment_author",
            "name",
            "name_author",
            "lifecycle",
            "user_name",
            "artifact_root",
            "origin",
        )
    }
    columns |= {"parent": born.parent or other.parent, "parent_text": born.parent_text or other.parent_text}
    columns |= {"pipeline": other.pipeline or born.pipeline, "phase": other.phase or born.phase}
    columns |= {"execution": _one_execution(session, stays, goes)}
    columns |= _state(born, other)
    _move(session, goes.id, stays.id)
    session.execute(sa.delete(runs).where(runs.c.id == goes.id))
    session.execute(sa.delete(contexts).where(contexts.c.id == goes.id))
    session.execute(sa.update(runs).where(runs.c.id == stays.id).values(hex=born.hex, **columns))
    node = _next_version(born, other) | {"deleted_at": now if born.lifecycle == Lifecycle.DELETED else None}
    if stays.type_id == node_types.RUN:
        node |= {"name": born.name, "name_key": f"{born.experiment or ''}:{born.hex}"}
    session.execute(sa.update(contexts).where(contexts.c.id == stays.id).values(**node))
    touch(session, NodeKind.CONTEXT, stays.id, now=now)
    claim(session, actor.workspace, [(KeyKind.RUN_ID, other.hex)], NodeKind.CONTEXT, stays.id)
    add_alias(session, NodeKind.CONTEXT, goes.id, stays.id)


def absorb_run(session: Session, workspace: int, goes: int, stays: int, *, now: int) -> None:
    """`goes` was made for a step whose workflow nobody knew yet (catalog/joining): all that hangs on it hangs on `stays`.

    The workflow's run keeps what it says of itself, but an experiment that a client named beats a derived one. Both are locked.
    """
    session.lock(runs, [goes, stays])  # whoever logs to one of them now has ended, or finds the one
    held = {row.id: row for row in session.all(_RUN.where(runs.c.id.in_([goes, stays])))}
    old, new = held[goes], held[stays]
    columns: dict[str, Any] = {"execution": _one_execution(session, new, old)}
    node = _next_version(old, new)
    named = old.experiment_author == Author.CLIENT and old.lifecycle != Lifecycle.DELETED
    if named and new.experiment_author == Author.AGENT:
        columns |= {"experiment": old.experiment, "experiment_author": int(Author.CLIENT)}
        if new.type_id == node_types.RUN:
            node["name_key"] = f"{old.experiment}:{new.hex}"
    _move(session, goes, stays)
    session.execute(sa.delete(runs).where(runs.c.id == goes))
    session.execute(sa.delete(contexts).where(contexts.c.id == goes))
    session.execute(sa.update(runs).where(runs.c.id == stays).values(**columns))
    session.execute(sa.update(contexts).where(contexts.c.id == stays).values(**node))
    touch(session, NodeKind.CONTEXT, stays, now=now)
    claim(session, workspace, [(KeyKind.RUN_ID, old.hex)], NodeKind.CONTEXT, stays)
    add_alias(session, NodeKind.CONTEXT, goes, stays)


def _next_version(one: Any, other: Any) -> dict[str, Any]:
    """Of what the two become: one that neither has had, so that no `If-Match` of before is met by accident."""
    return {"version": max(one.version, other.version)}  # `touch` moves it on


def _state(born: Any, other: Any) -> dict[str, Any]:
    """A client's final state wins. An unfinished one counts as written before all else, and so do its times."""
    final = born.status is not None and Status(born.status).is_final
    first, second = (born, other) if final or other.status is None else (other, born)
    found = {name: getattr(first, name) for name in ("status", "status_author", "ended_at", "final_at")}
    return found | {"started_at": first.started_at if first.started_at is not None else second.started_at}


def _one_execution(session: Session, stays: Any, goes: Any) -> int | None:
    """Of the two runs' executions, which hold their inputs and outputs, one."""
    kept, lost = stays.execution, goes.execution
    if kept is None or lost is None:
        found: int | None = kept if kept is not None else lost
        return found
    rekey(session, events, "execution", int(lost), int(kept), unique=("artifact", "type"))
    rekey(session, associations, "execution", int(lost), int(kept), unique=("context",))
    add_alias(session, NodeKind.EXECUTION, lost, kept)
    session.execute(sa.delete(executions).where(executions.c.id == lost))
    return int(kept)


def _move(session: Session, old: int, new: int) -> None:
    """Everything that hangs on the context `old` hangs on `new`; where both have it, a client's stays."""
    for table, column in (
        (steps, "run"),
        (objects, "run"),
        (runs, "parent"),
        (model_versions, "run"),
        (logged_models, "run"),
    ):
        session.execute(sa.update(table).where(table.c[column] == old).values({column: new}))
    context = {"kind": int(NodeKind.CONTEXT)}
    run = {"owner_kind": int(OwnerKind.RUN)}
    for table in (params, tags):
        rekey(session, table, "node", old, new, unique=("name_id",), only=context, authored=True)
    _move_series(session, old, new, run)
    rekey(session, properties, "node", old, new, unique=("space", "name_id"), only=context)
    rekey(session, associations, "context", old, new, unique=("execution",))
    rekey(session, attributions, "context", old, new, unique=("artifact",))
    rekey(session, parent_contexts, "child", old, new, unique=("parent",))
    rekey(session, parent_contexts, "parent", old, new, unique=("child",))
    ends = ("kind", "from_kind", "from_node", "to_kind", "to_node")
    for end in ("from", "to"):
        rest = tuple(name for name in ends if name not in {f"{end}_node", f"{end}_kind"})
        rekey(session, links, f"{end}_node", old, new, unique=rest, only={f"{end}_kind": int(NodeKind.CONTEXT)})
    move_keys(session, NodeKind.CONTEXT, old, new)
    drop_fragments(session, [old, new])


def _move_series(session: Session, old: int, new: int, run: dict[str, int]) -> None:
    """Of a key that both have, a client's series stays whole, else the survivor's: two histories are not mixed."""
    _drop_clashes(session, series, "owner", old, new, unique=("name_id", "dataset"), only=run, authored=True)
    held = sa.select(series.c.name_id).where(series.c.owner_kind == OwnerKind.RUN)
    for owner in (old, new):  # points whose series has gone
        kept = session.scalars(held.where(series.c.owner == owner))
        where = [metric_points.c.owner_kind == OwnerKind.RUN, metric_points.c.owner == owner]
        session.execute(sa.delete(metric_points).where(*where, metric_points.c.name_id.not_in(kept)))
    for table in (series, metric_points):
        where = [table.c.owner_kind == OwnerKind.RUN, table.c.owner == old]
        session.execute(sa.update(table).where(*where).values(owner=new))


def rekey(
    session: Session,
    table: sa.Table,
    column: str,
    old: int,
    new: int,
    *,
    unique: tuple[str, ...],
    only: dict[str, int] | None = None,
    authored: bool = False,
) -> None:
    """Rows that name the node `old` in `column` name `new`; of rows that both have, one stays (see `_drop_clashes`)."""
    _drop_clashes(session, table, column, old, new, unique=unique, only=only, authored=authored)
    where = [table.c[name] == value for name, value in (only or {}).items()]
    session.execute(sa.update(table).where(table.c[column] == old, *where).values({column: new}))


def _drop_clashes(
    session: Session,
    table: sa.Table,
    column: str,
    old: int,
    new: int,
    *,
    unique: tuple[str, ...],
    only: dict[str, int] | None = None,
    authored: bool = False,
) -> None:
    """Of rows that both nodes have, delete the old node's; where only it is a client's (`authored`), the new node's."""
    where = [table.c[name] == value for name, value in (only or {}).items()]
    wanted = [table.c[column].label("node"), *(table.c[name] for name in unique)]
    if authored:
        wanted.append(table.c.author)
    found: dict[tuple[Any, ...], dict[int, Any]] = {}
    for row in session.all(sa.select(*wanted).where(table.c[column].in_([old, new]), *where)):
        found.setdefault(tuple(row[1 : 1 + len(unique)]), {})[row.node] = row
    for key, rows in found.items():
        if len(rows) < 2:
            continue
        wins_old = authored and rows[old].author == Author.CLIENT and rows[new].author == Author.AGENT
        loser = new if wins_old else old
        same = [table.c[name] == value for name, value in zip(unique, key, strict=True)]
        session.execute(sa.delete(table).where(table.c[column] == loser, *same, *where))


@dataclass(frozen=True)
class MlmdRun:
    """A run's context as ML Metadata's client puts it: a user type's id, and a name that is unique under it in `scope`."""

    type_id: int
    type_name: str
    name: str
    scope: int
    external_id: str | None = None
    properties: Properties = field(default_factory=Properties)


def adopt_mlmd_run(session: Session, actor: Actor, put: MlmdRun, *, now: int) -> int:
    """The context of a pipeline run put by ML Metadata, whose name is the KFP run id; the context's id. Idempotent.

    What the agent or MLflow has made for that id becomes, once, of this type with this name and scope, and takes the properties
    as new. A record that is of a user type already stays what it is; the two are joined by a `same_as` link.
    """
    actor.require(Role.CONTRIBUTOR)
    check_name(put.name)
    if put.type_id in {known.id for known in node_types.BUILT_IN.values()}:
        raise InvalidArgument(f"{put.type_name} is a built-in type", field="type_id")
    agent = replace(actor, author=Author.AGENT)
    key = run_hex_or_none(put.name)
    other = None if key is None else _locked_holder(session, actor.workspace, key)
    if other is None:
        try:
            made = _born(session, agent, put, key, now=now)
        except AlreadyExists:  # somebody else made it at the same time
            made = None
        return adopt_mlmd_run(session, actor, put, now=now) if made is None else made
    held = session.first(sa.select(contexts.c.type_id, contexts.c.name_key, contexts.c.scope).where(contexts.c.id == other))
    assert held is not None  # noqa: S101  (it holds the key)
    if (held.type_id, held.name_key, held.scope) == (put.type_id, put.name, put.scope):
        return other
    if held.type_id != node_types.RUN:
        made = _born(session, agent, put, None, now=now)
        assert made is not None  # noqa: S101  (without a key nobody else can claim it)
        _same(session, made, other, now=now)
        return made
    _retype(session, other, put, now=now)
    where = (runs.c.id == other, runs.c.origin == Origin.AGENT)
    session.execute(sa.update(runs).where(*where).values(origin=int(Origin.MLMD)))
    claim(session, actor.workspace, [(KeyKind.KFP_RUN, key or put.name)], NodeKind.CONTEXT, other)
    return other


def _born(session: Session, agent: Actor, put: MlmdRun, key: str | None, *, now: int) -> int | None:
    """A new run: its name, state and experiment give way to reports and clients. None: another run claimed the key meanwhile."""
    derived = uuid.uuid5(uuid.NAMESPACE_OID, f"{put.scope}\x00{put.type_name}\x00{put.name}").hex
    for hex in (key or derived, derived):  # another workspace may have a run of this id: its own is derived then
        found = session.first(sa.select(runs.c.id, runs.c.workspace).where(runs.c.hex == hex))
        if found is None:
            break
        if found.workspace == agent.workspace:
            return int(found.id)
    made = create_run(
        session, agent, now=now, experiment=None, name=put.name, hex=hex, status=None, started_at=now, origin=Origin.MLMD
    )
    if key is not None and claim(session, agent.workspace, [(KeyKind.KFP_RUN, key)], NodeKind.CONTEXT, made) == 0:
        unmake_run(session, made)
        return None
    if key not in {None, hex}:
        claim(session, agent.workspace, [(KeyKind.RUN_ID, str(key))], NodeKind.CONTEXT, made)
    session.execute(sa.update(runs).where(runs.c.id == made).values(started_at=None))
    _retype(session, made, put, now=now)
    return made


def _retype(session: Session, id: int, put: MlmdRun, *, now: int) -> None:
    values = {
        "type_id": put.type_id,
        "name": put.name,
        "name_key": put.name,
        "scope": put.scope,
        "external_id": put.external_id,
        "listed": 1,
    }
    session.execute(sa.update(contexts).where(contexts.c.id == id).values(**values))
    write_properties(session, NodeKind.CONTEXT, {id: put.properties})
    touch(session, NodeKind.CONTEXT, id, now=now)


def _same(session: Session, one: int, other: int, *, now: int) -> None:
    kind = int(NodeKind.CONTEXT)
    row = {"kind": int(LinkKind.SAME_AS), "from_kind": kind, "from_node": one, "to_kind": kind, "to_node": other}
    session.insert_ignore(links, [row | {"inferred": 1, "at": now, "seconds_saved": None}])
