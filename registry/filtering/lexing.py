"""Text to tokens. Also the place for what no text of a filter may hold: NUL, lone surrogates, too much of anything."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from registry.filtering.errors import FilterError
from registry.filtering.tree import Position

MAX_LENGTH = 65_536
"""Characters of a filter or order."""
MAX_NUMBER = 400
"""Characters of a number: the longest plain double has 309 digits."""


class TokenKind(StrEnum):
    WORD = "word"
    STRING = "string"
    """In single quotes."""
    QUOTED = "quoted text"
    """In double quotes: a key before an operator, a string after it."""
    KEY = "key"
    """In back-quotes."""
    NUMBER = "number"
    OPERATOR = "operator"
    PUNCTUATION = "punctuation"
    END = "end of the text"


@dataclass(frozen=True, slots=True)
class Token:
    """`text` is without quotes and escapes; `source` as it stands there, for messages."""

    kind: TokenKind
    text: str
    source: str
    position: Position

    def is_word(self, *words: str) -> bool:
        """Whether it is one of the (upper-case) keywords, however written."""
        return self.kind is TokenKind.WORD and self.text.upper() in words

    @property
    def shown(self) -> str:
        source = self.source if len(self.source) <= 40 else f"{self.source[:40]}…"
        return "the end of the text" if self.kind is TokenKind.END else f"`{source}`"


_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\n\f\v]+)
  | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<number>[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)(?![A-Za-z0-9_])
  | (?P<infinity>[-+](?:[iI][nN][fF](?:[iI][nN][iI][tT][yY])?))(?![A-Za-z0-9_])
  | (?P<string>'(?:[^'\\]|\\.|'')*')
  | (?P<quoted>"(?:[^"\\]|\\.|"")*")
  | (?P<key>`(?:[^`]|``)*`)
  | (?P<operator><=|>=|!=|<>|==|=|<|>)
  | (?P<punctuation>[().,])
    """,
    re.VERBOSE | re.DOTALL,
)
_KINDS = {
    "word": TokenKind.WORD,
    "number": TokenKind.NUMBER,
    "infinity": TokenKind.NUMBER,
    "string": TokenKind.STRING,
    "quoted": TokenKind.QUOTED,
    "key": TokenKind.KEY,
    "operator": TokenKind.OPERATOR,
    "punctuation": TokenKind.PUNCTUATION,
}
_OPENERS = {"'": "string", '"': "quoted text", "`": "quoted key"}


def tokens(text: str) -> Iterator[Token]:
    r"""All tokens, the last one END.

    In single and double quotes a doubled quote is one, and a backslash takes the meaning from a quote or a backslash; before
    anything else it is itself (so `'50\%'` is what LIKE needs). In back-quotes only a doubled back-quote means anything.

    Raises FilterError.
    """
    lines = _Lines(text)
    if len(text) > MAX_LENGTH:
        raise FilterError.at(lines.position(MAX_LENGTH), f"longer than {MAX_LENGTH} characters")
    for at, character in enumerate(text):
        if character == "\0" or "\ud800" <= character <= "\udfff":
            raise FilterError.at(lines.position(at), f"the character U+{ord(character):04X} cannot be stored or compared")
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise FilterError.at(lines.position(at), _complaint(text, at))
        name = str(match.lastgroup)
        if name != "space":
            source = match.group()
            if name == "number" and len(source) > MAX_NUMBER:
                raise FilterError.at(lines.position(at), f"a number of more than {MAX_NUMBER} characters")
            yield Token(_KINDS[name], _plain(name, source), source, lines.position(at))
        at = match.end()
    yield Token(TokenKind.END, "", "", lines.position(len(text)))


def _plain(name: str, source: str) -> str:
    if name == "key":
        return source[1:-1].replace("``", "`")
    if name in {"string", "quoted"}:
        quote = source[0]
        # Doubled quotes first would see `\''` as two; one pass over both takes what comes first.
        return re.sub(rf"\\(['\"\\])|{quote}({quote})", lambda found: found.group(1) or found.group(2), source[1:-1])
    return source


def _complaint(text: str, at: int) -> str:
    character = text[at]
    if character in _OPENERS:
        return f"the {_OPENERS[character]} that begins here has no end"
    if character.isdigit() or character in "+-.":
        rest = re.match(r"\S{1,40}", text[at:])
        return f"`{rest.group() if rest else character}` is not a number; text needs quotes"
    if character == ";":
        return "`;` has no meaning here: one filter, no statements"
    return f"`{character}` has no meaning here"


class _Lines:
    """Offsets to lines and columns, without counting from the start each time."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def position(self, offset: int) -> Position:
        low, high = 0, len(self._starts)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._starts[middle] <= offset else (low, middle)
        return Position(low + 1, offset - self._starts[low] + 1)
