"""Joining: a process in a pod finds the run and the step that it is, by what its environment says of it.

Whoever comes first: where the workflow's report is there, the process gets the reported step. Where it is not, a step that waits
is made, in a run of its own or in the run that the environment names; the report takes both up (`take_up`), and the ids that the
process was given go on answering.

Sources: Argo sets ARGO_NODE_ID, which a Workflow's status calls the node's id; KFP sets KFP_POD_NAME, KFP_POD_UID, KFP_RUN_ID.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from registry.catalog import node_types
from registry.catalog.actors import Actor
from registry.catalog.experiments import get_or_create_experiment
from registry.catalog.keys import Key, add_alias, claim, find_claimed, find_many
from registry.catalog.merging import absorb_run, rekey
from registry.catalog.nodes import node_row, touch
from registry.catalog.reports.running import find_run
from registry.catalog.reports.stepping import Step
from registry.catalog.run_creation import create_run
from registry.db.session import Session
from registry.errors import AlreadyExists, InvalidArgument, NotWritable
from registry.names import Author, KeyKind, Lifecycle, NodeKind, Origin, Role, Status, check_name, narrow, run_hex_or_none, sha256
from registry.tables.graph import artifacts, associations, contexts, events, executions
from registry.tables.runs import objects, runs, steps
from registry.tables.service import keys

_CHUNK = 1000


@dataclass(frozen=True)
class Pod:
    """What the environment of a process says; at least one of `node_id` and `pod_name`. `run_id`: KFP run id or Workflow uid."""

    node_id: str | None = None
    pod_name: str | None = None
    pod_uid: str | None = None
    run_id: str | None = None

    @property
    def keys(self) -> list[Key]:
        named = ((KeyKind.NODE, self.node_id), (KeyKind.POD, self.pod_name))
        return [(kind, name) for kind, name in named if name is not None]

    @property
    def run_hex(self) -> str | None:
        return None if self.run_id is None else run_hex_or_none(self.run_id)


@dataclass(frozen=True)
class Joined:
    """`run`: 32 hex. `reported`: the workflow's report is there; its word on states stands."""

    run: str
    step: int
    reported: bool


def join_step(
    session: Session,
    actor: Actor,
    pod: Pod,
    *,
    now: int,
    name: str | None = None,
    experiment: str | None = None,
    status: Status | None = None,
) -> Joined:
    """The run and step of a process in a pod. Idempotent: said again it gives the same, or the reported ones once they are there.

    `name`: of a step that waits. `experiment`: the run's, where no client has named one. `status`: how the process ended; counts
    only while no report is there. Of several steps with that node or pod (a workflow's name was used again) the newest unfinished
    one is meant, else the newest; `run_id` tells them apart.

    Raises:
        InvalidArgument: neither node nor pod, or `run_id` is no UUID.
        NotWritable: the experiment is deleted.
    """
    actor.require(Role.CONTRIBUTOR)
    _check(pod)
    known = _known(session, actor, pod)
    reported = None if pod.run_id is not None and known is None else _reported(session, actor, pod, known)
    waiting = find_claimed(session, actor.workspace, pod.keys, NodeKind.EXECUTION)
    if reported is None and waiting is not None and _is_of_another_run(session, waiting, pod):
        _release(session, waiting)
        waiting = None
    if reported is None and waiting is None:
        waiting = _wait(session, actor, pod, known, name, now=now)
    step = waiting if reported is None else int(reported.id)
    run_id = None if step is None else _locked_run(session, step)
    if step is None or run_id is None:  # somebody else did at the same time
        return join_step(session, actor, pod, now=now, name=name, experiment=experiment, status=status)
    if reported is None and status is not None:
        _end(session, step, run_id, status, now=now)
    if reported is not None and waiting is not None:
        _take_up(session, actor.workspace, {waiting: step}, run_id, now=now)
    if pod.pod_uid is not None:
        session.execute(sa.update(steps).where(steps.c.id == step).values(pod_uid=pod.pod_uid))
    if experiment is not None:
        _name_experiment(session, actor, run_id, experiment, now=now)
    hex = session.scalar(sa.select(runs.c.hex).where(runs.c.id == run_id))
    return Joined(str(hex), step, reported is not None)


def _check(pod: Pod) -> None:
    if not pod.keys:
        raise InvalidArgument("say which node or pod the process is in", field="node_id")
    for text, field in ((pod.node_id, "node_id"), (pod.pod_name, "pod_name"), (pod.pod_uid, "pod_uid")):
        if text is not None:
            check_name(text, field)
    if pod.run_id is not None and pod.run_hex is None:
        raise InvalidArgument(f"run_id {pod.run_id[:80]!r} is no UUID", field="run_id")


def _known(session: Session, actor: Actor, pod: Pod) -> int | None:
    """The run that the environment names, locked: none of its steps comes to another run, nor any step to it once it has gone."""
    run = _find_known(session, actor, pod.run_hex)
    if run is None:
        return None
    session.lock(contexts, [run])
    again = session.dialect == "sqlite" or _find_known(session, actor, pod.run_hex) == run
    return run if again else _known(session, actor, pod)


def _find_known(session: Session, actor: Actor, hex: str | None) -> int | None:
    """Also by the uid of an object that another one owns, which is a step of that one's run."""
    if hex is None:
        return None
    found = find_run(session, actor, hex, hex)
    if found is not None:
        return found[0]
    identity = sha256(str(uuid.UUID(hex)))
    run: int | None = session.scalar(
        sa.select(objects.c.run).where(objects.c.workspace == actor.workspace, objects.c.identity == identity)
    )
    return run


def _is_of_another_run(session: Session, waiting: int, pod: Pod) -> bool:
    """A pod of that name waited in another run than the environment names: the workflow's name was used again."""
    if pod.run_hex is None:
        return False
    named = (keys.c.node_kind == NodeKind.CONTEXT, keys.c.kind == KeyKind.KFP_RUN)
    of_run = session.scalars(sa.select(keys.c.key).join(steps, steps.c.run == keys.c.node).where(steps.c.id == waiting, *named))
    return bool(of_run) and pod.run_hex not in of_run


def _release(session: Session, step: int) -> None:
    """Node and pod of a step are another's from now on."""
    session.execute(sa.delete(keys).where(keys.c.node_kind == NodeKind.EXECUTION, keys.c.node == step))


def _locked_run(session: Session, step: int) -> int | None:
    """The run of a step, locked. None: a report has taken up the step, or its run, while this waited for the lock."""
    query = sa.select(steps.c.run).join(runs, runs.c.id == steps.c.run).where(steps.c.id == step)
    run = session.scalar(query)
    if run is not None:
        session.lock(contexts, [run])
    return None if run is None or session.scalar(query) != run else int(run)


def _reported(session: Session, actor: Actor, pod: Pod, run: int | None) -> Any:
    """The step that a report or ML Metadata gave this node or pod; one without a run yet is not meant."""
    query = sa.select(steps.c.id, steps.c.run, steps.c.status)
    query = query.where(steps.c.workspace == actor.workspace, steps.c.run.is_not(None))
    if run is not None:
        query = query.where(steps.c.run == run)
    for column, text in ((steps.c.node_id, pod.node_id), (steps.c.pod_name, pod.pod_name)):
        if text is not None:
            found = session.all(query.where(column == text).order_by(steps.c.id.desc()).limit(100))
            going = [row for row in found if row.status is None or not Status(row.status).is_final]
            if found:
                return (going or found)[0]
    return None


def _wait(session: Session, actor: Actor, pod: Pod, run: int | None, name: str | None, *, now: int) -> int | None:
    """Make the step that waits, in `run` or in a run of its own. None: somebody else made it, or the run, just now."""
    made = session.next_id("execution")
    if claim(session, actor.workspace, pod.keys, NodeKind.EXECUTION, made) < len(pod.keys):
        _release(session, made)
        return None
    own = pod.keys[0][1]
    shown = check_name(name) if name else own
    if run is None:
        try:
            run = _make_run(session, actor, pod.run_hex, shown, now=now)
        except AlreadyExists:  # its first report has come meanwhile
            _release(session, made)
            return None
    node = node_row(made, type_id=node_types.STEP, workspace=actor.workspace, now=now, name=shown)
    session.insert(executions, node)
    row: dict[str, Any] = dict.fromkeys(column.name for column in steps.columns)
    row |= {
        "id": made,
        "workspace": actor.workspace,
        "run": run,
        "path": f"@{own}",  # no task is called so: it gives way to the reported step's
        "path_key": narrow(f"@{own}"),
        "name": shown,
        "status": int(Status.RUNNING),
        "status_author": int(Author.AGENT),
        "started_at": now,
    }
    session.insert(steps, row)
    session.insert(associations, {"context": run, "execution": made})
    return made


def _make_run(session: Session, actor: Actor, hex: str | None, name: str, *, now: int) -> int:
    """All that it says gives way to the workflow's report."""
    agent = replace(actor, author=Author.AGENT)
    made = create_run(session, agent, now=now, experiment=None, name=name, hex=hex, origin=Origin.AGENT)
    if hex is not None:
        claim(session, actor.workspace, [(KeyKind.KFP_RUN, hex)], NodeKind.CONTEXT, made)
    return made


def _end(session: Session, step: int, run: int, status: Status, *, now: int) -> None:
    """Of a step that waits; and of its run, if it is the only one and no report has told of it."""
    values: dict[str, Any] = {"status": int(status), "ended_at": now if status.is_final else None}
    session.execute(sa.update(steps).where(steps.c.id == step).values(**values))
    others = session.scalar(sa.select(sa.func.count()).select_from(steps).where(steps.c.run == run, steps.c.id != step))
    if not others and not _is_reported(session, run):
        values["final_at"] = now if status.is_final else None
        told = session.execute(sa.update(runs).where(runs.c.id == run, runs.c.status_author == Author.AGENT).values(**values))
        if told.rowcount:
            touch(session, NodeKind.CONTEXT, run, now=now)


def _is_reported(session: Session, run: int) -> bool:
    return session.scalar(sa.select(objects.c.id).where(objects.c.run == run).limit(1)) is not None


def _name_experiment(session: Session, actor: Actor, run: int, name: str, *, now: int) -> None:
    row = session.first(sa.select(runs.c.hex, runs.c.experiment_author).where(runs.c.id == run))
    if row is None or row.experiment_author != Author.AGENT:
        return
    made = get_or_create_experiment(session, actor, name, now=now)
    if made.lifecycle is Lifecycle.DELETED:
        raise NotWritable(f"experiment {made.own_id} is deleted: restore it first")
    session.execute(sa.update(runs).where(runs.c.id == run).values(experiment=made.id, experiment_author=int(Author.CLIENT)))
    own = (contexts.c.id == run, contexts.c.type_id == node_types.RUN)
    session.execute(sa.update(contexts).where(*own).values(name_key=f"{made.id}:{row.hex}"))
    touch(session, NodeKind.CONTEXT, run, now=now)


def take_up(session: Session, workspace: int, run: int, reported: Iterable[Step], *, now: int) -> None:
    """Steps that waited become those of the reported ones that have their node or pod; one statement where none waits."""
    named: dict[Key, int] = {}
    for step in reported:
        for kind, column in ((KeyKind.NODE, "node_id"), (KeyKind.POD, "pod_name")):
            if step.columns[column] is not None:
                named[kind, step.columns[column]] = step.id
    wanted = list(named)
    waiting: dict[int, int] = {}
    for start in range(0, len(wanted), _CHUNK):
        found = find_many(session, workspace, wanted[start : start + _CHUNK], NodeKind.EXECUTION)
        waiting |= {id: named[key] for key, id in found.items()}
    if waiting:
        _take_up(session, workspace, waiting, run, now=now)


def _take_up(session: Session, workspace: int, waiting: dict[int, int], run: int, *, now: int) -> None:
    """`waiting`: by the id of a step that waits, the reported one that it is. What is another run's is left alone."""
    query = sa.select(steps.c.id, steps.c.run).where(steps.c.id.in_(sorted(waiting)))
    own = {row.id: row.run for row in session.all(query)}
    strangers = sorted({other for other in own.values() if other != run})
    session.lock(contexts, [run, *strangers])
    if session.dialect != "sqlite" and own != {row.id: row.run for row in session.all(query)}:  # taken up meanwhile
        _take_up(session, workspace, waiting, run, now=now)
        return
    foreign = _foreign(session, run, strangers)
    for id, other in sorted(own.items()):
        if other not in foreign:
            _become(session, id, waiting[id])
    for other in strangers:
        if other not in foreign:
            absorb_run(session, workspace, other, run, now=now)


def _foreign(session: Session, run: int, others: list[int]) -> set[int]:
    """Those that are not `run`: another report told of them, or their process named a run that is not this one."""
    foreign = {other for other in others if _is_reported(session, other)}
    if len(foreign) == len(others):
        return foreign
    named: dict[int, set[str]] = {}
    held = (keys.c.node_kind == NodeKind.CONTEXT, keys.c.kind == KeyKind.KFP_RUN, keys.c.node.in_(others))
    for row in session.all(sa.select(keys.c.node, keys.c.key).where(*held)):
        named.setdefault(row.node, set()).add(row.key)
    if named:
        own = set(session.scalars(sa.select(keys.c.key).where(keys.c.node_kind == NodeKind.CONTEXT, keys.c.node == run)))
        own |= set(session.scalars(sa.select(runs.c.hex).where(runs.c.id == run)))
        uids = session.scalars(sa.select(objects.c.uid).where(objects.c.run == run, objects.c.uid.is_not(None)))
        own |= {hex for uid in uids if (hex := run_hex_or_none(uid)) is not None}
        foreign |= {other for other, keys_ in named.items() if keys_.isdisjoint(own)}
    return foreign


def _become(session: Session, old: int, new: int) -> None:
    """What hangs on the waiting step `old` hangs on the reported step `new`."""
    rekey(session, events, "execution", old, new, unique=("artifact", "type"))
    session.execute(sa.update(artifacts).where(artifacts.c.step == old).values(step=new))
    uid = session.scalar(sa.select(steps.c.pod_uid).where(steps.c.id == old))
    if uid is not None:
        session.execute(sa.update(steps).where(steps.c.id == new).values(pod_uid=uid))
    _release(session, old)
    rekey(session, associations, "execution", old, new, unique=("context",))
    session.execute(sa.delete(steps).where(steps.c.id == old))
    session.execute(sa.delete(executions).where(executions.c.id == old))
    add_alias(session, NodeKind.EXECUTION, old, new)
