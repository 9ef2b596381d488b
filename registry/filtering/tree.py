"""The tree that every filter grammar becomes. Values only: nothing here reads text, knows fields or makes SQL.

What each grammar needs is here although the core grammar cannot write all of it: a neighbour alias (`contexts_a.name`), a
property accessor (`.int_value`), a bare word for an enumeration (`state = LIVE`), a field on both sides. Positions take no
part in equality.

And and Or are flat: neither holds one of its own kind (`all_of`, `any_of` see to it), so equal filters are equal trees.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal as Choice
from typing import NamedTuple


class Position(NamedTuple):
    """Of the first character in the text; both count from 1."""

    line: int
    column: int


NOWHERE = Position(1, 1)
"""For trees that are built without a text."""

ATTRIBUTES = "attributes"
"""The space of a record's own fields, which the core grammar writes without a space."""

Scalar = int | float | str | bool
CompareOp = Choice["=", "!=", "<", "<=", ">", ">="]
MIRRORED: dict[CompareOp, CompareOp] = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
"""What an operator becomes when its sides change places."""


class Accessor(StrEnum):
    """Which typed value of a property is meant."""

    INT = "int_value"
    DOUBLE = "double_value"
    STRING = "string_value"
    BOOL = "bool_value"


@dataclass(frozen=True, slots=True)
class Field:
    """`space` is "attributes" or a keyed space ("params", "tags", "properties" …) or a neighbourhood ("contexts", "events" …).

    `alias` names one neighbour: equal (space, alias) within an AND is one and the same neighbour. None outside of
    neighbourhoods.
    """

    space: str
    name: str
    accessor: Accessor | None = None
    alias: str | None = None
    position: Position = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Literal:
    """A value; after `checking.check` the value as it is stored. `True` is never equal to `1`, nor `1` to `1.0`."""

    value: Scalar = field(compare=False)
    position: Position = field(default=NOWHERE, compare=False, repr=False)
    key: tuple[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        shown = repr(abs(self.value)) if isinstance(self.value, float) and math.isnan(self.value) else repr(self.value)
        object.__setattr__(self, "key", (type(self.value).__name__, shown))


@dataclass(frozen=True, slots=True)
class Word:
    """A bare word in the place of a value: the name of an enumeration's member. `checking.check` makes a Literal of it."""

    text: str
    position: Position = field(default=NOWHERE, compare=False, repr=False)


Value = Literal | Word


@dataclass(frozen=True, slots=True)
class Compare:
    field: Field
    op: CompareOp
    value: Value | Field


@dataclass(frozen=True, slots=True)
class In:
    """Empty `values` match nothing, negated everything that has a value."""

    field: Field
    values: tuple[Value, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Like:
    """`pattern` is a string in a Literal; see `patterns.py`."""

    field: Field
    pattern: Literal
    ignore_case: bool = False
    negated: bool = False


@dataclass(frozen=True, slots=True)
class IsNull:
    field: Field
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Between:
    """Both ends belong to it."""

    field: Field
    low: Value
    high: Value
    negated: bool = False


@dataclass(frozen=True, slots=True)
class And:
    """At least two parts, none of them an And."""

    parts: "tuple[Tree, ...]"


@dataclass(frozen=True, slots=True)
class Or:
    """At least two parts, none of them an Or."""

    parts: "tuple[Tree, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    part: "Tree"


Leaf = Compare | In | Like | IsNull | Between
Tree = And | Or | Not | Compare | In | Like | IsNull | Between


def all_of(parts: Iterable[Tree]) -> Tree:
    """The And of one or more trees, flat."""
    flat = tuple(piece for part in parts for piece in (part.parts if isinstance(part, And) else (part,)))
    return flat[0] if len(flat) == 1 else And(flat)


def any_of(parts: Iterable[Tree]) -> Tree:
    """The Or of one or more trees, flat."""
    flat = tuple(piece for part in parts for piece in (part.parts if isinstance(part, Or) else (part,)))
    return flat[0] if len(flat) == 1 else Or(flat)


def leaves(tree: Tree) -> Iterator[Leaf]:
    """The comparisons, from left to right."""
    match tree:
        case And() | Or():
            for part in tree.parts:
                yield from leaves(part)
        case Not():
            yield from leaves(tree.part)
        case _:
            yield tree


def fields_of(leaf: Leaf) -> tuple[Field, ...]:
    if isinstance(leaf, Compare) and isinstance(leaf.value, Field):
        return (leaf.field, leaf.value)
    return (leaf.field,)
