"""Registered models, their versions, logged models, datasets, environments, deployments.

All ids but datasets' are node ids (graph.py).
"""

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
    column("location", LongText, null=True),  # where the files are, if `source` names another version or a logged model
    column("location_hash", Hash, null=True),
    column("run", Id, null=True),  # that produced it
    column("run_text", Name, null=True),  # what MLflow's client called the run, if there is none of that id
    column("run_link", LongText, null=True),
    column("artifact", Id, null=True),  # its files
    column("digest", Hash, null=True),
    column("origin", Small),
    sa.UniqueConstraint("model", "number"),
    sa.Index(None, "workspace", "lifecycle", "id"),
    sa.Index(None, "model", "lifecycle", "number"),
    sa.Index(None, "model", "lifecycle", "id"),
    sa.Index(None, "run"),
    sa.Index(None, "artifact"),
    sa.Index(None, "location_hash"),
)

logged_models = table(
    "logged_models",
    key_id(),  # the artifact's
    column("workspace", Id),
    column("model_id", ShortName),  # m-<32 hex>
    column("experiment", Id),
    column("name", Name),  # not unique
    column("model_type", Name, null=True),
    column("run", Id, null=True),  # that made it
    column("run_text", Name, null=True),  # what the client called the run, if there is none of that id
    sa.UniqueConstraint("workspace", "model_id"),
    sa.Index(None, "experiment", "name", "id"),
    sa.Index(None, "run"),
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
    column("pin_author", Small),  # names.Author: who said which model and version
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
    column("place", ShortName),  # of a reported list: grows with the reports, and decides where times are equal; else ""
    column("shares", Blob),  # JSON [{version, revision, percent, tag}]
    sa.Index(None, "deployment", "at", "id"),
)
revisions = table(
    "revisions",
    key_id(),
    column("deployment", Id),
    column("name", ShortName),
    column("uri", LongText),  # as given
    column("location_hash", Hash),  # sha256 of the normalised URI: what versions and artifacts have, too
    column("model_name", Name, null=True),  # of a URI that names a version: model-registry://model/version
    column("version_name", Name, null=True),  # NULL: the newest
    column("label", Id, null=True),  # the model version that the object was labelled with
    column("report_rank", Blob),  # of the oldest report that says the URI: what a revision serves never changes
    column("label_rank", Blob, null=True),
    sa.UniqueConstraint("deployment", "name", "location_hash"),
    sa.Index(None, "location_hash"),
    sa.Index(None, "model_name"),
    sa.Index(None, "label"),
)
"""What the revisions of deployments serve. Which version that is, is found when it is asked for: either may come first."""
