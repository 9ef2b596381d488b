"""Where the files of runs and model versions lie, as keys of the object store."""

from registry.catalog.actors import Actor
from registry.catalog.run_search import PROXIED
from storage.keys import key_or_none
from storage.store import ObjectStore


def key_of(store: ObjectStore, actor: Actor, place: str | None) -> str | None:
    """The key of a run's artifact root, a version's source or the like, which a client may have given in any way; None outside of
    the actor's workspace in this store.
    """
    own = f"{actor.workspace_name}/"
    if place is None:
        return None
    if place.startswith(PROXIED) and not place.startswith(f"{PROXIED}/"):  # with a host it is another server's
        return key_or_none(own + place.removeprefix(PROXIED).rstrip("/"))
    key = key_or_none(place.rstrip("/")) if place.startswith(own) else store.key_of(place)
    return key if key is not None and key.startswith(own) else None
