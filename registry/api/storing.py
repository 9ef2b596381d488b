"""Files and what is known of them, for every door: the bytes come before their row, the row goes before its bytes."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from starlette.requests import Request

from registry.api.services import Services, now_ms
from registry.api.transfer import receive
from registry.catalog.actors import Actor
from registry.catalog.blobs import HOT_PUT, Blob, NewBlob, check_unused, delete_blobs
from storage.errors import ObjectNotFound
from storage.media import guess_media_type
from storage.store import ObjectStore, Stored

BATCH = 100
"""Files whose rows go in one transaction, each with its audit event."""


async def put_object(
    request: Request, services: Services, actor: Actor, key: str, *, sha256: str | None = None, overwrite: bool = True
) -> tuple[Stored, bool]:
    """The request's body under `key`, and whether that is new.

    Raises:
        InUse: a live deployment serves what stands there.
        InvalidArgument, StorageError: as `receive`.
    """
    place = services.store.uri(key)

    def refuse() -> None:
        services.runner.read(lambda session: check_unused(session, actor, [place]))

    stored = await receive(request, services.store, key, sha256=sha256, overwrite=overwrite, first=refuse)
    return stored, await _noted(services, actor, key, stored)


async def put_bytes(services: Services, actor: Actor, key: str, data: bytes) -> None:
    """What the server itself has to say, under a key where nothing is."""
    media_type = guess_media_type(key)
    stored = await asyncio.to_thread(lambda: services.store.put(key, (data,), size_bytes=len(data), media_type=media_type))
    await _noted(services, actor, key, stored)


async def _noted(services: Services, actor: Actor, key: str, stored: Stored) -> bool:
    """Whether the key is new."""
    blob = Blob(key, stored.sha256, stored.size_bytes, guess_media_type(key), now_ms())
    return await services.runner.agroup(HOT_PUT, NewBlob(actor, blob))


async def delete_objects(services: Services, actor: Actor, keys: Sequence[str]) -> None:
    """Idempotent. Raises InUse: a live deployment serves one of them; all are still there then."""
    store, now = services.store, now_ms()
    parts = [keys[start : start + BATCH] for start in range(0, len(keys), BATCH)]
    for part in parts:
        await services.runner.aread(partial(check_unused, actor=actor, uris=[store.uri(key) for key in part]))
    for part in parts:
        await services.runner.awrite(partial(delete_blobs, actor=actor, keys=part, now=now), replayable=True)
        await asyncio.to_thread(_delete, store, part)


def _delete(store: ObjectStore, keys: Sequence[str]) -> None:
    for key in keys:
        store.delete(key)


async def delete_folder(services: Services, actor: Actor, key: str) -> None:
    """What lies under `key`, and the file of that name. Idempotent. Raises as `delete_objects`."""
    await delete_objects(services, actor, await asyncio.to_thread(_keys_under, services.store, key))


def _keys_under(store: ObjectStore, key: str) -> list[str]:
    found: list[str] = []
    with suppress(ObjectNotFound):
        found.append(store.stat(key).key)
    after = None
    while True:
        page = store.list(f"{key}/", after)
        found += [one.key for one in page.objects]
        after = page.next_after
        if after is None:
            return found
