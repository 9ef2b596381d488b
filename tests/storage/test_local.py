"""What only a directory has: symbolic links, other people's files, crashes, a full disk, paths for sendfile."""

# ruff: noqa: PTH115, PTH208 - raw names, as the operating system has them

import errno
import os
import resource
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from storage.config import open_store
from storage.errors import (
    InvalidKey,
    KeyConflict,
    ObjectNotFound,
    StorageError,
    StoreDenied,
    StoreFull,
    StoreUnavailable,
    UploadNotFound,
)
from storage.folders import os_errors
from storage.store import ObjectStore


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def store(root: Path) -> ObjectStore:
    store = open_store(str(root))
    store.prepare()
    return store


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "outside" / "secret.txt"
    path.parent.mkdir()
    path.write_text("secret")
    return path


def incoming(root: Path) -> list[str]:
    return sorted(os.listdir(root / "incoming"))


# ---- links ----------------------------------------------------------------------------------------------------------


def test_a_link_to_a_file_is_never_followed(store: ObjectStore, root: Path, secret: Path) -> None:
    (root / "objects" / "link").symlink_to(secret)

    reads: list[Callable[[str], object]] = [store.open, store.read, store.stat, store.local_path]
    for call in reads:
        with pytest.raises(InvalidKey, match="symbolic link"):
            call("link")
    assert store.list().objects == []
    assert store.list_folder().objects == []
    store.put("link", [b"mine"])
    assert (store.read("link"), secret.read_text()) == (b"mine", "secret")


def test_a_link_to_a_directory_is_never_followed(store: ObjectStore, root: Path, secret: Path) -> None:
    (root / "objects" / "dir").symlink_to(secret.parent, target_is_directory=True)

    for call in (store.read, store.stat, lambda key: store.put(key, [b"x"]), lambda key: store.copy(key, "t")):
        with pytest.raises(InvalidKey, match="symbolic link"):
            call("dir/secret.txt")
    with pytest.raises(InvalidKey):
        store.delete("dir/secret.txt")
    with pytest.raises(InvalidKey):
        store.list("dir/")
    assert store.list().objects == []
    assert os.listdir(secret.parent) == ["secret.txt"]
    assert incoming(root) == []


def test_deleting_a_link_removes_the_link_only(store: ObjectStore, root: Path, secret: Path) -> None:
    (root / "objects" / "link").symlink_to(secret)

    store.delete("link")

    assert secret.read_text() == "secret"
    assert os.listdir(root / "objects") == []


def test_a_directory_that_turns_into_a_link_never_leads_out(store: ObjectStore, root: Path, secret: Path) -> None:
    """Someone swaps a folder for a link and back, as fast as the machine can, while another one reads and writes."""
    folder, aside = root / "objects" / "d", root / "aside"
    store.put("d/secret.txt", [b"mine"])
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            folder.rename(aside)
            with suppress(FileExistsError):  # the put made a folder meanwhile
                folder.symlink_to(secret.parent)
                folder.unlink()
            while aside.exists():
                shutil.rmtree(folder, ignore_errors=True)
                with suppress(OSError):
                    aside.rename(folder)

    swapper = threading.Thread(target=swap)
    swapper.start()
    seen = set()
    refused = 0
    for number in range(1500):
        try:
            if number % 3:
                seen.add(store.read("d/secret.txt"))
            else:
                store.put("d/new", [b"x"])
        except InvalidKey:
            refused += 1
        except (ObjectNotFound, KeyConflict):
            pass
    stop.set()
    swapper.join()

    assert refused > 0
    assert seen <= {b"mine"}
    assert os.listdir(secret.parent) == ["secret.txt"]
    assert secret.read_text() == "secret"


def test_devices_and_pipes_are_no_objects(store: ObjectStore, root: Path) -> None:
    os.mkfifo(root / "objects" / "pipe")

    for call in (store.read, store.stat):
        with pytest.raises(ObjectNotFound):
            call("pipe")
    assert store.list().objects == []


def test_files_whose_names_are_not_text_are_passed_over(store: ObjectStore, root: Path) -> None:
    (root / "objects" / os.fsdecode(b"\xff\xfe")).write_bytes(b"x")
    store.put("a", [b"x"])

    assert [entry.key for entry in store.list().objects] == ["a"]


# ---- files and folders ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "second"), [("a", "a/b"), ("a/b", "a"), ("a/b/c", "a"), ("a", "a/b/c")])
@pytest.mark.parametrize("overwrite", [True, False])
def test_a_key_is_not_both_object_and_folder(store: ObjectStore, root: Path, first: str, second: str, overwrite: bool) -> None:
    store.put(first, [b"first"])

    with pytest.raises(KeyConflict):
        store.put(second, [b"second"], overwrite=overwrite)

    assert [entry.key for entry in store.list().objects] == [first]
    assert incoming(root) == []


def test_folders_go_with_their_last_object(store: ObjectStore, root: Path) -> None:
    store.put("a/b/c", [b"x"])
    store.put("a/d", [b"x"])

    store.delete("a/b/c")
    assert sorted(os.listdir(root / "objects" / "a")) == ["d"]
    store.delete("a/d")

    assert os.listdir(root / "objects") == []


def test_puts_and_deletes_that_share_a_folder_do_not_fail(store: ObjectStore) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for _ in range(100):
                store.put(f"a/b/c/{number}", [b"x"])
                assert store.read(f"a/b/c/{number}") == b"x"
                store.delete(f"a/b/c/{number}")
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert store.list().objects == []


def test_the_path_of_an_object_holds_its_bytes(store: ObjectStore) -> None:
    store.put("a/ü b", [b"x"])

    path = store.local_path("a/ü b")

    assert path is not None
    assert Path(path).is_absolute()
    assert Path(path).read_bytes() == b"x"
    with pytest.raises(ObjectNotFound):
        store.local_path("a/none")


def test_a_reader_has_a_descriptor_for_sendfile(store: ObjectStore) -> None:
    store.put("a", [b"0123456789"])

    with store.open("a", 2, 3) as reader:
        assert os.pread(reader.fileno() or 0, reader.length_bytes, reader.offset) == b"234"


def test_a_file_that_someone_cuts_is_not_served_short(store: ObjectStore, root: Path) -> None:
    store.put("a", [bytes(1_000_000)])

    with store.open("a") as reader:
        os.truncate(root / "objects" / "a", 10)
        with pytest.raises(StoreUnavailable):
            b"".join(reader)


def test_a_local_store_has_no_links(store: ObjectStore) -> None:
    assert store.presigned_get("k", 60) is None
    assert store.presigned_put("k", 60) is None
    assert store.presigned_part("k", "u", 1, 60) is None


def test_the_location_of_an_object_has_escapes(store: ObjectStore, root: Path) -> None:
    assert store.uri("a b/é%") == f"file://{root}/objects/a%20b/%C3%A9%25"
    assert store.key_of(f"{root}/objects/a b/é%") == "a b/é%"
    assert store.key_of(f"{root}/incoming/x") is None
    assert store.key_of(f"file://{root}/objects") is None
    assert store.key_of(f"file://{root}/objects/../../x") is None


# ---- when things break ----------------------------------------------------------------------------------------------


def test_a_store_whose_folder_is_missing_says_so(root: Path) -> None:
    with pytest.raises(StoreUnavailable, match="no directory"):
        open_store(str(root)).check()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (errno.ENOSPC, StoreFull),
        (errno.EDQUOT, StoreFull),
        (errno.EFBIG, StoreFull),
        (errno.EACCES, StoreDenied),
        (errno.EPERM, StoreDenied),
        (errno.EROFS, StoreDenied),
        (errno.EIO, StoreUnavailable),
        (errno.EMFILE, StoreUnavailable),
        (errno.ENOENT, ObjectNotFound),
        (errno.ENOTDIR, KeyConflict),
        (errno.ELOOP, InvalidKey),
        (errno.ENAMETOOLONG, InvalidKey),
    ],
)
def test_what_the_system_says_has_a_class_of_ours(code: int, expected: type[StorageError]) -> None:
    with pytest.raises(StorageError) as failure, os_errors("k"):
        raise OSError(code, os.strerror(code), "/secret/path")

    assert type(failure.value) is expected
    assert "/secret" not in str(failure.value)


@pytest.fixture
def at_most_1_mb() -> Iterator[None]:
    """A disk that is full after 1 MB, as far as one file can tell: EFBIG is to it what ENOSPC is."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_its_own_error_and_leaves_nothing(store: ObjectStore, root: Path, at_most_1_mb: None) -> None:
    store.put("k", [b"old"])

    with pytest.raises(StoreFull):
        store.put("k", [bytes(100_000)] * 20)
    with pytest.raises(StoreFull):
        store.put_part("m", store.start_multipart("m"), 1, [bytes(2_000_000)])

    assert store.read("k") == b"old"
    assert [name for name in incoming(root) if name.endswith(".part")] == []


def test_a_full_file_system_is_its_own_error_and_leaves_nothing(tmp_path: Path) -> None:
    """On a real, small file system, in a mount namespace of its own, where the kernel lets us have one."""
    code = (
        "from storage.config import open_store; from storage.errors import StoreFull\n"
        "store = open_store('/mnt/s'); store.prepare(); store.put('old', [b'x'])\n"
        "try: store.put('k', [bytes(1 << 20)] * 8)\n"
        "except StoreFull as error: print('full:', error.reason)\n"
        "print([entry.key for entry in store.list().objects], list(store.pending()))\n"
        "store.put('k', [bytes(1 << 20)])\n"
        "print(store.stat('k').size_bytes)\n"
    )
    mount = [
        "unshare",
        "--mount",
        "--map-root-user",
        "sh",
        "-c",
        'mount -t tmpfs -o size=4m none /mnt && exec "$0" -c "$1"',
    ]
    found = subprocess.run([*mount, sys.executable, code], capture_output=True, text=True, check=False)
    if found.returncode and "unshare" in found.stderr + "unshare" * ("mount:" in found.stderr):
        pytest.skip(
            "needs unshare: with leave to mount a tmpfs, which is a full disk without filling this one (root, or user namespaces)"
        )

    assert found.stdout.splitlines() == ["full: No space left on device", "['old'] []", "1048576"], found.stderr


def test_a_killed_process_leaves_no_object_and_a_rest_that_can_be_swept(store: ObjectStore, root: Path) -> None:
    code = (
        "import os, sys; from storage.config import open_store\n"
        "writer = open_store(sys.argv[1]).writer('k'); writer.write(bytes(1000)); os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(root)], check=False)

    assert store.list().objects == []
    (rest,) = store.pending()
    assert (rest.key, rest.upload_id) == ("", incoming(root)[0])
    store.abort_multipart(rest.key, rest.upload_id)
    assert incoming(root) == []


@pytest.mark.parametrize("upload_id", ["../../objects", "", ".", "0" * 32, "x" * 32, "/etc"])
def test_an_upload_id_leads_nowhere_else(store: ObjectStore, root: Path, upload_id: str) -> None:
    store.put("a", [b"x"])

    store.abort_multipart("a", upload_id)
    with suppress(InvalidKey):
        store.abort_multipart("", upload_id)
        store.abort_multipart("", f"{upload_id}.part")

    assert store.read("a") == b"x"


def test_an_upload_of_another_key_is_not_found(store: ObjectStore) -> None:
    upload_id = store.start_multipart("a")

    with pytest.raises(UploadNotFound):
        store.put_part("b", upload_id, 1, [b"x"])
    store.abort_multipart("b", upload_id)
    assert [upload.key for upload in store.pending()] == ["a"]


def test_bytes_and_folder_are_on_disk_before_a_put_returns(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The order is what counts: bytes, then the name; new folders before what lies in them."""
    calls: list[str] = []
    fsync, rename = os.fsync, os.rename

    def watched_fsync(descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        calls.append("bytes" if path.endswith(".part") else f"folder {path.partition('/objects')[2] or '/'}")
        fsync(descriptor)

    def watched_rename(source: str, target: str, **options: int) -> None:
        calls.append("rename")
        rename(source, target, **options)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "rename", watched_rename)

    store.put("a/b/k", [b"x"])

    assert calls == ["bytes", "folder /", "folder /a", "rename", "folder /a/b"]
