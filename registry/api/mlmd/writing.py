"""The RPCs that write: each takes its request apart, then gives what is to be run in the transaction."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from registry.api.mlmd import wire
from registry.api.mlmd.requests import event_of, link_of, mask_of, node_put, said, type_put
from registry.catalog import graph_edges, graph_writes
from registry.catalog.actors import Actor
from registry.catalog.graph_found import Rules
from registry.catalog.graph_puts import NodePut
from registry.catalog.graph_reads import Node
from registry.catalog.graph_types import GraphType, put_types
from registry.catalog.graph_writes import Edge, Options, Pair
from registry.catalog.places import Links
from registry.db.session import Session
from registry.errors import InvalidArgument, NotSupported
from registry.names import NodeKind


@dataclass(frozen=True)
class Call:
    """One call: who makes it, when, and the two messages. `response` is empty and to be filled.

    `max_nodes`: how many nodes a lineage answer may have. `parts`: what stands in the answer's bytes behind `response`.
    """

    actor: Actor
    now: int
    request: Any
    response: Any
    links: Links
    max_nodes: int = 100_000
    parts: list[bytes] = field(default_factory=list)

    def put(self, kind: NodeKind, message: Any) -> NodePut:
        """A node of the request."""
        made = node_put(kind, message)
        place = self.links.recorded(made.uri)
        return made if place is None else replace(made, place=place)

    def nodes(self, into: bytes, kind: NodeKind, some: Iterable[Node]) -> bytes:
        """As entries of a repeated field, whose tag is `into`; files of ours that only this machine can read as links."""
        return wire.nodes(into, kind, map(self._linked, some) if kind is NodeKind.ARTIFACT and self.links.needed else some)

    def _linked(self, node: Node) -> Node:
        return node._replace(uri=self.links.shown(node.uri)) if node.uri and node.type.is_own else node

    def body(self) -> bytes:
        made: bytes = self.response.SerializeToString()
        return b"".join((made, *self.parts)) if self.parts else made


Work = Callable[[Session], Any]
"""Runs in the transaction, perhaps more than once; gives what `Prepared.answer` takes."""


@dataclass(frozen=True)
class Prepared:
    work: Work
    answer: Callable[[Any], None]


class OutOfRange(Exception):
    """A place in a list of the request that the list does not have: the status OUT_OF_RANGE."""


def _put_types(call: Call, puts: Sequence[GraphType], answer: Callable[[list[int]], None]) -> Prepared:
    request = call.request
    if not request.all_fields_match:
        raise NotSupported("all_fields_match must be true")
    return Prepared(
        lambda session: put_types(session, call.actor, puts, can_add=request.can_add_fields, can_omit=request.can_omit_fields),
        answer,
    )


def put_type(call: Call, kind: NodeKind, given: str) -> Prepared:
    def answer(ids: list[int]) -> None:
        [call.response.type_id] = ids

    return _put_types(call, [type_put(kind, getattr(call.request, given))], answer)


def put_all_types(call: Call) -> Prepared:
    lists = {
        NodeKind.ARTIFACT: (call.request.artifact_types, call.response.artifact_type_ids),
        NodeKind.EXECUTION: (call.request.execution_types, call.response.execution_type_ids),
        NodeKind.CONTEXT: (call.request.context_types, call.response.context_type_ids),
    }

    def answer(ids: list[int]) -> None:
        rest = iter(ids)
        for given, into in lists.values():
            into.extend(next(rest) for _ in given)

    return _put_types(call, [type_put(kind, one) for kind, (given, _) in lists.items() for one in given], answer)


def put_nodes(call: Call, kind: NodeKind, given: str, into: str) -> Prepared:
    puts = [call.put(kind, one) for one in getattr(call.request, given)]
    changed = kind is NodeKind.ARTIFACT and call.request.options.abort_if_latest_updated_time_changed
    rules = Rules(mask=mask_of(call.request, kind), unless_changed=changed)
    return Prepared(
        lambda session: graph_writes.put_nodes(session, call.actor, kind, puts, rules, now=call.now),
        getattr(call.response, into).extend,
    )


def put_events(call: Call) -> Prepared:
    puts = [event_of(one) for one in call.request.events]
    return Prepared(lambda session: graph_edges.put_events(session, call.actor, puts, now=call.now), _nothing)


def _nothing(_result: Any) -> None:
    """The response has no fields."""


def _ends(message: Any, *names: str) -> tuple[int, int]:
    for name in names:
        if not message.HasField(name):
            raise InvalidArgument(f"{name} is missing", field=name)
    first, second = (getattr(message, name) for name in names)
    return first, second


def put_memberships(call: Call) -> Prepared:
    attributions = [_ends(one, "context_id", "artifact_id") for one in call.request.attributions]
    associations = [_ends(one, "context_id", "execution_id") for one in call.request.associations]
    return Prepared(
        lambda session: graph_edges.put_memberships(session, call.actor, attributions, associations, now=call.now), _nothing
    )


def put_parents(call: Call) -> Prepared:
    pairs = [_ends(one, "child_id", "parent_id") for one in call.request.parent_contexts]
    return Prepared(lambda session: graph_edges.put_parents(session, call.actor, pairs, now=call.now), _nothing)


def put_execution(call: Call) -> Prepared:
    request, response = call.request, call.response
    if not request.HasField("execution"):
        raise InvalidArgument("there is no execution in the request", field="execution")
    execution = call.put(NodeKind.EXECUTION, request.execution)
    pairs = [
        Pair(
            call.put(NodeKind.ARTIFACT, pair.artifact) if pair.HasField("artifact") else None,
            link_of(pair.event) if pair.HasField("event") else None,
        )
        for pair in request.artifact_event_pairs
    ]
    contexts = [call.put(NodeKind.CONTEXT, one) for one in request.contexts]
    options = Options(
        reuse_context=request.options.reuse_context_if_already_exist,
        reuse_artifact=request.options.reuse_artifact_if_already_exist_by_external_id,
        force_update=request.options.force_update_time,
        reuse_context_ids=request.options.force_reuse_context,
    )

    def answer(put: graph_writes.Put) -> None:
        [response.execution_id] = put.executions
        response.artifact_ids.extend(put.artifacts)
        response.context_ids.extend(put.contexts)

    return Prepared(
        lambda session: graph_writes.put_execution(
            session, call.actor, execution, pairs, contexts=contexts, options=options, now=call.now
        ),
        answer,
    )


def put_subgraph(call: Call) -> Prepared:
    request, response = call.request, call.response
    executions = [call.put(NodeKind.EXECUTION, one) for one in request.executions]
    artifacts = [call.put(NodeKind.ARTIFACT, one) for one in request.artifacts]
    contexts = [call.put(NodeKind.CONTEXT, one) for one in request.contexts]
    edges = [_edge(one, len(executions), len(artifacts)) for one in request.event_edges]
    options = Options(
        reuse_context=request.options.reuse_context_if_already_exist,
        reuse_artifact=request.options.reuse_artifact_if_already_exist_by_external_id,
    )

    def answer(put: graph_writes.Put) -> None:
        response.execution_ids.extend(put.executions)
        response.artifact_ids.extend(put.artifacts)
        response.context_ids.extend(put.contexts)

    return Prepared(
        lambda session: graph_writes.put_subgraph(
            session,
            call.actor,
            executions=executions,
            artifacts=artifacts,
            contexts=contexts,
            edges=edges,
            options=options,
            now=call.now,
        ),
        answer,
    )


def _edge(message: Any, executions: int, artifacts: int) -> Edge:
    if not message.HasField("event"):
        raise InvalidArgument("an event edge needs an event", field="event_edges")
    for word, count in (("execution", executions), ("artifact", artifacts)):
        place = said(message, f"{word}_index")
        if place is None and not message.event.HasField(f"{word}_id"):
            raise InvalidArgument(f"an event edge needs an {word}, by its place or its id", field="event_edges")
        if place is not None and not 0 <= place < count:
            raise OutOfRange(f"{word}_index {place} is outside of the request's list of {count}")
    return Edge(said(message, "execution_index"), said(message, "artifact_index"), link_of(message.event))
