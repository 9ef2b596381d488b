"""Experiments, runs, steps (whose ids are node ids: graph.py), the Kubernetes objects they come from, and pipelines."""

import sqlalchemy as sa

from registry.tables.base import Blob, Hash, Id, LongText, Millis, Name, ShortName, Small, column, key_id, table, text

experiments = table(
    "experiments",
    key_id(),  # the context's
    column("workspace", Id),
    column("name", Name),
    column("description", LongText, null=True),
    column("artifact_location", LongText, null=True),
    column("lifecycle", Small),  # names.Lifecycle
    column("origin", Small),  # names.Origin
    column("derived", Small),  # 1: made for a pipeline, Katib or job without a named experiment
    sa.Index(None, "workspace", "name"),
)

runs = table(
    "runs",
    key_id(),  # the context's
    column("workspace", Id),
    column("hex", text(32)),  # the run id, 32 lowercase hex characters
    column("experiment", Id, null=True),
    column("experiment_author", Small),
    column("name", Name),
    column("name_author", Small),
    column("status", Small, null=True),  # names.Status; NULL = MLMD never said
    column("status_author", Small),
    column("phase", ShortName, null=True),  # the source's own word
    column("started_at", Millis, null=True),
    column("ended_at", Millis, null=True),
    column("user_name", Name, null=True),
    column("parent", Id, null=True),
    column("parent_text", Name, null=True),  # tag mlflow.parentRunId as written
    column("artifact_root", LongText, null=True),
    column("lifecycle", Small),
    column("origin", Small),
    column("execution", Id, null=True),  # made with the first input or output
    column("pipeline", Id, null=True),
    column("final_at", Millis, null=True),  # when it became final: stored fragments begin a minute later
    sa.UniqueConstraint("hex"),
    sa.Index(None, "experiment", "lifecycle", "started_at", "id"),
    sa.Index(None, "experiment", "lifecycle", "id"),
    sa.Index(None, "workspace", "lifecycle", "started_at", "id"),
    sa.Index(None, "workspace", "lifecycle", "id"),
    sa.Index(None, "parent"),
    sa.Index(None, "experiment", "name"),
)

steps = table(
    "steps",
    key_id(),  # the execution's
    column("workspace", Id),
    column("run", Id, null=True),  # NULL: its owner is not known yet
    column("path", LongText),  # names from the run, "/" between; an iteration is its number
    column("path_key", Name),  # the path, or its sha256 where longer than 512
    column("parent", Id, null=True),  # step
    column("name", Name),
    column("display_name", Name, null=True),
    column("status", Small, null=True),
    column("status_author", Small),
    column("phase", ShortName, null=True),
    column("message", LongText, null=True),
    column("iteration", sa.Integer(), null=True),
    column("attempts", sa.Integer(), null=True),
    column("started_at", Millis, null=True),
    column("ended_at", Millis, null=True),
    column("node_id", Name, null=True),
    column("pod_name", Name, null=True),
    column("pod_uid", Name, null=True),
    column("log_uri", LongText, null=True),
    column("fingerprint", Name, null=True),
    column("report_rank", Blob, null=True),  # of the newest report that lists it: catalog/reports
    column("detail", Blob, null=True),  # JSON: inputs and outputs parameters, depends_on
    sa.UniqueConstraint("run", "path_key"),
    sa.Index(None, "workspace", "fingerprint", "id"),
    sa.Index(None, "parent"),
    sa.Index(None, "run", "id"),
    sa.Index(None, "workspace", "node_id"),
    sa.Index(None, "workspace", "pod_name"),
)

objects = table(
    "objects",
    key_id(),
    column("workspace", Id),
    column("cluster", Name),  # "" = the home cluster
    column("namespace", Name),
    column("kind", ShortName),
    column("name", Name),
    column("uid", ShortName, null=True),
    column("identity", Hash),  # sha256 of the uid, or of (cluster, namespace, kind, name)
    column("resource_version", ShortName, null=True),
    column("generation", Id, null=True),
    column("retry_generation", Id, null=True),
    column("phase", ShortName, null=True),
    column("run", Id, null=True),
    column("step", Id, null=True),
    column("deployment", Id, null=True),
    column("experiment", Id, null=True),
    column("owner_uid", ShortName, null=True),
    column("report_rank", Blob, null=True),
    column("report", Blob, null=True),  # the newest report as it came
    column("measured", Blob, null=True),  # JSON {"rank", "points"}: histories of metrics, of the newest report that has some
    column("blob", Id, null=True),  # the whole object, once final: catalog/reports/sources.py
    column("deleted", Small),
    column("gone_at", Millis, null=True),  # when it was first found to be gone, if nobody saw it go
    column("received_at", Millis),
    sa.UniqueConstraint("workspace", "identity"),
    sa.Index(None, "workspace", "kind", "id"),
    sa.Index(None, "owner_uid"),
    sa.Index(None, "run"),
    sa.Index(None, "experiment"),
    sa.Index(None, "deployment"),
    sa.Index(None, "blob"),
)

pipelines = table(
    "pipelines",
    key_id(),
    column("workspace", Id),
    column("name", Name),
    column("description", LongText, null=True),
    column("created_at", Millis),
    column("version", Id),
    sa.UniqueConstraint("workspace", "name"),
    sa.Index(None, "workspace", "id"),
)
pipeline_versions = table(
    "pipeline_versions",
    key_id(),
    column("pipeline", Id),
    column("name", Name),
    column("digest", Hash, null=True),
    column("spec", Blob, null=True),
    column("created_at", Millis),
    sa.UniqueConstraint("pipeline", "name"),
    sa.Index(None, "pipeline", "id"),
)

fragments = table(
    "fragments",
    column("kind", Small, primary_key=True, autoincrement=False),  # names.FragmentKind
    column("node", Id, primary_key=True, autoincrement=False),  # the run
    column("version", Id),  # valid only while equal to the owner's
    column("body", Blob),
    sqlite_with_rowid=False,
)
"""Derived bytes of final records: built by readers, never the truth (catalog/fragments.py)."""
