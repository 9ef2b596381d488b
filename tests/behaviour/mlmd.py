"""ML Metadata: a pipeline's run of its client, and everything by names, in nodes and edges."""

import uuid
from typing import Any, ClassVar

from tests.behaviour.story import Http, Seen, Story, register
from tests.mlmd.door import Door
from tests.mlmd.kubeflow import Run

STATES = {1: "pending", 2: "running", 3: "succeeded", 4: "failed", 5: "cached", 6: "canceled"}
DEPTH, UPSTREAM, INPUT, OUTPUT = 20, 1, 3, 4
ALL = {"paths": ["artifacts", "executions", "contexts", "events"]}


class MlmdWriter:
    """Kubeflow Pipelines' driver and launcher; parameters it has none of, and metrics as properties of an artifact."""

    name: ClassVar[str] = "mlmd"

    def __init__(self, door: Door) -> None:
        self._door = door

    def tell(self) -> Story:
        kfp = Run(self._door, str(uuid.uuid4()))
        kfp.whole()
        hex = kfp.uid.replace("-", "")
        seen = {"state": "succeeded", "metrics": {"train/metrics/auc": 0.5}}
        return register(Http(self._door), Story(self.name, hex, seen, "data", f"minio://b/{kfp.uid}/model"))


class MlmdReader:
    """Parameters and metrics of runs are no nodes here unless somebody asks for them by id."""

    name: ClassVar[str] = "mlmd"

    def __init__(self, door: Door) -> None:
        self._door = door

    def _found(self, kind: str, filter: str) -> Any:
        found = self._door.call(f"Get{kind.title()}s", options={"filter_query": filter, "max_result_size": 100})
        [one] = getattr(found, f"{kind}s")
        return one

    def run(self, story: Story) -> Seen:
        """Of a pipeline's run that its own client wrote, what that has written; its name is the run's id."""
        typed = story.by == "mlmd"
        name, type_name = (str(uuid.UUID(story.hex)), "system.PipelineRun") if typed else (story.run["name"], "kf.ExperimentRun")
        context = self._found("context", f"name = '{name}' AND type = '{type_name}'")
        executions = self._door.call("GetExecutionsByContext", context_id=context.id).executions
        whole = [STATES[one.last_known_state] for one in executions if one.type == "lineal.Run" or one.name == f"run/{name}"]
        seen: dict[str, Any] = {"state": whole[0]} if whole else {}
        if not typed:
            seen |= {"name": name, "tags": {key: value.string_value for key, value in context.custom_properties.items()}}
        return seen

    def version(self, story: Story) -> Seen:
        model, version = self._version(story)
        return {"model": model.name, "number": int(version.name.partition(":")[2])}

    def _version(self, story: Story) -> tuple[Any, Any]:
        model = self._found("context", f"name = '{story.version['model']}' AND type = 'kf.RegisteredModel'")
        name = f"{model.id}:{story.version['number']}"
        return model, self._found("context", f"name = '{name}' AND type = 'kf.ModelVersion'")

    def lineage(self, story: Story) -> Seen:
        """From the version's files upstream. A deployment has its own name only, a dataset or a file of the agent's none."""
        model, version = self._version(story)
        [files] = self._door.call("GetArtifactsByContext", context_id=version.id).artifacts
        start = {"starting_artifacts": {"filter_query": f"id = {files.id}"}, "max_num_hops": DEPTH, "direction": UPSTREAM}
        graph = self._door.call("GetLineageSubgraph", lineage_subgraph_query_options=start, read_mask=ALL).lineage_subgraph
        contexts = self._door.get("context", *(one.id for one in graph.contexts))
        assert version.id in {one.id for one in contexts}
        seen = {"version": f"{model.name}/{version.name.removeprefix(f'{model.id}:')}"}
        for one in contexts:
            if one.type == "kf.ExperimentRun":
                seen["run"] = one.name
        data = self._read_by_maker(graph.events, files.id)
        name = data.name or data.custom_properties["display_name"].string_value
        return seen | ({"data": name} if name else {})

    def _read_by_maker(self, events: Any, files: int) -> Any:
        [maker] = {event.execution_id for event in events if event.artifact_id == files and event.type == OUTPUT}
        [read] = {event.artifact_id for event in events if event.execution_id == maker and event.type == INPUT}
        return self._door.one("artifact", read)
