"""The whole Kubernetes object of a final report, kept as bytes: what the translation leaves out can be read later.

Content-addressed under a prefix that no workspace's files have. The bytes are stored first, then the row; an object has those of
its newest report or none, whatever the order of arrival: of two contents of one report the greater digest.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.reports import ranking
from registry.catalog.reports.record import Report
from registry.catalog.run_lookup import get_run_ref
from registry.db.session import Session
from registry.errors import InvalidArgument, NotFound
from registry.names import sha256
from registry.tables.runs import objects
from registry.tables.service import blobs

PREFIX = ".lineal/objects/"
MEDIA_TYPE = "application/json"
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True)
class Source:
    """`data`: JSON with sorted keys."""

    data: bytes

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def key(self) -> str:
        return f"{PREFIX}{self.digest[:2]}/{self.digest}.json"


class _Sent(msgspec.Struct):
    source: dict[str, Any] | None = None


def source_of(body: bytes, report: Report) -> Source | None:
    """The `source` of a body that is a report, if it is final; without what only the API server needs: who wrote which field,
    and the copy that kubectl keeps of what was applied, in which a secret would outlive its removal.

    Raises InvalidArgument: it is no JSON object.
    """
    try:
        content = msgspec.json.decode(body, type=_Sent).source
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidArgument(f"source is no object: {error}", field="source") from error
    if not content or not report.status.is_final:
        return None
    metadata = content.get("metadata")
    if isinstance(metadata, dict):
        metadata.pop("managedFields", None)
        annotations = metadata.get("annotations")
        if isinstance(annotations, dict):
            annotations.pop(_LAST_APPLIED, None)
    return Source(msgspec.json.encode(content, order="sorted"))


def keep_source(session: Session, object_id: int, report: Report, source: Source, *, now: int) -> None:
    """After its bytes are there and `report` was applied. Does nothing if a newer report of the object is there."""
    session.lock(objects, [object_id])
    query = sa.select(objects.c.report_rank, objects.c.workspace, objects.c.blob, blobs.c.digest)
    held = session.first(query.join(blobs, blobs.c.id == objects.c.blob, isouter=True).where(objects.c.id == object_id))
    if held is None or ranking.loaded(held.report_rank) != ranking.rank_of(report) or (held.digest or "") >= source.digest:
        return
    row = {
        "id": session.next_id("record"),
        "workspace": held.workspace,
        "key": source.key,
        "key_hash": sha256(source.key),
        "digest": source.digest,
        "size_bytes": len(source.data),
        "media_type": MEDIA_TYPE,
        "owner_kind": None,
        "owner": None,
        "created_at": now,
        "updated_at": now,
    }
    session.insert_if_absent(blobs, row)
    made = session.scalar(sa.select(blobs.c.id).where(blobs.c.key_hash == row["key_hash"]))
    session.execute(sa.update(objects).where(objects.c.id == object_id).values(blob=made))
    _forget(session, held.blob)


def is_kept(session: Session, object_id: int, source: Source) -> bool:
    """Whether keeping it would change nothing, its report being the newest of the object."""
    return bool((session.scalar(_DIGEST, {"object": object_id}) or "") >= source.digest)


_DIGEST = sa.select(blobs.c.digest).join(objects, objects.c.blob == blobs.c.id).where(objects.c.id == sa.bindparam("object"))


def drop_source(session: Session, object_id: int, held: int | None) -> None:
    """A newer report of the object has come: what is kept, the blob `held`, is not its content any more."""
    if held is not None:
        session.execute(sa.update(objects).where(objects.c.id == object_id).values(blob=None))
        _forget(session, held)


def _forget(session: Session, blob: int | None) -> None:
    """The row, unless another object has the same content; the sweeper removes the bytes."""
    if blob is not None:
        session.execute(sa.delete(blobs).where(blobs.c.id == blob, ~sa.exists().where(objects.c.blob == blob)))


def find_source(session: Session, actor: Actor, hex: str) -> str:
    """The key of the bytes of the newest object that the run comes from. Raises NotFound: no such run, or nothing is kept."""
    ref = get_run_ref(session, actor.workspace, hex)
    query = (
        sa.select(objects.c.report_rank, blobs.c.key)
        .join(blobs, blobs.c.id == objects.c.blob)
        .where(objects.c.run == ref.id, objects.c.step.is_(None))
    )
    found = session.all(query)
    if not found:
        raise NotFound("source of run", f"run_{ref.hex}")
    return str(max(found, key=lambda row: ranking.loaded(row.report_rank)).key)
