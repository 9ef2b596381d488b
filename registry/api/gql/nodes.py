"""`Node`: what has an id of its own. Each kind of record says here what its type is and how its ids are read, many at once."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import graphene

from registry.api.gql.cohorts import Context, One, by_id
from registry.errors import InvalidName
from registry.names import IdPrefix, parse_id

TYPES: dict[type, Any] = {}
"""From a record's class to its type in the schema."""

READERS: dict[str, Callable[[Context, Sequence[str]], Mapping[str, One[Any]]]] = {}
"""By the first part of an id: the records of those ids that are here."""


class Node(graphene.Interface):
    """Anything with an id of its own."""

    id = graphene.ID(required=True)

    @classmethod
    def resolve_type(cls, instance: Any, info: Any) -> Any:
        return TYPES[type(instance.record)]


class Record(graphene.ObjectType):
    """What all types that are nodes do."""

    class Meta:
        abstract = True

    def resolve_id(self: Any, info: Any) -> str:
        return str(self.own_id)


def readable(prefix: IdPrefix, read: Callable[..., Sequence[Any]], one_by_one: Callable[..., Any] | None = None) -> None:
    """Ids of this prefix are read by `read(session, actor, numbers)`; `one_by_one` finds those that a merge has renamed."""

    def find(context: Context, ids: Sequence[str]) -> dict[str, One[Any]]:
        numbers = numbered(prefix, ids)
        found = by_id(read(context.session, context.actor, sorted(set(numbers.values()))))
        answer = {id: found[number] for id, number in numbers.items() if number in found}
        if one_by_one is not None:
            missing = {id: number for id, number in numbers.items() if number not in found}
            renamed = {id: one_by_one(context.session, context.actor, number) for id, number in missing.items()}
            ones = by_id(record for record in renamed.values() if record is not None)
            answer |= {id: ones[record.id] for id, record in renamed.items() if record is not None}
        return answer

    READERS[prefix] = find


def numbered(prefix: IdPrefix, ids: Sequence[str]) -> dict[str, int]:
    """The integer of each id; what is no id is left out."""
    found = {}
    for id in ids:
        try:
            found[id] = parse_id(prefix, id)
        except InvalidName:
            continue
    return found


def find_nodes(context: Context, ids: Sequence[str]) -> list[One[Any] | None]:
    """One for each id, None for what is not here; a constant number of statements for each kind of id."""
    by_prefix: dict[str, list[str]] = defaultdict(list)
    for id in dict.fromkeys(ids):
        by_prefix[id.partition("_")[0]].append(id)
    found: dict[str, One[Any]] = {}
    for prefix, own in by_prefix.items():
        if prefix in READERS:
            found.update(READERS[prefix](context, own))
    return [found.get(id) for id in ids]
