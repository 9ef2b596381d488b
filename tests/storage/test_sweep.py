"""The sweeper removes orphans and nothing else."""

import threading
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage.errors import InvalidKey
from storage.store import ObjectStore
from storage.sweep import Orphan, sweep

DAY = timedelta(days=1)


def later(days: float = 2) -> datetime:
    """The sweeper's clock: far enough ahead that all which tests have put is old."""
    return datetime.now(UTC) + timedelta(days=days)


def known(*keys: str) -> "Known":
    return Known(keys)


class Known:
    """The records; counts how often it was asked."""

    def __init__(self, keys: Collection[str]) -> None:
        self.keys = set(keys)
        self.asked: list[list[str]] = []

    def __call__(self, keys: Sequence[str]) -> Collection[str]:
        self.asked.append(list(keys))
        return self.keys & set(keys)


def left(store: ObjectStore) -> list[str]:
    keys: list[str] = []
    page = store.list()
    while True:
        keys += [entry.key for entry in page.objects]
        if page.next_after is None:
            return keys
        page = store.list(after=page.next_after)


def test_only_old_objects_without_a_record_go(store: ObjectStore) -> None:
    for key in ("w/orphan", "w/kept", "w/deep/orphan", "other/orphan"):
        store.put(key, [b"xyz"])

    gone = list(sweep(store, "w/", known("w/kept"), now=later(), dry_run=False))

    assert sorted((orphan.kind, orphan.key, orphan.size_bytes, orphan.removed) for orphan in gone) == [
        ("object", "w/deep/orphan", 3, True),
        ("object", "w/orphan", 3, True),
    ]
    assert left(store) == ["other/orphan", "w/kept"]


def test_a_sweep_is_dry_by_default(store: ObjectStore) -> None:
    store.put("a", [b"x"])
    store.start_multipart("m")

    found = list(sweep(store, "", known(), now=later()))

    assert ("object", "a", False) in [(orphan.kind, orphan.key, orphan.removed) for orphan in found]
    assert not any(orphan.removed for orphan in found)
    assert left(store) == ["a"]
    assert [upload.key for upload in store.pending("m")] == ["m"]


def test_what_is_younger_than_the_grace_stays(store: ObjectStore) -> None:
    store.put("a", [b"x"])
    upload_id = store.start_multipart("m")
    part = store.put_part("m", upload_id, 1, [b"x"])

    assert list(sweep(store, "", known(), now=later(0.9), grace=DAY, dry_run=False)) == []

    assert left(store) == ["a"]
    store.complete_multipart("m", upload_id, [part])


def test_stale_uploads_go(store: ObjectStore) -> None:
    upload_id = store.start_multipart("dir/m")
    store.put_part("dir/m", upload_id, 1, [b"x"])

    gone = list(sweep(store, "dir/m", known("dir/m"), now=later(), dry_run=False))

    assert [(orphan.kind, orphan.key, orphan.upload_id, orphan.removed) for orphan in gone] == [
        ("upload", "dir/m", upload_id, True)
    ]
    assert list(store.pending("dir/m")) == []


@pytest.mark.parametrize("stores", ["local"], indirect=True)
def test_remains_of_a_put_go(store: ObjectStore) -> None:
    writer = store.writer("k")
    writer.write(b"x")

    gone = list(sweep(store, "", known(), now=later(), dry_run=False))

    assert [(orphan.kind, orphan.key) for orphan in gone] == [("upload", "")]
    assert list(store.pending()) == []
    writer.abort()


def test_an_object_that_is_recorded_during_the_sweep_stays(store: ObjectStore) -> None:
    for key in ("a", "b", "c"):
        store.put(key, [b"x"])
    records = known()

    gone = []
    for orphan in sweep(store, "", records, now=later(), dry_run=False):
        gone.append(orphan.key)
        records.keys.add("b")  # someone commits a row for it now

    assert gone == ["a", "c"]
    assert left(store) == ["b"]


@pytest.mark.parametrize("stores", ["local", "minio"], indirect=True)
def test_an_object_that_is_written_anew_during_the_sweep_stays(store: ObjectStore) -> None:
    for key in ("a", "b"):
        store.put(key, [b"old"])

    gone = []
    for orphan in sweep(store, "", known(), now=later(), dry_run=False):
        gone.append(orphan.key)
        store.put("b", [b"other"])  # its row follows

    assert gone == ["a"]
    assert store.read("b") == b"other"


def test_a_sweep_that_cannot_ask_removes_nothing(store: ObjectStore) -> None:
    store.put("a", [b"x"])

    def broken(keys: Sequence[str]) -> Collection[str]:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        list(sweep(store, "", broken, now=later(), dry_run=False))

    assert left(store) == ["a"]


@pytest.mark.parametrize("stores", ["local"], indirect=True)
def test_records_are_asked_page_by_page(store: ObjectStore) -> None:
    for number in range(2100):
        store.put(f"k{number:04}", [b""])
    records = known(*(f"k{number:04}" for number in range(2100) if number % 1000))

    gone = [orphan.key for orphan in sweep(store, "", records, now=later(), dry_run=False)]

    assert gone == ["k0000", "k1000", "k2000"]
    assert [len(keys) for keys in records.asked if len(keys) > 1] == [1000, 1000, 100]
    assert len(left(store)) == 2097


@pytest.mark.parametrize("stores", ["local"], indirect=True)
def test_a_sweep_never_meets_the_objects_of_running_writers(store: ObjectStore) -> None:
    records = known()
    stop = threading.Event()
    lost: list[str] = []

    def write(worker: int) -> None:
        for number in range(200):
            key = f"{worker}/{number}"
            store.put(key, [b"x"])
            records.keys.add(key)
            if not store.list(key).objects:
                lost.append(key)

    def sweep_on() -> None:
        while not stop.is_set():
            list(sweep(store, "", records, now=datetime.now(UTC), grace=timedelta(minutes=10), dry_run=False))

    sweeper = threading.Thread(target=sweep_on)
    sweeper.start()
    writers = [threading.Thread(target=write, args=(worker,)) for worker in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    stop.set()
    sweeper.join()

    assert lost == []
    assert len(left(store)) == 600


@pytest.mark.parametrize(
    ("grace", "now"),
    [(timedelta(0), later()), (timedelta(minutes=9), later()), (DAY, datetime(2026, 1, 1))],  # noqa: DTZ001
)
def test_a_sweep_needs_a_grace_and_an_aware_clock(tmp_path: Path, grace: timedelta, now: datetime) -> None:
    from storage.config import open_store

    store = open_store(str(tmp_path))
    store.prepare()
    with pytest.raises(ValueError, match="grace"):
        sweep(store, "", known(), now=now, grace=grace)
    with pytest.raises(InvalidKey):
        sweep(store, "../", known(), now=later())


def test_an_orphan_is_a_value() -> None:
    at = datetime.now(UTC)

    assert Orphan("object", "k", "", 1, at, removed=False) == Orphan("object", "k", "", 1, at, removed=False)
