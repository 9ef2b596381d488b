"""What the source has, as rows of ours, a batch in a transaction.

Ids stay while they are free; a node whose id is taken gets a new one, and its old one answers on this door. A context whose type
and name are taken is the one that has them. Other names and external ids that are taken are left out. Edges to what is not there
are left out. Each of these is a note for the report.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from registry.catalog import node_types
from registry.catalog.actors import INSTALL, Actor, Reach
from registry.catalog.artifacts import location_hash
from registry.catalog.graph_edges import Event, insert_events, insert_memberships
from registry.catalog.graph_found import find_aliases, in_parts
from registry.catalog.graph_nodes import BASE_KINDS, INSERTS, KINDS, READINESS, RUN_TYPES
from registry.catalog.graph_steps import name_pipelines
from registry.catalog.graph_types import BUILT_IN, GraphType, find_type, known_types, put_types
from registry.catalog.importing.mlmd import data, models, serving, tracking
from registry.catalog.importing.mlmd.owned import Owned, Record, bare_name
from registry.catalog.importing.mlmd.runs import insert_runs
from registry.catalog.importing.mlmd.source import SourceEvent, SourceNode, SourceType
from registry.catalog.importing.mlmd.state import State
from registry.catalog.importing.mlmd.tracking import MEASURES, write_measures
from registry.catalog.importing.progress import Notes
from registry.catalog.nodes import ID_KINDS, TABLES, artifact_row, node_row
from registry.catalog.properties import encoded, write_index
from registry.db.ids import seed_ids
from registry.db.row_reads import RowRead, among
from registry.db.session import Session
from registry.names import ArtifactKind, Author, Door, EventType, NodeKind, Readiness
from registry.tables.graph import parent_contexts
from registry.tables.graph import types as types_table
from registry.tables.service import id_aliases

_SYSTEM = {(one.kind, one.name): one.id for one in node_types.BUILT_IN.values()}
_LAST_SYSTEM = 9
_OWN_KINDS = {
    node_types.MODEL_ARTIFACT: ArtifactKind.MODEL,
    node_types.DOC_ARTIFACT: ArtifactKind.DOC,
    node_types.DATASET: ArtifactKind.DATASET,
}


def seed(session: Session, highest: Mapping[NodeKind, int]) -> None:
    """Before anything is written: what is drawn from now on is above every id of the source."""
    for kind, high in sorted(highest.items()):
        seed_ids(session, ID_KINDS[kind], high)


def write_types(session: Session, actor: Actor, types: Sequence[SourceType], state: State) -> None:
    """Types by name and version; one that is there already is widened."""
    users = [one for one in types if (one.kind, one.name) not in _SYSTEM and one.name not in MEASURES]
    ids: dict[int, int] = {one.id: _SYSTEM[one.kind, one.name] for one in types if (one.kind, one.name) in _SYSTEM}
    seen: set[str] = set()
    for one in users:
        external = one.external_id if one.external_id not in seen else None
        seen.add(one.external_id or "")
        base = ids.get(one.base or 0)
        if base is None and one.base is not None:
            named = next((known for known in types if known.id == one.base), None)
            base = _SYSTEM.get((one.kind, named.name)) if named else None
        held = find_type(session, actor, one.kind, one.name, one.version)
        if external is not None and _is_taken(session, actor, external):
            external = None
        wanted = GraphType(0, one.kind, one.name, one.version, one.description, external, _base(base), one.properties)
        if held is not None:  # what it says of a property already stays; nodes keep their values
            fitting = {name: kind for name, kind in one.properties.items() if held.properties.get(name, kind) == kind}
            wanted = replace(wanted, properties=fitting, base_type=held.base_type or wanted.base_type)
        [ids[one.id]] = put_types(session, actor, [wanted], can_add=True, can_omit=True)
    # Of what else a Model Registry has, records are more than nodes: left out, each with a note.
    ours = {old: new for old, new in ids.items() if new <= _LAST_SYSTEM or new not in BUILT_IN or new in _TAKEN_OVER}
    state.types = {str(old): new for old, new in ours.items()}
    state.measures = {str(one.id): one.name for one in types if one.name in MEASURES}
    state.count(written=len(types), left_out=0)


def _is_taken(session: Session, actor: Actor, external_id: str) -> bool:
    where = (types_table.c.scope == actor.scope, types_table.c.external_id == external_id)
    return session.scalar(sa.select(types_table.c.id).where(*where)) is not None


def _base(type_id: int | None) -> int | None:
    """The number of a system type in ML Metadata's enumerations: artifact types 1 to 4 are it, execution types 5 to 9."""
    if type_id is None:
        return None
    return type_id if type_id <= 4 else type_id - 4


@dataclass(frozen=True)
class Near:
    """What the source says around a batch: which of the contexts that its records name are there, and whose its artifacts are."""

    contexts: set[int] = field(default_factory=set)
    owners: Mapping[int, int] = field(default_factory=dict)


def write_nodes(
    session: Session,
    actor: Actor,
    kind: NodeKind,
    nodes: Sequence[SourceNode],
    state: State,
    *,
    near: Near,
    notes: Notes,
    now: int,
) -> None:
    word = kind.name.lower()
    nodes = _write_measures(session, actor, nodes, state, near=near, notes=notes)
    typed = _typed(word, nodes, state, notes)
    known = known_types(session, actor, set(state.types.values()))
    ids = {node.id: node.id for node in typed}
    met = _met(session, actor, kind, typed, state) if kind is NodeKind.CONTEXT else {}
    ids |= met
    state.met = sorted({*state.met, *met})
    taken = _taken_ids(session, kind, [node.id for node in typed if node.id not in met])
    ids |= dict(zip(taken, session.next_ids(ID_KINDS[kind], len(taken)), strict=True)) if taken else {}
    moved = [
        {"workspace": actor.scope, "door": int(Door.MLMD), "kind": int(kind)} | {"old_id": old, "node": new}
        for old, new in ids.items()
        if old != new
    ]
    session.insert_ignore(id_aliases, sorted(moved, key=lambda row: int(row["old_id"])))
    for node in typed:
        if node.id in met:
            notes.add(word, node.id, f"the name {node.name!r} is taken: it is {word} {ids[node.id]}")
        elif ids[node.id] != node.id:
            notes.add(word, node.id, f"the id is taken: it has {ids[node.id]}")
    new = [node for node in typed if node.id not in met]
    names, externals = _taken_words(session, actor, kind, new, state)
    rows, properties = [], {}
    for node in new:
        id, type_ = ids[node.id], known.get(state.types[str(node.type_id)], BUILT_IN[1])
        row = _row(actor, kind, id, node, type_, now=now)
        if node.name is not None and (row["type_id"], node.name) in names and type_.id not in OWNED:
            notes.add(word, node.id, f"the name {node.name!r} is taken: others are found by it")
            row["name_key"] = None
        if node.external_id in externals:
            notes.add(word, node.id, f"the external id {node.external_id!r} is taken")
            row["external_id"] = None
        names.add((row["type_id"], node.name))
        externals |= {node.external_id} if node.external_id is not None else set()
        rows.append(row)
        properties[kind, id] = node.properties
    if kind is NodeKind.CONTEXT:
        described = [(row, properties[kind, row["id"]], known[row["type_id"]]) for row in rows]
        insert_runs(session, actor, [(row, own, type_.name) for row, own, type_ in described if type_.name in RUN_TYPES], now=now)
    lost = _make_records(session, actor, [Record(row, properties[kind, row["id"]]) for row in rows], near, now=now)
    for id in sorted(lost):
        notes.add(word, id, "what it belongs to is not there")
        del properties[kind, id]
    state.lost += [[int(kind), old] for old, id in sorted(ids.items()) if id in lost]
    if lost:
        session.execute(sa.delete(id_aliases).where(id_aliases.c.kind == int(kind), id_aliases.c.node.in_(lost)))
    rows = [row for row in rows if row["id"] not in lost]
    insert, columns = INSERTS[kind]
    insert.run(session, [columns(row) for row in rows])
    write_index(session, properties, fresh=set(properties))
    left_out = len(nodes) - len(rows) - len(met)
    state.count(written=len(nodes) - left_out, left_out=left_out)


def _typed(word: str, nodes: Sequence[SourceNode], state: State, notes: Notes) -> list[SourceNode]:
    """Those whose types are taken over."""
    for node in nodes:
        if str(node.type_id) not in state.types:
            notes.add(word, node.id, f"its type {node.type_id} is not taken over")
        for note in node.notes:
            notes.add(word, node.id, note)
    return [node for node in nodes if str(node.type_id) in state.types]


def _write_measures(
    session: Session, actor: Actor, nodes: Sequence[SourceNode], state: State, *, near: Near, notes: Notes
) -> Sequence[SourceNode]:
    """What is left: the nodes that are no metrics and no parameters."""
    measures = [(node, state.measures[str(node.type_id)]) for node in nodes if str(node.type_id) in state.measures]
    if not measures:
        return nodes
    ours = mapped(session, actor, NodeKind.CONTEXT, near.owners.values())
    owners = {artifact: ours[context] for artifact, context in near.owners.items()}
    taken = _taken_ids(session, NodeKind.ARTIFACT, [node.id for node, _ in measures])
    numbers = {node.id: node.id for node, _ in measures}
    numbers |= dict(zip(taken, session.next_ids(ID_KINDS[NodeKind.ARTIFACT], len(taken)), strict=True)) if taken else {}
    lines = list(write_measures(session, measures, owners, numbers))
    notes.lines += lines
    state.count(written=len(measures) - len(lines), left_out=len(lines))
    state.folded[state.phase] = state.folded.get(state.phase, 0) + len(measures) - len(lines)
    return [node for node in nodes if str(node.type_id) not in state.measures]


def _make_records(session: Session, actor: Actor, records: Sequence[Record], near: Near, *, now: int) -> set[int]:
    """Ids of those that cannot be made."""
    if not any(record.row["type_id"] in _TAKEN_OVER for record in records):
        return set()
    owned = Owned(mapped(session, actor, NodeKind.CONTEXT, near.contexts))
    return {record.row["id"] for record in records if not _make(session, actor, record, owned, now=now)}


_TAKEN_OVER = {
    *(node_types.MODEL, node_types.VERSION, *_OWN_KINDS),
    *(node_types.EXPERIMENT, node_types.RUN, node_types.ENVIRONMENT, node_types.DEPLOYMENT, node_types.SERVE),
}
"""Of the server's own types, those whose records an import makes."""

OWNED = {node_types.VERSION, node_types.RUN, node_types.DEPLOYMENT, node_types.SERVE}
"""Types whose names have the owner's id in front."""


def _make(session: Session, actor: Actor, record: Record, owned: Owned, *, now: int) -> bool:
    """The record that a node of one of our own types is; False: what it belongs to is not there."""
    match record.row["type_id"]:
        case node_types.MODEL:
            models.insert_model(session, record, now=now)
        case node_types.VERSION:
            return models.insert_version(session, record, owned)
        case node_types.EXPERIMENT:
            tracking.insert_experiment(session, record)
        case node_types.RUN:
            return tracking.insert_run(session, actor, record, owned, now=now)
        case node_types.ENVIRONMENT:
            serving.insert_environment(session, record)
        case node_types.DEPLOYMENT:
            return serving.insert_deployment(session, record, owned)
        case node_types.SERVE:
            return serving.name_serving(session, record, owned)
        case node_types.MODEL_ARTIFACT | node_types.DOC_ARTIFACT | node_types.DATASET as type_id:
            name = record.row["display_name"] = bare_name(record)
            if type_id == node_types.DATASET:
                data.insert_dataset(session, actor, record, name, now=now)
    return True


def _met(session: Session, actor: Actor, kind: NodeKind, nodes: Sequence[SourceNode], state: State) -> dict[int, int]:
    """Contexts that are there by type and name."""
    table = TABLES[kind]
    wanted = {(state.types[str(node.type_id)], node.name): node.id for node in nodes if node.name}
    wanted = {key: id for key, id in wanted.items() if key[0] not in OWNED}  # the owner may have another id here
    found = {}
    for part in in_parts(sorted(wanted)):
        key = sa.tuple_(table.c.type_id, table.c.name_key)
        for row in session.all(
            sa.select(table.c.id, table.c.type_id, table.c.name_key).where(table.c.scope == actor.scope, key.in_(part))
        ):
            found[wanted[row.type_id, row.name_key]] = int(row.id)
    return found


def _taken_ids(session: Session, kind: NodeKind, ids: Sequence[int]) -> list[int]:
    return sorted(row[0] for part in in_parts(ids) for row in _IDS[kind].run(session, part))


def _ids(table: sa.Table) -> RowRead:
    return RowRead(lambda: sa.select(table.c.id).where(among(table.c.id)))


_IDS = {kind: _ids(table) for kind, table in TABLES.items()}


def _taken_words(
    session: Session, actor: Actor, kind: NodeKind, nodes: Sequence[SourceNode], state: State
) -> tuple[set[tuple[int, str | None]], set[str | None]]:
    table = TABLES[kind]
    names: set[tuple[int, str | None]] = set()
    externals: set[str | None] = set()
    wanted = sorted({(state.types[str(node.type_id)], node.name) for node in nodes if node.name is not None})
    for part in in_parts(wanted):
        key = sa.tuple_(table.c.type_id, table.c.name_key)
        rows = session.all(sa.select(table.c.type_id, table.c.name_key).where(table.c.scope == actor.scope, key.in_(part)))
        names |= {(row.type_id, row.name_key) for row in rows}
    for some in in_parts(sorted({node.external_id for node in nodes if node.external_id is not None})):
        query = sa.select(table.c.external_id).where(table.c.scope == actor.scope, table.c.external_id.in_(some))
        externals |= set(session.scalars(query))
    return names, externals


def _row(actor: Actor, kind: NodeKind, id: int, node: SourceNode, type_: GraphType, *, now: int) -> dict[str, Any]:
    shared = actor.reach is not Reach.WORKSPACE and kind is not NodeKind.EXECUTION
    common: dict[str, Any] = {
        "type_id": type_.id,
        "workspace": INSTALL if shared else actor.workspace,
        "scope": actor.scope,
        "now": now,
        "name": node.name,
        "name_key": node.name,
        "external_id": node.external_id,
        "state": node.state,
    }
    if kind is NodeKind.ARTIFACT:
        row = artifact_row(
            id,
            kind=int(_OWN_KINDS.get(type_.id) or KINDS.get(type_.name, BASE_KINDS.get(type_.base_type or 0, ArtifactKind.OTHER))),
            author=int(Author.CLIENT),
            uri=node.uri,
            location_hash=location_hash(node.uri),
            readiness=int(READINESS.get(node.state or 0, Readiness.READY)),
            **common,
        )
    else:
        row = node_row(id, **common)
    times = {"created_at": node.created_at, "updated_at": node.updated_at}
    return row | times | {"listed": int(not type_.is_own), "properties": encoded(node.properties)}


def mapped(session: Session, actor: Actor, kind: NodeKind, ids: Iterable[int]) -> dict[int, int]:
    """Ours, by the source's."""
    wanted = sorted(set(ids))
    return dict(zip(wanted, wanted, strict=True)) | find_aliases(session, actor, kind, wanted)


def write_events(
    session: Session,
    actor: Actor,
    events: Sequence[SourceEvent],
    state: State,
    *,
    strays: tuple[set[int], set[int]],
    notes: Notes,
    now: int,
) -> None:
    """`strays`: artifacts and executions that were left out."""
    good = []
    for event in events:
        if event.dangling:
            notes.add("event", event.id, f"{event.dangling}: artifact {event.artifact}, execution {event.execution}")
        elif event.artifact in strays[0] or event.execution in strays[1]:
            notes.add("event", event.id, "an end of it was left out")
        elif event.type not in _EVENT_TYPES:
            notes.add("event", event.id, f"its type {event.type} is none")
        else:
            good.append(event)
    artifacts = mapped(session, actor, NodeKind.ARTIFACT, (event.artifact for event in good))
    executions = mapped(session, actor, NodeKind.EXECUTION, (event.execution for event in good))
    made = [
        Event(artifacts[event.artifact], executions[event.execution], _EVENT_TYPES[event.type], event.path, event.at or 0)
        for event in good
    ]
    insert_events(session, made, now=now, again=True)
    state.count(written=len(good), left_out=len(events) - len(good))


_EVENT_TYPES = {int(one): one for one in EventType if one is not EventType.UNKNOWN}


def write_pairs(
    session: Session,
    actor: Actor,
    pairs: Sequence[tuple[int, int]],
    present: tuple[set[int], set[int]],
    state: State,
    *,
    strays: tuple[set[int], set[int]],
    folded: set[int],
    notes: Notes,
    now: int,
) -> None:
    """Associations and attributions (context, node), parents (child, parent); of the two ends `present` are those that are there,
    `strays` those that were left out. `folded`: nodes at the far end that are no nodes here.
    """
    phase = state.phase
    whole, pairs = len(pairs), [pair for pair in pairs if pair[1] not in folded]
    if whole > len(pairs):
        state.count(written=whole - len(pairs), left_out=0)
        state.folded[phase] = state.folded.get(phase, 0) + whole - len(pairs)
    far = {"associations": NodeKind.EXECUTION, "attributions": NodeKind.ARTIFACT, "parents": NodeKind.CONTEXT}[phase]
    good = []
    for pair in pairs:
        if pair[0] not in present[0] or pair[1] not in present[1]:
            notes.add(phase.removesuffix("s"), pair, "an end of it is not there")
        elif pair[0] in strays[0] or pair[1] in strays[1]:
            notes.add(phase.removesuffix("s"), pair, "an end of it was left out")
        else:
            good.append(pair)
    near_ids = mapped(session, actor, NodeKind.CONTEXT, (near for near, _ in good))
    far_ids = mapped(session, actor, far, (other for _, other in good))
    ours = [(near_ids[near], far_ids[other]) for near, other in good]
    if phase == "parents":
        session.insert_ignore(parent_contexts, [{"child": child, "parent": parent} for child, parent in sorted(set(ours))])
        name_pipelines(session, actor, ours, now=now)
    elif phase == "associations":
        insert_memberships(session, set(), set(ours), now=now)
    else:
        insert_memberships(session, set(ours), set(), now=now)
        models.link_files(session, ours)
        data.link_inputs(session, actor, ours, now=now)
    state.count(written=len(good), left_out=len(pairs) - len(good))
