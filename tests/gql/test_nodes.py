"""Every kind of own id names a record; what is not visible is null."""

from itertools import count
from typing import Any

import httpx
import pytest

from registry.catalog.actors import Actor
from registry.catalog.pipelines import create_pipeline, create_pipeline_version
from registry.db.session import Session
from registry.names import IdPrefix, Role
from tests.catalog import lineage_rows
from tests.gql.asking import ask, refusal, send
from tests.gql.world import World
from tests.servers import Served

NODES = "query ($ids: [ID!]!) { nodes(ids: $ids) { id __typename } }"
NODE = "query ($id: ID!) { node(id: $id) { id __typename } }"


def test_every_prefix_has_a_type(http: httpx.Client, server: Served, world: World) -> None:
    token = http.post("/api/v1/tokens", json={"name": "t", "role": "viewer"}).json()["id"]
    actor = Actor("tester", 1, "default", Role.ADMIN)

    def more(session: Session) -> tuple[str, str]:
        pipeline = create_pipeline(session, actor, world.name, now=1)
        return pipeline.own_id, create_pipeline_version(session, actor, pipeline.id, "1", now=1).own_id

    pipeline, pipeline_version = server.services.runner.write(more)
    wanted = {
        world.experiment: "Experiment",
        world.runs[0]: "Run",
        world.steps[0]: "Step",
        world.model: "RegisteredModel",
        world.versions[0]: "ModelVersion",
        world.artifact: "Artifact",
        world.dataset: "Dataset",
        world.deployment: "Deployment",
        world.environment: "Environment",
        pipeline: "Pipeline",
        pipeline_version: "PipelineVersion",
        "obj_1": "KubernetesObject",
        token: "Token",
        "ws_1": "Workspace",
    }

    found = ask(http, NODES, ids=list(wanted))["nodes"]

    assert found == [{"id": id, "__typename": kind} for id, kind in wanted.items()]
    assert {id.partition("_")[0] for id in wanted} == set(IdPrefix) - {IdPrefix.CONTEXT, IdPrefix.EXECUTION}


def test_a_context_or_execution_is_the_record_that_it_stands_for(http: httpx.Client, world: World) -> None:
    number = {
        name: id.partition("_")[2] for name, id in (("model", world.model), ("mv", world.versions[0]), ("exp", world.experiment))
    }
    step = world.steps[1]

    for prefix, own in number.items():
        assert ask(http, NODE, id=f"ctx_{own}")["node"]["id"] == f"{prefix}_{own}"
    assert ask(http, NODE, id="exec_" + step.removeprefix("step_"))["node"] == {"id": step, "__typename": "Step"}


def test_the_execution_of_a_run_is_the_run(
    http: httpx.Client, server: Served, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lineage_rows, "_ids", count(1_000_000))  # clear of the world's

    def make(session: Session) -> tuple[str, str, str]:
        rows = lineage_rows.Rows(session)
        stands, other = rows.execution(), rows.execution()
        rows.run(name="stands", own=stands)
        return f"exec_{stands.id}", f"exec_{other.id}", "stands"

    stands, other, name = server.services.runner.write(make)

    found = ask(http, "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename ... on Run { name } id } }", ids=[stands, other])[
        "nodes"
    ]

    assert (found[0]["__typename"], found[0]["name"]) == ("Run", name)
    assert found[1] == {"__typename": "GraphNode", "id": other}


def test_what_is_not_here_is_null(http: httpx.Client, world: World) -> None:
    ids = ["run_" + "0" * 32, "mv_999999", "nothing_1", "mv_x", "run_x", "ws_2", "", "exec_0", world.model]

    assert [node and node["id"] for node in ask(http, NODES, ids=ids)["nodes"]] == [None] * 8 + [world.model]
    assert ask(http, NODE, id="step_999999")["node"] is None
    assert ask(http, '{ model(name: "nobody") { id } }')["model"] is None


def elsewhere(http: httpx.Client, query: str, **variables: Any) -> Any:
    """The answer in another workspace."""
    http.post("/api/v1/workspaces", json={"name": "other"})
    body = {"query": query, "variables": variables}
    return http.post("/graphql", json=body, headers={"X-Lineal-Workspace": "other"}).json()


def test_another_workspace_s_records_are_null(http: httpx.Client, world: World) -> None:
    ids = [world.experiment, *world.runs, *world.steps, world.model, *world.versions, world.artifact, world.dataset]
    ids += [world.deployment, world.environment, "obj_1", "ws_1"]
    ids += [world.model.replace("model", "ctx"), world.steps[0].replace("step", "exec")]

    assert elsewhere(http, NODES, ids=ids) == {"data": {"nodes": [None] * len(ids)}}


def test_lists_show_the_workspace_only(http: httpx.Client, world: World) -> None:
    lists = ("experiments", "searchRuns", "models", "versions", "artifacts", "datasets", "deployments", "environments")
    query = "{ " + " ".join(f"{name} {{ nodes {{ id }} totalCount {{ value }} }}" for name in lists) + " }"

    assert elsewhere(http, query)["data"] == {name: {"nodes": [], "totalCount": {"value": 0}} for name in lists}


def test_lineage_of_what_is_not_here_is_not_found(http: httpx.Client) -> None:
    error = refusal(http, '{ lineage(node: "mv_999999") { root } }')

    assert (error["extensions"]["code"], error["path"]) == ("NOT_FOUND", ["lineage"])
    assert send(http, '{ lineage(node: "ws_1") { root } }')["errors"][0]["extensions"]["code"] == "BAD_INPUT"


def test_an_id_of_another_kind_is_a_mistake(http: httpx.Client, world: World) -> None:
    error = refusal(http, "query ($id: ID!) { artifact(id: $id) { id } }", id=world.model)

    assert error["extensions"]["code"] == "BAD_INPUT"
    assert "art_<integer>" in error["message"]


def test_a_token_is_shown_to_administrators_only(http: httpx.Client) -> None:
    made = http.post("/api/v1/tokens", json={"name": "viewer", "role": "viewer"}).json()
    body = {"query": NODE, "variables": {"id": made["id"]}}

    refused = http.post("/graphql", json=body, headers={"Authorization": f"Bearer {made['token']}"}).json()

    assert refused["data"] == {"node": None}
    assert refused["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert http.post("/graphql", json=body).json()["data"]["node"] == {"id": made["id"], "__typename": "Token"}
