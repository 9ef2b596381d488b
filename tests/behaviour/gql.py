"""GraphQL, which reads."""

from typing import Any, ClassVar

from tests.behaviour.rest import in_graph
from tests.behaviour.story import Http, Seen, Story
from tests.gql.asking import operation
from tests.mlmd.door import Door

VERSION = "query V($model: String!) { modelVersion(model: $model, number: 1) { modelName number runId aliases stage } }"
DEPLOYMENTS = "query D($filter: String!) { deployments(filter: $filter) { nodes { id } } }"


class GqlReader:
    name: ClassVar[str] = "gql"

    def __init__(self, door: Door) -> None:
        self._http = Http(door)

    def _ask(self, query: str, **variables: Any) -> Any:
        answer = self._http.post("/graphql", query=query, variables=variables)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def run(self, story: Story) -> Seen:
        run = self._ask(operation("run"), id=f"run_{story.hex}")["run"]
        return {
            "name": run["name"],
            "state": run["status"],
            "experiment": run["experimentName"],
            "params": {one["key"]: one["value"] for one in run["params"]},
            "metrics": {one["key"]: one["value"] for one in run["metrics"]},
            "tags": {one["key"]: one["value"] for one in run["tags"]},
        }

    def version(self, story: Story) -> Seen:
        found = self._ask(VERSION, model=story.version["model"])["modelVersion"]
        return {
            "model": found["modelName"],
            "number": found["number"],
            "run": found["runId"].removeprefix("run_"),
            "aliases": found["aliases"],
            "stage": found["stage"],
        }

    def lineage(self, story: Story) -> Seen:
        [deployment] = self._ask(DEPLOYMENTS, filter=f"name = '{story.deployment}'")["deployments"]["nodes"]
        graph = self._ask(operation("lineage"), node=deployment["id"], direction="upstream", depth=20)["lineage"]
        return in_graph(graph["nodes"])
