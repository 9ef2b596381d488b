"""Edges between nodes as ML Metadata's clients write and read them: events, attributions, associations, parent contexts."""

import json
from collections.abc import Collection, Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

import orjson
import sqlalchemy as sa

from registry.catalog import graph_steps
from registry.catalog.actors import Actor
from registry.catalog.graph_claims import claim_artifacts
from registry.catalog.graph_found import find_aliases
from registry.catalog.graph_metrics import show_metrics
from registry.catalog.graph_rows import EVENT, read_events, read_here
from registry.catalog.graph_sharing import settle_attributed, settle_used
from registry.db.row_inserts import RowInsert, ignored
from registry.db.session import Session
from registry.errors import AlreadyExists, InvalidArgument
from registry.names import INPUT_EVENTS, OUTPUT_EVENTS, EventType, KeyKind, LinkKind, NodeKind, Role, check_text, sha256
from registry.tables.graph import artifacts, associations, attributions, contexts, events, links, parent_contexts
from registry.tables.runs import steps

Step = str | int
"""A step of an event's path: a key or an index."""


class Event(NamedTuple):
    """`at` in milliseconds; None: the time of the call. `path` may be empty."""

    artifact: int
    execution: int
    type: EventType
    path: Sequence[Step] = ()
    at: int | None = None


def resolve_nodes(session: Session, actor: Actor, kind: NodeKind, ids: Iterable[int]) -> dict[int, int]:
    """The nodes that the ids mean, also ids of records that became parts of others; one statement, two for those.

    Raises InvalidArgument: one is not here.
    """
    wanted = set(ids)
    if not wanted:
        return {}
    found = read_here(session, actor, kind, sorted(id for id in wanted if 0 < id < 2**63))
    meant = {id: id for id in found}
    missing = sorted(wanted - found)
    if missing:
        meant |= find_aliases(session, actor, kind, missing)
        lost = [id for id in missing if id not in meant]
        if lost:
            raise InvalidArgument(f"no {kind.name.lower()} has the id {lost[0]}", field=f"{kind.name.lower()}_id")
    return meant


def put_events(session: Session, actor: Actor, puts: Sequence[Event], *, now: int) -> None:
    """Add events; five statements, four without outputs, seven with outputs at ports of steps.

    Raises:
        InvalidArgument: no type, or a node that is not here.
        AlreadyExists: an event of that type joins the two already.
    """
    actor.require(Role.CONTRIBUTOR)
    if not puts:
        return
    for put in puts:
        check_event(put)
    of_artifacts = resolve_nodes(session, actor, NodeKind.ARTIFACT, (put.artifact for put in puts))
    of_executions = resolve_nodes(session, actor, NodeKind.EXECUTION, (put.execution for put in puts))
    made = [Event(of_artifacts[put.artifact], of_executions[put.execution], put.type, put.path, put.at) for put in puts]
    settle_used(session, actor, [(event.artifact, event.execution) for event in made])
    insert_events(session, made, now=now)
    claim_flow(session, made)


def claim_flow(session: Session, made: Sequence[Event]) -> None:
    """Between steps and artifacts: outputs at ports are what the agent knew of there, inputs that no task of the run made are
    what it was told came from outside; metrics are series. No statement without an input or a port.
    """
    told = [event for event in made if event.type in INPUT_EVENTS or (event.type in OUTPUT_EVENTS and port_of(event.path))]
    if not told:
        return
    maker = steps.alias("maker")
    query = (
        sa.select(events.c.execution, events.c.type, events.c.port, artifacts.c.uri, artifacts.c.id)
        .add_columns(steps.c.workspace, sa.and_(maker.c.run.is_not(None), maker.c.run == steps.c.run).label("inside"))
        .join(steps, steps.c.id == events.c.execution)
        .join(artifacts, artifacts.c.id == events.c.artifact)
        .join(maker, maker.c.id == artifacts.c.step, isouter=True)
        .where(events.c.execution.in_({event.execution for event in told}), artifacts.c.uri.is_not(None))
        .where(events.c.artifact.in_({event.artifact for event in told}))
    )
    claims: dict[int, dict[tuple[KeyKind, str], int]] = {}
    made_here: set[int] = set()
    for row in session.all(query.order_by(events.c.id)):
        if row.type in OUTPUT_EVENTS and row.port is not None:
            claims.setdefault(row.workspace, {})[KeyKind.OUTPUT, sha256(str(row.execution), row.port, row.uri)] = row.id
            made_here.add(row.id)
        elif row.type in INPUT_EVENTS and not row.inside:
            claims.setdefault(row.workspace, {})[KeyKind.INPUT_URI, sha256(row.uri)] = row.id
    for workspace, found in sorted(claims.items()):
        claim_artifacts(session, workspace, found)
    show_metrics(session, made_here)


def check_event(put: Event) -> None:
    """Raises InvalidArgument."""
    if put.type is EventType.UNKNOWN:
        raise InvalidArgument("an event needs a type", field="type")
    for step in put.path:
        if isinstance(step, str):
            check_text(step, "a key in an event's path")


def insert_events(session: Session, puts: Sequence[Event], *, now: int, made: Collection[int] = (), again: bool = False) -> None:
    """Of nodes that are known to be there; checked before. Raises AlreadyExists.

    `made`: artifacts that know their maker already. `again`: one that is there is no error.
    """
    if not puts:
        return
    ids = session.next_ids("event", len(puts))
    rows = [_event_row(id, put, now) for id, put in zip(ids, puts, strict=True)]
    missing = len(rows) - _EVENTS.run(session, rows)
    if missing and not again and missing != _copied(session, rows):
        raise AlreadyExists("event", "of this type between the artifact and the execution")
    makers = {
        put.artifact: {"of": put.artifact, "maker": put.execution, "by": port_of(put.path)}
        for put in reversed(puts)
        if put.type in OUTPUT_EVENTS and put.artifact not in made
    }
    if makers:  # the first one to write it is its maker
        session.execute(_making(), [made_by for _, made_by in sorted(makers.items())])


_EVENTS = RowInsert(events, ("id", "artifact", "execution", "type", "at", "port", "path", "tags"), ignored)


@cache
def _making() -> sa.Update:
    statement = sa.update(artifacts).where(artifacts.c.id == sa.bindparam("of"), artifacts.c.step.is_(None))
    return statement.values(step=sa.bindparam("maker"), port=sa.bindparam("by"))


def _copied(session: Session, rows: Sequence[tuple[Any, ...]]) -> int:
    """How many of the events are there already because the execution has another's outputs (catalog/cache)."""
    reused = {"kind": int(LinkKind.REUSED_FROM), "from_kind": int(NodeKind.EXECUTION)}
    link = sa.exists().where(links.c.from_node == events.c.execution, *(links.c[name] == one for name, one in reused.items()))
    keys = [row[1:4] for row in rows]
    same = sa.tuple_(events.c.artifact, events.c.execution, events.c.type).in_(keys)
    return len(session.all(sa.select(events.c.id).where(same, events.c.id.not_in([row[0] for row in rows]), link)))


def port_of(path: Sequence[Step]) -> str | None:
    """The first key in an event's path, where it can be kept."""
    port = next((step for step in path if isinstance(step, str)), None)
    return None if port is None or len(port) > 512 else port


def _event_row(id: int, put: Event, now: int) -> tuple[Any, ...]:
    path = json.dumps(list(put.path), ensure_ascii=False).encode() if put.path else None
    at = now if put.at is None else put.at
    return id, put.artifact, put.execution, int(put.type), at, port_of(put.path), path, None


def events_of(session: Session, actor: Actor, kind: NodeKind, ids: Sequence[int]) -> list[tuple[Any, ...]]:
    """`graph_rows.EVENT` of the executions or artifacts (those that are not here left out), by event id; at most three statements
    for each 5,000.
    """
    wanted = sorted({id for id in ids if 0 < id < 2**63})
    if not wanted:
        return []
    rows = read_events(session, actor, kind, wanted)
    end = EVENT.index("execution" if kind is NodeKind.EXECUTION else "artifact")
    here = {row[end] for row in rows}
    if len(here) < len(wanted):
        merged = find_aliases(session, actor, kind, [id for id in wanted if id not in here])
        rows += read_events(session, actor, kind, sorted(set(merged.values()) - set(wanted)))
    return sorted(rows)


def path_of(port: str | None, path: str | bytes | None) -> Sequence[Step]:
    """As the two are stored. An event written without a path has its port as one."""
    steps: Sequence[Step] = orjson.loads(path) if path is not None else (port,) if port is not None else ()
    return steps


def put_memberships(
    session: Session,
    actor: Actor,
    of_artifacts: Sequence[tuple[int, int]],
    of_executions: Sequence[tuple[int, int]],
    *,
    now: int,
) -> None:
    """Attributions (context, artifact) and associations (context, execution); those that are there stay.

    At most six statements, nine with a run.

    Raises InvalidArgument: a node is not here.
    """
    actor.require(Role.CONTRIBUTOR)
    in_contexts = resolve_nodes(session, actor, NodeKind.CONTEXT, (context for context, _ in (*of_artifacts, *of_executions)))
    artifact_ids = resolve_nodes(session, actor, NodeKind.ARTIFACT, (artifact for _, artifact in of_artifacts))
    execution_ids = resolve_nodes(session, actor, NodeKind.EXECUTION, (execution for _, execution in of_executions))
    graph_steps.adopt_members(
        session, actor, [(in_contexts[context], execution_ids[execution]) for context, execution in of_executions], now=now
    )
    settle_attributed(session, actor, [(artifact_ids[artifact], in_contexts[context]) for context, artifact in of_artifacts])
    insert_memberships(
        session,
        {(in_contexts[context], artifact_ids[artifact]) for context, artifact in of_artifacts},
        {(in_contexts[context], execution_ids[execution]) for context, execution in of_executions},
        now=now,
    )


def insert_memberships(
    session: Session, of_artifacts: set[tuple[int, int]], of_executions: set[tuple[int, int]], *, now: int
) -> int:
    """Of nodes that are known to be there; how many associations are new. Two statements."""
    _ATTRIBUTIONS.run(session, [(context, artifact, 0, None, now) for context, artifact in sorted(of_artifacts)])
    return _ASSOCIATIONS.run(session, sorted(of_executions))


_ATTRIBUTIONS = RowInsert(attributions, ("context", "artifact", "kind", "name_key", "created_at"), ignored)
_ASSOCIATIONS = RowInsert(associations, ("context", "execution"), ignored)


def put_parents(session: Session, actor: Actor, pairs: Sequence[tuple[int, int]], *, now: int) -> None:
    """(child, parent) pairs; four statements, and one more for each generation above the parents.

    Raises:
        InvalidArgument: a context is not here, or would become its own ancestor.
        AlreadyExists: the two are joined already.
    """
    actor.require(Role.CONTRIBUTOR)
    if not pairs:
        return
    meant = resolve_nodes(session, actor, NodeKind.CONTEXT, (id for pair in pairs for id in pair))
    edges = [(meant[child], meant[parent]) for child, parent in pairs]
    session.lock(contexts, [id for edge in edges for id in edge])
    _refuse_cycles(session, edges)
    try:
        session.insert(parent_contexts, [{"child": child, "parent": parent} for child, parent in edges])
    except sa.exc.IntegrityError as error:
        raise AlreadyExists("parent context", "of this child") from error
    graph_steps.name_pipelines(session, actor, edges, now=now)


def _refuse_cycles(session: Session, edges: Sequence[tuple[int, int]]) -> None:
    above: dict[int, set[int]] = {}
    for child, parent in edges:
        if child == parent:
            raise InvalidArgument(f"context {child} cannot be its own parent", field="parent_id")
        above.setdefault(child, set()).add(parent)
    seen: set[int] = set()
    level = {parent for _, parent in edges}
    while level:
        rows = session.all(sa.select(parent_contexts).where(parent_contexts.c.child.in_(sorted(level))))
        for row in rows:
            above.setdefault(row.child, set()).add(row.parent)
        seen |= level
        level = {row.parent for row in rows} - seen
    for child in {child for child, _ in edges}:
        reached, level = set[int](), set(above.get(child, ()))
        while level:
            if child in level:
                raise InvalidArgument(f"context {child} would become its own ancestor", field="parent_id")
            reached |= level
            level = {parent for one in level for parent in above.get(one, ())} - reached


def members(context: int, kind: NodeKind) -> sa.Select[tuple[int]]:
    """Ids of the artifacts or executions in a context."""
    if kind is NodeKind.ARTIFACT:
        return sa.select(attributions.c.artifact).where(attributions.c.context == context)
    return sa.select(associations.c.execution).where(associations.c.context == context)


def contexts_with(kind: NodeKind, node: int) -> sa.Select[tuple[int]]:
    """Ids of the contexts that an artifact or execution is in."""
    if kind is NodeKind.ARTIFACT:
        return sa.select(attributions.c.context).where(attributions.c.artifact == node)
    return sa.select(associations.c.context).where(associations.c.execution == node)
