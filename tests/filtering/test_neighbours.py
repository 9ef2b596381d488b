"""Trees that only the doors' grammars can write: aliases of neighbours, fields on both sides."""

from typing import Any

import pytest

from registry.filtering import FilterError, check
from registry.filtering.tree import ATTRIBUTES, Compare, Field, In, IsNull, Like, Literal, Not, Tree, all_of, any_of
from tests.filtering.store import RECORDS, Store
from tests.filtering.words import ITEMS


def context(alias: str, name: str, value: Any, op: Any = "=") -> Tree:
    return Compare(Field("contexts", name, alias=alias), op, value if isinstance(value, Field) else Literal(value))


def found(store: Store, tree: Tree) -> list[int]:
    return store.found(check(tree, ITEMS))


NAMED_A = Compare(Field(ATTRIBUTES, "name"), "=", Literal("a"))


def test_one_alias_is_one_neighbour(store: Store) -> None:
    assert found(store, all_of([context("a", "name", "run1"), context("a", "name", "pipe")])) == []
    assert found(store, all_of([context("a", "name", "run1"), context("a", "type", "C")])) == [1, 2, 6]
    assert found(store, all_of([context("a", "name", "run1"), context("a", "type", "D")])) == []


def test_two_aliases_are_two_neighbours(store: Store) -> None:
    assert found(store, all_of([context("a", "name", "run1"), context("b", "name", "pipe")])) == [1, 6]


def test_not_of_a_neighbour_is_that_there_is_none(store: Store) -> None:
    assert found(store, Not(context("a", "name", "run1"))) == [3, 4, 5, 7, 8, 9, 10, 11]
    both = all_of([context("a", "name", "run1"), context("a", "type", "C")])
    assert found(store, Not(both)) == [3, 4, 5, 7, 8, 9, 10, 11]


def test_an_or_does_not_lose_records_without_neighbours(store: Store) -> None:
    own = Compare(Field(ATTRIBUTES, "size"), "=", Literal(2))

    assert found(store, any_of([context("a", "name", "run1"), own])) == [1, 2, 6, 9]


def test_an_alias_reaches_into_an_or_inside_its_and(store: Store) -> None:
    inner = any_of([context("a", "type", "D"), NAMED_A])

    assert found(store, all_of([context("a", "name", "pipe"), inner])) == [1, 3, 6]
    assert found(store, all_of([context("a", "name", "run1"), inner])) == [1]


def test_a_not_inside_the_and_speaks_of_the_same_neighbour(store: Store) -> None:
    not_run1 = Not(context("a", "name", "run1"))

    assert found(store, all_of([context("a", "type", "C"), not_run1])) == [4, 6]


def test_a_missing_attribute_of_a_neighbour_is_absent(store: Store) -> None:
    nameless = IsNull(Field("contexts", "name", alias="a"))
    typed = context("a", "type", "C")

    assert found(store, all_of([nameless, typed])) == [4, 6]
    assert found(store, all_of([IsNull(nameless.field, negated=True), typed])) == [1, 2, 6]


def test_neighbours_compare_with_each_other(store: Store) -> None:
    smaller = context("a", "id", Field("contexts", "id", alias="b"), "<")

    assert found(store, smaller) == [1, 6]
    assert found(store, Not(smaller)) == [n for n in range(1, 12) if n not in {1, 6}]
    with_names = all_of([smaller, context("a", "name", "pipe"), context("b", "type", "C")])
    assert found(store, with_names) == [6]


def test_lists_and_patterns_work_on_neighbours(store: Store) -> None:
    name = Field("contexts", "name", alias="a")

    assert found(store, In(name, (Literal("pipe"), Literal("other")))) == [1, 3, 6]
    assert found(store, Like(name, Literal("RUN_"), ignore_case=True)) == [1, 2, 6]


def test_own_fields_compare_with_each_other(store: Store) -> None:
    tree = Compare(Field(ATTRIBUTES, "size"), "=", Field(ATTRIBUTES, "size"))

    assert found(store, tree) == [1, 2, 3, 4, 5, 6, 8, 9, 10]
    assert found(store, Not(tree)) == [7, 11]


def test_the_first_columns_of_a_row_do_not_leak_between_filters(store: Store) -> None:
    tree = context("a", "name", "run1")

    assert found(store, tree) == found(store, tree)
    assert len(found(store, Not(all_of([tree, NAMED_A])))) == len(RECORDS) - 1


@pytest.mark.parametrize(
    ("left", "right", "words"),
    [
        (Field("params", "a"), Field("params", "b"), "with a value only"),
        (Field(ATTRIBUTES, "name"), Field(ATTRIBUTES, "size"), "do not compare"),
        (Field("properties", "p"), Field("properties", "q"), "do not compare"),
    ],
)
def test_fields_that_do_not_compare_are_refused(store: Store, left: Field, right: Field, words: str) -> None:
    with pytest.raises(FilterError, match=words):
        found(store, Compare(left, "=", right))


def test_an_unknown_neighbour_is_refused() -> None:
    with pytest.raises(FilterError, match="did you mean `contexts`"):
        check(Compare(Field("context", "name", alias="a"), "=", Literal("x")), ITEMS)
    with pytest.raises(FilterError, match="did you mean `name`"):
        check(context("a", "nmae", "x"), ITEMS)


def test_a_tree_too_deep_for_a_database_is_refused_and_the_deepest_runs(store: Store) -> None:
    def nested(depth: int) -> Tree:
        tree = context("z", "name", "run1")
        for n in range(depth):
            tree = any_of([NAMED_A, tree]) if n % 2 else all_of([Not(Compare(Field(ATTRIBUTES, "size"), "=", Literal(99))), tree])
        return tree

    assert found(store, nested(18)) == [1, 2, 6]
    with pytest.raises(FilterError, match="too deep"):
        found(store, nested(19))


def test_neighbours_inside_neighbours_are_counted_too(store: Store) -> None:
    def nested(depth: int) -> Tree:
        tree: Tree = context("last", "name", "run1")
        for n in range(depth):
            tree = all_of(
                [context(f"n{n}", "type", "C"), context(f"n{n}", "id", 1), any_of([context(f"n{n}", "name", "q"), tree])]
            )
        return tree

    assert found(store, nested(3)) == [1, 2, 6]
    with pytest.raises(FilterError, match="too deep"):
        found(store, nested(4))
