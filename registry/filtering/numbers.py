"""Exact comparison of a stored number with a written one of the other kind, or of any size.

A double cannot hold every 64-bit integer, a column not every integer, and databases round without a word. So the comparison
is turned into one with a value that the column's own type holds, or into its answer.
"""

import math
from enum import Enum

from registry.filtering.tree import CompareOp

LARGEST = math.nextafter(math.inf, 0)
"""Stands for infinity in columns: not every database can keep one. So does its negative."""
_INT_RANGE = (-(2**63), 2**63 - 1)


class Answer(Enum):
    """Of a comparison that needs no value."""

    NEVER = "never"
    ALWAYS = "always"
    """For every value that is there."""


Bound = tuple[CompareOp, int | float]


def is_nan(value: object) -> bool:
    """`math.isnan` for values of any kind: it fails on large integers."""
    return isinstance(value, float) and math.isnan(value)


def for_integers(op: CompareOp, value: float) -> Bound | Answer:
    """`column op value` for a column of 64-bit integers."""
    if is_nan(value):
        return Answer.ALWAYS if op == "!=" else Answer.NEVER
    if not _INT_RANGE[0] <= value <= _INT_RANGE[1]:
        return _beyond(op, above=value > 0)
    whole = int(value)
    return (op, whole) if whole == value else _between(op, math.floor(value), math.ceil(value))


def for_doubles(op: CompareOp, value: float) -> Bound | Answer:
    """`column op value` for a column of doubles, where infinities stand as ±LARGEST."""
    if is_nan(value):
        return Answer.ALWAYS if op == "!=" else Answer.NEVER
    if value in {math.inf, -math.inf}:
        return op, math.copysign(LARGEST, value)
    try:
        nearest = float(value)
    except OverflowError:  # between the largest double and infinity
        further = math.nextafter(LARGEST, 0)
        return _between(op, further, LARGEST) if value > 0 else _between(op, -LARGEST, -further)
    if nearest == value:
        return op, nearest
    if nearest < value:
        return _between(op, nearest, math.nextafter(nearest, math.inf))
    return _between(op, math.nextafter(nearest, -math.inf), nearest)


def _beyond(op: CompareOp, *, above: bool) -> Answer:
    is_true = op == "!=" or op in ({"<", "<="} if above else {">", ">="})
    return Answer.ALWAYS if is_true else Answer.NEVER


def _between(op: CompareOp, below: float, above: float) -> Bound | Answer:
    """The written value lies between two neighbours that the column can hold."""
    match op:
        case "=":
            return Answer.NEVER
        case "!=":
            return Answer.ALWAYS
        case "<" | "<=":
            return "<=", below
        case ">" | ">=":
            return ">=", above
