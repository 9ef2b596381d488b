"""Sending operations: committed ones by their names, or any text."""

from pathlib import Path
from typing import Any

import httpx

GRAPHQL = Path(__file__).parents[2] / "graphql"
OPERATIONS = sorted(path.stem for path in (GRAPHQL / "operations").glob("*.graphql"))


def operation(name: str) -> str:
    return (GRAPHQL / "operations" / f"{name}.graphql").read_text("utf-8")


def ask(http: httpx.Client, query: str, **variables: Any) -> Any:
    """The data; there are no errors."""
    answer = send(http, query, **variables)
    assert "errors" not in answer, answer["errors"]
    return answer["data"]


def send(http: httpx.Client, query: str, **variables: Any) -> Any:
    return http.post("/graphql", json={"query": query, "variables": variables}).json()


def refusal(http: httpx.Client, query: str, **variables: Any) -> Any:
    """The only error."""
    [error] = send(http, query, **variables)["errors"]
    return error
