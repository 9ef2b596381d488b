"""Pipeline runs of the source as runs with steps: contexts become runs as they are written, their executions steps at the end."""

import uuid
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from registry.catalog import graph_steps
from registry.catalog.actors import INSTALL, Actor, Reach
from registry.catalog.graph_found import find_aliases
from registry.catalog.graph_metrics import show_metrics_of
from registry.catalog.graph_puts import Values, stored_values
from registry.catalog.graph_sharing import actor_of_run
from registry.catalog.graph_steps import Place, is_root, is_task, status_of, step_row
from registry.catalog.graph_types import GraphType, known_types
from registry.catalog.keys import claim
from registry.catalog.properties import Properties
from registry.db.row_inserts import RowInsert, ignored
from registry.db.session import Session
from registry.names import Author, KeyKind, Lifecycle, NodeKind, Origin, narrow, run_hex_or_none
from registry.tables.graph import artifacts, associations, attributions, executions
from registry.tables.runs import runs, steps


def insert_runs(session: Session, actor: Actor, contexts: Sequence[tuple[dict[str, Any], Properties, str]], *, now: int) -> None:
    """(row, properties, name of the type) of contexts that are about to be written; sets the workspace of the row."""
    if not contexts:
        return
    hexes = {row["id"]: run_hex_or_none(row["name"]) or "" for row, _, _ in contexts}
    taken = set(session.scalars(sa.select(runs.c.hex).where(runs.c.hex.in_(sorted(set(hexes.values()))))))
    made = []
    for row, properties, type_name in contexts:
        namespace = properties.custom.get("namespace")
        named = namespace.value if namespace is not None and isinstance(namespace.value, str) else ""
        owner = actor_of_run(session, actor, named if actor.reach is not Reach.WORKSPACE else "", now=now)
        row["workspace"] = owner.workspace
        hex = hexes[row["id"]]
        if not hex or hex in taken or claim(session, owner.workspace, [(KeyKind.KFP_RUN, hex)], NodeKind.CONTEXT, row["id"]) == 0:
            hex = uuid.uuid5(uuid.NAMESPACE_OID, f"{actor.scope}\x00{type_name}\x00{row['name']}").hex
        taken.add(hex)
        agent = int(Author.AGENT)
        made.append(
            dict.fromkeys(column.name for column in runs.columns)
            | {
                "id": row["id"],
                "workspace": owner.workspace,
                "hex": hex,
                "name": row["name"],
                "started_at": row["created_at"] or None,
            }
            | {"experiment_author": agent, "name_author": agent, "status_author": agent}
            | {"artifact_root": f"{owner.workspace_name}/runs/{hex}/artifacts"}
            | {"lifecycle": int(Lifecycle.ACTIVE), "origin": int(Origin.MLMD)}
        )
    session.insert(runs, made)


def write_steps(session: Session, actor: Actor, contexts: Sequence[int], *, now: int) -> int:
    """The executions in those of the contexts that are runs as their steps; how many. As many statements for many as for one."""
    homes = {row.id: row.workspace for row in session.all(sa.select(runs.c.id, runs.c.workspace).where(runs.c.id.in_(contexts)))}
    if not homes:
        return 0
    within = associations.c.context.in_(sorted(homes))
    query = sa.select(associations.c.context, executions).join(executions, executions.c.id == associations.c.execution)
    members: dict[int, list[Any]] = {run: [] for run in sorted(homes)}
    for row in session.all(query.where(within).order_by(associations.c.context, executions.c.id)):
        members[row.context].append(row)
    known = known_types(session, actor, {row.type_id for rows in members.values() for row in rows})
    values = {row.id: stored_values(row, NodeKind.EXECUTION) for rows in members.values() for row in rows}
    ups = {id: _integer(own, "parent_dag_id") for id, own in values.items()}
    aliases = find_aliases(session, actor, NodeKind.EXECUTION, sorted({up for up in ups.values() if up}))
    ups = {id: aliases.get(up or 0, up) for id, up in ups.items()}
    made: list[dict[str, Any]] = []
    roots: list[dict[str, Any]] = []
    for run, rows in members.items():
        of_run, root = _steps_of(Place(run, homes[run], path=""), rows, known, values, ups)
        made += of_run
        if root is not None:
            roots.append(_root_row(run, root, known[root.type_id], now=now))
    _STEPS.run(session, [_columns_of(step) for step in made])
    if actor.reach is not Reach.WORKSPACE:
        for run, rows in members.items():
            _settle(session, run, homes[run], [row.id for row in rows])
    if roots:
        session.execute(_ROOTS, roots)
    for run, rows in members.items():
        for row in rows:
            graph_steps.reuse(session, homes[run], row.id, values[row.id], now=now)
    show_metrics_of(session, [step["id"] for step in made])
    return len(made)


_NAMES = [column.name for column in steps.columns]
_STEPS, _columns_of = RowInsert(steps, _NAMES, ignored), itemgetter(*_NAMES)
_OF_ROOT = ("execution", "status", "status_author", "started_at", "ended_at", "final_at")
_ROOTS = (
    sa.update(runs)
    .where(runs.c.id == sa.bindparam("of"))
    .values({name: sa.bindparam(f"new_{name}", type_=runs.c[name].type) for name in _OF_ROOT})
)


def _root_row(run: int, root: Any, type_: GraphType, *, now: int) -> dict[str, Any]:
    """What the run's own execution says of it."""
    status = status_of(type_, root.name, root.state)
    final = status is not None and status.is_final
    said = {
        "execution": root.id,
        "status": None if status is None else int(status),
        "status_author": int(Author.CLIENT if final else Author.AGENT),
        "started_at": root.created_at or None,
        "ended_at": root.updated_at if final else None,
        "final_at": now if final else None,
    }
    return {"of": run, **{f"new_{name}": value for name, value in said.items()}}


def _steps_of(
    run: Place, rows: Sequence[Any], known: Mapping[int, GraphType], values: Mapping[int, Values], ups: Mapping[int, int | None]
) -> tuple[list[dict[str, Any]], Any]:
    """Rows of a run's steps, and its own execution."""
    paths: dict[int, str] = {}
    seen: set[str] = set()
    made: list[dict[str, Any]] = []
    root: Any = None
    for one in rows:
        type_ = known[one.type_id]
        up = ups[one.id]
        if up is None and is_root(type_, one.name) and root is None:
            root = one
            continue
        place = _place(run.run, run.workspace, type_, values, one.id, up=up, paths=paths)
        step = step_row(place, one.id, type_, values[one.id], now=one.created_at)
        if step["path"] in seen:
            step["path"] += f"#{one.id}"
            step["path_key"] = narrow(step["path"])
        step["ended_at"] = one.updated_at if step["ended_at"] is not None else None
        paths[one.id] = step["path"]
        seen.add(step["path"])
        made.append(step)
    return made, root


def _place(
    run: int, workspace: int, type_: Any, values: Mapping[int, Values], id: int, *, up: int | None, paths: Mapping[int, str]
) -> Place:
    """As `graph_steps.find_place`, from what is in memory."""
    own = values[id]
    above = values.get(up or 0)
    loop = above is not None and "iteration_count" in above.properties.custom
    index = _integer(own, "iteration_index") if loop else None
    name = str(index) if index is not None else (_text(own, "task_name") if is_task(type_) else None) or own.name or ""
    name = name or _text(own, "component_id") or ""
    above_path = paths.get(up or 0)
    prefix = "" if above_path is None else f"{above_path}/"
    return Place(run, workspace, path=prefix + name if name else "", parent=None if above_path is None else up, iteration=index)


def _integer(values: Values, name: str) -> int | None:
    found = values.properties.custom.get(name)
    return found.value if found is not None and type(found.value) is int else None


def _text(values: Values, name: str) -> str | None:
    found = values.properties.custom.get(name) or values.properties.declared.get(name)
    return found.value if found is not None and isinstance(found.value, str) else None


def _settle(session: Session, run: int, workspace: int, ids: Sequence[int]) -> None:
    """In platform mode: the run's executions are its workspace's, and its artifacts, unless a run of another one has them too."""
    session.execute(
        sa.update(executions).where(executions.c.id.in_(ids), executions.c.workspace != workspace).values(workspace=workspace)
    )
    mine = sa.select(attributions.c.artifact).where(attributions.c.context == run)
    other = (
        sa.select(attributions.c.artifact)
        .join(runs, runs.c.id == attributions.c.context)
        .where(attributions.c.artifact == artifacts.c.id, runs.c.workspace != workspace)
    )
    where = (artifacts.c.id.in_(mine), artifacts.c.workspace == INSTALL, ~sa.exists(other))
    session.execute(sa.update(artifacts).where(*where).values(workspace=workspace))
