"""GetLineageSubgraph: how far it goes, which way, where it ends."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from registry.settings import Settings
from tests.mlmd.door import Door, fresh, message, node
from tests.servers import serving

INPUT, OUTPUT = 3, 4
UP, DOWN = 1, 2


@dataclass(frozen=True)
class Chain:
    """a0 → e1 → a1 → e2 → a2 → e3 → a3, and a1 → e9; e1, a1 are in one context."""

    door: Door
    ids: dict[str, int]

    def walk(self, start: str, mask: list[str] | None = None, **options: Any) -> Any:
        kind = "executions" if start.startswith("e") else "artifacts"
        query = {f"starting_{kind}": {"filter_query": f"id = {self.ids[start]}"}, **options}
        return self.door.call(
            "GetLineageSubgraph", lineage_subgraph_query_options=query, read_mask={"paths": mask or []}
        ).lineage_subgraph

    def names(self, graph: Any) -> tuple[str, str, int]:
        """(artifacts, executions, number of events)."""
        return self._names("a", graph.artifacts), self._names("e", graph.executions), len(graph.events)

    def _names(self, letter: str, nodes: Any) -> str:
        by_id = {id: name for name, id in self.ids.items() if name.startswith(letter)}
        return " ".join(by_id[one.id] for one in nodes)


@pytest.fixture(scope="module")
def chain(door: Door) -> Chain:
    artifact, execution, context = (door.type(kind) for kind in ("artifact", "execution", "context"))
    made = door.put("artifact", *(node("artifact", artifact, name=f"a{n}") for n in range(4)))
    ran = door.put("execution", *(node("execution", execution, name=f"e{n}") for n in (1, 2, 3, 9)))
    [run] = door.put("context", node("context", context, name=fresh("run")))
    ids = dict(zip(("a0", "a1", "a2", "a3", "e1", "e2", "e3", "e9"), [*made, *ran], strict=True)) | {"run": run}
    edges = [("a0", "e1", INPUT), ("a1", "e1", OUTPUT), ("a1", "e2", INPUT), ("a2", "e2", OUTPUT)]
    edges += [("a2", "e3", INPUT), ("a3", "e3", OUTPUT), ("a1", "e9", INPUT)]
    door.call("PutEvents", events=[message("Event", artifact_id=ids[a], execution_id=ids[e], type=t) for a, e, t in edges])
    door.call(
        "PutAttributionsAndAssociations",
        attributions=[{"artifact_id": ids["a1"], "context_id": run}],
        associations=[{"execution_id": ids["e1"], "context_id": run}],
    )
    return Chain(door, ids)


@pytest.mark.parametrize(
    ("start", "options", "expected"),
    [
        ("a2", {}, ("a0 a1 a2 a3", "e1 e2 e3 e9", 7)),
        ("a2", {"direction": UP}, ("a0 a1 a2", "e1 e2", 4)),
        ("a2", {"direction": DOWN}, ("a2 a3", "e3", 2)),
        ("e2", {"direction": DOWN}, ("a2 a3", "e2 e3", 3)),
        ("a2", {"max_num_hops": 0}, ("a2", "", 0)),
        ("a2", {"max_num_hops": 1}, ("a2", "e2 e3", 2)),
        ("a2", {"max_num_hops": 2}, ("a1 a2 a3", "e2 e3", 4)),
        ("a3", {"direction": UP, "ending_artifacts": {"filter_query": "name = 'a1'"}}, ("a2 a3", "e2 e3", 3)),
        (
            "a3",
            {"direction": UP, "ending_artifacts": {"filter_query": "name = 'a1'", "include_ending_nodes": True}},
            ("a1 a2 a3", "e2 e3", 4),
        ),
        ("a1", {"ending_executions": {"filter_query": "name IN ('e1', 'e2')"}}, ("a1", "e9", 1)),
        ("a1", {"ending_artifacts": {"filter_query": "name = 'a1'"}}, ("", "", 0)),
        ("a1", {"ending_artifacts": {"filter_query": "name = 'a1'", "include_ending_nodes": True}}, ("a1", "", 0)),
    ],
)
def test_a_walk_goes_as_far_as_it_is_told(
    chain: Chain, start: str, options: dict[str, Any], expected: tuple[str, str, int]
) -> None:
    assert chain.names(chain.walk(start, **options)) == expected


def test_the_mask_says_which_parts_come_and_nodes_are_ids_only(chain: Chain) -> None:
    everything, some = chain.walk("a1"), chain.walk("a1", ["artifacts", "attributions", "artifacts.id", "unknown"])

    assert {field.name for field, _ in some.ListFields()} == {"artifacts", "attributions"}
    assert {field.name for field, _ in everything.artifacts[0].ListFields()} == {"id"}
    assert [one.id for one in everything.contexts] == [chain.ids["run"]]
    assert [(one.context_id, one.execution_id) for one in everything.associations] == [(chain.ids["run"], chain.ids["e1"])]
    assert {"mlmd.Train", "mlmd.Deploy"} < {one.name for one in everything.execution_types}


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({}, "INVALID_ARGUMENT"),
        ({"starting_artifacts": {}}, "INVALID_ARGUMENT"),
        ({"starting_artifacts": {"filter_query": "id = 987654"}}, "NOT_FOUND"),
        ({"starting_artifacts": {"filter_query": "id > 0"}, "max_num_hops": -1}, "INVALID_ARGUMENT"),
        (
            {"starting_artifacts": {"filter_query": "id > 0"}, "ending_executions": {"filter_query": "uri = 'x'"}},
            "INVALID_ARGUMENT",
        ),
    ],
)
def test_which_walks_are_refused(chain: Chain, options: dict[str, Any], code: str) -> None:
    assert chain.door.refusal("GetLineageSubgraph", lineage_subgraph_query_options=options) == code


def test_a_walk_starts_from_101_nodes_at_most(sqlite_door: Door) -> None:
    type_id = sqlite_door.type("artifact")
    ids = sqlite_door.put("artifact", *(node("artifact", type_id) for _ in range(103)))
    options = {"starting_artifacts": {"filter_query": "id > 0"}}

    graph = sqlite_door.call("GetLineageSubgraph", lineage_subgraph_query_options=options).lineage_subgraph

    assert [one.id for one in graph.artifacts] == ids[:101]


def test_a_walk_that_meets_too_many_nodes_is_refused_by_the_name_of_the_setting(tmp_path: Any) -> None:
    settings = replace(Settings(data_dir=str(tmp_path), grpc="127.0.0.1:0"), mlmd_lineage_max_nodes=10)
    with serving(settings) as served, Door(served) as door:
        artifact, execution = door.type("artifact"), door.type("execution")
        pairs = [{"artifact": node("artifact", artifact), "event": {"type": OUTPUT}} for _ in range(20)]
        door.call("PutExecution", execution=node("execution", execution), artifact_event_pairs=pairs)
        options = {"starting_executions": {"filter_query": "id > 0"}}

        with pytest.raises(Exception, match=r"RESOURCE_EXHAUSTED(.|\n)*mlmd_lineage_max_nodes"):
            door.call("GetLineageSubgraph", lineage_subgraph_query_options=options)


def test_the_deprecated_form_gives_whole_nodes_and_ends_at_its_size(chain: Chain) -> None:
    def walk(**options: Any) -> Any:
        start = {"filter_query": f"id = {chain.ids['a1']}"}
        return chain.door.call("GetLineageGraph", options={"artifacts_options": start, **options}).subgraph

    assert chain.names(walk()) == ("a0 a1 a2 a3", "e1 e2 e3 e9", 7)
    assert chain.names(walk(max_node_size=3)) == ("a1", "e1 e2", 2)
    bounded = walk(stop_conditions={"boundary_executions": "name = 'e2'", "max_num_hops": 2})
    assert chain.names(bounded) == ("a0 a1", "e1 e2 e9", 4)
    assert {one.name for one in bounded.artifacts} == {"a0", "a1"}
