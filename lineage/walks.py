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
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from lineage.graph import CardSource, Direction, Edge, EdgeBatch, EdgeKind, EdgeSource, Node, NodeCard, newest_first
from lineage.limits import Cut, Limits


@dataclass(frozen=True, slots=True)
class Reached:
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
    shown node has its card, read in one call per level. Roots are taken as they are, whatever the caps.
    """
    walking = _Walking(source, direction, limits or Limits(), cards, None if kinds is None else frozenset(kinds))
    walking.start(roots)
    while walking.advance():
        pass
    return walking.result()


@dataclass(frozen=True, slots=True)
class _Arrival:
    """An edge met from `node`, going `way`, to `far`."""

    way: Direction
    node: Node
    edge: Edge
    far: Node


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
        self.shown: dict[Node, Reached] = {}
        self.anchors: dict[Node, Node] = {}  # of every known node: itself if shown, else the shown node it was reached from
        self.edges: dict[Edge, None] = {}
        self.stubs: dict[tuple[Node, Direction], int | None] = {}
        self.cut: set[Cut] = set()

    def start(self, roots: Collection[Node]) -> None:
        found = self._cards(list(dict.fromkeys(roots)))
        for root in dict.fromkeys(roots):
            self.shown[root] = Reached(root, 0, None, found.get(root))
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

    def _expand(self, nodes: list[Node], way: Direction) -> Iterable[_Arrival]:
        if self.limits.deadline.passed:
            self.cut.add(Cut.DEADLINE)
            for node in nodes:
                self._stub(node, way, None)
            return []
        batch = self.source.edges(nodes, way, self.limits.per_hop)
        for node in nodes:
            if hidden := batch.hidden.get(node, 0):
                self.cut.add(Cut.FAN_OUT)
                self._stub(node, way, hidden)
        return [_Arrival(way, node, edge, edge.far(node)) for node, edge in ordered(batch, nodes, way)]

    def _admit(self, arrivals: list[_Arrival], refusal: Cut | None) -> None:
        unknown = {arrival.far: None for arrival in arrivals if arrival.far not in self.anchors}
        found = self._cards(list(unknown)) if refusal is None else {}
        for arrival in arrivals:
            far = arrival.far
            if far not in self.anchors:
                card = found.get(far)
                if refusal is None and self.cards is not None and card is None:
                    continue  # gone since its edge was read
                why = refusal or self._refusal(far, card)
                if why is not None:
                    self._refuse(arrival, why)
                    continue
                self._know(arrival, card)
            self.edges.setdefault(arrival.edge)
            if refusal is None:
                for way in self.direction.ways if self.direction is Direction.ANY else (arrival.way,):
                    self._enter(far, way)

    def _refusal(self, node: Node, card: NodeCard | None) -> Cut | None:
        if len(self.anchors) >= self.limits.max_visited:
            return Cut.VISITS
        if self._is_shown(node, card) and len(self.shown) >= self.limits.max_nodes:
            return Cut.NODES
        return None

    def _refuse(self, arrival: _Arrival, why: Cut) -> None:
        if why is not Cut.DEPTH:
            self.last = True
            self.cut.add(why)
        elif not self.last:
            self.cut.add(why)
        self._stub(arrival.node, arrival.way, 1)

    def _know(self, arrival: _Arrival, card: NodeCard | None) -> None:
        if self._is_shown(arrival.far, card):
            self.shown[arrival.far] = Reached(arrival.far, self.depth + 1, arrival.way, card)
            self.anchors[arrival.far] = arrival.far
        else:
            self.anchors[arrival.far] = self.anchors[arrival.node]

    def _is_shown(self, node: Node, card: NodeCard | None) -> bool:
        return self.kinds is None or (card.kind if card is not None else node.kind) in self.kinds

    def _enter(self, node: Node, way: Direction) -> None:
        if node not in self.entered[way]:
            self.entered[way].add(node)
            self.frontier[way][node] = None

    def _stub(self, node: Node, way: Direction, hidden: int | None) -> None:
        key = (self.anchors[node], way)
        before = self.stubs.get(key, 0)
        self.stubs[key] = None if hidden is None or before is None else before + hidden

    def _cards(self, nodes: Sequence[Node]) -> dict[Node, NodeCard]:
        return dict(self.cards.cards(nodes)) if self.cards is not None and nodes else {}

    def result(self) -> Walk:
        edges = [edge for edge in self.edges if edge.source in self.shown and edge.target in self.shown]
        if len(edges) < len(self.edges):
            edges += self._via()
        return Walk(
            nodes=tuple(self.shown.values()),
            edges=tuple(edges),
            stubs=tuple(Stub(node, way, hidden) for (node, way), hidden in self.stubs.items()),
            cut=tuple(cut for cut in Cut if cut in self.cut),
            depth_reached=max((reached.depth for reached in self.shown.values()), default=0),
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


def ordered(batch: EdgeBatch, nodes: Sequence[Node], way: Direction) -> Iterator[tuple[Node, Edge]]:
    """The edges of a batch with the node of the frontier that each belongs to: by frontier, then `newest_first`."""
    by_node: dict[Node, list[Edge]] = {node: [] for node in nodes}
    for edge in batch.edges:
        near = edge.target if way is Direction.UPSTREAM else edge.source
        if near in by_node:
            by_node[near].append(edge)
        if edge.kind.is_symmetric and (other := edge.far(near)) != near and other in by_node:
            by_node[other].append(edge)
    for node, edges in by_node.items():
        for edge in sorted(set(edges), key=newest_first):
            yield node, edge
