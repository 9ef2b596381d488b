"""Run by the reference client's own Python, as `fill.py JSON`: a store as Kubeflow Pipelines and TFX leave it.

JSON: `config` of the connection in protobuf's JSON form; `schema`, to which it is taken down at the end. Prints the ids.
"""

import json
import sys
from typing import Any

import ml_metadata as mlmd
from google.protobuf import json_format
from ml_metadata.proto import metadata_store_pb2 as pb

given = json.loads(sys.argv[1])
config = json_format.ParseDict(given["config"], pb.ConnectionConfig())
store = mlmd.MetadataStore(config)
types = {
    name: store.put_context_type(pb.ContextType(name=name)) for name in ("system.Pipeline", "system.PipelineRun", "pipeline_run")
}
types |= {
    name: store.put_execution_type(pb.ExecutionType(name=name))
    for name in ("system.DAGExecution", "system.ContainerExecution", "Trainer")
}
declared = {"i": pb.INT, "d": pb.DOUBLE, "s": pb.STRING}
if given["schema"] >= 6:
    types["Examples"] = store.put_artifact_type(
        pb.ArtifactType(name="Examples", version="2", base_type=pb.ArtifactType.DATASET, properties=declared)
    )
types |= {
    name: store.put_artifact_type(pb.ArtifactType(name=name, properties=declared)) for name in ("system.Model", "system.Metrics")
}


def values(into: Any, **wanted: object) -> None:
    for name, value in wanted.items():
        held = into[name]
        if isinstance(value, bool):
            held.bool_value = value
        elif isinstance(value, int):
            held.int_value = value
        elif isinstance(value, float):
            held.double_value = value
        elif isinstance(value, str):
            held.string_value = value
        else:
            held.struct_value.update(value)


def node(message: Any, **custom: object) -> Any:
    values(message.custom_properties, **custom)
    return message


pipeline = pb.Context(type_id=types["system.Pipeline"], name="taxi é")
run = node(pb.Context(type_id=types["system.PipelineRun"], name=given["uid"]), namespace="team", pipeline_root="minio://b/é")
[pipeline_id] = store.put_contexts([pipeline])
[run_id] = store.put_contexts([run])
if given["schema"] >= 6:
    store.put_parent_contexts([pb.ParentContext(child_id=run_id, parent_id=pipeline_id)])
contexts = store.get_contexts_by_id([pipeline_id, run_id])


def ran(type_name: str, pairs: list[Any], state: int, **custom: object) -> int:
    named = custom.pop("name", None)
    execution = node(pb.Execution(type_id=types[type_name], last_known_state=state), **custom)
    if named:
        execution.name = named
    return int(store.put_execution(execution, pairs, contexts)[0])


root = ran("system.DAGExecution", [], pb.Execution.COMPLETE, name=f"run/{given['uid']}", display_name="root")
model = node(pb.Artifact(type_id=types["system.Model"], uri="minio://b/model-é", state=pb.Artifact.LIVE, name="m"), note="größer")
values(model.properties, i=-7, d=0.5, s="plain")
metrics = node(pb.Artifact(type_id=types["system.Metrics"], uri="minio://b/metrics"), auc=0.5)
if given["schema"] >= 9:
    model.external_id = "external"
if given["schema"] >= 10:
    values(model.custom_properties, b=True)
    model.custom_properties["p"].proto_value.Pack(pb.Value(int_value=3))
values(model.custom_properties, t={"list": [1, None, {"é": "x"}]})


def output(port: str) -> Any:
    return pb.Event(type=pb.Event.OUTPUT, path=pb.Event.Path(steps=[pb.Event.Path.Step(key=port), pb.Event.Path.Step(index=3)]))


train = ran(
    "system.ContainerExecution",
    [(model, output("model")), (metrics, output("metrics"))],
    pb.Execution.COMPLETE,
    task_name="train",
    parent_dag_id=root,
    cache_fingerprint="print",
)
[model_id] = [one.id for one in store.get_artifacts() if one.type_id == types["system.Model"]]
used = pb.Event(type=pb.Event.INPUT, artifact_id=model_id, path=pb.Event.Path(steps=[pb.Event.Path.Step(key="model")]))
evaluate = ran(
    "system.ContainerExecution", [(store.get_artifacts_by_id([model_id])[0], used)], pb.Execution.FAILED, task_name="évaluer",
    parent_dag_id=root,
)  # fmt: skip
if given.get("dangling"):
    lost = pb.Event(type=pb.Event.INPUT, artifact_id=987_654)
    store.put_execution(store.get_executions_by_id([train])[0], [(None, lost)], [])
found = {"run": run_id, "train": train, "evaluate": evaluate, "model": model_id, "root": root, "pipeline": pipeline_id}
store = None
if given["schema"] < 10:
    mlmd.downgrade_schema(config, given["schema"])
print(json.dumps(found))
