"""Searching models and versions: MLflow's grammar, orders and pages, and its rule about prompts; on each database."""

from typing import Any

import pytest

from tests.mlflow.calling import Caller, pairs

PROMPT = [{"key": "mlflow.prompt.is_prompt", "value": "true"}]
MODELS = {"alpha": pairs(team="red"), "beta": pairs(team="blue", k="1"), "gamma": [], "Alpha2": pairs(team="red")}


@pytest.fixture(scope="module")
def store(door: Caller) -> dict[str, str]:
    """Four models with two versions each and a prompt; the id of the run that made the second versions."""
    run = door.run(door.experiment())
    for name, tags in MODELS.items():
        door.post("registered-models/create", name=name, tags=tags)
        door.post("model-versions/create", name=name, source=f"s3://b/{name}/1", run_id="elsewhere", tags=tags)
        door.post("model-versions/create", name=name, source=f"s3://b/{name}/2", run_id=run)
    door.post("registered-models/create", name="greeting", tags=PROMPT)
    door.post("model-versions/create", name="greeting", source="dummy-source", tags=PROMPT)
    return {"run": run}


def models(door: Caller, **fields: Any) -> list[str]:
    return [one["name"] for one in door.get("registered-models/search", **fields).get("registered_models", [])]


def versions(door: Caller, **fields: Any) -> list[str]:
    found = door.get("model-versions/search", **fields).get("model_versions", [])
    return [f"{one['name']}/{one['version']}" for one in found]


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ("", ["Alpha2", "alpha", "beta", "gamma"]),
        ("name = 'alpha'", ["alpha"]),
        ("name != 'alpha'", ["Alpha2", "beta", "gamma"]),
        ("name LIKE 'a%'", ["alpha"]),
        ("name ILIKE 'a%'", ["Alpha2", "alpha"]),
        ("name IN ('alpha', 'gamma')", ["alpha", "gamma"]),
        ("name NOT IN ('alpha', 'gamma')", ["Alpha2", "beta"]),
        ("attribute.name = 'beta'", ["beta"]),
        ("tags.team = 'red'", ["Alpha2", "alpha"]),
        ("tag.team != 'red'", ["beta"]),
        ("tags.team LIKE 'b%' AND tags.k = '1'", ["beta"]),
        ("tags.team = 'red' AND name = 'alpha'", ["alpha"]),
        ("name = 'beta' OR tags.team = 'red'", ["Alpha2", "alpha", "beta"]),
        ("NOT (name = 'beta')", ["Alpha2", "alpha", "gamma"]),
        ("tags.`mlflow.prompt.is_prompt` != 'true'", ["Alpha2", "alpha", "beta", "gamma"]),
        ("tags.`mlflow.prompt.is_prompt` = 'false' AND name = 'beta'", ["beta"]),
        ("name = 'greeting' OR tags.`mlflow.prompt.is_prompt` = 'false'", ["Alpha2", "alpha", "beta", "gamma"]),
        ("tags.`mlflow.prompt.is_prompt` = 'true'", ["greeting"]),
        ("tags.`mlflow.prompt.is_prompt` = 'true' AND name LIKE 'x%'", []),
        ("name = 'greeting'", []),
    ],
)
def test_a_filter_of_models_finds_what_it_says(door: Caller, store: dict[str, str], filter: str, expected: list[str]) -> None:
    assert store
    assert models(door, filter=filter) == expected


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ("name = 'alpha'", ["alpha/2", "alpha/1"]),
        ("name = 'alpha' AND version_number = 1", ["alpha/1"]),
        ("name = 'alpha' AND version_number = '1'", ["alpha/1"]),
        ("name = 'alpha' AND NOT version_number != '1'", ["alpha/1"]),
        ("tags.version_number = '1'", []),
        ("version_number > 1 AND name ILIKE 'alpha%'", ["Alpha2/2", "alpha/2"]),
        ("run_id = 'elsewhere' AND name = 'beta'", ["beta/1"]),
        ("run_id = '{run}' AND name = 'beta'", ["beta/2"]),
        ("run_id != 'elsewhere' AND name = 'beta'", ["beta/2"]),
        ("run_id IN ('elsewhere', 'x') AND name = 'beta'", ["beta/1"]),
        ("run_id LIKE 'else%' AND name IN ('beta')", ["beta/1"]),
        ("source_path = 's3://b/gamma/2'", ["gamma/2"]),
        ("source_path LIKE '%gamma%' AND version_number < 2", ["gamma/1"]),
        ("tags.team = 'blue'", ["beta/1"]),
        ("name = 'greeting'", []),
        ("tags.`mlflow.prompt.is_prompt` = 'true'", ["greeting/1"]),
        ("tags.`mlflow.prompt.is_prompt` != 'true' AND name = 'gamma' AND version_number = 1", ["gamma/1"]),
    ],
)
def test_a_filter_of_versions_finds_what_it_says(door: Caller, store: dict[str, str], filter: str, expected: list[str]) -> None:
    found = versions(door, filter=filter.format(**store), order_by=["name", "version_number DESC"])

    assert found == expected


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("registered-models", {"filter": "description = 'x'"}),
        ("registered-models", {"filter": "last_updated_timestamp > 1"}),
        ("registered-models", {"filter": "metrics.a > 1"}),
        ("registered-models", {"filter": "name ="}),
        ("registered-models", {"filter": "name = 'a' 'b'"}),
        ("registered-models", {"order_by": ["creation_timestamp"]}),
        ("registered-models", {"order_by": ["name", "name DESC"]}),
        ("registered-models", {"order_by": ["name UP"]}),
        ("registered-models", {"order_by": ["tags.team"]}),
        ("model-versions", {"filter": "current_stage = 'Production'"}),
        ("model-versions", {"filter": "creation_timestamp > 1"}),
        ("model-versions", {"filter": "run_text = 'elsewhere'"}),
        ("model-versions", {"filter": "version_number = 'a'"}),
        ("model-versions", {"filter": "params.a = 'b'"}),
        ("model-versions", {"order_by": ["source_path"]}),
        ("model-versions", {"order_by": ["run_id"]}),
        ("model-versions", {"order_by": ["version_number", "version_number"]}),
    ],
)
def test_what_mlflow_refuses_is_refused(door: Caller, store: dict[str, str], path: str, fields: dict[str, Any]) -> None:
    assert store
    assert door.refused("GET", f"{path}/search", **fields) == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize("order", [[], ["name DESC"], ["timestamp"], ["last_updated_timestamp DESC", "name"]])
@pytest.mark.parametrize("size", [1, 3, 100])
def test_pages_of_models_give_each_once(door: Caller, store: dict[str, str], order: list[str], size: int) -> None:
    assert store
    paged, token = [], ""
    while True:
        page = door.get("registered-models/search", order_by=order, max_results=size, page_token=token)
        paged += [one["name"] for one in page["registered_models"]]
        token = page.get("next_page_token", "")
        if not token:
            break

    assert paged == models(door, order_by=order)
    assert sorted(paged) == sorted(MODELS)


@pytest.mark.parametrize("order", [[], ["name DESC"], ["version_number DESC"], ["creation_timestamp", "name"]])
def test_pages_of_versions_give_each_once(door: Caller, store: dict[str, str], order: list[str]) -> None:
    assert store
    paged, token = [], ""
    while True:
        page = door.get("model-versions/search", order_by=order, max_results=3, page_token=token)
        paged += [f"{one['name']}/{one['version']}" for one in page["model_versions"]]
        token = page.get("next_page_token", "")
        if not token:
            break

    assert paged == versions(door, order_by=order)
    assert len(set(paged)) == 8
    if order == ["version_number DESC"]:
        assert paged == [f"{name}/{number}" for number in (2, 1) for name in sorted(MODELS)]


def test_versions_come_newest_first_and_tokens_are_of_their_query(door: Caller, store: dict[str, str]) -> None:
    assert store
    page = door.get("model-versions/search", max_results=1)
    assert page["model_versions"][0]["name"] == "Alpha2"
    refused = door.refused("GET", "model-versions/search", page_token=page["next_page_token"], filter="name = 'alpha'")
    assert refused == (400, "INVALID_PARAMETER_VALUE")
