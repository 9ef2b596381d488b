"""An operation costs the same number of statements however many records it meets: no relation asks once for each."""

from typing import Any

import httpx
import pytest

from graphql import parse
from registry.api.gql.cohorts import Context
from registry.api.gql.execution import run
from registry.api.gql.schema import schema
from registry.catalog import relations
from registry.catalog.actors import Actor
from registry.db.counting import count_statements
from registry.names import Role
from tests.gql.world import World, make_world
from tests.servers import Served

WORLDS = 5
ACTOR = Actor("tester", 1, "default", Role.ADMIN)
USES = "(first: 10) { totalCount { value } nodes { port artifact { id tags { key } dataset { name } } step { name } } }"

LISTS = {
    "runs": (
        3,
        """{ searchRuns(first: %d) { totalCount { value } nodes {
          id metrics { value } params { value } tags { value } experiment { name tags { key } } parent { name }
          children(first: 5) { nodes { name } } versions(first: 5) { nodes { number } }
          metricHistory(keys: ["loss"], points: 5) { values }
        } } }""",
    ),
    "uses": (3, "{ searchRuns(first: %d) { nodes { inputs" + USES + " outputs" + USES + " } } }"),
    "steps": (
        3,
        """{ searchRuns(first: %d) { nodes { steps(first: 5) { totalCount { value } nodes {
          name run { name } parent { id } children(first: 5) { nodes { id } } inputs(first: 5) { nodes { artifact { uri } } }
          outputs(first: 5) { nodes { artifact { uri } step { name } } }
        } } } } }""",
    ),
    "models": (
        1,
        """{ models(first: %d) { totalCount { value } nodes {
          id tags { key } aliases { alias } moves(first: 5) { nodes { toVersion { number } fromVersion { number } } }
          versions(first: 5) { totalCount { value } nodes { number stage run { name } model { name } artifact { uri } } }
          deployments(first: 5) { nodes { name } }
        } } }""",
    ),
    "versions": (
        2,
        """{ versions(first: %d) { nodes {
          number metrics { value } params { value } tags { value } run { experiment { name } } artifact { uri }
          deployments(first: 5) { totalCount { value } nodes { name environment { name } } }
        } } }""",
    ),
    "artifacts": (
        2,
        """{ artifacts(first: %d) { nodes {
          producer { name } step { name } dataset { name } datasetVersion { digest } versions(first: 5) { nodes { number } }
        } } }""",
    ),
    "datasets": (
        1,
        "{ datasets(first: %d) { nodes { name versions(first: 5) { nodes { digest artifact { uri } dataset { name } } } } } }",
    ),
    "deployments": (
        1,
        """{ deployments(first: %d) { nodes {
          environment { name deployments(first: 5) { nodes { name } } } model { name } version { number aliases }
          shares { percent }
        } } }""",
    ),
    "experiments": (
        1,
        """{ experiments(first: %d) { nodes {
          tags { key } runs(first: 5) { totalCount { value } nodes { name metrics { key } } }
        } } }""",
    ),
    "environments": (
        1,
        "{ environments(first: %d) { nodes { name deployments(first: 5) { totalCount { value } nodes { name } } } } }",
    ),
}
"""How many records a world adds to the list, and what is asked of them."""


@pytest.fixture(scope="module")
def worlds(http: httpx.Client) -> list[World]:
    return [make_world(http) for _ in range(WORLDS)]


def asked(server: Served, query: str, **variables: Any) -> tuple[int, Any]:
    """Statements, and the data."""
    document, runner = parse(query), server.services.runner

    def execute() -> Any:
        return runner.read(lambda session: run(schema.graphql_schema, document, Context(session, ACTOR), variables, None))

    execute()  # names of metrics are remembered
    with count_statements(runner.database, reads_only=True) as counted:
        result = execute()
    assert result.errors is None
    return counted.count, result.data


@pytest.mark.parametrize("name", LISTS)
def test_the_statements_of_a_list_do_not_grow_with_it(server: Served, worlds: list[World], name: str) -> None:
    each, query = LISTS[name]
    few, some = asked(server, query % (2 * each))
    many, more = asked(server, query % (WORLDS * each - each))

    [short], [long] = some.values(), more.values()
    assert (len(short["nodes"]), len(long["nodes"])) == (2 * each, WORLDS * each - each)
    assert long["nodes"][: 2 * each] == short["nodes"]
    assert many == few


@pytest.mark.parametrize("name", ["models", "experiments", "steps", "datasets"])
def test_many_owners_are_asked_together_for_the_same(
    server: Served, worlds: list[World], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A few are asked each by an index, many by one window over all of them."""
    each, query = LISTS[name]
    few = asked(server, query % (WORLDS * each))
    monkeypatch.setattr(relations, "FEW", 1)

    together = asked(server, query % (WORLDS * each))

    assert together[1] == few[1]
    assert together[0] <= few[0]


def test_the_records_of_a_lineage_are_read_by_kind(server: Served, worlds: list[World]) -> None:
    def walked(fields: str) -> tuple[int, Any]:
        query = f"query ($node: ID!) {{ lineage(node: $node, depth: 10) {{ nodes {{ id kind {fields} }} }} }}"
        return asked(server, query, node=worlds[0].versions[1])

    plain, _ = walked("")
    whole, data = walked("record { id ... on Run { metrics { key } } }")

    nodes = data["lineage"]["nodes"]
    assert all(node["record"]["id"] == node["id"] for node in nodes)
    assert {node["kind"] for node in nodes} == {"dataset", "run", "step", "model", "model_version", "deployment"}
    assert whole - plain <= 20


def test_only_what_is_asked_for_is_read(server: Served, worlds: list[World]) -> None:
    heads, _ = asked(server, "{ searchRuns(first: 5) { nodes { name status } } }")
    counted, _ = asked(server, "{ searchRuns(first: 5) { nodes { name } totalCount { value } } }")
    renamed, _ = asked(server, "{ searchRuns(first: 5) { nodes { name } n: totalCount { value } } }")
    skipped, _ = asked(server, "{ searchRuns(first: 5) { nodes { name } totalCount @skip(if: true) { value } } }")

    assert (heads, counted, renamed, skipped) == (1, 2, 2, 1)
