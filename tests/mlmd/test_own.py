"""Writing to the records of other doors: through the same use cases, with the same checks."""

from typing import Any

import httpx
import pytest

from registry.catalog.checking import check_all
from tests.mlmd.door import Door, fresh, node

INPUT = 3


def rest(door: Door, method: str, path: str, body: Any = None, code: int = 200) -> Any:
    answer = httpx.request(method, f"{door.served.url}/api/v1/{path}", json=body, timeout=60)
    assert answer.status_code in {code, 201, 204}, answer.text
    return answer.json() if answer.content else None


def number(own_id: str) -> int:
    return int(own_id.rpartition("_")[2])


def model(door: Door, **fields: Any) -> Any:
    return rest(door, "POST", "models", {"name": fresh("model"), **fields})


def put(door: Door, one: Any, kind: str = "context", **fields: Any) -> str:
    return door.refusal(f"Put{kind.title()}s", **{f"{kind}s": [one]}, **fields)


def test_what_was_read_and_comes_back_changes_nothing(door: Door) -> None:
    made = model(door, tags={"team": "red"})
    read = door.one("context", number(made["id"]))

    assert put(door, read) == "OK"

    assert rest(door, "GET", f"models/{made['id']}")["version"] == made["version"]
    assert door.one("context", number(made["id"])) == read
    assert (read.type, read.custom_properties["team"].string_value) == ("kf.RegisteredModel", "red")


def test_a_changed_tag_sets_the_tag_and_a_new_property_is_the_doors_own(door: Door) -> None:
    made = model(door, tags={"team": "red", "kept": "yes"})
    read = door.one("context", number(made["id"]))
    read.custom_properties["team"].string_value = "blue"
    read.custom_properties["mine"].int_value = 7

    put(door, read)

    shown = rest(door, "GET", f"models/{made['id']}")
    assert shown["tags"] == {"team": "blue", "kept": "yes"}
    assert shown["version"] > made["version"]
    again = door.one("context", number(made["id"]))
    assert again.custom_properties["mine"].int_value == 7


def test_a_map_that_is_replaced_deletes_among_the_doors_own_only(door: Door) -> None:
    made = model(door, tags={"team": "red"})
    read = door.one("context", number(made["id"]))
    read.custom_properties["mine"].int_value = 7
    put(door, read)

    put(door, node("context", id=read.id, type_id=read.type_id, name=read.name))

    assert sorted(door.one("context", read.id).custom_properties) == ["team"]
    assert rest(door, "GET", f"models/{made['id']}")["tags"] == {"team": "red"}


@pytest.mark.parametrize("kind", ["models", "experiments"])
def test_a_name_renames_the_record(door: Door, kind: str) -> None:
    made = rest(door, "POST", kind, {"name": fresh(kind)})
    read = door.one("context", number(made["id"]))
    other = rest(door, "POST", kind, {"name": fresh(kind)})
    read.name = fresh("renamed")

    assert put(door, read) == "OK"
    assert rest(door, "GET", f"{kind}/{made['id']}")["name"] == read.name == door.one("context", read.id).name
    read.name = other["name"]
    assert put(door, read) == "ALREADY_EXISTS"


def test_leaving_the_name_out_does_not_clear_it(door: Door) -> None:
    made = model(door)

    assert put(door, node("context", id=number(made["id"]), custom={"k": "v"})) == "OK"

    assert rest(door, "GET", f"models/{made['id']}")["name"] == made["name"]


def test_a_version_keeps_the_prefix_of_its_model(door: Door) -> None:
    made = model(door)
    version = rest(door, "POST", f"models/{made['id']}/versions", {"source": "s3://b/k"})
    read = door.one("context", number(version["id"]))
    prefix = f"{number(made['id'])}:"

    assert read.name.startswith(prefix)
    read.name = "candidate"
    assert put(door, read) == "INVALID_ARGUMENT"
    read.name = f"{prefix}candidate"
    assert put(door, read) == "OK"
    assert rest(door, "GET", f"model-versions/{version['id']}")["name"] == "candidate"
    read.name = f"{prefix}{'x' * 600}"
    assert put(door, read) == "INVALID_ARGUMENT"


def test_a_mask_touches_what_it_names(door: Door) -> None:
    made = model(door, tags={"team": "red"})
    put_ = node("context", id=number(made["id"]), name=fresh("unmasked"), custom={"team": "blue", "other": "x"})

    assert put(door, put_, update_mask={"paths": ["custom_properties.team"]}) == "OK"

    shown = rest(door, "GET", f"models/{made['id']}")
    assert (shown["name"], shown["tags"]) == (made["name"], {"team": "blue"})
    assert sorted(door.one("context", put_.id).custom_properties) == ["team"]


def test_a_deleted_record_is_not_written(door: Door) -> None:
    made = model(door)
    rest(door, "DELETE", f"models/{made['id']}")
    read = door.one("context", number(made["id"]))
    read.custom_properties["k"].string_value = "v"

    assert put(door, read) == "FAILED_PRECONDITION"


def test_a_step_takes_a_state_and_a_run_too(door: Door) -> None:
    run = rest(door, "POST", "runs", {"experiment_name": fresh("e"), "name": "r"})
    artifact = rest(door, "POST", "artifacts", {"uri": fresh("s3://b/k"), "display_name": "in"})
    rest(door, "POST", f"runs/{run['id']}/uses", {"artifact_id": artifact["id"], "direction": "input"})
    query = {"filter_query": f"events_a.artifact_id = {number(artifact['id'])}"}
    [execution] = door.call("GetExecutions", options=query).executions

    assert execution.type == "lineal.Run"
    execution.last_known_state = 4
    assert put(door, execution, "execution") == "OK"
    assert rest(door, "GET", f"runs/{run['id']}")["status"] == "failed"
    assert door.one("execution", execution.id).last_known_state == 4


def test_the_files_of_an_artifact_of_ours_are_not_moved(door: Door) -> None:
    made = rest(door, "POST", "artifacts", {"uri": fresh("s3://b/k"), "display_name": "mine"})
    read = door.one("artifact", number(made["id"]))
    read.custom_properties["note"].string_value = "seen"

    assert put(door, read, "artifact") == "OK"
    assert door.one("artifact", read.id).custom_properties["note"].string_value == "seen"
    read.uri = "s3://elsewhere/k"
    assert put(door, read, "artifact") == "FAILED_PRECONDITION"


def test_a_new_node_of_a_type_of_ours_is_refused(door: Door) -> None:
    type_id = door.call("GetContextType", type_name="kf.RegisteredModel").context_type.id

    assert put(door, node("context", type_id, name=fresh("m"))) == "FAILED_PRECONDITION"
    assert not door.served.services.runner.read(lambda session: list(check_all(session)))
