"""Whether what was imported is there: counts of everything, and a sample of nodes field by field."""

import random
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.graph_reads import Node, nodes_by_id
from registry.catalog.importing.mlmd.source import NAMES, Source, SourceNode
from registry.catalog.importing.mlmd.writing import OWNED, mapped
from registry.catalog.nodes import TABLES
from registry.catalog.properties import decoded, encoded
from registry.db.row_reads import RowRead, among
from registry.db.session import Session
from registry.names import NodeKind
from registry.tables.graph import associations, attributions, events

SAMPLE = 1_000
_EDGES = {
    NodeKind.EXECUTION: ((events, "execution"), (associations, "execution")),
    NodeKind.ARTIFACT: ((attributions, "artifact"),),
}


def count_nodes(session: Session, actor: Actor, kind: NodeKind, ids: Sequence[int]) -> int:
    """How many of the source's ids are here, under their own or another."""
    ours = sorted(set(mapped(session, actor, kind, ids).values()))
    return _count(session, TABLES[kind].c.id, ours)


def count_edges(session: Session, actor: Actor, kind: NodeKind, ids: Sequence[int]) -> dict[str, int]:
    """Of the nodes, by the table of ours."""
    ours = sorted(set(mapped(session, actor, kind, ids).values()))
    return {table.name: _count(session, table.c[column], ours) for table, column in _EDGES.get(kind, ())}


def _count(session: Session, column: sa.Column[Any], ids: Sequence[int]) -> int:
    return int(_counting(column).run(session, ids)[0][0]) if ids else 0


@cache
def _counting(column: sa.Column[Any]) -> RowRead:
    return RowRead(lambda: sa.select(sa.func.count()).select_from(column.table).where(among(column)))


def sample(source: Source, kind: NodeKind, seed: int) -> list[SourceNode]:
    """About a third of `SAMPLE` nodes, anywhere among the ids."""
    highest = source.highest(NAMES[kind])
    if not highest:
        return []
    chosen = random.Random(seed).sample(range(1, highest + 1), min(highest, SAMPLE))  # noqa: S311  (not for secrets)
    return source.nodes(kind, 0, ids=sorted(chosen))[: SAMPLE // 3 + 1]


def differences(
    session: Session, actor: Actor, kind: NodeKind, nodes: Sequence[SourceNode], types: dict[int, tuple[str, str]]
) -> Iterator[str]:
    """A line for each field that is not as in the source. `types`: (name, version) by the source's id."""
    ids = mapped(session, actor, kind, [node.id for node in nodes])
    found = {node.id: node for node in nodes_by_id(session, actor, kind, ids.values())}
    for node in nodes:
        ours = found.get(ids[node.id])
        if ours is None:
            yield f"{kind.name.lower()} {node.id} is not here"
            continue
        yield from _fields(kind, node, ours, types[node.type_id])


def _fields(kind: NodeKind, node: SourceNode, ours: Node, type_: tuple[str, str]) -> Iterator[str]:
    renamed = ours.type.id in OWNED and ours.name != node.name  # its owner has another id here
    pairs = {
        "type": (type_, (ours.type.name, ours.type.version)),
        "name": (node.name, node.name if renamed else ours.name),
        "state": (node.state, ours.state),
        "uri": (node.uri or "", ours.uri or ""),
        "create time": (node.created_at, ours.created_at),
        "properties": (encoded(node.properties), encoded(decoded(ours.blob))),
    }
    if ours.external_id is not None:  # one that was taken is left out, and in the report
        pairs["external id"] = (node.external_id, ours.external_id)
    for name, (theirs, here) in pairs.items():
        if theirs != here:
            yield f"{kind.name.lower()} {node.id}: {name} is {str(here)[:200]!r}, there {str(theirs)[:200]!r}"


def count_taken(session: Session, kind: NodeKind, ids: Sequence[int]) -> int:
    """How many of the ids are other nodes' here."""
    return _count(session, TABLES[kind].c.id, ids)
