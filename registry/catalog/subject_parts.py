"""The pieces that record kinds are declared from (`subjects.py`): attributes, spaces of keys, and how each one sorts.

A version shows the metrics and params of its run with its own in their place (`versions.py`), so it is found by those.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any

import sqlalchemy as sa

from registry.errors import InvalidName
from registry.filtering import FieldSpec, FieldType
from registry.filtering.operands import Condition, Operand, Scope, Storage, rows
from registry.filtering.subject import Attribute, KeySpace, Query, Ranking, Sort, Sorted
from registry.filtering.tree import Accessor, Scalar
from registry.names import IdPrefix, NodeKind, OwnerKind, Special, parse_id, parse_run_id
from registry.tables.graph import contexts, params, properties, tags
from registry.tables.metrics import series
from registry.tables.models import model_versions

Column = sa.ColumnElement[Any]
TEXT = FieldSpec(FieldType.TEXT)

# ---- attributes ------------------------------------------------------------------------------------------------------

_STORAGE = {
    FieldType.TEXT: Storage.TEXT,
    FieldType.REAL: Storage.REAL,
    FieldType.BOOLEAN: Storage.BOOLEAN,
}


def sorts_by(value: Column) -> Sort:
    return lambda query: Sorted(query, value)


def own_column(column: sa.Column[Any], type: FieldType = FieldType.TEXT, words: type[IntEnum] | None = None) -> Attribute:
    """A column of the record's own row. LONGTEXT has no order: its values do not fit into page tokens."""
    known = {} if words is None else {word.name.lower(): int(word) for word in words}
    operand = Operand({_STORAGE.get(type, Storage.INTEGER): column}, nullable=bool(column.nullable))
    sort = None if isinstance(column.type, sa.Text) else sorts_by(column)
    return Attribute(FieldSpec(type, words=known), operand, sort)


def or_empty(column: sa.ColumnElement[Any]) -> Attribute:
    """A text that is empty where there is none, as MLflow shows it."""
    text = sa.func.coalesce(column, "")
    return Attribute(TEXT, Operand({Storage.TEXT: text}, nullable=False), sorts_by(text))


def word_column(column: sa.Column[Any], words: type[IntEnum]) -> Attribute:
    return own_column(column, FieldType.ENUM, words)


def id_column(column: sa.Column[Any], prefix: IdPrefix) -> Attribute:
    def convert(value: Scalar) -> Scalar:
        try:
            return parse_id(prefix, str(value))
        except InvalidName:
            raise ValueError(f"is an id such as '{prefix.value}_17'") from None

    return Attribute(
        FieldSpec(FieldType.KEY, convert=convert),
        Operand({Storage.INTEGER: column}, nullable=bool(column.nullable)),
        sorts_by(column),
    )


def _run_key(value: Scalar) -> Scalar:
    try:
        return parse_run_id(str(value))
    except InvalidName:
        raise ValueError("is a run id such as 'run_<32 hex>'") from None


RUN_KEY = FieldSpec(FieldType.KEY, convert=_run_key)


def column_of(reference: sa.Column[Any], table: sa.Table, name: str, spec: FieldSpec, *, key: str = "id") -> Attribute:
    """A column of the one row of another table whose `key` the record's `reference` holds."""
    other = table.alias()  # the record's own table may be the other: a run's parent
    scope = rows(reference, other.c[key])
    storage = _STORAGE.get(spec.type, Storage.TEXT if isinstance(other.c[name].type, sa.String) else Storage.INTEGER)
    operand = Operand({storage: other.c[name]}, nullable=bool(table.c[name].nullable), scope=scope)

    def sort(query: Query) -> Sorted:
        joined = table.alias()
        return Sorted(query.join(joined, joined.c[key] == reference, isouter=True), joined.c[name])

    return Attribute(spec, operand, sort)


_TIME = FieldSpec(FieldType.TIME)


def times_of(id: sa.Column[Any]) -> Mapping[str, Attribute]:
    return {name: column_of(id, contexts, name, _TIME) for name in ("created_at", "updated_at")}


# ---- spaces of keys --------------------------------------------------------------------------------------------------


def pair_space(table: sa.Table, kind: NodeKind, id: sa.Column[Any]) -> KeySpace:
    """Tags or params."""

    def here(of: sa.FromClause, number: int) -> list[Condition]:
        return [of.c.kind == kind, of.c.name_id == number]

    def operand(number: int, _accessor: Accessor | None) -> Operand:
        scope = rows(id, table.c.node, *here(table, number))
        return Operand({Storage.TEXT: table.c.value}, table.c.value_prefix, nullable=False, scope=scope)

    def sort(number: int, _accessor: Accessor | None) -> Sort:
        def joined(query: Query) -> Sorted:
            own = table.alias()
            return Sorted(query.join(own, sa.and_(own.c.node == id, *here(own, number)), isouter=True), own.c.value_prefix)

        return joined

    return KeySpace(TEXT, operand, sort)


def _finite(of: sa.FromClause) -> Column:
    return sa.case((of.c.special == Special.NAN, None), else_=of.c.value)


def _latest(of: sa.FromClause, kind: OwnerKind, number: int) -> list[Condition]:
    return [of.c.owner_kind == kind, of.c.name_id == number, of.c.dataset == 0]


def _metric_operand(scope: Scope) -> Operand:
    return Operand({Storage.REAL: series.c.value}, nullable=False, scope=scope, is_nan=series.c.special == Special.NAN)


def metric_space(kind: OwnerKind, id: sa.Column[Any], *, nan_between: bool = False) -> KeySpace:
    """`nan_between`: in an order NaN stands between the values and nothing; else it counts as nothing."""

    def operand(number: int, _accessor: Accessor | None) -> Operand:
        return _metric_operand(rows(id, series.c.owner, *_latest(series, kind, number)))

    def sort(number: int, _accessor: Accessor | None) -> Sort:
        def joined(query: Query) -> Sorted:
            own = series.alias()
            rank = sa.case((own.c.special == Special.NAN, 1), (own.c.owner.is_(None), 2), else_=0) if nan_between else None
            query = query.join(own, sa.and_(own.c.owner == id, *_latest(own, kind, number)), isouter=True)
            return Sorted(query, _finite(own), rank)

        return joined

    def ranking(number: int) -> Ranking:
        return Ranking(series.c.owner, series.c.value, [*_latest(series, kind, number), series.c.special != Special.NAN])

    return KeySpace(FieldSpec(FieldType.REAL), operand, sort, ranking)


_PROPERTY = {
    Accessor.INT: (Storage.INTEGER, properties.c.int_value),
    Accessor.DOUBLE: (Storage.REAL, properties.c.double_value),
    Accessor.STRING: (Storage.TEXT, properties.c.string_value),
    Accessor.BOOL: (Storage.BOOLEAN, properties.c.bool_value),
}


def _property_space(kind: NodeKind, space: int, id: sa.Column[Any]) -> KeySpace:
    """`space`: 0 declared, 1 custom."""

    def here(of: sa.FromClause, number: int) -> list[Condition]:
        return [of.c.kind == kind, of.c.space == space, of.c.name_id == number]

    def operand(number: int, accessor: Accessor | None) -> Operand:
        stored = dict(_PROPERTY.values() if accessor is None else [_PROPERTY[accessor]])
        return Operand(stored, properties.c.string_prefix, scope=rows(id, properties.c.node, *here(properties, number)))

    def sort(number: int, accessor: Accessor | None) -> Sort:
        def joined(query: Query) -> Sorted:
            own = properties.alias()
            name = "string_prefix" if accessor is Accessor.STRING else str(accessor)
            return Sorted(query.join(own, sa.and_(own.c.node == id, *here(own, number)), isouter=True), own.c[name])

        return joined

    return KeySpace(FieldSpec(FieldType.ANY), operand, sort)


def node_spaces(kind: NodeKind, id: sa.Column[Any]) -> Mapping[str, KeySpace]:
    return {
        "tags": pair_space(tags, kind, id),
        "properties": _property_space(kind, 0, id),
        "custom": _property_space(kind, 1, id),
    }


# ---- what a version has from its run ---------------------------------------------------------------------------------


def _own_or_of_run(owner: Column, own: Sequence[Condition], of_run: Sequence[Condition]) -> Scope:
    """A row of the version, or of its run where the version has none; never NULL."""
    id, run = model_versions.c.id, model_versions.c.run

    def wrap(condition: Condition) -> Condition:
        mine = id.in_(sa.select(owner).where(*own, condition).correlate(None))
        none = id.not_in(sa.select(owner).where(*own).correlate(None))
        inherited = run.in_(sa.select(owner).where(*of_run, condition).correlate(None))
        return sa.or_(mine, sa.and_(run.is_not(None), inherited, none))

    return Scope(wrap)


def version_params() -> KeySpace:
    def here(of: sa.FromClause, number: int) -> list[Condition]:
        return [of.c.kind == NodeKind.CONTEXT, of.c.name_id == number]

    def operand(number: int, _accessor: Accessor | None) -> Operand:
        scope = _own_or_of_run(params.c.node, here(params, number), here(params, number))
        return Operand({Storage.TEXT: params.c.value}, params.c.value_prefix, nullable=False, scope=scope)

    def sort(number: int, _accessor: Accessor | None) -> Sort:
        def joined(query: Query) -> Sorted:
            own, of_run = params.alias(), params.alias()
            query = query.join(own, sa.and_(own.c.node == model_versions.c.id, *here(own, number)), isouter=True)
            query = query.join(of_run, sa.and_(of_run.c.node == model_versions.c.run, *here(of_run, number)), isouter=True)
            return Sorted(query, sa.func.coalesce(own.c.value_prefix, of_run.c.value_prefix))

        return joined

    return KeySpace(TEXT, operand, sort)


def version_metrics() -> KeySpace:
    def operand(number: int, _accessor: Accessor | None) -> Operand:
        own, of_run = (_latest(series, kind, number) for kind in (OwnerKind.VERSION, OwnerKind.RUN))
        return _metric_operand(_own_or_of_run(series.c.owner, own, of_run))

    def sort(number: int, _accessor: Accessor | None) -> Sort:
        def joined(query: Query) -> Sorted:
            own, of_run = series.alias(), series.alias()
            mine = sa.and_(own.c.owner == model_versions.c.id, *_latest(own, OwnerKind.VERSION, number))
            inherited = sa.and_(of_run.c.owner == model_versions.c.run, *_latest(of_run, OwnerKind.RUN, number))
            query = query.join(own, mine, isouter=True).join(of_run, inherited, isouter=True)
            # An own NaN hides the run's.
            return Sorted(query, sa.case((own.c.owner.is_not(None), _finite(own)), else_=_finite(of_run)))

        return joined

    return KeySpace(FieldSpec(FieldType.REAL), operand, sort)
