"""Small types that many records show: pairs of text, metrics."""

from collections.abc import Mapping, Sequence
from typing import Any

import graphene

from registry.api.gql.scalars import Double, Int64
from registry.errors import InvalidArgument
from registry.names import check_text

MAX_KEYS = 100


class KeyValue(graphene.ObjectType):
    key = graphene.String(required=True)
    value = graphene.String(required=True)


class Metric(graphene.ObjectType):
    """The latest point of a series."""

    key = graphene.String(required=True)
    value = Double(required=True)
    at = Int64(required=True, description="Milliseconds since 1970-01-01 UTC.")
    step = Int64(required=True)


def pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def pair_list(**arguments: Any) -> Any:
    return graphene.List(graphene.NonNull(KeyValue), required=True, **arguments)


def metric_list(**arguments: Any) -> Any:
    return graphene.List(graphene.NonNull(Metric), required=True, **arguments)


def keys_argument() -> Any:
    return graphene.List(graphene.NonNull(graphene.String), description="Only these; all where none are named.")


def checked_keys(keys: Sequence[str] | None) -> tuple[str, ...] | None:
    """Raises InvalidArgument: too many, or one that cannot be one."""
    if keys is None:
        return None
    if len(keys) > MAX_KEYS:
        raise InvalidArgument(f"at most {MAX_KEYS} keys", field="keys")
    return tuple(check_text(key, "keys", limit=512) for key in keys)
