"""What Kubeflow Pipelines' driver, launcher and publisher send for a run, and the same run as the agent reports it."""

from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.mlmd.door import Door, fresh, node

RUNNING, COMPLETE, CACHED = 2, 3, 5
INPUT, OUTPUT = 3, 4
LIVE = 2


@dataclass
class Run:
    """A pipeline `prepare` → `train`, whose model and metrics are outputs, with a loop of two iterations."""

    door: Door
    uid: str
    pipeline: str = field(default_factory=lambda: fresh("pipeline"))
    namespace: str = "team"
    metadata: list[tuple[str, str]] | None = None
    types: dict[str, int] = field(default_factory=dict)
    ids: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind, name in (
            ("context", "system.Pipeline"),
            ("context", "system.PipelineRun"),
            ("execution", "system.DAGExecution"),
            ("execution", "system.ContainerExecution"),
            ("artifact", "system.Model"),
            ("artifact", "system.Metrics"),
        ):
            made = {f"{kind}_type": {"name": name}}
            self.types[name] = self.call(f"Put{kind.title()}Type", **made).type_id

    def call(self, method: str, /, **fields: Any) -> Any:
        return self.door.call(method, self.metadata, **fields)

    def put(self, kind: str, *nodes: Any) -> list[int]:
        return list(getattr(self.call(f"Put{kind.title()}s", **{f"{kind}s": nodes}), f"{kind}_ids"))

    def get(self, kind: str, *ids: int) -> list[Any]:
        return list(getattr(self.call(f"Get{kind.title()}sByID", **{f"{kind}_ids": ids}), f"{kind}s"))

    @property
    def contexts(self) -> list[Any]:
        return self.get("context", self.ids["pipeline"], self.ids["run"])

    def start(self) -> None:
        """The root driver; the pipeline's context is made with the first run."""
        found = self.call("GetContextByTypeAndName", type_name="system.Pipeline", context_name=self.pipeline).context
        pipeline = node("context", self.types["system.Pipeline"], name=self.pipeline)
        self.ids["pipeline"] = found.id or self.put("context", pipeline)[0]
        custom = {"namespace": self.namespace, "resource_name": "run-resource", "pipeline_root": f"minio://b/{self.uid}"}
        run = node("context", self.types["system.PipelineRun"], name=self.uid, custom=custom)
        [self.ids["run"]] = self.put("context", run)
        self.call("PutParentContexts", parent_contexts=[{"child_id": self.ids["run"], "parent_id": self.ids["pipeline"]}])
        self.driven("root", "system.DAGExecution", name=f"run/{self.uid}", display_name="root")

    def driven(self, task: str, type_name: str = "system.ContainerExecution", /, **custom: Any) -> int:
        """A driver makes an execution."""
        name = custom.pop("name", None)
        state = custom.pop("state", RUNNING)
        execution = node("execution", self.types[type_name], last_known_state=state, custom=custom)
        if name is not None:
            execution.name = name
        made = self.call("PutExecution", execution=execution, contexts=self.contexts).execution_id
        self.ids[task] = int(made)
        return int(made)

    def published(self, task: str, *outputs: tuple[str, str, str, dict[str, Any]], state: int = COMPLETE) -> list[int]:
        """The launcher records artifacts, (type, port, uri, metadata), and publishes the execution with them."""
        artifacts = [
            node("artifact", self.types[type_name], uri=uri, state=LIVE, custom={"display_name": port, **metadata})
            for type_name, port, uri, metadata in outputs
        ]
        ids = self.put("artifact", *artifacts) if artifacts else []
        pairs = [
            {"artifact": self.get("artifact", id)[0], "event": {"type": OUTPUT, "path": {"steps": [{"key": port}]}}}
            for id, (_, port, _, _) in zip(ids, outputs, strict=True)
        ]
        [execution] = self.get("execution", self.ids[task])
        execution.last_known_state = state
        self.call("PutExecution", execution=execution, artifact_event_pairs=pairs, contexts=self.contexts)
        return ids

    def whole(self) -> None:
        self.start()
        root = self.ids["root"]
        self.driven("prepare", task_name="prepare", display_name="Prepare", parent_dag_id=root, pod_name="pod-1", pod_uid="u1")
        [self.ids["data"]] = self.published("prepare", ("system.Model", "data", f"minio://b/{self.uid}/data", {}))
        train = node("execution", self.types["system.ContainerExecution"], last_known_state=RUNNING)
        for key, value in {"task_name": "train", "display_name": "Train", "cache_fingerprint": f"f-{self.uid}"}.items():
            train.custom_properties[key].string_value = value
        train.custom_properties["parent_dag_id"].int_value = root
        used = {"event": {"type": INPUT, "artifact_id": self.ids["data"], "path": {"steps": [{"key": "data"}]}}}
        answer = self.call("PutExecution", execution=train, artifact_event_pairs=[used], contexts=self.contexts)
        self.ids["train"] = answer.execution_id
        outputs: list[tuple[str, str, str, dict[str, Any]]] = [
            ("system.Model", "model", f"minio://b/{self.uid}/model", {"framework": "x"})
        ]
        outputs += [("system.Metrics", "metrics", f"minio://b/{self.uid}/metrics", {"auc": 0.5})]
        self.ids["model"], self.ids["metrics"] = self.published("train", *outputs)
        loop = self.driven("loop", "system.DAGExecution", task_name="for-loop-1", parent_dag_id=root, iteration_count=2)
        for index in range(2):
            self.driven(f"loop/{index}", "system.DAGExecution", task_name="for-loop-1", parent_dag_id=loop, iteration_index=index)
            self.driven(f"loop/{index}/inner", task_name="inner", parent_dag_id=self.ids[f"loop/{index}"])
            for done in (f"loop/{index}/inner", f"loop/{index}"):
                self.published(done)
        for done in ("loop", "root"):
            self.published(done)

    def report(self, version: int = 9, **ids: int) -> dict[str, Any]:
        """As the agent translates the finished Workflow; `ids`: execution ids that the driver wrote into it, by task."""
        model = {"name": "model", "uri": f"minio://b/{self.uid}/model", "type": "system.Model"}
        data = {"name": "data", "uri": f"minio://b/{self.uid}/data", "type": "system.Model"}
        tasks = [
            _task("prepare", display_name="Prepare", outputs={"artifacts": [data]}),
            _task(
                "train",
                display_name="Train",
                depends_on=["prepare"],
                inputs={"artifacts": [data]},
                outputs={"artifacts": [model]},
            ),
            _task("for-loop-1"),
        ]
        for index in range(2):
            tasks.append(_task(f"for-loop-1/{index}", parent="for-loop-1", iteration=index))
            tasks.append(_task(f"for-loop-1/{index}/inner", parent=f"for-loop-1/{index}"))
        for task in tasks:
            if task["key"] in ids:
                task["execution_id"] = ids[task["key"]]
        return {
            "object": {"kind": "Workflow", "name": f"wf-{self.uid[:6]}", "uid": self.uid, "resource_version": str(version)},
            "run": {"id": self.uid, "name": "nice name", "state": "COMPLETE", "pipeline": self.pipeline},
            "tasks": tasks,
            "edges": [{"from": "prepare", "to": "train", "port": "data", "kind": "artifact"}],
        }

    def send_report(self, **ids: int) -> None:
        answer = httpx.post(f"{self.door.served.url}/api/v1/reports", json=self.report(**ids), timeout=60)
        assert answer.status_code < 300, answer.text

    def rest(self, path: str) -> Any:
        answer = httpx.get(f"{self.door.served.url}/api/v1/{path}", timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()


def _task(key: str, **fields: Any) -> dict[str, Any]:
    times = {"started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:10:00Z"}
    return {"key": key, "name": key.rpartition("/")[2], "state": "COMPLETE", **times, **fields}
