"""Audit rows and outbox rows, written in the transaction of the change they tell of.

No writer reads an earlier audit row: each carries an HMAC over itself, and the sealer (`sealing.py`) chains committed rows
afterwards. Metrics, params, run tags, steps and agent reports are not audited.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.db.session import Session
from registry.tables.service import audit_events, audit_waiting, outbox, secrets

KEY_NAME = "audit"
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
    event, message = session.next_ids("record", 2)
    row = {
        "id": event,
        "workspace": actor.workspace,
        "at": now,
        "actor": actor.name,
        "action": action,
        "object": object_id,
        "before": _json(before),
        "after": _json(after),
        "request_id": actor.request_id,
    }
    session.insert(audit_events, row | {"mac": mac_of(row, audit_key(session))})
    session.insert(audit_waiting, {"event": event, "workspace": actor.workspace})
    body = {"object": object_id, "action": action, "actor": actor.name, "at": now, "before": before, "after": after}
    session.insert(
        outbox,
        {
            "id": message,
            "workspace": actor.workspace,
            "event": event,
            "topic": topic or action,
            "body": _json(body),
            "created_at": now,
            "claimed_until": None,
            "sent_at": None,
        },
    )


def trim_outbox(session: Session, *, now: int) -> int:
    """Remove the messages of more than a week ago, sent or not; how many. Whoever listens later begins with what is left."""
    return session.execute(sa.delete(outbox).where(outbox.c.created_at < now - KEEP_MS)).rowcount


def mac_of(row: Mapping[str, Any], key: str) -> str:
    """64 hex characters: HMAC-SHA256 over the row's fields as JSON."""
    text = json.dumps([row[field] for field in _MAC_FIELDS], ensure_ascii=False, separators=(",", ":"))
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
