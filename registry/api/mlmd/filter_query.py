r"""The grammar of `filter_query`: text to the tree of `registry/filtering`, by recursive descent with bounded depth.

    or         = and { OR and }
    and        = not { AND not }
    not        = NOT not | test
    test       = sum [ op sum | [NOT] IN "(" sum { "," sum } ")" | [NOT] LIKE sum | [NOT] BETWEEN sum AND sum
                     | IS [NOT] (NULL | TRUE | FALSE) ]
    sum        = product { ("+" | "-") product }
    product    = unary { ("*" | "/") unary }
    unary      = ("+" | "-") unary | "(" or ")" | field | constant
    field      = attribute | (properties | custom_properties) "." key "." accessor | neighbourhood_alias "." attribute
    constant   = text | number | TRUE | FALSE | name of an enumeration's value (after = != IN only)

Sums and products are of constants. NOT goes down to the comparisons: a missing value makes a comparison false, and its
negation too, as in SQL. Only `!=` and NOT IN on a state are true where there is none, as ML Metadata has it.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

from registry.api.mlmd.filter_tokens import Token, name_of, number_of, text_of, tokens
from registry.catalog.graph_filters import fields_of_kind, words_of
from registry.errors import InvalidFilter
from registry.filtering import FieldType, FilterError
from registry.filtering.tree import (
    ATTRIBUTES,
    MIRRORED,
    Accessor,
    And,
    Between,
    Compare,
    CompareOp,
    Field,
    In,
    IsNull,
    Like,
    Literal,
    Not,
    Or,
    Position,
    Tree,
    Word,
    all_of,
    any_of,
)
from registry.names import NodeKind

MAX_DEPTH = 60
MAX_TERMS = 200
MAX_ITEMS = 1_000
MAX_BITS = 2_000
"""Of an integer that sums and products make. Python writes none of more than 4,300 digits."""
_NEIGHBOUR = re.compile(r"(contexts|events|artifacts|executions|parent_contexts|child_contexts)_([0-9A-Za-z_]+)")
_KEYWORDS = {"AND", "OR", "NOT", "IN", "LIKE", "BETWEEN", "IS", "NULL", "TRUE", "FALSE"}
_OPS: dict[str, CompareOp] = {"=": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_NEGATED: dict[CompareOp, CompareOp] = {"=": "!=", "!=": "=", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
Expression = Tree | Field | Literal | Word


def parse_filter_query(text: str, kind: NodeKind) -> Tree | None:
    """None for the empty text.

    Raises InvalidFilter: with line and column.
    """
    if not text:
        return None
    return _kept(text, kind) if len(text) <= _KEPT_CHARACTERS else _parsed(text, kind)


_KEPT_CHARACTERS = 1_000


def _parsed(text: str, kind: NodeKind) -> Tree:
    try:
        return _Parser(text, kind).filter()
    except FilterError as error:
        raise InvalidFilter(f"Invalid `filter_query`: {error.message}", line=error.line, column=error.column) from None


_kept = lru_cache(512)(_parsed)
"""Clients ask the same again and again: the driver of Kubeflow Pipelines for the tasks of a DAG, everybody for the next page."""


class _Parser:
    def __init__(self, text: str, kind: NodeKind) -> None:
        self._tokens = list(tokens(text))
        self._at = self._depth = self._terms = self._items = 0
        self._fields = fields_of_kind(kind)

    # ---- tokens -----------------------------------------------------------------------------------------------------

    @property
    def _here(self) -> Token:
        return self._tokens[self._at]

    def _next(self) -> Token:
        token = self._here
        self._at += 1
        return token

    def _word(self, *words: str) -> bool:
        """Whether the next token is one of the keywords; it is taken then."""
        found = self._here.is_word(*words)
        self._at += found
        return found

    def _mark(self, *marks: str) -> str | None:
        token = self._here
        if token.kind == "mark" and token.text in marks:
            self._at += 1
            return token.text
        return None

    def _expect(self, mark: str) -> None:
        if self._mark(mark) is None:
            raise self._unexpected(f"`{mark}`")

    def _unexpected(self, wanted: str) -> FilterError:
        token = self._here
        shown = f"`{token.text[:40]}`" if token.kind != "end" else "the end of the text"
        return FilterError.at(token.position, f"{wanted} expected, {shown} found")

    # ---- rules ------------------------------------------------------------------------------------------------------

    def filter(self) -> Tree:
        tree = self._condition(self._or())
        if self._here.kind != "end":
            raise self._unexpected("AND, OR or the end")
        return tree

    def _or(self) -> Expression:
        return self._row("OR", self._and, any_of)

    def _and(self) -> Expression:
        return self._row("AND", self._not, all_of)

    def _row(self, word: str, part: Callable[[], Expression], join: Callable[[list[Tree]], Tree]) -> Expression:
        first = part()
        if not self._here.is_word(word):
            return first
        parts = [self._condition(first)]
        while self._word(word):
            parts.append(self._condition(part()))
        return join(parts)

    def _not(self) -> Expression:
        if not self._here.is_word("NOT"):
            return self._test()
        position = self._next().position
        with _Deeper(self, position):
            return _negated(self._condition(self._not()))

    def _test(self) -> Expression:
        left = self._sum()
        token = self._here
        if token.kind == "operator":
            self._next()
            return self._compared(token, left, _OPS[token.text], self._sum())
        if self._word("IS"):
            return self._is(token, left)
        negated = self._here.is_word("NOT") and self._tokens[self._at + 1].is_word("IN", "LIKE", "BETWEEN")
        self._at += negated
        if self._word("IN"):
            return self._in(token, left, negated=negated)
        if self._word("LIKE"):
            return self._term(Like(self._field(left, token), self._literal(self._sum(), token), negated=negated), token)
        if self._word("BETWEEN"):
            low = self._literal(self._sum(), token)
            if not self._word("AND"):
                raise self._unexpected("AND")
            field = self._field(left, token)
            return self._term(Between(field, low, self._literal(self._sum(), token), negated), token)
        return left

    def _compared(self, token: Token, left: Expression, op: CompareOp, right: Expression) -> Tree:
        if isinstance(left, Literal) and isinstance(right, Field):
            return self._term(Compare(right, MIRRORED[op], left), token)
        if isinstance(left, Literal) and isinstance(right, Literal):
            return self._constant(token, _holds(token, left.value, op, right.value))
        field = self._field(left, token)
        if isinstance(right, Word):
            if op not in {"=", "!="}:
                raise FilterError.at(right.position, f"`{right.text[:40]}` can be compared by = and != only")
            right = self._enumerated(field, right)
        if not isinstance(right, Field | Literal):
            raise FilterError.at(token.position, "a condition cannot be compared")
        tree = self._term(Compare(field, op, right), token)
        return self._or_none(field, tree) if op == "!=" else tree

    def _or_none(self, field: Field, tree: Tree) -> Tree:
        """`!=` and NOT IN on a state hold where there is none."""
        return any_of([tree, IsNull(field)]) if words_of(field) else tree

    def _is(self, token: Token, left: Expression) -> Tree:
        field = self._field(left, token)
        negated = self._word("NOT")
        if self._word("NULL"):
            return self._term(IsNull(field, negated), token)
        value = self._here.is_word("TRUE")
        if not self._word("TRUE", "FALSE"):
            raise self._unexpected("NULL, TRUE or FALSE")
        tree = self._term(Compare(field, "=", Literal(value, token.position)), token)
        return Not(tree) if negated else tree

    def _in(self, token: Token, left: Expression, *, negated: bool) -> Tree:
        field = self._field(left, token)
        self._expect("(")
        values = []
        while True:
            one = self._sum()
            if isinstance(one, Word):
                one = self._enumerated(field, one)
            values.append(self._literal(one, token))
            self._items += 1
            if self._items > MAX_ITEMS:
                raise FilterError.at(token.position, f"more than {MAX_ITEMS} values in lists")
            if not self._mark(","):
                break
        self._expect(")")
        tree = self._term(In(field, tuple(values), negated), token)
        return self._or_none(field, tree) if negated else tree

    def _sum(self) -> Expression:
        return self._folded(self._product, "+", "-")

    def _product(self) -> Expression:
        return self._folded(self._unary, "*", "/")

    def _folded(self, part: Callable[[], Expression], *marks: str) -> Expression:
        left = part()
        while True:
            position = self._here.position
            mark = self._mark(*marks)
            if mark is None:
                return left
            left = Literal(_calculated(position, _number(left, position), mark, _number(part(), position)), position)

    def _unary(self) -> Expression:
        token = self._here
        mark = self._mark("+", "-", "(")
        if mark is None:
            return self._atom()
        with _Deeper(self, token.position):
            if mark == "(":
                found = self._or()
                self._expect(")")
                return found
            value = _number(self._unary(), token.position)
            return Literal(-value if mark == "-" else value, token.position)

    def _atom(self) -> Expression:
        token = self._here
        if token.kind == "text":
            return Literal(text_of(self._next()), token.position)
        if token.kind == "number":
            self._next()
            return Literal(number_of(token), token.position)
        if token.kind not in {"word", "quoted"}:
            raise self._unexpected("a field or a value")
        if token.is_word("TRUE", "FALSE"):
            self._next()
            return Literal(token.text.upper() == "TRUE", token.position)
        if token.is_word(*_KEYWORDS):
            raise self._unexpected("a field or a value")
        return self._named()

    def _named(self) -> Field | Word:
        first = self._next()
        parts = [first]
        while self._mark("."):
            if self._here.kind not in {"word", "quoted"}:
                raise self._unexpected("a name")
            parts.append(self._next())
        if self._here.kind == "mark" and self._here.text == "(":
            raise FilterError.at(first.position, f"functions are not known here: `{first.text[:40]}`")
        names = [name_of(part) for part in parts]
        if len(names) == 1:
            if names[0].lower() in self._fields.attributes:
                return Field(ATTRIBUTES, names[0].lower(), position=first.position)
            return Word(names[0], first.position)
        if names[0] in {"properties", "custom_properties"}:
            accessor = names[2].lower() if len(names) == 3 else ""
            if accessor not in set(Accessor):
                shape = f"{names[0]}.NAME.int_value, .double_value, .string_value or .bool_value"
                raise FilterError.at(first.position, f"a property is written {shape}; other names go in back-quotes")
            return Field(names[0], names[1], Accessor(accessor), position=first.position)
        neighbour = _NEIGHBOUR.fullmatch(names[0])
        if neighbour is None or len(names) != 2:
            raise FilterError.at(first.position, f"`{'.'.join(names)[:80]}` is no field")
        field = Field(neighbour[1], names[1].lower(), alias=neighbour[2], position=first.position)
        self._fields.resolve(field)
        return field

    # ---- meaning ----------------------------------------------------------------------------------------------------

    def _term(self, tree: Tree, token: Token) -> Tree:
        self._terms += 1
        if self._terms > MAX_TERMS:
            raise FilterError.at(token.position, f"more than {MAX_TERMS} comparisons")
        return tree

    def _field(self, one: Expression, token: Token) -> Field:
        if isinstance(one, Word):
            self._fields.resolve(Field(ATTRIBUTES, one.text, position=one.position))  # says what there is
        if not isinstance(one, Field):
            raise FilterError.at(token.position, "a field is needed on the left")
        return one

    def _literal(self, one: Expression, token: Token) -> Literal:
        if isinstance(one, Literal):
            return one
        position = one.position if isinstance(one, Field | Word) else token.position
        raise FilterError.at(position, "a constant is needed here; text needs quotes")

    def _enumerated(self, field: Field, word: Word) -> Literal:
        number = words_of(field).get(word.text)
        if number is None:
            words = ", ".join(words_of(field))
            hint = f"one of {words}" if words else "a constant; text needs quotes"
            raise FilterError.at(word.position, f"`{word.text[:40]}` is not known here: {hint}")
        return Literal(number, word.position)

    def _condition(self, one: Expression) -> Tree:
        """An expression in the place of a condition."""
        if isinstance(one, Word):
            self._fields.resolve(Field(ATTRIBUTES, one.text, position=one.position))
        if isinstance(one, Literal):
            if not isinstance(one.value, bool):
                raise FilterError.at(one.position, "a condition is needed, this is a value")
            return self._constant(Token("", "", one.position), one.value)
        if isinstance(one, Field):
            _, spec = self._fields.resolve(one)
            if spec.type is not FieldType.BOOLEAN:
                raise FilterError.at(one.position, "a condition is needed, this is a field that is not true or false")
            return Compare(one, "=", Literal(True, one.position))
        assert not isinstance(one, Word)  # noqa: S101  (resolve has raised)
        return one

    def _constant(self, token: Token, value: bool) -> Tree:
        """Always true or always false: the id is in no list."""
        return In(Field(ATTRIBUTES, "id", position=token.position), (), negated=value)


class _Deeper:
    """Bounds the recursion."""

    def __init__(self, parser: _Parser, position: Position) -> None:
        self._parser, self._position = parser, position

    def __enter__(self) -> None:
        self._parser._depth += 1  # noqa: SLF001  (of this module)
        if self._parser._depth > MAX_DEPTH:  # noqa: SLF001
            raise FilterError.at(self._position, f"nested deeper than {MAX_DEPTH}")

    def __exit__(self, *_error: object) -> None:
        self._parser._depth -= 1  # noqa: SLF001


def _negated(tree: Tree) -> Tree:
    match tree:
        case And():
            return any_of([_negated(part) for part in tree.parts])
        case Or():
            return all_of([_negated(part) for part in tree.parts])
        case Not():
            return tree.part
        case Compare():
            return replace(tree, op=_NEGATED[tree.op])
        case _:
            return replace(tree, negated=not tree.negated)


def _number(one: Expression, position: Position) -> int | float:
    if not isinstance(one, Literal) or isinstance(one.value, bool | str):
        raise FilterError.at(position, "sums and products are of numbers, not of fields")
    return one.value


def _calculated(position: Position, left: float, mark: str, right: float) -> int | float:
    try:
        value = {"+": lambda: left + right, "-": lambda: left - right, "*": lambda: left * right, "/": lambda: left / right}[
            mark
        ]()
    except (ZeroDivisionError, OverflowError) as error:
        raise FilterError.at(position, str(error)) from error
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise FilterError.at(position, f"a number of more than {MAX_BITS} bits")
    return value


def _holds(token: Token, left: Any, op: CompareOp, right: Any) -> bool:
    kinds = [str if isinstance(value, str) else bool if isinstance(value, bool) else float for value in (left, right)]
    if kinds[0] is not kinds[1]:
        raise FilterError.at(token.position, "values of two types do not compare")
    equal, less = left == right, left < right
    return bool({"=": equal, "!=": not equal, "<": less, "<=": less or equal, ">": not less and not equal, ">=": not less}[op])
