"""What is wrong with a filter or an order, and where."""

from registry.filtering.tree import Position


class FilterError(ValueError):
    """A filter or order that does not parse or type-check. Lines and columns count from 1, columns in characters.

    `str()` is the message without the place: doors have their own way to say it.
    """

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column

    @classmethod
    def at(cls, position: Position, message: str) -> "FilterError":
        return cls(message, position.line, position.column)
