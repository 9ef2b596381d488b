"""The ways to read one value: REST by the client, GraphQL by the documents of `graphql/operations`, and the command line."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service import ROOT, Service

import lineal

Json = dict[str, Any]


@dataclass(frozen=True)
class Readers:
    service: Service
    client: lineal.Client

    def rest(self, path: str, **query: Any) -> Any:
        return self.client.transport.get(f"/api/v1/{path}", **query)

    def graphql(self, document: str, **variables: Any) -> Any:
        """The data of `graphql/operations/<document>.graphql`."""
        query = (ROOT / "graphql" / "operations" / f"{document}.graphql").read_text(encoding="utf-8")
        try:
            answer = self.client.transport.post("/graphql", {"query": query, "variables": variables})
        except lineal.ApiError as refused:
            sys.exit(f"demo: the server refused {document}.graphql: {refused.data}")
        if "errors" in answer:
            sys.exit(f"demo: {document}.graphql: {answer['errors']}")
        return answer["data"]

    def lines(self, *arguments: str) -> list[Any]:
        """The objects that `lineal … --json` prints."""
        return self.service.command_line(*arguments)

    def line(self, *arguments: str) -> Json:
        [found] = self.lines(*arguments)
        return dict(found)


def values(metrics: list[Json]) -> Mapping[str, float]:
    """The latest value of each metric of a run or version."""
    return {metric["key"]: metric["value"] for metric in metrics}
