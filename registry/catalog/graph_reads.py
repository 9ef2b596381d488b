"""Reading nodes as ML Metadata shows them: by id, name, URI, external id, type, context, and whole lists in pages.

A node of a user type is shown as its client wrote it. One of ours shows its tags as custom properties and its status as state; it
is found by who names it (id, type, name, URI, external id) and is in no unfiltered list, nor among what a client's own context
has.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import sqlalchemy as sa

from registry.catalog import tagging
from registry.catalog.actors import Actor
from registry.catalog.artifacts import location_hash
from registry.catalog.graph_filters import condition_of, leader_of
from registry.catalog.graph_found import find_aliases, in_parts
from registry.catalog.graph_rows import NODE, is_present, node_columns, read_members, read_nodes, shown_name
from registry.catalog.graph_states import DELETED_ARTIFACT, STATES
from registry.catalog.graph_types import BUILT_IN, GraphType, find_type, known_types
from registry.catalog.nodes import TABLES
from registry.catalog.properties import Properties, PropertyKind, PropertyValue, decoded
from registry.db.row_reads import Rows
from registry.db.session import Session
from registry.errors import NotFound
from registry.filtering.tree import Tree
from registry.names import NodeKind, Status
from registry.tables.graph import associations, attributions, contexts, parent_contexts, tags
from registry.tables.runs import runs, steps


class Node(NamedTuple):
    """`uri` is None on all but artifacts. `blob`: the properties as they are stored; `tags`: what is shown as custom ones, too.

    `type` may have got properties since: it is as this process has read it first. `label`: how other doors call a node of ours;
    the custom property `display_name` (DISPLAY_NAME) where it has none.
    """

    id: int
    type: GraphType
    name: str | None
    external_id: str | None
    state: int | None
    uri: str | None
    created_at: int
    updated_at: int
    blob: bytes | str | None
    tags: Mapping[str, str]
    label: str | None = None

    @property
    def shown_tags(self) -> Mapping[str, str]:
        return self.tags if self.label is None else {DISPLAY_NAME: self.label, **self.tags}

    @property
    def properties(self) -> Properties:
        found, tags_ = decoded(self.blob), self.shown_tags
        if not tags_:
            return found
        tagged = {key: PropertyValue(PropertyKind.STRING, value) for key, value in tags_.items()}
        return Properties(found.declared, {**tagged, **found.custom})


DISPLAY_NAME = "display_name"
"""The custom property that Kubeflow Pipelines' user interface calls a node by."""


@dataclass(frozen=True)
class Listing:
    """`order`: a column of the node tables. `after`: the last row's value of it and id. `limit` None: all rows."""

    limit: int | None = None
    order: str = "id"
    ascending: bool = True
    after: tuple[int, int] | None = None
    filter: Tree | None = None


ALL = Listing()


@dataclass(frozen=True)
class Page:
    """`next`: where the page after this one begins; None on the last. `any`: whether a list without filter has nodes."""

    nodes: list[Node]
    next: tuple[int, int] | None = None
    any: bool = False


def nodes_by_id(session: Session, actor: Actor, kind: NodeKind, ids: Iterable[int]) -> list[Node]:
    """By id, each once, those that are not here left out; an id that a merged record had brings the record.

    Two statements, four with merged ids, for each 5,000.
    """
    wanted = sorted({id for id in ids if 0 < id < 2**63})
    if not wanted:
        return []
    rows = read_nodes(session, actor, kind, wanted)
    here = {row[0] for row in rows}
    merged = find_aliases(session, actor, kind, [id for id in wanted if id not in here]) if len(here) < len(wanted) else {}
    if merged:
        rows = read_nodes(session, actor, kind, sorted({*here, *merged.values()}))
    return shown(session, actor, kind, rows)


def node_by_name(session: Session, actor: Actor, kind: NodeKind, name: str, *, type_name: str, version: str = "") -> Node | None:
    """Three statements."""
    type_ = find_type(session, actor, kind, type_name, version)
    if type_ is None:
        return None
    table = TABLES[kind]
    column = shown_name(table) if type_.is_own else table.c.name_key
    where = (table.c.scope == actor.scope, table.c.type_id == type_.id, column == name)
    rows = _read(session, actor, kind, *where, is_present(table), limit=1)
    return next(iter(shown(session, actor, kind, rows, {type_.id: type_})), None)


def nodes_by_external_id(session: Session, actor: Actor, kind: NodeKind, external_ids: Sequence[str]) -> list[Node]:
    """By id. Raises NotFound: none of them is here, though some were asked for."""
    if not external_ids:
        return []
    table = TABLES[kind]
    where = (table.c.scope == actor.scope, table.c.external_id.in_(sorted(set(external_ids))))
    rows = _read(session, actor, kind, *where, is_present(table))
    if not rows:
        raise NotFound(kind.name.lower(), ", ".join(external_ids[:5]))
    return shown(session, actor, kind, rows)


def artifacts_by_uri(session: Session, actor: Actor, uris: Sequence[str]) -> list[Node]:
    """In the order of the URIs (ML Metadata has them in none), those of one by id; "" means artifacts without one."""
    table = TABLES[NodeKind.ARTIFACT]
    named = sorted({uri for uri in uris if uri})
    wanted = []
    if named:
        hashes = sorted({str(location_hash(uri)) for uri in named})
        wanted.append(sa.and_(table.c.location_hash.in_(hashes), table.c.uri.in_(named)))
    if len(named) < len(set(uris)):
        wanted.append(sa.and_(table.c.location_hash.is_(None), table.c.listed == 1))
    if not wanted:
        return []
    rows = _read(session, actor, NodeKind.ARTIFACT, sa.or_(*wanted), is_present(table))
    places = {uri: place for place, uri in reversed(list(enumerate(uris)))}
    return shown(session, actor, NodeKind.ARTIFACT, sorted(rows, key=lambda row: (places[row[_URI] or ""], row[0])))


def list_nodes(session: Session, actor: Actor, kind: NodeKind, listing: Listing = ALL) -> Page:
    """User-typed ones; with a condition every node that it finds. Two statements."""
    table = TABLES[kind]
    base: list[sa.ColumnElement[bool]] = [_unless_led(session, listing, table.c.scope) == actor.scope]
    base.append(is_present(table) if listing.filter is not None else table.c.listed == 1)
    return _page(session, actor, kind, sa.select(*node_columns(kind)).where(*base), listing=listing, id=table.c.id)


def nodes_of_type(
    session: Session, actor: Actor, kind: NodeKind, type_name: str, *, version: str = "", listing: Listing = ALL
) -> Page:
    """Of exactly that version of the type, "" is the one without; none if there is no such type. At most five statements."""
    type_ = find_type(session, actor, kind, type_name, version)
    if type_ is None:
        return Page([])
    table = TABLES[kind]
    where = (table.c.type_id == type_.id, is_present(table))
    page = _page(session, actor, kind, sa.select(*node_columns(kind)).where(*where), listing=listing, id=table.c.id)
    some = (
        bool(page.nodes) or session.first(sa.select(table.c.id).where(actor.sees(table.c.workspace), *where).limit(1)) is not None
    )
    return replace(page, any=some)


def nodes_in_context(session: Session, actor: Actor, kind: NodeKind, context: int, listing: Listing = ALL) -> Page:
    """Artifacts or executions; none if there is no such context. At most three statements, four with a merged context's id."""
    if listing == ALL and 0 < context < 2**63:
        rows = read_members(session, actor, kind, context)
        if rows:
            return Page(shown(session, actor, kind, rows))
    found = _context(session, actor, context)
    if found is None:
        return Page([])
    table = TABLES[kind]
    edges, column = (
        (attributions, attributions.c.artifact) if kind is NodeKind.ARTIFACT else (associations, associations.c.execution)
    )
    query = sa.select(*node_columns(kind)).join(edges, column == table.c.id).where(edges.c.context == found.id, is_present(table))
    if found.listed:
        query = query.where(table.c.listed == 1)
    return _page(session, actor, kind, query, listing=listing, id=column)


def contexts_of(session: Session, actor: Actor, kind: NodeKind, node: int) -> list[Node]:
    """By id. Raises NotFound: it has none, or is not here."""
    table = TABLES[kind]
    edges, column = (
        (attributions, attributions.c.artifact) if kind is NodeKind.ARTIFACT else (associations, associations.c.execution)
    )
    own = sa.select(table.c.listed).where(table.c.id == column, actor.sees(table.c.workspace)).scalar_subquery()
    condition = sa.or_(sa.and_(contexts.c.listed == 1, own == 1), own == 0)
    rows: Rows = ()
    for id in (node, None):
        if id is None:  # its record may have become part of another
            id = find_aliases(session, actor, kind, [node]).get(node)
        if id is not None and 0 < id < 2**63:
            within = sa.select(edges.c.context).where(column == id, condition)
            rows = _read(session, actor, NodeKind.CONTEXT, contexts.c.id.in_(within), is_present(contexts))
        if rows:
            break
    if not rows:
        raise NotFound("context", f"of {kind.name.lower()} {node}")
    return shown(session, actor, NodeKind.CONTEXT, rows)


def relatives(session: Session, actor: Actor, ids: Sequence[int], *, parents: bool) -> dict[int, list[Node]]:
    """The parents of each context, or its children; by id. At most four statements, one more where there are none."""
    given = sorted({id for id in ids if 0 < id < 2**63})
    pairs = _pairs(session, actor, given, parents=parents)
    missing = sorted(set(given) - {row.near for row in pairs})
    merged = find_aliases(session, actor, NodeKind.CONTEXT, missing) if missing else {}
    if merged:
        pairs += _pairs(session, actor, sorted(set(merged.values()) - set(given)), parents=parents)
    found = {node.id: node for node in nodes_by_id(session, actor, NodeKind.CONTEXT, {row.far for row in pairs})}
    related: dict[int, list[Node]] = {}
    for row in pairs:
        if row.far in found:
            related.setdefault(row.near, []).append(found[row.far])
    return {id: related.get(merged.get(id, id), []) for id in given}


def _pairs(session: Session, actor: Actor, ids: Sequence[int], *, parents: bool) -> list[Any]:
    near, far = (parent_contexts.c.child, parent_contexts.c.parent)[:: 1 if parents else -1]
    own = contexts.alias("own")
    query = (
        sa.select(near.label("near"), far.label("far"))
        .join(own, own.c.id == near)
        .join(contexts, contexts.c.id == far)
        .where(actor.sees(own.c.workspace), actor.sees(contexts.c.workspace), sa.or_(own.c.listed == 0, contexts.c.listed == 1))
        .order_by(near, far)
    )
    return [row for part in in_parts(ids) for row in session.all(query.where(near.in_(part)))]


def _context(session: Session, actor: Actor, id: int) -> Any:
    query = sa.select(contexts.c.id, contexts.c.listed).where(actor.sees(contexts.c.workspace))
    if not 0 < id < 2**63:
        return None
    found = session.first(query.where(contexts.c.id == id))
    if found is None:
        merged = find_aliases(session, actor, NodeKind.CONTEXT, [id])
        found = session.first(query.where(contexts.c.id == merged[id])) if merged else None
    return found


def _read(session: Session, actor: Actor, kind: NodeKind, *where: Any, limit: int | None = None) -> Rows:
    table = TABLES[kind]
    query = sa.select(*node_columns(kind)).where(actor.sees(table.c.workspace), *where).order_by(table.c.id)
    return session.tuples(query if limit is None else query.limit(limit))


def _unless_led(session: Session, listing: Listing, column: "sa.ColumnElement[int]") -> "sa.ColumnElement[int]":
    """SQLite has no statistics and would go through the whole workspace by its index, where the filter leads to a few nodes."""
    if session.dialect != "sqlite" or listing.filter is None or leader_of(listing.filter) is None:
        return column
    return column + sa.literal_column("0")


def _page(
    session: Session,
    actor: Actor,
    kind: NodeKind,
    query: "sa.Select[Any]",
    *,
    listing: Listing,
    id: sa.ColumnElement[Any],
) -> Page:
    table = TABLES[kind]
    value = id if listing.order == "id" else table.c[listing.order]
    query = query.where(actor.sees(_unless_led(session, listing, table.c.workspace)))
    if listing.filter is not None:
        query = query.where(condition_of(session, actor, kind, listing.filter))
    if listing.after is not None:
        last, last_id = listing.after
        beyond = value > last if listing.ascending else value < last
        behind = id > last_id if listing.ascending else id < last_id
        query = query.where(behind if value is id else sa.or_(beyond, sa.and_(value == last, behind)))
    order = [id] if value is id else [value, id]
    query = query.order_by(*(column.asc() if listing.ascending else column.desc() for column in order))
    rows = session.tuples(query if listing.limit is None else query.limit(listing.limit + 1))
    following = None
    if listing.limit is not None and len(rows) > listing.limit:
        rows = rows[: listing.limit]
        following = (rows[-1][NODE.index(listing.order)], rows[-1][0])
    return Page(shown(session, actor, kind, rows), following)


def shown(session: Session, actor: Actor, kind: NodeKind, rows: Rows, types: Mapping[int, GraphType] | None = None) -> list[Node]:
    """Rows of `NODE`'s columns as nodes; a statement for types that are not known yet, up to three more if some are ours."""
    known = {} if types is None else types
    unknown = {row[1] for row in rows} - known.keys()
    if unknown:
        known = {**known, **known_types(session, actor, unknown)}
    built_in = [row for row in rows if not row[2]]
    own = {id: shown for part in in_parts(built_in) for id, shown in _own(session, kind, part).items()}
    is_artifact = kind is NodeKind.ARTIFACT
    nodes = []
    for id, type_id, listed, name, external_id, state, created, updated, _deleted, blob, uri in rows:
        tags_, label = _NO_TAGS, None
        if not listed:
            state, tags_, label = own.get(id, (None, _NO_TAGS, None))
            name = label if is_artifact and name is None else name
        type_ = known.get(type_id) or BUILT_IN[1]
        place = (uri or "") if is_artifact else None
        nodes.append(Node(id, type_, name, external_id, state, place, created, updated, blob, tags_, label))
    return nodes


_NO_TAGS: Mapping[str, str] = {}
_URI = NODE.index("uri")
_STATE, _DELETED = NODE.index("state"), NODE.index("deleted_at")


def _own(session: Session, kind: NodeKind, rows: Rows) -> dict[int, tuple[int | None, Mapping[str, str], str | None]]:
    """(state, tags, label) of nodes of our own types."""
    if not rows:
        return {}
    ids = [row[0] for row in rows]
    states: dict[int, int | None] = {}
    labels: dict[int, str | None] = {}
    if kind is NodeKind.EXECUTION:
        states = {row[0]: row[_STATE] for row in rows}
        label = sa.func.coalesce(steps.c.display_name, steps.c.name).label("label")
        of_steps = sa.select(steps.c.id, steps.c.status, label).where(steps.c.id.in_(ids))
        of_runs = sa.select(runs.c.execution.label("id"), runs.c.status, runs.c.name).where(runs.c.execution.in_(ids))
        for row in session.all(sa.union_all(of_steps, of_runs)):
            states[row.id] = None if row.status is None else STATES[Status(row.status)]
            labels[row.id] = row.label
    elif kind is NodeKind.ARTIFACT:
        states = {row[0]: row[_STATE] if row[_DELETED] is None else DELETED_ARTIFACT for row in rows}
        table = TABLES[kind]
        named = sa.select(table.c.id, shown_name(table).label("label")).where(table.c.id.in_(ids))
        labels = {row.id: row.label for row in session.all(named)}
    found = tagging.read_pairs(session, tags, kind, ids)
    return {id: (states.get(id), found.get(id, {}), labels.get(id)) for id in ids}
