"""What the service itself remembers: workspaces, identities, outside keys, audit, outbox, replays, blobs."""

import sqlalchemy as sa

from registry.tables.base import Blob, Hash, Id, LongText, Millis, Name, ShortName, Small, column, key_id, table

workspaces = table(
    "workspaces",
    key_id(),  # 1 = default
    column("name", Name),
    column("created_at", Millis),
    sa.UniqueConstraint("name"),
)
keys = table(
    "keys",
    column("workspace", Id, primary_key=True, autoincrement=False),
    column("kind", Small, primary_key=True, autoincrement=False),  # names.KeyKind
    column("key", Name, primary_key=True),  # longer than 512: its sha256
    column("node_kind", Small),
    column("node", Id),
    sa.Index(None, "node_kind", "node"),
    sqlite_with_rowid=False,
)
id_aliases = table(
    "id_aliases",
    column("workspace", Id, primary_key=True, autoincrement=False),  # 0: a merge's, answers in all
    column("door", Small, primary_key=True, autoincrement=False),  # 0: every door
    column("kind", Small, primary_key=True, autoincrement=False),
    column("old_id", Id, primary_key=True, autoincrement=False),
    column("node", Id),
    sa.Index(None, "kind", "node"),
    sqlite_with_rowid=False,
)
tokens = table(
    "tokens",
    key_id(),
    column("workspace", Id),
    column("name", Name),
    column("digest", Hash),  # sha256 of the token; the token itself is shown once and not kept
    column("role", Small),  # names.Role
    column("created_by", Name),
    column("created_at", Millis),
    column("expires_at", Millis, null=True),
    column("revoked_at", Millis, null=True),
    sa.UniqueConstraint("digest"),
    sa.Index(None, "workspace", "id"),
)
idempotency = table(
    "idempotency",
    column("workspace", Id, primary_key=True, autoincrement=False),
    column("actor", Hash, primary_key=True),  # sha256 of the identity
    column("key", ShortName, primary_key=True),
    column("request", Hash),  # sha256 of method, path and body
    column("status", Small),
    column("body", Blob),
    column("created_at", Millis),
    sa.Index(None, "created_at"),
    sqlite_with_rowid=False,
)
audit_events = table(
    "audit_events",
    key_id(),
    column("workspace", Id),
    column("at", Millis),
    column("actor", Name),
    column("action", ShortName),
    column("object", Name),
    column("before", LongText, null=True),  # JSON
    column("after", LongText, null=True),  # JSON
    column("request_id", ShortName, null=True),
    column("mac", Hash),  # HMAC-SHA256 over the row
    sa.Index(None, "workspace", "id"),
    sa.Index(None, "workspace", "object", "id"),
)
audit_seals = table(
    "audit_seals",
    column("workspace", Id, primary_key=True, autoincrement=False),
    column("seq", Id, primary_key=True, autoincrement=False),
    column("event", Id),
    column("prev_hash", Hash),
    column("hash", Hash),
    sa.UniqueConstraint("event"),
    sqlite_with_rowid=False,
)
audit_waiting = table(
    "audit_waiting",
    column("event", Id, primary_key=True, autoincrement=False),
    column("workspace", Id),
)
"""Events that the sealer has still to chain: written with the event, gone with its seal."""

outbox = table(
    "outbox",
    key_id(),
    column("workspace", Id),
    column("event", Id),  # the audit event that it tells of
    column("topic", ShortName),
    column("body", LongText),  # JSON
    column("created_at", Millis),
    column("claimed_until", Millis, null=True),
    column("sent_at", Millis, null=True),
    sa.Index(None, "sent_at", "id"),
    sa.Index(None, "created_at"),
)
secrets = table("secrets", column("name", ShortName, primary_key=True), column("value", ShortName))
"""Keys of this installation (audit HMAC) where the environment gives none."""

imports = table(
    "imports",
    column("source", Hash, primary_key=True),  # sha256 of the workspace and the source's address without its password
    column("state", LongText),  # JSON: catalog/importing/progress.py; moves in the transaction that writes the rows
)

blobs = table(
    "blobs",
    key_id(),
    column("workspace", Id),
    column("key", LongText),
    column("key_hash", Hash),
    column("digest", Hash, null=True),  # NULL = unverified
    column("size_bytes", Id),
    column("media_type", ShortName, null=True),
    column("owner_kind", Small, null=True),
    column("owner", Id, null=True),
    column("created_at", Millis),
    column("updated_at", Millis),
    sa.UniqueConstraint("key_hash"),
    sa.Index(None, "owner_kind", "owner", "id"),
)
