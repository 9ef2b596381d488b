"""The schema that is served is the one that is committed, and every committed operation gives data."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from graphql import parse, validate
from registry.api.gql.schema import schema
from registry.catalog.actors import Actor
from registry.catalog.models import create_model
from registry.catalog.targets import Target, move
from registry.catalog.versions import create_version
from registry.db.session import Session
from registry.names import Role, TargetKind, new_run_hex
from tests.servers import Served

GRAPHQL = Path(__file__).parents[2] / "graphql"
OPERATIONS = sorted(path.stem for path in (GRAPHQL / "operations").glob("*.graphql"))


def ask(http: httpx.Client, query: str, **variables: Any) -> dict[str, Any]:
    response = http.post("/graphql", json={"query": query, "variables": variables})
    answer: dict[str, Any] = response.json()
    return answer


def operation(name: str) -> str:
    return (GRAPHQL / "operations" / f"{name}.graphql").read_text("utf-8")


@pytest.fixture(scope="module")
def filled(server: Served, http: httpx.Client) -> dict[str, Any]:
    """An experiment with two runs, and a model with two versions of which one is `champion`."""
    runs = []
    for loss in (0.5, 0.25):
        run = http.post("/api/v1/runs", json={"experiment_name": "gql"}).json()
        body = {"metrics": [{"key": "loss", "value": loss, "step": 7, "at": 1}], "params": {"lr": str(loss)}}
        http.post(f"/api/v1/runs/{run['id']}/log", json=body)
        runs.append(run)
    actor = Actor("tester", 1, "default", Role.ADMIN)

    def register(session: Session) -> tuple[str, list[str]]:
        model = create_model(session, actor, f"m-{new_run_hex()}", now=1)
        made = [
            create_version(session, actor, model.id, now=1, run=run["id"].removeprefix("run_"), source="s3://b/m") for run in runs
        ]
        target = Target(TargetKind.ALIAS, model.id, "champion")
        move(session, target, made[1].id, expected=None, actor=actor, now=2)
        return model.name, [version.own_id for version in made]

    name, versions = server.services.runner.write(register)
    return {"runs": runs, "model": name, "versions": versions}


def test_the_committed_sdl_is_what_is_served() -> None:
    assert (GRAPHQL / "schema.graphql").read_text("utf-8") == str(schema).rstrip() + "\n"


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_fits_the_schema(name: str) -> None:
    assert validate(schema.graphql_schema, parse(operation(name))) == []


def test_run(http: httpx.Client, filled: dict[str, Any]) -> None:
    found = ask(http, operation("run"), id=filled["runs"][0]["id"], keys=["loss"])["data"]["run"]

    assert found["experimentName"] == "gql"
    assert found["metrics"] == [{"key": "loss", "value": 0.5, "step": "7"}]
    assert found["params"] == [{"key": "lr", "value": "0.5"}]


def test_runs(http: httpx.Client, filled: dict[str, Any]) -> None:
    experiment = filled["runs"][0]["experiment_id"]

    found = ask(http, operation("runs"), experimentId=experiment, first=10)["data"]["runs"]

    assert [run["id"] for run in found] == [run["id"] for run in filled["runs"]]


def test_models(http: httpx.Client, filled: dict[str, Any]) -> None:
    [model] = [one for one in ask(http, operation("models"), first=100)["data"]["models"] if one["name"] == filled["model"]]

    assert model["aliases"] == [{"alias": "champion", "number": 2}]


def test_model_version(http: httpx.Client, filled: dict[str, Any]) -> None:
    found = ask(http, operation("model-version"), model=filled["model"], alias="champion")["data"]["modelVersion"]

    assert (found["id"], found["number"], found["run"]) == (filled["versions"][1], 2, filled["runs"][1]["id"])


def test_compare_model_versions(http: httpx.Client, filled: dict[str, Any]) -> None:
    found = ask(http, operation("compare-model-versions"), ids=filled["versions"], onlyDifferent=True)["data"][
        "compareModelVersions"
    ]

    assert [item["id"] for item in found["items"]] == filled["versions"]
    [loss] = [row for row in found["metrics"] if row["key"] == "loss"]
    assert [cell["value"] for cell in loss["cells"]] == [0.5, 0.25]
    assert loss["cells"][1]["delta"] == -0.25
    assert {"key": "lr", "values": ["0.5", "0.25"]} in found["params"]


def test_every_operation_has_a_test_here() -> None:
    assert {f"test_{name.replace('-', '_')}" for name in OPERATIONS} <= set(globals())


def test_node_finds_each_kind_and_is_null_for_what_is_not_here(http: httpx.Client, filled: dict[str, Any]) -> None:
    query = "query ($id: ID!) { node(id: $id) { id __typename } }"
    wanted = {
        filled["runs"][0]["id"]: "Run",
        filled["runs"][0]["experiment_id"]: "Experiment",
        filled["versions"][0]: "ModelVersion",
    }

    for id, kind in wanted.items():
        assert ask(http, query, id=id)["data"]["node"] == {"id": id, "__typename": kind}
    assert ask(http, query, id="run_" + "0" * 32)["data"]["node"] is None
    assert ask(http, query, id="nothing_1")["data"]["node"] is None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"query": "{ nothing }"}, 400),
        ({"query": "{"}, 400),
        ({"query": "{ runs(first: 100000) { id } }"}, 400),
        ({"query": 7}, 400),
        ([], 400),
    ],
)
def test_what_is_no_operation_is_refused(http: httpx.Client, body: object, status: int) -> None:
    assert http.post("/graphql", json=body).status_code == status


def test_a_form_of_another_site_cannot_send_one(http: httpx.Client) -> None:
    assert (
        http.post("/graphql", content=b'{"query": "{ runs { id } }"}', headers={"Content-Type": "text/plain"}).status_code == 415
    )


def test_an_error_of_ours_has_its_code_and_others_nothing_but_the_request(http: httpx.Client) -> None:
    answer = ask(http, "{ runs(first: 0) { id } }")

    assert answer["errors"][0]["extensions"] == {"code": "INVALID_ARGUMENT"}
    assert answer["errors"][0]["message"] == "first is 1 to 200"
