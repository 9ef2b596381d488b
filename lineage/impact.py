"""Everything that lies one way from some nodes, of the wanted kinds, in pages.

A page walks the levels anew and stops where it is full: nothing is kept between pages. The order is (depth, node), and the
cursor is the last item's place in it, so what is added or removed meanwhile neither repeats nor skips the rest. (A node
whose depth changes meanwhile may be seen twice or not at all.)
"""

from collections.abc import Collection
from dataclasses import dataclass

from lineage.graph import CardSource, Direction, EdgeSource, Node, NodeCard
from lineage.limits import NEVER, Cut, Deadline, at_least
from lineage.walks import Reached, ordered


@dataclass(frozen=True, order=True, slots=True)
class Place:
    """The place of an item in the order; a door makes an opaque token of it."""

    depth: int
    node: Node


@dataclass(frozen=True, slots=True)
class ImpactPage:
    """`next` is None on the last page. `cut` says why later pages may lack something."""

    items: tuple[Reached, ...]
    next: Place | None
    cut: tuple[Cut, ...]


@dataclass(frozen=True, slots=True)
class ImpactLimits:
    """`depth` in edges; `max_visited` bounds memory and time, shown or not. There is no cap per hop: the answer is a list."""

    depth: int = 100
    max_visited: int = 200_000
    deadline: Deadline = NEVER

    def __post_init__(self) -> None:
        at_least("depth", self.depth, 0)
        at_least("max_visited", self.max_visited, 1)


def impact(
    source: EdgeSource,
    roots: Collection[Node],
    *,
    kinds: Collection[str] | None = None,
    direction: Direction = Direction.DOWNSTREAM,
    first: int = 100,
    after: Place | None = None,
    cards: CardSource | None = None,
    limits: ImpactLimits | None = None,
) -> ImpactPage:
    """Page of what depends on `roots` (or, upstream, of what they depend on), without the roots.

    `kinds` as in `walks.walk`; others are passed through. Costs the walk down to the page's depth.

    Raises ValueError: `first` under 1, or a direction that is not one way.
    """
    at_least("first", first, 1)
    if len(direction.ways) != 1:
        raise ValueError(f"impact goes upstream or downstream, not {direction}")
    return _Listing(source, cards, None if kinds is None else frozenset(kinds), limits or ImpactLimits()).page(
        roots, direction, first, after
    )


@dataclass
class _Listing:
    source: EdgeSource
    cards: CardSource | None
    kinds: frozenset[str] | None
    limits: ImpactLimits

    def page(self, roots: Collection[Node], direction: Direction, first: int, after: Place | None) -> ImpactPage:
        seen = set(roots)
        level = sorted(seen)
        items: list[Reached] = []
        cut: set[Cut] = set()
        depth = 0
        while level and len(items) <= first:
            level = self._next(level, direction, seen, depth, cut)
            depth += 1
            beyond = [node for node in level if after is None or Place(depth, node) > after]
            items += self._shown(beyond, depth, direction, first + 1 - len(items))
        full = len(items) > first
        items = items[:first]
        place = Place(items[-1].depth, items[-1].node) if full else None
        return ImpactPage(tuple(items), place, tuple(reason for reason in Cut if reason in cut))

    def _next(self, level: list[Node], direction: Direction, seen: set[Node], depth: int, cut: set[Cut]) -> list[Node]:
        if self.limits.deadline.passed:
            cut.add(Cut.DEADLINE)
            return []
        probing = depth == self.limits.depth
        room = self.limits.max_visited - len(seen)
        # One edge more than there is room tells "full" from "exactly full"; seen ends may take up to `max_visited` of them.
        batch = self.source.edges(level, direction, 1 if probing else self.limits.max_visited + 1)
        fars = sorted({edge.far(node) for node, edge in ordered(batch, level, direction)} - seen)
        if any(batch.hidden.values()):
            cut.add(Cut.DEPTH if probing else Cut.FAN_OUT)
        if probing:
            cut.update([Cut.DEPTH] if fars else [])
            return []
        if len(fars) > room:
            cut.add(Cut.VISITS)
            fars = fars[: max(room, 0)]
        seen.update(fars)
        return fars

    def _shown(self, nodes: list[Node], depth: int, way: Direction, wanted: int) -> list[Reached]:
        """The first `wanted` that are shown; cards are read in pieces, not for a whole level."""
        shown: list[Reached] = []
        for begin in range(0, len(nodes), 1_000):
            piece = nodes[begin : begin + 1_000]
            found = self.cards.cards(piece) if self.cards is not None else {}
            shown += [Reached(node, depth, way, found.get(node)) for node in piece if self._is_shown(node, found.get(node))]
            if len(shown) >= wanted:
                break
        return shown[:wanted]

    def _is_shown(self, node: Node, card: NodeCard | None) -> bool:
        if self.cards is not None and card is None:
            return False
        return self.kinds is None or (card.kind if card is not None else node.kind) in self.kinds
