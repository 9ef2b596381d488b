"""The text of a `filter_query` as tokens, and what its quoted texts and numbers mean."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from registry.errors import InvalidArgument
from registry.filtering import FilterError
from registry.filtering.tree import Position
from registry.names import check_text

MAX_LENGTH = 65_536
_TOKEN = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*|\#[^\n]*)
  | (?P<text>[rR]?(?:'''(?:[^\\]|\\.)*?'''|\"\"\"(?:[^\\]|\\.)*?\"\"\"|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"))
  | (?P<number>0[xX][0-9a-fA-F]+|(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)(?![A-Za-z0-9_])
  | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<quoted>`(?:[^`\\\n]|\\.)+`)
  | (?P<operator><=|>=|!=|<>|=|<|>)
  | (?P<mark>[().,+*/-])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_ESCAPE = re.compile(
    r"\\(?:([ntrabfv\\?\"'`])|[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.))", re.DOTALL
)


@dataclass(frozen=True)
class Token:
    kind: str
    text: str
    position: Position

    def is_word(self, *words: str) -> bool:
        return self.kind == "word" and self.text.upper() in words


def tokens(text: str) -> Iterator[Token]:
    line, start, at = 1, 0, 0
    if len(text) > MAX_LENGTH:
        raise FilterError(f"longer than {MAX_LENGTH} characters", 1, 1)
    while at < len(text):
        position = Position(line, at - start + 1)
        found = _TOKEN.match(text, at)
        if found is None:
            raise FilterError.at(position, f"`{text[at]}` has no meaning here, or begins what has no end")
        source = found.group()
        if found.lastgroup != "space":
            yield Token(str(found.lastgroup), source, position)
        if "\n" in source:
            line, start = line + source.count("\n"), at + source.rindex("\n") + 1
        at = found.end()
    yield Token("end", "", Position(line, at - start + 1))


def name_of(token: Token) -> str:
    """Of a word or of what stands in back-quotes."""
    return _storable(token, _unescaped(token, token.text[1:-1])) if token.kind == "quoted" else token.text


def _storable(token: Token, value: str) -> str:
    try:
        return check_text(value, "a text in the filter")
    except InvalidArgument as error:
        raise FilterError.at(token.position, error.message) from None


def _unescaped(token: Token, body: str) -> str:
    def one(found: re.Match[str]) -> str:
        plain, two, four, eight, octal, other = found.groups()
        if plain:
            return _ESCAPES.get(plain, plain)
        if other:
            raise FilterError.at(token.position, f"the escape `\\{other}` has no meaning")
        number = int(octal, 8) if octal else int(two or four or eight, 16)
        if number > 0x10FFFF:
            raise FilterError.at(token.position, f"U+{number:X} is no character")
        return chr(number)

    return _ESCAPE.sub(one, body)


def text_of(token: Token) -> str:
    raw, source = token.text[0] in "rR", token.text.lstrip("rR")
    body = source[3:-3] if source[:3] in {"'''", '"""'} and len(source) >= 6 else source[1:-1]
    return _storable(token, body if raw else _unescaped(token, body))


def number_of(token: Token) -> int | float:
    if len(token.text) > 400:
        raise FilterError.at(token.position, "a number of more than 400 characters")
    if token.text[:2] in {"0x", "0X"}:
        return int(token.text, 16)
    return int(token.text) if token.text.isdigit() else float(token.text)
