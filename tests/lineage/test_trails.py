import time

from lineage.graph import Edge, EdgeKind
from lineage.impact import ImpactLimits, ImpactPage, Place, Trail, impact
from lineage.limits import Cut, Deadline
from lineage.memory import MemoryGraph
from lineage.trails import Trails
from tests.lineage.building import CountingGraph, Ticking, artifact, derived, execution, generations


def trail(size: int = 1) -> Trail:
    return Trail([artifact(n) for n in range(size)])


def pages(graph: MemoryGraph, first: int, shared: Trail | None) -> list[ImpactPage]:
    found: list[ImpactPage] = []
    after: Place | None = None
    while not found or after is not None:
        found.append(impact(graph, [artifact(0)], first=first, after=after, trail=shared))
        after = found[-1].next
    return found


def test_pages_that_share_a_trail_walk_each_level_once() -> None:
    graph = CountingGraph(generations(40))

    found = pages(graph, 3, Trail([artifact(0)]))

    assert sum(len(page.items) for page in found) == 80
    assert len(graph.calls) == 81


def test_pages_say_the_same_with_and_without_a_trail() -> None:
    graph = MemoryGraph([*generations(9), *derived((0, 3), (0, 50), (50, 7)), Edge(artifact(0), execution(99), EdgeKind.INPUT)])

    assert pages(graph, 2, Trail([artifact(0)])) == pages(graph, 2, None)


def test_an_earlier_page_of_a_trail_that_has_gone_on_says_what_it_said() -> None:
    graph, limits, shared = MemoryGraph(generations(9)), ImpactLimits(depth=4), Trail([artifact(0)])
    first = impact(graph, [artifact(0)], first=2, limits=limits, trail=shared)
    last = impact(graph, [artifact(0)], first=9, after=first.next, limits=limits, trail=shared)

    again = impact(graph, [artifact(0)], first=2, limits=limits, trail=shared)

    assert last.cut == (Cut.DEPTH,)
    assert again == first


def test_a_page_that_was_too_late_leaves_a_trail_to_go_on_with() -> None:
    graph, shared = MemoryGraph(generations(9)), Trail([artifact(0)])
    hurried = ImpactLimits(deadline=Deadline(3, Ticking()))

    cut = impact(graph, [artifact(0)], limits=hurried, trail=shared)
    rest = impact(graph, [artifact(0)], after=Place(2, artifact(1)), trail=shared)

    assert (len(cut.items), cut.cut) == (2, (Cut.DEADLINE,))
    assert (len(rest.items), rest.cut) == (16, ())


def test_a_trail_is_with_one_caller_at_a_time() -> None:
    trails, kept = Trails(), trail()
    trails.keep("key", kept)

    assert trails.take("other") is None
    assert trails.take("key") is kept
    assert trails.take("key") is None


def test_a_trail_is_forgotten_a_minute_after_it_began() -> None:
    later = 0.0
    trails, kept = Trails(clock=lambda: time.monotonic() + later), trail()
    trails.keep("key", kept)
    later = 59.0
    in_time = trails.take("key")
    trails.keep("key", kept)
    later = 60.0

    assert in_time is kept
    assert trails.take("key") is None


def test_the_longest_kept_goes_where_there_are_too_many() -> None:
    trails = Trails(most=2)
    for key in ("a", "b", "a", "c"):
        trails.keep(key, trail())

    assert [trails.take(key) is not None for key in ("a", "b", "c")] == [True, False, True]


def test_the_longest_kept_goes_where_they_are_too_large() -> None:
    trails = Trails(nodes=100)
    for key, size in (("a", 60), ("b", 40), ("c", 10)):
        trails.keep(key, trail(size))

    assert [trails.take(key) is not None for key in ("a", "b", "c")] == [False, True, True]


def test_one_that_is_larger_than_all_may_be_is_not_kept() -> None:
    trails = Trails(nodes=100)
    trails.keep("small", trail(10))
    trails.keep("large", trail(101))

    assert [trails.take(key) is not None for key in ("small", "large")] == [False, False]
