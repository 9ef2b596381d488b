"""What a Range header asks for."""

import pytest

from storage.errors import RangeNotSatisfiable
from storage.ranges import parse_range


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-", (0, 10)),
        ("bytes=0-0", (0, 1)),
        ("bytes=0-9", (0, 10)),
        ("bytes=0-99", (0, 10)),
        ("bytes=9-", (9, 1)),
        ("bytes=3-5", (3, 3)),
        ("BYTES = 3 - 5 ", (3, 3)),
        ("bytes=-1", (9, 1)),
        ("bytes=-10", (0, 10)),
        ("bytes=-99", (0, 10)),
    ],
)
def test_one_range_is_cut_to_the_object(header: str, expected: tuple[int, int]) -> None:
    assert parse_range(header, "k", 10) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=99-", "bytes=-0"])
def test_a_range_behind_the_end_is_not_satisfiable(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable) as failure:
        parse_range(header, "k", 10)

    assert failure.value.size_bytes == 10


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=0-5", "bytes=-5"])
def test_an_empty_object_has_no_ranges(header: str) -> None:
    with pytest.raises(RangeNotSatisfiable):
        parse_range(header, "k", 0)


@pytest.mark.parametrize(
    "header",
    [None, "", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-3", "bytes=0-1,3-4", "items=0-1",
     "bytes=0x1-2", "bytes=--5",
     "bytes=1-2-3", "bytes=" + "9" * 30 + "-", "bytes=٣-"],
)  # fmt: skip
def test_what_is_not_understood_is_ignored(header: str | None) -> None:
    assert parse_range(header, "k", 10) is None
