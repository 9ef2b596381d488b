"""Directories of a local store, reached without ever following a symbolic link.

Every path is walked from the root by directory descriptors with O_NOFOLLOW, one segment at a time. So a link that
someone puts into the store, at any moment, is refused and never leads out of it: there is no check that a later call
could outrun.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from storage.errors import (
    InvalidKey,
    KeyConflict,
    ObjectNotFound,
    StorageError,
    StoreDenied,
    StoreFull,
    StoreUnavailable,
)

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO put there must not hang us

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def os_errors(key: str) -> Iterator[None]:
    """What the operating system says, in our words."""
    try:
        yield
    except OSError as error:
        raise _translated(error, key) from error


def _translated(error: OSError, key: str) -> StorageError:
    code = error.errno
    if code == errno.ENOENT:
        return ObjectNotFound(key)
    if code in {errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY}:
        return KeyConflict(key)
    if code == errno.ELOOP:
        return InvalidKey(key, "a symbolic link lies on the way")
    if code == errno.ENAMETOOLONG:
        return InvalidKey(key, "too long for the file system")
    reason = error.strerror or type(error).__name__
    if code in _FULL:
        return StoreFull(reason)
    return StoreDenied(reason) if code in _DENIED else StoreUnavailable(reason)


@contextmanager
def parent_of(root: str, key: str, *, create: bool = False, durable: bool = False) -> Iterator[tuple[int, str]]:
    """The descriptor of the directory that holds `key`, and the key's last segment. OSError as the system gives it."""
    *folders, name = key.split("/")
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder in folders:
            descriptor = _step(descriptor, folder, create=create, durable=durable)
        yield descriptor, name
    finally:
        os.close(descriptor)


def _step(parent: int, folder: str, *, create: bool, durable: bool) -> int:
    """Open `folder` and close `parent`, in that order only if it worked: the caller closes what it still holds."""
    try:
        child = _open_directory(folder, parent)
    except NotADirectoryError as error:
        if create:
            raise
        raise FileNotFoundError(errno.ENOENT, "a file lies on the way") from error
    except FileNotFoundError:
        if not create:
            raise
        with suppress(FileExistsError):  # another writer made it meanwhile
            os.mkdir(folder, dir_fd=parent)
            if durable:
                os.fsync(parent)
        child = _open_directory(folder, parent)
    os.close(parent)
    return child


def _open_directory(name: str, parent: int) -> int:
    try:
        return os.open(name, _DIRECTORY, dir_fd=parent)
    except NotADirectoryError as error:  # what Linux says of a link when O_DIRECTORY is asked, too
        if stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, "symbolic link") from error
        raise


def open_file(root: str, key: str) -> tuple[int, os.stat_result]:
    """A descriptor for reading, and what it is of; only of a regular file."""
    with parent_of(root, key) as (parent, name):
        descriptor = os.open(name, _FILE, dir_fd=parent)
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode):
        return descriptor, found
    os.close(descriptor)
    raise FileNotFoundError(errno.ENOENT, "not a regular file")


def stat_file(root: str, key: str) -> os.stat_result:
    with parent_of(root, key) as (parent, name):
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if stat.S_ISREG(found.st_mode):
        return found
    if stat.S_ISLNK(found.st_mode):
        raise OSError(errno.ELOOP, "symbolic link")
    raise FileNotFoundError(errno.ENOENT, "not a regular file")


def remove_file(root: str, key: str) -> None:
    """Remove the file and the folders that are empty then. What is not there is no error; a link is removed, not
    followed.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        with parent_of(root, key) as (parent, name):
            if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                os.unlink(name, dir_fd=parent)
        _prune(root, key)


def _prune(root: str, key: str) -> None:
    folder = key.rpartition("/")[0]
    while folder:
        try:
            with parent_of(root, folder) as (parent, name):
                os.rmdir(name, dir_fd=parent)
        except OSError:  # not empty, or gone already: somebody else's now
            return
        folder = folder.rpartition("/")[0]


def walk(root: str, prefix: str, after: str | None) -> Iterator[tuple[str, os.stat_result]]:
    """Regular files whose key begins with `prefix` and lies behind `after`, in the order of UTF-8 bytes. Links are
    passed over.

    Holds one directory's names in memory per level; what lies before `after` is not opened.
    """
    folder = prefix.rpartition("/")[0]
    try:
        descriptor = _open_folder(root, folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    yield from _walk(descriptor, folder + "/" if folder else "", prefix, after)


def _open_folder(root: str, folder: str) -> int:
    if not folder:
        return os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    with parent_of(root, folder) as (parent, name):
        return _open_directory(name, parent)


def _walk(descriptor: int, base: str, prefix: str, after: str | None) -> Iterator[tuple[str, os.stat_result]]:
    try:
        for path, is_folder in _sorted(descriptor, base):
            if not _may_hold(path, is_folder, prefix, after):
                continue
            name = path[len(base) :].rstrip("/")
            try:
                if is_folder:
                    yield from _walk(_open_directory(name, descriptor), path, prefix, after)
                else:
                    yield path, os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            except (FileNotFoundError, NotADirectoryError):
                continue  # removed or replaced while we walk
    finally:
        os.close(descriptor)


def _sorted(descriptor: int, base: str) -> list[tuple[str, bool]]:
    """Keys of files, and of folders with their slash: `a.txt` comes before `a/b`, as a sorted list of whole keys has
    it.
    """
    found = []
    with os.scandir(descriptor) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                found.append((base + entry.name + "/", True))
            elif entry.is_file(follow_symlinks=False):
                found.append((base + entry.name, False))
    return sorted(pair for pair in found if _is_text(pair[0]))


def _is_text(name: str) -> bool:
    """Whether the name is UTF-8; what is not was not put there by us."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _may_hold(path: str, is_folder: bool, prefix: str, after: str | None) -> bool:
    if not (path.startswith(prefix) or (is_folder and prefix.startswith(path))):
        return False
    return after is None or path > after or (is_folder and after.startswith(path))


def children(root: str, folder: str) -> list[tuple[str, os.stat_result | None]]:
    """What lies directly in `folder` (no slash at its end), in key order; None stands for a folder."""
    try:
        descriptor = _open_folder(root, folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    base = folder + "/" if folder else ""
    found: list[tuple[str, os.stat_result | None]] = []
    try:
        for path, is_folder in _sorted(descriptor, base):
            with suppress(FileNotFoundError):
                name = path[len(base) :]
                found.append((path, None if is_folder else os.stat(name, dir_fd=descriptor, follow_symlinks=False)))
    finally:
        os.close(descriptor)
    return found
