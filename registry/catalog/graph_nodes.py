"""Putting nodes of user types: artifacts, executions, contexts. Statements do not grow with the number of nodes.

Artifacts and executions are locked in id order before they are compared. Contexts, which every step of a pipeline sends along
unchanged, are locked only if they change. The module is whole: a call's plan is made, checked and written by one pass over it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from operator import itemgetter
from typing import Any, TypeVar

import sqlalchemy as sa

from registry.catalog import graph_metrics, graph_steps
from registry.catalog.actors import INSTALL, Actor, Reach
from registry.catalog.artifacts import location_hash
from registry.catalog.graph_found import PLAIN, Found, Rules
from registry.catalog.graph_own import OwnChange, apply_own, plan_own
from registry.catalog.graph_puts import NodePut, Values, changed_values, new_values, stored_values
from registry.catalog.graph_reads import Node, shown
from registry.catalog.graph_rows import NODE
from registry.catalog.graph_sharing import actor_of_run, workspace_of_run
from registry.catalog.graph_states import STATUSES
from registry.catalog.graph_types import GraphType, known_types, types_by_id
from registry.catalog.merging import MlmdRun, adopt_mlmd_run
from registry.catalog.nodes import ID_KINDS, TABLES, artifact_row, folder_hash, node_row
from registry.catalog.properties import Properties, encoded, write_index
from registry.db.row_inserts import RowInsert
from registry.db.session import Session
from registry.errors import AlreadyExists, InvalidArgument, NotFound, NotWritable, PreconditionFailed
from registry.names import ArtifactKind, Author, NodeKind, Readiness, Role, Status

T = TypeVar("T")
RUN_TYPES = frozenset({"system.PipelineRun", "pipeline_run", "KfpRun"})
"""Contexts of these types are runs: of Kubeflow Pipelines, of TFX, of Kubeflow Pipelines' first version."""

KINDS = {
    "system.Model": ArtifactKind.MODEL,
    "system.Dataset": ArtifactKind.DATASET,
    "system.HTML": ArtifactKind.DOC,
    "system.Markdown": ArtifactKind.DOC,
    "system.Metrics": ArtifactKind.DOC,
    "system.ClassificationMetrics": ArtifactKind.DOC,
    "system.SlicedClassificationMetrics": ArtifactKind.DOC,
}
BASE_KINDS = {1: ArtifactKind.DATASET, 2: ArtifactKind.MODEL}
READINESS = {1: Readiness.PENDING, 5: Readiness.FAILED}
"""By ML Metadata's Artifact.State; every other is ready."""


def _inserts(kind: NodeKind) -> tuple[RowInsert, Callable[[Mapping[str, Any]], tuple[Any, ...]]]:
    """And how the statement's values come from a row by name."""
    names = [column.name for column in TABLES[kind].columns]
    return RowInsert(TABLES[kind], names), itemgetter(*names)


INSERTS = {kind: _inserts(kind) for kind in NodeKind}


@cache
def _updating(kind: NodeKind, names: tuple[str, ...]) -> sa.Update:
    """Of `b_id`, with each column's value under its name behind `b_`."""
    table = TABLES[kind]
    values = {name: sa.bindparam(f"b_{name}", type_=table.c[name].type) for name in names}
    return sa.update(table).where(table.c.id == sa.bindparam("b_id")).values(values)


@dataclass
class _Planned:
    """A node as it will be. `row` is what is stored; None: it is new."""

    type: GraphType
    values: Values
    row: Any = None
    moves: bool = True
    own: OwnChange | None = None


def _taken(node: _Planned, values: Any) -> set[tuple[int, str] | str]:
    """What no other node of the kind may have: the name among those of the type, and the external id."""
    return {(node.type.id, values.name or ""), values.external_id or ""} - {(node.type.id, ""), ""}


@dataclass
class _Plan:
    ids: list[int] = field(default_factory=list)
    nodes: dict[int, _Planned] = field(default_factory=dict)

    def changed(self) -> dict[int, _Planned]:
        """In the order of the call: what one gives up another may take."""
        return {id: node for id, node in self.nodes.items() if node.row is not None and node.moves}

    def new(self) -> dict[int, _Planned]:
        return {id: node for id, node in sorted(self.nodes.items()) if node.row is None}

    def follows(self) -> bool:
        """Whether a new node takes the name or external id that a node before it in the call gives up."""
        left = set[tuple[int, str] | str]()
        for node in self.nodes.values():
            if node.row is None:
                if not left.isdisjoint(_taken(node, node.values)):
                    return True
            elif node.moves:
                left |= _taken(node, node.row) - _taken(node, node.values)
        return False


class Writer:
    """One call's nodes, of all kinds. `types` are read once; index rows of all nodes are written once, by `finish`."""

    def __init__(self, session: Session, actor: Actor, puts: Iterable[NodePut], *, now: int) -> None:
        actor.require(Role.CONTRIBUTOR)
        self.session = session
        self.actor = actor
        self.now = now
        self.types = self._types_of(list(puts))
        self.runs: list[int] = []
        """Contexts among those put so far that are runs."""
        self.home = actor.workspace
        """Where what is put goes: the connection's workspace, in platform mode the first run's."""
        self.taken: set[int] = set()
        """Executions that were there, in the places of new ones: what is put to them may be there too."""
        self.metrics: set[int] = set()
        """Among the artifacts put so far, those whose numbers are series of a run."""
        self.named: dict[str, str | None] = {}
        """The names of the contexts put so far, by those of their types."""
        self.reused: dict[int, int] = {}
        """Executions that are another's again, whose outputs they have."""
        self.ended: set[int] = set()
        """Executions that this call has ended."""
        self.uris: dict[int, str | None] = {}
        """Of the artifacts put so far."""
        self._makers: Mapping[int, tuple[int, str | None]] = {}
        self._index: dict[tuple[NodeKind, int], Properties] = {}
        self._fresh: set[tuple[NodeKind, int]] = set()
        self._blanks: dict[tuple[NodeKind, int, int], dict[str, Any]] = {}

    def put_artifacts(
        self, puts: Sequence[NodePut], rules: Rules = PLAIN, *, makers: Mapping[int, tuple[int, str | None]]
    ) -> list[int]:
        """`makers`: execution and port by place in `puts`, for new ones. Otherwise as `put`."""
        self._makers = makers
        return self.put(NodeKind.ARTIFACT, puts, rules)

    def put(self, kind: NodeKind, puts: Sequence[NodePut], rules: Rules = PLAIN) -> list[int]:
        """The ids, in the order of `puts`. Contexts first: executions that are put after a run's context are its steps.

        Raises:
            InvalidArgument: an id that is not here, no type, a type that is not the node's, a property that does not fit.
            NotFound: the type is not here, or is one of another kind.
            AlreadyExists: a name or external id is taken.
            PreconditionFailed: `unless_changed`, and it has.
            NotWritable: the node, or its type, is one of ours.
        """
        if not puts:
            return []
        if rules.needs_type:  # looked at before the nodes are
            for put in puts:
                if put.type_id is not None:
                    self._known_type(kind, put)
        found = Found(self.session, self.actor, kind, puts, rules, lock=kind is not NodeKind.CONTEXT)
        self._learn_types(found.rows.values())
        plan = self._plan(kind, puts, rules, found)
        if kind is NodeKind.CONTEXT and self.session.dialect != "sqlite" and plan.changed():  # one writer needs no lock
            found = Found(self.session, self.actor, kind, puts, rules, lock=True)
            plan = self._plan(kind, puts, rules, found, plan)
        made_by = {plan.ids[place]: maker for place, maker in self._makers.items()} if kind is NodeKind.ARTIFACT else {}
        changed = plan.changed()
        follows = bool(changed) and plan.follows()
        if follows:
            self._update(kind, changed)
        given = self._insert(kind, plan.new(), rules, made_by)
        if not follows:
            self._update(kind, changed)
        ids = [given.get(id, id) for id in plan.ids]
        if kind is NodeKind.CONTEXT:
            self.runs += [given.get(id, id) for id, node in plan.nodes.items() if node.type.name in RUN_TYPES]
            self.named |= {node.type.name: node.values.name for node in plan.nodes.values()}
            if self.runs and self.actor.reach is not Reach.WORKSPACE:
                self.home = workspace_of_run(self.session, self.runs[0])
        elif kind is NodeKind.ARTIFACT:
            self.uris |= {id: node.values.uri for id, node in plan.nodes.items()}
            self.metrics |= {id for id, node in plan.nodes.items() if node.type.name == graph_metrics.TYPE}
        return ids

    def finish(self) -> None:
        """Index rows of everything that was put."""
        write_index(self.session, self._index, fresh=self._fresh)
        self._index = {}

    def _types_of(self, puts: Sequence[NodePut]) -> dict[int, GraphType]:
        """Of what is put. What this process knows of a type may be less than it has now: only then it is read again."""
        known = known_types(self.session, self.actor, {put.type_id for put in puts if put.type_id is not None})
        grown = {
            put.type_id
            for put in puts
            if put.type_id in known and put.properties.declared.keys() - known[put.type_id].properties.keys()
        }
        return known | types_by_id(self.session, self.actor, grown) if grown else known

    def _learn_types(self, rows: Iterable[Any]) -> None:
        unknown = {row.type_id for row in rows} - self.types.keys()
        if unknown:
            self.types |= types_by_id(self.session, self.actor, unknown)

    # ---- planning: no SQL but ids -----------------------------------------------------------------------------------

    def _plan(self, kind: NodeKind, puts: Sequence[NodePut], rules: Rules, found: Found, before: _Plan | None = None) -> _Plan:
        plan = _Plan()
        spare = [] if before is None else sorted(id for id, node in before.nodes.items() if node.row is None)
        made: dict[str, int] = {}
        drawn = iter([*spare, *self._draw(kind, puts, found, spare=len(spare))])
        for put in puts:
            id = found.id_of(put)
            if id is None and rules.same_new and put.external_id:
                id = made.get(put.external_id)
            if id is None:
                id = next(drawn)
                type_ = self._type(kind, put)
                plan.nodes[id] = _Planned(type_, new_values(put, type_))
                if put.external_id:
                    made[put.external_id] = id
            else:
                plan.nodes[id] = self._meet(put, rules, id, plan.nodes.get(id), found)
            plan.ids.append(id)
        return plan

    def _draw(self, kind: NodeKind, puts: Sequence[NodePut], found: Found, *, spare: int) -> Sequence[int]:
        """Ids for the new nodes, beyond the `spare` ones that were drawn for them before."""
        wanted = sum(1 for put in puts if found.id_of(put) is None) - spare
        return self.session.next_ids(ID_KINDS[kind], wanted) if wanted > 0 else ()

    def _type(self, kind: NodeKind, put: NodePut) -> GraphType:
        if put.type_id is None:
            raise InvalidArgument(f"Type id is missing: a new {kind.name.lower()} needs one", field="type_id")
        known = self._known_type(kind, put)
        if known.is_own:
            raise NotWritable(f"type {known.name} is one of the server's own: its records are made through other calls")
        return known

    def _known_type(self, kind: NodeKind, put: NodePut) -> GraphType:
        """The type that a put names. Raises NotFound: there is no such type of nodes of this kind."""
        known = self.types.get(put.type_id or 0)
        if known is None or known.kind is not kind:
            raise NotFound(f"{kind.name.lower()} type", put.type_id or 0)
        return known

    def _meet(self, put: NodePut, rules: Rules, id: int, held: _Planned | None, found: Found) -> _Planned:
        """What a put makes of a node that is there, or that this call has put before."""
        kind, word = put.kind, put.kind.name.lower()
        if held is None:
            row = found.rows[id]
            held = _Planned(self.types[row.type_id], stored_values(row, kind), row, moves=False)
        if rules.needs_type and put.type_id is None:
            raise InvalidArgument(f"Type id is missing: {word} {id}", field="type_id")
        if (put.id is None and rules.reuse_name) or (put.id is not None and rules.reuse_id):
            if rules.checks_reused:
                new_values(put, held.type)
            return held
        if put.type_id is not None and put.type_id != held.type.id:
            raise InvalidArgument(f"{word} {id} is of type {held.type.id}, not {put.type_id}", field="type_id")
        if held.type.is_own and held.row is not None:
            after, change, moves = plan_own(put, held.type, held.row, self._shown(kind, held.row), rules.mask)
            return replace(held, values=after, moves=moves, own=change)
        if rules.unless_changed and (held.row is None or put.updated_at != held.row.updated_at):
            raise PreconditionFailed(f"{word} {id} was changed since it was read")
        after, moves = changed_values(put, held.type, held.values, rules.mask)
        moves = moves or rules.force_update or rules.unless_changed
        return replace(held, values=after if moves else held.values, moves=held.moves or moves)

    def _shown(self, kind: NodeKind, row: Any) -> Node:
        """As its client has read it."""
        columns = [getattr(row, name, None) for name in NODE]
        [found] = shown(self.session, self.actor, kind, [tuple(columns)], self.types)
        return found

    # ---- writing ----------------------------------------------------------------------------------------------------

    def _insert(
        self,
        kind: NodeKind,
        new: Mapping[int, _Planned],
        rules: Rules,
        made_by: Mapping[int, tuple[int, str | None]],
    ) -> dict[int, int]:
        """Ids of new nodes that turned out to be others."""
        given: dict[int, int] = self._take_places(new) if kind is NodeKind.EXECUTION and self.runs else {}
        rows = []
        for id, node in new.items():
            if id in given:
                continue
            if kind is NodeKind.CONTEXT and node.type.name in RUN_TYPES:
                given[id] = self._adopt(node, rules)
                continue
            row = self._row(kind, id, node)
            if id in made_by:
                row["step"], row["port"] = made_by[id]
            rows.append(row)
            self._index[kind, id] = node.values.properties
            self._fresh.add((kind, id))
        if rules.reuse_name and kind is NodeKind.CONTEXT:
            return given | self._insert_or_meet(new, rows)
        insert, columns = INSERTS[kind]
        self._refusing(kind, lambda: insert.run(self.session, [columns(row) for row in rows]))
        return given

    def _take_places(self, new: Mapping[int, _Planned]) -> dict[int, int]:
        """Makes the new executions steps of the run; ids of those whose places are taken, which are written instead."""
        given: dict[int, int] = {}
        simple = []
        for id, node in new.items():
            if not graph_steps.is_task(node.type):
                simple.append((id, node.type, node.values))
                continue
            place = graph_steps.find_place(self.session, self.home, node.type, node.values, self.runs)
            if place is None:
                continue
            taken = graph_steps.take_place(self.session, place, id, node.type, node.values, now=self.now)
            if taken != id:
                given[id] = self._retype(taken, node)
            self._reuse(taken, node, self.home)
            if place.root and taken == id:
                graph_steps.follow(self.session, {id: (node.type, node.values)}, now=self.now)
        component = graph_steps.component_of(self.named)
        graph_steps.add_steps(self.session, self.home, self.runs[0], simple, component=component, now=self.now)
        return given

    def _retype(self, id: int, node: _Planned) -> int:
        row = self._row(NodeKind.EXECUTION, id, node)
        values = node.values
        agents = self._refusing(NodeKind.EXECUTION, lambda: graph_steps.retype(self.session, id, row, node.type, now=self.now))
        status = graph_steps.status_of(node.type, values.name, values.state)
        if not agents or (status is not None and status.is_final):
            graph_steps.follow(self.session, {id: (node.type, values)}, now=self.now)
        self._index[NodeKind.EXECUTION, id] = values.properties
        self.taken.add(id)
        return id

    def _row(self, kind: NodeKind, id: int, node: _Planned) -> dict[str, Any]:
        columns = node.values.columns
        row = {**self._blank(kind, node.type), **columns, "id": id, "name_key": columns["name"]}
        if kind is not NodeKind.ARTIFACT:
            del row["uri"]
            return row
        row["location_hash"], row["folder_hash"] = location_hash(columns["uri"]), folder_hash(columns["uri"])
        row["readiness"] = int(READINESS.get(columns["state"], Readiness.READY))
        return row

    def _blank(self, kind: NodeKind, type_: GraphType) -> Mapping[str, Any]:
        """What new nodes of a type have in common: a call may put thousands."""
        workspace = self._workspace(kind)
        made = self._blanks.get((kind, type_.id, workspace))
        if made is None:
            common: dict[str, Any] = {"type_id": type_.id, "workspace": workspace, "scope": self.actor.scope, "now": self.now}
            if kind is NodeKind.ARTIFACT:
                base = BASE_KINDS.get(type_.base_type or 0, ArtifactKind.OTHER)
                made = artifact_row(0, kind=int(KINDS.get(type_.name, base)), author=int(Author.CLIENT), **common)
            else:
                made = node_row(0, **common)
            made["listed"] = 1
            self._blanks[kind, type_.id, workspace] = made
        return made

    def _workspace(self, kind: NodeKind) -> int:
        """Of a new node. In platform mode contexts that are no runs are shared, artifacts until a run makes or uses them."""
        if self.actor.reach is Reach.WORKSPACE or kind is NodeKind.EXECUTION or (kind is NodeKind.ARTIFACT and self.runs):
            return self.home
        return INSTALL

    def _insert_or_meet(self, new: Mapping[int, _Planned], rows: list[dict[str, Any]]) -> dict[int, int]:
        """Contexts whose names another call has taken since they were looked up are that call's."""
        table = TABLES[NodeKind.CONTEXT]
        lost: dict[int, int] = {}
        for row in sorted(rows, key=lambda row: (row["type_id"], row["name_key"])):
            if self.session.insert_if_absent(table, row):
                continue
            where = (table.c.scope == row["scope"], table.c.type_id == row["type_id"], table.c.name_key == row["name_key"])
            found = self.session.scalar(sa.select(table.c.id).where(*where))
            if found is None:
                raise AlreadyExists("context", f"with external id {new[row['id']].values.external_id!r}")
            lost[row["id"]] = found
            del self._index[NodeKind.CONTEXT, row["id"]]
        return lost

    def _adopt(self, node: _Planned, rules: Rules) -> int:
        """A new run's context: the agent, or MLflow, may have made it."""
        table, values = TABLES[NodeKind.CONTEXT], node.values
        put = MlmdRun(node.type.id, node.type.name, values.name or "", self.actor.scope, values.external_id, values.properties)
        where = (table.c.scope == put.scope, table.c.type_id == put.type_id, table.c.name_key == put.name)
        found: int | None = self.session.scalar(sa.select(table.c.id).where(*where))
        if found is not None:
            if not rules.reuse_name:
                raise AlreadyExists("context", put.name)
            return found
        namespace = values.properties.custom.get("namespace")
        named = namespace.value if namespace is not None and node.type.name == "system.PipelineRun" else ""
        actor = actor_of_run(self.session, self.actor, named if isinstance(named, str) else "", now=self.now)
        made = 0

        def adopt() -> None:
            nonlocal made
            made = adopt_mlmd_run(self.session, actor, put, now=self.now)

        self._refusing(NodeKind.CONTEXT, adopt)
        return made

    def _update(self, kind: NodeKind, changed: Mapping[int, _Planned]) -> None:
        if not changed:
            return
        rows = []
        for id, node in changed.items():
            if encoded(node.values.properties) != node.row.properties:
                self._index[kind, id] = node.values.properties
            columns = self._changed_columns(kind, node)
            rows.append({"b_id": id, **{f"b_{name}": value for name, value in columns.items()}})
        names = tuple(name.removeprefix("b_") for name in rows[0] if name != "b_id")
        self._refusing(kind, lambda: self.session.execute(_updating(kind, names), rows))
        for id, node in changed.items():
            if node.own is not None:
                apply_own(self.session, self.actor.at(node.row.workspace), id, node.own, now=self.now)
        if kind is NodeKind.EXECUTION:
            clients = {id: node for id, node in changed.items() if node.own is None}
            graph_steps.follow(self.session, {id: (node.type, node.values) for id, node in clients.items()}, now=self.now)
            for id, node in clients.items():
                if node.row.state != node.values.state:
                    if (STATUSES.get(node.values.state or 0) or Status.UNKNOWN).is_final:
                        self.ended.add(id)
                    self._reuse(id, node, node.row.workspace)

    def _changed_columns(self, kind: NodeKind, node: _Planned) -> dict[str, Any]:
        columns = node.values.columns
        columns |= {"updated_at": max(self.now, node.row.updated_at + 1), "version": node.row.version + 1}
        renamed = kind is NodeKind.CONTEXT and columns["name"] != node.row.name
        columns["name_key"] = columns["name"] if renamed else node.row.name_key
        if kind is not NodeKind.ARTIFACT:
            del columns["uri"]
            return columns
        same = columns["state"] == node.row.state
        readiness = node.row.readiness if same else READINESS.get(columns["state"], Readiness.READY)
        place = {"location_hash": location_hash(columns["uri"]), "folder_hash": folder_hash(columns["uri"])}
        return columns | place | {"readiness": readiness}

    def _reuse(self, id: int, node: _Planned, workspace: int) -> None:
        original = graph_steps.reuse(self.session, workspace, id, node.values, now=self.now)
        if original is not None:
            self.reused[id] = original

    def _refusing(self, kind: NodeKind, write: Callable[[], T]) -> T:
        try:
            return write()
        except sa.exc.IntegrityError as error:
            raise AlreadyExists(kind.name.lower(), "with this name or external id") from error
