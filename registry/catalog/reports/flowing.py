"""What flows between the tasks of a report: artifacts, and the events that say which step made and used them.

An output is known by (step, port, URI); an input that no task of the run made, by its URI in the workspace.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from registry.catalog import node_types, tagging
from registry.catalog.actors import Actor
from registry.catalog.nodes import artifact_row
from registry.catalog.reports.record import Artifact, Report, millis, worded
from registry.catalog.reports.stepping import Written
from registry.db.session import Session
from registry.names import MAX_KEY, ArtifactKind, Author, EventType, KeyKind, NodeKind, sha256
from registry.tables.graph import artifacts, events, tags
from registry.tables.service import keys
from storage.errors import StorageError
from storage.locations import normalise_uri

KINDS = {"system.Model": ArtifactKind.MODEL, "system.Dataset": ArtifactKind.DATASET}
DOCS = {"system.HTML", "system.Markdown", "system.Metrics", "system.ClassificationMetrics", "system.SlicedClassificationMetrics"}
Key = tuple[KeyKind, str]


@dataclass(frozen=True)
class _Use:
    """One artifact at one port of one step."""

    step: int
    type: EventType
    port: str
    at: int
    key: Key
    artifact: Artifact


def write_flow(session: Session, actor: Actor, report: Report, written: Written, *, now: int) -> None:
    """The events of the steps whose content is this report's become what it says."""
    uses = _uses(report, written, now=now)
    found = _known(session, actor, {use.key for use in uses})
    missing = {use.key: use for use in reversed(uses) if use.key not in found}
    found |= _make(session, actor, missing, now=now)
    _describe(session, {found[use.key]: use.artifact for use in reversed(uses) if use.artifact.metadata})
    wanted = {(found[use.key], use.step, int(use.type)): use for use in uses}
    fresh = sorted(written.ids[key] for key in written.fresh)
    held = session.all(
        sa.select(events.c.id, events.c.artifact, events.c.execution, events.c.type).where(events.c.execution.in_(fresh))
    )
    stale = [row for row in held if (row.artifact, row.execution, row.type) not in wanted]
    if stale:
        session.execute(sa.delete(events).where(events.c.id.in_([row.id for row in stale])))
        _forget(session, {row.artifact for row in stale})
    there = {(row.artifact, row.execution, row.type) for row in held}
    new = sorted(key for key in wanted if key not in there)
    if new:
        ids = session.next_ids("event", len(new))
        session.insert(events, [_event(id, key, wanted[key]) for id, key in zip(ids, new, strict=True)])


def _uses(report: Report, written: Written, *, now: int) -> list[_Use]:
    """Of the fresh tasks; inputs refer to outputs of any task of the report at the same URI."""
    made: dict[str, Key] = {}
    for task in report.tasks:
        for artifact in task.outputs.artifacts:
            made.setdefault(artifact.uri, _output_key(written.ids[task.key], artifact))
    uses = []
    for task in report.tasks:
        if task.key not in written.fresh:
            continue
        step = written.ids[task.key]
        at = millis(task.finished_at) or millis(task.started_at) or now
        uses += [_Use(step, EventType.OUTPUT, own.name, at, _output_key(step, own), own) for own in task.outputs.artifacts]
        at = millis(task.started_at) or now
        for artifact in task.inputs.artifacts:
            key = made.get(artifact.uri, (KeyKind.INPUT_URI, sha256(artifact.uri)))
            uses.append(_Use(step, EventType.INPUT, artifact.name, at, key, artifact))
    return uses


def _output_key(step: int, artifact: Artifact) -> Key:
    return KeyKind.OUTPUT, sha256(str(step), artifact.name, artifact.uri)


def _known(session: Session, actor: Actor, wanted: Iterable[Key]) -> dict[Key, int]:
    texts = sorted({key for _, key in wanted})
    found: dict[Key, int] = {}
    for start in range(0, len(texts), 5000):
        query = sa.select(keys.c.kind, keys.c.key, keys.c.node).where(
            keys.c.workspace == actor.workspace,
            keys.c.kind.in_([KeyKind.OUTPUT, KeyKind.INPUT_URI]),
            keys.c.key.in_(texts[start : start + 5000]),
        )
        found |= {(KeyKind(row.kind), row.key): row.node for row in session.all(query)}
    return found


def _make(session: Session, actor: Actor, missing: Mapping[Key, _Use], *, now: int) -> dict[Key, int]:
    if not missing:
        return {}
    made = dict(zip(missing, session.next_ids("artifact", len(missing)), strict=True))
    rows, claims = [], []
    for key, use in missing.items():
        own = use.artifact
        output = use.type is EventType.OUTPUT
        rows.append(
            artifact_row(
                made[key],
                type_id=node_types.ARTIFACT,
                workspace=actor.workspace,
                now=now,
                kind=KINDS.get(own.type or "", ArtifactKind.DOC if own.type in DOCS else ArtifactKind.OTHER),
                author=Author.AGENT,
                uri=own.uri,
                location_hash=_location_hash(own.uri),
                display_name=own.name[:512],
                step=use.step if output else None,
                port=own.name[:512] if output else None,
            )
        )
        claims.append(
            {
                "workspace": actor.workspace,
                "kind": key[0],
                "key": key[1],
                "node_kind": NodeKind.ARTIFACT,
                "node": made[key],
            }
        )
    session.insert(artifacts, rows)
    session.insert(keys, claims)
    return made


def _location_hash(uri: str) -> str:
    try:
        return sha256(normalise_uri(uri))
    except StorageError:
        return sha256(uri)  # a client's own scheme: equal text is the same place


def _describe(session: Session, described: Mapping[int, Artifact]) -> None:
    """Metadata as tags, where no client has set them."""
    values = {
        id: {key[:MAX_KEY]: "" if value is None else worded(value) for key, value in artifact.metadata.items() if key}
        for id, artifact in described.items()
    }
    tagging.set_tags(session, NodeKind.ARTIFACT, {id: own for id, own in values.items() if own}, author=Author.AGENT)


def _forget(session: Session, ids: set[int]) -> None:
    """Remove artifacts of the agent that no event names any more: a newer report said something else of their step."""
    left = set(session.scalars(sa.select(events.c.artifact).where(events.c.artifact.in_(sorted(ids)))))
    agents = sa.select(artifacts.c.id).where(
        artifacts.c.id.in_(sorted(ids - left)), artifacts.c.author == Author.AGENT, artifacts.c.type_id == node_types.ARTIFACT
    )
    gone = session.scalars(agents)
    if gone:
        session.execute(sa.delete(tags).where(tags.c.kind == NodeKind.ARTIFACT, tags.c.node.in_(gone)))
        session.execute(sa.delete(keys).where(keys.c.node_kind == NodeKind.ARTIFACT, keys.c.node.in_(gone)))
        session.execute(sa.delete(artifacts).where(artifacts.c.id.in_(gone)))


def _event(id: int, key: tuple[int, int, int], use: _Use) -> dict[str, Any]:
    return {
        "id": id,
        "artifact": key[0],
        "execution": key[1],
        "type": key[2],
        "at": use.at,
        "port": use.port[:512],
        "path": None,
        "tags": None,
    }
