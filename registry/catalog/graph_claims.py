"""Artifacts that the agent reported and that ML Metadata's client puts are one: met under the keys that reports know them by."""

from collections.abc import Mapping

import sqlalchemy as sa

from registry.catalog.keys import add_alias
from registry.catalog.merging import rekey
from registry.db.session import Session
from registry.names import Author, KeyKind, NodeKind
from registry.tables.graph import artifacts, attributions, derivations, events, links, tags
from registry.tables.models import model_versions
from registry.tables.service import keys

_ARTIFACT = {"kind": int(NodeKind.ARTIFACT)}


def claim_artifacts(session: Session, workspace: int, wanted: Mapping[tuple[KeyKind, str], int]) -> None:
    """Artifact by key: what only the agent knew of under that key becomes the client's artifact.

    One statement, and those of a merge.
    """
    rows = [
        {"workspace": workspace, "kind": int(kind), "key": key, "node_kind": int(NodeKind.ARTIFACT), "node": id}
        for (kind, key), id in sorted(wanted.items())
    ]
    if session.insert_ignore(keys, rows) == len(rows):
        return
    held = session.all(
        sa.select(keys.c.kind, keys.c.key, artifacts.c.id, artifacts.c.author)
        .join(artifacts, artifacts.c.id == keys.c.node)
        .where(keys.c.workspace == workspace, sa.tuple_(keys.c.kind, keys.c.key).in_(sorted(wanted)))
    )
    absorbed = set()
    for row in held:
        new = wanted[KeyKind(row.kind), row.key]
        if row.author == Author.AGENT and row.id != new and row.id not in absorbed:
            _absorb(session, int(row.id), new)
            absorbed.add(row.id)


def _absorb(session: Session, old: int, new: int) -> None:
    """The agent's artifact `old` becomes part of `new`: all that hangs on it hangs on the other; its id goes on answering."""
    rekey(session, events, "artifact", old, new, unique=("execution", "type"))
    rekey(session, attributions, "artifact", old, new, unique=("context",))
    rekey(session, tags, "node", old, new, unique=("name_id",), only=_ARTIFACT, authored=True)
    for end, other in (("source", "target"), ("target", "source")):
        rekey(session, derivations, end, old, new, unique=(other,))
    ends = ("kind", "from_kind", "from_node", "to_kind", "to_node")
    for end in ("from", "to"):
        rest = tuple(name for name in ends if name not in {f"{end}_node", f"{end}_kind"})
        rekey(session, links, f"{end}_node", old, new, unique=rest, only={f"{end}_kind": int(NodeKind.ARTIFACT)})
    session.execute(sa.update(model_versions).where(model_versions.c.artifact == old).values(artifact=new))
    session.execute(sa.update(keys).where(keys.c.node_kind == NodeKind.ARTIFACT, keys.c.node == old).values(node=new))
    session.execute(sa.delete(artifacts).where(artifacts.c.id == old))
    add_alias(session, NodeKind.ARTIFACT, old, new)
