from collections.abc import Mapping, Sequence

import pytest

from lineage.graph import Direction, Edge, EdgeKind, Node, NodeCard
from lineage.limits import Cut, Deadline, Limits
from lineage.memory import MemoryGraph
from lineage.walks import Reached, Stub, Walk, walk
from tests.lineage.building import CountingGraph, Ticking, artifact, derived, execution, generations, ladder

FAR = Limits(depth=100, per_hop=10_000, max_nodes=10_000)


def ids(answer: Walk) -> list[int]:
    return [reached.node.id for reached in answer.nodes]


def depths(answer: Walk) -> dict[Node, int]:
    return {reached.node: reached.depth for reached in answer.nodes}


def test_upstream_finds_ancestors_only() -> None:
    graph = MemoryGraph(derived((1, 2), (2, 3), (3, 4)))

    answer = walk(graph, [artifact(3)], Direction.UPSTREAM, FAR)

    assert ids(answer) == [3, 2, 1]
    assert not answer.truncated


def test_downstream_finds_descendants_only() -> None:
    graph = MemoryGraph(derived((1, 2), (2, 3), (3, 4)))

    answer = walk(graph, [artifact(2)], Direction.DOWNSTREAM, FAR)

    assert answer.nodes == (
        Reached(artifact(2), 0, None),
        Reached(artifact(3), 1, Direction.DOWNSTREAM),
        Reached(artifact(4), 2, Direction.DOWNSTREAM),
    )


def test_a_disjoint_node_is_never_met() -> None:
    graph = MemoryGraph(derived((1, 2), (8, 9)))

    answer = walk(graph, [artifact(1)], Direction.ANY, FAR)

    assert ids(answer) == [1, 2]


def test_both_ways_does_not_turn_round_to_siblings() -> None:
    graph = MemoryGraph(derived((1, 2), (1, 3), (2, 4), (5, 4)))

    answer = walk(graph, [artifact(2)], Direction.BOTH, FAR)

    assert set(ids(answer)) == {1, 2, 4}


def test_any_way_gives_the_connected_component() -> None:
    graph = MemoryGraph(derived((1, 2), (1, 3), (2, 4), (5, 4), (7, 8)))

    answer = walk(graph, [artifact(2)], Direction.ANY, FAR)

    assert set(ids(answer)) == {1, 2, 3, 4, 5}


def test_a_cycle_ends() -> None:
    graph = MemoryGraph(derived((1, 2), (2, 3), (3, 1), (3, 3)))

    answer = walk(graph, [artifact(1)], Direction.BOTH, FAR)

    assert set(ids(answer)) == {1, 2, 3}
    assert len(answer.edges) == 4
    assert not answer.truncated


def test_the_depth_is_the_least_one() -> None:
    graph = MemoryGraph(derived((1, 2), (2, 3), (3, 4), (1, 4)))

    answer = walk(graph, [artifact(1)], Direction.DOWNSTREAM, FAR)

    assert depths(answer)[artifact(4)] == 1


def test_a_node_on_both_sides_counts_for_the_nearer_one() -> None:
    graph = MemoryGraph(derived((1, 2), (2, 3), (3, 1)))

    answer = walk(graph, [artifact(1)], Direction.BOTH, FAR)

    assert {r.node.id: (r.depth, r.way) for r in answer.nodes} == {
        1: (0, None),
        3: (1, Direction.UPSTREAM),
        2: (1, Direction.DOWNSTREAM),
    }


def test_forty_generations_take_one_call_per_level() -> None:
    graph = CountingGraph(generations(40))

    answer = walk(graph, [artifact(40)], Direction.UPSTREAM, FAR)

    assert answer.depth_reached == 80
    assert len(answer.nodes) == 81
    assert graph.calls == [(Direction.UPSTREAM, 1)] * 81
    assert not answer.truncated


def test_a_hub_is_capped_and_its_rest_is_counted() -> None:
    graph = MemoryGraph([Edge(artifact(0), execution(n), EdgeKind.INPUT, at=n) for n in range(1, 5_001)])

    answer = walk(graph, [artifact(0)], Direction.DOWNSTREAM, Limits(depth=2, per_hop=50))

    assert ids(answer) == [0, *range(5_000, 4_950, -1)]
    assert answer.stubs == (Stub(artifact(0), Direction.DOWNSTREAM, 4_950),)
    assert answer.cut == (Cut.FAN_OUT,)


def test_a_hub_of_exactly_the_cap_is_whole() -> None:
    graph = MemoryGraph(derived(*((0, n) for n in range(1, 51))))

    answer = walk(graph, [artifact(0)], Direction.DOWNSTREAM, Limits(per_hop=50))

    assert len(answer.nodes) == 51
    assert not answer.truncated
    assert answer.stubs == ()


def test_depth_leaves_stubs_that_count() -> None:
    graph = MemoryGraph(derived((1, 2), (2, 3), (2, 4), (0, 1)))

    answer = walk(graph, [artifact(1)], Direction.BOTH, Limits(depth=1))

    assert set(ids(answer)) == {0, 1, 2}
    assert answer.stubs == (Stub(artifact(2), Direction.DOWNSTREAM, 2),)
    assert answer.cut == (Cut.DEPTH,)


def test_depth_zero_is_the_root_with_its_stubs() -> None:
    graph = MemoryGraph(derived((1, 2), (0, 1)))

    answer = walk(graph, [artifact(1)], Direction.BOTH, Limits(depth=0))

    assert ids(answer) == [1]
    assert set(answer.stubs) == {Stub(artifact(1), Direction.UPSTREAM, 1), Stub(artifact(1), Direction.DOWNSTREAM, 1)}


def test_a_depth_that_reaches_exactly_the_end_is_whole() -> None:
    graph = MemoryGraph(derived((1, 2), (2, 3)))

    answer = walk(graph, [artifact(1)], Direction.DOWNSTREAM, Limits(depth=2))

    assert not answer.truncated


def test_an_edge_between_nodes_of_the_last_level_is_kept() -> None:
    graph = MemoryGraph(derived((1, 2), (1, 3), (2, 3)))

    answer = walk(graph, [artifact(1)], Direction.DOWNSTREAM, Limits(depth=1))

    assert Edge(artifact(2), artifact(3), EdgeKind.DERIVATION) in answer.edges
    assert not answer.truncated


def test_the_total_cap_is_exact() -> None:
    graph = MemoryGraph(derived((1, 2), (2, 3), (2, 4), (3, 5)))

    at_the_cap = walk(graph, [artifact(1)], Direction.DOWNSTREAM, Limits(depth=9, max_nodes=5))
    below_it = walk(graph, [artifact(1)], Direction.DOWNSTREAM, Limits(depth=9, max_nodes=4))

    assert (ids(at_the_cap), at_the_cap.cut) == ([1, 2, 3, 4, 5], ())
    assert (ids(below_it), below_it.cut) == ([1, 2, 3, 4], (Cut.NODES,))
    assert below_it.stubs == (Stub(artifact(3), Direction.DOWNSTREAM, 1),)


def test_after_the_cap_no_level_is_walked_but_the_one_for_the_stubs() -> None:
    graph = CountingGraph(generations(40))

    answer = walk(graph, [artifact(0)], Direction.DOWNSTREAM, Limits(depth=99, max_nodes=5))

    assert len(answer.nodes) == 5
    assert len(graph.calls) == 5


def test_the_deadline_gives_what_was_found_and_says_so() -> None:
    graph = MemoryGraph(generations(40))
    deadline = Deadline(at=4, clock=Ticking())

    answer = walk(graph, [artifact(0)], Direction.DOWNSTREAM, Limits(depth=99, deadline=deadline))

    assert answer.depth_reached == 3
    assert answer.cut == (Cut.DEADLINE,)
    assert answer.stubs == (Stub(execution(2), Direction.DOWNSTREAM, None),)


def test_a_deadline_between_the_directions_leaves_a_stub_on_every_open_end() -> None:
    graph = MemoryGraph(derived((1, 2), (2, 3), (0, 1)))
    deadline = Deadline(at=2, clock=Ticking())

    answer = walk(graph, [artifact(2)], Direction.BOTH, Limits(depth=99, deadline=deadline))

    assert set(ids(answer)) == {2, 1}
    assert set(answer.stubs) == {Stub(artifact(2), Direction.DOWNSTREAM, None), Stub(artifact(1), Direction.UPSTREAM, None)}


def test_kinds_limit_what_is_shown_and_the_walk_passes_through_the_rest() -> None:
    graph = MemoryGraph(generations(3))

    answer = walk(graph, [artifact(0)], Direction.DOWNSTREAM, FAR, kinds=["artifact"])

    assert ids(answer) == [0, 1, 2, 3]
    assert [reached.depth for reached in answer.nodes] == [0, 2, 4, 6]
    assert answer.edges == tuple(Edge(artifact(n), artifact(n + 1), EdgeKind.VIA) for n in range(3))


def test_an_inferred_edge_makes_the_chain_through_it_inferred() -> None:
    graph = MemoryGraph(
        [
            Edge(artifact(1), execution(1), EdgeKind.INPUT),
            Edge(execution(1), artifact(2), EdgeKind.OUTPUT, inferred=True),
        ]
    )

    answer = walk(graph, [artifact(1)], Direction.DOWNSTREAM, FAR, kinds=["artifact"])

    assert answer.edges == (Edge(artifact(1), artifact(2), EdgeKind.VIA, inferred=True),)


def test_hidden_cycles_end_and_give_no_edge_to_oneself() -> None:
    pairs = [(artifact(1), execution(1)), (execution(1), execution(2)), (execution(2), execution(1)), (execution(2), artifact(1))]
    graph = MemoryGraph([Edge(a, b, EdgeKind.DERIVATION) for a, b in pairs])

    answer = walk(graph, [artifact(1)], Direction.DOWNSTREAM, FAR, kinds=["artifact"])

    assert ids(answer) == [1]
    assert answer.edges == ()


def test_a_stub_behind_a_hidden_node_stands_on_the_shown_node_before_it() -> None:
    graph = MemoryGraph(generations(3))

    answer = walk(graph, [artifact(0)], Direction.DOWNSTREAM, Limits(depth=1), kinds=["artifact"])

    assert answer.stubs == (Stub(artifact(0), Direction.DOWNSTREAM, 1),)


def test_hidden_nodes_count_for_the_cap_on_visits() -> None:
    graph = MemoryGraph([Edge(artifact(0), execution(n), EdgeKind.INPUT) for n in range(20)])

    answer = walk(graph, [artifact(0)], Direction.DOWNSTREAM, Limits(max_visited=10), kinds=["artifact"])

    assert answer.visited == 10
    assert answer.cut == (Cut.VISITS,)


def test_kinds_compare_with_the_cards() -> None:
    graph = MemoryGraph(
        derived((1, 2), (2, 3)),
        [NodeCard(artifact(1), "dataset", "raw"), NodeCard(artifact(2), "doc", "log"), NodeCard(artifact(3), "model", "m")],
    )

    answer = walk(graph, [artifact(1)], Direction.DOWNSTREAM, FAR, cards=graph, kinds=["model"])

    assert [reached.card.name for reached in answer.nodes if reached.card] == ["raw", "m"]


def test_a_node_without_a_card_is_gone() -> None:
    graph = MemoryGraph(derived((1, 2), (2, 3)), [NodeCard(artifact(1), "doc", "a"), NodeCard(artifact(3), "doc", "c")])

    answer = walk(graph, [artifact(1)], Direction.DOWNSTREAM, FAR, cards=graph)

    assert ids(answer) == [1]
    assert answer.edges == ()


class CountingCards(MemoryGraph):
    def cards(self, nodes: Sequence[Node]) -> Mapping[Node, NodeCard]:
        self.reads = getattr(self, "reads", 0) + 1
        return super().cards(nodes)


@pytest.mark.parametrize(("kinds", "reads"), [(None, 1), (["doc"], 5)])
def test_cards_are_read_at_the_end_unless_the_walk_needs_them(kinds: list[str] | None, reads: int) -> None:
    cards = [NodeCard(artifact(n), "doc", str(n)) for n in range(1, 6)]
    graph = CountingCards(derived((1, 2), (2, 3), (3, 4), (4, 5)), cards)

    answer = walk(graph, [artifact(1)], Direction.DOWNSTREAM, FAR, cards=graph, kinds=kinds)

    assert [reached.card for reached in answer.nodes] == cards
    assert graph.reads == reads


@pytest.mark.parametrize("root", [1, 2])
@pytest.mark.parametrize("direction", list(Direction))
def test_same_as_is_crossed_both_ways(root: int, direction: Direction) -> None:
    graph = MemoryGraph(derived((1, 2), kind=EdgeKind.SAME_AS))

    answer = walk(graph, [artifact(root)], direction, FAR)

    assert set(ids(answer)) == {1, 2}
    assert len(answer.edges) == 1


def test_parallel_edges_are_all_shown() -> None:
    edges = [Edge(artifact(1), execution(1), EdgeKind.INPUT, role=role) for role in ("train", "test")]

    answer = walk(MemoryGraph(edges), [artifact(1)], Direction.DOWNSTREAM, FAR)

    assert set(answer.edges) == set(edges)


def test_several_roots_make_one_walk() -> None:
    graph = MemoryGraph(derived((1, 3), (2, 3), (3, 4)))

    answer = walk(graph, [artifact(2), artifact(1), artifact(2)], Direction.DOWNSTREAM, FAR)

    assert ids(answer) == [2, 1, 3, 4]


def test_a_ladder_of_diamonds_costs_its_nodes_not_its_paths() -> None:
    graph = CountingGraph(ladder(30))

    answer = walk(graph, [artifact(0)], Direction.DOWNSTREAM, FAR)

    assert len(answer.nodes) == 91
    assert len(graph.calls) == 61


def test_the_order_does_not_depend_on_the_order_of_the_data() -> None:
    edges = ladder(5) + generations(4)

    one = walk(MemoryGraph(edges), [artifact(0)], Direction.BOTH, Limits(depth=9, max_nodes=9))
    other = walk(MemoryGraph(edges[::-1]), [artifact(0)], Direction.BOTH, Limits(depth=9, max_nodes=9))

    assert one == other


@pytest.mark.parametrize("wrong", [{"depth": -1}, {"per_hop": 0}, {"max_nodes": 0}, {"max_visited": 0}])
def test_limits_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Limits(**wrong)  # type: ignore[arg-type]
