"""Small graphs, written short."""

from collections.abc import Collection, Sequence

from lineage.graph import Direction, Edge, EdgeBatch, EdgeKind, Node, NodeKind
from lineage.memory import MemoryGraph


def artifact(id: int) -> Node:
    return Node(NodeKind.ARTIFACT, id)


def execution(id: int) -> Node:
    return Node(NodeKind.EXECUTION, id)


def derived(*pairs: tuple[int, int], kind: EdgeKind = EdgeKind.DERIVATION) -> list[Edge]:
    return [Edge(artifact(a), artifact(b), kind) for a, b in pairs]


def generations(count: int) -> list[Edge]:
    """Artifact 0 → execution 1 → artifact 1 → … → artifact `count`."""
    edges = []
    for n in range(1, count + 1):
        edges.append(Edge(artifact(n - 1), execution(n), EdgeKind.INPUT))
        edges.append(Edge(execution(n), artifact(n), EdgeKind.OUTPUT))
    return edges


def ladder(rungs: int) -> list[Edge]:
    """Diamonds in a row: 2 ** rungs shortest paths from artifact 0 to artifact 3 * rungs."""
    pairs = []
    for n in range(rungs):
        top = 3 * n
        pairs += [(top, top + 1), (top, top + 2), (top + 1, top + 3), (top + 2, top + 3)]
    return derived(*pairs)


class CountingGraph(MemoryGraph):
    """Notes each call as (direction, size of the frontier)."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.calls: list[tuple[Direction, int]] = []

    def edges(self, frontier: Sequence[Node], direction: Direction, limit: int) -> EdgeBatch:
        self.calls.append((direction, len(frontier)))
        return super().edges(frontier, direction, limit)

    def neighbours(self, frontier: Sequence[Node], direction: Direction, limit: int) -> Collection[Node]:
        self.calls.append((direction, len(frontier)))
        return super().neighbours(frontier, direction, limit)


class Ticking:
    """A clock that moves one second with each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now
