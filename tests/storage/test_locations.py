"""Two spellings of one location have one normal form, two locations have two."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from storage.locations import normalise_uri, object_uri, under

SAME = [
    ("minio://b/k", "s3://b/k"),
    ("MINIO://b/k", "s3://b/k"),
    ("s3a://b/k/", "s3://b/k"),
    ("s3n://b/k", "s3://b/k"),
    ("gcs://b/k", "gs://b/k"),
    ("s3://b/dir/", "s3://b/dir"),
    ("s3://b/run/model.tgz", "s3://b/run/model"),
    ("minio://b/run/model.tgz", "s3://b/run/model"),
    ("s3://b/k?endpoint=http://minio:9000&defaultRegion=us-east-1", "s3://b/k"),
    ("s3://b/k.tgz?endpoint=http://minio:9000", "s3://b/k"),
    (object_uri("mlpipeline", "artifacts/wf/pod/model.tgz"), "minio://mlpipeline/artifacts/wf/pod/model.tgz"),
    ("/data/x", "file:///data/x"),
    ("file:/data/x", "file:///data/x"),
    ("file://localhost/data/x/", "file:///data/x"),
    ("file:///data/a/../x", "file:///data/x"),
    ("file:///data/%78", "file:///data/x"),
    ("/data/a b", "file:///data/a%20b"),
    ("file://HOST/x", "file://host/x"),
    ("HTTPS://Example.org:443/a/", "https://example.org/a"),
    ("http://example.org:80", "http://example.org/"),
    ("https://example.org/%7euser#part", "https://example.org/~user"),
    ("https://example.org/%e9", "https://example.org/%E9"),
    ("  s3://b/k\n", "s3://b/k"),
    ("PVC://claim/model/", "pvc://claim/model"),
    ("models:/m/1/", "models:/m/1"),
]

DIFFERENT = [
    ("s3://b/k", "s3://b2/k"),
    ("s3://b/k", "gs://b/k"),
    ("s3://b/k", "s3://b/K"),
    ("s3://b/a/b", "s3://b/a//b"),
    ("s3://b/a%20b", "s3://b/a b"),
    ("s3://b/k?", "s3://b/k"),
    ("s3://b/k?versionId=1", "s3://b/k"),
    ("s3://b/k.tar.gz", "s3://b/k"),
    ("s3://b/é", "s3://b/e\u0301"),
    ("https://example.org/a?x=1", "https://example.org/a"),
    ("https://example.org/a", "https://example.org/A"),
    ("https://example.org/a%2Fb", "https://example.org/a/b"),
    ("https://example.org/x.tgz", "https://example.org/x"),
    ("http://example.org/a", "https://example.org/a"),
    ("file:///a", "file://host/a"),
    ("models:/m/1", "models:/m/2"),
    ("oci://r/m:1", "oci://r/m:2"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_spellings_of_one_location_are_equal(one: str, other: str) -> None:
    assert normalise_uri(one) == normalise_uri(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_locations_stay_different(one: str, other: str) -> None:
    assert normalise_uri(one) != normalise_uri(other)


@pytest.mark.parametrize("text", ["", "not a uri", "model-registry", "C:\\x", "http://[::1", "s3:", "s3:k", "file:", ":", "a:"])
def test_what_is_not_known_is_kept(text: str) -> None:
    assert normalise_uri(normalise_uri(text)) == normalise_uri(text)


URIS = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["s3://", "minio://", "file://", "file:", "/", "http://", "https://", "oci://", "x:", "",
        "gs://b"]),
        st.lists(
            st.sampled_from(["/", "..", ".", "%2e", "%2F", "%", ".tgz", "?", "#", "endpoint=", "&", "a", "b", ":80",
            "@", "[", " ", "é"])
            | st.text(max_size=4),
            max_size=8,
        ).map("".join),
    ),
)  # fmt: skip


@settings(max_examples=2000, deadline=None)
@given(URIS)
@example("s3://b/a.tgz/.tgz/?endpoint=x")
@example("http://a:80:80/")
@example("file://a/%252e%252e/x")
@example("/%2e%2e/x")
def test_normalising_twice_changes_nothing(uri: str) -> None:
    once = normalise_uri(uri)

    assert normalise_uri(once) == once


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("s3://b/x", "s3://b/x/y/z"),
        ("s3://b/x/", "s3://b/x/y/z"),
        ("s3://b/x?endpoint=http://h", "s3://b/x/y/z?endpoint=http://h"),
        ("s3://b?e=1&f=2", "s3://b/y/z?e=1&f=2"),
        ("/what?/x", "/what?/x/y/z"),
        ("default/7", "default/7/y/z"),
        ("mlflow-artifacts:/7", "mlflow-artifacts:/7/y/z"),
    ],
)
def test_what_lies_under_a_location_comes_before_its_query(location: str, expected: str) -> None:
    assert under(location, "y/z") == expected
