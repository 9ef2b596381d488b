"""What flows between steps: artifacts, and the events that say which step made and used them.

An output is known by (step, port, URI); an input that no step of the run made, by its URI in the workspace. All of it is derived
from the steps before and after a report; only the difference is written.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from posixpath import basename
from typing import Any

import sqlalchemy as sa

from registry.catalog import node_types, tagging
from registry.catalog.nodes import artifact_row
from registry.catalog.reports.record import Json, worded
from registry.catalog.reports.stepping import Step, Steps, written
from registry.catalog.reports.values import short_key
from registry.db.session import Session
from registry.names import ArtifactKind, Author, EventType, KeyKind, NodeKind, sha256
from registry.tables.graph import artifacts, attributions, derivations, events, links, tags
from registry.tables.models import model_versions
from registry.tables.service import keys
from storage.locations import normalise_uri

KINDS = {"system.Model": ArtifactKind.MODEL, "system.Dataset": ArtifactKind.DATASET}
DOCS = {"system.HTML", "system.Markdown", "system.Metrics", "system.ClassificationMetrics", "system.SlicedClassificationMetrics"}
Key = tuple[KeyKind, str]
_CHUNK = 5000


@dataclass(frozen=True)
class Described:
    """An artifact as the steps tell of it. `step` and `port`: who made it; None for what came from outside the run."""

    uri: str
    kind: ArtifactKind
    display_name: str
    step: int | None
    port: str | None
    tags: Mapping[str, str]


@dataclass
class Flow:
    """`events`: (artifact's key, step, type) → (port, at)."""

    artifacts: dict[Key, Described] = field(default_factory=dict)
    events: dict[tuple[Key, int, int], tuple[str, int]] = field(default_factory=dict)


def flow_of(steps: Steps, uris: AbstractSet[str] | None = None) -> Flow:
    """Pure: what the steps say, whatever the order in which they were told. `uris`: only of what lies there."""
    flow = Flow()
    makers: dict[str, list[tuple[Step, Key]]] = {}
    ordered = [step for _, step in sorted(steps.items()) if uris is None or not uris.isdisjoint(_uris(step))]
    for step in ordered:
        for name, uri, type_, metadata in step.detail.get("makes", ()):
            if uris is not None and uri not in uris:
                continue
            key = output_key(step.id, name, uri)
            known = step.detail.get("fetched", {}).get("metadata", {}).get(name, {})
            flow.artifacts.setdefault(key, _described(name, uri, type_, known | metadata, step))
            flow.events.setdefault((key, step.id, int(EventType.OUTPUT)), (name[:512], step.at))
            makers.setdefault(uri, []).append((step, key))
    for step in ordered:
        started = step.columns["started_at"] or step.at
        for name, uri, type_, metadata in step.detail.get("uses", ()):
            if uris is not None and uri not in uris:
                continue
            found = _sources(step, name, makers.get(uri, ()))
            if not found:
                key = (KeyKind.INPUT_URI, sha256(uri))
                flow.artifacts[key] = _greater(flow.artifacts.get(key), _described(name, uri, type_, metadata, None))
                found = [key]
            for key in found:
                flow.events.setdefault((key, step.id, int(EventType.INPUT)), (name[:512], started))
    return flow


def _uris(step: Step) -> Iterator[str]:
    return (one[1] for what in ("makes", "uses") for one in step.detail.get(what, ()))


def _moved(before: Steps, after: Steps) -> set[str]:
    """The places at which a step makes or uses something else than before, or at another time."""
    found: set[str] = set()
    for place in before.keys() | after.keys():
        old, new = before.get(place), after.get(place)
        if old is None or new is None or not _flows_alike(old, new):
            found.update(*(_uris(step) for step in (old, new) if step is not None))
    return found


def _flows_alike(old: Step, new: Step) -> bool:
    if old.id != new.id or any(old.columns[name] != new.columns[name] for name in ("started_at", "ended_at")):
        return False
    parts = ("makes", "uses", "edges", "fetched")
    return old.detail is new.detail or written([old.detail.get(part) for part in parts]) == written(
        [new.detail.get(part) for part in parts]
    )


def _sources(step: Step, port: str, makers: Iterable[tuple[Step, Key]]) -> list[Key]:
    """Those that the edges into this port name; without an edge, whoever made something at this URI."""
    edges = {source for source, to_port, kind in step.detail.get("edges", ()) if to_port == port and kind == "artifact"}
    named = [key for maker, key in makers if maker.group == step.group and maker.key in edges]
    return named or [key for maker, key in makers if maker.id != step.id]


def _described(name: str, uri: str, type_: str | None, metadata: Json, maker: Step | None) -> Described:
    kind = KINDS.get(type_ or "", ArtifactKind.DOC if type_ in DOCS else ArtifactKind.OTHER)
    shown = {
        short_key(key): "" if value is None else worded(value)[: tagging.MAX_VALUE] for key, value in metadata.items() if key
    }
    if maker is None:  # several runs may use it, each under a name of its own
        return Described(uri, kind, (basename(normalise_uri(uri)) or uri)[:512], None, None, shown)
    return Described(uri, kind, name[:512], maker.id, name[:512], shown)


def _text(value: Any) -> str:
    return "" if value is None else worded(value)[: tagging.MAX_VALUE]


def _greater(one: Described | None, other: Described) -> Described:
    """Of two descriptions of one thing from outside: what both say, the greater where they differ."""
    if one is None:
        return other
    values = {key: max(one.tags.get(key, ""), other.tags.get(key, "")) for key in {*one.tags, *other.tags}}
    return Described(one.uri, max(one.kind, other.kind), one.display_name, None, None, values)


def output_key(step: int, port: str, uri: str) -> Key:
    return KeyKind.OUTPUT, sha256(str(step), port, uri)


def write_flow(session: Session, workspace: int, before: Sequence[Steps], after: Steps, *, now: int) -> None:
    """Make the difference of the two; `before` were sets of steps that knew nothing of each other.

    Events of a step that ML Metadata has typed are its client's: none is taken away. What is made and used at one place says
    nothing of another: only places are looked at where something has changed.
    """
    uris = _moved(before[0], after) if len(before) == 1 else None
    if uris is not None and not uris:
        return
    old, new = Flow(), flow_of(after, uris)
    for part in before:
        own = flow_of(part, uris)
        old.artifacts |= own.artifacts
        old.events |= own.events
    adopted = {step.id for step in after.values() if step.adopted}
    gone = {key for key, value in old.events.items() if new.events.get(key) != value and key[1] not in adopted}
    coming = {key: value for key, value in new.events.items() if old.events.get(key) != value}
    changed = {key: what for key, what in new.artifacts.items() if old.artifacts.get(key) != what}
    touched = {key for key, _, _ in (*gone, *coming)} | changed.keys()
    if not touched:
        return
    ids = _known(session, workspace, touched)
    missing = {key: what for key, what in changed.items() if key not in ids}
    _redescribe(session, {ids[key]: what for key, what in changed.items() if key in ids}, now=now)
    ids |= _make(session, workspace, missing, now=now)
    tagging.set_tags(
        session, NodeKind.ARTIFACT, {ids[key]: what.tags for key, what in missing.items() if what.tags}, author=Author.AGENT
    )
    _delete_events(session, [(ids[key], step, type_) for key, step, type_ in gone if key in ids])
    rows = [_event(ids[key], step, type_, *value) for (key, step, type_), value in sorted(coming.items())]
    if rows:
        numbers = session.next_ids("event", len(rows))
        session.insert_ignore(events, [{"id": id, **row} for id, row in zip(numbers, rows, strict=True)])
    _forget(session, sorted({ids[key] for key in old.artifacts.keys() - new.artifacts.keys() if key in ids}))


def _known(session: Session, workspace: int, wanted: Iterable[Key]) -> dict[Key, int]:
    texts = sorted({key for _, key in wanted})
    found: dict[Key, int] = {}
    for start in range(0, len(texts), _CHUNK):
        given = {"workspace": workspace, "keys": texts[start : start + _CHUNK]}
        found |= {(KeyKind(row.kind), row.key): row.node for row in session.all(_KEYS, given)}
    return found


_KEYS = sa.select(keys.c.kind, keys.c.key, keys.c.node).where(
    keys.c.workspace == sa.bindparam("workspace"),
    keys.c.kind.in_([int(KeyKind.OUTPUT), int(KeyKind.INPUT_URI)]),
    keys.c.key.in_(sa.bindparam("keys", expanding=True)),
)


def _make(session: Session, workspace: int, missing: Mapping[Key, Described], *, now: int) -> dict[Key, int]:
    """Claim the keys first: of two reports that use one URI at the same time, one makes the artifact."""
    if not missing:
        return {}
    made = dict(zip(missing, session.next_ids("artifact", len(missing)), strict=True))
    claims = [
        {"workspace": workspace, "kind": int(kind), "key": key, "node_kind": int(NodeKind.ARTIFACT), "node": made[kind, key]}
        for kind, key in sorted(missing)
    ]
    if session.insert_ignore(keys, claims) < len(claims):
        made |= _known(session, workspace, missing)
    fresh = {row["node"] for row in claims}
    rows = [
        artifact_row(
            made[key],
            type_id=node_types.ARTIFACT,
            workspace=workspace,
            now=now,
            kind=int(what.kind),
            author=Author.AGENT,
            uri=what.uri,
            location_hash=location_hash(what.uri),
            display_name=what.display_name,
            step=what.step,
            port=what.port,
        )
        for key, what in missing.items()
        if made[key] in fresh
    ]
    session.insert(artifacts, rows)
    return made


def location_hash(uri: str) -> str:
    return sha256(normalise_uri(uri))


def _redescribe(session: Session, changed: Mapping[int, Described], *, now: int) -> None:
    """Artifacts that were there: a step's own become what it says now, one from outside takes the greater of both."""
    if not changed:
        return
    held = {
        row.id: row for row in session.all(sa.select(artifacts.c.id, artifacts.c.kind).where(artifacts.c.id.in_(sorted(changed))))
    }
    shared = [id for id, what in changed.items() if what.step is None]
    own = sorted(changed.keys() - set(shared))
    stored = tagging.read_pairs(session, tags, NodeKind.ARTIFACT, shared)
    values = {id: dict(what.tags) for id, what in changed.items()}
    for id in shared:
        values[id] = {key: max(value, stored[id].get(key, "")) for key, value in values[id].items()}
    by_agent = (tags.c.kind == NodeKind.ARTIFACT, tags.c.author == Author.AGENT)
    if own:
        session.execute(sa.delete(tags).where(*by_agent, tags.c.node.in_(own)))
    tagging.set_tags(session, NodeKind.ARTIFACT, {id: own for id, own in values.items() if own}, author=Author.AGENT)
    kinds: dict[int, list[int]] = {}
    for id, what in changed.items():
        kind = int(what.kind) if what.step is not None else max(int(what.kind), held[id].kind)
        if held[id].kind != kind:
            kinds.setdefault(kind, []).append(id)
    for kind, members in sorted(kinds.items()):
        session.execute(
            sa.update(artifacts).where(artifacts.c.id.in_(members), artifacts.c.author == Author.AGENT).values(kind=kind)
        )
    later = sa.case((artifacts.c.updated_at >= now, artifacts.c.updated_at + 1), else_=now)
    session.execute(
        sa.update(artifacts).where(artifacts.c.id.in_(sorted(changed))).values(version=artifacts.c.version + 1, updated_at=later)
    )


def _delete_events(session: Session, gone: list[tuple[int, int, int]]) -> None:
    for start in range(0, len(gone), 500):
        where = sa.tuple_(events.c.artifact, events.c.execution, events.c.type).in_(gone[start : start + 500])
        session.execute(sa.delete(events).where(where))


def _forget(session: Session, ids: list[int]) -> None:
    """Delete those that only the agent knew of and that nothing names any more."""
    if not ids:
        return
    named = [
        sa.exists().where(column == artifacts.c.id)
        for column in (
            events.c.artifact,
            attributions.c.artifact,
            derivations.c.source,
            derivations.c.target,
            model_versions.c.artifact,
        )
    ]
    named += [
        sa.exists().where(links.c[f"{end}_node"] == artifacts.c.id, links.c[f"{end}_kind"] == NodeKind.ARTIFACT)
        for end in ("from", "to")
    ]
    clients = sa.exists().where(tags.c.kind == NodeKind.ARTIFACT, tags.c.node == artifacts.c.id, tags.c.author == Author.CLIENT)
    query = sa.select(artifacts.c.id).where(artifacts.c.id.in_(ids), artifacts.c.author == Author.AGENT, ~sa.or_(*named, clients))
    lost = session.scalars(query)
    if lost:
        session.execute(sa.delete(tags).where(tags.c.kind == NodeKind.ARTIFACT, tags.c.node.in_(lost)))
        session.execute(sa.delete(keys).where(keys.c.node_kind == NodeKind.ARTIFACT, keys.c.node.in_(lost)))
        session.execute(sa.delete(artifacts).where(artifacts.c.id.in_(lost)))


def _event(artifact: int, step: int, type_: int, port: str, at: int) -> dict[str, Any]:
    return {"artifact": artifact, "execution": step, "type": type_, "at": at, "port": port, "path": None, "tags": None}
