"""Walks against the plainest closure there is, on random graphs."""

from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.graph import Direction, Edge, EdgeKind, Node, NodeKind
from lineage.impact import Place, Trail, impact
from lineage.limits import Limits
from lineage.memory import MemoryGraph
from lineage.paths import PathLimits, find_paths
from lineage.walks import Reached, walk

nodes = st.builds(Node, st.sampled_from(NodeKind), st.integers(0, 5))
kinds = st.sampled_from([EdgeKind.INPUT, EdgeKind.DERIVATION, EdgeKind.SAME_AS])
graphs = st.lists(st.builds(Edge, nodes, nodes, kinds, at=st.none() | st.integers(0, 3)), max_size=30)
WIDE = Limits(depth=100, per_hop=1_000, max_nodes=1_000)


def steps(edges: Iterable[Edge], way: Direction) -> set[tuple[Node, Node]]:
    pairs = set()
    for edge in edges:
        if way is not Direction.UPSTREAM or edge.kind.is_symmetric:
            pairs.add((edge.source, edge.target))
        if way in {Direction.UPSTREAM, Direction.ANY} or edge.kind.is_symmetric:
            pairs.add((edge.target, edge.source))
    return pairs


def closure(edges: list[Edge], root: Node, way: Direction) -> dict[Node, int]:
    """Least distances by relaxing every edge until nothing changes."""
    distances = {root: 0}
    while True:
        found = {b: distances[a] + 1 for a, b in steps(edges, way) if a in distances}
        better = {node: distance for node, distance in found.items() if distance < distances.get(node, 10**6)}
        if not better:
            return distances
        distances |= better


@settings(max_examples=300, deadline=None)
@given(graphs, nodes, st.sampled_from(Direction))
def test_a_wide_walk_is_the_closure(edges: list[Edge], root: Node, direction: Direction) -> None:
    answer = walk(MemoryGraph(edges), [root], direction, WIDE)

    sides = [closure(edges, root, way) for way in (direction.ways if direction is Direction.BOTH else [direction])]
    expected = {node: min(side[node] for side in sides if node in side) for side in sides for node in side}
    assert {reached.node: reached.depth for reached in answer.nodes} == expected
    assert not answer.truncated
    reachable_edges = {e for e in edges for s in sides if e.source in s and e.target in s}
    assert set(answer.edges) == reachable_edges


@settings(max_examples=300, deadline=None)
@given(graphs, nodes, st.sampled_from(Direction), st.integers(0, 4), st.integers(1, 3), st.integers(1, 8), st.integers(1, 12))
def test_a_capped_walk_is_a_part_and_whole_if_it_says_so(
    edges: list[Edge], root: Node, direction: Direction, depth: int, per_hop: int, max_nodes: int, max_visited: int
) -> None:
    whole = walk(MemoryGraph(edges), [root], direction, WIDE)

    part = walk(MemoryGraph(edges), [root], direction, Limits(depth, per_hop, max_nodes, max_visited))

    assert {reached.node for reached in part.nodes} <= {reached.node for reached in whole.nodes}
    assert len(part.nodes) <= max(1, min(max_nodes, max_visited))
    assert all(reached.depth <= depth for reached in part.nodes)
    missing = len(part.nodes) < len(whole.nodes) or len(part.edges) < len(whole.edges)
    assert part.truncated or not missing
    assert part.truncated == bool(part.stubs)


@settings(max_examples=300, deadline=None)
@given(graphs, nodes, st.sets(st.sampled_from(NodeKind)), st.sampled_from([Direction.UPSTREAM, Direction.DOWNSTREAM]))
def test_kinds_hide_nodes_but_break_no_chain(edges: list[Edge], root: Node, shown: set[NodeKind], way: Direction) -> None:
    whole = closure(edges, root, way)

    answer = walk(MemoryGraph(edges), [root], way, WIDE, kinds=shown)

    expected = {node: depth for node, depth in whole.items() if node == root or node.kind in shown}
    assert {reached.node: reached.depth for reached in answer.nodes} == expected
    assert set(closure(list(answer.edges), root, way)) == set(expected)


@settings(max_examples=300, deadline=None)
@given(graphs, nodes, st.integers(1, 4), st.none() | st.sets(st.sampled_from(NodeKind)), st.booleans())
def test_pages_of_impact_together_are_the_closure(
    edges: list[Edge], root: Node, first: int, shown: set[NodeKind] | None, goes_on: bool
) -> None:
    graph = MemoryGraph(edges)
    found: list[Reached] = []
    after: Place | None = None
    trail = Trail([root]) if goes_on else None
    while True:
        page = impact(graph, [root], kinds=shown, first=first, after=after, trail=trail)
        found += page.items
        assert len(page.items) <= first
        if page.next is None:
            break
        after = page.next

    whole = closure(edges, root, Direction.DOWNSTREAM)
    expected = sorted((d, n) for n, d in whole.items() if n != root and (shown is None or n.kind in shown))
    assert [(reached.depth, reached.node) for reached in found] == expected


def simple_paths(edges: list[Edge], start: Node, goal: Node, way: Direction, longest: int) -> set[tuple[Node, ...]]:
    pairs = steps(edges, way)
    found: set[tuple[Node, ...]] = set()
    open_ends: list[tuple[Node, ...]] = [(start,)]
    while open_ends:
        path = open_ends.pop()
        if path[-1] == goal:
            found.add(path)
        elif len(path) <= longest:
            open_ends += [(*path, b) for a, b in pairs if a == path[-1] and b not in path]
    return found


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.builds(Edge, nodes, nodes, kinds), max_size=14),
    nodes,
    nodes,
    st.sampled_from([Direction.UPSTREAM, Direction.DOWNSTREAM, Direction.ANY]),
    st.integers(0, 4),
    st.integers(1, 5),
)
def test_paths_are_the_shortest_of_all(
    edges: list[Edge], start: Node, goal: Node, way: Direction, detour: int, max_paths: int
) -> None:
    answer = find_paths(MemoryGraph(edges), start, goal, way, PathLimits(max_paths=max_paths, detour=detour))

    every = simple_paths(edges, start, goal, way, 40)
    shortest = min((len(path) for path in every), default=0)
    wanted = sorted(len(path) for path in every if len(path) <= shortest + detour)
    assert {path.nodes for path in answer.paths} <= every
    assert [len(path.nodes) for path in answer.paths] == wanted[:max_paths]
    assert bool(answer.cut) == (len(wanted) > max_paths)
