"""Events, memberships, parents, and the two calls that write nodes and edges together."""

from typing import Any

import pytest

from tests.mlmd.door import Door, fresh, message, node

INPUT, OUTPUT = 3, 4


def nodes(door: Door) -> tuple[int, int, int]:
    """(artifact, execution, context), new ones."""
    made = []
    for kind in ("artifact", "execution", "context"):
        [id] = door.put(kind, node(kind, door.type(kind), name=fresh(kind)))
        made.append(id)
    return made[0], made[1], made[2]


def event(**fields: Any) -> Any:
    return message("Event", **fields)


def test_an_event_comes_back_with_its_path_and_time(door: Door) -> None:
    artifact, execution, _ = nodes(door)
    path = {"steps": [{"key": "model"}, {"index": 2}, {}, {"key": "é"}]}
    door.call(
        "PutEvents",
        events=[
            event(artifact_id=artifact, execution_id=execution, type=OUTPUT, path=path, milliseconds_since_epoch=0),
            event(artifact_id=artifact, execution_id=execution, type=INPUT, path={}, milliseconds_since_epoch=16_384),
        ],
    )

    found = door.call("GetEventsByExecutionIDs", execution_ids=[execution]).events

    assert [(one.artifact_id, one.execution_id, one.type) for one in found] == [
        (artifact, execution, OUTPUT),
        (artifact, execution, INPUT),
    ]
    assert [(step.key, step.index) for step in found[0].path.steps] == [("model", 0), ("", 2), ("é", 0)]
    assert found[0].HasField("milliseconds_since_epoch")
    assert [one.milliseconds_since_epoch for one in found] == [0, 16_384]
    assert not found[1].HasField("path")
    assert door.call("GetEventsByArtifactIDs", artifact_ids=[artifact]).events == found


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"artifact_id": 987_654}, "INVALID_ARGUMENT"),
        ({"execution_id": 987_654}, "INVALID_ARGUMENT"),
        ({"type": 0}, "INVALID_ARGUMENT"),
        ({"path": {"steps": [{"key": "another"}]}}, "ALREADY_EXISTS"),
        ({"type": 7}, "OK"),
    ],
)
def test_which_events_are_refused(sqlite_door: Door, change: dict[str, Any], code: str) -> None:
    artifact, execution, _ = nodes(sqlite_door)
    given = {"artifact_id": artifact, "execution_id": execution, "type": INPUT}
    sqlite_door.call("PutEvents", events=[event(**given)])

    assert sqlite_door.refusal("PutEvents", events=[event(**{**given, **change})]) == code


def test_memberships_may_be_said_again(door: Door) -> None:
    artifact, execution, context = nodes(door)
    given = {
        "attributions": [{"artifact_id": artifact, "context_id": context}],
        "associations": [{"execution_id": execution, "context_id": context}],
    }

    assert [door.refusal("PutAttributionsAndAssociations", **given) for _ in range(2)] == ["OK", "OK"]
    assert [one.id for one in door.call("GetArtifactsByContext", context_id=context).artifacts] == [artifact]
    assert [one.id for one in door.call("GetExecutionsByContext", context_id=context).executions] == [execution]
    assert [one.id for one in door.call("GetContextsByExecution", execution_id=execution).contexts] == [context]
    unknown = [{"artifact_id": artifact, "context_id": 987_654}]
    assert door.refusal("PutAttributionsAndAssociations", attributions=unknown) == "INVALID_ARGUMENT"


def test_a_node_without_context_and_no_node_at_all_are_not_found(door: Door) -> None:
    artifact, _, _ = nodes(door)

    assert door.refusal("GetContextsByArtifact", artifact_id=artifact) == "NOT_FOUND"
    assert door.refusal("GetContextsByExecution", execution_id=987_654) == "NOT_FOUND"
    assert door.refusal("GetArtifactsByContext", context_id=987_654) == "OK"


def test_parents_make_no_cycle(door: Door) -> None:
    type_id = door.type("context")
    a, b, c = door.put("context", *(node("context", type_id, name=fresh("family")) for _ in range(3)))

    def put(*pairs: tuple[int, int]) -> str:
        return door.refusal("PutParentContexts", parent_contexts=[{"child_id": x, "parent_id": y} for x, y in pairs])

    assert put((a, b), (b, c)) == "OK"
    assert [put((a, b)), put((c, a)), put((a, a)), put((a, 987_654))] == [
        "ALREADY_EXISTS",
        "INVALID_ARGUMENT",
        "INVALID_ARGUMENT",
        "INVALID_ARGUMENT",
    ]
    assert put((a, c)) == "OK"
    assert [one.id for one in door.call("GetParentContextsByContext", context_id=a).contexts] == [b, c]
    assert [one.id for one in door.call("GetChildrenContextsByContext", context_id=c).contexts] == [a, b]
    many = door.call("GetParentContextsByContexts", context_ids=[a, b, c]).contexts
    assert {id: [one.id for one in found.parent_contexts] for id, found in many.items()} == {a: [b, c], b: [c]}


def test_put_execution_joins_what_it_puts(door: Door) -> None:
    types = {kind: door.type(kind) for kind in ("artifact", "execution", "context")}
    [known], [run] = (
        door.put("artifact", node("artifact", types["artifact"])),
        door.put("context", node("context", types["context"], name=fresh("run"))),
    )
    pairs = [
        {"artifact": node("artifact", types["artifact"]), "event": {"type": OUTPUT, "path": {"steps": [{"key": "model"}]}}},
        {"event": {"type": INPUT, "artifact_id": known}},
        {},
    ]

    answer = door.call(
        "PutExecution",
        execution=node("execution", types["execution"], name=fresh("task")),
        artifact_event_pairs=pairs,
        contexts=[door.one("context", run), node("context", types["context"], name=fresh("pipeline"))],
    )

    made, given, nothing = answer.artifact_ids
    assert (given, nothing, answer.context_ids[0]) == (known, -1, run)
    found = door.call("GetEventsByExecutionIDs", execution_ids=[answer.execution_id]).events
    assert {(one.artifact_id, one.type) for one in found} == {(made, OUTPUT), (known, INPUT)}
    for context in answer.context_ids:
        assert [one.id for one in door.call("GetArtifactsByContext", context_id=context).artifacts] == [known, made]
        assert [one.id for one in door.call("GetExecutionsByContext", context_id=context).executions] == [answer.execution_id]


@pytest.mark.parametrize(
    ("pair", "code"),
    [
        ({"event": {"type": INPUT}}, "INVALID_ARGUMENT"),
        ({"event": {"type": INPUT, "artifact_id": 987_654}}, "INVALID_ARGUMENT"),
        ({"event": {"type": INPUT, "artifact_id": 1, "execution_id": 987_654}}, "INVALID_ARGUMENT"),
        ({"artifact": {"id": 987_654}, "event": {"type": INPUT}}, "INVALID_ARGUMENT"),
    ],
)
def test_put_execution_refuses_what_does_not_fit_and_keeps_nothing(sqlite_door: Door, pair: dict[str, Any], code: str) -> None:
    name, type_id = fresh("refused"), fresh("refused-type")
    execution = node("execution", sqlite_door.type("execution", type_id), name=name)

    assert sqlite_door.refusal("PutExecution", execution=execution, artifact_event_pairs=[pair]) == code
    assert not sqlite_door.call("GetExecutionByTypeAndName", type_name=type_id, execution_name=name).HasField("execution")


def test_contexts_and_artifacts_are_reused_as_the_options_say(door: Door) -> None:
    types = {kind: door.type(kind) for kind in ("artifact", "execution", "context")}
    context = node("context", types["context"], name=fresh("shared"), custom={"x": 1})
    artifact = node("artifact", types["artifact"], external_id=fresh("external"), uri="first")

    def put(**options: bool) -> Any:
        pairs = [{"artifact": artifact, "event": {"type": OUTPUT}}]
        return {
            "execution": node("execution", types["execution"]),
            "artifact_event_pairs": pairs,
            "contexts": [context],
            "options": options,
        }

    first = door.call("PutExecution", **put())
    assert door.refusal("PutExecution", **put()) == "ALREADY_EXISTS"
    context.custom_properties["x"].int_value = 2
    artifact.uri = "second"
    again = door.call(
        "PutExecution", **put(reuse_context_if_already_exist=True, reuse_artifact_if_already_exist_by_external_id=True)
    )
    assert (again.artifact_ids, again.context_ids) == (first.artifact_ids, first.context_ids)
    assert door.one("context", first.context_ids[0]).custom_properties["x"].int_value == 1  # found, so not updated
    assert door.one("artifact", first.artifact_ids[0]).uri == "second"
    bare = {"execution": node("execution", types["execution"]), "options": {"force_reuse_context": True}}
    assert door.refusal("PutExecution", contexts=[{"id": first.context_ids[0]}], **bare) == "OK"
    assert door.refusal("PutExecution", contexts=[{"id": 987_654}], **bare) == "NOT_FOUND"


def test_a_subgraph_checks_what_it_says_of_a_context_that_it_only_finds(sqlite_door: Door) -> None:
    execution, context = sqlite_door.type("execution"), sqlite_door.type("context")
    name = fresh("found")
    sqlite_door.put("context", node("context", context, name=name))
    wrong = node("context", context, name=name, properties={"unknown": 1})
    options = {"reuse_context_if_already_exist": True}

    put = {"contexts": [wrong], "options": options}
    assert sqlite_door.refusal("PutExecution", execution=node("execution", execution), **put) == "OK"
    assert sqlite_door.refusal("PutLineageSubgraph", executions=[node("execution", execution)], **put) == "INVALID_ARGUMENT"


def test_eight_calls_that_make_one_context_make_one(door: Door) -> None:
    from concurrent.futures import ThreadPoolExecutor

    execution, context = door.type("execution"), door.type("context")
    name = fresh("raced")

    def put(_number: int) -> int:
        answer = door.call(
            "PutExecution",
            execution=node("execution", execution),
            contexts=[node("context", context, name=name)],
            options={"reuse_context_if_already_exist": True},
        )
        return int(answer.context_ids[0])

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(put, range(8)))

    assert len(found) == 1


@pytest.mark.parametrize(
    ("edge", "code"),
    [
        ({"execution_index": 0, "artifact_index": 0, "event": {"type": OUTPUT}}, "OK"),
        ({"execution_index": 0, "artifact_index": 1, "event": {"type": OUTPUT}}, "OUT_OF_RANGE"),
        ({"execution_index": -1, "artifact_index": 0, "event": {"type": OUTPUT}}, "OUT_OF_RANGE"),
        ({"artifact_index": 1, "event": {"type": OUTPUT}}, "INVALID_ARGUMENT"),
        ({"execution_index": 1, "event": {"type": OUTPUT}}, "OUT_OF_RANGE"),
        ({"execution_index": 0, "artifact_index": 0}, "INVALID_ARGUMENT"),
        ({"execution_index": 0, "event": {"type": OUTPUT}}, "INVALID_ARGUMENT"),
        ({"execution_index": 0, "event": {"type": OUTPUT, "artifact_id": 987_654}}, "INVALID_ARGUMENT"),
        ({"execution_index": 0, "artifact_index": 0, "event": {"type": OUTPUT, "artifact_id": 5}}, "INVALID_ARGUMENT"),
    ],
)
def test_a_subgraph_is_put_whole_or_not_at_all(sqlite_door: Door, edge: dict[str, Any], code: str) -> None:
    types = {kind: sqlite_door.type(kind) for kind in ("artifact", "execution", "context")}
    context = node("context", types["context"], name=fresh("subgraph"))
    fields = {
        "executions": [node("execution", types["execution"])],
        "artifacts": [node("artifact", types["artifact"])],
        "contexts": [context],
        "event_edges": [edge],
    }

    found = sqlite_door.refusal("PutLineageSubgraph", **fields)

    assert found == code
    [of_type] = sqlite_door.call("GetContextTypesByID", type_ids=[types["context"]]).context_types
    stored = sqlite_door.call("GetContextByTypeAndName", type_name=of_type.name, context_name=context.name)
    assert stored.HasField("context") == (code == "OK")


def test_a_subgraph_whose_node_names_a_type_of_another_kind_is_refused_as_one_without_that_type(sqlite_door: Door) -> None:
    types = {kind: sqlite_door.type(kind) for kind in ("artifact", "execution")}
    [execution] = sqlite_door.put("execution", node("execution", types["execution"]))

    for type_id, id in ((types["artifact"], execution), (987_654, execution), (types["artifact"], 987_654)):
        put = node("execution", type_id, id=id)
        assert sqlite_door.refusal("PutLineageSubgraph", executions=[put]) == "NOT_FOUND"
    put = node("execution", sqlite_door.type("execution"), id=execution)
    assert sqlite_door.refusal("PutLineageSubgraph", executions=[put]) == "INVALID_ARGUMENT"
