"""Holds a tree against the fields of a record kind and turns what was written into what is stored.

After `check` names are the right ones, values are stored values (an ENUM's integer, a TIME's milliseconds, a KEY's id) and
every comparison makes sense for its types; the compiler then needs to know nothing of either.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from registry.filtering.errors import FilterError
from registry.filtering.fields import FieldSpec, FieldType, RecordFields
from registry.filtering.patterns import MAX_PATTERN, read_pattern
from registry.filtering.printing import print_field, print_value
from registry.filtering.tree import (
    And,
    Between,
    Compare,
    Field,
    In,
    IsNull,
    Like,
    Literal,
    Not,
    Or,
    Scalar,
    Tree,
    Value,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EQUALITY_ONLY = {FieldType.BOOLEAN, FieldType.ENUM, FieldType.KEY}


def check(tree: Tree, fields: RecordFields) -> Tree:
    """The same filter, ready to be compiled.

    Raises FilterError: an unknown field, or a comparison that its types do not allow.
    """
    match tree:
        case And() | Or():
            return replace(tree, parts=tuple(check(part, fields) for part in tree.parts))
        case Not():
            return Not(check(tree.part, fields))
    field, spec = fields.resolve(tree.field)
    match tree:
        case IsNull():
            return replace(tree, field=field)
        case Compare(op=op):
            if isinstance(tree.value, Field):
                return _two_fields(tree, field, spec, *fields.resolve(tree.value))
            if op not in {"=", "!="}:
                _refuse_order(field, spec, op)
            value = _stored(tree.value, field, spec)
            if isinstance(value.value, bool) and op not in {"=", "!="}:
                raise FilterError.at(value.position, f"true and false have no order: `{op}` needs a number or text")
            return replace(tree, field=field, value=value)
        case In():
            return replace(tree, field=field, values=tuple(_stored(value, field, spec) for value in tree.values))
        case Between():
            _refuse_order(field, spec, "BETWEEN")
            low, high = _stored(tree.low, field, spec), _stored(tree.high, field, spec)
            if bool in {type(low.value), type(high.value)} or isinstance(low.value, str) != isinstance(high.value, str):
                raise FilterError.at(low.position, "BETWEEN needs two numbers or two texts")
            return replace(tree, field=field, low=low, high=high)
        case Like():
            return _like(tree, field, spec)


def _two_fields(tree: Compare, field: Field, spec: FieldSpec, other: Field, other_spec: FieldSpec) -> Compare:
    if spec.type is not other_spec.type or FieldType.ANY in {spec.type, other_spec.type}:
        raise FilterError.at(
            other.position,
            f"`{print_field(field)}` is {spec.type} and `{print_field(other)}` is {other_spec.type}: they do not compare",
        )
    if tree.op not in {"=", "!="} and spec.type is not FieldType.KEY:  # keys of neighbours are integers and have an order
        _refuse_order(field, spec, tree.op)
    return replace(tree, field=field, value=other)


def _refuse_order(field: Field, spec: FieldSpec, op: str) -> None:
    if spec.type in _EQUALITY_ONLY:
        raise FilterError.at(field.position, f"`{print_field(field)}` is a {spec.type} and has no order: `{op}` is not for it")


def _like(tree: Like, field: Field, spec: FieldSpec) -> Tree:
    text = tree.pattern.value
    if not isinstance(text, str):
        raise FilterError.at(tree.pattern.position, "a pattern is text in quotes")
    if len(text) > MAX_PATTERN:
        raise FilterError.at(tree.pattern.position, f"a pattern of more than {MAX_PATTERN} characters")
    if spec.type is FieldType.ENUM:
        pattern = read_pattern(text)
        stored = {number for word, number in spec.words.items() if pattern.matches(word, ignore_case=tree.ignore_case)}
        return In(field, tuple(Literal(number, tree.pattern.position) for number in sorted(stored)), tree.negated)
    if spec.type not in {FieldType.TEXT, FieldType.ANY}:
        word = "ILIKE" if tree.ignore_case else "LIKE"
        raise FilterError.at(field.position, f"`{print_field(field)}` is {spec.type}: {word} is for text")
    return replace(tree, field=field)


def _stored(value: Value, field: Field, spec: FieldSpec) -> Literal:
    if spec.type is FieldType.ENUM:
        return _enum(value, field, spec)
    if not isinstance(value, Literal):
        raise FilterError.at(value.position, f"text needs quotes: '{value.text}'")
    try:
        return Literal((spec.convert or _CONVERTERS[spec.type])(value.value), value.position)
    except ValueError as error:
        raise FilterError.at(value.position, f"`{print_field(field)}` {error}") from error


def _enum(value: Value, field: Field, spec: FieldSpec) -> Literal:
    written = value.value if isinstance(value, Literal) else value.text
    number = spec.words.get(written.lower()) if isinstance(written, str) else None
    if number is None:
        words = ", ".join(spec.words)
        raise FilterError.at(value.position, f"`{print_field(field)}` is one of {words}, not {_shown(value)}")
    return Literal(number, value.position)


def _shown(value: Value) -> str:
    text = print_value(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


class _Unfit(ValueError):
    """The rest of a sentence that begins with the field."""


def _number(value: Scalar) -> Scalar:
    if isinstance(value, str):
        raise _Unfit(f"is a number: {_shown(Literal(value))} is text, numbers have no quotes")
    if isinstance(value, bool):
        raise _Unfit(f"is a number, not {_shown(Literal(value))}")
    return value


def _text(value: Scalar) -> Scalar:
    if not isinstance(value, str):
        raise _Unfit(f"is text: write '{_shown(Literal(value))}' in quotes")
    return value


def _boolean(value: Scalar) -> Scalar:
    if not isinstance(value, bool):
        raise _Unfit(f"is true or false, not {_shown(Literal(value))}")
    return value


def _as_it_is(value: Scalar) -> Scalar:
    return value


def _time(value: Scalar) -> Scalar:
    if not isinstance(value, str):
        return _number(value)
    try:
        moment = datetime.fromisoformat(value.strip())
    except ValueError as error:
        raise _Unfit(
            f"is a time: {_shown(Literal(value))} is neither ISO 8601 ('2026-01-31T12:00:00Z') nor milliseconds since 1970"
        ) from error
    since = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)) - _EPOCH
    whole, rest = divmod(since, timedelta(milliseconds=1))
    return whole if not rest else since / timedelta(milliseconds=1)


_CONVERTERS: Mapping[FieldType, Callable[[Scalar], Scalar]] = {
    FieldType.INTEGER: _number,
    FieldType.REAL: _number,
    FieldType.TEXT: _text,
    FieldType.BOOLEAN: _boolean,
    FieldType.TIME: _time,
    FieldType.KEY: _as_it_is,
    FieldType.ANY: _as_it_is,
}
