"""Random trees for property tests: `core_trees` of anything that parses, `checked_trees` about the records of `store.py`."""

import math

from hypothesis import strategies as st

from registry.filtering.checking import check
from registry.filtering.tree import (
    ATTRIBUTES,
    Accessor,
    Between,
    Compare,
    Field,
    In,
    IsNull,
    Like,
    Literal,
    Not,
    Scalar,
    Tree,
    Word,
    all_of,
    any_of,
)
from tests.filtering.store import LONG
from tests.filtering.words import ITEMS

OPS = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
NAME = TEXT.filter(bool)
SCALAR = st.one_of(st.integers(-(2**70), 2**70), st.floats(), st.booleans(), TEXT)
WORD = st.from_regex(r"\A[a-z_]{1,3}x\Z").map(Word)


def combined(leaf: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            inner.map(Not),
            st.lists(inner, min_size=2, max_size=3).map(all_of),
            st.lists(inner, min_size=2, max_size=3).map(any_of),
        ),
        max_leaves=6,
    )


def leaf_of(field: st.SearchStrategy[Field], value: st.SearchStrategy[Literal | Word]) -> st.SearchStrategy[Tree]:
    pattern = st.one_of(TEXT, st.text("ab%_\\", max_size=6)).map(Literal)
    return st.one_of(
        st.builds(Compare, field, OPS, value),
        st.builds(In, field, st.lists(value, max_size=3).map(tuple), st.booleans()),
        st.builds(Like, field, pattern, st.booleans(), st.booleans()),
        st.builds(IsNull, field, st.booleans()),
        st.builds(Between, field, value, value, st.booleans()),
    )


core_trees = combined(
    leaf_of(
        st.one_of(
            st.builds(Field, st.just(ATTRIBUTES), NAME),
            st.builds(Field, st.sampled_from(["params", "tags"]), NAME),
            st.builds(Field, st.sampled_from(["properties", "custom"]), NAME, st.none() | st.sampled_from(Accessor)),
        ),
        st.one_of(SCALAR.map(Literal), WORD),
    )
)

_NUMBER: st.SearchStrategy[Scalar] = st.sampled_from(
    [
        *(0, 1, 5, -5, 2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**400, -(10**400)),
        *(0.5, 5.5, -0.5, 1e300, 2.0**53, math.inf, -math.inf, math.nan, 5e-324, -0.0, 9.3e18),
    ]
)
_TEXTS: st.SearchStrategy[Scalar] = st.sampled_from(
    ["a", "A", "a ", "é", "e\u0301", "x_y", "5", "0.1", "champion", "", LONG, LONG + "y", LONG + "z", "жук", "🎉"]
)
_PATTERNS = st.one_of(
    st.sampled_from(
        [
            *(
                "%",
                "_",
                "a%",
                "%a",
                "A",
                "x\\_y",
                "x_y",
                "50\\%",
                "50%",
                "\\",
                "%\\%",
                "_\\_%",
                "É",
                "жУ_",
                "!%",
                "%" + "x" * 210 + "%",
            ),
            *("x" * 210 + "%", "", "%%", "a\\b", "a_b", "🎉", "🎉%", "champ%", "'%", "%.1%"),
        ]
    ),
    st.text("aAxy%_\\!é", max_size=5),
)


def _checked(field: Field, value: st.SearchStrategy[Scalar]) -> st.SearchStrategy[Tree]:
    same, literal = st.just(field), value.map(Literal)
    is_ordered = field.name not in {"flag", "status"}
    ops = OPS if is_ordered else st.sampled_from(["=", "!="])
    kinds: list[st.SearchStrategy[Tree]] = [
        st.builds(Compare, same, ops, literal),
        st.builds(In, same, st.lists(literal, max_size=4).map(tuple), st.booleans()),
        st.builds(IsNull, same, st.booleans()),
    ]
    if is_ordered:
        for ends in (_NUMBER, _TEXTS) if field.space == "properties" else (value,):
            end = ends.map(Literal)
            kinds.append(st.builds(Between, same, end, end, st.booleans()))
    if value is _TEXTS or field.space == "properties":
        kinds.append(st.builds(Like, same, _PATTERNS.map(Literal), st.booleans(), st.booleans()))
    return st.one_of(kinds)


_WORDS: st.SearchStrategy[Scalar] = st.sampled_from(["pending", "running", "failed"])
_FIELDS: list[tuple[Field, st.SearchStrategy[Scalar]]] = [
    (Field(ATTRIBUTES, "name"), _TEXTS),
    (Field(ATTRIBUTES, "status"), _WORDS),
    (Field(ATTRIBUTES, "size"), _NUMBER),
    (Field(ATTRIBUTES, "score"), _NUMBER),
    (Field(ATTRIBUTES, "flag"), st.booleans()),
    (Field(ATTRIBUTES, "created_at"), _NUMBER),
    (Field(ATTRIBUTES, "aliases"), _TEXTS),
    (Field("params", "lr"), _TEXTS),
    (Field("params", "k"), _TEXTS),
    (Field("params", "none"), _TEXTS),
    (Field("metrics", "acc"), _NUMBER),
    (Field("properties", "p"), st.one_of(_NUMBER, _TEXTS)),
    (Field("properties", "q"), st.one_of(_NUMBER, _TEXTS)),
]
"""Accessors are left to examples: they leave one column of those that `p` asks for."""

checked_trees = combined(st.sampled_from(_FIELDS).flatmap(lambda pair: _checked(*pair))).map(lambda tree: check(tree, ITEMS))
