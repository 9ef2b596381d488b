"""A store of MLflow in a folder (`mlruns/`), as MLflow 2 and 3 wrote it. Source: their layouts, observed.

Nothing in it is trusted: what cannot be read is told of and passed by, and no name leads out of the folder. The module is whole
since its two halves, tracking and registry, are read by the same guarded looks at a file.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from registry.catalog.importing.mlflow.experiments import kept_number
from registry.catalog.importing.mlflow.records import Experiment, Input, LoggedModel, Model, ModelPoint, Run, Uses, Version
from registry.catalog.metrics import Point
from registry.errors import InvalidArgument
from registry.importing.mlflow.source import POINTS_AT_ONCE, After, Bad, Batch, History

META = "meta.yaml"
TRASH = ".trash"
REGISTRY = "models"
MAX_TEXT_BYTES = 16 * 2**20
MAX_LINE_BYTES = 4096
_RESERVED = {"tags", "datasets", "traces", "models", "artifacts"}
"""Folders of an experiment that are no runs."""

_STATUSES = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
_LOGGED_STATUSES = {0: "UNSPECIFIED", 1: "PENDING", 2: "READY", 3: "FAILED"}
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_VERSION = re.compile(r"version-([0-9]{1,10})")
_RUNS_AT_ONCE = 50
_INT64 = 2**63


class Unreadable(Exception):
    """Why a file or folder cannot be read, without what stands in it."""


@dataclass
class _Seen:
    """What one batch could not read."""

    bad: list[Bad] = field(default_factory=list)
    lost: int = 0
    lost_versions: int = 0

    def add(self, what: str, path: str, why: object, *, lost: int = 0) -> None:
        self.bad.append(Bad(what, path, f"{why}"))
        self.lost += lost


class Folder:
    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.realpath(root))

    @property
    def address(self) -> str:
        return self.root.as_uri()

    def remarks(self) -> list[str]:
        traces = sum(len(self._folders(home / "traces")) for home, _ in self._homes() if (home / "traces").is_dir())
        return [f"traces: {traces} are not kept here"] if traces else []

    def totals(self) -> Mapping[str, int]:
        found = dict.fromkeys(("experiments", "runs", "logged_models", "metrics", "models", "versions"), 0)
        for home, _ in self._homes():
            found["experiments"] += 1
            found["logged_models"] += len(self._folders(home / "models"))
            for run in self._run_folders(home):
                found["runs"] += 1
                found["metrics"] += sum(_count_lines(path) for _, path in self._files(run / "metrics"))
        for model in self._folders(self.root / REGISTRY):
            found["models"] += 1
            found["versions"] += len(self._versions(model))
        return found

    def highest_experiment(self) -> int:
        return max((kept_number(home.name) or 0 for home, _ in self._homes()), default=0)

    def close(self) -> None:
        """Nothing is held open."""

    # ---- tracking ---------------------------------------------------------------------------------------------------

    def experiments(self, after: After) -> Iterator[Batch[Experiment]]:
        for home, is_trash in self._homes(after[0] if after else ""):
            seen, found = _Seen(), []
            try:
                found.append(self._experiment(home, is_trash, seen))
            except Unreadable as error:
                seen.add("experiment", self._shown(home), f"it is left out: {error}", lost=1)
            yield Batch(found, [home.name], seen.bad, seen.lost)

    def _experiment(self, home: Path, is_trash: bool, seen: _Seen) -> Experiment:
        meta = self._meta(home)
        if str(meta.get("experiment_id")) != home.name:
            raise Unreadable(f"{META} is of another experiment")
        return Experiment(
            id=home.name,
            name=_text(meta, "name") or "",
            location=_text(meta, "artifact_location"),
            is_deleted=is_trash or meta.get("lifecycle_stage") == "deleted",
            created_at=_integer(meta, "creation_time"),
            updated_at=_integer(meta, "last_update_time"),
            tags=self._pairs(home / "tags", seen),
        )

    def runs(self, after: After) -> Iterator[Batch[Run]]:
        for folders, place in self._run_batches(after):
            seen = _Seen()
            yield Batch(self._runs(folders, seen, tell=True), place, seen.bad, seen.lost)

    def _run_batches(self, after: After) -> Iterator[tuple[list[Path], After]]:
        """Folders of runs, with where to go on behind them."""
        first, last_run = (after[0], after[1]) if after else ("", "")
        for home, _ in self._homes(first, inclusive=True):
            folders = [run for run in self._run_folders(home) if home.name != first or run.name > last_run]
            for start in range(0, len(folders), _RUNS_AT_ONCE):
                part = folders[start : start + _RUNS_AT_ONCE]
                yield part, [home.name, part[-1].name]

    def _runs(self, folders: Sequence[Path], seen: _Seen, *, tell: bool = False) -> list[Run]:
        found = []
        for folder in folders:
            own = _Seen()
            try:
                found.append(self._run(folder, own))
            except Unreadable as error:
                own.add("run", self._shown(folder), f"it is left out: {error}", lost=1)
            if tell:
                seen.bad += own.bad
                seen.lost += own.lost
        return found

    def _run(self, folder: Path, seen: _Seen) -> Run:
        meta = self._meta(folder)
        id = _text(meta, "run_id") or _text(meta, "run_uuid")
        if id != folder.name:
            raise Unreadable(f"{META} is of another run")
        status = meta.get("status", 1)
        return Run(
            id=folder.name,
            experiment=folder.parent.name,
            name=_text(meta, "run_name") or _text(meta, "name"),
            user=_text(meta, "user_id"),
            status=_STATUSES.get(status, str(status)) if isinstance(status, int) else str(status),
            started_at=_integer(meta, "start_time"),
            ended_at=_integer(meta, "end_time"),
            is_deleted=meta.get("lifecycle_stage") == "deleted",
            deleted_at=_integer(meta, "deleted_time"),
            artifact_uri=_text(meta, "artifact_uri"),
            tags=self._pairs(folder / "tags", seen),
            params=self._pairs(folder / "params", seen),
        )

    def uses(self, after: After) -> Iterator[Batch[Uses]]:
        for folders, place in self._run_batches(after):
            seen = _Seen()
            found = [self._uses(folder, seen) for folder in folders]
            yield Batch([one for one in found if one.inputs or one.models or one.made], place, seen.bad, seen.lost)

    def _uses(self, folder: Path, seen: _Seen) -> Uses:
        inputs: list[Input] = []
        models: list[str] = []
        made: list[tuple[str, int]] = []
        for kind in ("inputs", "outputs"):
            for one in self._folders(folder / kind):
                try:
                    meta = self._meta(one)
                    source = _text(meta, "source_id") or ""
                    if kind == "outputs":
                        made.append((source, _integer(meta, "step") or 0))
                    elif meta.get("source_type") == "MODEL":
                        models.append(source)
                    else:
                        inputs.append(self._input(folder.parent / "datasets", source, meta))
                except Unreadable as error:
                    seen.add("input of a run", self._shown(one), f"it is left out: {error}", lost=1)
        return Uses(folder.name, inputs, models, made)

    def _input(self, datasets: Path, id: str, meta: Mapping[str, Any]) -> Input:
        if not re.fullmatch(r"[\w-]{1,64}", id):
            raise Unreadable("it names no dataset")
        dataset, tags = self._meta(datasets / id), meta.get("tags")
        tags = tags if isinstance(tags, dict) else {}
        texts = {name: _text(dataset, name) for name in ("source_type", "source", "schema", "profile")}
        plain = {str(key): str(value) for key, value in tags.items() if _is_plain(key) and _is_plain(value)}
        return Input(name=_text(dataset, "name") or "", digest=_text(dataset, "digest") or "", tags=plain, **texts)

    def metrics(self, after: After) -> Iterator[Batch[History]]:
        for folders, place in self._run_batches(after):
            seen, chunk, size = _Seen(), list[History](), 0
            for folder in folders:
                for key, path in self._files(folder / "metrics", seen):
                    for points in self._points(key, path, seen):
                        chunk.append((folder.name, points))
                        size += len(points)
                        if size >= POINTS_AT_ONCE:
                            yield Batch(chunk, None)
                            chunk, size = [], 0
            yield Batch(chunk, place, seen.bad, seen.lost)

    def _points(self, key: str, path: Path, seen: _Seen) -> Iterator[list[Point]]:
        """Exact repeats once, which a store of files does not prevent."""
        known: set[bytes] = set()
        found: list[Point] = []
        for number, fields in _lines(path, (2, 3, 5)):
            point = None if fields is None else _point(key, fields)
            if point is None:
                seen.add("metric", self._shown(path), f"line {number} is none: it is left out", lost=1)
                continue
            digest = hashlib.blake2b(repr(point.sort_key).encode(), digest_size=8).digest()
            if digest not in known:
                known.add(digest)
                found.append(point)
                if len(found) >= POINTS_AT_ONCE:
                    yield found
                    found = []
        if found:
            yield found

    def history(self, run: Run, key: str) -> list[Point]:
        home = next((home for home, _ in self._homes() if home.name == run.experiment), None)
        files = dict(self._files(home / run.id / "metrics")) if home is not None else {}
        return [point for part in self._points(key, files[key], _Seen()) for point in part] if key in files else []

    def count_points(self, runs: Sequence[Run]) -> int:
        homes = {home.name: home for home, _ in self._homes()}
        files = [one for run in runs for one in self._files(homes[run.experiment] / run.id / "metrics")]
        return sum(len(points) for key, path in files for points in self._points(key, path, _Seen()))

    # ---- logged models ----------------------------------------------------------------------------------------------

    def logged_models(self, after: After) -> Iterator[Batch[LoggedModel]]:
        for folder, place in self._logged_folders(after):
            seen, found = _Seen(), []
            try:
                found.append(self._logged_model(folder, seen))
            except Unreadable as error:
                seen.add("logged model", self._shown(folder), f"it is left out: {error}", lost=1)
            yield Batch(found, place, seen.bad, seen.lost)

    def _logged_folders(self, after: After) -> Iterator[tuple[Path, After]]:
        first, last = (after[0], after[1]) if after else ("", "")
        for home, _ in self._homes(first, inclusive=True):
            for folder in self._folders(home / "models"):
                if home.name != first or folder.name > last:
                    yield folder, [home.name, folder.name]

    def _logged_model(self, folder: Path, seen: _Seen) -> LoggedModel:
        meta = self._meta(folder)
        if _text(meta, "model_id") != folder.name:
            raise Unreadable(f"{META} is of another model")
        status = meta.get("status", 0)
        return LoggedModel(
            id=folder.name,
            experiment=folder.parent.parent.name,
            name=_text(meta, "name") or "",
            model_type=_text(meta, "model_type"),
            run=_text(meta, "source_run_id"),
            location=_text(meta, "artifact_location") or "",
            status=_LOGGED_STATUSES.get(status, str(status)) if isinstance(status, int) else str(status),
            is_deleted=meta.get("lifecycle_stage") == "deleted",
            created_at=_integer(meta, "creation_timestamp") or 0,
            updated_at=_integer(meta, "last_updated_timestamp") or _integer(meta, "creation_timestamp") or 0,
            tags=self._pairs(folder / "tags", seen),
            params=self._pairs(folder / "params", seen),
        )

    def model_metrics(self, after: After) -> Iterator[Batch[ModelPoint]]:
        for folder, place in self._logged_folders(after):
            seen, found = _Seen(), []
            for key, path in self._files(folder / "metrics", seen):
                for number, fields in _lines(path, range(4, 1000)):
                    point = None if fields is None else _point(key, fields[:3])
                    if fields is None or point is None:
                        seen.add("metric", self._shown(path), f"line {number} is none: it is left out", lost=1)
                        continue
                    name, digest = " ".join(fields[4:-1]), fields[-1]  # a name may have spaces, a digest has none
                    found.append(ModelPoint(folder.name, fields[3], (name, digest) if name else None, point))
            yield Batch(found, place, seen.bad, seen.lost)

    # ---- registry ---------------------------------------------------------------------------------------------------

    def models(self, after: After) -> Iterator[Batch[Model]]:
        for folder in self._folders(self.root / REGISTRY):
            if after and folder.name <= after[0]:
                continue
            seen, found = _Seen(), []
            try:
                found.append(self._model(folder, seen))
            except Unreadable as error:
                seen.add("registered model", self._shown(folder), f"it is left out: {error}", lost=1)
                seen.lost_versions = len(self._versions(folder))
            yield Batch(found, [folder.name], seen.bad, seen.lost, seen.lost_versions)

    def _versions(self, model: Path) -> list[tuple[int, Path]]:
        return [(int(found[1]), one) for one in self._folders(model) if (found := _VERSION.fullmatch(one.name))]

    def _model(self, folder: Path, seen: _Seen) -> Model:
        meta = self._meta(folder)
        if _text(meta, "name") != folder.name:
            raise Unreadable(f"{META} is of another model")
        versions = []
        for number, one in self._versions(folder):
            try:
                versions.append(self._version(one, number, seen))
            except Unreadable as error:
                seen.add("model version", self._shown(one), f"it is left out: {error}")
                seen.lost_versions += 1
        held = self._pairs(folder / "aliases", seen)
        return Model(
            name=folder.name,
            description=_text(meta, "description") or None,
            created_at=_integer(meta, "creation_timestamp"),
            updated_at=_integer(meta, "last_updated_timestamp"),
            tags=self._pairs(folder / "tags", seen),
            aliases={alias: int(number) if re.fullmatch(r"[0-9]{1,9}", number) else 0 for alias, number in held.items()},
            versions=versions,
        )

    def _version(self, folder: Path, number: int, seen: _Seen) -> Version:
        meta = self._meta(folder)
        texts = ("description", "user_id", "current_stage", "source", "storage_location", "run_id", "run_link", "status")
        found = {name: _text(meta, name) for name in (*texts, "status_message", "model_id")}
        return Version(
            number=number,
            created_at=_integer(meta, "creation_timestamp"),
            updated_at=_integer(meta, "last_updated_timestamp"),
            description=found["description"] or None,
            user=found["user_id"],
            stage=found["current_stage"],
            source=found["source"],
            location=found["storage_location"],
            run=found["run_id"],
            run_link=found["run_link"],
            status=found["status"],
            status_message=found["status_message"],
            tags=self._pairs(folder / "tags", seen),
            model_id=found["model_id"],
        )

    # ---- the folder itself ------------------------------------------------------------------------------------------

    def _homes(self, after: str = "", *, inclusive: bool = False) -> Iterator[tuple[Path, bool]]:
        """Folders of experiments by name, and whether each is in the trash."""
        active = [(one, False) for one in self._folders(self.root) if one.name not in {TRASH, REGISTRY}]
        trash = [(one, True) for one in self._folders(self.root / TRASH)]
        known: set[str] = set()
        for home, is_trash in sorted((*active, *trash), key=lambda pair: pair[0].name):
            if home.name not in known and (home.name >= after if inclusive else home.name > after):
                known.add(home.name)
                yield home, is_trash

    def _run_folders(self, home: Path) -> list[Path]:
        return [one for one in self._folders(home) if one.name not in _RESERVED]

    def _folders(self, path: Path) -> list[Path]:
        """By name; none that leads elsewhere."""
        try:
            with os.scandir(path) as entries:
                names = [entry.name for entry in entries if entry.is_dir()]
        except OSError:
            return []
        return [path / name for name in sorted(names) if self._is_inside(path / name)]

    def _files(self, path: Path, seen: _Seen | None = None) -> Iterator[tuple[str, Path]]:
        """Files below the folder, by the names that they have in it. What cannot be followed is told of."""
        pending = [path] if self._is_inside(path) else []
        if not pending and seen is not None:
            seen.add("folder", self._shown(path), "it is left out: it leads out of the folder")
        while pending:
            folder = pending.pop()
            try:
                with os.scandir(folder) as entries:
                    found = sorted(entries, key=lambda entry: entry.name)
            except OSError:
                continue
            for entry in found:
                if entry.is_symlink() and not self._is_inside(Path(entry.path)):
                    if seen is not None:
                        seen.add("file", self._shown(Path(entry.path)), "it is left out: it leads out of the folder")
                elif entry.is_dir():
                    pending.append(Path(entry.path))
                elif entry.is_file():
                    yield Path(entry.path).relative_to(path).as_posix(), Path(entry.path)

    def _is_inside(self, path: Path) -> bool:
        real = os.path.realpath(path)
        return real == str(self.root) or real.startswith(f"{self.root}{os.sep}")

    def _pairs(self, path: Path, seen: _Seen) -> dict[str, str]:
        """A file for each: its name and what stands in it."""
        found = {}
        for name, file in self._files(path, seen):
            try:
                found[name] = self._text(file)
            except Unreadable as error:
                seen.add("file", self._shown(file), f"it is left out: {error}")
        return found

    def _meta(self, folder: Path) -> dict[str, Any]:
        path = folder / META
        if path.is_symlink() and not self._is_inside(path):
            raise Unreadable(f"{META} leads out of the folder")
        text = self._text(path)
        try:
            found = yaml.load(text, _LOADER)  # noqa: S506  (a safe loader, in C where there is one)
        except (yaml.YAMLError, ValueError, RecursionError, OverflowError):
            raise Unreadable(f"{META} is no YAML") from None
        if not isinstance(found, dict):
            raise Unreadable(f"{META} is no mapping")
        return found

    def _text(self, path: Path) -> str:
        try:
            if path.stat().st_size > MAX_TEXT_BYTES:
                raise Unreadable(f"{path.name[:80]} is larger than {MAX_TEXT_BYTES} bytes")
            return path.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            raise Unreadable(f"{path.name[:80]} is not UTF-8") from None
        except OSError as error:
            raise Unreadable(f"{path.name[:80]}: {error.strerror}") from None

    def _shown(self, path: Path) -> str:
        return str(path.relative_to(self.root))


def open_folder(path: Path) -> Folder:
    """Raises InvalidArgument: it is no store of MLflow."""
    if not path.is_dir():
        raise InvalidArgument(f"there is no folder {path}")
    made = Folder(path)
    if not any((home / META).is_file() for home, _ in made._homes()) and not (made.root / REGISTRY).is_dir():  # noqa: SLF001
        raise InvalidArgument(f"{path} is no store of MLflow: no folder in it has a {META}")
    return made


def _lines(path: Path, lengths: Sequence[int]) -> Iterator[tuple[int, list[str] | None]]:
    """(number, fields) of the lines; None for one that has not as many fields as it should. Never more than a line is held."""
    with path.open("rb") as file:
        number = 0
        while raw := file.readline(MAX_LINE_BYTES):
            number += 1
            is_cut = not raw.endswith(b"\n") and len(raw) == MAX_LINE_BYTES
            while is_cut and (rest := file.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
            if not is_cut and not raw.strip():
                continue
            try:
                fields = raw.decode("utf-8").strip().split(" ")
            except UnicodeDecodeError:
                fields = []
            yield number, None if is_cut or len(fields) not in lengths else fields


def _point(key: str, fields: Sequence[str]) -> Point | None:
    try:
        at, value = int(fields[0]), float(fields[1])
        step = int(fields[2]) if len(fields) > 2 else 0
    except ValueError:
        return None
    return Point(key, value, at, step) if 0 <= at < _INT64 and -_INT64 <= step < _INT64 else None


def _count_lines(path: Path) -> int:
    try:
        with path.open("rb") as file:
            return sum(part.count(b"\n") for part in iter(lambda: file.read(2**20), b""))
    except OSError:
        return 0


def _text(meta: Mapping[str, Any], name: str) -> str | None:
    value = meta.get(name)
    return None if value is None or not _is_plain(value) else str(value)


def _is_plain(value: Any) -> bool:
    """What stands for itself: a list of lists that name each other could be longer than any memory as a text."""
    return not isinstance(value, dict | list | set | tuple)


def _integer(meta: Mapping[str, Any], name: str) -> int | None:
    value = meta.get(name)
    return value if type(value) is int and 0 <= value < _INT64 else None
