"""One location as each side writes it: a URI of our own object store in records, `mlflow-artifacts:/…` to MLflow's clients, a
link to the server where only its own machine could read it.

Only what lies in our own store is written anew; every other location stays as it was given.
"""

import posixpath
import re
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote, unquote

from registry.catalog.actors import Actor
from registry.catalog.file_keys import key_of
from registry.catalog.run_search import PROXIED
from storage.keys import key_or_none
from storage.locations import normalise_uri
from storage.store import ObjectStore

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


@dataclass(frozen=True)
class Places:
    """As the actor's workspace sees them."""

    store: ObjectStore
    actor: Actor

    def recorded(self, text: str) -> str:
        """As records keep it. `text`: MLflow's URI, a key (as `runs.artifact_root` has it), or any other location."""
        key = key_of(self.store, self.actor, text)
        return text if key is None else self.store.uri(key)

    def shown(self, uri: str) -> str:
        """As MLflow's clients are told it."""
        key = key_of(self.store, self.actor, uri)
        return uri if key is None else PROXIED + key.removeprefix(f"{self.actor.workspace_name}/")


@dataclass(frozen=True)
class Links:
    """For clients that take a location as it is. `base_url`: where the server is reached."""

    store: ObjectStore
    base_url: str

    @cached_property
    def needed(self) -> bool:
        """Whether the store is a folder of this machine: one behind a service is reached by clients as by the server."""
        return is_local(self.store.uri("any"))

    def shown(self, uri: str) -> str:
        """As clients are told it."""
        key = self.store.key_of(uri) if self.needed and is_local(uri) else None
        return uri if key is None else self._before + quote(key)

    def recorded(self, text: str | None) -> str | None:
        """What records have for a link of ours; None for everything else."""
        if text is None or not self.needed or not text.startswith(self._before):
            return None
        key = key_or_none(unquote(text.removeprefix(self._before)))
        return None if key is None else self.store.uri(key)

    @cached_property
    def _before(self) -> str:
        return f"{self.base_url}/api/v1/files/"


def is_local(uri: str) -> bool:
    """Whether it is a path, of this machine or of the client's."""
    return not _SCHEME.match(uri) or uri[:5].lower() == "file:"


def lies_within(uri: str, root: str) -> bool:
    """Whether the location is `root` or lies under it, however the two are spelt."""
    place, around = (_plain(one).rstrip("/") for one in (uri, root))
    return bool(around) and (place == around or place.startswith(f"{around}/"))


def _plain(uri: str) -> str:
    if uri.startswith(PROXIED):
        return PROXIED + posixpath.normpath(uri[len(PROXIED) :].lstrip("/"))
    return normalise_uri(uri)
