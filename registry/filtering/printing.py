"""A tree as text: one way to write each filter. What the core grammar can say parses back to the same tree."""

import math
import re

from registry.filtering.parsing import KEYWORDS
from registry.filtering.tree import (
    ATTRIBUTES,
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
    Tree,
    Value,
    Word,
)

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def print_tree(tree: Tree) -> str:
    """The canonical text. A neighbour's field prints as `contexts_a.name`, which only ML Metadata's grammar reads."""
    match tree:
        case And():
            return " AND ".join(_inner(part, Or) for part in tree.parts)
        case Or():
            return " OR ".join(_inner(part) for part in tree.parts)
        case Not():
            return f"NOT {_inner(tree.part, And, Or)}"
        case Compare():
            right = print_field(tree.value) if isinstance(tree.value, Field) else print_value(tree.value)
            return f"{print_field(tree.field)} {tree.op} {right}"
        case In():
            items = ", ".join(print_value(value) for value in tree.values)
            return f"{print_field(tree.field)} {_not(tree.negated)}IN ({items})"
        case Like():
            word = "ILIKE" if tree.ignore_case else "LIKE"
            return f"{print_field(tree.field)} {_not(tree.negated)}{word} {print_value(tree.pattern)}"
        case Between():
            ends = f"{print_value(tree.low)} AND {print_value(tree.high)}"
            return f"{print_field(tree.field)} {_not(tree.negated)}BETWEEN {ends}"
        case IsNull():
            return f"{print_field(tree.field)} IS {_not(tree.negated)}NULL"


def _inner(tree: Tree, *loose: type[Tree]) -> str:
    text = print_tree(tree)
    return f"({text})" if isinstance(tree, loose) else text


def _not(negated: bool) -> str:
    return "NOT " if negated else ""


def print_field(field: Field) -> str:
    if field.space == ATTRIBUTES and field.alias is None:
        bare = _PLAIN.fullmatch(field.name) and field.name.upper() not in KEYWORDS
        return field.name if bare else _quoted(field.name)
    space = field.space if field.alias is None else f"{field.space}_{field.alias}"
    name = field.name if _PLAIN.fullmatch(field.name) else _quoted(field.name)
    return f"{space}.{name}" if field.accessor is None else f"{space}.{name}.{field.accessor}"


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"


def print_value(value: Value) -> str:
    if isinstance(value, Word):
        return value.text
    return _print_scalar(value)


def _print_scalar(literal: Literal) -> str:
    match literal.value:
        case bool():
            return "TRUE" if literal.value else "FALSE"
        case str():
            escaped = literal.value.replace("\\", "\\\\").replace("'", "\\'")
            return f"'{escaped}'"
        case float() if math.isnan(literal.value):
            return "nan"
        case float():
            return repr(literal.value)
        case _:
            return str(literal.value)
