"""Records that were read together, and what hangs on them, read for all of them at once.

A resolver sees one record; a list of 200 asks 200 resolvers. So each record knows the cohort that it came with, and the first
one that is asked for a relation reads it for the whole cohort: the statements of an operation depend on its text, not on how
many records there are. What one such reading finds is a cohort again. No event loop, no loader objects, no order of calls
that matters.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from lineage.trails import Trails
from registry.catalog.actors import Actor
from registry.db.session import Session


class Numbered(Protocol):
    """Any record of the catalog."""

    @property
    def id(self) -> int: ...


T = TypeVar("T", bound=Numbered)
R = TypeVar("R", bound=Numbered)
V = TypeVar("V")
Reader = Callable[[Session, Actor, Sequence[int]], Sequence[R]]


@dataclass(frozen=True)
class Context:
    """What resolvers get: one read session, who asks, and the listings that go on."""

    session: Session
    actor: Actor
    trails: Trails = field(default_factory=Trails)


@dataclass
class Cohort(Generic[T]):
    records: Sequence[T]
    _found: dict[Hashable, Any] = field(default_factory=dict)

    def once(self, key: Hashable, load: Callable[[Sequence[T]], V]) -> V:
        """What `load` gives for all records of the cohort; called once for each key."""
        if key not in self._found:
            self._found[key] = load(self.records)
        found: V = self._found[key]
        return found


@dataclass(frozen=True)
class One(Generic[T]):
    """A record among those that were read with it. Shows the record's own attributes."""

    record: T
    cohort: Cohort[T]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.record, name)


def together(records: Sequence[T]) -> list[One[T]]:
    cohort = Cohort(records)
    return [One(record, cohort) for record in records]


def alone(record: T | None) -> One[T] | None:
    return None if record is None else together([record])[0]


def values(one: One[T], key: Hashable, load: Callable[[Sequence[int]], Mapping[int, V]], default: V) -> V:
    """A value of each record of the cohort, by the records' ids."""
    found = one.cohort.once(key, lambda records: load([record.id for record in records]))
    return found.get(one.record.id, default)


def parent(
    one: One[T], context: Context, name: str, number_of: Callable[[T], int | None], read: Callable[..., Sequence[R]]
) -> One[R] | None:
    """The one record that each of the cohort points to; None where it points to none, or to one that is not here."""

    def load(records: Sequence[T]) -> dict[int, One[R]]:
        numbers = sorted({number for record in records if (number := number_of(record)) is not None})
        return by_id(read(context.session, context.actor, numbers)) if numbers else {}

    number = number_of(one.record)
    return None if number is None else one.cohort.once(name, load).get(number)


def by_id(records: Iterable[R]) -> dict[int, One[R]]:
    return {one.record.id: one for one in together(list(records))}
