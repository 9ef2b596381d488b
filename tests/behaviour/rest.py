"""Our own REST."""

from typing import Any, ClassVar

from tests.behaviour.story import Http, Seen, Story, register
from tests.mlmd.door import Door, fresh


class RestWriter:
    name: ClassVar[str] = "rest"

    def __init__(self, door: Door) -> None:
        self._http = Http(door)

    def tell(self) -> Story:
        http, said = self._http, fresh("told")
        run = http.post("/api/v1/runs", name=said, experiment_name=said, tags={"team": "red"})["id"]
        points = [{"key": "acc", "value": value, "at": 5, "step": step} for step, value in ((0, 0.5), (1, 0.9))]
        http.post(f"/api/v1/runs/{run}/log", metrics=points, params={"lr": "0.1"})
        http.post(f"/api/v1/runs/{run}/datasets", name=f"data of {said}", digest="d1")
        files = f"s3://b/{said}"
        http.ask("PATCH", f"/api/v1/runs/{run}", json={"status": "succeeded"})
        hex = str(run).removeprefix("run_")
        seen = {"name": said, "state": "succeeded", "experiment": said, "params": {"lr": "0.1"}, "metrics": {"acc": 0.9}}
        return register(http, Story(self.name, hex, seen | {"tags": {"team": "red"}}, f"data of {said}", files, is_dataset=True))


class RestReader:
    name: ClassVar[str] = "rest"

    def __init__(self, door: Door) -> None:
        self._http = Http(door)

    def run(self, story: Story) -> Seen:
        run = self._http.get(f"/api/v1/runs/run_{story.hex}")
        return {
            "name": run["name"],
            "state": run["status"],
            "experiment": run["experiment_name"],
            "params": run["params"],
            "metrics": {one["key"]: one["value"] for one in run["metrics"]},
            "tags": run["tags"],
        }

    def version(self, story: Story) -> Seen:
        return {
            "model": (found := self._version(story))["model_name"],
            "number": found["number"],
            "run": found["run_id"].removeprefix("run_"),
            "aliases": found["aliases"],
            "stage": found["stage"],
        }

    def _version(self, story: Story) -> Any:
        [found] = self._http.get("/api/v1/model-versions", filter=f"model = '{story.version['model']}'")["versions"]
        return found

    def lineage(self, story: Story) -> Seen:
        [deployment] = self._http.get("/api/v1/deployments", filter=f"name = '{story.deployment}'")["deployments"]
        graph = self._http.get("/api/v1/lineage", root=deployment["id"], direction="upstream", depth=20)
        return in_graph(graph["nodes"])


def in_graph(nodes: Any) -> Seen:
    """Of a lineage's nodes the one of each kind; of artifacts and datasets the furthest, which is where all began."""
    words = {"run": "run", "model_version": "version", "deployment": "deployment", "artifact": "data", "dataset": "data"}
    found = {}
    for node in sorted(nodes, key=lambda node: int(node["depth"])):
        if node["kind"] in words:
            found[words[node["kind"]]] = node["name"]
    return found
