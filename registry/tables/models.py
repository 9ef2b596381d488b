"""Registered models, their versions, datasets, environments, deployments. All ids but datasets' are node ids (graph.py)."""

import sqlalchemy as sa

from registry.tables.base import Blob, Hash, Id, LongText, Millis, Name, ShortName, Small, column, key_id, table

registered_models = table(
    "registered_models",
    key_id(),  # the context's
    column("workspace", Id),
    column("name", Name),
    column("description", LongText, null=True),
    column("owner", Name, null=True),
    column("last_number", sa.Integer()),  # numbers are never reused
    column("lifecycle", Small),
    column("origin", Small),
    column("mlflow_updated_at", Millis),
    sa.Index(None, "workspace", "lifecycle", "name", "id"),
    sa.Index(None, "workspace", "lifecycle", "id"),
)

model_versions = table(
    "model_versions",
    key_id(),  # the context's
    column("workspace", Id),
    column("model", Id),
    column("number", sa.Integer()),
    column("name", Name),
    column("description", LongText, null=True),
    column("author_name", Name, null=True),
    column("lifecycle", Small),
    column("readiness", Small),  # names.Readiness
    column("status_message", LongText, null=True),
    column("source", LongText, null=True),  # as given
    column("location_hash", Hash, null=True),
    column("run", Id, null=True),  # that produced it
    column("artifact", Id, null=True),  # its files
    column("digest", Hash, null=True),
    column("origin", Small),
    sa.UniqueConstraint("model", "number"),
    sa.Index(None, "workspace", "lifecycle", "id"),
    sa.Index(None, "model", "lifecycle", "number"),
    sa.Index(None, "run"),
    sa.Index(None, "artifact"),
    sa.Index(None, "location_hash"),
)

datasets = table(
    "datasets",
    key_id(),
    column("workspace", Id),
    column("namespace", Name),  # "" = none
    column("name", Name),
    column("name_hash", Hash),  # sha256 of namespace, NUL, name: two wide names are too wide for one key
    column("description", LongText, null=True),
    column("created_at", Millis),
    column("updated_at", Millis),
    column("version", Id),
    sa.UniqueConstraint("workspace", "name_hash"),
    sa.Index(None, "workspace", "id"),
)
dataset_versions = table(
    "dataset_versions",
    key_id(),  # the artifact's
    column("dataset", Id),
    column("digest", ShortName),  # the client's own word for the content; "" = none
    column("source_type", ShortName, null=True),
    column("source", LongText, null=True),
    column("schema_text", LongText, null=True),
    column("profile_text", LongText, null=True),
    sa.UniqueConstraint("dataset", "digest"),
)

environments = table(
    "environments",
    key_id(),  # the context's
    column("workspace", Id),
    column("name", Name),
    column("description", LongText, null=True),
    sa.Index(None, "workspace", "id"),
)
deployments = table(
    "deployments",
    key_id(),  # the context's
    column("workspace", Id),
    column("environment", Id),
    column("name", Name),
    column("description", LongText, null=True),
    column("model", Id, null=True),
    column("model_version", Id, null=True),  # pinned
    column("desired_state", Small),  # names.DesiredState
    column("actual_state", ShortName, null=True),  # as the source says it
    column("runtime", ShortName, null=True),
    column("url", LongText, null=True),
    column("uid", ShortName, null=True),
    column("conditions", Blob, null=True),  # JSON
    column("lifecycle", Small),
    sa.Index(None, "workspace", "lifecycle", "id"),
    sa.Index(None, "environment"),
    sa.Index(None, "model", "lifecycle"),
    sa.Index(None, "model_version", "lifecycle"),
)
traffic = table(
    "traffic",
    key_id(),
    column("deployment", Id),
    column("at", Millis),
    column("shares", Blob),  # JSON [{version, revision, percent, tag}]
    sa.Index(None, "deployment", "at", "id"),
)
