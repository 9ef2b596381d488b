"""The two RPCs that walk lineage."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Any

from registry.api.mlmd import wire
from registry.api.mlmd.answers import type_message
from registry.api.mlmd.filter_query import parse_filter_query
from registry.api.mlmd.paging import MAX_PAGE, listing_of
from registry.api.mlmd.writing import Call
from registry.catalog import graph_reads, graph_types
from registry.catalog.graph_lineage import MAX_HOPS, Direction, Ending, Subgraph, Walk, walk_lineage
from registry.db.session import Session
from registry.errors import InvalidArgument
from registry.filtering.tree import Tree
from registry.names import NodeKind

_EDGES = {"contexts", "attributions", "associations"}
_TYPES = {"artifact_types": NodeKind.ARTIFACT, "execution_types": NodeKind.EXECUTION, "context_types": NodeKind.CONTEXT}
_KINDS = {"artifacts": NodeKind.ARTIFACT, "executions": NodeKind.EXECUTION}


def get_lineage_subgraph(session: Session, call: Call) -> None:
    """Nodes have their ids only; the mask names fields of the answer, none means all."""
    into = call.response.lineage_subgraph
    into.SetInParent()
    options = call.request.lineage_subgraph_query_options
    which = options.WhichOneof("starting_nodes")
    if which is None:
        raise InvalidArgument("there are no starting nodes in the request", field="starting_nodes")
    kind = _KINDS[which.removeprefix("starting_")]
    if options.max_num_hops < 0:
        raise InvalidArgument(f"max_num_hops must not be negative: {options.max_num_hops}", field="max_num_hops")
    ends = {}
    for name, end_kind in _KINDS.items():
        end = getattr(options, f"ending_{name}")
        tree = parse_filter_query(end.filter_query, end_kind)
        if tree is not None:
            ends[end_kind] = Ending(tree, end.include_ending_nodes)
    walk = Walk(
        start_kind=kind,
        start=_start(getattr(options, which).filter_query, kind),
        hops=min(options.max_num_hops, MAX_HOPS) if options.HasField("max_num_hops") else MAX_HOPS,
        direction=Direction(options.direction or Direction.BIDIRECTIONAL),
        ends=ends,
        max_nodes=call.max_nodes,
    )
    paths = set(call.request.read_mask.paths)
    wanted = paths or {field.name for field in into.DESCRIPTOR.fields}
    found = walk_lineage(session, call.actor, walk, memberships=bool(wanted & _EDGES))
    for name, (_kind, ids) in _nodes(found).items():
        if name in wanted:
            add = getattr(into, name).add
            for id in sorted(ids):
                add(id=id)
    _answer(session, call, into, "lineage_subgraph", found, wanted, [])


def _start(text: str, kind: NodeKind) -> Tree:
    tree = parse_filter_query(text, kind)
    if tree is None:
        raise InvalidArgument("the starting nodes need a filter_query", field="starting_nodes")
    return tree


def _nodes(found: Subgraph) -> dict[str, tuple[NodeKind, Iterable[int]]]:
    return {name: (kind, getattr(found, name)) for name, kind in (*_KINDS.items(), ("contexts", NodeKind.CONTEXT))}


def _answer(
    session: Session,
    call: Call,
    into: Any,
    field: str,
    found: Subgraph,
    wanted: AbstractSet[str],
    parts: list[bytes],
) -> None:
    """Types, edges and `parts` as the one `field` of the answer: not every client would put two of it together."""
    types = graph_types.types_for_lineage(session, call.actor, found.types) if wanted & _TYPES.keys() else []
    for name, kind in _TYPES.items():
        if name in wanted:
            some = (type_message(one, external_id=False, base_type=False) for one in types if one.kind is kind)
            getattr(into, name).extend(some)
    if "events" in wanted:
        parts.append(wire.events(wire.tag("LineageGraph", "events"), (row for _, row in sorted(found.events.items()))))
    if "attributions" in wanted:
        for context, artifact in found.attributions:
            into.attributions.add(context_id=context, artifact_id=artifact)
    if "associations" in wanted:
        for context, execution in found.associations:
            into.associations.add(context_id=context, execution_id=execution)
    parts.append(into.SerializeToString())
    call.response.ClearField(field)
    call.parts.append(wire.tag_of(call.response.DESCRIPTOR, field) + wire.sized(b"".join(parts)))


def get_lineage_graph(session: Session, call: Call) -> None:
    """The deprecated form: from artifacts, both ways, whole nodes.

    At `max_node_size` nodes the answer ends; boundary nodes, where the walk ends, are part of it.
    """
    into = call.response.subgraph
    into.SetInParent()
    options = call.request.options
    stop = options.stop_conditions
    if options.max_node_size <= 0 or stop.max_num_hops < 0:
        raise InvalidArgument("max_node_size must be at least 1, max_num_hops at least 0", field="options")
    boundaries = (
        (NodeKind.ARTIFACT, parse_filter_query(stop.boundary_artifacts, NodeKind.ARTIFACT)),
        (NodeKind.EXECUTION, parse_filter_query(stop.boundary_executions, NodeKind.EXECUTION)),
    )
    room = min(options.max_node_size, call.max_nodes)
    listing = listing_of(options, NodeKind.ARTIFACT, "artifacts_options")
    walk = Walk(
        start_kind=NodeKind.ARTIFACT,
        start=listing.filter,
        hops=min(stop.max_num_hops, MAX_HOPS) if stop.HasField("max_num_hops") else MAX_HOPS,
        direction=Direction.BIDIRECTIONAL,
        ends={kind: Ending(tree, included=True) for kind, tree in boundaries if tree is not None},
        max_nodes=room,
        max_starts=min(room, listing.limit or MAX_PAGE),
        cut=True,
    )
    found = walk_lineage(session, call.actor, walk)
    parts = [
        call.nodes(wire.tag("LineageGraph", name), kind, graph_reads.nodes_by_id(session, call.actor, kind, ids))
        for name, (kind, ids) in _nodes(found).items()
    ]
    _answer(session, call, into, "subgraph", found, {"events", "attributions", "associations", *_TYPES}, parts)
