"""One comparison as a condition on the columns of its operands; which rows those belong to is `compiling.py`'s business."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from registry.filtering.dialects import like
from registry.filtering.errors import FilterError
from registry.filtering.numbers import Answer, for_doubles, for_integers, is_nan
from registry.filtering.operands import PREFIX_LENGTH, Condition, Operand, Storage
from registry.filtering.patterns import Pattern, after_all_with, read_pattern
from registry.filtering.printing import print_field, print_value
from registry.filtering.tree import Between, Compare, CompareOp, Field, In, Like, Literal, Value


def leaf_condition(leaf: Compare | In | Like | Between, operands: Sequence[Operand]) -> Condition:
    """`operands` are those of the leaf's fields. NULL where a value is missing.

    Raises FilterError: the columns do not compare with what is written; `checking.check` finds most of that before.
    """
    operand = operands[0]
    match leaf:
        case Compare() if isinstance(leaf.value, Field):
            return _fields(leaf, leaf.value, operand, operands[1])
        case Compare():
            return _compare(operand, leaf.field, leaf.op, _literal(leaf.value))
        case Between():
            return _between(operand, leaf)
        case In():
            return _in(operand, leaf)
        case Like():
            text = _text_column(operand, leaf.field)
            condition = _like(text, operand.prefix, read_pattern(str(leaf.pattern.value)), ignore_case=leaf.ignore_case)
            return sa.not_(condition) if leaf.negated else condition


def _literal(value: Value | Field) -> Literal:
    if not isinstance(value, Literal):
        shown = print_field(value) if isinstance(value, Field) else print_value(value)
        raise FilterError.at(value.position, f"`{shown}` is no value: the tree was not checked")
    return value


_FITTING: Mapping[type, tuple[Storage, ...]] = {
    bool: (Storage.BOOLEAN,),
    int: (Storage.INTEGER, Storage.REAL),
    float: (Storage.INTEGER, Storage.REAL),
    str: (Storage.TEXT,),
}


def _columns(operand: Operand, field: Field, literal: Literal) -> list[tuple[Storage, sa.ColumnElement[Any]]]:
    """The columns that the value can be compared with."""
    fitting = [(storage, operand.columns[storage]) for storage in _FITTING[type(literal.value)] if storage in operand.columns]
    if not fitting:
        raise FilterError.at(literal.position, f"`{print_field(field)}` does not compare with {print_value(literal)}")
    return fitting


def _any(conditions: Sequence[Condition]) -> Condition:
    return sa.or_(*conditions) if len(conditions) > 1 else conditions[0]


def _compare(operand: Operand, field: Field, op: CompareOp, literal: Literal) -> Condition:
    return _any([_one(operand, storage, column, op, literal.value) for storage, column in _columns(operand, field, literal)])


def _between(operand: Operand, leaf: Between) -> Condition:
    low, high = _literal(leaf.low), _literal(leaf.high)
    if is_nan(low.value) or is_nan(high.value):
        return sa.false()
    ops: tuple[CompareOp, CompareOp] = ("<", ">") if leaf.negated else (">=", "<=")
    join = sa.or_ if leaf.negated else sa.and_
    return _any(
        [
            join(
                _one(operand, storage, column, ops[0], low.value),
                _one(operand, storage, column, ops[1], high.value),
            )
            for storage, column in _columns(operand, leaf.field, low)
        ]
    )


_SQL_OPS: Mapping[CompareOp, Callable[[Any, Any], Condition]] = {
    "=": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


def _one(operand: Operand, storage: Storage, column: sa.ColumnElement[Any], op: CompareOp, value: Any) -> Condition:
    match storage:
        case Storage.TEXT:
            if op == "=":
                return _equal_text(column, operand.prefix, value)
            return _SQL_OPS[op](column, _text(value))
        case Storage.BOOLEAN:
            return _SQL_OPS[op](column, _bool(column, value=value))
        case _:
            bound = (for_integers if storage is Storage.INTEGER else for_doubles)(op, value)
            if bound is Answer.NEVER:
                return sa.false()
            if bound is Answer.ALWAYS:
                return column.is_not(None)
            return _SQL_OPS[bound[0]](column, _number(storage, bound[1]))


def _text(value: str) -> sa.BindParameter[str]:
    # Without the column's length: a cast to VARCHAR(n) would cut the value, and a cut value may be equal.
    return sa.bindparam(None, value, type_=sa.Text())


def _number(storage: Storage, value: float) -> sa.BindParameter[Any]:
    # BIGINT also for a narrower column: a value out of its range is no error but unequal.
    return sa.bindparam(None, value, type_=sa.BigInteger() if storage is Storage.INTEGER else sa.Double())


def _bool(column: sa.ColumnElement[Any], *, value: bool) -> sa.BindParameter[Any]:
    if isinstance(column.type, sa.Boolean):
        return sa.bindparam(None, value, type_=column.type)
    return sa.bindparam(None, int(value), type_=sa.BigInteger())


def _equal_text(column: sa.ColumnElement[Any], prefix: sa.ColumnElement[str] | None, value: str) -> Condition:
    if prefix is None:
        return column == _text(value)
    if len(value) < PREFIX_LENGTH:
        return prefix == _text(value)  # the prefix is the whole text, and of no longer text
    return sa.and_(prefix == _text(value[:PREFIX_LENGTH]), column == _text(value))


def _in(operand: Operand, leaf: In) -> Condition:
    """Grouped by column, so that each index is asked once; NOT IN holds where the value is of a type that was named."""
    by_column: dict[Storage, list[Any]] = {}
    literals = [_literal(value) for value in leaf.values]
    for literal in literals:
        for storage, _ in _columns(operand, leaf.field, literal):
            by_column.setdefault(storage, []).append(literal.value)
    if not by_column:
        return _any([column.is_not(None) for column in operand.columns.values()]) if leaf.negated else sa.false()
    conditions = []
    for storage, values in by_column.items():
        column = operand.columns[storage]
        inside = _listed(operand, storage, column, values)
        conditions.append(sa.and_(column.is_not(None), sa.not_(inside)) if leaf.negated else inside)
    return _any(conditions)


def _listed(operand: Operand, storage: Storage, column: sa.ColumnElement[Any], values: Sequence[Any]) -> Condition:
    if storage is Storage.BOOLEAN:
        return _any([_one(operand, storage, column, "=", value) for value in dict.fromkeys(values)])
    if storage is Storage.TEXT:
        long = [value for value in values if len(value) >= PREFIX_LENGTH]
        if operand.prefix is None or not long:
            return _in_list(column if operand.prefix is None else operand.prefix, values, sa.Text())
        heads = _in_list(operand.prefix, [value[:PREFIX_LENGTH] for value in values], sa.Text())
        return sa.and_(heads, _in_list(column, values, sa.Text()))
    exact = for_integers if storage is Storage.INTEGER else for_doubles
    bounds = [bound for bound in (exact("=", value) for value in values) if not isinstance(bound, Answer)]
    return _in_list(column, [value for _, value in bounds], sa.BigInteger() if storage is Storage.INTEGER else sa.Double())


def _in_list(column: sa.ColumnElement[Any], values: Sequence[Any], kind: sa.types.TypeEngine[Any]) -> Condition:
    if not values:
        return sa.false()
    return column.in_(sa.bindparam(None, list(dict.fromkeys(values)), type_=kind, expanding=True))


def _text_column(operand: Operand, field: Field) -> sa.ColumnElement[Any]:
    column = operand.columns.get(Storage.TEXT)
    if column is None:
        raise FilterError.at(field.position, f"`{print_field(field)}` is not text: LIKE is for text")
    return column


def _like(
    column: sa.ColumnElement[Any], prefix: sa.ColumnElement[str] | None, pattern: Pattern, *, ignore_case: bool
) -> Condition:
    """A pattern that begins with text becomes a range too, which every database can find in an index."""
    if ignore_case:
        return like(column, pattern.sql, ignore_case=True)
    if pattern.exact is not None:
        return _equal_text(column, prefix, pattern.exact)
    conditions = []
    if pattern.head:
        indexed = column if prefix is None else prefix
        head = pattern.head if prefix is None else pattern.head[:PREFIX_LENGTH]
        conditions.append(indexed >= _text(head))
        end = after_all_with(head)
        if end is not None:
            conditions.append(indexed < _text(end))
        if pattern.is_head_only and len(head) == len(pattern.head):
            return sa.and_(*conditions)
    conditions.append(like(column, pattern.sql, ignore_case=False))
    return sa.and_(*conditions)


def _fields(leaf: Compare, right: Field, operand: Operand, other: Operand) -> Condition:
    for side, named in ((operand, leaf.field), (other, right)):
        if side.scope is not None and side.scope.alias is None:
            raise FilterError.at(named.position, f"`{print_field(named)}` can be compared with a value only, not with a field")
    both = [storage for storage in operand.columns if storage in other.columns]
    if len(operand.columns) != 1 or not both:
        raise FilterError.at(right.position, f"`{print_field(leaf.field)}` and `{print_field(right)}` do not compare")
    return _SQL_OPS[leaf.op](operand.columns[both[0]], other.columns[both[0]])
