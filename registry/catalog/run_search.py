"""Finding runs by the filter language, in any order: what its fields are for runs, and where their values lie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.interning import find_names
from registry.catalog.keyset import Place, SortKey, Total, count_up_to, page_of
from registry.catalog.runs import ALL_FIELDS, Fields, Run, get_runs
from registry.db.session import Session
from registry.errors import InvalidFilter, InvalidName
from registry.filtering import (
    FieldSpec,
    FieldType,
    FilterError,
    OrderTerm,
    RecordFields,
    compile_filter,
    parse_filter,
    parse_ordering,
)
from registry.filtering.operands import Operand, Storage, rows
from registry.filtering.tree import ATTRIBUTES, Field, Scalar, Tree
from registry.names import IdPrefix, Lifecycle, NodeKind, OwnerKind, Special, Status, parse_id, parse_run_id
from registry.tables.graph import contexts, params, tags
from registry.tables.metrics import series
from registry.tables.runs import experiments, runs

NO_NAME = -1


def _run_key(value: Scalar) -> Scalar:
    try:
        return parse_run_id(str(value))
    except InvalidName:
        raise ValueError("is a run id such as 'run_<32 hex>'") from None


def _experiment_key(value: Scalar) -> Scalar:
    try:
        return parse_id(IdPrefix.EXPERIMENT, str(value))
    except InvalidName:
        raise ValueError("is an id such as 'exp_17'") from None


RUN_FIELDS = RecordFields(
    kind="run",
    attributes={
        "id": FieldSpec(FieldType.KEY, convert=_run_key),
        "name": FieldSpec(FieldType.TEXT),
        "status": FieldSpec(FieldType.ENUM, words={status.name.lower(): int(status) for status in Status}),
        "phase": FieldSpec(FieldType.TEXT),
        "user": FieldSpec(FieldType.TEXT),
        "experiment": FieldSpec(FieldType.TEXT),
        "experiment_id": FieldSpec(FieldType.KEY, convert=_experiment_key),
        "parent": FieldSpec(FieldType.KEY, convert=_run_key),
        "started_at": FieldSpec(FieldType.TIME),
        "ended_at": FieldSpec(FieldType.TIME),
        "created_at": FieldSpec(FieldType.TIME),
        "updated_at": FieldSpec(FieldType.TIME),
    },
    spaces={
        "metrics": FieldSpec(FieldType.REAL),
        "params": FieldSpec(FieldType.TEXT),
        "tags": FieldSpec(FieldType.TEXT),
    },
    synonyms={
        "attribute": ATTRIBUTES,
        "metric": "metrics",
        "param": "params",
        "parameter": "params",
        "parameters": "params",
        "tag": "tags",
        "start_time": "started_at",
        "end_time": "ended_at",
        "user_name": "user",
        "experiment_name": "experiment",
    },
)
_parents = runs.alias("filter_parents")
_OWN: Mapping[str, tuple[Storage, sa.ColumnElement[Any]]] = {
    "id": (Storage.TEXT, runs.c.hex),
    "name": (Storage.TEXT, runs.c.name),
    "status": (Storage.INTEGER, runs.c.status),
    "phase": (Storage.TEXT, runs.c.phase),
    "user": (Storage.TEXT, runs.c.user_name),
    "experiment_id": (Storage.INTEGER, runs.c.experiment),
    "started_at": (Storage.INTEGER, runs.c.started_at),
    "ended_at": (Storage.INTEGER, runs.c.ended_at),
}
_NEVER_NULL = {"id", "name"}


@dataclass(frozen=True)
class RunPage:
    """`place` begins the next page; None on the last. `total` where it was asked for."""

    runs: Sequence[Run]
    place: Place | None
    total: Total | None


def search_runs(
    session: Session,
    actor: Actor,
    *,
    filter: str = "",
    order_by: str = "",
    experiment: int | None = None,
    lifecycle: Lifecycle = Lifecycle.ACTIVE,
    after: Place | None = None,
    limit: int = 100,
    fields: Fields = ALL_FIELDS,
    total: bool = False,
) -> RunPage:
    """A page of what the filter is true for; by id where no order is given. At most seven statements whatever its size.

    Raises:
        InvalidFilter: filter or order do not parse or type-check; the message says which and where.
        InvalidPageToken: `after` is no place of this order.
    """
    resolver = RunResolver(session)
    query = sa.select(runs.c.id).where(runs.c.workspace == actor.workspace, runs.c.lifecycle == lifecycle)
    if experiment is not None:
        query = query.where(runs.c.experiment == experiment)
    condition, terms = _compiled(resolver, filter, order_by)
    if condition is not None:
        query = query.where(condition)
    counted = count_up_to(session, query, runs.c.id) if total else None
    keys = []
    for term in terms:
        query, key = resolver.sorting(query, term)
        keys.append(key)
    found = page_of(session, query, runs.c.id, keys, after=after, limit=limit + 1)
    place = found[limit - 1][1] if len(found) > limit else None
    return RunPage(get_runs(session, actor, [id for id, _ in found[:limit]], fields), place, counted)


def _compiled(resolver: "RunResolver", filter: str, order_by: str) -> tuple[sa.ColumnElement[bool] | None, Sequence[OrderTerm]]:
    what = "filter"
    try:
        tree: Tree | None = parse_filter(filter, RUN_FIELDS)
        condition = None if tree is None else compile_filter(tree, resolver)
        what = "order_by"
        return condition, parse_ordering(order_by, RUN_FIELDS)
    except FilterError as error:
        raise InvalidFilter(f"{what}: {error.message}", line=error.line, column=error.column) from None


class RunResolver:
    def __init__(self, session: Session) -> None:
        self.session = session

    def operand(self, field: Field) -> Operand:
        if field.space == "metrics":
            where = self._series(series, field.name)
            scope = rows(runs.c.id, series.c.owner, *where)
            guard = series.c.special != Special.NAN
            return Operand({Storage.REAL: series.c.value}, nullable=False, scope=scope, guard=guard)
        if field.space != ATTRIBUTES:
            table = params if field.space == "params" else tags
            scope = rows(runs.c.id, table.c.node, *self._pairs(table, field.name))
            return Operand({Storage.TEXT: table.c.value}, table.c.value_prefix, nullable=False, scope=scope)
        if field.name == "experiment":
            scope = rows(runs.c.experiment, experiments.c.id)
            return Operand({Storage.TEXT: experiments.c.name}, nullable=False, scope=scope)
        if field.name == "parent":
            scope = rows(runs.c.parent, _parents.c.id)
            return Operand({Storage.TEXT: _parents.c.hex}, nullable=False, scope=scope)
        if field.name in {"created_at", "updated_at"}:
            scope = rows(runs.c.id, contexts.c.id)
            return Operand({Storage.INTEGER: contexts.c[field.name]}, nullable=False, scope=scope)
        storage, column = _OWN[field.name]
        return Operand({storage: column}, nullable=field.name not in _NEVER_NULL)

    def sorting(self, query: "sa.Select[Any]", term: OrderTerm) -> "tuple[sa.Select[Any], SortKey]":
        """The query with what the order reads joined to it. Texts of params and tags sort by their first 200 characters."""
        field = term.field
        if field.space == "metrics":
            own = series.alias()
            query = query.join(own, sa.and_(own.c.owner == runs.c.id, *self._series(own, field.name)), isouter=True)
            value = sa.case((own.c.special == Special.NAN, None), else_=own.c.value)
            return query, SortKey(value, float, term.descending)
        if field.space != ATTRIBUTES:
            pairs = (params if field.space == "params" else tags).alias()
            query = query.join(pairs, sa.and_(pairs.c.node == runs.c.id, *self._pairs(pairs, field.name)), isouter=True)
            return query, SortKey(pairs.c.value_prefix, str, term.descending)
        if field.name == "experiment":
            home = experiments.alias()
            return query.join(home, home.c.id == runs.c.experiment, isouter=True), SortKey(home.c.name, str, term.descending)
        if field.name == "parent":
            above = runs.alias()
            return query.join(above, above.c.id == runs.c.parent, isouter=True), SortKey(above.c.hex, str, term.descending)
        if field.name in {"created_at", "updated_at"}:
            node = contexts.alias()
            return query.join(node, node.c.id == runs.c.id), SortKey(node.c[field.name], int, term.descending)
        storage, column = _OWN[field.name]
        return query, SortKey(column, storage.value, term.descending)

    def _series(self, table: sa.FromClause, key: str) -> list[sa.ColumnElement[bool]]:
        return [table.c.owner_kind == OwnerKind.RUN, table.c.name_id == self._name(key), table.c.dataset == 0]

    def _pairs(self, table: sa.FromClause, key: str) -> list[sa.ColumnElement[bool]]:
        return [table.c.kind == NodeKind.CONTEXT, table.c.name_id == self._name(key)]

    def _name(self, key: str) -> int:
        """The number of the key; of one that nobody has used, a number that no key has."""
        return find_names(self.session, [key]).get(key, NO_NAME)
