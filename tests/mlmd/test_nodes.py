"""Types and nodes: what is kept, what an update changes, which status code says no."""

import math
import struct
import time
from typing import Any

import pytest

from tests.mlmd.door import Door, fresh, message, node

INT, DOUBLE, STRING = 1, 2, 3


def test_a_fresh_store_is_empty_and_its_first_user_type_has_id_10(sqlite_door: Door) -> None:
    counts = [len(getattr(sqlite_door.call(f"Get{kind}s"), f"{kind.lower()}s")) for kind in ("Artifact", "Execution", "Context")]

    assert counts == [0, 0, 0]
    assert not sqlite_door.call("GetExecutionTypes").execution_types
    assert sqlite_door.type("execution") == 10
    assert sqlite_door.call("GetExecutionType", type_name="mlmd.Train").execution_type.id == 5


@pytest.mark.parametrize(
    ("second", "flags", "code"),
    [
        ({"a": INT}, {}, "OK"),
        ({"a": STRING}, {"can_add_fields": True, "can_omit_fields": True}, "ALREADY_EXISTS"),
        ({"a": INT, "b": INT}, {}, "ALREADY_EXISTS"),
        ({"a": INT, "b": INT}, {"can_add_fields": True}, "OK"),
        ({}, {}, "ALREADY_EXISTS"),
        ({}, {"can_omit_fields": True}, "OK"),
        ({"a": 0}, {}, "INVALID_ARGUMENT"),
        ({"a": INT}, {"all_fields_match": False}, "UNIMPLEMENTED"),
    ],
)
def test_a_type_grows_only_as_it_is_allowed_to(
    sqlite_door: Door, second: dict[str, int], flags: dict[str, bool], code: str
) -> None:
    name = fresh("grows")
    first = sqlite_door.type("artifact", name, a=INT)

    found = sqlite_door.refusal("PutArtifactType", artifact_type=message("ArtifactType", name=name, properties=second), **flags)

    stored = sqlite_door.call("GetArtifactType", type_name=name).artifact_type
    assert found == code
    assert (stored.id, stored.properties["a"]) == (first, INT)
    assert ("b" in stored.properties) == (code == "OK" and "b" in second)


def test_types_put_together_are_all_there_or_none(sqlite_door: Door) -> None:
    name = fresh("together")
    good, bad = message("ExecutionType", name=name), message("ContextType", name="")

    assert sqlite_door.refusal("PutTypes", execution_types=[good], context_types=[bad]) == "INVALID_ARGUMENT"
    assert sqlite_door.refusal("GetExecutionType", type_name=name) == "NOT_FOUND"
    twice = sqlite_door.call("PutTypes", execution_types=[good, good], context_types=[message("ContextType", name=name)])
    assert twice.execution_type_ids[0] == twice.execution_type_ids[1] != twice.context_type_ids[0]


def test_a_version_of_a_systems_type_is_found_by_name_and_is_in_no_list(sqlite_door: Door) -> None:
    made = {"name": "mlmd.Model", "version": fresh("v")}
    id = sqlite_door.call("PutArtifactType", artifact_type=made).type_id

    listed = {one.id for one in sqlite_door.call("GetArtifactTypes").artifact_types}
    found = sqlite_door.call("GetArtifactType", type_name=made["name"], type_version=made["version"]).artifact_type

    assert id not in listed
    assert found.id == id


def test_a_property_that_a_type_got_after_its_first_node_is_taken(door: Door) -> None:
    """The server keeps what it knows of a type, and looks again before it refuses."""
    name, type_id = fresh("t"), 0
    for properties in ({"a": INT}, {"a": INT, "b": STRING}):
        given = {"artifact_type": {"name": name, "properties": properties}, "can_add_fields": True}
        type_id = door.call("PutArtifactType", **given).type_id
        door.put("artifact", node("artifact", type_id, properties={"a": 1} if len(properties) == 1 else {"b": "x"}))

    refused = door.refusal("PutArtifacts", artifacts=[node("artifact", type_id, properties={"c": 1})])

    assert refused == "INVALID_ARGUMENT"


def test_a_base_type_is_set_once(sqlite_door: Door) -> None:
    name = fresh("based")
    sqlite_door.type("artifact", name)

    assert sqlite_door.refusal("PutArtifactType", artifact_type=message("ArtifactType", name=name, base_type=2)) == "OK"
    assert (
        sqlite_door.refusal("PutArtifactType", artifact_type=message("ArtifactType", name=name, base_type=1)) == "UNIMPLEMENTED"
    )
    assert sqlite_door.call("GetArtifactType", type_name=name).artifact_type.base_type == 2


def test_every_value_comes_back_bit_for_bit(door: Door) -> None:
    values = {
        "tiny": 1e-300,
        "pi": math.pi,
        "minus zero": -0.0,
        "nan": math.nan,
        "infinite": -math.inf,
        "big": 2**63 - 1,
        "small": -(2**63),
        "text": "é\\' \U0001f600\n" * 1000,
        "yes": True,
        "empty": "",
        "struct": {"list": [1.5, None, {"deep": "é"}], "none": {}},
    }
    type_id = door.type("artifact")
    [id] = door.put("artifact", node("artifact", type_id, custom=values))

    found = door.one("artifact", id).custom_properties

    expected = node("artifact", custom=values).custom_properties
    assert {name: value.SerializeToString(deterministic=True) for name, value in found.items()} == {
        name: value.SerializeToString(deterministic=True) for name, value in expected.items()
    }
    assert struct.pack("<d", found["minus zero"].double_value) == struct.pack("<d", -0.0)


def test_a_value_without_a_kind_is_refused_and_nothing_is_kept(door: Door) -> None:
    type_id = door.type("artifact")
    empty = node("artifact", type_id, name=fresh("empty"))
    empty.custom_properties["x"].SetInParent()
    good = node("artifact", type_id, name=fresh("good"))

    assert door.refusal("PutArtifacts", artifacts=[good, empty]) == "INVALID_ARGUMENT"
    assert not door.call("GetArtifactByTypeAndName", artifact_name=good.name).HasField("artifact")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"type_id": None}, "INVALID_ARGUMENT"),
        ({"type_id": 987_654}, "NOT_FOUND"),
        ({"id": 987_654}, "INVALID_ARGUMENT"),
        ({"properties": {"a": "text"}}, "INVALID_ARGUMENT"),
        ({"properties": {"unknown": 1}}, "INVALID_ARGUMENT"),
        ({"properties": {"d": 1}}, "INVALID_ARGUMENT"),
        ({"name": "n" * 513}, "INVALID_ARGUMENT"),
        ({"name": "nul\0"}, "INVALID_ARGUMENT"),
        ({"name": ""}, "OK"),
    ],
)
def test_what_a_new_node_may_not_be(sqlite_door: Door, fields: dict[str, object], code: str) -> None:
    known = sqlite_door.type("execution", a=INT, d=DOUBLE)
    given = {"type_id": known, **fields}

    assert sqlite_door.refusal("PutExecutions", executions=[node("execution", **given)]) == code  # type: ignore[arg-type]


def test_names_are_unique_in_a_type_and_external_ids_in_a_kind(door: Door) -> None:
    one, other = door.type("artifact"), door.type("artifact")
    name, external = fresh("name"), fresh("external")
    [first] = door.put("artifact", node("artifact", one, name=name, external_id=external))
    [second] = door.put("artifact", node("artifact", other, name=name))

    assert door.refusal("PutArtifacts", artifacts=[node("artifact", one, name=name)]) == "ALREADY_EXISTS"
    assert door.refusal("PutArtifacts", artifacts=[node("artifact", other, external_id=external)]) == "ALREADY_EXISTS"
    clash = node("artifact", id=second, external_id=external)
    assert door.refusal("PutArtifacts", artifacts=[clash]) == "ALREADY_EXISTS"
    door.put("artifact", node("artifact", one, name=name + " "), node("artifact", one, name=name.upper()))
    assert [found.id for found in door.get("artifact", second, first, 0, -1, first)] == [first, second]


def test_what_a_node_of_a_call_gives_up_one_after_it_may_take(door: Door) -> None:
    """In the order of the call, as ML Metadata writes them."""
    type_id, x, y = door.type("artifact", fresh("t")), fresh("x"), fresh("y")
    a, b = door.put("artifact", *(node("artifact", type_id, external_id=one) for one in (x, y)))

    def held() -> dict[str, int]:
        found = door.call("GetArtifactsByExternalIds", external_ids=[x, y]).artifacts
        return {one.external_id: one.id for one in found}

    [c] = door.put("artifact", node("artifact", type_id, id=a), node("artifact", type_id, external_id=x))[1:]
    assert held() == {x: c, y: b}
    door.put("artifact", node("artifact", type_id, id=c), node("artifact", type_id, id=a, external_id=x))
    assert held() == {x: a, y: b}
    late = [node("artifact", type_id, external_id=y), node("artifact", type_id, id=b)]
    assert door.refusal("PutArtifacts", artifacts=late) == "ALREADY_EXISTS"
    assert held() == {x: a, y: b}

    context_type, old, new = door.type("context", fresh("t")), fresh("old"), fresh("new")
    [renamed] = door.put("context", node("context", context_type, name=old))
    [made] = door.put("context", node("context", context_type, id=renamed, name=new), node("context", context_type, name=old))[1:]
    assert made != renamed


def test_an_update_replaces_the_node_but_not_its_name(door: Door) -> None:
    type_id = door.type("artifact", a=INT)
    name = fresh("kept")
    given = node("artifact", type_id, name=name, uri="s3://b/k", state=2, properties={"a": 1}, custom={"c": "x"})
    [id] = door.put("artifact", given)
    before = door.one("artifact", id)

    door.put("artifact", node("artifact", id=id, name="other", custom={"d": 2}))

    after = door.one("artifact", id)
    assert (after.name, after.uri, after.HasField("state")) == (name, "", False)
    assert (dict(after.properties), list(after.custom_properties)) == ({}, ["d"])
    assert after.last_update_time_since_epoch > before.last_update_time_since_epoch
    assert after.create_time_since_epoch == before.create_time_since_epoch


@pytest.mark.parametrize("left_out", [None, "name", "type", "uri"])
def test_sending_back_what_was_read_moves_nothing_unless_something_is_left_out(sqlite_door: Door, left_out: str | None) -> None:
    type_id = sqlite_door.type("artifact")
    [id] = sqlite_door.put("artifact", node("artifact", type_id, name=fresh("same"), uri="u", custom={"x": math.nan}))
    before = sqlite_door.one("artifact", id)
    again = sqlite_door.one("artifact", id)
    if left_out:
        again.ClearField(left_out)

    sqlite_door.put("artifact", again)

    moved = sqlite_door.one("artifact", id).last_update_time_since_epoch > before.last_update_time_since_epoch
    assert moved == (left_out is not None)


def test_a_mask_touches_what_it_names(door: Door) -> None:
    type_id = door.type("execution", a=INT, b=INT)
    given = node("execution", type_id, last_known_state=2, properties={"a": 1, "b": 1}, custom={"x.y": 1, "z": 1})
    [id] = door.put("execution", given)
    change = node("execution", id=id, last_known_state=3, properties={"a": 2, "b": "wrong kind"}, custom={"z": 2})
    mask = {"paths": ["properties.a", "custom_properties.x.y", "external_id", "unknown"]}

    door.put("execution", change, update_mask=mask)

    after = door.one("execution", id)
    assert after.last_known_state == 2
    assert {name: value.int_value for name, value in after.properties.items()} == {"a": 2, "b": 1}
    assert {name: value.int_value for name, value in after.custom_properties.items()} == {"z": 1}
    assert door.refusal("PutExecutions", executions=[change], update_mask={"paths": ["properties.b"]}) == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("kind", "own", "others"), [("artifact", "state", "last_known_state"), ("execution", "last_known_state", "state")]
)
def test_a_mask_knows_the_state_of_its_own_kind_only(sqlite_door: Door, kind: str, own: str, others: str) -> None:
    given: dict[str, Any] = {own: 2}
    [id] = sqlite_door.put(kind, node(kind, sqlite_door.type(kind), **given))
    bare = node(kind, id=id)

    sqlite_door.put(kind, bare, update_mask={"paths": [others]})
    assert getattr(sqlite_door.one(kind, id), own) == 2
    sqlite_door.put(kind, bare, update_mask={"paths": [own]})
    assert not sqlite_door.one(kind, id).HasField(own)


def test_a_declared_and_a_custom_property_of_one_name_are_apart(sqlite_door: Door) -> None:
    """There, deleting one deletes both."""
    type_id = sqlite_door.type("artifact", a=INT)
    [id] = sqlite_door.put("artifact", node("artifact", type_id, properties={"a": 1}, custom={"a": "x"}))

    sqlite_door.put("artifact", node("artifact", type_id, id=id, properties={"a": 2}))

    after = sqlite_door.one("artifact", id)
    assert (after.properties["a"].int_value, len(after.custom_properties)) == (2, 0)


def test_an_artifact_that_somebody_else_changed_is_not_overwritten_on_demand(door: Door) -> None:
    type_id = door.type("artifact")
    [id] = door.put("artifact", node("artifact", type_id))
    read = door.one("artifact", id)
    options = {"abort_if_latest_updated_time_changed": True}

    assert door.refusal("PutArtifacts", artifacts=[read], options=options) == "OK"
    assert door.refusal("PutArtifacts", artifacts=[read], options=options) == "FAILED_PRECONDITION"
    assert door.one("artifact", id).last_update_time_since_epoch > read.last_update_time_since_epoch


def test_a_context_may_be_renamed_and_never_be_without_name(door: Door) -> None:
    type_id = door.type("context")
    first, second = fresh("first"), fresh("second")
    [id] = door.put("context", node("context", type_id, name=first))

    assert door.refusal("PutContexts", contexts=[node("context", type_id)]) == "INVALID_ARGUMENT"
    assert door.refusal("PutContexts", contexts=[node("context", type_id, id=id)]) == "INVALID_ARGUMENT"
    door.put("context", node("context", id=id, name=second))
    [again] = door.put("context", node("context", type_id, name=first))
    assert again != id
    assert door.one("context", id).name == second


def test_get_by_name_and_by_external_ids_differ_in_what_nothing_is(sqlite_door: Door) -> None:
    type_id = sqlite_door.type("artifact", fresh("lookup"))
    assert type_id
    assert sqlite_door.refusal("GetArtifactByTypeAndName", type_name="nobody", artifact_name="x") == "OK"
    assert sqlite_door.refusal("GetArtifactsByExternalIds", external_ids=["nobody"]) == "NOT_FOUND"
    assert sqlite_door.refusal("GetArtifactsByExternalIds", external_ids=[""]) == "INVALID_ARGUMENT"
    assert sqlite_door.refusal("GetArtifactsByExternalIds") == "OK"
    assert sqlite_door.refusal("GetArtifactTypesByExternalIds", external_ids=["nobody"]) == "NOT_FOUND"


def test_artifacts_are_found_by_exactly_their_uri(door: Door) -> None:
    type_id = door.type("artifact")
    uri = f"minio://bucket/{fresh('key')}"
    ids = door.put("artifact", node("artifact", type_id, uri=uri), node("artifact", type_id, uri=uri.replace("minio", "s3")))
    [bare] = door.put("artifact", node("artifact", type_id))

    assert [one.id for one in door.call("GetArtifactsByURI", uris=[uri]).artifacts] == ids[:1]
    assert bare in [one.id for one in door.call("GetArtifactsByURI", uris=[""]).artifacts]
    old = b"\x0a\x03abc"  # field 1, which the message no longer has
    with pytest.raises(Exception, match="INVALID_ARGUMENT"):
        door.send("GetArtifactsByURI", old)


def test_times_never_go_back(door: Door) -> None:
    type_id = door.type("artifact")
    [id] = door.put("artifact", node("artifact", type_id))
    seen = []
    for turn in range(5):
        door.put("artifact", node("artifact", id=id, custom={"turn": turn}))
        seen.append(door.one("artifact", id).last_update_time_since_epoch)

    assert seen == sorted(set(seen))
    assert abs(seen[-1] / 1000 - time.time()) < 60
