"""The graph: types, the three kinds of nodes, and the edges between them.

The shape is ML Metadata's, whose clients see these ids. `scope` is where names, types and external ids are unique;
`workspace` is who may see the row. A node row keeps its properties as one blob (what reads return); `properties` has one
narrow row per scalar (what filters use). One function writes both: `registry/catalog/properties.py`.
"""

import sqlalchemy as sa

from registry.tables.base import (
    Blob,
    Hash,
    Id,
    LongText,
    Millis,
    Name,
    Prefix,
    Real,
    ShortName,
    Small,
    column,
    key_id,
    table,
    where_given,
)

types = table(
    "types",
    key_id(),
    column("kind", Small),  # names.NodeKind
    column("scope", Id),  # 0: built in, seen from every scope
    column("name", ShortName),
    column("version", ShortName),  # "" = unversioned
    column("description", LongText, null=True),
    column("external_id", Name, null=True),
    column("base_type", Small, null=True),
    column("properties", Blob),  # JSON {"properties": {name: MLMD property type number}, …}: registry/catalog/graph_types.py
    sa.UniqueConstraint("scope", "kind", "name", "version"),
    sa.UniqueConstraint("scope", "external_id"),
)


def _node(name: str, *own: sa.Column[object]) -> sa.Table:
    return table(
        name,
        key_id(),
        column("scope", Id),
        column("workspace", Id),
        column("listed", Small),  # 1: user type, shown in MLMD's unfiltered lists
        column("type_id", Id),
        column("name", Name, null=True),
        column("name_key", Name, null=True),  # what is unique; NULL frees the name
        column("external_id", Name, null=True),
        column("state", Small, null=True),
        column("created_at", Millis),
        column("updated_at", Millis),
        column("version", Id),  # moves with every change of what the record shows: its ETag
        column("deleted_at", Millis, null=True),
        column("properties", Blob, null=True),  # registry/catalog/properties.py; NULL = none
        *own,
        sa.UniqueConstraint("scope", "type_id", "name_key"),
        sa.UniqueConstraint("scope", "external_id"),
        sa.Index(None, "workspace", "type_id", "id"),
        sa.Index(None, "scope", "listed", "id"),
        sa.Index(None, "scope", "listed", "created_at", "id"),
        sa.Index(None, "scope", "listed", "updated_at", "id"),
    )


contexts = _node("contexts")
executions = _node("executions")
artifacts = _node(
    "artifacts",
    column("kind", Small),  # names.ArtifactKind
    column("uri", LongText, null=True),  # as given
    column("location_hash", Hash, null=True),  # sha256 of the normalised location
    column("folder_hash", Hash, null=True),  # the same of the folder that it lies in
    column("digest", Hash, null=True),  # sha256 of the bytes; NULL = unverified
    column("size_bytes", Id, null=True),
    column("readiness", Small, null=True),  # names.Readiness
    column("media_type", ShortName, null=True),
    column("display_name", Name, null=True),
    column("description", LongText, null=True),
    column("step", Id, null=True),  # execution that made it
    column("port", Name, null=True),  # under which output name
    column("author", Small),  # names.Author
)
sa.Index(None, artifacts.c.location_hash, artifacts.c.id)
sa.Index(None, artifacts.c.folder_hash, artifacts.c.id)
sa.Index(None, artifacts.c.step)
sa.Index(None, artifacts.c.workspace, artifacts.c.kind, artifacts.c.id)

events = table(
    "events",
    key_id(),
    column("artifact", Id),
    column("execution", Id),
    column("type", Small),  # MLMD's numbers: names.EventType
    column("at", Millis),
    column("port", Name, null=True),  # first key step of the path
    column("path", Blob, null=True),  # JSON list of steps; NULL = none
    column("tags", Blob, null=True),  # JSON {key: value}: MLflow's input tags
    column("purpose", Name, null=True),  # the one of them that filters know: `mlflow.data.context`
    sa.UniqueConstraint("artifact", "execution", "type"),
    sa.Index(None, "execution", "type", "artifact"),
)
attributions = table(
    "attributions",
    column("context", Id, primary_key=True, autoincrement=False),
    column("artifact", Id, primary_key=True, autoincrement=False),
    column("kind", Small),  # of the link, so that names are unique per kind
    column("name_key", Name, null=True),  # the artifact's name under this context (Model Registry)
    column("created_at", Millis),
    sa.UniqueConstraint("context", "kind", "name_key"),
    sa.Index(None, "artifact"),
    sqlite_with_rowid=False,
)
associations = table(
    "associations",
    column("context", Id, primary_key=True, autoincrement=False),
    column("execution", Id, primary_key=True, autoincrement=False),
    sa.Index(None, "execution"),
    sqlite_with_rowid=False,
)
parent_contexts = table(
    "parent_contexts",
    column("child", Id, primary_key=True, autoincrement=False),
    column("parent", Id, primary_key=True, autoincrement=False),
    sa.Index(None, "parent"),
    sqlite_with_rowid=False,
)
derivations = table(
    "derivations",
    column("source", Id, primary_key=True, autoincrement=False),
    column("target", Id, primary_key=True, autoincrement=False),
    column("inferred", Small),
    column("at", Millis),
    sa.Index(None, "target"),
    sqlite_with_rowid=False,
)
links = table(
    "links",
    column("kind", Small, primary_key=True, autoincrement=False),  # names.LinkKind
    column("from_kind", Small, primary_key=True, autoincrement=False),
    column("from_node", Id, primary_key=True, autoincrement=False),
    column("to_kind", Small, primary_key=True, autoincrement=False),
    column("to_node", Id, primary_key=True, autoincrement=False),
    column("inferred", Small),
    column("at", Millis),
    column("seconds_saved", Real, null=True),  # reused_from: how long the original ran
    sa.Index(None, "from_kind", "from_node", "kind"),
    sa.Index(None, "to_kind", "to_node", "kind"),
    sqlite_with_rowid=False,
)

names = table("names", key_id(), column("name", Name), sa.UniqueConstraint("name"))
"""Interned keys of metrics, params, tags and properties: one row for all workspaces, never changed."""

properties = table(
    "properties",
    column("kind", Small, primary_key=True, autoincrement=False),
    column("node", Id, primary_key=True, autoincrement=False),
    column("space", Small, primary_key=True, autoincrement=False),  # 0 declared, 1 custom
    column("name_id", Id, primary_key=True, autoincrement=False),
    column("int_value", Id, null=True),
    column("double_value", Real, null=True),
    column("string_value", LongText, null=True),
    column("string_prefix", Prefix, null=True),
    column("bool_value", Small, null=True),
    sa.Index(None, "kind", "space", "name_id", "int_value", "node"),
    sa.Index(None, "kind", "space", "name_id", "double_value", "node"),
    sa.Index(None, "kind", "space", "name_id", "string_prefix", "node"),
    sa.Index(None, "kind", "space", "name_id", "bool_value", "node"),
    sqlite_with_rowid=False,
)
tags = table(
    "tags",
    column("kind", Small, primary_key=True, autoincrement=False),
    column("node", Id, primary_key=True, autoincrement=False),
    column("name_id", Id, primary_key=True, autoincrement=False),
    column("value", LongText),
    column("value_prefix", Prefix),
    column("author", Small),
    sa.Index(None, "kind", "name_id", "value_prefix", "node"),
    sqlite_with_rowid=False,
)
params = table(
    "params",
    column("kind", Small, primary_key=True, autoincrement=False),
    column("node", Id, primary_key=True, autoincrement=False),
    column("name_id", Id, primary_key=True, autoincrement=False),
    column("value", LongText),
    column("value_prefix", Prefix),
    column("author", Small),
    column("artifact_id", Id, null=True),  # the Model Registry's handle, once shown there
    sa.Index(None, "kind", "name_id", "value_prefix", "node"),
    where_given("artifact_id"),
    sqlite_with_rowid=False,
)
