"""LIKE patterns, read once so that they mean the same on every database.

`%` is any text, `_` one character (code point). A backslash before `%`, `_` or a backslash makes that character plain;
before anything else, and at the end, it is plain itself.
"""

import re
from dataclasses import dataclass
from enum import Enum

SQL_ESCAPE = "!"
"""The escape character in SQL: a backslash would mean different things to different databases' string literals."""

MAX_PATTERN = 10_000
"""Characters: SQLite refuses patterns over 50,000 bytes."""


class Wildcard(Enum):
    ANY = "%"
    ONE = "_"


@dataclass(frozen=True, slots=True)
class Pattern:
    """Plain texts and wildcards in turn; no two texts and no two ANY next to each other, no empty text."""

    parts: tuple[str | Wildcard, ...]

    @property
    def exact(self) -> str | None:
        """The one text that matches, if there is no wildcard."""
        if not self.parts:
            return ""
        return self.parts[0] if len(self.parts) == 1 and isinstance(self.parts[0], str) else None

    @property
    def head(self) -> str:
        """What every match begins with."""
        return self.parts[0] if self.parts and isinstance(self.parts[0], str) else ""

    @property
    def is_head_only(self) -> bool:
        """Whether everything that begins with the head matches."""
        return self.parts[-1:] == (Wildcard.ANY,) and len(self.parts) == (2 if self.head else 1)

    @property
    def sql(self) -> str:
        """For `LIKE … ESCAPE '!'`."""
        return "".join(re.sub(r"([!%_])", r"!\1", part) if isinstance(part, str) else part.value for part in self.parts)

    def matches(self, text: str, *, ignore_case: bool) -> bool:
        """In Python, for values that are not in a column."""
        wild = {Wildcard.ANY: ".*", Wildcard.ONE: "."}
        fold = str.lower if ignore_case else str
        regex = "".join(re.escape(fold(part)) if isinstance(part, str) else wild[part] for part in self.parts)
        return re.fullmatch(regex, fold(text), re.DOTALL) is not None


def read_pattern(text: str) -> Pattern:
    parts: list[str | Wildcard] = []
    for found in re.finditer(r"\\([%_\\])|([%_])|(.)", text, re.DOTALL):
        escaped, wild, plain = found.groups()
        if wild is not None:
            if wild != "%" or parts[-1:] != [Wildcard.ANY]:
                parts.append(Wildcard(wild))
        elif parts and isinstance(parts[-1], str):
            parts[-1] += escaped or plain
        else:
            parts.append(escaped or plain)
    return Pattern(tuple(parts))


def after_all_with(head: str) -> str | None:
    """The least text, by code point, above everything that begins with `head`; None if there is none."""
    while head:
        last = ord(head[-1])
        if last < 0x10FFFF:
            return head[:-1] + chr(0xE000 if last + 1 == 0xD800 else last + 1)  # surrogates cannot be stored
        head = head[:-1]
    return None
