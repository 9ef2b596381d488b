"""Lists: order, pages, tokens."""

from typing import Any

import grpc
import pytest

from registry.api.mlmd.descriptors import service
from tests.mlmd.door import Door, fresh, node

ID, CREATED, UPDATED = 3, 1, 2


def made(door: Door, count: int) -> tuple[str, list[int]]:
    """(type name, ids)."""
    name = fresh("listed")
    type_id = door.type("artifact", name)
    return name, door.put("artifact", *(node("artifact", type_id) for _ in range(count)))


def pages(door: Door, method: str, size: int, order: int, **fields: Any) -> list[list[int]]:
    found: list[list[int]] = []
    token = ""
    while len(found) < 50:
        options = {
            "max_result_size": size,
            "next_page_token": token,
            "filter_query": "",
            "order_by_field": {"field": order, "is_asc": fields.get("ascending", True)},
        }
        rest = {key: value for key, value in fields.items() if key != "ascending"}
        answer = door.call(method, options=options, **rest)
        found.append([one.id for one in answer.artifacts])
        token = answer.next_page_token
        if not token:
            return found
    raise AssertionError("the pages do not end")


@pytest.mark.parametrize("order", [ID, CREATED, UPDATED])
@pytest.mark.parametrize("ascending", [True, False])
def test_pages_give_each_row_once_and_end_also_where_all_times_are_equal(door: Door, order: int, ascending: bool) -> None:
    name, ids = made(door, 7)

    found = pages(door, "GetArtifactsByType", 2, order, ascending=ascending, type_name=name)

    assert [id for page in found for id in page] == (ids if ascending else ids[::-1])
    assert [len(page) for page in found] == [2, 2, 2, 1]


def test_a_page_has_at_most_100_rows_and_a_token_for_the_rest(door: Door) -> None:
    name, ids = made(door, 130)

    assert [len(page) for page in pages(door, "GetArtifactsByType", 1000, ID, type_name=name)] == [100, 30]
    assert [one.id for one in door.call("GetArtifactsByType", type_name=name).artifacts] == ids


def test_only_lists_by_type_say_that_a_page_is_the_last(door: Door) -> None:
    name, _ = made(door, 1)
    options = {"max_result_size": 100}

    assert door.call("GetArtifactsByType", type_name=name, options=options).HasField("next_page_token")
    nothing = {**options, "filter_query": "id < 0"}
    assert door.call("GetArtifactsByType", type_name=name, options=nothing).HasField("next_page_token")
    empty = fresh("no nodes")
    door.type("artifact", empty)
    assert not door.call("GetArtifactsByType", type_name=empty, options=nothing).HasField("next_page_token")
    assert not door.call("GetArtifactsByType", type_name="nobody", options=options).HasField("next_page_token")
    assert not door.call("GetContexts", options=options).HasField("next_page_token")


def test_a_token_has_the_form_of_ml_metadatas_own(sqlite_door: Door) -> None:
    type_id = sqlite_door.type("artifact")
    ids = sqlite_door.put("artifact", *(node("artifact", type_id) for _ in range(3)))

    answer = sqlite_door.call("GetArtifacts", options={"max_result_size": 2})

    assert (ids[:2], answer.next_page_token) == ([1, 2], "CAIQAhoCCAI")


@pytest.mark.parametrize(
    "options",
    [
        {"max_result_size": 0},
        {"max_result_size": -1},
        {"order_by_field": {"field": 0}},
        {"next_page_token": "not base64!"},
        {"next_page_token": "AAAA"},
        {"next_page_token": "CAIQAhoCCAI", "order_by_field": {"field": CREATED}},
        {"next_page_token": "CAIQAhoCCAI", "order_by_field": {"field": ID, "is_asc": False}},
    ],
)
def test_options_that_cannot_be_are_refused(sqlite_door: Door, options: dict[str, Any]) -> None:
    assert sqlite_door.refusal("GetArtifacts", options=options) == "INVALID_ARGUMENT"


def test_lists_of_ids_may_be_longer_than_a_statement_has_parameters(door: Door) -> None:
    kind = door.type("artifact")
    execution = door.put("execution", node("execution", door.type("execution")))[0]
    ids = door.put("artifact", node("artifact", kind), node("artifact", kind))
    door.call("PutEvents", events=[{"artifact_id": id, "execution_id": execution, "type": 3} for id in reversed(ids)])
    asked = [*range(500_000_000, 500_070_000), *ids]

    assert [one.id for one in door.get("artifact", *asked)] == ids
    assert [one.artifact_id for one in door.call("GetEventsByArtifactIDs", artifact_ids=asked).events] == ids[::-1]
    assert door.refusal("GetParentContextsByContexts", context_ids=asked) == "OK"


def test_artifacts_come_in_the_order_of_the_uris_that_were_asked_for(sqlite_door: Door) -> None:
    kind = sqlite_door.type("artifact")
    uris = [fresh("s3://z"), fresh("s3://a"), ""]
    ids = sqlite_door.put("artifact", *(node("artifact", kind, uri=uri) for uri in [*uris, uris[0]]))

    found = [one.id for one in sqlite_door.call("GetArtifactsByURI", uris=[*uris[:2], uris[0]]).artifacts]
    backwards = [one.id for one in sqlite_door.call("GetArtifactsByURI", uris=uris[1::-1]).artifacts]

    assert found == [ids[0], ids[3], ids[1]]
    assert backwards == [ids[1], ids[0], ids[3]]


def test_what_one_call_may_hold_is_bounded(sqlite_door: Door) -> None:
    door = sqlite_door
    context, execution = door.type("context"), door.type("execution")
    many = [node("context", context, name=fresh("c")) for _ in range(1001)]

    assert door.refusal("GetArtifactsByURI", uris=[str(n) for n in range(20_001)]) == "RESOURCE_EXHAUSTED"
    assert (
        door.refusal("PutLineageSubgraph", contexts=many, executions=[node("execution", execution)] * 1000)
        == "RESOURCE_EXHAUSTED"
    )


NUL = "a\0b"


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("GetArtifactType", {"type_name": NUL}),
        ("GetArtifactsByExternalIds", {"external_ids": [NUL]}),
        ("GetContextByTypeAndName", {"type_name": "t", "context_name": NUL}),
        ("GetArtifactsByURI", {"uris": [NUL]}),
        ("GetArtifacts", {"options": {"filter_query": f"properties.`{NUL}`.int_value = 1"}}),
        ("GetArtifacts", {"options": {"filter_query": r"properties.`a\x00b`.int_value = 1"}}),
        ("GetArtifacts", {"options": {"filter_query": r"properties.`a\ud800b`.int_value = 1"}}),
    ],
)
def test_text_that_no_database_compares_is_the_callers_fault(door: Door, method: str, fields: dict[str, Any]) -> None:
    assert door.refusal(method, **fields) == "INVALID_ARGUMENT"


def test_a_refusal_that_repeats_a_long_text_fits_into_what_clients_take(sqlite_door: Door) -> None:
    assert sqlite_door.refusal("GetArtifactType", type_name="\u6f22" * 4000) == "NOT_FOUND"


def test_hostile_bytes_are_the_callers_fault(sqlite_door: Door) -> None:
    """Not ours, and the server lives."""
    entry = b"\x0a\x02\xff\xfe\x12\x02\x08\x01"  # a property whose name is no UTF-8
    artifact = b"\x2a" + bytes([len(entry)]) + entry
    put = b"\x0a" + bytes([len(artifact)]) + artifact
    for method, raw in (
        ("GetArtifactType", b"\xff" * 50),
        ("GetArtifactType", b"\x0a\xff\xff\xff\x7f"),
        ("GetArtifactType", b"\x0a\x02\xff\xfe"),
        ("GetArtifactsByURI", b"\x12\x02\xff\xfe"),
        ("PutArtifacts", put),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            sqlite_door.send(method, raw)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert sqlite_door.refusal("GetArtifacts") == "OK"
    assert len(service().methods) == 52
