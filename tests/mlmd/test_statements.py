"""How many SQL statements a call costs, whatever it holds: docs/doors/mlmd.md has the constants."""

from typing import Any

import pytest

from registry.db.counting import count_statements
from tests.mlmd.door import Door, fresh, message, node

OUTPUT = 4
MOST_OF_A_GET = 5
MOST_OF_A_PUT_EXECUTION = 14


def cost(door: Door, method: str, **fields: Any) -> int:
    with count_statements(door.served.services.runner.database) as counted:
        door.call(method, **fields)
    return len([one for one in counted.statements if "audit" not in one])  # a task of the server's own seals audit rows


def pipeline(door: Door) -> tuple[dict[str, int], list[Any]]:
    """Types as Kubeflow Pipelines has them, and a run's two contexts as its driver reads them."""
    types = {
        name: door.type(kind, name)
        for kind, name in (
            ("context", "system.Pipeline"),
            ("context", "system.PipelineRun"),
            ("execution", "system.ContainerExecution"),
            ("artifact", "system.Model"),
        )
    }
    run = node("context", types["system.PipelineRun"], name=fresh("run"), custom={"namespace": "n", "pipeline_root": "r"})
    ids = door.put("context", node("context", types["system.Pipeline"], name=fresh("pipeline")), run)
    return types, door.get("context", *ids)


def task(types: dict[str, int], outputs: int, values: int) -> dict[str, Any]:
    custom = {f"p{number}": f"value {number}" for number in range(values)}
    artifacts = [node("artifact", types["system.Model"], uri=fresh("s3://b/k"), state=2, custom=custom) for _ in range(outputs)]
    event = {"type": OUTPUT, "path": {"steps": [{"key": "model"}]}}
    return {
        "execution": node("execution", types["system.ContainerExecution"], last_known_state=2, custom=custom),
        "artifact_event_pairs": [{"artifact": artifact, "event": event} for artifact in artifacts],
    }


@pytest.fixture(scope="module")
def warm(door: Door) -> tuple[Door, dict[str, int], list[Any]]:
    """Names of properties are known: a new name costs two statements more, once for the whole installation."""
    types, contexts = pipeline(door)
    door.call("PutExecution", contexts=contexts, **task(types, 1, 200))
    return door, types, contexts


def test_put_execution_costs_the_same_for_one_output_and_for_fifty(warm: tuple[Door, dict[str, int], list[Any]]) -> None:
    door, types, contexts = warm

    few = cost(door, "PutExecution", contexts=contexts, **task(types, 1, 8))
    many = cost(door, "PutExecution", contexts=contexts, **task(types, 50, 200))

    print(f"PutExecution: {few}")
    assert few == many <= MOST_OF_A_PUT_EXECUTION


def test_publishing_an_execution_with_an_output_costs_no_more(warm: tuple[Door, dict[str, int], list[Any]]) -> None:
    door, types, contexts = warm
    made = door.call("PutExecution", contexts=contexts, **task(types, 1, 8))
    again = task(types, 3, 8)
    again["execution"] = door.one("execution", made.execution_id)
    again["execution"].last_known_state = 3
    again["execution"].custom_properties["p0"].string_value = "done"

    found = cost(door, "PutExecution", contexts=contexts, **again)
    unchanged = cost(door, "PutExecution", contexts=contexts, execution=door.one("execution", made.execution_id))

    print(f"publish: {found}, unchanged: {unchanged}")
    assert found <= MOST_OF_A_PUT_EXECUTION
    assert unchanged <= 6


def test_a_get_costs_five_at_most(warm: tuple[Door, dict[str, int], list[Any]]) -> None:
    door, types, contexts = warm
    made = door.call("PutExecution", contexts=contexts, **task(types, 30, 8))
    run = contexts[-1]
    filter = {"filter_query": "custom_properties.p1.string_value = 'value 1' AND contexts_a.name = 'x'"}

    found = {
        method: cost(door, method, **fields)
        for method, fields in {
            "GetArtifactsByID": {"artifact_ids": made.artifact_ids},
            "GetExecutionsByID": {"execution_ids": [made.execution_id]},
            "GetContextByTypeAndName": {"type_name": "system.PipelineRun", "context_name": run.name},
            "GetArtifacts": {"options": {"max_result_size": 100}},
            "GetExecutions": {"options": filter},
            "GetExecutionsByContext": {"context_id": run.id, "options": filter},
            "GetArtifactsByType": {"type_name": "system.Model"},
            "GetArtifactsByURI": {"uris": ["s3://b/k"]},
            "GetContextsByExecution": {"execution_id": made.execution_id},
            "GetParentContextsByContext": {"context_id": run.id},
            "GetEventsByExecutionIDs": {"execution_ids": [made.execution_id]},
            "GetExecutionType": {"type_name": "system.ContainerExecution"},
        }.items()
    }

    print(found)
    assert max(found.values()) <= MOST_OF_A_GET, found


def test_a_task_that_has_inputs_costs_no_more(warm: tuple[Door, dict[str, int], list[Any]]) -> None:
    """As Kubeflow Pipelines' driver makes it: a new execution, and events to artifacts that are there."""
    door, types, contexts = warm
    there = door.put("artifact", *(node("artifact", types["system.Model"], uri=fresh("s3://b/in")) for _ in range(20)))

    def driven(ids: list[int]) -> int:
        pairs = [{"event": {"type": 3, "artifact_id": id, "path": {"steps": [{"key": "in"}]}}} for id in ids]
        execution = node("execution", types["system.ContainerExecution"], last_known_state=2, custom={"p0": "v"})
        return cost(door, "PutExecution", execution=execution, artifact_event_pairs=pairs, contexts=contexts)

    assert driven(there[:1]) == driven(there[1:]) <= MOST_OF_A_PUT_EXECUTION


def test_types_and_edges_cost_the_same_for_many(warm: tuple[Door, dict[str, int], list[Any]]) -> None:
    door, _, contexts = warm
    artifact, execution = door.type("artifact"), door.type("execution")
    of = door.put("artifact", *(node("artifact", artifact) for _ in range(60)))
    [ran] = door.put("execution", node("execution", execution))

    def events(ids: list[int]) -> int:
        return cost(door, "PutEvents", events=[message("Event", artifact_id=id, execution_id=ran, type=OUTPUT) for id in ids])

    def attributions(ids: list[int]) -> int:
        pairs = [{"artifact_id": id, "context_id": contexts[0].id} for id in ids]
        return cost(door, "PutAttributionsAndAssociations", attributions=pairs)

    assert events(of[:1]) == events(of[1:]) <= 6
    assert attributions(of[:1]) == attributions(of[1:]) <= 5
