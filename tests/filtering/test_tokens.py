"""Page tokens: the same for the same, for one list only, and garbage is called that."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.errors import InvalidPageToken
from registry.filtering.keyset import MAX_TOKEN, Place, place_of, token_of
from registry.filtering.ordering import MAX_ORDER_TERMS

VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)


def encoded(body: str) -> str:
    return base64.urlsafe_b64encode(body.encode("utf-8", "surrogatepass")).decode().rstrip("=")


@given(place=st.lists(VALUES, max_size=8))
def test_a_token_gives_its_place_back(place: Place) -> None:
    assert place_of(token_of(place, "runs", "a = 1"), "runs", "a = 1") == place


def test_the_longest_place_that_an_order_has_fits_into_a_token() -> None:
    place = ["\1" * 512] * MAX_ORDER_TERMS + [2**63 - 1]

    assert place_of(token_of(place, "runs"), "runs") == place


def test_the_same_place_of_the_same_list_has_the_same_token() -> None:
    assert token_of([1, "é", None], "runs", {"a": 1, "b": 2}) == token_of([1, "é", None], "runs", {"b": 2, "a": 1})


def test_a_token_of_another_query_is_refused() -> None:
    token = token_of([1], "runs", "a = 1")

    for query in (("runs", "a = 2"), ("models", "a = 1"), ("runs",), ("runs", "a = 1", None)):
        with pytest.raises(InvalidPageToken, match="another list or query"):
            place_of(token, *query)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a",
        "a b",
        "é",
        "====",
        "!!!!",
        encoded("1"),
        encoded("{}"),
        encoded("[1]"),
        encoded("[1,2,3]"),
        encoded("[" * 12_000),
        encoded('{"a":1,"b":2}'),
        encoded("nul"),
        encoded("[[],[]]"),
        "A" * (MAX_TOKEN + 1),
        encoded("\ud800"),
        encoded("9" * 5_000),
    ],
)
def test_garbage_is_no_token(token: str) -> None:
    with pytest.raises(InvalidPageToken):
        place_of(token, "runs")


def test_a_place_that_is_no_list_of_values_is_refused() -> None:
    digest = json.loads(base64.urlsafe_b64decode(token_of([1], "runs") + "=="))[0]

    for place in ("1", '"a"', "{}", "[[1]]", '[{"a":1}]'):
        with pytest.raises(InvalidPageToken, match="not one that this server gave"):
            place_of(encoded(f'["{digest}",{place}]'), "runs")
