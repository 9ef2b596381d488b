"""`order_by`: fields, each with ASC (the default) or DESC, with commas between them."""

from collections.abc import Iterable
from dataclasses import dataclass

from registry.filtering.errors import FilterError
from registry.filtering.fields import RecordFields
from registry.filtering.lexing import TokenKind
from registry.filtering.parsing import Reader
from registry.filtering.printing import print_field
from registry.filtering.tree import Field

MAX_ORDER_TERMS = 8


@dataclass(frozen=True, slots=True)
class OrderTerm:
    """Missing values come last in both directions; who makes the SQL sees to it."""

    field: Field
    descending: bool = False


def parse_ordering(text: str, fields: RecordFields) -> tuple[OrderTerm, ...]:
    """`metrics.acc DESC, created_at`; nothing but space is no order.

    Raises FilterError: it does not parse, a field is unknown, has no order, or is named twice.
    """
    reader = Reader(text)
    terms: list[OrderTerm] = []
    if reader.peek.kind is TokenKind.END:
        return ()
    while True:
        terms.append(_term(reader, fields, terms))
        if reader.take(",") is None:
            reader.expect_end("ASC, DESC, `,` or the end")
            return tuple(terms)


def _term(reader: Reader, fields: RecordFields, before: list[OrderTerm]) -> OrderTerm:
    field, spec = fields.resolve(reader.field())
    if not spec.is_orderable:
        reason = "has many values" if spec.is_many else "has no type of its own: add `.int_value` or another"
        raise FilterError.at(field.position, f"`{print_field(field)}` gives no order: it {reason}")
    if field in {term.field for term in before}:
        raise FilterError.at(field.position, f"`{print_field(field)}` is in the order twice")
    if len(before) == MAX_ORDER_TERMS:
        raise FilterError.at(field.position, f"more than {MAX_ORDER_TERMS} fields in the order")
    word = reader.take_word("ASC", "DESC")
    return OrderTerm(field, descending=word is not None and word.is_word("DESC"))


def print_ordering(terms: Iterable[OrderTerm]) -> str:
    return ", ".join(print_field(term.field) + (" DESC" if term.descending else "") for term in terms)
