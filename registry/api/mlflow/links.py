"""Calls about bytes that go between a client and the object store directly, by links that we sign.

A link lives 15 minutes and is for one key of the caller's workspace. What came by one has no digest until the verifier has read
it. Offered only where links lead to an address that clients reach; else 501, upon which clients use the proxy.
"""

import asyncio
import hashlib
import posixpath
from collections.abc import Sequence

from registry.api.mlflow.calls import Answer, Call
from registry.api.mlflow.fields import invalid, missing
from registry.api.mlflow.files import found_run, inside, key_of_run, proxied
from registry.catalog.blobs import Blob, check_unused, put_blob
from registry.errors import NotFound, NotSupported
from storage.errors import ObjectNotFound, UploadNotFound
from storage.media import guess_media_type
from storage.store import PARTS_MAX, ObjectStat, ObjectStore, Part

LINK_S = 900


async def download(call: Call) -> Answer:
    _require_links(call, "download")
    url, size = await _read_link(call, proxied(call, call.rest), call.rest, LINK_S)
    return {"url": url, "headers": {}, "file_size": size}


async def download_of_run(call: Call) -> Answer:
    key, lifetime = await _of_run(call), _lifetime(call)
    _require_links(call, "download")
    url, size = await _read_link(call, key, call.fields.required("path"), lifetime)
    return {"presigned_url": url, "headers": {}, "file_size": size}


async def upload_of_run(call: Call) -> Answer:
    """The file is known from now on, as one whose bytes nobody has read."""
    if call.fields.text("model_id"):
        raise NotSupported("files of logged models are uploaded through the proxy")
    key, lifetime = await _of_run(call), _lifetime(call)
    _require_links(call, "upload")
    await _check_unused(call, key)
    await _note(call, key, 0)
    return {"presigned_url": await asyncio.to_thread(call.services.store.presigned_put, key, lifetime), "headers": {}}


async def begin(call: Call) -> Answer:
    """A multipart upload, and a link for each of its parts."""
    key, store = _target(call), call.services.store
    count = call.fields.integer("num_parts") or 1
    if not 1 <= count <= PARTS_MAX:
        raise invalid("num_parts", count, f"an upload has at most {PARTS_MAX} parts")
    await _check_unused(call, key)

    def begun() -> tuple[str, list[str | None]]:
        upload = store.start_multipart(key)
        return upload, [store.presigned_part(key, upload, number, LINK_S) for number in range(1, count + 1)]

    upload, urls = await asyncio.to_thread(begun)
    credentials: list[dict[str, object]] = [
        {"url": url, "part_number": number, "headers": {}} for number, url in enumerate(urls, 1)
    ]
    return {"upload_id": upload, "credentials": credentials}


async def complete(call: Call) -> Answer:
    """Sent again after it was done, it is done."""
    key, upload, store = _target(call), call.fields.required("upload_id"), call.services.store
    parts = [Part(item.integer("part_number") or 0, item.required("etag").strip('"')) for item in call.fields.items("parts")]
    if not parts:
        raise missing("parts")
    await _check_unused(call, key)
    try:
        stat = await asyncio.to_thread(store.complete_multipart, key, upload, sorted(parts, key=lambda part: part.number))
    except UploadNotFound:
        stat = await asyncio.to_thread(_completed, store, key, parts)
    await _note(call, key, stat.size_bytes)
    call.services.verifier.soon(key)
    return {}


async def abort(call: Call) -> Answer:
    key, upload = _target(call), call.fields.required("upload_id")
    await asyncio.to_thread(call.services.store.abort_multipart, key, upload)
    return {}


async def _of_run(call: Call) -> str:
    """The key of a file that a call names inside of a run."""
    path = call.fields.required("path")
    return inside(key_of_run(call, await found_run(call)), path)


def _target(call: Call) -> str:
    """The key of a file in the folder of the call's path. Clients give its path on their machine: its last word counts."""
    _require_links(call, "multipart")
    name = call.fields.required("path").replace("\\", "/")
    return proxied(call, posixpath.join(call.rest, posixpath.basename(name)))


_UNSUPPORTED = {
    "multipart": "Multipart upload is not supported for the current artifact repository",
    "upload": "Presigned upload is not supported for the current artifact repository",
    "download": "Presigned download is not supported for the current artifact repository",
}
"""As clients know them: by these words one of them knows that it has to use the proxy."""


def _require_links(call: Call, what: str) -> None:
    if not call.services.store.has_public_links:
        raise NotSupported(f"{_UNSUPPORTED[what]}: it signs no links that lead to an address for clients")


def _lifetime(call: Call) -> int:
    """Seconds: what is asked for, and no more than ours."""
    asked = call.fields.integer("expiration")
    if asked is not None and asked < 1:
        raise invalid("expiration", asked, "a link lives for at least a second")
    return LINK_S if asked is None else min(asked, LINK_S)


async def _read_link(call: Call, key: str, shown: str, lifetime: int) -> tuple[str | None, int]:
    store = call.services.store

    def made() -> tuple[str | None, int]:
        return store.presigned_get(key, lifetime, file_name=key), store.stat(key).size_bytes

    try:
        return await asyncio.to_thread(made)
    except ObjectNotFound:
        raise NotFound("artifact", shown) from None


async def _check_unused(call: Call, key: str) -> None:
    await call.runner.aread(lambda session: check_unused(session, call.actor, [call.services.store.uri(key)]))


async def _note(call: Call, key: str, size: int) -> None:
    """The file's row, with no digest yet."""
    blob = Blob(key, None, size, guess_media_type(key), call.now)
    await call.runner.awrite(lambda session: put_blob(session, call.actor, blob, now=call.now), replayable=True)


def _completed(store: ObjectStore, key: str, parts: Sequence[Part]) -> ObjectStat:
    """The object, if it is made of just these parts. Raises UploadNotFound."""
    try:
        digests = b"".join(bytes.fromhex(part.etag) for part in sorted(parts, key=lambda part: part.number))
        stat = store.stat(key)
    except (ValueError, ObjectNotFound):
        raise UploadNotFound(key, "") from None
    if stat.etag != f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}":
        raise UploadNotFound(key, "")
    return stat
