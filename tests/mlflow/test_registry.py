"""Registered models, versions, aliases and stages, on each database."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from registry.catalog.actors import Actor
from registry.catalog.models import archive_model, find_model
from registry.names import Role
from tests.mlflow.calling import Caller, fresh, pairs

ACTOR = Actor("tester", 1, "default", Role.ADMIN)


def made(door: Caller, **fields: Any) -> str:
    name = fresh("model")
    door.post("registered-models/create", name=name, **fields)
    return name


def version(door: Caller, name: str, source: str = "s3://bucket/model", **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = door.post("model-versions/create", name=name, source=source, **fields)["model_version"]
    return found


def got(door: Caller, name: str, number: str = "1") -> dict[str, Any]:
    found: dict[str, Any] = door.get("model-versions/get", name=name, version=number)["model_version"]
    return found


def stages(door: Caller, name: str) -> dict[str, str]:
    found = door.get("model-versions/search", filter=f"name = '{name}'")["model_versions"]
    return {one["version"]: one["current_stage"] for one in found}


def move(door: Caller, name: str, number: str, stage: str, **fields: Any) -> dict[str, Any]:
    fields = {"archive_existing_versions": False, **fields}
    found: dict[str, Any] = door.post("model-versions/transition-stage", name=name, version=number, stage=stage, **fields)
    return found


def test_a_model_is_shown_as_it_was_made(door: Caller) -> None:
    name = fresh("model")
    answer = door.post("registered-models/create", name=name, description="d", tags=pairs(team="red", n="1"))

    shown = door.get("registered-models/get", name=name)["registered_model"]
    assert answer["registered_model"] == shown
    assert {key: shown[key] for key in ("name", "description", "tags")} == {
        "name": name,
        "description": "d",
        "tags": [{"key": "n", "value": "1"}, {"key": "team", "value": "red"}],
    }
    assert shown["creation_timestamp"] == shown["last_updated_timestamp"]
    assert "latest_versions" not in shown


def test_a_version_is_shown_as_it_was_made(door: Caller) -> None:
    name = made(door)
    run = door.run(door.experiment())
    answer = version(door, name, run_id=run, run_link="http://x", description="d", tags=pairs(a="b"))

    times = {key: answer.pop(key) for key in ("creation_timestamp", "last_updated_timestamp")}
    assert answer == {
        "name": name,
        "version": "1",
        "current_stage": "None",
        "description": "d",
        "source": "s3://bucket/model",
        "run_id": run,
        "status": "READY",
        "tags": [{"key": "a", "value": "b"}],
        "run_link": "http://x",
    }
    assert got(door, name) == answer | times
    assert door.get("registered-models/get", name=name)["registered_model"]["latest_versions"] == [answer | times]


@pytest.mark.parametrize(
    ("verb", "path", "fields", "refusal"),
    [
        ("GET", "registered-models/get", {"name": "nobody"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("GET", "registered-models/get", {}, (400, "INVALID_PARAMETER_VALUE")),
        ("POST", "registered-models/create", {"name": "a/b"}, (400, "INVALID_PARAMETER_VALUE")),
        ("POST", "registered-models/create", {"name": " "}, (400, "INVALID_PARAMETER_VALUE")),
        ("PATCH", "registered-models/update", {"name": "nobody"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("POST", "registered-models/rename", {"name": "nobody", "new_name": "x"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("DELETE", "registered-models/delete", {"name": "nobody"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("POST", "registered-models/set-tag", {"name": "nobody", "key": "k"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("DELETE", "registered-models/delete-tag", {"name": "nobody", "key": "k"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("GET", "registered-models/alias", {"name": "nobody", "alias": "a"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("POST", "registered-models/get-latest-versions", {"name": "nobody"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("GET", "registered-models/search", {"max_results": 1001}, (400, "INVALID_PARAMETER_VALUE")),
        ("GET", "registered-models/search", {"max_results": 0}, (400, "INVALID_PARAMETER_VALUE")),
        ("GET", "registered-models/search", {"page_token": "x"}, (400, "INVALID_PARAMETER_VALUE")),
        ("POST", "model-versions/create", {"name": "nobody", "source": "s3://x"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("POST", "model-versions/create", {"name": "nobody", "source": "/etc"}, (400, "INVALID_PARAMETER_VALUE")),
        ("POST", "registered-models/alias", {"name": "nobody", "alias": "a b", "version": "1"}, (400, "INVALID_PARAMETER_VALUE")),
        ("DELETE", "registered-models/delete-tag", {"name": "nobody", "key": "a/../b"}, (400, "INVALID_PARAMETER_VALUE")),
        ("DELETE", "model-versions/delete-tag", {"name": "nobody", "version": "1", "key": "$"}, (400, "INVALID_PARAMETER_VALUE")),
        ("GET", "model-versions/get", {"name": "nobody", "version": "1"}, (404, "RESOURCE_DOES_NOT_EXIST")),
        ("GET", "model-versions/get", {"name": "nobody", "version": "one"}, (400, "INVALID_PARAMETER_VALUE")),
        ("GET", "model-versions/get", {"name": "nobody", "version": "9" * 40}, (400, "INVALID_PARAMETER_VALUE")),
        ("GET", "model-versions/search", {"max_results": 200_001}, (400, "INVALID_PARAMETER_VALUE")),
    ],
)
def test_what_cannot_be_is_refused_by_code(
    door: Caller, verb: str, path: str, fields: dict[str, Any], refusal: tuple[int, str]
) -> None:
    assert door.refused(verb, path, **fields) == refusal


def test_a_name_is_taken_once_and_free_again_after_deletion(door: Caller) -> None:
    name = made(door)
    version(door, name)
    assert door.refused("POST", "registered-models/create", name=name) == (400, "RESOURCE_ALREADY_EXISTS")

    assert door.ask("DELETE", "registered-models/delete", name=name).json() == {}
    assert door.refused("DELETE", "registered-models/delete", name=name) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert door.refused("GET", "model-versions/get", name=name, version="1") == (404, "RESOURCE_DOES_NOT_EXIST")
    door.post("registered-models/create", name=name)
    assert version(door, name)["version"] == "1"


def test_many_who_register_at_once_get_a_number_each_and_the_files_are_one_artifact(door: Caller) -> None:
    name, run = made(door), door.run(door.experiment())
    source = f"runs:/{run}/model"
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: version(door, name, source, run_id=run)["version"], range(16)))

    assert sorted(found, key=int) == [str(number) for number in range(1, 17)]
    held = door.http.get("/api/v1/model-versions", params={"model_id": model_id(door, name), "page_size": 100}).json()
    assert len({one["artifact_id"] for one in held["versions"]}) == 1


def test_a_rename_takes_versions_aliases_and_lineage_along(door: Caller) -> None:
    name, other, new = made(door), made(door), fresh("renamed")
    run = door.run(door.experiment())
    version(door, name, run_id=run)
    door.post("registered-models/alias", name=name, alias="best", version="1")
    before = got(door, name)

    assert door.refused("POST", "registered-models/rename", name=name, new_name=other) == (400, "RESOURCE_ALREADY_EXISTS")
    renamed = door.post("registered-models/rename", name=name, new_name=new)["registered_model"]
    assert (renamed["name"], renamed["aliases"]) == (new, [{"alias": "best", "version": "1"}])
    assert got(door, new) == before | {"name": new}
    assert door.refused("GET", "registered-models/get", name=name) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_a_deleted_version_is_gone_and_its_number_never_comes_back(door: Caller) -> None:
    name = made(door)
    for _ in range(3):
        version(door, name)
    door.post("registered-models/alias", name=name, alias="best", version="3")

    assert door.ask("DELETE", "model-versions/delete", name=name, version="3").status_code == 200
    for verb, path in (("GET", "get"), ("DELETE", "delete"), ("PATCH", "update"), ("GET", "get-download-uri")):
        assert door.refused(verb, f"model-versions/{path}", name=name, version="3")[0] == 404
    assert door.refused("GET", "registered-models/alias", name=name, alias="best") == (400, "INVALID_PARAMETER_VALUE")
    assert sorted(stages(door, name)) == ["1", "2"]
    assert version(door, name)["version"] == "4"


def test_descriptions_change_and_a_second_time_nothing_does(door: Caller) -> None:
    name = made(door)
    version(door, name)
    model = door.ask("PATCH", "registered-models/update", name=name, description="d").json()["registered_model"]
    one = door.ask("PATCH", "model-versions/update", name=name, version="1", description="d").json()["model_version"]

    assert (model["description"], one["description"]) == ("d", "d")
    assert one["last_updated_timestamp"] > one["creation_timestamp"]
    again = door.ask("PATCH", "registered-models/update", name=name, description="d").json()["registered_model"]
    assert again["last_updated_timestamp"] == model["last_updated_timestamp"]
    assert door.ask("PATCH", "model-versions/update", name=name, version="1", description="d").json()["model_version"] == one
    assert door.ask("PATCH", "model-versions/update", name=name, version="1").json()["model_version"]["description"] == ""


def test_tags_are_set_and_go_and_one_that_is_not_there_is_gone_already(door: Caller) -> None:
    name = made(door)
    version(door, name)
    for kind, key in (("registered-models", {}), ("model-versions", {"version": "1"})):
        door.post(f"{kind}/set-tag", name=name, key="k", value="1", **key)
        door.post(f"{kind}/set-tag", name=name, key="k", value="", **key)
        door.post(f"{kind}/set-tag", name=name, key="other", value="v" * 100_000, **key)
        assert door.refused("POST", f"{kind}/set-tag", name=name, key="k", value="v" * 100_001, **key)[0] == 400
        assert door.refused("POST", f"{kind}/set-tag", name=name, key="lineal.lifecycle", value="x", **key)[0] == 400
        for _ in range(2):
            assert door.ask("DELETE", f"{kind}/delete-tag", name=name, key="other", **key).json() == {}

    assert got(door, name)["tags"] == [{"key": "k", "value": ""}]
    assert door.get("registered-models/get", name=name)["registered_model"]["tags"] == [{"key": "k", "value": ""}]


def test_what_a_live_deployment_serves_is_not_deleted(door: Caller) -> None:
    name = made(door)
    version(door, name)
    page = door.http.get("/api/v1/model-versions", params={"model_id": model_id(door, name)}).json()
    body = {"name": fresh("served"), "environment": "prod", "model_version_id": page["versions"][0]["id"]}
    door.http.post("/api/v1/deployments", json=body).raise_for_status()

    assert door.refused("DELETE", "model-versions/delete", name=name, version="1") == (409, "RESOURCE_CONFLICT")
    assert door.refused("DELETE", "registered-models/delete", name=name) == (409, "RESOURCE_CONFLICT")
    assert got(door, name)["version"] == "1"


def test_a_model_that_mlflow_could_not_have_named_is_found_by_its_name(door: Caller) -> None:
    name = f"team/{fresh('model')}:x"
    door.http.post("/api/v1/models", json={"name": name}).raise_for_status()

    assert door.get("registered-models/get", name=name)["registered_model"]["name"] == name
    assert version(door, name)["name"] == name


# ---- aliases and stages ----------------------------------------------------------------------------------------------


def test_an_alias_moves_and_names_one_version(door: Caller) -> None:
    name = made(door)
    for _ in range(2):
        version(door, name, tags=pairs(a="1", b="2"))
    for number in ("1", "2", "2"):
        assert door.post("registered-models/alias", name=name, alias="best", version=number) == {}
    door.post("registered-models/alias", name=name, alias="also", version="2")

    found = door.get("registered-models/alias", name=name, alias="best")["model_version"]
    assert (found["version"], found["aliases"], len(found["tags"])) == ("2", ["also", "best"], 2)
    assert found == got(door, name, "2")
    assert "aliases" not in got(door, name, "1")
    for _ in range(2):
        assert door.ask("DELETE", "registered-models/alias", name=name, alias="best").json() == {}
    assert door.refused("GET", "registered-models/alias", name=name, alias="best") == (400, "INVALID_PARAMETER_VALUE")


def test_latest_and_v_and_a_number_are_aliases_that_cannot_be_set(door: Caller) -> None:
    name = made(door)
    assert door.refused("GET", "registered-models/alias", name=name, alias="latest")[0] == 400
    for _ in range(2):
        version(door, name)

    found = {alias: door.get("registered-models/alias", name=name, alias=alias) for alias in ("latest", "Latest", "v1")}
    assert [one["model_version"]["version"] for one in found.values()] == ["2", "2", "1"]
    for alias in ("latest", "LATEST", "v1", "a b", "a/b", "x" * 256):
        assert door.refused("POST", "registered-models/alias", name=name, alias=alias, version="1")[0] == 400
    for alias in ("latest", "V1", "v77"):  # no version was given them
        assert door.ask("DELETE", "registered-models/alias", name=name, alias=alias).json() == {}
        assert door.refused("DELETE", "registered-models/alias", name="nobody's", alias=alias)[0] == 404
    assert door.get("registered-models/alias", name=name, alias="latest")["model_version"]["version"] == "2"
    assert door.refused("DELETE", "registered-models/alias", name=name, alias="a b")[0] == 400
    assert door.refused("POST", "registered-models/alias", name=name, alias="a", version="7")[0] == 404


def test_a_stage_in_any_case_is_the_stage_and_another_word_is_none(door: Caller) -> None:
    name = made(door)
    version(door, name)

    assert move(door, name, "1", "staging")["model_version"]["current_stage"] == "Staging"
    assert move(door, name, "1", "none")["model_version"]["current_stage"] == "None"
    refused = door.refused("POST", "model-versions/transition-stage", name=name, version="1", stage="Shadow")
    assert refused == (400, "INVALID_PARAMETER_VALUE")


def test_existing_versions_are_archived_with_the_move_and_only_for_active_stages(door: Caller) -> None:
    name = made(door)
    for number in ("1", "2", "3"):
        version(door, name)
        move(door, name, number, "Production" if number != "3" else "Staging")

    moved = move(door, name, "3", "Production", archive_existing_versions=True)
    assert moved == move(door, name, "3", "Production", archive_existing_versions=True)
    assert stages(door, name) == {"1": "Archived", "2": "Archived", "3": "Production"}
    for stage in ("None", "Archived"):
        fields = {"name": name, "version": "1", "stage": stage, "archive_existing_versions": True}
        assert door.refused("POST", "model-versions/transition-stage", **fields) == (400, "INVALID_PARAMETER_VALUE")
    history = door.http.get(f"/api/v1/models/{model_id(door, name)}/moves").json()
    assert len(history["items"] if "items" in history else history["moves"]) == 8


def model_id(door: Caller, name: str) -> str:
    found = door.served.services.runner.read(lambda session: find_model(session, ACTOR, name))
    assert found is not None
    return found.own_id


def test_the_latest_of_each_stage_is_the_highest_number(door: Caller) -> None:
    name = made(door)
    for stage in ("Archived", "Production", "Archived", "Production", "Staging", "None", "None"):
        move(door, name, version(door, name)["version"], stage)
    door.post("registered-models/alias", name=name, alias="best", version="4")

    def latest(*wanted: str) -> dict[str, str]:
        found = door.post("registered-models/get-latest-versions", name=name, stages=list(wanted))
        return {one["current_stage"]: one["version"] for one in found.get("model_versions", [])}

    assert latest() == {"Archived": "3", "Production": "4", "Staging": "5", "None": "7"}
    assert latest("production", "None") == {"Production": "4", "None": "7"}
    by_get = door.get("registered-models/get-latest-versions", name=name, stages=["Production", "Staging"])["model_versions"]
    assert [(one["version"], one.get("aliases")) for one in by_get] == [("4", ["best"]), ("5", None)]
    shown = door.get("registered-models/get", name=name)["registered_model"]
    assert [one["version"] for one in shown["latest_versions"]] == ["3", "4", "5", "7"]
    assert "aliases" not in shown["latest_versions"][1]
    assert door.refused("POST", "registered-models/get-latest-versions", name=name, stages=["x"])[0] == 400


def test_moves_and_new_versions_move_the_models_time_and_aliases_and_tags_do_not(door: Caller) -> None:
    name = made(door)

    def moved() -> bool:
        before, now[0] = now[0], door.get("registered-models/get", name=name)["registered_model"]["last_updated_timestamp"]
        return bool(before != now[0])

    now = [door.get("registered-models/get", name=name)["registered_model"]["last_updated_timestamp"]]
    version(door, name)
    assert moved()
    move(door, name, "1", "Staging")
    assert moved()
    door.post("registered-models/alias", name=name, alias="a", version="1")
    door.post("registered-models/set-tag", name=name, key="k", value="v")
    door.ask("PATCH", "model-versions/update", name=name, version="1", description="d")
    assert not moved()
    door.ask("DELETE", "model-versions/delete", name=name, version="1")
    assert moved()


def test_a_model_archived_elsewhere_is_shown_with_a_tag_that_says_so(door: Caller) -> None:
    name = made(door)
    found = door.served.services.runner.read(lambda session: find_model(session, ACTOR, name))
    assert found is not None
    door.served.services.runner.write(lambda session: archive_model(session, ACTOR, found.id, now=1))

    shown = door.get("registered-models/get", name=name)["registered_model"]
    assert shown["tags"] == [{"key": "lineal.lifecycle", "value": "archived"}]
