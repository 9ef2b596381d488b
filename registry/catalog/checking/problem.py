"""What a check found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One row that is wrong: in which table, which row, what is wrong with it."""

    table: str
    row: str
    what: str

    def __str__(self) -> str:
        return f"{self.table} {self.row}: {self.what}"
