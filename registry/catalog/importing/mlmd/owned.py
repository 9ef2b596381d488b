"""What records of a Model Registry have in common: fields as declared properties, and names with their owner's id in front."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from registry.catalog.properties import Properties
from registry.names import Lifecycle

_OWNED = re.compile(r"(\d{1,18}):(.*)", re.DOTALL)
_LOOSE = re.compile(r"(?:\d{1,18}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}):(.+)", re.DOTALL)


@dataclass(frozen=True)
class Record:
    """A context that is about to be written. What is known better of it here changes `row`."""

    row: dict[str, Any]
    properties: Properties


@dataclass(frozen=True)
class Owned:
    """`ids`: ours, by the source's, of contexts that are there; those that are not are not here either."""

    ids: Mapping[int, int]

    def of(self, record: Record, field: str) -> int | None:
        """The record that a field of another one names by its id."""
        found = record.properties.declared.get(field)
        number = found.value if found is not None else None
        if isinstance(number, str) and number.isdecimal():
            number = int(number)
        return self.ids.get(number) if isinstance(number, int) else None


def owner_in(name: str | None) -> int | None:
    """The owner's id in the source."""
    found = _OWNED.fullmatch(name or "")
    return int(found[1]) if found else None


def split(name: str | None, owned: Owned) -> tuple[int, str]:
    """The owner here, 0 if there is none, and the name under it."""
    found = _OWNED.fullmatch(name or "")
    return (owned.ids.get(int(found[1]), 0), found[2]) if found else (0, name or "")


def bare_name(record: Record) -> str:
    """Of an artifact: without its owner's id, or the UUID that stands there for none; its own id if it has no name."""
    name = record.row["name"] or str(record.row["id"])
    found = _LOOSE.fullmatch(name)
    return found[1] if found else name


def text_of(record: Record, field: str) -> str | None:
    found = record.properties.declared.get(field)
    return found.value if found is not None and isinstance(found.value, str) and found.value else None


def time_of(record: Record, field: str) -> int | None:
    """Milliseconds; written as an integer or as its text."""
    found = record.properties.declared.get(field)
    value = found.value if found is not None else None
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    return value if isinstance(value, int) and 0 < value < 2**63 else None


def lifecycle_of(record: Record) -> Lifecycle:
    return Lifecycle.ARCHIVED if text_of(record, "state") == "ARCHIVED" else Lifecycle.ACTIVE
