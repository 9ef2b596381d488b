"""The one filter language. Every door's grammar becomes the tree of `tree.py`; one compiler makes SQL of it.

Text goes `lexing.py` → `parsing.py` → `tree.py`; `checking.py` holds a tree against the fields of a record kind
(`fields.py`) and turns its values into stored ones; `compiling.py` makes a predicate of it, one comparison at a time in
`conditions.py`, by way of a `Resolver` (`operands.py`), with bound parameters only. `ordering.py` reads `order_by`,
`printing.py` writes a tree as text; `patterns.py` knows LIKE, `numbers.py` exactness, `dialects.py` what databases do
differently. `subject.py` declares a record kind for all of this, `keyset.py` pages through what was found. Imports nothing of
the service but its errors.

The meaning, on every database:

- A comparison with a value that is missing is false, so its NOT is true; `!=`, `NOT IN`, `NOT LIKE` and `NOT BETWEEN` are
  comparisons too. `IS NULL` is true where the value is missing.
- A field of many values (aliases, neighbours) is compared as "there is one that …". Within AND, fields of one neighbour
  alias speak of one and the same neighbour.
- Text compares by code point. LIKE respects case, ILIKE does not; `%` is any text, `_` one character, a backslash takes
  the meaning from `%`, `_` and itself and is a plain character elsewhere.
- Numbers compare exactly, also an integer with a double. NaN compares as IEEE 754 has it: it is unequal to every number and to
  itself (`!=` and NOT IN are true), every other comparison with it is false. It is a value: IS NULL is false.
"""

from registry.filtering.checking import check
from registry.filtering.compiling import compile_filter
from registry.filtering.errors import FilterError
from registry.filtering.fields import FieldSpec, FieldType, RecordFields
from registry.filtering.ordering import OrderTerm, parse_ordering
from registry.filtering.parsing import parse
from registry.filtering.printing import print_tree
from registry.filtering.tree import Tree


def parse_filter(text: str, fields: RecordFields) -> Tree | None:
    """The checked tree of `text` in the core grammar, ready for `compile_filter`; None if there is nothing but space.

    Raises FilterError: it does not parse, names an unknown field, or compares what cannot be compared.
    """
    tree = parse(text)
    return None if tree is None else check(tree, fields)


__all__ = [
    "FieldSpec",
    "FieldType",
    "FilterError",
    "OrderTerm",
    "RecordFields",
    "Tree",
    "check",
    "compile_filter",
    "parse",
    "parse_filter",
    "parse_ordering",
    "print_tree",
]
