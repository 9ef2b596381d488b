"""Run by the reference client's own Python, as `tour.py PORT`: what TFX does in a run; its findings as one JSON object."""

import json
import sys

import ml_metadata as mlmd
from ml_metadata import errors
from ml_metadata.proto import metadata_store_pb2 as pb

store = mlmd.MetadataStore(pb.MetadataStoreClientConfig(host="127.0.0.1", port=int(sys.argv[1])))
found: dict[str, object] = {}

types = {
    name: store.put_artifact_type(pb.ArtifactType(name=name, base_type=base, properties={"span": pb.INT}))
    for name, base in (("Examples", pb.ArtifactType.DATASET), ("Model", pb.ArtifactType.MODEL))
}
types |= {name: store.put_execution_type(pb.ExecutionType(name=name)) for name in ("CsvExampleGen", "Trainer")}
types |= {name: store.put_context_type(pb.ContextType(name=name)) for name in ("pipeline", "pipeline_run", "node")}
found["types"] = [one.name for one in store.get_artifact_types()]


def contexts(component: str) -> list[pb.Context]:
    names = {"pipeline": "taxi", "pipeline_run": "taxi.1", "node": f"taxi.{component}"}
    return [pb.Context(type_id=types[kind], name=name) for kind, name in names.items()]


def artifact(kind: str, uri: str) -> pb.Artifact:
    made = pb.Artifact(type_id=types[kind], uri=uri, state=pb.Artifact.LIVE)
    made.properties["span"].int_value = 1
    made.custom_properties["tfx_version"].string_value = "1.17"
    return made


def event(kind: int, key: str) -> pb.Event:
    path = pb.Event.Path(steps=[pb.Event.Path.Step(key=key), pb.Event.Path.Step(index=0)])
    return pb.Event(type=kind, path=path)


def ran(component: str, pairs: list[tuple[pb.Artifact, pb.Event]]) -> tuple[int, list[int]]:
    execution = pb.Execution(type_id=types[component], last_known_state=pb.Execution.COMPLETE)
    made, artifacts, _ = store.put_execution(
        execution,
        pairs,
        contexts(component),
        reuse_context_if_already_exist=True,
        reuse_artifact_if_already_exist_by_external_id=True,
    )
    return made, artifacts


generated, [examples] = ran("CsvExampleGen", [(artifact("Examples", "s3://b/examples"), event(pb.Event.OUTPUT, "examples"))])
used = (store.get_artifacts_by_id([examples])[0], event(pb.Event.INPUT, "examples"))
trained, [_, model] = ran("Trainer", [used, (artifact("Model", "s3://b/model"), event(pb.Event.OUTPUT, "model"))])
run = store.get_context_by_type_and_name("pipeline_run", "taxi.1")
query = (
    '(contexts_0.type = "node") AND (contexts_0.name = "taxi.Trainer") AND (contexts_1.type = "pipeline_run") '
    'AND (contexts_1.name = "taxi.1") AND (last_known_state IN (COMPLETE, CACHED))'
)
found["by_filter"] = [one.id for one in store.get_executions(mlmd.ListOptions(filter_query=query))] == [trained]
found["in_run"] = [one.id for one in store.get_executions_by_context(run.id)] == [trained, generated]
found["events"] = [(one.type, one.path.steps[0].key) for one in store.get_events_by_execution_ids([trained])]
lineage = store.get_lineage_subgraph(
    pb.LineageSubgraphQueryOptions(
        starting_artifacts=pb.LineageSubgraphQueryOptions.StartingNodes(filter_query=f"id = {model}"),
        direction=pb.LineageSubgraphQueryOptions.UPSTREAM,
    )
)
found["lineage"] = [[one.uri for one in lineage.artifacts], len(lineage.executions), len(lineage.contexts)]
got, got_types = store.get_artifacts_and_types_by_artifact_ids([model])
found["typed"] = [one.name for one in got_types]
found["many"] = len(store.get_artifacts(mlmd.ListOptions(order_by=mlmd.OrderByField.UPDATE_TIME, is_asc=False)))
try:
    store.put_artifacts([pb.Artifact(type_id=types["Model"], custom_properties={"x": pb.Value()})])
except errors.InvalidArgumentError as error:
    found["refused"] = error.message
try:
    store.get_contexts_by_artifact(987_654)
except errors.NotFoundError:
    found["missing"] = True
print(json.dumps(found))
