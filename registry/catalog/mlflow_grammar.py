"""What all searches of MLflow's have in common: a filter, and an order of one text a field."""

from collections.abc import Callable, Collection, Sequence

from registry.errors import InvalidFilter
from registry.filtering import FilterError, OrderTerm, Tree, parse
from registry.filtering.parsing import Reader
from registry.filtering.printing import print_field
from registry.filtering.subject import Subject
from registry.filtering.tree import ATTRIBUTES, Field, fields_of, leaves

MAX_ORDER_TERMS = 8


def parsed(text: str) -> Tree | None:
    """None for an empty one. Raises InvalidFilter: with line and column; one of nothing but space is none, as MLflow has it."""
    if text and not text.strip():
        raise InvalidFilter("filter: it is blank", line=1, column=1)
    try:
        return parse(text)
    except FilterError as error:
        raise InvalidFilter(f"filter: {error.message}", line=error.line, column=error.column) from None


def check_attributes(tree: Tree, subject: Subject, allowed: Collection[str]) -> None:
    """Some fields give an order and cannot be filtered by. Raises InvalidFilter."""
    try:
        for field in (field for leaf in leaves(tree) for field in fields_of(leaf)):
            found, _ = subject.fields.resolve(field)
            if found.space == ATTRIBUTES and found.name not in allowed:
                raise FilterError.at(field.position, f"`{print_field(field)}` cannot be filtered by: {', '.join(allowed)} can")
    except FilterError as error:
        raise InvalidFilter(f"filter: {error.message}", line=error.line, column=error.column) from None


def terms_of(
    texts: Sequence[str],
    subject: Subject,
    named: Callable[[Field], Field] = lambda field: field,
    *,
    allowed: Collection[str] | None = None,
) -> list[OrderTerm]:
    """One term a text: `metrics.acc DESC`. `named`: what the door's name of a field means here.

    `allowed`: the attributes that it may be, None for whatever has an order. Raises InvalidFilter.
    """
    terms: list[OrderTerm] = []
    for text in texts:
        try:
            term = _term(text, subject, named, terms)
            if allowed is not None and (term.field.space != ATTRIBUTES or term.field.name not in allowed):
                raise FilterError.at(term.field.position, f"there are {', '.join(allowed)}")
            terms.append(term)
        except FilterError as error:
            shown = text[:80]
            raise InvalidFilter(f"order_by {shown!r}: {error.message}", line=error.line, column=error.column) from None
    return terms


def _term(text: str, subject: Subject, named: Callable[[Field], Field], before: Sequence[OrderTerm]) -> OrderTerm:
    reader = Reader(text)
    field = orderable(named(reader.field()), subject, before)
    word = reader.take_word("ASC", "DESC")
    reader.expect_end("ASC, DESC or the end")
    return OrderTerm(field, descending=word is not None and word.is_word("DESC"))


def orderable(given: Field, subject: Subject, before: Sequence[OrderTerm]) -> Field:
    """The field under its right name. Raises FilterError: it gives no order, or is in the order already."""
    field, spec = subject.fields.resolve(given)
    if field in {term.field for term in before}:
        raise FilterError.at(field.position, f"`{print_field(field)}` is in the order twice")
    if len(before) == MAX_ORDER_TERMS:
        raise FilterError.at(field.position, f"more than {MAX_ORDER_TERMS} fields in the order")
    if not spec.is_orderable:
        raise FilterError.at(field.position, f"`{print_field(field)}` gives no order")
    return field
