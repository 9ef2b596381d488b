"""Tokens to a tree: the core grammar, by recursive descent with bounded depth.

    filter     = and-term { OR and-term }
    and-term   = term { AND term }
    term       = NOT term | "(" filter ")" | field test
    test       = ("=" | "==" | "!=" | "<>" | "<" | "<=" | ">" | ">=") value
               | [NOT] IN "(" [ value { "," value } ] ")"
               | [NOT] (LIKE | ILIKE) string
               | [NOT] BETWEEN value AND value
               | IS [NOT] NULL
    field      = name | space "." key { "." key }
    key        = word | back-quoted | double-quoted
    value      = number | string | TRUE | FALSE | INF | INFINITY | NAN | word

NOT binds tighter than AND, AND tighter than OR. Keywords may be written in any case; after a dot every word is a key. A
dotted key is one key with dots in it; in `properties` and `custom` a last part `int_value`, `double_value`, `string_value` or
`bool_value` that is not quoted picks the type.
"""

import math
from collections.abc import Sequence

from registry.filtering.errors import FilterError
from registry.filtering.lexing import Token, TokenKind, tokens
from registry.filtering.tree import (
    ATTRIBUTES,
    Accessor,
    Between,
    Compare,
    CompareOp,
    Field,
    In,
    IsNull,
    Like,
    Literal,
    Not,
    Position,
    Tree,
    Value,
    Word,
    all_of,
    any_of,
)

MAX_DEPTH = 100
"""Of parentheses and NOTs inside one another; `compiling.py` has a limit of its own for ANDs and ORs, which nest in SQL too."""
MAX_TERMS = 200
"""Comparisons in one filter. SQLite takes expressions 1,000 deep, and a row of ANDs is as deep as it is long."""
MAX_ITEMS = 1_000
"""Values in all lists of one filter together."""
KEYWORDS = frozenset({"AND", "OR", "NOT", "IN", "LIKE", "ILIKE", "IS", "NULL", "BETWEEN", "TRUE", "FALSE", "ASC", "DESC"})
TYPED_SPACES = frozenset({"properties", "custom"})
"""Where a key may be followed by an accessor."""

_OPERATORS: dict[str, CompareOp] = {
    "=": "=",
    "==": "=",
    "!=": "!=",
    "<>": "!=",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
}
_CONSTANTS: dict[str, bool | float] = {
    "TRUE": True,
    "FALSE": False,
    "INF": math.inf,
    "INFINITY": math.inf,
    "NAN": math.nan,
}


def parse(text: str) -> Tree | None:
    """None for a text of nothing but space.

    Raises FilterError: with the place, and where it helps with what was expected there.
    """
    reader = Reader(text)
    if reader.peek.kind is TokenKind.END:
        return None
    tree = _Parser(reader).filter()
    reader.expect_end("AND, OR or the end")
    return tree


class Reader:
    """The tokens and what all grammars over them share: keys, fields, values."""

    def __init__(self, text: str) -> None:
        self._tokens: Sequence[Token] = list(tokens(text))
        self._at = 0

    @property
    def peek(self) -> Token:
        return self._tokens[self._at]

    def next(self) -> Token:
        token = self._tokens[self._at]
        if token.kind is not TokenKind.END:
            self._at += 1
        return token

    def take_word(self, *words: str) -> Token | None:
        """The token, if it is one of the keywords."""
        return self.next() if self.peek.is_word(*words) else None

    def take(self, punctuation: str) -> Token | None:
        return self.next() if self.peek.kind is TokenKind.PUNCTUATION and self.peek.text == punctuation else None

    def expect(self, punctuation: str) -> None:
        if self.take(punctuation) is None:
            raise self.unexpected(f"`{punctuation}`")

    def expect_end(self, wanted: str) -> None:
        if self.peek.kind is not TokenKind.END:
            raise self.unexpected(wanted)

    def unexpected(self, wanted: str) -> FilterError:
        return FilterError.at(self.peek.position, f"expected {wanted}, found {self.peek.shown}")

    def field(self) -> Field:
        start = self.peek
        if start.kind is TokenKind.WORD and start.text.upper() in KEYWORDS:
            raise self.unexpected("a field (a field of that name needs back-quotes)")
        first = self._key("a field")
        if self.peek.kind is not TokenKind.PUNCTUATION or self.peek.text != ".":
            return Field(ATTRIBUTES, first.text, position=start.position)
        keys: list[Token] = []
        while self.take("."):
            keys.append(self._key("a key"))
        accessor = None
        if len(keys) > 1 and first.text in TYPED_SPACES and keys[-1].kind is TokenKind.WORD and keys[-1].text in set(Accessor):
            accessor = Accessor(keys.pop().text)
        return Field(first.text, ".".join(key.text for key in keys), accessor, position=start.position)

    def _key(self, wanted: str) -> Token:
        if self.peek.kind not in {TokenKind.WORD, TokenKind.KEY, TokenKind.QUOTED}:
            raise self.unexpected(wanted)
        token = self.next()
        if not token.text:
            raise FilterError.at(token.position, "a key cannot be empty")
        return token

    def value(self) -> Value:
        token = self.peek
        if token.kind in {TokenKind.STRING, TokenKind.QUOTED}:
            return Literal(self.next().text, token.position)
        if token.kind is TokenKind.NUMBER:
            return Literal(number(self.next()), token.position)
        if token.kind is TokenKind.WORD:
            upper = token.text.upper()
            if upper in _CONSTANTS:
                return Literal(_CONSTANTS[self.next().text.upper()], token.position)
            if upper not in KEYWORDS:
                return Word(self.next().text, token.position)
            if upper == "NULL":
                raise self.unexpected("a value (absence is asked for with IS NULL)")
        raise self.unexpected("a value")


def number(token: Token) -> int | float:
    """Integers exact whatever their size. Raises FilterError: a finite number too large for a double."""
    text = token.text.lower()
    if text.lstrip("+-").isdigit():
        return int(text)
    value = float(text)
    if math.isinf(value) and "inf" not in text:
        raise FilterError.at(token.position, f"{token.shown} is larger than any double; infinity is written `inf`")
    return value


class _Parser:
    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.depth = 0
        self.terms = 0
        self.items = 0

    def filter(self) -> Tree:
        parts = [self._conjunction()]
        while self.reader.take_word("OR"):
            parts.append(self._conjunction())
        return any_of(parts)

    def _conjunction(self) -> Tree:
        parts = [self._term()]
        while self.reader.take_word("AND"):
            parts.append(self._term())
        return all_of(parts)

    def _term(self) -> Tree:
        opening = self.reader.take_word("NOT") or self.reader.take("(")
        if opening is None:
            return self._test()
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise FilterError.at(opening.position, f"nested more than {MAX_DEPTH} deep")
        tree: Tree
        if opening.text == "(":
            tree = self.filter()
            if self.reader.take(")") is None:
                raise self.reader.unexpected("AND, OR or `)`")
        else:
            tree = Not(self._term())
        self.depth -= 1
        return tree

    def _test(self) -> Tree:
        self._count_term(self.reader.peek.position)
        field = self.reader.field()
        if self.reader.peek.kind is TokenKind.OPERATOR:
            return Compare(field, _OPERATORS[self.reader.next().text], self.reader.value())
        if self.reader.take_word("IS"):
            negated = self.reader.take_word("NOT") is not None
            if self.reader.take_word("NULL") is None:
                raise self.reader.unexpected("NULL" if negated else "NULL or NOT NULL")
            return IsNull(field, negated)
        negated = self.reader.take_word("NOT") is not None
        if self.reader.take_word("IN"):
            return In(field, self._list(), negated)
        if word := self.reader.take_word("LIKE", "ILIKE"):
            return Like(field, self._pattern(), word.is_word("ILIKE"), negated)
        if self.reader.take_word("BETWEEN"):
            low = self.reader.value()
            if self.reader.take_word("AND") is None:
                raise self.reader.unexpected("AND between the two ends of BETWEEN")
            return Between(field, low, self.reader.value(), negated)
        raise self.reader.unexpected("IN, LIKE, ILIKE or BETWEEN" if negated else "an operator (=, !=, <, IN, LIKE, IS NULL …)")

    def _list(self) -> tuple[Value, ...]:
        self.reader.expect("(")
        values: list[Value] = []
        if self.reader.take(")"):
            return ()
        while True:
            values.append(self.reader.value())
            self.items += 1
            if self.items > MAX_ITEMS:
                raise FilterError.at(values[-1].position, f"more than {MAX_ITEMS} values in lists")
            if self.reader.take(")"):
                return tuple(values)
            if self.reader.take(",") is None:
                raise self.reader.unexpected("`,` or `)`")

    def _pattern(self) -> Literal:
        if self.reader.peek.kind not in {TokenKind.STRING, TokenKind.QUOTED}:
            raise self.reader.unexpected("a pattern in quotes")
        token = self.reader.next()
        return Literal(token.text, token.position)

    def _count_term(self, position: Position) -> None:
        self.terms += 1
        if self.terms > MAX_TERMS:
            raise FilterError.at(position, f"more than {MAX_TERMS} comparisons")
