"""Nodes, edges and the protocols of those who have them. No walking here: see `walks.py`.

Every edge points the way that data flows: what `source` made or holds went into `target`. So upstream of a node is
where it comes from, downstream is what it affects.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

# What a walk makes by the thousand is a tuple, and the words in it are hashed as the texts that they are: a set of nodes would
# spend most of its time in the hash of Enum, which is written in Python.


class NodeKind(StrEnum):
    ARTIFACT = "artifact"
    CONTEXT = "context"
    EXECUTION = "execution"

    __hash__ = str.__hash__


class Node(NamedTuple):
    """The key of a node. Nodes order by kind, then id: that order makes every answer of this package deterministic."""

    kind: NodeKind
    id: int


class Direction(StrEnum):
    """Of a walk.

    `BOTH` is the union of an upstream and a downstream walk: it does not turn round, so another user of the same input
    is not in it. `ANY` does turn round, at every node: what it reaches is the connected component.
    """

    UPSTREAM = "upstream"
    DOWNSTREAM = "downstream"
    BOTH = "both"
    ANY = "any"

    __hash__ = str.__hash__

    @property
    def opposite(self) -> "Direction":
        return _OPPOSITE.get(self, self)

    @property
    def ways(self) -> "tuple[Direction, ...]":
        """The directions, upstream or downstream, that it is made of."""
        return (self,) if self in _OPPOSITE else (Direction.UPSTREAM, Direction.DOWNSTREAM)


_OPPOSITE = {Direction.UPSTREAM: Direction.DOWNSTREAM, Direction.DOWNSTREAM: Direction.UPSTREAM}


class EdgeKind(StrEnum):
    INPUT = "input"
    """Artifact to the execution that read it."""
    OUTPUT = "output"
    """Execution to the artifact that it made."""
    DERIVATION = "derivation"
    """Artifact to artifact, said explicitly: a copy, a fine-tune of a base."""
    REUSED_FROM = "reused_from"
    """From the original execution to the one that took its result from the cache."""
    REGISTERED_AS = "registered_as"
    """Artifact, or run, to the model version that was made of it."""
    DEPLOYED_AS = "deployed_as"
    """Model version, or a deployment that another one sends requests to, to deployment."""
    CONTAINS = "contains"
    """Run to step, parent run to nested run: what starts the other."""
    SAME_AS = "same_as"
    """Two records of one thing. Symmetric: every walk crosses it both ways."""
    VIA = "via"
    """Stands for a chain through nodes that a walk was asked not to show. Made by walks, never stored."""

    __hash__ = str.__hash__

    @property
    def is_symmetric(self) -> bool:
        return self is EdgeKind.SAME_AS


class Edge(NamedTuple):
    """`role` is the port or path under which the node took part; `at` is in ms since 1970, None where nobody said."""

    source: Node
    target: Node
    kind: EdgeKind
    role: str | None = None
    inferred: bool = False
    at: int | None = None

    def far(self, node: Node) -> Node:
        """The other end (the same node for a loop)."""
        return self.target if node is self.source or node == self.source else self.source


class NodeCard(NamedTuple):
    """What a picture shows of a node, read in bulk.

    `kind` is the finer word that filters use ("RUN", "STEP", "DATASET", "MODEL_VERSION" …), `type` the type's name,
    `shown_id` the id that clients know, `group` that of what the node belongs to, `created_at` ms. A deleted node keeps its
    card as a tombstone.
    """

    node: Node
    kind: str
    name: str
    type: str | None = None
    status: str | None = None
    created_at: int | None = None
    shown_id: str | None = None
    group: str | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class EdgeBatch:
    """Per node of the frontier its edges, `newest_first`, and how many are over the limit; a node without any may be missing.

    An edge that joins two nodes of the frontier may be at both: a symmetric one is.
    """

    edges: Mapping[Node, Sequence[Edge]]
    hidden: Mapping[Node, int]


class EdgeSource(Protocol):
    """Only edges whose two ends the caller may see, counts likewise.

    `direction` is into the nodes of the frontier (UPSTREAM) or out of them (DOWNSTREAM), never BOTH or ANY. A symmetric edge
    belongs to both. The frontier has no node twice and may be long: the source cuts it to what its database takes.
    """

    def edges(self, frontier: Sequence[Node], direction: Direction, limit: int) -> EdgeBatch:
        """The edges at the frontier's nodes: at most `limit` of each node, the first by `newest_first`."""

    def neighbours(self, frontier: Sequence[Node], direction: Direction, limit: int) -> Collection[Node]:
        """The far ends of all edges, each once, in any order; where there are more than `limit`, at least so many of them."""


class CardSource(Protocol):
    def cards(self, nodes: Sequence[Node]) -> Mapping[Node, NodeCard]:
        """The cards of the nodes; one that is missing is gone, and a walk leaves it out."""


def newest_first(edge: Edge) -> tuple[int, str, Node, Node, str, bool]:
    """The order in which edges of one node are taken; undated ones come last."""
    return (-(edge.at if edge.at is not None else -(2**63)), edge.kind, edge.source, edge.target, edge.role or "", edge.inferred)
