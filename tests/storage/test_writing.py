"""Bytes on their way in: threads of the writer's hash them and bring them to the disk while more comes."""

import errno
import hashlib
import os
from pathlib import Path

import pytest

from storage.errors import StoreUnavailable
from storage.local import LocalStore
from storage.store import ObjectStore


def test_a_disk_that_fails_while_more_comes_fails_the_put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux says of lost bytes once: the last fsync would find nothing wrong."""

    def failing(_descriptor: int) -> None:
        raise OSError(errno.EIO, "lost")

    monkeypatch.setattr(os, "fdatasync", failing)
    store = LocalStore(tmp_path)
    store.prepare()

    with pytest.raises(StoreUnavailable):
        store.put("a", [bytes(1 << 20)] * 9)

    assert [list(store.list("").objects), list(store.pending())] == [[], []]


def test_chunks_of_any_size_are_hashed_in_their_order(store: ObjectStore) -> None:
    chunks = [bytes([number]) * size for number, size in enumerate((1, 300_000, 5, 2_000_000, 256 * 1024, 0, 7))]

    put = store.put("a", chunks)

    assert put.sha256 == hashlib.sha256(b"".join(chunks)).hexdigest()
