"""A record kind as the filter language sees it, declared once: what its fields are, where their values lie, how they sort.

`Subject.fields` is for the parser, `Subject.resolver` for the compiler, `Subject.sorting` for pages. Keys of spaces are
numbers in the tables; who has a session gives the function that finds them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from registry.filtering.errors import FilterError
from registry.filtering.fields import ACCESSOR_TYPES, FieldSpec, FieldType, RecordFields
from registry.filtering.keyset import SortKey
from registry.filtering.operands import Condition, Operand, Resolver
from registry.filtering.ordering import OrderTerm
from registry.filtering.printing import print_field
from registry.filtering.tree import ATTRIBUTES, Accessor, Field

KeyNumber = Callable[[str], int]
"""The number of a key; one that no row has for a key that nobody has used."""

Query = sa.Select[Any]


@dataclass(frozen=True, slots=True)
class Sorted:
    """A query with what the order reads joined to it, still one row per record, and the value, NULL where missing.

    `rank` is never NULL and comes before the value, ascending in both directions: where some of the missing precede others.
    """

    query: Query
    value: sa.ColumnElement[Any]
    rank: sa.ColumnElement[int] | None = None


Sort = Callable[[Query], Sorted]


@dataclass(frozen=True, slots=True)
class Ranking:
    """The rows that hold the values of one key, none of them missing, and an index that has them in the order of `value`."""

    owner: sa.ColumnElement[int]
    value: sa.ColumnElement[Any]
    where: Sequence[Condition]


PYTHON_TYPES: Mapping[FieldType, type] = {
    FieldType.INTEGER: int,
    FieldType.REAL: float,
    FieldType.TEXT: str,
    FieldType.BOOLEAN: int,
    FieldType.TIME: int,
    FieldType.ENUM: int,
}
"""What a sort value is in Python; a KEY's follows from its column."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """`sort` None: no order (many values, or texts too long for a page token)."""

    spec: FieldSpec
    operand: Operand
    sort: Sort | None = None


@dataclass(frozen=True, slots=True)
class KeySpace:
    """The functions take the key's number and the accessor; the accessor leaves one column.

    `ranking`: where the best records by this value can be found from an index; takes the key's number.
    """

    spec: FieldSpec
    operand: Callable[[int, Accessor | None], Operand]
    sort: Callable[[int, Accessor | None], Sort]
    ranking: Callable[[int], Ranking] | None = None


@dataclass(frozen=True)
class Subject:
    """`kind` is its name in messages, `id` the column that a page ends its order with."""

    kind: str
    id: sa.ColumnElement[int]
    attributes: Mapping[str, Attribute]
    spaces: Mapping[str, KeySpace] = field(default_factory=dict)
    synonyms: Mapping[str, str] = field(default_factory=dict)

    @property
    def fields(self) -> RecordFields:
        return RecordFields(
            kind=self.kind,
            attributes={name: attribute.spec for name, attribute in self.attributes.items()},
            spaces={name: space.spec for name, space in self.spaces.items()},
            synonyms=self.synonyms,
        )

    def resolver(self, key_number: KeyNumber) -> Resolver:
        return _SubjectResolver(self, key_number)

    def ranking(self, term: OrderTerm, key_number: KeyNumber) -> Ranking | None:
        """Where the best records by this term can be found; None: only by looking at all of them."""
        space = self.spaces.get(term.field.space)
        return None if space is None or space.ranking is None else space.ranking(key_number(term.field.name))

    def sorting(self, query: Query, term: OrderTerm, key_number: KeyNumber) -> tuple[Query, list[SortKey]]:
        """The query with what the order reads joined to it, and its keys. `term` comes from `ordering.parse_ordering`.

        Raises FilterError: the field has no order.
        """
        named = term.field
        if named.space == ATTRIBUTES:
            attribute = self.attributes[named.name]
            if attribute.sort is None:
                raise FilterError.at(named.position, f"`{print_field(named)}` has no order")
            by = attribute.sort(query)
            kind = PYTHON_TYPES.get(attribute.spec.type) or next(iter(attribute.operand.columns)).value
            own = attribute.operand.scope is None  # a column of a joined table is NULL where no row is
            return by.query, [SortKey(by.value, kind, term.descending, nullable=not own or attribute.operand.nullable)]
        space = self.spaces[named.space]
        by = space.sort(key_number(named.name), named.accessor)(query)
        type = space.spec.type if named.accessor is None else ACCESSOR_TYPES[named.accessor]
        ranks = [] if by.rank is None else [SortKey(by.rank, int, nullable=False)]
        return by.query, [*ranks, SortKey(by.value, PYTHON_TYPES[type], term.descending)]


@dataclass(frozen=True, slots=True)
class _SubjectResolver:
    subject: Subject
    key_number: KeyNumber

    def operand(self, field: Field) -> Operand:
        if field.space == ATTRIBUTES:
            return self.subject.attributes[field.name].operand
        return self.subject.spaces[field.space].operand(self.key_number(field.name), field.accessor)
