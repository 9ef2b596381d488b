import pytest

from lineage.graph import Direction, Edge, EdgeKind, Node, NodeCard
from lineage.impact import ImpactLimits, ImpactPage, Place, impact
from lineage.limits import Cut, Deadline
from lineage.memory import MemoryGraph
from tests.lineage.building import CountingGraph, Ticking, artifact, derived, execution, generations

HUB = [Edge(artifact(0), execution(n), EdgeKind.INPUT) for n in range(1, 5_001)]


def found(page: ImpactPage) -> list[Node]:
    return [reached.node for reached in page.items]


def test_a_hub_is_listed_whole_in_pages() -> None:
    graph = MemoryGraph(HUB)
    nodes, after = [], None
    for _ in range(5):
        page = impact(graph, [artifact(0)], first=1_000, after=after)
        nodes += found(page)
        after = page.next

    assert nodes == [execution(n) for n in range(1, 5_001)]
    assert after is None


def test_the_last_page_may_be_exactly_full() -> None:
    graph = MemoryGraph(derived((0, 1), (1, 2)))

    assert impact(graph, [artifact(0)], first=2).next is None
    assert impact(graph, [artifact(0)], first=1).next == Place(1, artifact(1))


def test_a_full_page_stops_the_walk() -> None:
    graph = CountingGraph(generations(40))

    page = impact(graph, [artifact(0)], first=3)

    assert len(page.items) == 3
    assert len(graph.calls) == 4


def test_other_kinds_are_passed_through() -> None:
    page = impact(MemoryGraph(generations(3)), [artifact(0)], kinds=["artifact"])

    assert [(reached.depth, reached.node.id) for reached in page.items] == [(2, 1), (4, 2), (6, 3)]


def test_upstream_says_what_a_node_depends_on() -> None:
    page = impact(MemoryGraph(derived((1, 2), (2, 3), (9, 8))), [artifact(3)], direction=Direction.UPSTREAM)

    assert found(page) == [artifact(2), artifact(1)]


def test_a_root_inside_a_cycle_is_not_its_own_impact() -> None:
    page = impact(MemoryGraph(derived((1, 2), (2, 1))), [artifact(1)])

    assert found(page) == [artifact(2)]


def test_a_node_that_appears_before_the_cursor_disturbs_no_later_page() -> None:
    edges = derived((0, 3), (0, 5), (0, 7))
    first = impact(MemoryGraph(edges), [artifact(0)], first=2)

    second = impact(MemoryGraph(edges + derived((0, 1))), [artifact(0)], first=2, after=first.next)

    assert found(second) == [artifact(7)]


def test_cards_come_along_and_kinds_compare_with_them() -> None:
    graph = MemoryGraph(derived((0, 1), (1, 2)), [NodeCard(artifact(2), "model", "m")])

    page = impact(graph, [artifact(0)], kinds=["model"], cards=graph)

    assert [reached.card and reached.card.name for reached in page.items] == ["m"]


def test_depth_is_exact_and_said() -> None:
    graph = MemoryGraph(derived((0, 1), (1, 2)))

    assert impact(graph, [artifact(0)], limits=ImpactLimits(depth=2)).cut == ()
    cut = impact(graph, [artifact(0)], limits=ImpactLimits(depth=1))
    assert (found(cut), cut.cut) == ([artifact(1)], (Cut.DEPTH,))


def test_visits_are_exact_and_said() -> None:
    graph = MemoryGraph(HUB[:9])

    assert impact(graph, [artifact(0)], limits=ImpactLimits(max_visited=10)).cut == ()
    cut = impact(graph, [artifact(0)], limits=ImpactLimits(max_visited=9))
    assert (len(cut.items), cut.cut) == (8, (Cut.VISITS,))


def test_the_deadline_is_said() -> None:
    page = impact(MemoryGraph(generations(9)), [artifact(0)], limits=ImpactLimits(deadline=Deadline(3, Ticking())))

    assert (len(page.items), page.cut) == (2, (Cut.DEADLINE,))


def test_only_one_way_makes_sense() -> None:
    with pytest.raises(ValueError, match="both"):
        impact(MemoryGraph([]), [artifact(0)], direction=Direction.BOTH)
    with pytest.raises(ValueError, match="first"):
        impact(MemoryGraph([]), [artifact(0)], first=0)
