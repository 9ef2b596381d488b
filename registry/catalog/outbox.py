"""Audit rows and outbox rows, written in the transaction of the change they tell of.

No writer reads an earlier audit row: each carries an HMAC over itself, and the sealer (`sealing.py`) chains committed rows
afterwards. Metrics, params, run tags, steps and agent reports are not audited.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.db.row_inserts import Plain, RowInsert, run_together
from registry.db.session import Session
from registry.tables.service import audit_events, audit_waiting, outbox, secrets

KEY_NAME = "audit"
Inserted = tuple[RowInsert, Sequence[Sequence[Plain]]]
KEEP_MS = 7 * 24 * 3600 * 1000
_keys: WeakKeyDictionary[sa.Engine, str] = WeakKeyDictionary()
_MAC_FIELDS = ("id", "workspace", "at", "actor", "action", "object", "before", "after", "request_id")


def record(
    session: Session,
    actor: Actor,
    action: str,
    object_id: str,
    *,
    now: int,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    topic: str | None = None,
) -> None:
    """One audit row, and one outbox row under `topic` (default: the action) for those who listen."""
    record_all(session, [Event(actor, action, object_id, now, before, after, topic)])


@dataclass(frozen=True)
class Event:
    """What `record` is given."""

    actor: Actor
    action: str
    object: str
    now: int
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    topic: str | None = None


def record_all(session: Session, events: Sequence[Event]) -> None:
    """As `record`, in this order. Four statements."""
    run_together(session, event_rows(session, events, session.next_ids("record", 2 * len(events))))


def event_rows(session: Session, events: Sequence[Event], ids: Sequence[int]) -> list[Inserted]:
    """What `record_all` inserts, for who has more to insert with it; `ids`: two records' for each event."""
    key = audit_key(session)
    audited, waiting, told = [], [], []
    for event, id, message in zip(events, ids, ids[len(events) :], strict=False):
        actor, before, after = event.actor, _json(event.before), _json(event.after)
        row = (id, actor.workspace, event.now, actor.name, event.action, event.object, before, after, actor.request_id)
        audited.append((*row, _mac(row, key)))
        waiting.append((id, actor.workspace))
        told.append((message, actor.workspace, id, event.topic or event.action, _body(event), event.now, None, None))
    return [(_AUDITED, audited), (_WAITING, waiting), (_TOLD, told)]


_AUDITED, _WAITING, _TOLD = (
    RowInsert(table, [column.name for column in table.columns]) for table in (audit_events, audit_waiting, outbox)
)


def _body(event: Event) -> str | None:
    body = {"object": event.object, "action": event.action, "actor": event.actor.name, "at": event.now}
    return _json(body | {"before": event.before, "after": event.after})


def trim_outbox(session: Session, *, now: int) -> int:
    """Remove the messages of more than a week ago, sent or not; how many. Whoever listens later begins with what is left."""
    return session.execute(sa.delete(outbox).where(outbox.c.created_at < now - KEEP_MS)).rowcount


def mac_of(row: Mapping[str, Any], key: str) -> str:
    """64 hex characters: HMAC-SHA256 over the row's fields as JSON."""
    return _mac([row[field] for field in _MAC_FIELDS], key)


def _mac(values: Sequence[Any], key: str) -> str:
    text = json.dumps(list(values), ensure_ascii=False, separators=(",", ":"))
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def audit_key(session: Session) -> str:
    """The installation's key, which never changes. `registry.catalog.bootstrap` made it."""
    held = _keys.get(session.connection.engine)
    if held is None:
        held = str(session.scalar(sa.select(secrets.c.value).where(secrets.c.name == KEY_NAME)))
        _keys[session.connection.engine] = held
    return held


def _json(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
