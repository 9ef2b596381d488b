"""Bytes on their way in: threads of the writer's hash them and bring them to the disk while more comes."""

import errno
import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from storage.errors import StoreUnavailable
from storage.local import LocalStore
from storage.store import ObjectStore

ROOT = Path(__file__).resolve().parents[2]


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


def test_many_uploads_at_once_have_few_threads(tmp_path: Path) -> None:
    store = LocalStore(tmp_path, durable=False)
    store.prepare()
    writers = [store.writer(f"k{number}") for number in range(30)]

    for writer in writers:
        writer.write(bytes(1 << 20))
    threads = threading.active_count()
    digests = {writer.commit().sha256 for writer in writers}

    assert digests == {hashlib.sha256(bytes(1 << 20)).hexdigest()}
    assert threads < 30


def test_a_fork_writes_with_threads_of_its_own(tmp_path: Path) -> None:
    """Workers are forked; what the process before had begun must not hold them up."""
    program = """
import os, sys
from storage.local import LocalStore
store = LocalStore(sys.argv[1]); store.prepare()
store.put("before", [bytes(1 << 20)])
child = os.fork()
if child == 0:
    store.put("after", [bytes(1 << 20)] * 9)
    os._exit(0)
print(os.waitpid(child, 0)[1], store.stat("after").size_bytes)
"""

    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT
    )

    assert done.stdout.split() == ["0", str(9 << 20)]
