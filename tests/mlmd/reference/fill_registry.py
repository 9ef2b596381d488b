"""Run by the reference client's own Python, as `fill_registry.py FILE`: the tables of a Model Registry with a model in them."""

import sys
from typing import Any

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2 as pb

config = pb.ConnectionConfig()
config.sqlite.filename_uri = sys.argv[1]
config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
store = mlmd.MetadataStore(config)
fields = dict.fromkeys(("description", "owner", "state", "author"), pb.STRING)
types = {
    name: store.put_context_type(pb.ContextType(name=name, properties=fields))
    for name in ("kf.RegisteredModel", "kf.ModelVersion", "kf.ServingEnvironment")
}
file_type = store.put_artifact_type(pb.ArtifactType(name="kf.ModelArtifact", properties={"model_format_name": pb.STRING}))


def context(kind: str, name: str, **values: str) -> Any:
    made = pb.Context(type_id=types[kind], name=name)
    for key, value in values.items():
        (made.custom_properties if key == "team" else made.properties)[key].string_value = value
    return made


[model] = store.put_contexts(
    [context("kf.RegisteredModel", "churn", description="leaves", owner="ann", team="red", state="LIVE")]
)
versions = store.put_contexts(
    [
        context("kf.ModelVersion", f"{model}:first", author="bob"),
        context("kf.ModelVersion", f"{model}:4"),
        context("kf.ModelVersion", f"{model}:old", state="ARCHIVED"),
        context("kf.ServingEnvironment", "prod"),
        context("kf.ModelVersion", "999:orphan"),
    ]
)
for version, number in ((versions[0], 1), (versions[1], 4)):
    made = pb.Artifact(type_id=file_type, name=f"{version}:churn", uri=f"s3://b/churn/{number}", state=pb.Artifact.LIVE)
    made.properties["model_format_name"].string_value = "onnx"
    [file] = store.put_artifacts([made])
    store.put_attributions_and_associations([pb.Attribution(context_id=version, artifact_id=file)], [])
