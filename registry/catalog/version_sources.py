"""What a version's `source` means where MLflow's client registers it: which files, made by which run.

A source may lie anywhere, but a place that somebody else's run has may not be passed off as one's own: what lies in our own
store, in a run or on a disk must be of the run or logged model that the call names. Source: MLflow 3.17's server, observed.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote_plus, urlsplit

from registry.catalog.actors import Actor
from registry.catalog.logged_models import LoggedModel, get_logged_model
from registry.catalog.model_lookup import find_aliased, find_latest, get_named_model, read_version
from registry.catalog.model_search import PROMPT
from registry.catalog.places import Places, is_local, lies_within
from registry.catalog.registering import files_at
from registry.catalog.run_lookup import find_runs
from registry.catalog.run_search import PROXIED
from registry.catalog.runs import Fields, Run, get_runs
from registry.catalog.targets import NO_STAGE, check_stage
from registry.catalog.version_reads import ModelVersion
from registry.db.session import Session
from registry.errors import InvalidArgument, NotFound
from registry.names import Lifecycle, run_hex_or_none
from storage.locations import under

PROMPT_SOURCES = ("dummy-source", "prompt-template")
"""What clients write where a prompt has no files."""

_MODEL = re.compile(r"models:/([^/]+)(?:/([^/]+))?", re.DOTALL)


@dataclass(frozen=True)
class Asked:
    """As the client wrote it; None: left out."""

    source: str
    run_id: str | None
    model_id: str | None
    is_prompt: bool


@dataclass(frozen=True)
class Source:
    """`location`: where the files are, if `text` names another record. `run`: 32 hex; `run_text` what is none's id."""

    text: str
    location: str | None = None
    run: str | None = None
    run_text: str | None = None
    artifact: int | None = None
    logged_model: LoggedModel | None = None


def resolve(session: Session, actor: Actor, places: Places, asked: Asked, *, now: int) -> Source:
    """Files that no record knows yet get one.

    Raises:
        InvalidArgument: a place that is not of the run or model named, leads upwards, or is no place.
        NotFound: the model version or logged model that it names.
    """
    if asked.is_prompt:
        if asked.source not in PROMPT_SOURCES:
            raise _invalid(asked.source, f"a prompt has no files, and says so with {PROMPT_SOURCES[0]!r}")
        return Source(asked.source, run_text=asked.run_id)
    if re.match(r"models:", asked.source, re.IGNORECASE):
        return _of_model_uri(session, actor, places, asked)
    if asked.model_id:
        model = get_logged_model(session, actor, asked.model_id)
        _check_place(asked.source, places.shown(model.uri), "model_id")
        if asked.source.startswith("runs:"):
            raise _invalid(asked.source, "the files are a run's, not those of the model that model_id names")
        return _logged(session, actor, asked, model)
    return _of_run(session, actor, places, asked, now=now)


def _of_model_uri(session: Session, actor: Actor, places: Places, asked: Asked) -> Source:
    _check_upwards(asked.source)
    found = _MODEL.fullmatch(asked.source)
    if found is None:
        raise _invalid(asked.source, "it is neither models:/name/version nor models:/m-…")
    name, word = found.groups()
    if word is None and "@" not in name:
        if asked.model_id != name:
            raise _invalid(asked.source, "model_id must name the model that it means")
        model = get_logged_model(session, actor, name)
        return _logged(session, actor, asked, model, location=places.shown(model.uri))
    version = _named(session, actor, asked.source, name, word)
    model_name = version.model_name
    if get_named_model(session, actor, model_name).tags.get(PROMPT, "").lower() == "true":
        raise _invalid(asked.source, "a prompt has no files")
    run_id = version.run.removeprefix("run_") if version.run else version.run_text
    logged = get_logged_model(session, actor, asked.model_id) if asked.model_id else None
    if asked.run_id not in {None, run_id or ""} or (logged is not None and logged.id != version.artifact):
        raise _invalid(asked.source, "run_id and model_id must be those of the version that it names")
    run, run_text = _run_of(session, actor, run_id)
    text = f"models:/{model_name}/{version.number}"
    return Source(text, version.location or version.source, run, run_text, version.artifact, logged)


def _named(session: Session, actor: Actor, source: str, name: str, word: str | None) -> ModelVersion:
    """Raises NotFound: there is no such model or version."""
    found: ModelVersion | None
    if word is None:
        name, _, alias = name.rpartition("@")
        found = find_aliased(session, actor, name, alias)
    elif re.fullmatch(r"[0-9]{1,9}", word):
        return read_version(session, actor, name, int(word))
    elif word.lower() == "latest":
        found = find_aliased(session, actor, name, "latest")
    else:
        stage = check_stage(word)
        found = find_latest(session, actor, name, None if stage == NO_STAGE else stage)
    if found is None:
        raise NotFound("model version", source)
    return found


def _logged(session: Session, actor: Actor, asked: Asked, model: LoggedModel, *, location: str | None = None) -> Source:
    run, run_text = _run_of(session, actor, asked.run_id or model.run)
    return Source(asked.source, location, run, run_text, model.id, model)


def _of_run(session: Session, actor: Actor, places: Places, asked: Asked, *, now: int) -> Source:
    hex, run_text = _run_of(session, actor, asked.run_id)
    run = None if hex is None else _run(session, actor, hex)
    root = None if run is None or run.artifact_root is None else places.shown(places.recorded(run.artifact_root))
    _check_place(asked.source, root, "run_id")
    place: str | None = asked.source
    if asked.source.startswith("runs:"):
        place = None
        of, _, path = asked.source.removeprefix("runs:/").partition("/")
        if not asked.run_id or run_hex_or_none(of) != run_hex_or_none(asked.run_id) or (hex is None and of != asked.run_id):
            raise _invalid(asked.source, "run_id must name the run that it means")
        if root is not None:
            place = under(root, path) if path else root
    artifact = None
    if place is not None:
        writable = run is not None and run.lifecycle is not Lifecycle.DELETED
        artifact = files_at(session, actor, places.recorded(place), hex if writable else None, now=now)
    return Source(asked.source, None, hex, run_text, artifact)


def _run_of(session: Session, actor: Actor, run_id: str | None) -> tuple[str | None, str | None]:
    """(32 hex of a run that is here, else the text)."""
    hex = run_hex_or_none(run_id or "")
    if hex is not None:
        found = find_runs(session, [(actor.workspace, hex)], held=True).get((actor.workspace, hex))
        if found is not None:
            return found.hex, None
    return None, run_id or None


def _run(session: Session, actor: Actor, hex: str) -> Run:
    """Without metrics, params and tags."""
    ref = find_runs(session, [(actor.workspace, hex)])[actor.workspace, hex]
    return get_runs(session, actor, [ref.id], Fields([], [], []))[0]


def _check_place(source: str, root: str | None, field: str) -> None:
    """Raises InvalidArgument: upwards, or in our own store or on a disk and not under `root`."""
    if is_local(source):
        if root is None or not is_local(root) or not lies_within(source, root):
            raise _invalid(source, f"To use a local path as a model version source, {field} must name the record that has it")
        return
    _check_upwards(source)
    proxied = source.startswith(PROXIED) or "/api/2.0/mlflow-artifacts/artifacts" in source
    if proxied and (root is None or not lies_within(source, root)):
        raise _invalid(source, f"{field} must name the record whose files are there")


def _check_upwards(source: str) -> None:
    text = source
    while (plainer := unquote_plus(text)) != text:
        text = plainer
    try:
        path = urlsplit(text).path
    except ValueError:
        raise _invalid(source, "it is not a URI") from None
    if "\0" in text or ".." in text.split("/") or "." in path.split("/"):
        raise _invalid(
            source, "If supplying a source as an http, https, ftp, objectstore or mlflow-artifacts uri, its path must be absolute"
        )


def _invalid(source: str, why: str) -> InvalidArgument:
    return InvalidArgument(f"Invalid model version source: {source[:200]!r}. {why}.", field="source")
