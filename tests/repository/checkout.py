"""The files of this checkout, as the guards see them."""

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("registry", "lineage", "storage", "agent")
SOURCE_ROOTS = (*PACKAGES, "client/src/lineal")
UNTRACKED_BY_NATURE = {".git", ".venv", "node_modules", "__pycache__", "build", "dist"}


@cache
def files() -> tuple[Path, ...]:
    """Every file that is tracked or could be (not ignored). Without git: all but the usual caches."""
    try:
        listed = subprocess.run(
            ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        found = [path for path in ROOT.rglob("*") if UNTRACKED_BY_NATURE.isdisjoint(path.relative_to(ROOT).parts)]
    else:
        found = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return tuple(sorted(path for path in found if path.is_file()))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def python_files(*folders: str) -> list[Path]:
    """Python files under these folders of the checkout."""
    return [path for path in files() if path.suffix == ".py" and name(path).startswith(tuple(f"{folder}/" for folder in folders))]
