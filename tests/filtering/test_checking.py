import pytest

from registry.filtering import FilterError, parse_filter
from registry.filtering.tree import ATTRIBUTES, Compare, Field, Literal
from tests.filtering.words import ITEMS


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("nmae = 'x'", 1, "item has no field `nmae`; did you mean `name`?"),
        ("a = 1 OR created_att = 5", 1, "there are aliases"),
        ("name = 'x' OR created_att = 5", 15, "did you mean `created_at`?"),
        ("parms.lr = '1'", 1, "did you mean `params.lr`?"),
        ("params = '1'", 1, "`params` needs a key: `params.name`"),
        ("metrics.acc > '0.9'", 15, "`metrics.acc` is a number: '0.9' is text, numbers have no quotes"),
        ("metrics.acc > true", 15, "is a number, not TRUE"),
        ("params.lr = 0.1", 13, "`params.lr` is text: write '0.1' in quotes"),
        ("params.lr = live", 13, "text needs quotes: 'live'"),
        ("name = FAILED", 8, "text needs quotes"),
        ("status = 'done'", 10, "`status` is one of pending, running, failed, not 'done'"),
        ("status = 4", 10, "is one of"),
        ("status > 'failed'", 1, "has no order"),
        ("status BETWEEN 'failed' AND 'failed'", 1, "has no order"),
        ("flag = 1", 8, "is true or false, not 1"),
        ("flag < true", 1, "has no order"),
        ("size LIKE '5%'", 1, "LIKE is for text"),
        ("created_at ILIKE '2026%'", 1, "ILIKE is for text"),
        ("created_at > 'yesterday'", 14, "is a time: 'yesterday' is neither ISO 8601"),
        ("id = 17", 6, "`id` is an id such as 'it_17'"),
        ("id > 'it_1'", 1, "has no order"),
        ("params.lr.int_value = '1' AND properties.a < true", 46, "no order"),
        ("metrics.`a`.b.c IS NULL AND attribute.x = 1", 29, "no field `x`"),
        ("properties.a BETWEEN 1 AND 'x'", 22, "two numbers or two texts"),
        ("properties.a.int_value = 'x'", 26, "is a number"),
        ("properties.a.int_value LIKE 'x'", 1, "LIKE is for text"),
        ("name LIKE '" + "%" * 10_001 + "'", 11, "10000 characters"),
    ],
)
def test_what_does_not_fit_is_refused_where_it_stands(text: str, column: int, words: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_filter(text, ITEMS)

    assert words in caught.value.message
    assert (caught.value.line, caught.value.column) == (1, column)


def test_synonyms_become_the_right_name() -> None:
    assert parse_filter("created = 5", ITEMS) == Compare(Field(ATTRIBUTES, "created_at"), "=", Literal(5))
    assert parse_filter("attribute.created = 5", ITEMS) == Compare(Field(ATTRIBUTES, "created_at"), "=", Literal(5))
    assert parse_filter("param.x = ''", ITEMS) == Compare(Field("params", "x"), "=", Literal(""))


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("'1970-01-01'", 0),
        ("'1970-01-02T00:00:00Z'", 86_400_000),
        ("'1970-01-01T01:00:00.25+01:00'", 250),
        ("'1969-12-31T23:59:59.999'", -1),
        ("'1970-01-01T00:00:00.0015'", 1.5),
        ("1767225600000", 1_767_225_600_000),
    ],
)
def test_times_become_milliseconds(written: str, stored: float) -> None:
    assert parse_filter(f"created_at = {written}", ITEMS) == Compare(Field(ATTRIBUTES, "created_at"), "=", Literal(stored))


def test_messages_do_not_repeat_long_input() -> None:
    with pytest.raises(FilterError) as caught:
        parse_filter(f"{'n' * 5_000} = 1", ITEMS)

    assert len(caught.value.message) < 400


def test_errors_are_value_errors_with_the_bare_message() -> None:
    error = FilterError("wrong", 3, 4)

    assert isinstance(error, ValueError)
    assert str(error) == "wrong"
