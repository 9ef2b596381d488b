"""What a record kind can be filtered and ordered by: names and types, so that mistakes are found before SQL."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from registry.filtering.errors import FilterError
from registry.filtering.tree import ATTRIBUTES, Accessor, Field, Scalar


class FieldType(StrEnum):
    INTEGER = "integer"
    REAL = "number"
    TEXT = "text"
    BOOLEAN = "boolean"
    TIME = "time"
    """Stored as ms since 1970 UTC; written as such an integer or as ISO 8601, which is UTC where it names no zone."""
    ENUM = "word"
    """Stored as an integer, written as one of `words`, in quotes or bare, in any case."""
    KEY = "key"
    """An id or reference: compared for equality only, after `convert`."""
    ANY = "any type"
    """A property whose type the value decides: numbers compare with integers and doubles."""


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """`words`: what ENUM stores for each word, in lower case.

    `convert` makes the stored value of a written one (ENUM has none) and raises ValueError; its text comes after the field's name
    in the error. `is_many`: a record may have several values, so that a
    comparison asks for one of them and no order follows from it.
    """

    type: FieldType
    words: Mapping[str, int] = field(default_factory=dict)
    convert: Callable[[Scalar], Scalar] | None = None
    is_many: bool = False

    @property
    def is_orderable(self) -> bool:
        return not self.is_many and self.type is not FieldType.ANY


ACCESSOR_TYPES = {
    Accessor.INT: FieldType.INTEGER,
    Accessor.DOUBLE: FieldType.REAL,
    Accessor.STRING: FieldType.TEXT,
    Accessor.BOOL: FieldType.BOOLEAN,
}


@dataclass(frozen=True, slots=True)
class RecordFields:
    """The fields of one record kind (`kind` is its name in messages).

    `spaces` hold keys that nobody declares ("params", "metrics" …). `neighbours` are for grammars with aliases: space →
    attribute → spec. `synonyms` map other spellings of an attribute or of a space ("attribute", "param") to the right one.
    """

    kind: str
    attributes: Mapping[str, FieldSpec]
    spaces: Mapping[str, FieldSpec] = field(default_factory=dict)
    neighbours: Mapping[str, Mapping[str, FieldSpec]] = field(default_factory=dict)
    synonyms: Mapping[str, str] = field(default_factory=dict)

    def resolve(self, named: Field) -> tuple[Field, FieldSpec]:
        """The field under its right name, and what it is.

        Raises FilterError: no such field; the message names the nearest one.
        """
        if named.alias is not None:
            return named, self._neighbour(named)
        space = self.synonyms.get(named.space, named.space)
        if space == ATTRIBUTES:
            name = named.name if named.name in self.attributes else self.synonyms.get(named.name, named.name)
            spec = self.attributes.get(name)
            if spec is None:
                raise self._unknown(named, named.name, [*self.attributes, *self.synonyms, *self.spaces])
            return Field(ATTRIBUTES, name, position=named.position), spec
        spec = self.spaces.get(space)
        if spec is None:
            raise self._unknown(named, f"{named.space}.{named.name}", [f"{known}.{named.name}" for known in self.spaces])
        if named.accessor is not None:
            if spec.type is not FieldType.ANY:
                raise FilterError.at(named.position, f"`{space}` has one type, {spec.type}: leave out `.{named.accessor}`")
            spec = FieldSpec(ACCESSOR_TYPES[named.accessor])
        return Field(space, named.name, named.accessor, position=named.position), spec

    def _neighbour(self, named: Field) -> FieldSpec:
        attributes = self.neighbours.get(named.space)
        if attributes is None:
            raise self._unknown(named, f"{named.space}_{named.alias}", list(self.neighbours))
        spec = attributes.get(named.name)
        if spec is None:
            raise self._unknown(named, named.name, list(attributes))
        return spec

    def _unknown(self, named: Field, text: str, known: list[str]) -> FilterError:
        shown = text if len(text) <= 80 else f"{text[:80]}…"
        hint = ""
        if text in self.spaces:
            hint = f"; `{text}` needs a key: `{text}.name`"
        elif near := difflib.get_close_matches(text[:80], known, n=1):
            hint = f"; did you mean `{near[0]}`?"
        else:
            hint = f"; there are {', '.join(sorted({*self.attributes, *(f'{space}.…' for space in self.spaces)}))}"
        return FilterError.at(named.position, f"{self.kind} has no field `{shown}`{hint}")
