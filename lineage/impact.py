"""Everything that lies one way from some nodes, of the wanted kinds, in pages.

The order is (depth, node), and the cursor is the last item's place in it, so what is added or removed meanwhile neither repeats
nor skips the rest. (A node whose depth changes meanwhile may be seen twice or not at all.)

A page needs the levels down to where it ends. Whoever gives each page the `Trail` of the page before walks every level once,
however many pages there are; without it a page walks anew and says the same. `trails.py` keeps trails between pages.
"""

import time
from bisect import bisect_right
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice

from lineage.graph import CardSource, Direction, EdgeSource, Node
from lineage.limits import NEVER, Cut, Deadline, at_least
from lineage.walks import Reached

_AT_ONCE = 1_000
"""The most cards that are read to find what is shown among other kinds."""


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


class Trail:
    """The levels below (or above) some roots so far, whatever their kind: for one direction and one set of limits.

    For one caller at a time. A level is either there or not: one that could not be read leaves the trail as it was.
    """

    def __init__(self, roots: Collection[Node]) -> None:
        self.began = time.monotonic()
        self.levels = [sorted(set(roots))]
        self.seen = set(roots)
        self.cuts: list[tuple[int, Cut]] = []
        """With the level behind which something was left out."""

    def extend(self, source: EdgeSource, direction: Direction, limits: ImpactLimits) -> None:
        """One level more; an empty one is the last. Nothing where the deadline has passed."""
        depth, level = len(self.levels) - 1, self.levels[-1]
        # One more than may be visited tells "full" from "exactly full": those that were seen may take up all the rest of them.
        found = source.neighbours(level, direction, limits.max_visited + 1)
        fars = sorted(node for node in found if node not in self.seen)
        room = limits.max_visited - len(self.seen)
        if depth == limits.depth:
            self.cuts += [(depth, Cut.DEPTH)] if fars else []
            fars = []
        elif len(fars) > room:
            self.cuts.append((depth, Cut.VISITS))
            fars = fars[:room]
        self.seen.update(fars)
        self.levels.append(fars)


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
    trail: Trail | None = None,
) -> ImpactPage:
    """Page of what depends on `roots` (or, upstream, of what they depend on), without the roots.

    `kinds` as in `walks.walk`; others are passed through. `trail`: of an earlier page of the same roots, direction and limits
    but the deadline; it goes on from there. Costs the page, and the walk to its end without a trail.

    Raises ValueError: `first` under 1, or a direction that is not one way.
    """
    at_least("first", first, 1)
    if len(direction.ways) != 1:
        raise ValueError(f"impact goes upstream or downstream, not {direction}")
    listing = _Listing(source, direction, limits or ImpactLimits(), trail or Trail(roots))
    return listing.page(cards, None if kinds is None else frozenset(kinds), first, after)


@dataclass
class _Listing:
    source: EdgeSource
    direction: Direction
    limits: ImpactLimits
    trail: Trail
    depth: int = 0
    """Of the last level that was asked for."""
    is_late: bool = False

    def page(self, cards: CardSource | None, kinds: frozenset[str] | None, first: int, after: Place | None) -> ImpactPage:
        beyond = self._beyond(after)
        items: list[Reached] = []
        piece = first + 1
        while len(items) <= first and (nodes := list(islice(beyond, piece))):
            items += self._shown(nodes, cards, kinds)
            piece = max(first + 1 - len(items), min(2 * piece, _AT_ONCE))
        full = len(items) > first
        items = items[:first]
        place = Place(items[-1].depth, items[-1].node) if full else None
        return ImpactPage(tuple(items), place, tuple(self._cuts()))

    def _beyond(self, after: Place | None) -> Iterator[tuple[int, Node]]:
        """What lies behind the place, in order; walks on where it has to."""
        while level := self._level(self.depth + 1):
            if after is None or self.depth > after.depth:
                yield from ((self.depth, node) for node in level)
            elif self.depth == after.depth:
                yield from ((self.depth, node) for node in islice(level, bisect_right(level, after.node), None))

    def _level(self, depth: int) -> list[Node]:
        self.depth = depth
        while len(self.trail.levels) <= depth and self.trail.levels[-1] and not self.is_late:
            self.is_late = self.limits.deadline.passed
            if not self.is_late:
                self.trail.extend(self.source, self.direction, self.limits)
        return self.trail.levels[depth] if depth < len(self.trail.levels) else []

    def _shown(self, nodes: list[tuple[int, Node]], cards: CardSource | None, kinds: frozenset[str] | None) -> Iterator[Reached]:
        found = cards.cards([node for _, node in nodes]) if cards is not None else {}
        for depth, node in nodes:
            card = found.get(node)
            is_there = cards is None or card is not None
            if is_there and (kinds is None or (card.kind if card is not None else node.kind) in kinds):
                yield Reached(node, depth, self.direction, card)

    def _cuts(self) -> Iterator[Cut]:
        """Of the levels that this page needed: a trail may have gone farther."""
        found = {cut for depth, cut in self.trail.cuts if depth < self.depth}
        return (cut for cut in Cut if cut in found or (cut is Cut.DEADLINE and self.is_late))
