"""A source in memory: for tests and for graphs that fit into a list."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from lineage.graph import Direction, Edge, EdgeBatch, Node, NodeCard, newest_first


class MemoryGraph:
    """An `EdgeSource` and a `CardSource` over fixed edges and cards; equal edges are one."""

    def __init__(self, edges: Iterable[Edge], cards: Iterable[NodeCard] = ()) -> None:
        self._by_way: dict[Direction, defaultdict[Node, list[Edge]]] = {
            Direction.UPSTREAM: defaultdict(list),
            Direction.DOWNSTREAM: defaultdict(list),
        }
        for edge in sorted(set(edges), key=newest_first):
            self._by_way[Direction.DOWNSTREAM][edge.source].append(edge)
            self._by_way[Direction.UPSTREAM][edge.target].append(edge)
            if edge.kind.is_symmetric and edge.source != edge.target:
                self._by_way[Direction.DOWNSTREAM][edge.target].append(edge)
                self._by_way[Direction.UPSTREAM][edge.source].append(edge)
        self._cards = {card.node: card for card in cards}

    def edges(self, frontier: Sequence[Node], direction: Direction, limit: int) -> EdgeBatch:
        """See `EdgeSource.edges`."""
        at = {node: self._by_way[direction].get(node, []) for node in frontier}
        hidden = {node: len(edges) - limit for node, edges in at.items() if len(edges) > limit}
        return EdgeBatch({node: edges[:limit] for node, edges in at.items()}, hidden)

    def neighbours(self, frontier: Sequence[Node], direction: Direction, limit: int) -> Collection[Node]:
        """See `EdgeSource.neighbours`."""
        return {edge.far(node) for node in frontier for edge in self._by_way[direction].get(node, ())}

    def cards(self, nodes: Sequence[Node]) -> Mapping[Node, NodeCard]:
        """See `CardSource.cards`."""
        return {node: self._cards[node] for node in nodes if node in self._cards}
