"""Registered models and prompts of a store of MLflow, with their versions, aliases and stages.

A model whose name is taken here takes the versions: a number that is taken becomes the next free one.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from registry.catalog import node_types, tagging, targets
from registry.catalog.artifacts import location_hash
from registry.catalog.importing.mlflow.into import Into, kept_pairs, kept_text
from registry.catalog.importing.mlflow.records import Model, Version
from registry.catalog.importing.mlflow.state import State
from registry.catalog.importing.mlflow.uses import model_ids
from registry.catalog.importing.progress import Notes
from registry.catalog.model_search import PROMPT
from registry.catalog.models import find_model
from registry.catalog.nodes import node_row
from registry.catalog.registering import files_at
from registry.catalog.run_lookup import find_runs
from registry.catalog.version_sources import PROMPT_SOURCES
from registry.db.session import Session
from registry.errors import InvalidArgument
from registry.names import MAX_NAME, Lifecycle, NodeKind, Origin, Readiness, check_name, run_hex_or_none, sha256
from registry.tables.graph import artifacts, attributions, contexts
from registry.tables.models import model_versions, registered_models
from registry.tables.runs import runs
from storage.locations import normalise_uri

_STATUSES = {
    "READY": Readiness.READY,
    "PENDING_REGISTRATION": Readiness.PENDING,
    "FAILED_REGISTRATION": Readiness.FAILED,
}
_RUN_SOURCE = re.compile(r"runs:/+([0-9a-f]{32})(?:/(.*))?", re.DOTALL)
_LOGGED_SOURCE = re.compile(r"models:/+(m-[0-9a-zA-Z-]+)")
_DECIMAL = re.compile(r"[1-9][0-9]{0,8}")
HIGHEST = 2**31 - 1


def write_model(session: Session, into: Into, model: Model, state: State, notes: Notes) -> None:
    """With all its versions."""
    try:
        check_name(model.name)
    except InvalidArgument as error:
        notes.add("registered model", model.name[:80], f"it is left out: {error.message}")
        state.count(left_out=1)
        state.count(left_out=len(model.versions), of="versions")
        return
    held = find_model(session, into.actor, model.name)
    if held is None:
        id, last, taken = _create(session, into, model, notes), 0, set[int]()
    else:
        id, last = held.id, held.last_number
        taken = _taken(session, id)
        notes.add("registered model", model.name, "the name is taken: it is the one that is here, which takes the versions")
        state.met.append(f"model {model.name}")
    state.count(written=1)
    versions: dict[int, int] = {}
    for version in sorted(model.versions, key=lambda one: one.number):
        if not 0 < version.number <= HIGHEST:
            notes.add("model version", f"{model.name}/{version.number}", "it is left out: this is no number of a version")
            state.count(left_out=1, of="versions")
            continue
        number = version.number
        if number in taken:
            number = max(last, *taken) + 1
            notes.add("model version", f"{model.name}/{version.number}", f"the number is taken: it has {number}")
        taken.add(number)
        last = max(last, number)
        versions[version.number] = _Writing(session, into, model, notes).write(id, number, version)
        state.count(written=1, of="versions")
    session.execute(sa.update(registered_models).where(registered_models.c.id == id).values(last_number=last))
    _take_targets(session, into, model, id, versions, state=state, notes=notes)


def _taken(session: Session, model: int) -> set[int]:
    """Numbers that versions have, or that are the name of one."""
    rows = session.tuples(sa.select(model_versions.c.number, model_versions.c.name).where(model_versions.c.model == model))
    return {number for number, _ in rows} | {int(name) for _, name in rows if _DECIMAL.fullmatch(name)}


def _create(session: Session, into: Into, model: Model, notes: Notes) -> int:
    id = session.next_id("context")
    created_at = into.now if model.created_at is None else model.created_at
    updated_at = created_at if model.updated_at is None else model.updated_at
    node = node_row(
        id, type_id=node_types.MODEL, workspace=into.actor.workspace, now=created_at, name=model.name, name_key=model.name
    )
    session.insert(contexts, node | {"updated_at": max(created_at, updated_at)})
    row = {
        "id": id,
        "workspace": into.actor.workspace,
        "name": model.name,
        "description": kept_text(model.description, "description", "registered model", model.name, notes),
        "owner": None,
        "last_number": 0,
        "lifecycle": int(Lifecycle.ACTIVE),
        "origin": int(Origin.MLFLOW),
        "mlflow_updated_at": updated_at,
    }
    session.insert(registered_models, row)
    tagging.set_tags(session, NodeKind.CONTEXT, {id: kept_pairs(model.tags, "registered model", model.name, notes)})
    return id


@dataclass(frozen=True)
class _Files:
    """`location`: where they are, if the version's source does not say it."""

    artifact: int | None
    location: str | None


@dataclass(frozen=True)
class _Writing:
    session: Session
    into: Into
    model: Model
    notes: Notes

    def write(self, model: int, number: int, version: Version) -> int:
        """Its context's id."""
        session, into, shown = self.session, self.into, f"{self.model.name}/{version.number}"
        id = session.next_id("context")
        created_at = into.now if version.created_at is None else version.created_at
        updated_at = created_at if version.updated_at is None else version.updated_at
        key = f"{model}:{number}"
        run = run_hex_or_none(version.run or "")
        ref = find_runs(session, [(into.actor.workspace, run)]).get((into.actor.workspace, run)) if run else None
        files = self._files(version, None if ref is None or ref.lifecycle is Lifecycle.DELETED else ref.hex)
        node = node_row(
            id,
            type_id=node_types.VERSION,
            workspace=into.actor.workspace,
            now=created_at,
            name=key,
            name_key=None if version.is_deleted else key,
        )
        session.insert(contexts, node | {"updated_at": updated_at, "deleted_at": updated_at if version.is_deleted else None})
        kept = {
            field: kept_text(getattr(version, field), field, "model version", shown, self.notes)
            for field in ("description", "status_message", "source", "run_link")
        }
        place = files.location or kept["source"]
        row = dict.fromkeys(column.name for column in model_versions.columns) | {
            "id": id,
            "workspace": into.actor.workspace,
            "model": model,
            "number": number,
            "name": str(number),
            "author_name": self._kept(version.user, "user", shown),
            "lifecycle": int(Lifecycle.DELETED if version.is_deleted else Lifecycle.ACTIVE),
            "readiness": int(_STATUSES.get(version.status or "READY", Readiness.READY)),
            "location": files.location,
            "location_hash": None if place is None else sha256(normalise_uri(into.places.recorded(place))),
            "run": None if ref is None else ref.id,
            "run_text": None if ref is not None else self._kept(version.run or None, "run_id", shown),
            "artifact": files.artifact,
            "origin": int(Origin.MLFLOW),
            **kept,
        }
        session.insert(model_versions, row)
        if files.artifact is not None and not version.is_deleted:
            self._link(id, files.artifact, created_at)
        tagging.set_tags(session, NodeKind.CONTEXT, {id: kept_pairs(version.tags, "model version", shown, self.notes)})
        return id

    def _kept(self, text: str | None, field: str, shown: str) -> str | None:
        return kept_text(text, field, "model version", shown, self.notes, limit=MAX_NAME)

    def _files(self, version: Version, run: str | None) -> _Files:
        """`run`: 32 hex of the one that made it, if it is here and not deleted."""
        source = version.source or ""
        if self.model.tags.get(PROMPT, "").lower() == "true" or source in PROMPT_SOURCES or version.is_deleted:
            return _Files(None, None)
        logged = _LOGGED_SOURCE.fullmatch(source)
        named = version.model_id or (logged[1] if logged else None)
        held = model_ids(self.session, self.into, [named]).get(named) if named else None
        given = version.location or source
        if held is not None:
            uri = self.session.scalar(sa.select(artifacts.c.uri).where(artifacts.c.id == held))
            return _Files(held, None if source == given and not logged else self.into.places.shown(uri))
        of_run = _RUN_SOURCE.fullmatch(given)
        place = self._of_run(of_run[1], of_run[2] or "") if of_run else given
        if not place or place.startswith("models:"):
            return _Files(None, None)
        shown = place if of_run else self.into.placed(place)
        at = version.created_at or self.model.created_at or 0
        return _Files(self._artifact(self.into.places.recorded(shown), run, at), None if of_run or shown == source else shown)

    def _of_run(self, hex: str, path: str) -> str | None:
        query = sa.select(runs.c.artifact_root).where(runs.c.hex == hex, runs.c.workspace == self.into.actor.workspace)
        root = self.session.scalar(query)
        return None if not root else f"{root.rstrip('/')}/{path}".rstrip("/")

    def _artifact(self, uri: str, run: str | None, at: int) -> int | None:
        try:
            held = self._logged_at(uri)
            return files_at(self.session, self.into.actor, uri, run, now=at) if held is None else held
        except InvalidArgument as error:
            self.notes.add("registered model", self.model.name, f"the files of a version are no record: {error.message}")
            return None

    def _logged_at(self, uri: str) -> int | None:
        """A version that was copied from another one has the files of its logged model."""
        at = (artifacts.c.location_hash == location_hash(uri), artifacts.c.type_id == node_types.LOGGED_MODEL)
        query = sa.select(artifacts.c.id).where(*at, artifacts.c.workspace == self.into.actor.workspace)
        held: int | None = self.session.scalar(query.order_by(artifacts.c.id).limit(1))
        return held

    def _link(self, id: int, artifact: int, at: int) -> None:
        kind = self.session.scalar(sa.select(artifacts.c.kind).where(artifacts.c.id == artifact))
        link = {"context": id, "artifact": artifact, "kind": kind, "name_key": self.model.name, "created_at": at}
        self.session.insert_ignore(attributions, [link])


def _take_targets(
    session: Session, into: Into, model: Model, id: int, versions: Mapping[int, int], *, state: State, notes: Notes
) -> None:
    live = {one.number: one for one in model.versions if not one.is_deleted and one.number in versions}
    aliases: dict[str, int] = {}
    for alias, number in kept_aliases(model, notes).items():
        if number in live:
            aliases[alias] = versions[number]
        else:
            notes.add("registered model", model.name, f"the alias {alias[:80]!r} is left out: version {number} is not there")
    stages = {versions[number]: stage for number, one in live.items() if (stage := kept_stage(model, one, notes))}
    at = model.updated_at or into.now
    taken = targets.take_over(session, id, aliases, stages, actor=into.actor, at=at)
    for alias in taken:
        notes.add("registered model", model.name, f"the alias {alias!r} is left out: another version has it here")
    kept = len(aliases) - len(taken)
    state.count(written=kept, left_out=len(model.aliases) - kept, of="aliases")


def kept_aliases(model: Model, notes: Notes | None = None) -> dict[str, int]:
    """Those whose names can be aliases here."""
    kept = {}
    for alias, number in model.aliases.items():
        try:
            kept[targets.check_alias(alias)] = number
        except InvalidArgument as error:
            if notes is not None:
                notes.add("registered model", model.name, f"the alias {alias[:80]!r} is left out: {error.message}")
    return kept


def kept_stage(model: Model, version: Version, notes: Notes) -> str | None:
    """None for a version that has none, or none that can be kept."""
    if not version.stage or version.is_deleted:
        return None
    try:
        stage = targets.check_stage(version.stage)
    except InvalidArgument as error:
        notes.add("model version", f"{model.name}/{version.number}", f"its stage is left out: {error.message}")
        return None
    return None if stage == targets.NO_STAGE else stage


def write_models(session: Session, into: Into, found: Sequence[Model], state: State, notes: Notes) -> None:
    for model in found:
        write_model(session, into, model, state, notes)
