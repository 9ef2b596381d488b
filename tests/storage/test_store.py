"""The behaviour of every object store: the same on a directory, MinIO and SeaweedFS.

Kept whole: it is the one suite that each store passes from end to end.
"""

import hashlib
import io
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from storage.errors import (
    DigestMismatch,
    InvalidKey,
    InvalidParts,
    ObjectExists,
    ObjectNotFound,
    RangeNotSatisfiable,
    UploadCutOff,
    UploadNotFound,
)
from storage.store import PART_MIN_BYTES, ObjectStore, Part, chunks_of, digest
from tests.storage.conftest import StoreFactory

ODD_NAMES = [
    "plain.txt",
    "a b/c d.txt",
    "ünï/日本語/😀.bin",
    "e\u0301 and \xe9",
    "100%.csv",
    "50%25 off",
    "a+b&c=d;e,f@g!$'(x)*~[1]{2}^`|<>\"",
    "what?no#anchor",
    "-leading-dash",
    ".hidden/.env",
    "trailing~",
    "C#/Ω",
    "x" * 255,
    "/".join(["deep"] * 60),
]


def keys(store: ObjectStore, prefix: str = "") -> list[str]:
    return [entry.key for entry in store.list(prefix).objects]


# ---- put and open ---------------------------------------------------------------------------------------------------


def test_what_was_put_comes_back_with_its_size_and_digest(store: ObjectStore) -> None:
    stored = store.put("a/b.txt", [b"hel", bytearray(b"lo"), memoryview(b"!")], size_bytes=6, media_type="text/plain")

    assert (stored.key, stored.size_bytes) == ("a/b.txt", 6)
    assert stored.sha256 == hashlib.sha256(b"hello!").hexdigest()
    with store.open("a/b.txt") as reader:
        assert (reader.offset, reader.length_bytes, reader.stat.size_bytes) == (0, 6, 6)
        assert b"".join(reader) == b"hello!"


def test_stat_agrees_with_put_and_open(store: ObjectStore) -> None:
    stored = store.put("a.txt", [b"abc"], media_type="text/plain")

    stat = store.stat("a.txt")

    assert (stat.key, stat.size_bytes, stat.etag, stat.media_type) == ("a.txt", 3, stored.etag, "text/plain")
    assert abs(datetime.now(UTC) - stat.modified_at) < timedelta(minutes=5)
    with store.open("a.txt") as reader:
        assert reader.stat.etag == stat.etag


def test_an_object_may_be_empty(store: ObjectStore) -> None:
    stored = store.put("empty", [], size_bytes=0)

    assert stored.sha256 == hashlib.sha256(b"").hexdigest()
    assert store.stat("empty").size_bytes == 0
    assert store.read("empty") == b""
    assert store.read("empty", 0, 10) == b""


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_kept_as_they_are(store: ObjectStore, name: str) -> None:
    store.put(name, [b"x"])

    assert store.read(name) == b"x"
    assert keys(store) == [name]
    assert store.key_of(store.uri(name)) == name


def test_names_that_differ_by_code_point_are_different_objects(store: ObjectStore) -> None:
    names = ["a", "A", "\xe9", "e\u0301"]
    for name in names:
        store.put(name, [name.encode()])

    assert [store.read(name) for name in names] == [name.encode() for name in names]


def test_put_replaces(store: ObjectStore) -> None:
    first = store.put("k", [b"long content"])

    second = store.put("k", [b"new"])

    assert store.read("k") == b"new"
    assert first.etag != second.etag == store.stat("k").etag


def test_put_without_overwrite_leaves_what_is_there(store: ObjectStore) -> None:
    store.put("k", [b"first"], overwrite=False)

    with pytest.raises(ObjectExists):
        store.put("k", [b"second"], overwrite=False)

    assert store.read("k") == b"first"


def test_a_large_put_without_overwrite_leaves_what_is_there(store: ObjectStore) -> None:
    store.put("k", [b"first"])

    with pytest.raises(ObjectExists):
        store.put("k", [bytes(1 << 20)] * 18, overwrite=False)

    assert store.read("k") == b"first"
    assert list(store.pending("k")) == []


def test_a_writer_takes_bytes_piece_by_piece(store: ObjectStore) -> None:
    with store.writer("k") as writer:
        writer.write(b"one ")
        writer.write(b"two")
        with pytest.raises(ObjectNotFound):
            store.stat("k")
        stored = writer.commit()

    assert stored.size_bytes == 7
    assert store.read("k") == b"one two"


def test_20_mb_of_unknown_length_pass_in_several_parts(store: ObjectStore) -> None:
    data = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(640 * 1024))

    stored = store.put("big", chunks_of(io.BytesIO(data)))

    assert (stored.size_bytes, stored.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert digest(store, "big") == stored
    assert store.read("big", 16 * 1024 * 1024 - 5, 10) == data[16 * 1024 * 1024 - 5 :][:10]


# ---- uploads that fail ----------------------------------------------------------------------------------------------


class CutOff(Exception):
    pass


def cut_off_after(pieces: int, size_bytes: int = 1 << 20) -> Iterator[bytes]:
    for _ in range(pieces):
        yield bytes(size_bytes)
    raise CutOff


@pytest.mark.parametrize("pieces", [0, 1, 18])
def test_an_upload_that_is_cut_off_leaves_nothing(store: ObjectStore, pieces: int) -> None:
    with pytest.raises(CutOff):
        store.put("k", cut_off_after(pieces))

    assert keys(store) == []
    assert list(store.pending("k")) == []


def test_an_upload_that_is_cut_off_leaves_the_object_that_was_there(store: ObjectStore) -> None:
    store.put("k", [b"old"])

    with pytest.raises(CutOff):
        store.put("k", cut_off_after(1))

    assert store.read("k") == b"old"


@pytest.mark.parametrize("announced", [2, 4])
def test_an_upload_of_another_length_than_announced_fails(store: ObjectStore, announced: int) -> None:
    with pytest.raises(UploadCutOff) as failure:
        store.put("k", [b"abc"], size_bytes=announced)

    assert failure.value.expected_bytes == announced
    assert keys(store) == []
    assert list(store.pending("k")) == []


def test_an_upload_with_another_digest_than_announced_fails(store: ObjectStore) -> None:
    with pytest.raises(DigestMismatch):
        store.put("k", [b"abc"], sha256=hashlib.sha256(b"abd").hexdigest())

    assert keys(store) == []
    assert store.put("k", [b"abc"], sha256=hashlib.sha256(b"abc").hexdigest()).size_bytes == 3


def test_a_writer_that_is_left_without_commit_leaves_nothing(store: ObjectStore) -> None:
    with store.writer("k") as writer:
        writer.write(b"abc")

    assert keys(store) == []
    with pytest.raises(ValueError, match="over"):
        writer.commit()


@pytest.mark.parametrize("key", ["../k", "/k", "a//k", "a/%2e%2e/k", "nul", "a\\k", "", "k\x00"])
def test_no_call_takes_a_key_that_could_leave_the_root(store: ObjectStore, key: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: store.put(key, [b"x"]),
        lambda: store.writer(key),
        lambda: store.open(key),
        lambda: store.read(key),
        lambda: store.stat(key),
        lambda: store.delete(key),
        lambda: store.copy(key, "ok"),
        lambda: store.copy("ok", key),
        lambda: store.presigned_get(key, 60),
        lambda: store.presigned_put(key, 60),
        lambda: store.presigned_part(key, "u", 1, 60),
        lambda: store.start_multipart(key),
        lambda: store.put_part(key, "u", 1, [b"x"]),
        lambda: store.complete_multipart(key, "u", [Part(1, "e")]),
        lambda: store.local_path(key),
        lambda: store.uri(key),
    ]
    store.put("ok", [b"x"])

    for call in calls:
        with pytest.raises(InvalidKey):
            call()

    assert keys(store) == ["ok"]


# ---- concurrent writers ---------------------------------------------------------------------------------------------


def in_threads(count: int, work: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_concurrent_writers_of_one_key_leave_one_whole_object(store: ObjectStore) -> None:
    bodies = [bytes([number]) * 200_000 for number in range(8)]
    seen: list[bytes] = []

    def write(number: int) -> None:
        store.put("k", chunks_of(io.BytesIO(bodies[number]), 5000))
        seen.append(store.read("k"))

    in_threads(8, write)

    assert len(seen) == 8
    assert all(body in bodies for body in seen)
    assert store.read("k") in bodies


def test_of_concurrent_writers_without_overwrite_one_wins(store: ObjectStore) -> None:
    won: list[int] = []
    lost: list[int] = []

    def write(number: int) -> None:
        try:
            store.put("k", [str(number).encode()], overwrite=False)
        except ObjectExists:
            lost.append(number)
        else:
            won.append(number)

    in_threads(8, write)

    assert (len(won), len(lost)) == (1, 7)
    assert store.read("k") == str(won[0]).encode()


def test_a_reader_sees_one_object_while_it_is_replaced(store: ObjectStore) -> None:
    store.put("k", [b"a" * 3_000_000])

    with store.open("k") as reader:
        pieces = iter(reader)
        first = next(pieces)
        store.put("k", [b"b" * 3_000_000])
        rest = b"".join(pieces)

    assert set(first + rest) == {ord("a")}
    assert len(first + rest) == 3_000_000


# ---- ranges ---------------------------------------------------------------------------------------------------------

TEN = b"0123456789"


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (0, None, TEN),
        (0, 10, TEN),
        (0, 99, TEN),
        (0, 1, b"0"),
        (9, 1, b"9"),
        (9, None, b"9"),
        (9, 99, b"9"),
        (3, 4, b"3456"),
        (0, 0, b""),
        (5, 0, b""),
    ],
)
def test_a_range_is_cut_to_the_object(store: ObjectStore, offset: int, length: int | None, expected: bytes) -> None:
    store.put("k", [TEN])

    with store.open("k", offset, length) as reader:
        assert (reader.offset, reader.length_bytes, reader.stat.size_bytes) == (offset, len(expected), 10)
        assert b"".join(reader) == expected


@pytest.mark.parametrize(("offset", "length"), [(10, None), (10, 1), (11, None), (10, 0), (1 << 40, 5)])
def test_a_range_behind_the_end_is_not_satisfiable(store: ObjectStore, offset: int, length: int | None) -> None:
    store.put("k", [TEN])

    with pytest.raises(RangeNotSatisfiable) as failure:
        store.open("k", offset, length)

    assert failure.value.size_bytes == 10


def test_a_range_of_an_empty_object_is_not_satisfiable_unless_it_begins_at_zero(store: ObjectStore) -> None:
    store.put("k", [])

    assert store.read("k", 0, None) == b""
    with pytest.raises(RangeNotSatisfiable):
        store.open("k", 1)


@pytest.mark.parametrize(("offset", "length"), [(-1, None), (0, -1)])
def test_a_negative_range_is_a_mistake_of_the_caller(store: ObjectStore, offset: int, length: int) -> None:
    store.put("k", [TEN])

    with pytest.raises(ValueError, match="negative"):
        store.open("k", offset, length)


def test_a_reader_may_be_closed_before_its_end_and_twice(store: ObjectStore) -> None:
    store.put("k", [bytes(3_000_000)])
    reader = store.open("k")
    next(iter(reader))

    reader.close()
    reader.close()

    assert store.read("k", 0, 3) == bytes(3)


# ---- what is not there ----------------------------------------------------------------------------------------------


def test_what_is_not_there_is_not_found(store: ObjectStore) -> None:
    store.put("a/b", [b"x"])

    for key in ("nothing", "a", "a/c", "a/b/c"):
        for call in (store.open, store.stat, store.read, lambda missing: store.copy(missing, "t")):
            with pytest.raises(ObjectNotFound):
                call(key)
        with pytest.raises(ObjectNotFound):
            store.open(key, 5, 5)


def test_delete_is_idempotent(store: ObjectStore) -> None:
    store.put("a/b", [b"x"])
    store.put("a/c", [b"x"])

    store.delete("a/b")
    store.delete("a/b")
    store.delete("a")
    store.delete("never/was")

    assert keys(store) == ["a/c"]


def test_copy_keeps_both(store: ObjectStore) -> None:
    store.put("a", [b"abc"])
    store.put("dir/b", [b"old"])

    stat = store.copy("a", "dir/b")

    assert (stat.key, stat.size_bytes) == ("dir/b", 3)
    assert (store.read("a"), store.read("dir/b")) == (b"abc", b"abc")
    store.delete("a")
    assert store.read("dir/b") == b"abc"


# ---- listing --------------------------------------------------------------------------------------------------------


def test_a_listing_is_in_key_order_and_paged(store: ObjectStore) -> None:
    names = sorted(["a", "b/1", "b/10", "b/2", "b/c/d", "b-x", "b0", "c d", "é", "z"])
    for name in names:
        store.put(name, [name.encode()])

    found: list[str] = []
    after = None
    while True:
        page = store.list(after=after, limit=3)
        assert len(page.objects) <= 3
        found += [entry.key for entry in page.objects]
        after = page.next_after
        if after is None:
            break

    assert found in (names, in_segment_order(names))
    assert {entry.key: entry.size_bytes for entry in store.list().objects} == {n: len(n.encode()) for n in names}


def in_segment_order(names: list[str]) -> list[str]:
    """What SeaweedFS keeps instead of key order, because each of its folders is a table of its own."""
    return sorted(names, key=lambda name: name.split("/"))


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("", ["ab", "b/1", "b/2", "b/c/3", "bc"]),
        ("b", ["b/1", "b/2", "b/c/3", "bc"]),
        ("b/", ["b/1", "b/2", "b/c/3"]),
        ("b/c", ["b/c/3"]),
        ("b/c/3", ["b/c/3"]),
        ("b/c/3/", []),
        ("zzz/y", []),
    ],
)
def test_a_prefix_is_any_beginning_of_a_key(store: ObjectStore, prefix: str, expected: list[str]) -> None:
    for name in ("ab", "b/1", "b/2", "b/c/3", "bc"):
        store.put(name, [b""])

    assert keys(store, prefix) == expected


@pytest.mark.parametrize("after", ["ab", "b/1", "b/2", "b/c/3", "bc"])
def test_a_page_begins_behind_any_object(store: ObjectStore, after: str) -> None:
    names = ["ab", "b/1", "b/2", "b/c/3", "bc"]
    for name in names:
        store.put(name, [b""])

    assert [entry.key for entry in store.list(after=after).objects] == [name for name in names if name > after]


def test_a_page_that_ends_exactly_at_the_end_is_the_last(store: ObjectStore) -> None:
    for name in ("a", "b", "c"):
        store.put(name, [b""])

    assert store.list(limit=3).next_after is None
    assert store.list(limit=2).next_after == "b"


def test_a_folder_is_listed_one_level_deep(store: ObjectStore) -> None:
    for name in ("r/a/1", "r/a/2", "r/b.txt", "r/c/d/e", "r/a.txt", "other"):
        store.put(name, [b"xy"])

    page = store.list_folder("r")

    assert page.folders == ["r/a/", "r/c/"]
    assert [(entry.key, entry.size_bytes) for entry in page.objects] == [("r/a.txt", 2), ("r/b.txt", 2)]
    assert page.next_after is None
    assert store.list_folder("r/") == page
    assert store.list_folder("").folders == ["r/"]
    assert store.list_folder("r/none") == store.list_folder("nowhere")


def test_a_folder_is_paged_over_folders_and_objects(store: ObjectStore) -> None:
    for name in ("r/a/1", "r/a/2", "r/a.txt", "r/b/1", "r/b.txt", "r/c"):
        store.put(name, [b""])

    found: list[str] = []
    after = None
    for _ in range(10):
        page = store.list_folder("r", after=after, limit=2)
        found += sorted(page.folders + [entry.key for entry in page.objects])
        after = page.next_after
        if after is None:
            break

    assert found == sorted(["r/a/", "r/a.txt", "r/b/", "r/b.txt", "r/c"])


def test_a_limit_under_one_is_a_mistake_of_the_caller(store: ObjectStore) -> None:
    with pytest.raises(ValueError, match="limit"):
        store.list(limit=0)
    with pytest.raises(ValueError, match="limit"):
        store.list_folder(limit=0)


# ---- multipart ------------------------------------------------------------------------------------------------------

FIRST = b"1" * PART_MIN_BYTES


def test_parts_come_in_any_order_and_make_one_object(store: ObjectStore) -> None:
    upload_id = store.start_multipart("dir/m.bin")
    last = store.put_part("dir/m.bin", upload_id, 3, [b"end"])
    first = store.put_part("dir/m.bin", upload_id, 1, chunks_of(io.BytesIO(FIRST)))
    assert keys(store) == []

    stat = store.complete_multipart("dir/m.bin", upload_id, [first, last])

    assert (stat.key, stat.size_bytes) == ("dir/m.bin", PART_MIN_BYTES + 3)
    assert store.read("dir/m.bin") == FIRST + b"end"
    assert digest(store, "dir/m.bin").sha256 == hashlib.sha256(FIRST + b"end").hexdigest()
    assert list(store.pending("dir/m.bin")) == []


def test_20_mb_multipart_uploaded_by_four_threads(store: ObjectStore) -> None:
    pieces = [bytes([65 + number]) * PART_MIN_BYTES for number in range(4)]
    upload_id = store.start_multipart("m")
    parts: dict[int, Part] = {}

    def send(number: int) -> None:
        parts[number] = store.put_part("m", upload_id, number + 1, [pieces[number]])

    in_threads(4, send)
    store.complete_multipart("m", upload_id, [parts[number] for number in range(4)])

    assert digest(store, "m").sha256 == hashlib.sha256(b"".join(pieces)).hexdigest()


def test_the_same_part_again_replaces(store: ObjectStore) -> None:
    upload_id = store.start_multipart("m")
    store.put_part("m", upload_id, 1, [b"old"])
    second = store.put_part("m", upload_id, 1, [b"new!"])

    store.complete_multipart("m", upload_id, [second])

    assert store.read("m") == b"new!"


@pytest.mark.parametrize("stores", ["local", "minio"], indirect=True)
def test_a_part_that_was_replaced_is_none(store: ObjectStore) -> None:
    upload_id = store.start_multipart("m")
    first = store.put_part("m", upload_id, 1, [b"old"])
    store.put_part("m", upload_id, 1, [b"new!"])

    with pytest.raises(InvalidParts):
        store.complete_multipart("m", upload_id, [first])


def test_an_aborted_upload_leaves_nothing(store: ObjectStore) -> None:
    upload_id = store.start_multipart("m")
    part = store.put_part("m", upload_id, 1, [b"x"])

    store.abort_multipart("m", upload_id)
    store.abort_multipart("m", upload_id)

    assert keys(store) == []
    assert list(store.pending("m")) == []
    with pytest.raises(UploadNotFound):
        store.complete_multipart("m", upload_id, [part])
    with pytest.raises(UploadNotFound):
        store.put_part("m", upload_id, 1, [b"x"])


def test_an_upload_completes_once(store: ObjectStore) -> None:
    upload_id = store.start_multipart("m")
    part = store.put_part("m", upload_id, 1, [b"x"])
    store.complete_multipart("m", upload_id, [part])

    with pytest.raises(UploadNotFound):
        store.put_part("m", upload_id, 2, [b"y"])

    assert store.read("m") == b"x"


@pytest.mark.parametrize("wrong", ["none", "order", "twice", "unknown"])
def test_wrong_parts_make_no_object_and_keep_the_upload(store: ObjectStore, wrong: str) -> None:
    upload_id = store.start_multipart("m")
    one = store.put_part("m", upload_id, 1, [FIRST])
    two = store.put_part("m", upload_id, 2, [b"2"])
    parts = {"none": [], "order": [two, one], "twice": [one, one], "unknown": [one, Part(3, two.etag)]}[wrong]

    with pytest.raises(InvalidParts):
        store.complete_multipart("m", upload_id, parts)

    assert keys(store) == []
    assert store.complete_multipart("m", upload_id, [one, two]).size_bytes == PART_MIN_BYTES + 1


@pytest.mark.parametrize("number", [0, -1, 10_001])
def test_part_numbers_have_limits(store: ObjectStore, number: int) -> None:
    upload_id = store.start_multipart("m")

    with pytest.raises(InvalidParts):
        store.put_part("m", upload_id, number, [b"x"])


def test_a_pending_upload_is_told(store: ObjectStore) -> None:
    upload_id = store.start_multipart("dir/m")
    store.put_part("dir/m", upload_id, 1, [b"x"])

    found = list(store.pending("dir/m"))

    assert [(upload.key, upload.upload_id) for upload in found] == [("dir/m", upload_id)]
    assert abs(datetime.now(UTC) - found[0].touched_at) < timedelta(minutes=5)


# ---- the store itself -----------------------------------------------------------------------------------------------


def test_prepare_and_check_are_idempotent(store: ObjectStore) -> None:
    store.put("k", [b"x"])

    store.prepare()
    store.check()
    store.prepare()

    assert keys(store) == ["k"]


def test_two_prefixes_do_not_see_each_other(stores: StoreFactory) -> None:
    one, two = stores("tenant"), stores("tenant-two")
    one.put("k", [b"1"])
    two.put("k", [b"2"])

    assert (one.read("k"), two.read("k")) == (b"1", b"2")
    assert keys(one) == keys(two) == ["k"]
    assert one.key_of(two.uri("k")) is None
    one.delete("k")
    two.delete("k")


def test_a_location_of_elsewhere_is_not_a_key(store: ObjectStore) -> None:
    assert store.key_of("s3://other-bucket/k") is None
    assert store.key_of("file:///somewhere/else") is None
    assert store.key_of("https://example.org/k") is None
    assert store.key_of("models:/m/1") is None
    root = store.uri("k").removesuffix("k")
    assert store.key_of(root) is None
    assert store.key_of(root + "a/../../k") is None
    assert store.key_of(root + "con") is None
