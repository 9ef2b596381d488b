"""Run by the reference client's own Python, as `fill_registry.py FILE`: the tables of a Model Registry with a model, a run and a
deployment in them."""

import sys
from typing import Any

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2 as pb

config = pb.ConnectionConfig()
config.sqlite.filename_uri = sys.argv[1]
config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
store = mlmd.MetadataStore(config)
fields = dict.fromkeys(("description", "owner", "state", "author", "status", "runtime", "desired_state"), pb.STRING)
fields |= dict.fromkeys(("registered_model_id", "model_version_id", "serving_environment_id", "experiment_id"), pb.INT)
fields |= dict.fromkeys(("start_time_since_epoch", "end_time_since_epoch"), pb.INT)
types = {
    f"kf.{name}": store.put_context_type(pb.ContextType(name=f"kf.{name}", properties=fields))
    for name in ("RegisteredModel", "ModelVersion", "ServingEnvironment", "InferenceService", "Experiment", "ExperimentRun")
}
file_type = store.put_artifact_type(pb.ArtifactType(name="kf.ModelArtifact", properties={"model_format_name": pb.STRING}))


def context(kind: str, name: str, **values: str | int) -> Any:
    made = pb.Context(type_id=types[kind], name=name)
    write(made, **values)
    return made


def write(made: Any, **values: str | float) -> None:
    for key, value in values.items():
        held = (made.custom_properties if key == "team" else made.properties)[key]
        setattr(held, {str: "string_value", int: "int_value", float: "double_value"}[type(value)], value)


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

[experiment] = store.put_contexts([context("kf.Experiment", "tuning", owner="ann", description="leaves again")])
times = {"start_time_since_epoch": 1000, "end_time_since_epoch": 9000}
runs = store.put_contexts(
    [
        context(
            "kf.ExperimentRun", f"{experiment}:night", status="FINISHED", start_time_since_epoch=1000, end_time_since_epoch=9000
        ),
        context("kf.ExperimentRun", "888:lost"),
    ]
)
store.put_parent_contexts([pb.ParentContext(child_id=runs[0], parent_id=experiment)])
named = {"registered_model_id": model, "model_version_id": versions[0], "serving_environment_id": versions[3]}
[service] = store.put_contexts(
    [context("kf.InferenceService", f"{versions[3]}:churn", runtime="triton", desired_state="UNDEPLOYED", **named)]
)
serves = store.put_execution_type(pb.ExecutionType(name="kf.ServeModel", properties={"model_version_id": pb.INT}))
execution = pb.Execution(type_id=serves, name=f"{service}:first", last_known_state=pb.Execution.RUNNING)
write(execution, model_version_id=versions[0])
[served] = store.put_executions([execution])
store.put_attributions_and_associations([], [pb.Association(context_id=service, execution_id=served)])
own = {"value": pb.DOUBLE, "timestamp": pb.STRING, "step": pb.INT}
measures = {
    name: store.put_artifact_type(pb.ArtifactType(name=f"kf.{name}", properties=own)) for name in ("Metric", "MetricHistory")
}
own = {"value": pb.STRING, "parameter_type": pb.STRING}
measures["Parameter"] = store.put_artifact_type(pb.ArtifactType(name="kf.Parameter", properties=own))


def measure(kind: str, name: str, **values: str | float) -> None:
    made = pb.Artifact(type_id=measures[kind], name=name)
    write(made, **values)
    [id] = store.put_artifacts([made])
    store.put_attributions_and_associations([pb.Attribution(context_id=runs[0], artifact_id=id)], [])


measure("Metric", f"{runs[0]}:auc", value=0.75, timestamp="2000", step=2)
measure("MetricHistory", f"{runs[0]}:auc__1000", value=0.5, timestamp="1000", step=1)
measure("MetricHistory", f"{runs[0]}:auc__2000", value=0.75, timestamp="2000", step=2)
measure("Parameter", f"{runs[0]}:rate", value="0.10", parameter_type="number")
store.put_artifacts([pb.Artifact(type_id=measures["Metric"], name="loose")])
told = ("digest", "source_type", "source", "schema", "profile")
data = store.put_artifact_type(pb.ArtifactType(name="kf.DataSet", properties=dict.fromkeys(told, pb.STRING)))


def dataset(name: str, uri: str, *of: int, **values: str) -> None:
    made = pb.Artifact(type_id=data, name=name, uri=uri, state=pb.Artifact.LIVE)
    write(made, **values)
    [id] = store.put_artifacts([made])
    store.put_attributions_and_associations([pb.Attribution(context_id=one, artifact_id=id) for one in of], [])


dataset(f"{runs[0]}:rows", "s3://b/rows", runs[0], digest="d1", source_type="s3", source="s3://b", schema="{}")
dataset(f"{runs[0]}:plain", "s3://b/plain", runs[0])
dataset("11111111-2222-3333-4444-555555555555:rows", "s3://b/rows", versions[0], digest="d1")
dataset("11111111-2222-3333-4444-666666666666:rows", "s3://b/new", digest="d2")
store.put_attributions_and_associations([pb.Attribution(context_id=versions[4], artifact_id=1)], [])
