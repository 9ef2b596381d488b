"""A store of MLflow in a folder (`mlruns/`), as MLflow 2 and 3 wrote it. Source: their layouts, observed.

What cannot be read is told of and passed by.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from registry.catalog.importing.mlflow.experiments import kept_number
from registry.catalog.importing.mlflow.records import Experiment, LoggedModel, Model, ModelPoint, Run, Uses, Version
from registry.catalog.metrics import Point
from registry.catalog.run_inputs import DatasetInput
from registry.errors import InvalidArgument
from registry.importing.mlflow.source import POINTS_AT_ONCE, After, Batch, History
from registry.importing.mlflow.untrusted import (
    INT64,
    META,
    Seen,
    Unreadable,
    Untrusted,
    count_lines,
    integer_of,
    is_plain,
    lines_of,
    text_of,
)

TRASH = ".trash"
REGISTRY = "models"
_RESERVED = {"tags", "datasets", "traces", "models", "artifacts"}
"""Folders of an experiment that are no runs."""

_STATUSES = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
_LOGGED_STATUSES = {0: "UNSPECIFIED", 1: "PENDING", 2: "READY", 3: "FAILED"}
_VERSION = re.compile(r"version-([0-9]{1,10})")
_RUNS_AT_ONCE = 50


class Folder(Untrusted):
    @property
    def address(self) -> str:
        return self.root.as_uri()

    def remarks(self) -> list[str]:
        traces = sum(len(self.folders(home / "traces")) for home, _ in self._homes() if (home / "traces").is_dir())
        return [f"traces: {traces} are not kept here"] if traces else []

    def totals(self) -> Mapping[str, int]:
        found = dict.fromkeys(("experiments", "runs", "logged_models", "metrics", "models", "versions"), 0)
        for home, _ in self._homes():
            found["experiments"] += 1
            found["logged_models"] += len(self.folders(home / "models"))
            for run in self._run_folders(home):
                found["runs"] += 1
                found["metrics"] += sum(count_lines(path) for _, path in self.files(run / "metrics"))
        for model in self.folders(self.root / REGISTRY):
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
            seen, found = Seen(), []
            try:
                found.append(self._experiment(home, is_trash, seen))
            except Unreadable as error:
                seen.add("experiment", self.shown(home), f"it is left out: {error}", lost=1)
            yield Batch(found, [home.name], seen.bad, seen.lost)

    def _experiment(self, home: Path, is_trash: bool, seen: Seen) -> Experiment:
        meta = self.meta(home)
        if str(meta.get("experiment_id")) != home.name:
            raise Unreadable(f"{META} is of another experiment")
        return Experiment(
            id=home.name,
            name=text_of(meta, "name") or "",
            location=text_of(meta, "artifact_location"),
            is_deleted=is_trash or meta.get("lifecycle_stage") == "deleted",
            created_at=integer_of(meta, "creation_time"),
            updated_at=integer_of(meta, "last_update_time"),
            tags=self.pairs(home / "tags", seen),
        )

    def runs(self, after: After) -> Iterator[Batch[Run]]:
        for folders, place in self._run_batches(after):
            seen = Seen()
            yield Batch(self._runs(folders, seen, tell=True), place, seen.bad, seen.lost)

    def _run_batches(self, after: After) -> Iterator[tuple[list[Path], After]]:
        """Folders of runs, with where to go on behind them."""
        first, last_run = (after[0], after[1]) if after else ("", "")
        for home, _ in self._homes(first, inclusive=True):
            folders = [run for run in self._run_folders(home) if home.name != first or run.name > last_run]
            for start in range(0, len(folders), _RUNS_AT_ONCE):
                part = folders[start : start + _RUNS_AT_ONCE]
                yield part, [home.name, part[-1].name]

    def _runs(self, folders: Sequence[Path], seen: Seen, *, tell: bool = False) -> list[Run]:
        found = []
        for folder in folders:
            own = Seen()
            try:
                found.append(self._run(folder, own))
            except Unreadable as error:
                own.add("run", self.shown(folder), f"it is left out: {error}", lost=1)
            if tell:
                seen.bad += own.bad
                seen.lost += own.lost
        return found

    def _run(self, folder: Path, seen: Seen) -> Run:
        meta = self.meta(folder)
        id = text_of(meta, "run_id") or text_of(meta, "run_uuid")
        if id != folder.name:
            raise Unreadable(f"{META} is of another run")
        status = meta.get("status", 1)
        return Run(
            id=folder.name,
            experiment=folder.parent.name,
            name=text_of(meta, "run_name") or text_of(meta, "name"),
            user=text_of(meta, "user_id"),
            status=_STATUSES.get(status, str(status)) if isinstance(status, int) else str(status),
            started_at=integer_of(meta, "start_time"),
            ended_at=integer_of(meta, "end_time"),
            is_deleted=meta.get("lifecycle_stage") == "deleted",
            deleted_at=integer_of(meta, "deleted_time"),
            artifact_uri=text_of(meta, "artifact_uri"),
            tags=self.pairs(folder / "tags", seen),
            params=self.pairs(folder / "params", seen),
        )

    def uses(self, after: After) -> Iterator[Batch[Uses]]:
        for folders, place in self._run_batches(after):
            seen = Seen()
            found = [self._uses(folder, seen) for folder in folders]
            yield Batch([one for one in found if one.inputs or one.models or one.made], place, seen.bad, seen.lost)

    def _uses(self, folder: Path, seen: Seen) -> Uses:
        inputs: list[DatasetInput] = []
        models: list[str] = []
        made: list[tuple[str, int]] = []
        for kind in ("inputs", "outputs"):
            for one in self.folders(folder / kind):
                try:
                    meta = self.meta(one)
                    source = text_of(meta, "source_id") or ""
                    if kind == "outputs":
                        made.append((source, integer_of(meta, "step") or 0))
                    elif meta.get("source_type") == "MODEL":
                        models.append(source)
                    else:
                        inputs.append(self._input(folder.parent / "datasets", source, meta))
                except Unreadable as error:
                    seen.add("input of a run", self.shown(one), f"it is left out: {error}", lost=1)
        return Uses(folder.name, inputs, models, made)

    def _input(self, datasets: Path, id: str, meta: Mapping[str, Any]) -> DatasetInput:
        if not re.fullmatch(r"[\w-]{1,64}", id):
            raise Unreadable("it names no dataset")
        dataset, tags = self.meta(datasets / id), meta.get("tags")
        tags = tags if isinstance(tags, dict) else {}
        texts = {name: text_of(dataset, name) for name in ("source_type", "source", "schema", "profile")}
        plain = {str(key): str(value) for key, value in tags.items() if is_plain(key) and is_plain(value)}
        return DatasetInput(name=text_of(dataset, "name") or "", digest=text_of(dataset, "digest") or "", tags=plain, **texts)

    def metrics(self, after: After) -> Iterator[Batch[History]]:
        for folders, place in self._run_batches(after):
            seen, chunk, size = Seen(), list[History](), 0
            for folder in folders:
                for key, path in self.files(folder / "metrics", seen):
                    for points in self._points(key, path, seen):
                        chunk.append((folder.name, points))
                        size += len(points)
                        if size >= POINTS_AT_ONCE:
                            yield Batch(chunk, None)
                            chunk, size = [], 0
            yield Batch(chunk, place, seen.bad, seen.lost)

    def _points(self, key: str, path: Path, seen: Seen) -> Iterator[list[Point]]:
        """Exact repeats once, which a store of files does not prevent."""
        known: set[bytes] = set()
        found: list[Point] = []
        for number, fields in lines_of(path, (2, 3, 5)):
            point = None if fields is None else _point(key, fields)
            if point is None:
                seen.add("metric", self.shown(path), f"line {number} is none: it is left out", lost=1)
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
        files = dict(self.files(home / run.id / "metrics")) if home is not None else {}
        return [point for part in self._points(key, files[key], Seen()) for point in part] if key in files else []

    def count_points(self, runs: Sequence[Run]) -> int:
        homes = {home.name: home for home, _ in self._homes()}
        files = [one for run in runs for one in self.files(homes[run.experiment] / run.id / "metrics")]
        return sum(len(points) for key, path in files for points in self._points(key, path, Seen()))

    # ---- logged models ----------------------------------------------------------------------------------------------

    def logged_models(self, after: After) -> Iterator[Batch[LoggedModel]]:
        for folder, place in self._logged_folders(after):
            seen, found = Seen(), []
            try:
                found.append(self._logged_model(folder, seen))
            except Unreadable as error:
                seen.add("logged model", self.shown(folder), f"it is left out: {error}", lost=1)
            yield Batch(found, place, seen.bad, seen.lost)

    def _logged_folders(self, after: After) -> Iterator[tuple[Path, After]]:
        first, last = (after[0], after[1]) if after else ("", "")
        for home, _ in self._homes(first, inclusive=True):
            for folder in self.folders(home / "models"):
                if home.name != first or folder.name > last:
                    yield folder, [home.name, folder.name]

    def _logged_model(self, folder: Path, seen: Seen) -> LoggedModel:
        meta = self.meta(folder)
        if text_of(meta, "model_id") != folder.name:
            raise Unreadable(f"{META} is of another model")
        status = meta.get("status", 0)
        return LoggedModel(
            id=folder.name,
            experiment=folder.parent.parent.name,
            name=text_of(meta, "name") or "",
            model_type=text_of(meta, "model_type"),
            run=text_of(meta, "source_run_id"),
            location=text_of(meta, "artifact_location") or "",
            status=_LOGGED_STATUSES.get(status, str(status)) if isinstance(status, int) else str(status),
            is_deleted=meta.get("lifecycle_stage") == "deleted",
            created_at=integer_of(meta, "creation_timestamp") or 0,
            updated_at=integer_of(meta, "last_updated_timestamp") or integer_of(meta, "creation_timestamp") or 0,
            tags=self.pairs(folder / "tags", seen),
            params=self.pairs(folder / "params", seen),
        )

    def model_metrics(self, after: After) -> Iterator[Batch[ModelPoint]]:
        for folder, place in self._logged_folders(after):
            seen, found = Seen(), []
            for key, path in self.files(folder / "metrics", seen):
                for number, fields in lines_of(path, range(4, 1000)):
                    point = None if fields is None else _point(key, fields[:3])
                    if fields is None or point is None:
                        seen.add("metric", self.shown(path), f"line {number} is none: it is left out", lost=1)
                        continue
                    name, digest = " ".join(fields[4:-1]), fields[-1]  # a name may have spaces, a digest has none
                    found.append(ModelPoint(folder.name, fields[3], (name, digest) if name else None, point))
            yield Batch(found, place, seen.bad, seen.lost)

    # ---- registry ---------------------------------------------------------------------------------------------------

    def models(self, after: After) -> Iterator[Batch[Model]]:
        for folder in self.folders(self.root / REGISTRY):
            if after and folder.name <= after[0]:
                continue
            seen, found = Seen(), []
            try:
                found.append(self._model(folder, seen))
            except Unreadable as error:
                seen.add("registered model", self.shown(folder), f"it is left out: {error}", lost=1)
                seen.lost_versions = len(self._versions(folder))
            yield Batch(found, [folder.name], seen.bad, seen.lost, seen.lost_versions)

    def _versions(self, model: Path) -> list[tuple[int, Path]]:
        return [(int(found[1]), one) for one in self.folders(model) if (found := _VERSION.fullmatch(one.name))]

    def _model(self, folder: Path, seen: Seen) -> Model:
        meta = self.meta(folder)
        if text_of(meta, "name") != folder.name:
            raise Unreadable(f"{META} is of another model")
        versions = []
        for number, one in self._versions(folder):
            try:
                versions.append(self._version(one, number, seen))
            except Unreadable as error:
                seen.add("model version", self.shown(one), f"it is left out: {error}")
                seen.lost_versions += 1
        held = self.pairs(folder / "aliases", seen)
        return Model(
            name=folder.name,
            description=text_of(meta, "description") or None,
            created_at=integer_of(meta, "creation_timestamp"),
            updated_at=integer_of(meta, "last_updated_timestamp"),
            tags=self.pairs(folder / "tags", seen),
            aliases={alias: int(number) if re.fullmatch(r"[0-9]{1,9}", number) else 0 for alias, number in held.items()},
            versions=versions,
        )

    def _version(self, folder: Path, number: int, seen: Seen) -> Version:
        meta = self.meta(folder)
        texts = ("description", "user_id", "current_stage", "source", "storage_location", "run_id", "run_link", "status")
        found = {name: text_of(meta, name) for name in (*texts, "status_message", "model_id")}
        return Version(
            number=number,
            created_at=integer_of(meta, "creation_timestamp"),
            updated_at=integer_of(meta, "last_updated_timestamp"),
            description=found["description"] or None,
            user=found["user_id"],
            stage=found["current_stage"],
            source=found["source"],
            location=found["storage_location"],
            run=found["run_id"],
            run_link=found["run_link"],
            status=found["status"],
            status_message=found["status_message"],
            tags=self.pairs(folder / "tags", seen),
            model_id=found["model_id"],
        )

    # ---- the folder itself ------------------------------------------------------------------------------------------

    def _homes(self, after: str = "", *, inclusive: bool = False) -> Iterator[tuple[Path, bool]]:
        """Folders of experiments by name, and whether each is in the trash."""
        active = [(one, False) for one in self.folders(self.root) if one.name not in {TRASH, REGISTRY}]
        trash = [(one, True) for one in self.folders(self.root / TRASH)]
        known: set[str] = set()
        for home, is_trash in sorted((*active, *trash), key=lambda pair: pair[0].name):
            if home.name not in known and (home.name >= after if inclusive else home.name > after):
                known.add(home.name)
                yield home, is_trash

    def _run_folders(self, home: Path) -> list[Path]:
        return [one for one in self.folders(home) if one.name not in _RESERVED]


def open_folder(path: Path) -> Folder:
    """Raises InvalidArgument: it is no store of MLflow."""
    if not path.is_dir():
        raise InvalidArgument(f"there is no folder {path}")
    made = Folder(path)
    if not any((home / META).is_file() for home, _ in made._homes()) and not (made.root / REGISTRY).is_dir():  # noqa: SLF001
        raise InvalidArgument(f"{path} is no store of MLflow: no folder in it has a {META}")
    return made


def _point(key: str, fields: Sequence[str]) -> Point | None:
    try:
        at, value = int(fields[0]), float(fields[1])
        step = int(fields[2]) if len(fields) > 2 else 0
    except ValueError:
        return None
    return Point(key, value, at, step) if 0 <= at < INT64 and -INT64 <= step < INT64 else None
