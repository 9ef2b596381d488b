"""Executions of pipelines are steps of runs: what ML Metadata's clients put, and what the agent reports, are one record.

A step is known by its path of task names under the run, an iteration by its number. An execution that meets a step which the
agent has made takes it over, id and all; a report that comes later finds the step under its path. The execution `run/<id>` of
Kubeflow Pipelines is the run's own. Every other execution in a run's context is a step under its own name.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from registry.catalog import node_types
from registry.catalog.actors import Actor
from registry.catalog.experiments import get_or_create_experiment
from registry.catalog.graph_puts import Values, stored_values
from registry.catalog.graph_states import STATES, STATUSES
from registry.catalog.graph_types import GraphType, types_by_id
from registry.catalog.pipelines import get_or_create_pipeline
from registry.catalog.properties import Properties, decoded
from registry.db.session import Session
from registry.names import INPUT_EVENTS, MAX_NAME, Author, Lifecycle, LinkKind, NodeKind, Origin, Status, narrow
from registry.tables.graph import contexts, events, executions, links, types
from registry.tables.runs import runs, steps

PIPELINE_TYPES = ("system.Pipeline", "pipeline")
"""Contexts of these types name a run's pipeline: of Kubeflow Pipelines, of TFX."""

NODE_TYPE = "node"
"""Contexts of TFX that name the component which an execution in them is of: `<pipeline>.<component>`."""

CACHE_TYPE = "execution_cache"
"""Contexts of TFX whose name is the fingerprint of the executions in them."""

ROOT = "run/"
"""The name of a run's own execution begins so."""

_ID = re.compile("[0-9]{1,18}")


@dataclass(frozen=True)
class Place:
    """Where an execution stands. `root`: it is the run's own; else `path`, `parent` (a step) and `iteration` say which step.

    `held`: the execution that the run has already, of a root; or the agent's step that is called so.
    """

    run: int
    workspace: int
    root: bool = False
    path: str = ""
    parent: int | None = None
    iteration: int | None = None
    held: int | None = None


def is_task(type_: GraphType) -> bool:
    """Of Kubeflow Pipelines: such an execution is not a second one where its task has one."""
    return type_.name.startswith("system.") and type_.name.endswith("Execution")


def is_root(type_: GraphType, name: str | None) -> bool:
    return type_.name == "system.DAGExecution" and (name or "").startswith(ROOT)


def status_of(type_: GraphType, name: str | None, state: int | None) -> Status | None:
    """CANCELED on a pipeline's task says that its condition was not met."""
    if state is None:
        return None
    skipped = state == STATES[Status.SKIPPED] and is_task(type_) and not is_root(type_, name)
    return Status.SKIPPED if skipped else STATUSES.get(state, Status.UNKNOWN)


def find_place(session: Session, workspace: int, type_: GraphType, values: Values, contexts: Sequence[int]) -> Place | None:
    """None: none of the contexts is a run. One statement."""
    if not contexts:
        return None
    up, task = _integer(values.properties, "parent_dag_id"), _text(values.properties, "task_name")
    parent = sa.select(steps.c.path).where(steps.c.id == (up or 0), steps.c.run == runs.c.id)
    above = sa.select(executions.c.properties).where(executions.c.id == (up or 0), executions.c.workspace == workspace)
    query = (
        sa.select(runs.c.id, runs.c.execution, above.scalar_subquery().label("above"), parent.scalar_subquery().label("path"))
        .where(runs.c.id.in_(sorted(set(contexts))), runs.c.workspace == workspace)
        .order_by(runs.c.id)
        .limit(1)
    )
    if is_task(type_) and task:
        query = query.add_columns(_called(task, up).label("called"))
    row = session.first(query)
    if row is None:
        return None
    if up is None and is_root(type_, values.name):
        return Place(row.id, workspace, root=True, held=row.execution)
    loop = "iteration_count" in decoded(row.above).custom
    index = _integer(values.properties, "iteration_index") if loop else None
    own = str(index) if index is not None else task or values.name or _text(values.properties, "component_id") or ""
    prefix = "" if row.path is None else f"{row.path}/"
    held = getattr(row, "called", None) if index is None else None
    return Place(
        row.id,
        workspace,
        path=prefix + own if own else "",
        parent=None if row.path is None else up,
        iteration=index,
        held=held,
    )


def _called(task: str, up: int | None) -> sa.ScalarSelect[Any]:
    """The one step of the agent under the same parent whose display name is the task's name; NULL if none or several."""
    own, node = steps.alias("own"), executions.alias("node")
    same: sa.ColumnElement[bool] = own.c.parent.is_(None)
    if up is not None:  # the run's own execution is no step, so what is under it has no parent
        same = sa.or_(own.c.parent == up, sa.and_(same, runs.c.execution == up))
    return (
        sa.select(sa.case((sa.func.count() == 1, sa.func.min(own.c.id))))
        .join(node, node.c.id == own.c.id)
        .where(own.c.run == runs.c.id, own.c.display_name == task, own.c.name != task, same, node.c.type_id == node_types.STEP)
        .scalar_subquery()
    )


def _integer(properties: Properties, name: str) -> int | None:
    value = properties.custom.get(name)
    return value.value if value is not None and type(value.value) is int else None


def _text(properties: Properties, name: str) -> str | None:
    value = properties.custom.get(name) or properties.declared.get(name)
    return value.value if value is not None and isinstance(value.value, str) and value.value else None


def take_place(session: Session, place: Place, id: int, type_: GraphType, values: Values, *, now: int) -> int:
    """Make the new execution `id` the run's own, or its step.

    Another id is returned where an execution has this place already, which the caller writes instead. One statement, up to three
    more where there is one.
    """
    if place.root:
        return _take_root(session, place, id)
    if place.held is not None and is_task(type_):
        return place.held
    row = step_row(place, id, type_, values, now=now)
    if session.insert_if_absent(steps, row):
        return id
    there = session.scalar(sa.select(steps.c.id).where(steps.c.run == place.run, steps.c.path_key == row["path_key"]))
    if is_task(type_) and there is not None:
        return int(there)
    path = f"{row['path']}#{id}"  # a second one of this name is another step
    session.insert(steps, row | {"path": path, "path_key": narrow(path)})
    return id


def component_of(names: Mapping[str, str | None]) -> str | None:
    """The component of TFX that a call's contexts, by the names of their types, are of."""
    node, pipeline = names.get(NODE_TYPE), names.get("pipeline")
    return node.removeprefix(f"{pipeline}.") if node and pipeline else node


def add_steps(
    session: Session,
    workspace: int,
    run: int,
    new: Sequence[tuple[int, GraphType, Values]],
    *,
    component: str | None = None,
    now: int,
) -> None:
    """Executions that are no tasks of Kubeflow Pipelines, under their component's name or their own; a second one of a name gets
    its id added.

    One statement, two where names are taken.
    """
    rows = []
    for id, type_, values in new:
        own = component or values.name or _text(values.properties, "component_id") or ""
        rows.append(step_row(Place(run, workspace, path=own), id, type_, values, now=now))
    if session.insert_ignore(steps, rows) == len(rows):
        return
    there = set(session.scalars(sa.select(steps.c.id).where(steps.c.id.in_([row["id"] for row in rows]))))
    again = [row | {"path": f"{row['path']}#{row['id']}"} for row in rows if row["id"] not in there]
    session.insert_ignore(steps, [row | {"path_key": narrow(row["path"])} for row in again])


def adopt_members(session: Session, actor: Actor, pairs: Sequence[tuple[int, int]], *, now: int) -> None:
    """(context, execution) pairs of which some contexts may be runs: executions that are no steps yet become theirs.

    One statement, four where there is a run.
    """
    if not pairs:
        return
    wanted_runs = sa.select(runs.c.id, runs.c.workspace).where(runs.c.id.in_(sorted({context for context, _ in pairs})))
    of_runs = {row.id: row.workspace for row in session.all(wanted_runs)}
    wanted: dict[int, int] = {}
    for context, execution in pairs:
        if context in of_runs:
            wanted.setdefault(execution, context)
    if not wanted:
        return
    own = sa.select(runs.c.execution).where(runs.c.execution.in_(sorted(wanted)))
    rows = session.all(
        sa.select(executions)
        .where(executions.c.id.in_(sorted(wanted)), executions.c.listed == 1)
        .where(executions.c.id.not_in(sa.select(steps.c.id)), executions.c.id.not_in(own))
    )
    if not rows:
        return
    known = types_by_id(session, actor, {row.type_id for row in rows})
    for run in sorted(of_runs):
        of_run = [row for row in rows if wanted[row.id] == run and row.type_id in known]
        new = [(row.id, known[row.type_id], stored_values(row, NodeKind.EXECUTION)) for row in of_run]
        add_steps(session, of_runs[run], run, new, now=now)
        astray = [row.id for row in of_run if row.workspace != of_runs[run]]
        if astray:
            session.execute(sa.update(executions).where(executions.c.id.in_(astray)).values(workspace=of_runs[run]))


def name_pipelines(session: Session, actor: Actor, edges: Sequence[tuple[int, int]], *, now: int) -> None:
    """A run whose parent context is a pipeline's gets that pipeline, and its derived experiment unless a client named one."""
    rows = session.all(
        sa.select(runs.c.id, runs.c.workspace, runs.c.experiment_author, contexts.c.id.label("parent"), contexts.c.name)
        .select_from(runs)
        .join(contexts, contexts.c.id.in_(sorted({parent for _, parent in edges})))
        .join(types, types.c.id == contexts.c.type_id)
        .where(runs.c.id.in_(sorted({child for child, _ in edges})), types.c.name.in_(PIPELINE_TYPES))
    )
    for row in rows:
        if (row.id, row.parent) not in edges:
            continue
        of_run = actor.at(row.workspace)
        pipeline = get_or_create_pipeline(session, of_run, row.name, now=now)
        session.execute(sa.update(runs).where(runs.c.id == row.id).values(pipeline=pipeline.id))
        if row.experiment_author == Author.AGENT:
            _derive_experiment(session, of_run, row.id, row.name, now=now)


def _derive_experiment(session: Session, actor: Actor, run: int, pipeline: str, *, now: int) -> None:
    name = f"pipelines/{pipeline}"[:MAX_NAME]
    experiment = get_or_create_experiment(session, actor, name, now=now, derived=True, origin=Origin.MLMD)
    values: dict[str, Any] = {"experiment": experiment.id}
    if experiment.lifecycle is Lifecycle.DELETED:  # born deleted, like all of its experiment
        values["lifecycle"] = int(Lifecycle.DELETED)
        session.execute(sa.update(contexts).where(contexts.c.id == run).values(deleted_at=now))
    session.execute(sa.update(runs).where(runs.c.id == run).values(**values))


_BLANK: Mapping[str, Any] = dict.fromkeys(column.name for column in steps.columns)


def step_row(place: Place, id: int, type_: GraphType, values: Values, *, now: int) -> dict[str, Any]:
    path = place.path or f"{type_.name}#{id}"
    status = status_of(type_, values.name, values.state)
    final = status is not None and status.is_final
    return {
        **_BLANK,
        "id": id,
        "workspace": place.workspace,
        "run": place.run,
        "path": path,
        "path_key": narrow(path),
        "parent": place.parent,
        "name": (path.rpartition("/")[2] or path)[:MAX_NAME],
        "iteration": place.iteration if place.iteration is None or abs(place.iteration) < 2**31 else None,
        "status": None if status is None else int(status),
        "status_author": int(Author.CLIENT if final else Author.AGENT),  # an unfinished state gives way to a report
        "started_at": now,
        "ended_at": now if final else None,
        **_shown(values.properties),
    }


def _shown(properties: Properties) -> dict[str, str | None]:
    found = {
        "display_name": _text(properties, "display_name"),
        "pod_name": _text(properties, "pod_name") or _text(properties, "kfp_pod_name"),
        "pod_uid": _text(properties, "pod_uid"),
        "fingerprint": _text(properties, "cache_fingerprint"),
    }
    return {name: value if value is None else value[:MAX_NAME] for name, value in found.items()}


def _take_root(session: Session, place: Place, id: int) -> int:
    if place.held is not None:
        own = session.scalar(sa.select(executions.c.type_id).where(executions.c.id == place.held))
        if own == node_types.RUN_EXECUTION:
            return place.held
    session.execute(sa.update(runs).where(runs.c.id == place.run, runs.c.execution.is_(None)).values(execution=id))
    return id


def follow(session: Session, changed: Mapping[int, tuple[GraphType, Values]], *, now: int) -> None:
    """Steps and runs that the executions are show what these say now; one statement, two where one is a run's own."""
    rows = []
    for id, (type_, values) in sorted(changed.items()):
        status = status_of(type_, values.name, values.state)
        if is_root(type_, values.name):
            _follow_root(session, id, status, now=now)
            continue
        final = status is not None and status.is_final
        shown = {f"new_{name}": value for name, value in _shown(values.properties).items()}
        state = {"new_status": None if status is None else int(status), "said": int(status is not None), "final": int(final)}
        rows.append({"of": id, "now": now, **shown, **state})
    if rows:
        session.execute(_FOLLOW, rows)


def _given(name: str) -> Any:
    return sa.bindparam(f"new_{name}", type_=steps.c[name].type)


_said, _final = sa.bindparam("said", type_=sa.Integer()), sa.bindparam("final", type_=sa.Integer())
_FOLLOW = (
    sa.update(steps)
    .where(steps.c.id == sa.bindparam("of", type_=steps.c.id.type))
    .values(
        **{
            name: sa.func.coalesce(_given(name), steps.c[name]) for name in ("display_name", "pod_name", "pod_uid", "fingerprint")
        },
        ended_at=sa.case(
            (_final == 1, sa.func.coalesce(steps.c.ended_at, sa.bindparam("now", type_=sa.BigInteger()))),
            (_said == 1, None),
            else_=steps.c.ended_at,
        ),
        status_author=sa.case((_final == 1, int(Author.CLIENT)), (_said == 1, int(Author.AGENT)), else_=steps.c.status_author),
        status=sa.func.coalesce(_given("status"), steps.c.status),
    )
)


def _follow_root(session: Session, execution: int, status: Status | None, *, now: int) -> None:
    if status is None:
        return
    ended = sa.func.coalesce(runs.c.ended_at, now) if status.is_final else None
    values: dict[str, Any] = {"status": int(status), "status_author": int(Author.CLIENT if status.is_final else Author.AGENT)}
    values |= {"final_at": now if status.is_final else None, "started_at": sa.func.coalesce(runs.c.started_at, now)}
    session.execute(sa.update(runs).where(runs.c.execution == execution).values(ended_at=ended, **values))
    own = sa.select(runs.c.id).where(runs.c.execution == execution)
    session.execute(sa.update(contexts).where(contexts.c.id.in_(own)).values(version=contexts.c.version + 1))


def reuse(session: Session, workspace: int, id: int, values: Values, *, now: int) -> int | None:
    """A cached execution names the one whose outputs it has: the link that says so, and that one, if it is here. Idempotent."""
    original = _text(values.properties, "cached_execution_id")
    if values.state != STATES[Status.CACHED] or original is None or not _ID.fullmatch(original):
        return None
    number = int(original)
    source = session.first(
        sa.select(steps.c.started_at, steps.c.ended_at).where(steps.c.id == number, steps.c.workspace == workspace)
    )
    if source is None or number == id:
        return None
    took = None if None in {source.started_at, source.ended_at} else max(0, source.ended_at - source.started_at) / 1000
    kind = int(NodeKind.EXECUTION)
    row = {"kind": int(LinkKind.REUSED_FROM), "from_kind": kind, "from_node": id, "to_kind": kind, "to_node": number}
    session.insert_ignore(links, [row | {"inferred": 0, "at": now, "seconds_saved": took}])
    return number


def set_fingerprint(session: Session, id: int, fingerprint: str) -> None:
    """Of a step that has none."""
    none = (steps.c.id == id, steps.c.fingerprint.is_(None))
    session.execute(sa.update(steps).where(*none).values(fingerprint=fingerprint[:MAX_NAME]))


def retype(session: Session, id: int, row: Mapping[str, Any], type_: GraphType, *, now: int) -> bool:
    """The execution that has a task's place becomes what the client puts; True if it was the agent's until now.

    Its time of creation stays, and a final state that the agent has seen. Its inputs are those that come with the put.
    """
    held = session.first(
        sa.select(executions.c.type_id, steps.c.status)
        .join(steps, steps.c.id == executions.c.id, isouter=True)
        .where(executions.c.id == id)
    )
    agents = held is not None and held.type_id in {node_types.STEP, node_types.RUN_EXECUTION}
    kept = {"id", "workspace", "created_at", "updated_at", "version", "deleted_at"}
    values = {name: value for name, value in row.items() if name not in kept}
    if agents and held is not None and held.status is not None and Status(held.status).is_final:
        put = status_of(type_, row["name"], row["state"])
        if put is None or not put.is_final:
            values["state"] = STATES[Status(held.status)]
    later = sa.case((executions.c.updated_at >= now, executions.c.updated_at + 1), else_=now)
    moved = {"version": executions.c.version + 1, "updated_at": later}
    session.execute(sa.update(executions).where(executions.c.id == id).values(**values, **moved))
    session.execute(sa.delete(events).where(events.c.execution == id, events.c.type.in_(INPUT_EVENTS)))
    return agents
