"""What no file of the repository may say: addresses of package indexes, paths of the machine it was written on."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.repository.checkout import ROOT, files, name

# Written in pieces, so that this file passes its own test.
INDEX_HOSTS = tuple(
    ".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("proxy.golang", "org"))
)
MACHINE_PATHS = re.compile(r"(?<![\w.}$])/(?:work|root/\.[a-z]+|home/[a-z]+)/")
LOCKED_ADDRESS = re.compile(
    r'"resolved": *"http|^(?:source|registry).*= *"?https?://|--?(?:extra-)?index-url +http', re.MULTILINE
)
LOCK_FILES = {".json", ".lock", ".toml", ".txt", ".cfg"}


def test_no_file_names_a_package_index() -> None:
    """Where packages come from is the installer's setting, and a lock file with a host works in one place only."""
    found = [
        name(path)
        for path, text in texts()
        if any(host in text for host in INDEX_HOSTS) or (path.suffix in LOCK_FILES and LOCKED_ADDRESS.search(text))
    ]

    assert not found


def test_no_file_holds_a_path_of_a_machine() -> None:
    found = [
        f"{name(path)}: {match[0]}"
        for path, text in texts()
        for match in [*MACHINE_PATHS.finditer(text), *re.finditer(re.escape(str(ROOT)), text)]
    ]

    assert not found


def texts() -> Iterator[tuple[Path, str]]:
    for path in files():
        data = path.read_bytes()
        if b"\0" not in data[:8000]:
            yield path, data.decode("utf-8", "replace")
