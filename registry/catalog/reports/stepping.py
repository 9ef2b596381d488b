"""The steps that reports tell of: read at once, changed in memory, written at once.

A step keeps what the newest report that lists it said. Everything else of a run (states, series, artifacts, events) follows from
all its steps together, so the order in which reports arrive does not matter.

A *group* is what one sequence of reports lists: the tasks of the run's own objects (group 0), or an owned object (group = its
`objects.id`) with its tasks. The object itself is the step with the empty key.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import sqlalchemy as sa

from registry.catalog import node_types
from registry.catalog.reports import ranking
from registry.catalog.reports.record import Fetched, Json, Report, Run, Task, millis
from registry.db.session import Session
from registry.errors import InvalidArgument
from registry.names import Author, Status, check_text, narrow
from registry.tables.graph import executions
from registry.tables.runs import steps

KEPT = {"id", "workspace", "run", "status_author", "pod_uid", "fingerprint"}
"""Columns that no report changes."""


@dataclass(frozen=True)
class Step:
    """`columns`: the row of the steps table but its detail. `adopted`: ML Metadata has typed it, its events are the client's."""

    columns: Mapping[str, Any]
    detail: Json
    adopted: bool = False

    @property
    def id(self) -> int:
        return int(self.columns["id"])

    @property
    def path(self) -> str:
        return str(self.columns["path"])

    @property
    def group(self) -> int:
        return int(self.detail.get("object", 0))

    @property
    def key(self) -> str:
        """As its reports name it."""
        return str(self.detail.get("key", self.path))

    @property
    def rank(self) -> ranking.Rank:
        return ranking.loaded(self.columns["report_rank"])

    def says_as(self, other: "Step | None") -> bool:
        """Whether both are equal but for the report that lists them."""
        if other is None:
            return False
        if self.detail is not other.detail and written(self.detail) != written(other.detail):
            return False
        return {**self.columns, "report_rank": None} == {**other.columns, "report_rank": None} and self.adopted == other.adopted

    @property
    def at(self) -> int:
        """When what it made was there: its end, else its start."""
        return int(self.columns["ended_at"] or self.columns["started_at"] or 0)


Steps = dict[tuple[int, str], Step]
"""By group and key."""


def of_run(session: Session, run: int) -> Steps:
    return _loaded(session.all(_OF_RUN, {"run": run}))


def below(session: Session, top: int) -> Steps:
    """A step that has no run yet, and all under it; one statement a level."""
    found: dict[int, sa.Row[tuple[Any, ...]]] = {row.id: row for row in session.all(_QUERY.where(steps.c.id == top))}
    level = list(found)
    while level:
        rows = session.all(_QUERY.where(steps.c.parent.in_(level)))
        level = [row.id for row in rows if row.id not in found]
        found |= {row.id: row for row in rows}
    return _loaded(found.values())


def one_step(session: Session, id: int) -> Step:
    """By its id, which is there."""
    [found] = _loaded(session.all(_QUERY.where(steps.c.id == id))).values()
    return found


_QUERY = sa.select(steps, executions.c.type_id).join(executions, executions.c.id == steps.c.id)
_OF_RUN = _QUERY.where(steps.c.run == sa.bindparam("run"))


def _loaded(rows: Iterable[sa.Row[tuple[Any, ...]]]) -> Steps:
    found = {}
    for row in rows:
        columns = row._asdict()
        adopted = columns.pop("type_id") != node_types.STEP
        blob = columns.pop("detail")
        step = Step(columns, _read(blob) if blob else {}, adopted)
        found[step.group, step.key] = step
    return found


def _read(blob: bytes) -> Json:
    try:
        found: Json = msgspec.json.decode(blob)
    except msgspec.DecodeError:  # a number that only Python's own reader takes
        found = json.loads(blob)
    return found


@dataclass(frozen=True)
class Place:
    """Where a report's tasks go: the group, and the step they are under (None: directly under the run)."""

    workspace: int
    run: int | None
    group: int = 0
    top: Step | None = None

    def path(self, key: str) -> str:
        return f"{self.top.path}/{key}" if self.top else key


def merged(
    session: Session,
    place: Place,
    held: Steps,
    report: Report,
    *,
    rank: ranking.Rank,
    believed: Mapping[str, int] | None = None,
    cut: bool | None = None,
    last: tuple[ranking.Rank, Report] | None = None,
) -> Steps:
    """`held` with the tasks of the report: new ones, and those that an older report said.

    `believed`: executions of ML Metadata that new tasks are, by key. `cut`, of the newest report: whether its object went before
    its end. `last`: the newest report of the run so far and its rank: what has not changed since need not be made again.

    Raises InvalidArgument: a task names a parent that the report does not have.
    """
    tasks = {task.key: task for task in report.tasks}
    for task in report.tasks:
        check_text(task.key, "task key", empty=False)
        check_text(task.name, "task name", empty=False)
        if task.parent is not None and task.parent not in tasks:
            raise InvalidArgument(f"task {task.key[:80]!r} names a parent that is not in the report", field="tasks.parent")
    new = [key for key in tasks if (place.group, key) not in held]
    given = {key: id for key, id in (believed or {}).items() if key in new}
    unknown = [key for key in new if key not in given]
    ids = given | dict(zip(unknown, session.next_ids("execution", len(unknown)), strict=True))
    ids |= {key: held[place.group, key].id for key in tasks if key not in ids}
    after = dict(held)
    incoming, stored = _incoming(report), ranking.stored(rank)
    told_rank, told = last or (ranking.OLDEST, Report(report.object))
    told_tasks, told_edges = {task.key: task for task in told.tasks}, _incoming(told)
    for key, task in tasks.items():
        before = held.get((place.group, key))
        if (
            before is not None
            and before.rank == told_rank
            and rank > told_rank
            and _encoded(told_tasks.get(key)) == _encoded(task)
            and told_edges.get(key) == incoming.get(key)
        ):
            after[place.group, key] = replace(before, columns={**before.columns, "report_rank": stored})
        elif before is None or rank > before.rank:
            parent = ids[task.parent] if task.parent else (place.top.id if place.top else None)
            detail = _detail(task, incoming.get(key, []), place.group)
            columns = _columns(place, task, ids[key], parent, stored)
            if before is not None:
                columns |= {name: before.columns[name] for name in KEPT | {"status"}}
            after[place.group, key] = Step(columns, detail, key in given or (before is not None and before.adopted))
        if task.fetched is not None or (before is not None and "fetched" in before.detail):
            after[place.group, key] = _with_fetched(after[place.group, key], before, task.fetched, rank)
    return settled(after if cut is None else _cut(after, place.group, cut))


_encoded = msgspec.json.Encoder().encode


def _incoming(report: Report) -> dict[str, list[list[str]]]:
    """The edges into each task, in an order of their own."""
    found: dict[str, list[list[str]]] = {}
    for edge in report.edges:
        found.setdefault(edge.to, []).append([edge.from_, edge.port, edge.kind])
    for edges in found.values():
        edges.sort()
    return found


def _cut(steps_: Steps, group: int, cut: bool) -> Steps:
    """With the mark of those that the newest report of the group lists, if its object went before its end."""
    newest = _newest(steps_).get(group)
    after = dict(steps_)
    for place, step in steps_.items():
        marked = cut and place[0] == group and (not place[1] or step.rank == newest)
        if place[0] == group and marked != ("cut" in step.detail):
            detail = {key: value for key, value in step.detail.items() if key != "cut"} | ({"cut": True} if marked else {})
            after[place] = replace(step, detail=detail)
    return after


def settled(steps_: Steps) -> Steps:
    """With the states that only all reports of a group say together.

    A task that a newer report with tasks does not list (a retry removed its node) is pending; what it said stays. One that had
    not ended when its object was deleted is canceled. A state that a client set stays.
    """
    newest = _newest(steps_)
    after = {}
    for (group, key), step in steps_.items():
        listed = not key or step.rank == newest[group]
        status = step.detail.get("status", step.columns["status"]) if listed else int(Status.PENDING)
        if "cut" in step.detail and status is not None and not Status(status).is_final:
            status = int(Status.CANCELED)
        reported = step.columns["status_author"] == Author.AGENT and step.columns["report_rank"] is not None
        if reported and step.columns["status"] != status:
            step = replace(step, columns={**step.columns, "status": status})
        after[group, key] = step
    return after


def _newest(steps_: Steps) -> dict[int, ranking.Rank]:
    """Of the reports that list tasks, by group."""
    newest: dict[int, ranking.Rank] = {}
    for (group, key), step in steps_.items():
        if key:
            newest[group] = max(newest.get(group, ranking.OLDEST), step.rank)
    return newest


def changes_of(before: Steps, after: Steps) -> Steps:
    """The steps of which something else is said than before: not only by another report."""
    return {place: step for place, step in after.items() if not step.says_as(before.get(place))}


def written(detail: Any) -> bytes:
    """As the column has it. Also for comparing: in Python 1, 1.0 and True are equal."""
    return json.dumps(detail, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def _with_fetched(step: Step, before: Step | None, fetched: Fetched | None, rank: ranking.Rank) -> Step:
    """What was fetched for the task: as the newest report says that tells of something fetched."""
    told = before.detail.get("fetched") if before is not None else None
    if fetched is not None and (told is None or rank > ranking.loaded(json.dumps(told["rank"]).encode())):
        told = {"rank": list(rank), **msgspec.to_builtins(fetched)}
    return step if told is None else replace(step, detail={**step.detail, "fetched": told})


def _detail(task: Task, edges: list[list[str]], group: int) -> Json:
    """What filters do not need: read back by the catalog, shown by the doors."""
    detail: Json = {
        "key": task.key,
        "status": int(task.status),
        "depends_on": list(task.depends_on),
        "inputs": task.inputs.parameters,
        "outputs": task.outputs.parameters,
        "metrics": task.metrics,
        "uses": [[own.name, own.uri, own.type, own.metadata] for own in task.inputs.artifacts],
        "makes": [[own.name, own.uri, own.type, own.metadata] for own in task.outputs.artifacts],
        "edges": edges,
        "execution_id": task.execution_id,
        "cache_key": task.cache.key if task.cache else None,
    }
    detail = {key: value for key, value in detail.items() if value or key in {"key", "status"}}
    return detail | {"object": group} if group else detail


def run_uses(run: Run) -> list[list[Any]]:
    """As the detail of a step has what it uses."""
    return [[own.name, own.uri, own.type, own.metadata] for own in run.inputs.artifacts]


def _columns(place: Place, task: Task, id: int, parent: int | None, rank: bytes) -> dict[str, Any]:
    path = place.path(task.key)
    return {
        "id": id,
        "workspace": place.workspace,
        "run": place.run,
        "path": path,
        "path_key": narrow(path),
        "parent": parent,
        "name": task.name[:512],
        "display_name": cut(task.display_name, 512),
        "status": int(task.status),
        "status_author": int(Author.AGENT),
        "phase": cut(task.phase, 255),
        "message": task.message,
        "iteration": _small(task.iteration),
        "attempts": _small(task.attempts),
        "started_at": millis(task.started_at),
        "ended_at": millis(task.finished_at),
        "node_id": cut(task.node_id, 512),
        "pod_name": cut(task.pod_name, 512),
        "pod_uid": None,
        "log_uri": task.log_uri,
        "fingerprint": None,
        "report_rank": rank,
    }


def cut(text: str | None, limit: int) -> str | None:
    return None if text is None else text[:limit]


def _small(number: int | None) -> int | None:
    """As the column takes it: 32 bits."""
    return None if number is None else max(-(2**31), min(2**31 - 1, number))


def tops(steps_: Steps) -> Iterator[Step]:
    """The owned objects among the steps."""
    return (step for (group, key), step in steps_.items() if group and not key)
