"""Where the data of a task comes from: what both compilers' bindings have in common."""

from collections.abc import Iterator
from dataclasses import dataclass

from agent.report import Artifact, Edge, PortKind
from agent.values import Notes, short
from agent.workflow import settling
from agent.workflow.drafts import MAX_LINKS, Draft, Tree, lift

_SECOND = len("2026-01-01T00:00:00")
"""Of a time, what Kubernetes writes; a fraction is the only thing that follows."""


@dataclass(frozen=True, slots=True)
class Source:
    """An output that a binding leads to: of a leaf, seen through groups."""

    draft: Draft
    key: str
    is_direct: bool
    """Whether the consumer gets exactly this value: not one item of it, nor a list that a loop collected."""


class EdgeSet:
    """Edges, each once, at most MAX_LINKS of them."""

    def __init__(self, tree: Tree, notes: Notes) -> None:
        self._tree = tree
        self._notes = notes
        self._edges: dict[tuple[str, str, str, PortKind], Edge] = {}

    @property
    def is_full(self) -> bool:
        return len(self._edges) >= MAX_LINKS

    def add(self, source: Draft, target: Draft, port: str, kind: PortKind) -> None:
        """Data goes only between tasks that were taken, and from one to another."""
        if source is target or source.skipped or target.skipped:
            return
        if not (self._tree.listed(source) and self._tree.listed(target)):
            return
        if self.is_full:
            self._notes.add(f"There are more than {MAX_LINKS} edges; the rest is left out.")
            return
        self._edges.setdefault((source.key, target.key, port, kind), Edge(source.key, target.key, port, kind))

    def sorted(self) -> tuple[Edge, ...]:
        return tuple(sorted(self._edges.values(), key=lambda edge: (edge.to, edge.port, edge.kind, edge.from_)))


class ByUri:
    """Finds the producers of an artifact by its address, for inputs whose binding is not known."""

    def __init__(self, drafts: list[Draft], notes: Notes) -> None:
        self._notes = notes
        self._work = 0
        self._drafts = {draft.key: draft for draft in drafts}
        self._producers: dict[str, list[Draft]] = {}
        for draft in drafts:
            for uri in dict.fromkeys(artifact.uri for artifact in draft.output_artifacts if not draft.is_group):
                self._producers.setdefault(uri, []).append(draft)

    def producers(self, consumer: Draft, artifact: Artifact) -> list[Draft]:
        """Those in the nearest scope that has any. Several get one edge each, with a warning."""
        made = self._producers.get(artifact.uri, [])
        self._work += max(0, len(made) - 1)
        if self._work > MAX_LINKS:
            self._notes.add("Too many tasks made artifacts at the same addresses; edges between them are left out.")
            return []
        others = [draft for draft in made if draft is not consumer and not draft.skipped and not self._follows(draft, consumer)]
        if len(others) < 2:
            return others
        scopes = {id(scope): depth for depth, scope in _enclosing(consumer)}
        nearness = [max((scopes.get(id(scope), -1) for _, scope in _enclosing(draft)), default=-1) for draft in others]
        best = max(nearness)
        nearest = [draft for draft, depth in zip(others, nearness, strict=True) if depth == best]
        if len(nearest) > 1:
            self._notes.add(f"{len(nearest)} tasks made {short(artifact.uri, 200)}, which {short(consumer.key)} used.")
        return nearest

    def _follows(self, draft: Draft, consumer: Draft) -> bool:
        """Whether a task that writes to the same address came after the consumer, which has read what was there before."""
        ended, started = settling.finished_at(consumer), settling.started_at(draft)
        if ended and started and started[:_SECOND] > ended[:_SECOND]:
            return True
        pair = lift(consumer, draft)
        return pair is not None and self._depends(pair[1], pair[0].key)

    def _depends(self, draft: Draft, key: str) -> bool:
        """By the dependencies between siblings, at any distance."""
        pending, seen = [draft], {draft.key}
        while pending and self._work <= MAX_LINKS:
            for before in pending.pop().depends_on:
                self._work += 1
                if before == key:
                    return True
                if before not in seen and before in self._drafts:
                    seen.add(before)
                    pending.append(self._drafts[before])
        return False


def _enclosing(draft: Draft) -> Iterator[tuple[int, Draft]]:
    for scope in draft.lineage():
        if scope is not draft:
            yield scope.depth, scope
