import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.filtering.patterns import Wildcard, after_all_with, read_pattern


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ()),
        ("a%%b", ("a", Wildcard.ANY, "b")),
        ("%__%", (Wildcard.ANY, Wildcard.ONE, Wildcard.ONE, Wildcard.ANY)),
        (r"50\%\_\\", ("50%_\\",)),
        (r"\a\%", (r"\a%",)),
        ("\\", ("\\",)),
    ],
)
def test_a_backslash_takes_the_meaning_only_from_wildcards_and_itself(text: str, parts: tuple[str | Wildcard, ...]) -> None:
    assert read_pattern(text).parts == parts


def test_sql_escapes_what_is_plain() -> None:
    assert read_pattern(r"a!\%_\\%").sql == "a!!!%_\\%"


@pytest.mark.parametrize(
    ("text", "head", "is_head_only", "exact"),
    [("ab%", "ab", True, None), ("ab", "ab", False, "ab"), ("%", "", True, None), ("a%b", "a", False, None), ("", "", False, "")],
)
def test_what_a_pattern_begins_with_is_known(text: str, head: str, is_head_only: bool, exact: str | None) -> None:
    pattern = read_pattern(text)

    assert (pattern.head, pattern.is_head_only, pattern.exact) == (head, is_head_only, exact)


TEXT = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("a\ud7ff\ue000\U0010ffff"), max_size=4)


@given(TEXT, TEXT)
def test_the_range_of_a_head_holds_exactly_what_begins_with_it(head: str, text: str) -> None:
    end = after_all_with(head)

    assert (text >= head and (end is None or text < end)) == text.startswith(head)
    if end is not None:
        end.encode()
