"""No name leads out of its root: examples by hand, and names made by hypothesis that are tried on a real directory."""

# ruff: noqa: PTH118, PTH208 - raw names, as the operating system has them

import os
import string
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from storage.config import open_store
from storage.errors import InvalidKey, KeyConflict
from storage.keys import KEY_MAX_BYTES, check_key, check_prefix, join_key

REFUSED = [
    "", "/", "/a", "a/", "a//b", "//a",
    ".", "..", "../a", "a/..", "a/../b", "a/./b", "./a", "...", "a/...", "..\u00a0",
    "..%2fa", "%2e%2e/a", "%2E%2E%2Fa", "a%2fb", "a%2Fb", "%252e%252e/a", "a%252fb", "%25%32%65%25%32%65/a", "%2fa",
    "a%00", "a%0d%0ab", "%5c..%5ca", "a%5Cb", "%c0%ae%c0%ae/\x00", "%2e", "a/%2e/b",
    "a\x00", "a\n", "a\r\nb", "\ta", "a\x1b[0m", "a\x7f", "a\x85b", "a\u2028b", "a\ufffeb", "\ud800",
    "a\\b", "..\\a", "\\\\server\\share", "C:", "c:/a", "C:a", "a/d:/b", "C%3Aa", "a:b:c",
    "con", "CON", "aux.txt", "nul", "NUL.tar.gz", "com1", "LPT9.x", "com¹", "prn ", "a/con/b", "conin$", "nul .txt",
    "c%6fn",
    "a.", "a ", "a/b. /c", "a/b /c", " ", "a./b", "a%20", "a%2e",
    "\uff0e\uff0e/a", "\u2025", "\u2024\u2024/a",
    "x" * 256, "é" * 128, "/".join(["abc"] * 300),
]  # fmt: skip

TAKEN = [
    "a", "a/b", "a.b/c.d", "..a", "a..b", ".a", "...a", "a%b", "100%", "%", "%zz", "50%25", "a%20b", "con1",
    "console", "com", "com10",
    "lpt", "nulls", "auxiliary.txt", "a b", " a", "ab:c", "metric:acc.json", "é", "e\u0301", "😀", "x" * 255, "a~1",
    "-rf", "$HOME",
    "`id`", "a;b", "a'b", 'a"b', "<a>", "a|b", "a*b", "a?b", "#", "@", "~", "~root",
]  # fmt: skip


@pytest.mark.parametrize("key", REFUSED)
def test_a_name_that_could_leave_its_root_is_refused(key: str) -> None:
    with pytest.raises(InvalidKey) as failure:
        check_key(key)

    assert failure.value.reason
    assert str(failure.value).isprintable()


@pytest.mark.parametrize("key", TAKEN)
def test_any_other_name_is_taken_as_it_is(key: str) -> None:
    assert check_key(key) == key
    assert check_prefix(key) == key


def test_a_key_has_at_most_1024_bytes() -> None:
    longest = "/".join(["x" * 127] * 8)
    assert len(longest) == KEY_MAX_BYTES - 1

    assert check_key(longest + "y") == longest + "y"
    with pytest.raises(InvalidKey):
        check_key(longest + "yy")


def test_keys_are_joined_of_whole_keys() -> None:
    assert join_key("a", "b/c", "d") == "a/b/c/d"
    for parts in [("a", "../b"), ("a", "/b"), ("a", ""), ("", "a"), ("a/", "b")]:
        with pytest.raises(InvalidKey):
            join_key(*parts)


@pytest.mark.parametrize("prefix", ["../", "/", "a//", "a/../", "..", "a\x00", "\\", "x" * 1025])
def test_a_prefix_that_no_key_has_is_refused(prefix: str) -> None:
    with pytest.raises(InvalidKey):
        check_prefix(prefix)


@pytest.mark.parametrize("prefix", ["", "a", "a/", "a/b", "co", "con", "a.", "a/b "])
def test_a_key_cut_anywhere_is_a_prefix(prefix: str) -> None:
    assert check_prefix(prefix) == prefix


# ---- fuzzed ---------------------------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        "..", ".", "/", "\\", "%2e", "%2f", "%5c", "%00", "%25", "%", "\x00", "\n", "\r", " ", "~", "C:", "con",
        "nul", "aux.", "a",
        "b.txt", "\u2025", "\uff0e", "é", "\u202e", "etc", "passwd", "//", "...", ":", "$", "?", "#", "file:", "\ud83d",
    ]
)  # fmt: skip
NAMES = st.lists(PIECES | st.text(max_size=3) | st.characters(), max_size=8).map("".join)


def decoded_forms(text: str) -> list[str]:
    forms = [text]
    while (further := unquote(forms[-1], errors="replace")) != forms[-1]:
        forms.append(further)
    return forms


@settings(max_examples=1500, deadline=None)
@given(NAMES)
@example("a/%2e%2e/b")
@example("%252e%252e%252f")
def test_every_form_of_a_taken_name_stays_below_its_root(name: str) -> None:
    try:
        key = check_key(name)
    except InvalidKey:
        return

    for form in decoded_forms(key):
        assert os.path.normpath(os.path.join("/base/dir", form)) == f"/base/dir/{form}"
        assert not set(form) & {"\\", "\x00", "\n", "\r"}
        assert form.count("/") == key.count("/")
        assert not any(part in {"", ".", ".."} or part[-1] in ". " for part in form.split("/"))
    key.encode()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES)
def test_a_put_writes_below_the_root_or_nothing(tmp_path: Path, name: str) -> None:
    root = tmp_path / "root"
    store = open_store(f"file://{root}?durable=false")
    store.prepare()
    outside = set(os.listdir(tmp_path))

    try:
        store.put(name, [b"x"])
    except (InvalidKey, KeyConflict):
        assert not name or name not in [entry.key for entry in store.list().objects]
    else:
        assert store.read(name) == b"x"
        path = store.local_path(name)
        assert path is not None
        assert Path(path).resolve().is_relative_to(root / "objects")
        store.delete(name)

    assert set(os.listdir(tmp_path)) == outside
    assert os.listdir(root / "incoming") == []
    assert sorted(os.listdir(root)) == ["incoming", "objects"]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(string.ascii_letters + "_- éß", min_size=1, max_size=6).map(lambda t: f"{t}zz"), min_size=1, max_size=4))
def test_an_ordinary_path_is_taken_plain_and_refused_with_escaped_slashes(parts: list[str]) -> None:
    assert check_key("/".join(parts)) == "/".join(parts)
    if len(parts) > 1:
        with pytest.raises(InvalidKey):
            check_key(quote("/".join(parts), safe=""))
