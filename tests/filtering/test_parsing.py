import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.filtering import FilterError, parse, print_tree
from registry.filtering.lexing import MAX_LENGTH
from registry.filtering.tree import (
    ATTRIBUTES,
    Accessor,
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
    Position,
    Tree,
    Word,
    leaves,
)
from tests.filtering.trees import core_trees


def attribute(name: str) -> Field:
    return Field(ATTRIBUTES, name)


A, B, C = (Compare(attribute(name), "=", Literal(1)) for name in "abc")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a = 1 OR b = 1 AND c = 1", Or((A, And((B, C))))),
        ("(a = 1 OR b = 1) AND c = 1", And((Or((A, B)), C))),
        ("a = 1 AND (b = 1 AND c = 1)", And((A, B, C))),
        ("NOT a = 1 AND b = 1", And((Not(A), B))),
        ("not not (a == 1)", Not(Not(A))),
        ("a=1aNd b=1", None),
        ("a=1 aNd b=1", And((A, B))),
        ("a <> 'x'", Compare(attribute("a"), "!=", Literal("x"))),
        ("a IN (1, -2.5, 'x', live)", In(attribute("a"), (Literal(1), Literal(-2.5), Literal("x"), Word("live")))),
        ("a NOT IN ()", In(attribute("a"), (), negated=True)),
        ("a LIKE 'x%'", Like(attribute("a"), Literal("x%"))),
        ('a NOT ILIKE "x%"', Like(attribute("a"), Literal("x%"), ignore_case=True, negated=True)),
        ("a IS NULL", IsNull(attribute("a"))),
        ("a IS NOT NULL", IsNull(attribute("a"), negated=True)),
        ("a BETWEEN 1 AND 2 AND b = 1", And((Between(attribute("a"), Literal(1), Literal(2)), B))),
        ("a NOT BETWEEN 'x' AND 'y'", Between(attribute("a"), Literal("x"), Literal("y"), negated=True)),
        ("params.lr = '0.1'", Compare(Field("params", "lr"), "=", Literal("0.1"))),
        ("metrics.val.loss < 1", Compare(Field("metrics", "val.loss"), "<", Literal(1))),
        ("params.`a b``c.d` = ''", Compare(Field("params", "a b`c.d"), "=", Literal(""))),
        ('metrics."a ""b""" < 1', Compare(Field("metrics", 'a "b"'), "<", Literal(1))),
        ('"created_at" < 1', Compare(attribute("created_at"), "<", Literal(1))),
        ("params.in = 'x'", Compare(Field("params", "in"), "=", Literal("x"))),
        ("`in` = 1", Compare(attribute("in"), "=", Literal(1))),
        ("properties.x.int_value = 1", Compare(Field("properties", "x", Accessor.INT), "=", Literal(1))),
        ("custom.`a.b`.string_value = 'x'", Compare(Field("custom", "a.b", Accessor.STRING), "=", Literal("x"))),
        ("custom.x.`int_value` = 1", Compare(Field("custom", "x.int_value"), "=", Literal(1))),
        ("custom.int_value = 1", Compare(Field("custom", "int_value"), "=", Literal(1))),
        ("params.x.int_value = '1'", Compare(Field("params", "x.int_value"), "=", Literal("1"))),
        (r"a = 'it\'s' OR a = 'it''s'", Or((Compare(attribute("a"), "=", Literal("it's")),) * 2)),
        (r"a = 'C:\new\\x'", Compare(attribute("a"), "=", Literal("C:\\new\\x"))),
        (r"a = '\''''", Compare(attribute("a"), "=", Literal("''"))),
        ("a = TRUE", Compare(attribute("a"), "=", Literal(value=True))),
        ("a = -Infinity", Compare(attribute("a"), "=", Literal(-math.inf))),
        ("a = nan", Compare(attribute("a"), "=", Literal(math.nan))),
        ("a = 99999999999999999999", Compare(attribute("a"), "=", Literal(99999999999999999999))),
        ("a = 1e-5 OR a = .5 OR a = 5.", None),
        ("\n", None),
    ],
)
def test_text_becomes_this_tree(text: str, tree: Tree | None) -> None:
    if tree is None and "aNd" in text:
        with pytest.raises(FilterError):
            parse(text)
    elif tree is None and text.strip():
        assert [leaf.value for leaf in leaves(parse(text) or A) if isinstance(leaf, Compare)] == [
            Literal(1e-5),
            Literal(0.5),
            Literal(5.0),
        ]
    else:
        assert parse(text) == tree


@settings(max_examples=500, deadline=None)
@given(core_trees)
def test_what_is_printed_parses_back(tree: Tree) -> None:
    text = print_tree(tree)

    assert parse(text) == tree
    assert print_tree(parse(text) or A) == text


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.text(max_size=40), st.text("ab.'\"`()=<>!, \\%NOTANDIKEBW019-", max_size=40)))
def test_any_text_parses_or_says_where_it_does_not(text: str) -> None:
    error = complaint(text)

    if error is not None:
        assert 1 <= error.line <= text.count("\n") + 1
        assert 1 <= error.column <= len(text) + 1


def complaint(text: str) -> FilterError | None:
    try:
        parse(text)
    except FilterError as error:
        return error
    return None


def test_positions_are_lines_and_columns_of_what_they_belong_to() -> None:
    tree = parse("a = 1\n  AND (params.é1 IN ('x',\n 'y'))".replace("é1", "`é`"))

    assert isinstance(tree, And)
    second = tree.parts[1]
    assert isinstance(second, In)
    assert second.field.position == Position(2, 8)
    assert [value.position for value in second.values] == [Position(2, 23), Position(3, 2)]


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("a", 1, 2, "expected an operator"),
        ("a =", 1, 4, "expected a value, found the end"),
        ("a = 1 b = 2", 1, 7, "expected AND, OR or the end, found `b`"),
        ("a = 1 AND", 1, 10, "expected a field"),
        ("(a = 1", 1, 7, "expected AND, OR or `\\)`"),
        ("a = 1)", 1, 6, "found `\\)`"),
        ("a IN 1", 1, 6, "expected `\\(`"),
        ("a IN (1 2)", 1, 9, "expected `,` or `\\)`"),
        ("a IN (1,)", 1, 9, "expected a value"),
        ("a LIKE 5", 1, 8, "expected a pattern in quotes"),
        ("a BETWEEN 1 OR 2", 1, 13, "expected AND between"),
        ("a IS 5", 1, 6, "expected NULL or NOT NULL"),
        ("a NOT = 5", 1, 7, "expected IN, LIKE, ILIKE or BETWEEN"),
        ("a = NULL", 1, 5, "IS NULL"),
        ("AND a = 1", 1, 1, "back-quotes"),
        ("5 = a", 1, 1, "expected a field"),
        ("a = 'x", 1, 5, "has no end"),
        ("\na = `x", 2, 5, "has no end"),
        ("a = 1;", 1, 6, "no statements"),
        ("a = 5x", 1, 5, "`5x` is not a number"),
        ("a = 1e999", 1, 5, "larger than any double"),
        ("a = #", 1, 5, "no meaning"),
        ("params. = 1", 1, 9, "expected a key"),
        ("params.`` = 1", 1, 8, "cannot be empty"),
        ("a = 'x\0'", 1, 7, "U\\+0000"),
        ("a = '\ud800'", 1, 6, "U\\+D800"),
        ("a = " + "1" * 401, 1, 5, "400 characters"),
        ("a = b = c", 1, 7, "expected AND, OR"),
        ("a = 1 -- comment", 1, 7, "not a number"),
    ],
)
def test_errors_say_where_and_what_was_expected(text: str, line: int, column: int, words: str) -> None:
    with pytest.raises(FilterError, match=words) as caught:
        parse(text)

    assert (caught.value.line, caught.value.column) == (line, column)


def test_limits_are_exact() -> None:
    assert parse("a=1 OR " * 199 + "a=1") is not None
    assert parse("(" * 100 + "a=1" + ")" * 100) is not None
    assert parse(f"a IN ({','.join('1' * 1_000)})") is not None
    assert parse("a=1" + " " * (MAX_LENGTH - 3)) is not None
    with pytest.raises(FilterError, match="200 comparisons"):
        parse("a=1 OR " * 200 + "a=1")
    with pytest.raises(FilterError, match="100 deep"):
        parse("(" * 101 + "a=1" + ")" * 101)
    with pytest.raises(FilterError, match="100 deep"):
        parse("NOT " * 101 + "a=1")
    with pytest.raises(FilterError, match="1000 values"):
        parse(f"a IN ({','.join('1' * 1_001)})")
    with pytest.raises(FilterError, match="65536 characters"):
        parse("a=1" + " " * (MAX_LENGTH - 2))


def test_a_long_text_without_end_is_refused_soon() -> None:
    with pytest.raises(FilterError, match="has no end"):
        parse("a = '" + "''" * 16_000 + "\\")


def test_true_one_and_one_point_nought_are_three_values() -> None:
    assert len({Literal(value=True), Literal(1), Literal(1.0), Literal("1")}) == 4
    assert Literal(math.nan) == Literal(math.nan)
