"""Copying the files of runs, logged models and versions, each with its digest: the bytes first, then their rows."""

from collections.abc import Iterator
from dataclasses import dataclass

from registry.catalog.actors import Actor
from registry.catalog.blobs import Blob, find_blob
from registry.db.runner import Runner
from registry.errors import Unavailable
from registry.importing.mlflow.files import File, Placing, Reader, Unlistable
from registry.importing.mlflow.source import After, Bad, Source
from storage.errors import InvalidKey, KeyConflict, ObjectNotFound
from storage.keys import join_key
from storage.media import guess_media_type
from storage.store import ObjectStore

FILES_AT_ONCE = 100
BYTES_AT_ONCE = 256 * 2**20


@dataclass(frozen=True)
class Place:
    """Files of one record: `location` is the source's."""

    what: str
    id: str
    location: str


@dataclass(frozen=True)
class Found:
    """A file: who reads it, by which path, and the key that it gets."""

    place: Place
    reader: Reader
    path: str
    key: str
    file: File


@dataclass
class Copied:
    """A part: `blobs` are there now, `known` were before. `after`: where to go on, if the part ends a batch."""

    blobs: list[Blob]
    bad: list[Bad]
    known: int
    after: After | None


@dataclass(frozen=True)
class Copying:
    source: Source
    placing: Placing
    store: ObjectStore
    runner: Runner
    actor: Actor
    now: int

    def places(self, after: After) -> Iterator[tuple[list[Place], After]]:
        """Of all records, a batch at a time. What lies among the files of a run is there already when its own turn comes."""
        first = after[0] if after else 0
        inner = after[1] if after else []
        if first <= 0:
            for runs in self.source.runs(inner if first == 0 else []):
                yield [Place("run", run.id, run.artifact_uri) for run in runs.records if run.artifact_uri], [0, runs.after]
        if first <= 1:
            for models in self.source.logged_models(inner if first == 1 else []):
                yield [Place("logged model", one.id, one.location) for one in models.records], [1, models.after]
        for found in self.source.models(inner if first == 2 else []):
            places = [
                Place("model version", f"{model.name}/{version.number}", location)
                for model in found.records
                for version in model.versions
                if (location := version.location or version.source) and not version.is_deleted
            ]
            yield places, [2, found.after]

    def files(self, place: Place) -> Iterator[Found]:
        """Nothing where files stay where they lie."""
        found = self.placing.find(place.location)
        if found is None or not found[1]:
            return
        reader, folder = found
        for file in reader.list(folder):
            path = f"{folder}/{file.path}"
            yield Found(place, reader, path, f"{self.actor.workspace_name}/{path}", file)

    def run(self, after: After) -> Iterator[Copied]:
        for places, following in self.places(after):
            part, size = Copied([], [], 0, None), 0
            for place in places:
                if self._is_left(place):
                    part.bad.append(Bad(place.what, place.id, f"its files stay where they lie: {place.location[:200]}"))
                try:
                    for found in self.files(place):
                        size += self._copy(found, part)
                        if len(part.blobs) >= FILES_AT_ONCE or size >= BYTES_AT_ONCE:
                            yield part
                            part, size = Copied([], [], 0, None), 0
                except Unlistable as why:
                    part.bad.append(Bad(place.what, place.id, f"its files are left out from here on: the server lists {why}"))
            part.after = following
            yield part

    def _is_left(self, place: Place) -> bool:
        return self.placing.find(place.location) is None and not place.location.startswith(("runs:", "models:", "dummy-source"))

    def _copy(self, found: Found, part: Copied) -> int:
        """The bytes that it took."""
        place, file = found.place, found.file
        try:
            key = join_key(*found.key.split("/"))
            known = self.runner.read(lambda session: find_blob(session, self.actor, key))
            if known is not None and known.digest is not None and known.size_bytes == file.size_bytes:
                part.known += 1
                return 0
            media_type = guess_media_type(key)
            stored = self.store.put(key, found.reader.read(found.path), size_bytes=file.size_bytes, media_type=media_type)
        except (InvalidKey, KeyConflict, ObjectNotFound, OSError, Unavailable) as error:
            part.bad.append(Bad(place.what, place.id, f"the file {file.path[:200]!r} is left out: {_why(error)}"))
            return 0
        part.blobs.append(Blob(key, stored.sha256, stored.size_bytes, media_type, self.now))
        return stored.size_bytes


def _why(error: Exception) -> str:
    if isinstance(error, ObjectNotFound | FileNotFoundError):
        return "it is not there"
    return getattr(error, "message", None) or getattr(error, "strerror", None) or str(error)
