"""Aliases, stages and the history of their moves. Only `registry/catalog/targets.py` writes these tables."""

import sqlalchemy as sa

from registry.tables.base import Id, LongText, Millis, Name, ShortName, Small, column, key_id, table

aliases = table(
    "aliases",
    column("model", Id, primary_key=True, autoincrement=False),
    column("alias", ShortName, primary_key=True),
    column("model_version", Id),
    column("moved_at", Millis),
    sa.Index(None, "model_version"),
    sqlite_with_rowid=False,
)
stages = table(
    "stages",
    column("model_version", Id, primary_key=True, autoincrement=False),
    column("model", Id),
    column("stage", ShortName),
    column("moved_at", Millis),
    sa.Index(None, "model", "stage"),
    sqlite_with_rowid=False,
)
target_moves = table(
    "target_moves",
    key_id(),
    column("model", Id),
    column("kind", Small),  # names.TargetKind
    column("target", ShortName),
    column("from_version", Id, null=True),
    column("to_version", Id, null=True),
    column("actor", Name),
    column("reason", LongText, null=True),
    column("at", Millis),
    sa.Index(None, "model", "kind", "target", "id"),
)
