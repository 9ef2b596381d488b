"""What a check found."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One row that is wrong: in which table, which row (its primary key, `/` between), what is wrong with it."""

    table: str
    row: str
    what: str

    def __str__(self) -> str:
        return f"{self.table} {self.row}: {self.what}"


def named(key: Iterable[object]) -> str:
    """A primary key as a problem shows it."""
    return "/".join(str(int(value)) if isinstance(value, int) else str(value) for value in key)
