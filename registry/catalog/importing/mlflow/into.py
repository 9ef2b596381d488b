"""Where an import goes, and what it cannot take along: texts that no record here can hold."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from registry.catalog.actors import Actor
from registry.catalog.importing.progress import Notes
from registry.catalog.keys import Key
from registry.catalog.places import Places
from registry.catalog.tagging import MAX_VALUE
from registry.errors import InvalidArgument
from registry.names import KeyKind, check_key, check_text


@dataclass(frozen=True)
class Into:
    """`source`: what keys of this source begin with. `placed`: where a location of the source's is to be found from now on."""

    actor: Actor
    places: Places
    source: str
    placed: Callable[[str], str]
    now: int

    def key(self, id: str) -> Key:
        """Of an experiment, whose id there may be another's here."""
        return KeyKind.IMPORTED, f"{self.source}:{id}"

    def recorded(self, location: str) -> str:
        """As records of files keep it."""
        return self.places.recorded(self.placed(location))


def kept_pairs(values: Mapping[str, str], what: str, id: str, notes: Notes) -> dict[str, str]:
    """Those tags or params that can be kept; a note for each other one."""
    kept = {}
    for key, value in values.items():
        try:
            kept[check_key(key)] = check_text(value, "the value", limit=MAX_VALUE)
        except InvalidArgument as error:
            notes.add(what, id, f"{key[:80]!r} is left out: {error.message}")
    return kept


def kept_text(value: str | None, field: str, what: str, id: str, notes: Notes, *, limit: int = MAX_VALUE) -> str | None:
    """The text, or None and a note where it cannot be kept."""
    try:
        return None if value is None else check_text(value, field, limit=limit)
    except InvalidArgument as error:
        notes.add(what, id, error.message)
        return None
