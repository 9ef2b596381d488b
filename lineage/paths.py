"""How two nodes hang together: the shortest paths between them, a bounded number of them.

Two searches, one from each end, the smaller frontier first, find the part of the graph that paths can lie in; the exact
distance to the goal inside that part then leads the enumeration, so no partial path is ever tried that cannot end. Parallel
edges are one step: they do not multiply paths.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from lineage.graph import Direction, Edge, EdgeSource, Node, newest_first
from lineage.limits import NEVER, Cut, Deadline, at_least

_STEPS_PER_PATH = 2_000
"""Partial paths that may be looked at per path wanted: only cycles make any of them useless."""


@dataclass(frozen=True, slots=True)
class Path:
    """`nodes` from start to goal; `steps[i]` are the parallel edges between nodes i and i + 1, `newest_first`."""

    nodes: tuple[Node, ...]
    steps: tuple[tuple[Edge, ...], ...]


@dataclass(frozen=True, slots=True)
class Paths:
    """Shortest first, equal lengths in the order of their nodes; no path meets a node twice.

    `cut` is empty if there is no other path within `detour`; DEPTH says that one may be longer than `max_hops`.
    """

    paths: tuple[Path, ...]
    cut: tuple[Cut, ...]


@dataclass(frozen=True, slots=True)
class PathLimits:
    """`max_hops` is the longest path in edges, `detour` how many edges longer than the shortest one is still wanted."""

    max_paths: int = 10
    max_hops: int = 100
    detour: int = 4
    per_hop: int = 1_000
    max_visited: int = 20_000
    deadline: Deadline = NEVER

    def __post_init__(self) -> None:
        for name, least in (("max_paths", 1), ("max_hops", 0), ("detour", 0), ("per_hop", 1), ("max_visited", 2)):
            at_least(name, getattr(self, name), least)


def find_paths(
    source: EdgeSource,
    start: Node,
    goal: Node,
    direction: Direction = Direction.DOWNSTREAM,
    limits: PathLimits | None = None,
) -> Paths:
    """Paths from `start` to `goal` along `direction`.

    BOTH looks downstream and upstream and gives the shortest of the two together; ANY may turn round at every node.
    A node has one path to itself, without steps.
    """
    limits = limits or PathLimits()
    cut: set[Cut] = set()
    found: list[Path] = []
    for way in direction.ways if direction is Direction.BOTH else (direction,):
        search = _Search(source, start, goal, way, limits, cut)
        search.run()
        found += search.enumerate_paths()
    best = sorted(dict.fromkeys(found), key=lambda path: (len(path.nodes), path.nodes))
    if len(best) > limits.max_paths:
        cut.add(Cut.PATHS)
    return Paths(tuple(best[: limits.max_paths]), tuple(reason for reason in Cut if reason in cut))


@dataclass
class _Side:
    """One of the two searches: how far each node is from its end."""

    ways: tuple[Direction, ...]
    distance: dict[Node, int]
    frontier: list[Node]
    level: int = 0


@dataclass
class _Search:
    source: EdgeSource
    start: Node
    goal: Node
    direction: Direction
    limits: PathLimits
    cut: set[Cut]

    def __post_init__(self) -> None:
        self.forward = _Side(self.direction.ways, {self.start: 0}, [self.start])
        self.backward = _Side(self.direction.opposite.ways, {self.goal: 0}, [self.goal])
        self.shortest: int | None = 0 if self.start == self.goal else None
        self.steps: defaultdict[Node, defaultdict[Node, set[Edge]]] = defaultdict(lambda: defaultdict(set))

    @property
    def reach(self) -> int:
        """The longest path that is still wanted."""
        longest = self.limits.max_hops
        return longest if self.shortest is None else min(longest, self.shortest + self.limits.detour)

    def run(self) -> None:
        if self.start == self.goal:
            return
        forward, backward = self.forward, self.backward
        while forward.frontier and backward.frontier:
            if forward.level + backward.level >= self.reach:
                if self.shortest is None or self.reach < self.shortest + self.limits.detour:
                    self.cut.add(Cut.DEPTH)
                return
            if self.limits.deadline.passed:
                self.cut.add(Cut.DEADLINE)
                return
            if len(forward.distance) + len(backward.distance) >= self.limits.max_visited:
                self.cut.add(Cut.VISITS)
                return
            if len(forward.frontier) <= len(backward.frontier):
                self._expand(forward, backward, is_forward=True)
            else:
                self._expand(backward, forward, is_forward=False)

    def _expand(self, side: _Side, other: _Side, *, is_forward: bool) -> None:
        side.level += 1
        reached: dict[Node, None] = {}
        for way in side.ways:
            batch = self.source.edges(side.frontier, way, self.limits.per_hop)
            if any(batch.hidden.values()):
                self.cut.add(Cut.FAN_OUT)
            for node in side.frontier:
                for edge in batch.edges.get(node, ()):
                    far = edge.far(node)
                    before, after = (node, far) if is_forward else (far, node)
                    self.steps[before][after].add(edge)
                    if far not in side.distance:
                        side.distance[far] = side.level
                        reached[far] = None
                        if far in other.distance:
                            length = side.level + other.distance[far]
                            self.shortest = length if self.shortest is None else min(length, self.shortest)
        side.frontier = list(reached)

    def enumerate_paths(self) -> Iterator[Path]:
        """One more than is wanted, where there is one, so that the caller knows."""
        left = self._distances_to_goal()
        if self.start not in left:
            return
        wanted = self.limits.max_paths + 1
        budget = wanted * _STEPS_PER_PATH
        heap: list[tuple[int, int, tuple[Node, ...]]] = [(left[self.start], 0, (self.start,))]
        while heap and wanted:
            length, negative_done, nodes = heapq.heappop(heap)
            if nodes[-1] == self.goal:
                wanted -= 1
                yield self._path(nodes)
                continue
            budget -= 1
            if budget < 0 or self.limits.deadline.passed:
                self.cut.add(Cut.PATHS if budget < 0 else Cut.DEADLINE)
                return
            for far in self.steps[nodes[-1]]:
                if far in left and far not in nodes and (length := len(nodes) + left[far]) <= self.reach:
                    heapq.heappush(heap, (length, negative_done - 1, (*nodes, far)))

    def _distances_to_goal(self) -> dict[Node, int]:
        into: defaultdict[Node, list[Node]] = defaultdict(list)
        for node, fars in self.steps.items():
            for far in fars:
                into[far].append(node)
        distances = {self.goal: 0}
        level = [self.goal]
        while level:
            following = {node: distances[far] + 1 for far in level for node in into[far] if node not in distances}
            distances |= following
            level = list(following)
        return distances

    def _path(self, nodes: tuple[Node, ...]) -> Path:
        pairs = pairwise(nodes)
        return Path(nodes, tuple(tuple(sorted(self.steps[a][b], key=newest_first)) for a, b in pairs))
