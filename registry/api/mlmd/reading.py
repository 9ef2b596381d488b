"""The RPCs that read: each fills its response inside the read transaction."""

from collections.abc import Iterable
from typing import Any

from registry.api.mlmd import wire
from registry.api.mlmd.answers import type_message, write_type
from registry.api.mlmd.paging import listing_of, next_token
from registry.api.mlmd.requests import said
from registry.api.mlmd.writing import Call
from registry.catalog import graph_edges, graph_reads, graph_types
from registry.catalog.graph_reads import Node, Page
from registry.db.session import Session
from registry.errors import InvalidArgument
from registry.names import NodeKind


def get_type(session: Session, call: Call, kind: NodeKind, into: str) -> None:
    request = call.request
    write_type(
        getattr(call.response, into), graph_types.get_type(session, call.actor, kind, request.type_name, request.type_version)
    )


def get_types(session: Session, call: Call, kind: NodeKind, into: str) -> None:
    found = graph_types.list_types(session, call.actor, kind)
    getattr(call.response, into).extend(type_message(one, external_id=False) for one in found)


def get_types_by_id(session: Session, call: Call, kind: NodeKind, into: str) -> None:
    """In the order of the request, as often as it asks."""
    found = graph_types.types_by_id(session, call.actor, call.request.type_ids)
    getattr(call.response, into).extend(
        type_message(found[id]) for id in call.request.type_ids if id in found and found[id].kind is kind
    )


def _add_nodes(call: Call, into: str, kind: NodeKind, nodes: Iterable[Node]) -> None:
    call.parts.append(call.nodes(wire.tag_of(call.response.DESCRIPTOR, into), kind, nodes))


def _external_ids(call: Call) -> list[str]:
    wanted = list(call.request.external_ids)
    if "" in wanted:
        raise InvalidArgument("an external id is empty", field="external_ids")
    return wanted


def get_types_by_external_id(session: Session, call: Call, kind: NodeKind, into: str) -> None:
    """Without their base types, as ML Metadata has it."""
    found = graph_types.types_by_external_id(session, call.actor, kind, _external_ids(call))
    getattr(call.response, into).extend(type_message(one, base_type=False) for one in found)


def get_nodes_by_external_id(session: Session, call: Call, kind: NodeKind, into: str) -> None:
    found = graph_reads.nodes_by_external_id(session, call.actor, kind, _external_ids(call))
    _add_nodes(call, into, kind, found)


def get_nodes_by_id(session: Session, call: Call, kind: NodeKind, ids: str, into: str) -> None:
    found = graph_reads.nodes_by_id(session, call.actor, kind, getattr(call.request, ids))
    _add_nodes(call, into, kind, found)
    if kind is NodeKind.ARTIFACT and call.request.populate_artifact_types:
        known = graph_types.types_by_id(session, call.actor, {node.type.id for node in found})
        call.response.artifact_types.extend(type_message(known[id], base_type=False) for id in sorted(known))


def get_node_by_name(session: Session, call: Call, kind: NodeKind, name: str, into: str) -> None:
    """An answer without the node where there is none."""
    request = call.request
    found = graph_reads.node_by_name(
        session, call.actor, kind, getattr(request, name), type_name=request.type_name, version=request.type_version
    )
    if found is not None:
        _add_nodes(call, into, kind, [found])


def _answer_page(call: Call, kind: NodeKind, into: str, page: Page) -> None:
    _add_nodes(call, into, kind, page.nodes)
    token = next_token(call.request, page)
    if token is not None:
        call.response.next_page_token = token


def get_nodes(session: Session, call: Call, kind: NodeKind, into: str) -> None:
    listing = listing_of(call.request, kind)
    _answer_page(call, kind, into, graph_reads.list_nodes(session, call.actor, kind, listing))


def get_nodes_by_type(session: Session, call: Call, kind: NodeKind, into: str) -> None:
    """The last page says so with an empty token, if the type has nodes at all."""
    request = call.request
    listing = listing_of(request, kind)
    page = graph_reads.nodes_of_type(session, call.actor, kind, request.type_name, version=request.type_version, listing=listing)
    _answer_page(call, kind, into, page)
    if request.HasField("options") and page.any and page.next is None:
        call.response.next_page_token = ""


def get_nodes_by_context(session: Session, call: Call, kind: NodeKind, into: str) -> None:
    listing = listing_of(call.request, kind)
    page = graph_reads.nodes_in_context(session, call.actor, kind, call.request.context_id, listing)
    _answer_page(call, kind, into, page)


def get_artifacts_by_uri(session: Session, call: Call) -> None:
    if _unknown_fields(call.request):
        raise InvalidArgument("the request has a field that is no longer read: name the URIs in `uris`", field="uris")
    uris = [one for uri in call.request.uris for one in (uri, call.links.recorded(uri)) if one is not None]
    found = graph_reads.artifacts_by_uri(session, call.actor, uris)
    _add_nodes(call, "artifacts", NodeKind.ARTIFACT, found)


def _unknown_fields(message: Any) -> bool:
    """Whether the bytes held a field that the message does not have."""
    known = type(message)()
    known.CopyFrom(message)
    known.DiscardUnknownFields()
    return bool(known.ByteSize() != message.ByteSize())


def get_events(session: Session, call: Call, kind: NodeKind, ids: str) -> None:
    found = graph_edges.events_of(session, call.actor, kind, getattr(call.request, ids))
    call.parts.append(wire.events(wire.tag_of(call.response.DESCRIPTOR, "events"), found))


def get_contexts_of(session: Session, call: Call, kind: NodeKind, id: str) -> None:
    node = said(call.request, id) or 0
    found = graph_reads.contexts_of(session, call.actor, kind, node)
    _add_nodes(call, "contexts", NodeKind.CONTEXT, found)


def get_relatives(session: Session, call: Call, *, parents: bool) -> None:
    found = graph_reads.relatives(session, call.actor, [call.request.context_id], parents=parents)
    _add_nodes(call, "contexts", NodeKind.CONTEXT, found.get(call.request.context_id, ()))


def get_relatives_of_many(session: Session, call: Call, into: str, *, parents: bool) -> None:
    """A map with those contexts that have some."""
    found = graph_reads.relatives(session, call.actor, list(call.request.context_ids), parents=parents)
    for id, nodes in found.items():
        if nodes:
            one = call.response.contexts[id]
            one.MergeFromString(wire.nodes(wire.tag_of(one.DESCRIPTOR, into), NodeKind.CONTEXT, nodes))
