"""What the service knows of the bytes in its object store: one row per key, written after the bytes and removed before them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import sqlalchemy as sa

from registry.catalog import deployment_users
from registry.catalog.actors import Actor
from registry.catalog.artifacts import location_hash
from registry.catalog.outbox import record
from registry.db.coalescing import HotKind
from registry.db.row_inserts import Plain, RowInsert, ignored
from registry.db.row_reads import RowRead
from registry.db.session import Session
from registry.errors import InUse, RegistryError
from registry.names import Lifecycle, sha256
from registry.tables.graph import artifacts
from registry.tables.models import model_versions
from registry.tables.service import blobs


@dataclass(frozen=True)
class Blob:
    """`digest`: sha256 of the bytes, None while nobody has computed it."""

    key: str
    digest: str | None
    size_bytes: int
    media_type: str | None
    updated_at: int


@dataclass(frozen=True)
class NewBlob:
    """Whose bytes are there. `blob.updated_at` is the time."""

    actor: Actor
    blob: Blob


_OF_KEY = (
    blobs.c.key_hash == sa.bindparam("hash", type_=sa.String()),
    blobs.c.workspace == sa.bindparam("workspace", type_=sa.BigInteger()),
)
_BY_KEY = sa.select(blobs).where(*_OF_KEY)


def find_blob(session: Session, actor: Actor, key: str) -> Blob | None:
    row = session.first(_BY_KEY, {"hash": sha256(key), "workspace": actor.workspace})
    return None if row is None else Blob(row.key, row.digest, row.size_bytes, row.media_type, row.updated_at)


def find_digest(session: Session, actor: Actor, key: str) -> str | None:
    """The sha256 of the bytes, None where nobody knows it."""
    rows = _DIGEST.run(session, hash=sha256(key), workspace=actor.workspace)
    return rows[0][0] if rows else None


_DIGEST = RowRead(lambda: sa.select(blobs.c.digest).where(*_OF_KEY))


def find_digests(session: Session, actor: Actor, keys: Sequence[str]) -> dict[str, str]:
    """The sha256 of those that have one, by key; one statement. At most 1,000 keys."""
    hashes = [sha256(key) for key in keys]
    query = sa.select(blobs.c.key, blobs.c.digest).where(
        blobs.c.key_hash.in_(hashes), blobs.c.workspace == actor.workspace, blobs.c.digest.is_not(None)
    )
    return {row.key: row.digest for row in session.all(query)}


def put_blob(session: Session, actor: Actor, blob: Blob, *, now: int) -> bool:
    """After its bytes are there; True if the key is new. Other bytes under a key that was there are audited."""
    return put_blobs(session, [NewBlob(actor, replace(blob, updated_at=now))]) == [True]


def put_blobs(session: Session, wanted: Sequence[NewBlob]) -> list[bool | RegistryError]:
    """As `put_blob`, of each. Two statements where all keys are new."""
    ids = session.next_ids("record", len(wanted))
    hashes = [sha256(new.blob.key) for new in wanted]
    order = sorted(range(len(wanted)), key=lambda index: hashes[index])
    if _BLOBS.run(session, [_row(wanted[index], ids[index], hashes[index]) for index in order]) == len(wanted):
        return [True] * len(wanted)
    query = sa.select(blobs.c.key_hash, blobs.c.id).where(blobs.c.key_hash.in_(hashes))
    held = {row.key_hash: row.id for row in session.all(query)}
    for index in order:
        if held.get(hashes[index]) != ids[index]:
            _overwrite(session, wanted[index], hashes[index])
    return [held.get(hash) == id for hash, id in zip(hashes, ids, strict=True)]


HOT_PUT: HotKind[NewBlob, bool] = HotKind("put file", put_blobs)


def _row(new: NewBlob, id: int, hash: str) -> tuple[Plain, ...]:
    """In the order of the table's columns."""
    blob, now = new.blob, new.blob.updated_at
    return id, new.actor.workspace, blob.key, hash, blob.digest, blob.size_bytes, blob.media_type, None, None, now, now


_BLOBS = RowInsert(blobs, [column.name for column in blobs.columns], ignored)


def _overwrite(session: Session, new: NewBlob, hash: str) -> None:
    blob, now = new.blob, new.blob.updated_at
    before = find_blob(session, new.actor, blob.key)
    values = {"digest": blob.digest, "size_bytes": blob.size_bytes, "media_type": blob.media_type, "updated_at": now}
    session.execute(sa.update(blobs).where(blobs.c.key_hash == hash).values(**values))
    if before is not None and before.digest != blob.digest:
        old, changed = {"digest": before.digest}, {"digest": blob.digest}
        record(session, new.actor, "file.overwritten", _object(blob.key), now=now, before=old, after=changed)


def delete_blobs(session: Session, actor: Actor, keys: Sequence[str], *, now: int) -> None:
    """Before their bytes go. Idempotent."""
    where = (blobs.c.key_hash.in_([sha256(key) for key in keys]), blobs.c.workspace == actor.workspace)
    found = session.all(sa.select(blobs.c.id, blobs.c.key, blobs.c.digest).where(*where).order_by(blobs.c.id))
    session.execute(sa.delete(blobs).where(blobs.c.id.in_([row.id for row in found])))
    for row in found:
        record(session, actor, "file.deleted", _object(row.key), now=now, before={"digest": row.digest})


def known_keys(session: Session, uris: Mapping[str, str]) -> set[str]:
    """Those keys of the object store (with their URIs) that a record knows. Three statements, whatever their number.

    By its row, or because it is, or lies under, the files of an artifact or a version: who has the store's own credentials writes
    there without telling us.
    """
    digests = {sha256(key): key for key in uris}
    found = {digests[digest] for digest in session.scalars(sa.select(blobs.c.key_hash).where(blobs.c.key_hash.in_(digests)))}
    places = {key: {location_hash(place) for place in _upwards(uri)} for key, uri in uris.items() if key not in found}
    asked = sorted({str(digest) for hashes in places.values() for digest in hashes})
    held: set[str | None] = set()
    for column in (artifacts.c.location_hash, model_versions.c.location_hash):
        held |= set(session.scalars(sa.select(column).where(column.in_(asked)).distinct()))
    return found | {key for key, hashes in places.items() if not hashes.isdisjoint(held)}


def check_unused(session: Session, actor: Actor, uris: Sequence[str]) -> None:
    """Raises InUse: one of them is, or lies under, the files of a version that a live deployment serves. At most 1,000."""
    hashes = sorted({str(location_hash(place)) for uri in uris for place in _upwards(uri)})
    versions = session.scalars(_versions_of_places(), {"hashes": hashes, "workspace": actor.workspace})
    found = deployment_users.users_of(session, sorted(versions)) if versions else {}
    users = sorted({user for names in found.values() for user in names})
    if users:
        raise InUse(f"these files are in use by {', '.join(users)}", users)


@cache
def _versions_of_places() -> Any:
    """Whose files are at one of `hashes`."""
    hashes: Any = sa.bindparam("hashes", expanding=True)
    workspace: Any = sa.bindparam("workspace")
    held = sa.select(model_versions.c.id).where(
        model_versions.c.workspace == workspace, model_versions.c.lifecycle != Lifecycle.DELETED
    )
    files = sa.select(artifacts.c.id).where(artifacts.c.location_hash.in_(hashes), artifacts.c.workspace == workspace)
    return sa.union(held.where(model_versions.c.location_hash.in_(hashes)), held.where(model_versions.c.artifact.in_(files)))


def _upwards(uri: str) -> Iterator[str]:
    """The place and the folders it lies in, up to the root of its store."""
    place = uri
    while place and not place.endswith(("//", ":")):
        yield place
        place = place.rpartition("/")[0]


def _object(key: str) -> str:
    return f"file:{key}"[:512]
