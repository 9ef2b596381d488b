"""Exactness, checked with Python's own exact comparisons."""

import math
import operator
from collections.abc import Callable
from typing import Any, get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from registry.filtering.numbers import LARGEST, Answer, Bound, for_doubles, for_integers
from registry.filtering.tree import CompareOp

OPS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
EDGES = st.sampled_from([2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**400, -(10**400), 0, 1, -1])
WRITTEN = st.one_of(EDGES, st.integers(), st.floats(), st.integers(-5, 5).map(lambda n: n / 2), st.floats(-1e19, 1e19))
STORED_INTEGERS = st.one_of(EDGES, st.integers(-(2**63), 2**63 - 1)).filter(lambda n: -(2**63) <= n < 2**63)
STORED_DOUBLES = st.one_of(st.floats(allow_nan=False), EDGES.filter(lambda n: abs(n) < 10**300).map(float)).filter(
    lambda x: abs(x) != LARGEST
)


def answer(found: Bound | Answer, stored: float, kind: type) -> bool:
    if isinstance(found, Answer):
        return found is Answer.ALWAYS
    op, value = found
    assert type(value) is kind
    return OPS[op](stored, value)


@settings(max_examples=500)
@given(STORED_INTEGERS, st.sampled_from(get_args(CompareOp)), WRITTEN)
def test_integers_compare_exactly(stored: int, op: CompareOp, written: float) -> None:
    expected = OPS[op](stored, written)  # with NaN as IEEE 754 has it

    assert answer(for_integers(op, written), stored, int) == expected


@settings(max_examples=500)
@given(STORED_DOUBLES, st.sampled_from(get_args(CompareOp)), WRITTEN)
def test_doubles_compare_exactly(stored: float, op: CompareOp, written: float) -> None:
    expected = OPS[op](stored, written)
    in_column = math.copysign(LARGEST, stored) if math.isinf(stored) else stored

    assert answer(for_doubles(op, written), in_column, float) == expected
