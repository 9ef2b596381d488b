import pytest

from registry.filtering import FilterError, OrderTerm, parse_ordering
from registry.filtering.ordering import print_ordering
from registry.filtering.tree import ATTRIBUTES, Accessor, Field
from tests.filtering.words import ITEMS


def test_terms_come_in_order_with_their_directions() -> None:
    terms = parse_ordering("metrics.`acc %` DESC, created asc,name, properties.p.int_value desc", ITEMS)

    assert terms == (
        OrderTerm(Field("metrics", "acc %"), descending=True),
        OrderTerm(Field(ATTRIBUTES, "created_at")),
        OrderTerm(Field(ATTRIBUTES, "name")),
        OrderTerm(Field("properties", "p", Accessor.INT), descending=True),
    )
    assert print_ordering(terms) == "metrics.`acc %` DESC, created_at, name, properties.p.int_value DESC"


def test_nothing_is_no_order() -> None:
    assert parse_ordering(" ", ITEMS) == ()


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("name down", 6, "expected ASC, DESC, `,` or the end"),
        ("name,", 6, "expected a field"),
        ("name, nam", 7, "did you mean `name`"),
        ("created, created_at DESC", 10, "twice"),
        ("aliases", 1, "many values"),
        ("properties.p", 1, "add `.int_value`"),
        ("name; DROP TABLE x", 5, "no statements"),
        (", ".join(f"params.p{n}" for n in range(9)), 89, "more than 8"),
    ],
)
def test_wrong_orders_are_refused_where_they_are_wrong(text: str, column: int, words: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_ordering(text, ITEMS)

    assert words in caught.value.message
    assert (caught.value.line, caught.value.column) == (1, column)
