"""Connections: pages, cursors, filters, totals."""

from typing import Any

import httpx
import pytest

from tests.gql.asking import ask, refusal
from tests.gql.world import World

RUNS = """query ($experiment: ID, $first: Int! = 50, $after: String, $filter: String! = "", $orderBy: String! = "") {
  searchRuns(experiment: $experiment, first: $first, after: $after, filter: $filter, orderBy: $orderBy) {
    edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
  }
}"""


@pytest.mark.parametrize("order", ["", "metrics.loss DESC", "params.lr, name DESC"])
def test_any_edge_s_cursor_continues_behind_it(http: httpx.Client, world: World, order: str) -> None:
    asked: dict[str, Any] = {"experiment": world.experiment, "orderBy": order}
    whole = ask(http, RUNS, **asked)["searchRuns"]

    rest = ask(http, RUNS, **asked, after=whole["edges"][0]["cursor"])["searchRuns"]
    first = ask(http, RUNS, **asked, first=1)["searchRuns"]

    assert rest["edges"] == whole["edges"][1:]
    assert first["edges"] == whole["edges"][:1]
    assert first["pageInfo"] == {
        "hasNextPage": True,
        "hasPreviousPage": False,
        "startCursor": whole["edges"][0]["cursor"],
        "endCursor": whole["edges"][0]["cursor"],
    }
    assert (rest["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasPreviousPage"]) == (False, True)


def test_lists_inside_records_have_pages_too(http: httpx.Client, world: World) -> None:
    query = """query ($id: ID!, $after: String) { run(id: $id) { steps(first: 1, after: $after) { nodes { id }
      pageInfo { hasNextPage endCursor } totalCount { value } } } }"""

    first = ask(http, query, id=world.workflow)["run"]["steps"]
    second = ask(http, query, id=world.workflow, after=first["pageInfo"]["endCursor"])["run"]["steps"]

    assert [first["nodes"], second["nodes"]] == [[{"id": step}] for step in world.steps]
    assert (first["pageInfo"]["hasNextPage"], second["pageInfo"]["hasNextPage"]) == (True, False)
    assert first["totalCount"] == second["totalCount"] == {"value": 2}


def test_moves_and_uses_have_pages_too(http: httpx.Client, world: World) -> None:
    moves = """query ($id: ID!, $after: String) { model(id: $id) { moves(first: 1, after: $after) {
      nodes { toVersion { number } } pageInfo { hasNextPage endCursor } } } }"""
    uses = """query ($id: ID!, $after: String) { run(id: $id) { inputs(first: 1, after: $after) {
      nodes { port } pageInfo { hasNextPage endCursor } totalCount { value } } } }"""

    newest = ask(http, moves, id=world.model)["model"]["moves"]
    oldest = ask(http, moves, id=world.model, after=newest["pageInfo"]["endCursor"])["model"]["moves"]
    one = ask(http, uses, id=world.workflow)["run"]["inputs"]
    other = ask(http, uses, id=world.workflow, after=one["pageInfo"]["endCursor"])["run"]["inputs"]

    assert [page["nodes"][0]["toVersion"]["number"] for page in (newest, oldest)] == [2, 1]
    assert [page["pageInfo"]["hasNextPage"] for page in (newest, oldest, one, other)] == [True, False, True, False]
    assert [page["nodes"][0]["port"] for page in (one, other)] == [None, "data"]
    assert one["totalCount"] == {"value": 2}


def test_a_cursor_of_another_list_or_query_is_refused(http: httpx.Client, world: World) -> None:
    cursor = ask(http, RUNS, experiment=world.experiment, first=1)["searchRuns"]["pageInfo"]["endCursor"]

    for asked in ({"after": cursor}, {"experiment": world.experiment, "orderBy": "name", "after": cursor}, {"after": "x"}):
        error = refusal(http, RUNS, **asked)
        assert error["extensions"]["type"] == "urn:lineal:problem:invalid-page-token"


@pytest.mark.parametrize(
    ("asked", "line", "column"),
    [({"filter": "metrics.loss <\n 'x'"}, 2, 2), ({"filter": "nonsense = 1"}, 1, 1), ({"orderBy": "name, nonsense"}, 1, 7)],
)
def test_a_mistake_in_a_filter_is_named_by_line_and_column(
    http: httpx.Client, asked: dict[str, str], line: int, column: int
) -> None:
    error = refusal(http, RUNS, **asked)

    assert (error["extensions"]["line"], error["extensions"]["column"]) == (line, column)
    assert error["extensions"]["code"] == "BAD_INPUT"
    assert error["path"] == ["searchRuns"]


@pytest.mark.parametrize(
    ("field", "filter"),
    [
        ("models", "owner = 'ann' AND aliases = 'champion'"),
        ("versions", "metrics.loss < 0.3"),
        ("artifacts", "size_bytes = 7"),
        ("deployments", "desired_state = 'deployed'"),
    ],
)
def test_every_list_takes_the_filter(http: httpx.Client, world: World, field: str, filter: str) -> None:
    query = "query ($filter: String!) { " + field + "(filter: $filter) { nodes { id } totalCount { value exact } } }"
    wanted = {"models": world.model, "versions": world.versions[1], "artifacts": world.artifact, "deployments": world.deployment}

    found = ask(http, query, filter=filter)[field]
    nothing = ask(http, query, filter=f"({filter}) AND NOT ({filter})")[field]

    assert found == {"nodes": [{"id": wanted[field]}], "totalCount": {"value": 1, "exact": True}}
    assert nothing == {"nodes": [], "totalCount": {"value": 0, "exact": True}}


@pytest.mark.parametrize("first", [0, -1, 201])
def test_a_page_has_one_to_two_hundred_rows(http: httpx.Client, first: int) -> None:
    assert refusal(http, RUNS, first=first)["message"] == "first is 1 to 200"


def test_archived_records_are_listed_where_they_are_asked_for(http: httpx.Client, world: World) -> None:
    query = "query ($lifecycle: Lifecycle!) { models(lifecycle: $lifecycle) { nodes { name lifecycle } } }"
    made = http.post("/api/v1/models", json={"name": f"{world.name}-old"}).json()["id"]
    http.post(f"/api/v1/models/{made}/archive")

    found = {word: ask(http, query, lifecycle=word)["models"]["nodes"] for word in ("active", "archived", "deleted")}

    assert found["archived"] == [{"name": f"{world.name}-old", "lifecycle": "archived"}]
    assert [model["name"] for model in found["active"]] == [world.name]
    assert found["deleted"] == []
