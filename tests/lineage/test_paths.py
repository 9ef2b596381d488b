import pytest

from lineage.graph import Direction, Edge, EdgeKind
from lineage.limits import Cut, Deadline
from lineage.memory import MemoryGraph
from lineage.paths import PathLimits, find_paths
from tests.lineage.building import CountingGraph, Ticking, artifact, derived, execution, generations, ladder


def lengths(edges: list[Edge], start: int, goal: int, direction: Direction = Direction.DOWNSTREAM, **limits: int) -> list[int]:
    answer = find_paths(MemoryGraph(edges), artifact(start), artifact(goal), direction, PathLimits(**limits))  # type: ignore[arg-type]
    return [len(path.steps) for path in answer.paths]


def test_the_shortest_path_comes_first_then_its_detours() -> None:
    edges = derived((1, 9), (1, 2), (2, 9), (2, 3), (3, 9))

    assert lengths(edges, 1, 9) == [1, 2, 3]


def test_a_detour_longer_than_wanted_is_left_out() -> None:
    edges = derived((1, 9), (1, 2), (2, 9), (2, 3), (3, 9))

    assert lengths(edges, 1, 9, detour=1) == [1, 2]


def test_a_node_that_is_not_connected_has_no_path() -> None:
    answer = find_paths(MemoryGraph(derived((1, 2), (3, 4))), artifact(1), artifact(4), Direction.ANY)

    assert answer.paths == ()
    assert answer.cut == ()


def test_downstream_does_not_go_against_the_data() -> None:
    edges = derived((1, 2), (2, 3))

    assert lengths(edges, 3, 1) == []
    assert lengths(edges, 3, 1, Direction.UPSTREAM) == [2]
    assert lengths(edges, 3, 1, Direction.BOTH) == [2]


def test_siblings_meet_only_where_the_walk_may_turn() -> None:
    edges = derived((1, 2), (1, 3))

    assert lengths(edges, 2, 3, Direction.BOTH) == []
    assert lengths(edges, 2, 3, Direction.ANY) == [2]


def test_a_node_has_one_path_to_itself() -> None:
    answer = find_paths(MemoryGraph(derived((1, 2), (2, 1))), artifact(1), artifact(1), Direction.BOTH)

    assert [path.nodes for path in answer.paths] == [(artifact(1),)]


def test_a_ladder_of_thirty_diamonds_gives_ten_paths_at_once() -> None:
    graph = CountingGraph(ladder(30))

    answer = find_paths(graph, artifact(0), artifact(90))

    assert [len(path.steps) for path in answer.paths] == [60] * 10
    assert len({path.nodes for path in answer.paths}) == 10
    assert answer.cut == (Cut.PATHS,)
    assert len(graph.calls) <= 64


def test_a_dense_web_of_cycles_stays_bounded() -> None:
    edges = derived(*((a, b) for a in range(40) for b in range(40) if a != b))

    answer = find_paths(MemoryGraph(edges), artifact(0), artifact(39), limits=PathLimits(max_paths=50))

    assert [len(path.steps) for path in answer.paths] == [1, *[2] * 38, *[3] * 11]
    assert answer.cut == (Cut.PATHS,)


def test_cycles_that_lead_nowhere_end_by_the_budget() -> None:
    """Every partial path looks near to the goal by way of the node that it has already met."""
    gate, goal = 0, 99
    web = [(a, b) for a in range(1, 25) for b in range(1, 25) if a != b]
    edges = derived((gate, goal), *((gate, n) for n in range(1, 25)), *((n, gate) for n in range(1, 25)), *web)

    answer = find_paths(MemoryGraph(edges), artifact(gate), artifact(goal), limits=PathLimits(detour=12))

    assert [len(path.steps) for path in answer.paths] == [1]
    assert answer.cut == (Cut.PATHS,)


def test_the_longest_path_allowed_is_exact() -> None:
    edges = generations(5)

    assert lengths(edges, 0, 5, max_hops=10) == [10]
    assert find_paths(MemoryGraph(edges), artifact(0), artifact(5), limits=PathLimits(max_hops=9)).cut == (Cut.DEPTH,)


def test_the_number_of_paths_is_exact() -> None:
    edges = ladder(2)

    assert find_paths(MemoryGraph(edges), artifact(0), artifact(6), limits=PathLimits(max_paths=4)).cut == ()
    assert find_paths(MemoryGraph(edges), artifact(0), artifact(6), limits=PathLimits(max_paths=3)).cut == (Cut.PATHS,)


def test_parallel_edges_are_one_step() -> None:
    edges = [Edge(artifact(1), execution(1), EdgeKind.INPUT, role=role) for role in ("a", "b")]

    answer = find_paths(MemoryGraph(edges), artifact(1), execution(1))

    assert [path.steps for path in answer.paths] == [(tuple(edges),)]


def test_a_hub_beside_the_path_is_not_walked_from_both_ends() -> None:
    edges = [Edge(artifact(0), execution(n), EdgeKind.INPUT) for n in range(5_000)]
    edges.append(Edge(execution(77), artifact(1), EdgeKind.OUTPUT))
    graph = CountingGraph(edges)

    answer = find_paths(graph, artifact(0), artifact(1), limits=PathLimits(detour=0))

    assert [path.nodes for path in answer.paths] == [(artifact(0), execution(77), artifact(1))]
    assert max(size for _, size in graph.calls) == 1


def test_the_deadline_and_the_visits_are_said() -> None:
    graph = MemoryGraph(generations(30))

    late = find_paths(graph, artifact(0), artifact(30), limits=PathLimits(max_hops=99, deadline=Deadline(3, Ticking())))
    narrow = find_paths(graph, artifact(0), artifact(30), limits=PathLimits(max_hops=99, max_visited=10))

    assert (late.paths, late.cut) == ((), (Cut.DEADLINE,))
    assert (narrow.paths, narrow.cut) == ((), (Cut.VISITS,))


@pytest.mark.parametrize("wrong", [{"max_paths": 0}, {"max_hops": -1}, {"detour": -1}, {"per_hop": 0}, {"max_visited": 1}])
def test_limits_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PathLimits(**wrong)  # type: ignore[arg-type]
