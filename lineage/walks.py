"""The walk: breadth first, level by level, one call of the source per level and direction.

Level by level gives the true least depth of every node and lets caps, the deadline and filters act between levels; a path
is never carried along, so diamonds and cycles cost nothing.

- `kinds` limits what is *shown*. The walk passes through the nodes it does not show, they count for depth and for
  `max_visited` but not for `max_nodes`, and a chain of them between two shown nodes becomes one edge VIA. The roots are
  always shown.
- Nodes of the last level are asked for their edges too: edges between shown nodes are never lost, and a stub says how
  much lies behind.
- The answer is everything that can be reached exactly if `cut` is empty (with `kinds`: at most everything).
- What a cap or the deadline leaves out depends on the data only: nodes come by level, then upstream before downstream,
  then in the order of the node they were reached from, then `newest_first`.
"""

from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from lineage.graph import CardSource, Direction, Edge, EdgeKind, EdgeSource, Node, NodeCard
from lineage.limits import Cut, Limits


class Reached(NamedTuple):
    """A node and how it was met: `depth` is the least number of edges from any root, `way` the direction it was met in.

    A root has depth 0 and way None. A node that lies both ways counts for the nearer one, upstream if equal.
    """

    node: Node
    depth: int
    way: Direction | None
    card: NodeCard | None = None


@dataclass(frozen=True, slots=True)
class Stub:
    """Where the walk stopped: `hidden` edges of `node` that way were not followed; None where nobody counted.

    Behind a node that is not shown the stub stands on the shown node from which it was reached.
    """

    node: Node
    way: Direction
    hidden: int | None


@dataclass(frozen=True, slots=True)
class Walk:
    """`nodes` by depth, roots first; `edges` join shown nodes only, in the order in which they were met."""

    nodes: tuple[Reached, ...]
    edges: tuple[Edge, ...]
    stubs: tuple[Stub, ...]
    cut: tuple[Cut, ...]
    depth_reached: int
    visited: int

    @property
    def truncated(self) -> bool:
        return bool(self.cut)


def walk(
    source: EdgeSource,
    roots: Collection[Node],
    direction: Direction = Direction.BOTH,
    limits: Limits | None = None,
    *,
    cards: CardSource | None = None,
    kinds: Collection[str] | None = None,
) -> Walk:
    """What lies around the roots.

    `kinds` are compared with `NodeCard.kind`, or with the node's own kind where no `cards` are given. With `cards` every
    shown node has its card: read in one call at the end or, where the walk itself needs them for `kinds`, one a level. Roots are
    taken as they are, whatever the caps.
    """
    limits = limits or Limits()
    if cards is not None and kinds is None:
        walking = _walked(_Walking(source, direction, limits, None, None), roots)
        found = cards.cards(list(walking.shown))
        if walking.shown.keys() <= found.keys() | set(roots):
            return walking.result(found)
        # A node has gone since its edge was read, and what was reached through it may be out of reach: walked again with care.
    walking = _walked(_Walking(source, direction, limits, cards, None if kinds is None else frozenset(kinds)), roots)
    return walking.result(walking.found)


def _walked(walking: "_Walking", roots: Collection[Node]) -> "_Walking":
    walking.start(roots)
    while walking.advance():
        pass
    return walking


_Arrival = tuple[Direction, Node, Edge, Node]
"""The way, the node from which it goes, the edge that was met, its far end."""


class _Walking:
    """The state of one walk. `known` nodes are shown or passed through; `entered` says in which ways they were expanded."""

    def __init__(
        self,
        source: EdgeSource,
        direction: Direction,
        limits: Limits,
        cards: CardSource | None,
        kinds: frozenset[str] | None,
    ) -> None:
        self.source = source
        self.direction = direction
        self.limits = limits
        self.cards = cards
        self.kinds = kinds
        self.depth = 0
        self.last = False
        self.frontier: dict[Direction, dict[Node, None]] = {way: {} for way in direction.ways}
        self.entered: dict[Direction, set[Node]] = {way: set() for way in direction.ways}
        self.shown: dict[Node, tuple[int, Direction | None]] = {}  # depth, way
        self.found: dict[Node, NodeCard] = {}
        self.anchors: dict[Node, Node] = {}  # of every known node: itself if shown, else the shown node it was reached from
        self.edges: dict[Edge, None] = {}
        self.stubs: dict[tuple[Node, Direction], int | None] = {}
        self.cut: set[Cut] = set()

    def start(self, roots: Collection[Node]) -> None:
        self._read_cards(list(dict.fromkeys(roots)))
        for root in roots:
            self.shown[root] = 0, None
            self.anchors[root] = root
            for way in self.direction.ways:
                self._enter(root, way)

    def advance(self) -> bool:
        """Expand one level; False after the last."""
        if not any(self.frontier.values()):
            return False
        probing = self.last or self.depth == self.limits.depth
        frontier, self.frontier = self.frontier, {way: {} for way in self.direction.ways}
        arrivals: list[_Arrival] = []
        for way, nodes in frontier.items():
            if nodes:
                arrivals += self._expand(list(nodes), way)
        self._admit(arrivals, Cut.DEPTH if probing else None)
        self.depth += 1
        if Cut.DEADLINE not in self.cut:
            return not probing
        for way, nodes in self.frontier.items():
            for node in nodes:
                self._stub(node, way, None)
        return False

    def _expand(self, nodes: list[Node], way: Direction) -> list[_Arrival]:
        if self.limits.deadline.passed:
            self.cut.add(Cut.DEADLINE)
            for node in nodes:
                self._stub(node, way, None)
            return []
        batch = self.source.edges(nodes, way, self.limits.per_hop)
        for node in nodes if batch.hidden else ():
            if hidden := batch.hidden.get(node, 0):
                self.cut.add(Cut.FAN_OUT)
                self._stub(node, way, hidden)
        return [(way, node, edge, edge.far(node)) for node in nodes for edge in batch.edges.get(node, ())]

    def _admit(self, arrivals: list[_Arrival], refusal: Cut | None) -> None:
        anchors, edges, turning = self.anchors, self.edges, self.direction is Direction.ANY
        if refusal is None and self.cards is not None:
            self._read_cards(list({far: None for _, _, _, far in arrivals if far not in anchors}))
        for arrival in arrivals:
            way, _, edge, far = arrival
            if far not in anchors and not self._meet(arrival, refusal):
                continue
            edges[edge] = None
            if refusal is not None:
                continue
            for onward in self.direction.ways if turning else (way,):
                if far not in self.entered[onward]:
                    self._enter(far, onward)

    def _meet(self, arrival: _Arrival, refusal: Cut | None) -> bool:
        """Whether the far end, not known before, is known now."""
        way, node, _, far = arrival
        is_shown, limits = True, self.limits
        if self.kinds is not None or self.cards is not None:
            card = self.found.get(far)
            if refusal is None and self.cards is not None and card is None:
                return False  # gone since its edge was read
            is_shown = self.kinds is None or (card.kind if card is not None else far.kind) in self.kinds
        why = refusal
        if why is None and len(self.anchors) >= limits.max_visited:
            why = Cut.VISITS
        elif why is None and is_shown and len(self.shown) >= limits.max_nodes:
            why = Cut.NODES
        if why is not None:
            self._refuse(node, way, why)
            return False
        if is_shown:
            self.shown[far] = self.depth + 1, way
        self.anchors[far] = far if is_shown else self.anchors[node]
        return True

    def _refuse(self, node: Node, way: Direction, why: Cut) -> None:
        if why is not Cut.DEPTH:
            self.last = True
            self.cut.add(why)
        elif not self.last:
            self.cut.add(why)
        self._stub(node, way, 1)

    def _enter(self, node: Node, way: Direction) -> None:
        self.entered[way].add(node)
        self.frontier[way][node] = None

    def _stub(self, node: Node, way: Direction, hidden: int | None) -> None:
        key = (self.anchors[node], way)
        before = self.stubs.get(key, 0)
        self.stubs[key] = None if hidden is None or before is None else before + hidden

    def _read_cards(self, nodes: list[Node]) -> None:
        if self.cards is not None and nodes:
            self.found.update(self.cards.cards(nodes))

    def result(self, cards: Mapping[Node, NodeCard]) -> Walk:
        edges = list(self.edges)
        if len(self.shown) < len(self.anchors):
            edges = [edge for edge in edges if edge.source in self.shown and edge.target in self.shown]
            edges += self._via()
        nodes = [Reached(node, depth, way, cards.get(node)) for node, (depth, way) in self.shown.items()]
        return Walk(
            nodes=tuple(nodes),
            edges=tuple(edges),
            stubs=tuple(Stub(node, way, hidden) for (node, way), hidden in self.stubs.items()),
            cut=tuple(cut for cut in Cut if cut in self.cut),
            depth_reached=max((reached.depth for reached in nodes), default=0),
            visited=len(self.anchors),
        )

    def _via(self) -> Iterator[Edge]:
        """One edge for each pair of shown nodes that a chain of others joins; inferred if the shortest chain is so anywhere."""
        steps = self._steps_through_others()
        for start in self.shown:
            if self.limits.deadline.passed:
                self.cut.add(Cut.DEADLINE)
                return
            queue = deque((far, inferred) for far, inferred in steps.get(start, ()) if far not in self.shown)
            seen = {far for far, _ in queue}
            while queue:
                node, inferred = queue.popleft()
                for far, step_inferred in steps.get(node, ()):
                    if far in seen or far == start:
                        continue
                    seen.add(far)
                    if far in self.shown:
                        yield Edge(start, far, EdgeKind.VIA, inferred=inferred or step_inferred)
                    else:
                        queue.append((far, inferred or step_inferred))

    def _steps_through_others(self) -> dict[Node, list[tuple[Node, bool]]]:
        steps: defaultdict[Node, list[tuple[Node, bool]]] = defaultdict(list)
        for edge in self.edges:
            if edge.source not in self.shown or edge.target not in self.shown:
                steps[edge.source].append((edge.target, edge.inferred))
                if edge.kind.is_symmetric:
                    steps[edge.target].append((edge.source, edge.inferred))
        return steps
