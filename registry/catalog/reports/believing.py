"""Execution ids in reports: the driver of a pipeline says which execution of ML Metadata its task is.

One is believed if that execution lies in the context of the report's run. A step that the agent has made before merges into it:
what hangs on the step hangs on the execution, and the step's id goes on answering.
"""

from typing import Any

import sqlalchemy as sa

from registry.catalog import node_types
from registry.catalog.keys import add_alias
from registry.catalog.merging import rekey
from registry.catalog.reports.flowing import output_key
from registry.catalog.reports.record import Report
from registry.db.session import Session
from registry.names import Author, KeyKind, LinkKind, NodeKind
from registry.tables.graph import artifacts, associations, events, executions, links, params, tags
from registry.tables.runs import objects, steps
from registry.tables.service import keys

_EXECUTION = {"kind": int(NodeKind.EXECUTION)}
_ARTIFACT = {"kind": int(NodeKind.ARTIFACT)}


def believe(session: Session, workspace: int, run: int, report: Report) -> dict[str, int]:
    """Merge steps that are there; the executions of tasks that have no step yet, by the task's key."""
    said = {task.execution_id: task.key for task in report.tasks if task.execution_id is not None}
    if not said:
        return {}
    typed = session.scalars(
        sa.select(executions.c.id)
        .join(associations, associations.c.execution == executions.c.id)
        .where(associations.c.context == run, executions.c.id.in_(sorted(said)), executions.c.type_id != node_types.STEP)
    )
    if not typed:
        return {}
    taken = set(session.scalars(sa.select(steps.c.id).where(steps.c.id.in_(typed))))
    wanted = {said[id]: id for id in typed if id not in taken}
    held = {
        row.path: row for row in session.all(sa.select(steps.c.id, steps.c.path).where(steps.c.run == run)) if row.path in wanted
    }
    for path, row in held.items():
        if _is_agents(session, row.id):
            _merge(session, workspace, row.id, wanted[path])
    return {key: id for key, id in wanted.items() if key not in held}


def _is_agents(session: Session, step: int) -> bool:
    """Two that ML Metadata has typed stay two."""
    return bool(session.scalar(sa.select(executions.c.type_id).where(executions.c.id == step)) == node_types.STEP)


def _merge(session: Session, workspace: int, step: int, execution: int) -> None:
    session.execute(sa.update(steps).where(steps.c.id == step).values(id=execution))
    for table, column in ((steps, "parent"), (objects, "step")):
        session.execute(sa.update(table).where(table.c[column] == step).values({column: execution}))
    _move_outputs(session, workspace, step, execution)
    rekey(session, events, "execution", step, execution, unique=("artifact", "type"))
    rekey(session, associations, "execution", step, execution, unique=("context",))
    for table in (params, tags):
        rekey(session, table, "node", step, execution, unique=("name_id",), only=_EXECUTION, authored=True)
    reused = {"kind": int(LinkKind.REUSED_FROM)}
    for end, other in (("from", "to"), ("to", "from")):
        only = reused | {f"{end}_kind": int(NodeKind.EXECUTION)}
        rekey(session, links, f"{end}_node", step, execution, unique=(f"{other}_kind", f"{other}_node"), only=only)
    session.execute(sa.delete(executions).where(executions.c.id == step))
    add_alias(session, NodeKind.EXECUTION, step, execution)


def _move_outputs(session: Session, workspace: int, step: int, execution: int) -> None:
    """What the step made is known by (step, port, URI): by the execution from now on."""
    for row in session.all(sa.select(artifacts).where(artifacts.c.step == step)):
        kind, key = output_key(execution, row.port or "", row.uri or "")
        where = (keys.c.workspace == workspace, keys.c.kind == KeyKind.OUTPUT)
        there = session.scalar(sa.select(keys.c.node).where(*where, keys.c.key == key))
        if there is None:
            session.execute(
                sa.update(keys)
                .where(*where, keys.c.node_kind == NodeKind.ARTIFACT, keys.c.node == row.id)
                .values(kind=int(kind), key=key)
            )
            session.execute(sa.update(artifacts).where(artifacts.c.id == row.id).values(step=execution))
        else:
            _merge_artifact(session, row, int(there))


def _merge_artifact(session: Session, row: Any, other: int) -> None:
    """An output that only the agent knew of is the one that ML Metadata has at the same port and URI."""
    if row.author != Author.AGENT:
        return
    rekey(session, events, "artifact", row.id, other, unique=("execution", "type"))
    rekey(session, tags, "node", row.id, other, unique=("name_id",), only=_ARTIFACT, authored=True)
    session.execute(sa.delete(keys).where(keys.c.node_kind == NodeKind.ARTIFACT, keys.c.node == row.id))
    session.execute(sa.delete(artifacts).where(artifacts.c.id == row.id))
    add_alias(session, NodeKind.ARTIFACT, row.id, other)
