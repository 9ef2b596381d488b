"""What a client uploads never runs in the server's origin."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.media import guess_media_type, is_active, safe_headers

ACTIVE = [
    "index.html", "a.htm", "a.xhtml", "logo.svg", "logo.SVG", "a.svgz", "feed.xml", "style.xsl", "doc.pdf", "app.js",
    "app.mjs",
    "style.css", "movie.swf", "page.mht", "page.mhtml", "mod.wasm", "x.vtt", "manifest.appcache", "a.eml", "a.hta",
    "a.shtml",
]  # fmt: skip

INERT = ["a.png", "a.jpg", "a.txt", "a.csv", "a.json", "a.parquet", "a.md", "a.log", "a.mp4", "a.gif", "a.webp"]


@pytest.mark.parametrize("name", ACTIVE)
@pytest.mark.parametrize("inline", [True, False])
def test_active_content_is_sent_as_octets_for_downloading(name: str, inline: bool) -> None:
    headers = safe_headers(name, inline=inline)

    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"].startswith("attachment;")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("sandbox;")


@pytest.mark.parametrize(
    "media_type",
    ["text/html", "TEXT/HTML; charset=utf-7", "image/svg+xml", "application/xhtml+xml", "text/javascript",
    "multipart/x-mixed-replace",
     "application/x-made-up", "text/xml", "text/css", "nonsense", "text/html\r\nX: y", " text/html", "application/pdf"],
)  # fmt: skip
def test_a_declared_type_cannot_make_a_file_active(media_type: str) -> None:
    headers = safe_headers("a.png", media_type, inline=True)

    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"].startswith("attachment;")


@pytest.mark.parametrize("name", INERT)
def test_inert_content_may_be_shown_and_keeps_its_type(name: str) -> None:
    assert safe_headers(name)["Content-Disposition"].startswith("attachment;")
    assert safe_headers(name, inline=True)["Content-Disposition"].startswith("inline;")
    assert safe_headers(name)["Content-Type"] == guess_media_type(name)
    assert not is_active(guess_media_type(name))


def test_parameters_of_a_type_are_dropped() -> None:
    assert safe_headers("a", "text/plain; charset=utf-7")["Content-Type"] == "text/plain"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dir/a.txt", 'attachment; filename="a.txt"'),
        ("a b.txt", 'attachment; filename="a b.txt"'),
        ('a"b.txt', "attachment; filename=\"a_b.txt\"; filename*=UTF-8''a%22b.txt"),
        ("é.txt", "attachment; filename=\"_.txt\"; filename*=UTF-8''%C3%A9.txt"),
        ("a;b\\c", 'attachment; filename="c"'),
        ("50%.txt", "attachment; filename=\"50_.txt\"; filename*=UTF-8''50%25.txt"),
    ],
)
def test_a_name_is_quoted_for_the_header(name: str, expected: str) -> None:
    assert safe_headers(name)["Content-Disposition"] == expected


@given(st.text(), st.text())
def test_no_name_and_no_type_breaks_out_of_its_header(name: str, media_type: str) -> None:
    for value in safe_headers(name, media_type).values():
        assert value.isascii()
        assert not re.search(r"[\x00-\x1f\x7f]", value)
    disposition = safe_headers(name)["Content-Disposition"]
    assert re.fullmatch(r"attachment; filename=\"[^\"\\%]+\"(; filename\*=UTF-8''[A-Za-z0-9%._~-]*)?", disposition)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("m/MLmodel", "application/octet-stream"),
        ("a.parquet", "application/vnd.apache.parquet"),
        ("a.tar.gz", "application/gzip"),
        ("a.tgz", "application/gzip"),
        ("dir.json/file", "application/octet-stream"),
        ("a.jsonl", "application/jsonl"),
        ("a.HTML", "text/html"),
        (".csv", "text/csv"),
    ],
)
def test_a_type_is_guessed_by_the_last_suffix(name: str, expected: str) -> None:
    assert guess_media_type(name) == expected
