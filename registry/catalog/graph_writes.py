"""Compound writes of the graph: an execution with its artifacts, events and contexts, and a whole subgraph, each in one call.

Nodes are locked in the order contexts, executions, artifacts, whatever the order in which a request lists them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from registry.catalog import graph_steps
from registry.catalog.actors import Actor
from registry.catalog.cache import copy_outputs
from registry.catalog.graph_claims import claim_artifacts
from registry.catalog.graph_edges import (
    Event,
    check_event,
    claim_flow,
    insert_events,
    insert_memberships,
    port_of,
    resolve_nodes,
)
from registry.catalog.graph_found import PLAIN, Rules
from registry.catalog.graph_metrics import show_metrics, show_metrics_of
from registry.catalog.graph_nodes import Writer
from registry.catalog.graph_puts import NodePut
from registry.catalog.graph_sharing import settle, settle_used
from registry.db.session import Session
from registry.errors import InvalidArgument, TooLarge
from registry.names import INPUT_EVENTS, OUTPUT_EVENTS, EventType, KeyKind, NodeKind, sha256

MAX_MEMBERSHIPS = 1_000_000


def put_nodes(
    session: Session, actor: Actor, kind: NodeKind, puts: Sequence[NodePut], rules: Rules = PLAIN, *, now: int
) -> list[int]:
    """The ids, in the order of `puts`. Errors as of `Writer.put`."""
    writer = Writer(session, actor, puts, now=now)
    ids = writer.put(kind, puts, rules)
    writer.finish()
    show_metrics(session, writer.metrics)
    show_metrics_of(session, writer.ended)
    _copy_outputs(writer)
    return ids


def _copy_outputs(writer: Writer) -> None:
    """After the events that came with the call: they are the client's own."""
    for id, original in sorted(writer.reused.items()):
        copy_outputs(writer.session, id, original)


@dataclass(frozen=True)
class Link:
    """An event that is still to get its nodes: None is the node that it is sent with."""

    type: EventType
    artifact: int | None
    execution: int | None
    path: Sequence[str | int] = ()
    at: int | None = None


@dataclass(frozen=True)
class Pair:
    """An artifact and how the execution used it; either may be missing."""

    artifact: NodePut | None
    link: Link | None


@dataclass(frozen=True)
class Options:
    reuse_context: bool = False
    reuse_artifact: bool = False
    force_update: bool = False
    reuse_context_ids: bool = False


NO_OPTIONS = Options()


@dataclass(frozen=True)
class Put:
    """Ids in the order in which the request listed the nodes; -1 for a pair without artifact."""

    executions: list[int]
    artifacts: list[int]
    contexts: list[int]


def put_execution(
    session: Session,
    actor: Actor,
    execution: NodePut,
    pairs: Sequence[Pair],
    *,
    contexts: Sequence[NodePut],
    options: Options = NO_OPTIONS,
    now: int,
) -> Put:
    """Every context gets the execution and every artifact of the call.

    Raises:
        InvalidArgument: an event and the nodes it is sent with do not agree, or a node is not here.
        NotFound: a type, or a context that only has to exist.
        AlreadyExists: a name, an external id, an event.
        TooLarge: over a million memberships.
    """
    _check_pairs(execution, pairs)
    _check_size(len(contexts), len(pairs) + 1)
    puts = [pair.artifact for pair in pairs if pair.artifact is not None]
    writer = Writer(session, actor, [*puts, execution, *contexts], now=now)
    in_contexts = writer.put(NodeKind.CONTEXT, contexts, _context_rules(options))
    [made] = writer.put(NodeKind.EXECUTION, [execution], Rules(force_update=options.force_update))
    sent = [pair.link for pair in pairs if pair.artifact is not None]
    makers = {
        place: (made, port_of(link.path)) for place, link in enumerate(sent) if link is not None and link.type in OUTPUT_EVENTS
    }
    reuse = Rules(reuse_external_id=options.reuse_artifact, same_new=options.reuse_artifact)
    of_puts = iter(writer.put_artifacts(puts, reuse, makers=makers))
    alone = [pair.link.artifact for pair in pairs if pair.artifact is None and pair.link is not None]
    known = resolve_nodes(session, actor, NodeKind.ARTIFACT, [id for id in alone if id is not None])
    artifacts = [
        next(of_puts) if pair.artifact is not None else -1 if pair.link is None else known[pair.link.artifact or 0]
        for pair in pairs
    ]
    writer.finish()
    links = [
        Event(id, made, pair.link.type, pair.link.path, pair.link.at)
        for id, pair in zip(artifacts, pairs, strict=True)
        if pair.link is not None
    ]
    new = {id for id, pair in zip(artifacts, pairs, strict=True) if pair.artifact is not None and pair.artifact.id is None}
    if writer.runs:
        settle(session, actor, [(id, writer.home) for id in artifacts if id != -1])
    insert_events(session, links, now=now, made=new, again=made in writer.taken)
    if writer.runs:
        _claim(session, writer, made, links)
    show_metrics(session, writer.metrics)
    if not pairs:
        show_metrics_of(session, writer.ended)
    own = {id for id in artifacts if id != -1}
    old = [made] if execution.id is not None else []
    _join(writer, in_contexts, of_artifacts=own, of_executions={made}, old=old)
    _copy_outputs(writer)
    fingerprint = writer.named.get(graph_steps.CACHE_TYPE)
    if fingerprint:
        graph_steps.set_fingerprint(session, made, fingerprint)
    return Put([made], artifacts, in_contexts)


def _join(
    writer: Writer, in_contexts: Sequence[int], *, of_artifacts: set[int], of_executions: set[int], old: Sequence[int]
) -> None:
    """Every context gets every node. `old`: executions that the call has not made; in a run's context they become its steps."""
    new = insert_memberships(
        writer.session,
        {(context, id) for context in in_contexts for id in of_artifacts},
        {(context, id) for context in in_contexts for id in of_executions},
        now=writer.now,
    )
    if new and old and writer.runs:
        pairs = [(run, id) for run in writer.runs for id in old]
        graph_steps.adopt_members(writer.session, writer.actor, pairs, now=writer.now)


def _check_size(contexts: int, nodes: int) -> None:
    if contexts * nodes > MAX_MEMBERSHIPS:
        raise TooLarge(f"{contexts} contexts with {nodes} nodes each: at most {MAX_MEMBERSHIPS} memberships can be put in a call")


def _claim(session: Session, writer: Writer, step: int, links: Sequence[Event]) -> None:
    """What the agent knew of at these ports, or was told came from outside, is what the client puts there."""
    claims: dict[tuple[KeyKind, str], int] = {}
    for link in links:
        port, uri = port_of(link.path), writer.uris.get(link.artifact)
        if link.type in OUTPUT_EVENTS and port and uri:
            claims[KeyKind.OUTPUT, sha256(str(step), port, uri)] = link.artifact
    if claims:
        claim_artifacts(session, writer.home, claims)
    rest = [link for link in links if link.type in INPUT_EVENTS or link.artifact not in writer.uris]
    claim_flow(session, rest)


def _context_rules(options: Options) -> Rules:
    return Rules(reuse_name=options.reuse_context, reuse_id=options.reuse_context_ids, needs_type=not options.reuse_context_ids)


def _check_pairs(execution: NodePut, pairs: Sequence[Pair]) -> None:
    for pair in pairs:
        if pair.link is None:
            continue
        check_event(Event(0, 0, pair.link.type, pair.link.path))
        if pair.artifact is None and pair.link.artifact is None:
            raise InvalidArgument("an event without artifact needs an artifact_id", field="artifact_id")
        if pair.artifact is not None and pair.link.artifact is not None and pair.link.artifact != pair.artifact.id:
            raise InvalidArgument("an event names another artifact than the one it is sent with", field="artifact_id")
        if pair.link.execution is not None and pair.link.execution != execution.id:
            raise InvalidArgument("an event names another execution than the one it is sent with", field="execution_id")


@dataclass(frozen=True)
class Edge:
    """`execution`, `artifact`: positions in the request's lists; None, and only then, where the link alone names the node."""

    execution: int | None
    artifact: int | None
    link: Link


def put_subgraph(
    session: Session,
    actor: Actor,
    *,
    executions: Sequence[NodePut],
    artifacts: Sequence[NodePut],
    contexts: Sequence[NodePut],
    edges: Sequence[Edge],
    options: Options = NO_OPTIONS,
    now: int,
) -> Put:
    """Every context gets every execution and artifact of the call. Positions in `edges` are within the lists.

    Raises:
        InvalidArgument: an edge and its nodes do not agree, a node is not here or has no type.
        NotFound, AlreadyExists, TooLarge: as `put_execution`; a new external id that comes twice is one, too.
    """
    for edge in edges:
        _check_edge(edge, executions, artifacts)
    _check_size(len(contexts), len(executions) + len(artifacts))
    writer = Writer(session, actor, [*executions, *artifacts, *contexts], now=now)
    typed = Rules(needs_type=True)
    made_contexts = writer.put(NodeKind.CONTEXT, contexts, replace(typed, reuse_name=options.reuse_context, checks_reused=True))
    made_executions = writer.put(NodeKind.EXECUTION, executions, typed)
    made_artifacts = writer.put(NodeKind.ARTIFACT, artifacts, replace(typed, reuse_external_id=options.reuse_artifact))
    writer.finish()
    if writer.runs:
        settle(session, actor, [(id, writer.home) for id in made_artifacts])
    _insert_edges(writer, edges, made_executions, made_artifacts)
    old = [id for id, put in zip(made_executions, executions, strict=True) if put.id is not None]
    _copy_outputs(writer)
    _join(writer, made_contexts, of_artifacts=set(made_artifacts), of_executions=set(made_executions), old=old)
    return Put(made_executions, made_artifacts, made_contexts)


def _insert_edges(writer: Writer, edges: Sequence[Edge], executions: Sequence[int], artifacts: Sequence[int]) -> None:
    session, actor = writer.session, writer.actor
    by_id = {
        kind: resolve_nodes(session, actor, kind, [id for id in ids if id is not None])
        for kind, ids in (
            (NodeKind.ARTIFACT, [edge.link.artifact for edge in edges if edge.artifact is None]),
            (NodeKind.EXECUTION, [edge.link.execution for edge in edges if edge.execution is None]),
        )
    }
    made = [
        Event(
            artifacts[edge.artifact] if edge.artifact is not None else by_id[NodeKind.ARTIFACT][edge.link.artifact or 0],
            executions[edge.execution] if edge.execution is not None else by_id[NodeKind.EXECUTION][edge.link.execution or 0],
            edge.link.type,
            edge.link.path,
            edge.link.at,
        )
        for edge in edges
    ]
    settle_used(session, actor, [(event.artifact, event.execution) for event in made])
    insert_events(session, made, now=writer.now)
    claim_flow(session, made)
    show_metrics(session, writer.metrics)


def _check_edge(edge: Edge, executions: Sequence[NodePut], artifacts: Sequence[NodePut]) -> None:
    check_event(Event(0, 0, edge.link.type, edge.link.path))
    for position, puts, id, word in (
        (edge.execution, executions, edge.link.execution, "execution"),
        (edge.artifact, artifacts, edge.link.artifact, "artifact"),
    ):
        if position is not None and id is not None and puts[position].id != id:
            raise InvalidArgument(f"an event edge names {word} {id}, and by its place another one", field="event_edges")
