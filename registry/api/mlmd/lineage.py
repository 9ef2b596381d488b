"""The two RPCs that walk lineage."""

from typing import Any

from registry.api.mlmd.answers import event_message, node_messages, type_message
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
    _write(into, found, wanted)
    for name, type_kind in _TYPES.items():
        if name in wanted:
            types = graph_types.types_for_lineage(session, call.actor, type_kind, found.types)
            getattr(into, name).extend(type_message(one, external_id=False, base_type=False) for one in types)


def _start(text: str, kind: NodeKind) -> Tree:
    tree = parse_filter_query(text, kind)
    if tree is None:
        raise InvalidArgument("the starting nodes need a filter_query", field="starting_nodes")
    return tree


def _write(into: Any, found: Subgraph, wanted: set[str]) -> None:
    for name in ("artifacts", "executions", "contexts"):
        if name in wanted:
            for id in sorted(getattr(found, name)):
                getattr(into, name).add(id=id)
    if "events" in wanted:
        into.events.extend(event_message(event) for _, event in sorted(found.events.items()))
    if "attributions" in wanted:
        for context, artifact in found.attributions:
            into.attributions.add(context_id=context, artifact_id=artifact)
    if "associations" in wanted:
        for context, execution in found.associations:
            into.associations.add(context_id=context, execution_id=execution)


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
    _write(into, found, {"events", "attributions", "associations"})
    for name, kind in (*_KINDS.items(), ("contexts", NodeKind.CONTEXT)):
        nodes = graph_reads.nodes_by_id(session, call.actor, kind, getattr(found, name))
        getattr(into, name).extend(node_messages(kind, nodes))
    for name, kind in _TYPES.items():
        types = graph_types.types_for_lineage(session, call.actor, kind, found.types)
        getattr(into, name).extend(type_message(one, external_id=False, base_type=False) for one in types)
