"""Writing the steps of which reports tell: what differs, in a few statements however many there are."""

from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from registry.catalog import node_types
from registry.catalog.graph_states import STATES
from registry.catalog.nodes import node_row
from registry.catalog.reports.stepping import KEPT, Step, Steps, written
from registry.db.row_inserts import RowInsert, replaced
from registry.db.session import Session
from registry.names import Status
from registry.tables.graph import associations, executions
from registry.tables.runs import steps

_COLUMNS = tuple(column.name for column in steps.columns)
_CHUNK = 5000
_STEPS = RowInsert(steps, _COLUMNS, replaced(*(name for name in _COLUMNS if name not in KEPT)))


def write_steps(session: Session, before: Steps, after: Steps, changes: Steps, *, now: int) -> None:
    """Write what differs; at most seven statements up to 5,000 steps. `changes`: of the two."""
    _list_again(session, before, {place: step for place, step in after.items() if place not in changes})
    changed = list(changes.values())
    new = [step for place, step in after.items() if place not in before]
    if not changed:
        return
    nodes = [
        node_row(
            step.id,
            type_id=node_types.STEP,
            workspace=step.columns["workspace"],
            now=now,
            name=step.columns["name"],
        )
        for step in new
        if not step.adopted
    ]
    session.insert(executions, nodes)
    rows = sorted((_stored(step) for step in changed), key=itemgetter("id"))
    _STEPS.run(session, [tuple(row[name] for name in _COLUMNS) for row in rows])
    session.insert(
        associations,
        [
            {"context": step.columns["run"], "execution": step.id}
            for step in new
            if step.columns["run"] is not None and not step.adopted
        ],
    )
    moved = sorted({step.id for step in changed} - {row["id"] for row in nodes})
    for ids in _chunks(moved):
        session.execute(_TOUCH, {"ids": ids, "now": now})
    _show_states(session, changed)


_NOW = sa.bindparam("now", type_=sa.BigInteger)
_TOUCH = (
    sa.update(executions)
    .where(executions.c.id.in_(sa.bindparam("ids", expanding=True)))
    .values(
        version=executions.c.version + 1,
        updated_at=sa.case((executions.c.updated_at >= _NOW, executions.c.updated_at + 1), else_=_NOW),
    )
)
_LIST_AGAIN = (
    sa.update(steps)
    .where(steps.c.id.in_(sa.bindparam("ids", expanding=True)))
    .values(report_rank=sa.bindparam("rank", type_=steps.c.report_rank.type))
)


def _list_again(session: Session, before: Steps, same: Steps) -> None:
    """Steps of which a newer report says what the one before it said: one statement."""
    listed: dict[bytes, list[int]] = {}
    for place, step in same.items():
        rank = step.columns["report_rank"]
        if before[place].columns["report_rank"] != rank:
            listed.setdefault(rank, []).append(step.id)
    for rank, again in listed.items():
        for ids in _chunks(sorted(again)):
            session.execute(_LIST_AGAIN, {"rank": rank, "ids": ids})


def _chunks(ids: list[int]) -> Iterator[list[int]]:
    return (ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK))


def _show_states(session: Session, changed: Iterable[Step]) -> None:
    """Executions that ML Metadata has typed show the state of their steps."""
    said = [step for step in changed if step.adopted and step.columns["status"] is not None]
    if said:
        statement = sa.update(executions).where(executions.c.id == sa.bindparam("of"), executions.c.listed == 1)
        rows = [{"of": step.id, "shown": STATES[Status(step.columns["status"])]} for step in said]
        session.execute(statement.values(state=sa.bindparam("shown")), rows)


def _stored(step: Step) -> dict[str, Any]:
    return {**step.columns, "detail": written(step.detail)}
