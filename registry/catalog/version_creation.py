"""Making versions of registered models: what a call asks for, and what has queued in one set-based pass.

With care for what is rare (files of an artifact, a number whose name is taken): `versions.create_version`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from registry.catalog import node_types, tagging
from registry.catalog.actors import Actor
from registry.catalog.metrics import Point, latest_values
from registry.catalog.nodes import node_row
from registry.catalog.outbox import Event, Inserted, event_rows
from registry.catalog.run_lookup import RunRef, find_runs
from registry.catalog.version_reads import ModelVersion
from registry.db.coalescing import Answers, HotKind
from registry.db.ids import below_limit
from registry.db.row_inserts import ALL_HELD, Held, Plain, RowInsert, array_text, run_together, text_array
from registry.db.session import Session
from registry.errors import AlreadyExists, InvalidName, NotFound, NotWritable, RegistryError
from registry.names import IdPrefix, Lifecycle, NodeKind, Origin, Readiness, check_name, check_text, own_id, sha256
from registry.tables.graph import contexts, params
from registry.tables.models import model_versions, registered_models
from storage.locations import normalise_uri

MAX_KEY = 255
"""Of `<model id>:<name>`, which is what the Model Registry's clients see."""

_DECIMAL = re.compile(r"[1-9][0-9]{0,8}")
Row = sa.Row[tuple[Any, ...]]


@dataclass(frozen=True)
class NewVersion:
    """`model`: the registered model's id; `run`: 32 hex of the producer; `name`: None for the number."""

    actor: Actor
    model: int
    now: int
    name: str | None = None
    description: str | None = None
    author_name: str | None = None
    source: str | None = None
    location: str | None = None
    run: str | None = None
    run_text: str | None = None
    run_link: str | None = None
    readiness: Readiness = Readiness.READY
    status_message: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    origin: Origin = Origin.REST

    def check(self) -> None:
        """Raises InvalidArgument."""
        check_texts(description=self.description, author_name=self.author_name, source=self.source, location=self.location)
        check_texts(run_link=self.run_link, status_message=self.status_message, run_text=self.run_text)
        if self.name is not None:
            name_key(self.model, self.name)
        tagging.check_tags(self.tags)

    def number_after(self, last: int) -> int:
        """A name that is a decimal above the counter is the number."""
        if self.name is not None and _DECIMAL.fullmatch(self.name):
            return max(last + 1, int(self.name))
        return last + 1


@dataclass(frozen=True)
class Numbered:
    """A version that is about to be: what it got, and what it is made of. `shown`: its name."""

    new: NewVersion
    id: int
    number: int
    shown: str
    model_name: str
    producer: RunRef | None
    artifact: int | None = None
    digest: str | None = None
    place: str | None = None
    """Where its files are."""

    @property
    def source(self) -> str | None:
        return self.place if self.new.source is None else self.new.source

    def node(self) -> dict[str, Any]:
        key = name_key(self.new.model, self.shown)
        new = self.new
        return node_row(self.id, type_id=node_types.VERSION, workspace=new.actor.workspace, now=new.now, name=key, name_key=key)

    def row(self) -> dict[str, Plain]:
        """In the order of the table's columns."""
        new = self.new
        return {
            "id": self.id,
            "workspace": new.actor.workspace,
            "model": new.model,
            "number": self.number,
            "name": self.shown,
            "description": new.description,
            "author_name": new.author_name,
            "lifecycle": int(Lifecycle.ACTIVE),
            "readiness": int(new.readiness),
            "status_message": new.status_message,
            "source": self.source,
            "location": new.location,
            "location_hash": None if self.place is None else sha256(normalise_uri(self.place)),
            "run": None if self.producer is None else self.producer.id,
            "run_text": new.run_text,
            "run_link": new.run_link,
            "artifact": self.artifact,
            "digest": self.digest,
            "origin": int(new.origin),
        }

    def event(self) -> Event:
        run = None if self.producer is None else f"run_{self.producer.hex}"
        after = {"model": self.model_name, "number": self.number, "source": self.source, "run": run}
        return Event(self.new.actor, "version.created", own_id(IdPrefix.VERSION, self.id), self.new.now, after=after)

    def made(self, metrics: Mapping[str, Point], params: Mapping[str, str]) -> ModelVersion:
        """As it would be read back; metrics and params are its producer's."""
        new = self.new
        return ModelVersion(
            id=self.id,
            model=new.model,
            model_name=self.model_name,
            number=self.number,
            name=self.shown,
            description=new.description,
            author_name=new.author_name,
            lifecycle=Lifecycle.ACTIVE,
            readiness=new.readiness,
            status_message=new.status_message,
            stage=None,
            aliases=[],
            source=self.source,
            location=new.location,
            run=None if self.producer is None else f"run_{self.producer.hex}",
            run_text=new.run_text,
            run_link=new.run_link,
            artifact=self.artifact,
            digest=self.digest,
            origin=new.origin,
            created_at=new.now,
            updated_at=new.now,
            version=1,
            metrics=metrics,
            params=params,
            tags=dict(sorted(new.tags.items())),
        )


def create_versions(session: Session, wanted: Sequence[NewVersion]) -> list[ModelVersion | RegistryError]:
    """Of each its version, or why there is none: InvalidArgument, NotFound, NotWritable. At most ten statements, one more with
    tags and three with producers.

    Raises:
        AlreadyExists: the only one's name, or its number as a name, is taken. Of several this is SQLAlchemy's IntegrityError,
            and none is made.
    """
    answers: list[ModelVersion | RegistryError | None] = [_wrong(new) for new in wanted]
    models, producers = _models(session, wanted), _producers(session, wanted)
    last = {id: row.last_number for id, row in models.items()}
    good: list[tuple[int, NewVersion, RunRef | None, int]] = []
    for index, new in enumerate(wanted):
        producer = producers.get((new.actor.workspace, new.run or ""))
        answers[index] = answers[index] or _refusal(new, models.get(new.model), producer)
        if answers[index] is None:
            last[new.model] = new.number_after(last[new.model])
            good.append((index, new, producer, last[new.model]))
    if not good:
        return [answer for answer in answers if answer is not None]
    drawn = session.next_ids_of({"context": len(good), "record": 2 * len(good)})
    made = [
        Numbered(new, id, number, new.name or str(number), models[new.model].name, producer, place=new.location or new.source)
        for id, (_, new, producer, number) in zip(drawn["context"], good, strict=True)
    ]
    named = (_CONTEXTS, [tuple(one.node().values()) for one in made])
    try:
        written = write_versions(session, made, drawn["record"], named)
    except sa.exc.IntegrityError as error:
        if len(wanted) > 1:
            raise
        raise AlreadyExists("model version", made[0].shown) from error
    for (index, *_), version in zip(good, written, strict=True):
        answers[index] = version
    return [answer for answer in answers if answer is not None]


def create_at_once(session: Session, wanted: Sequence[NewVersion]) -> Answers[ModelVersion] | None:
    """Reads the models without a lock and draws ids; writes all if the models are still as they were read, which the statement
    that writes holds them to. None: one of them is not, or a call wants care (a producer, which has to be held, or an error).
    """
    if any(new.run is not None or _wrong(new) is not None for new in wanted):
        return None
    models, workspaces = [new.model for new in wanted], [new.actor.workspace for new in wanted]
    rows = sorted(session.rows(_LOOK, {"models": array_text(models), "workspaces": array_text(workspaces)}))
    if len(rows) < len(wanted):
        return None
    ids = below_limit("context", sorted(id for _, _, _, id, *_ in rows))
    last: dict[int, int] = {}
    made: list[Numbered] = []
    for new, id, (_, name, before, *_) in zip(wanted, ids, rows, strict=True):
        last[new.model] = new.number_after(last.get(new.model, before))
        number = last[new.model]
        made.append(Numbered(new, id, number, new.name or str(number), name, None, place=new.location or new.source))
    records = [record for *_, record, _ in rows] + [record for *_, record in rows]
    named = (_CONTEXTS, [tuple(one.node().values()) for one in made])
    read = {new.model: (new.model, name, before) for new, (_, name, before, *_) in zip(wanted, rows, strict=True)}
    held_models, names, lasts = zip(*read.values(), strict=True)
    given = {"held_models": array_text(held_models), "held_names": text_array(names), "held_lasts": array_text(lasts)}
    held = Held(_AS_READ, len(read), given)
    also = [(f"{text} AND {ALL_HELD}", given) for text, given in _count(session, made)]
    try:
        if not run_together(session, [named, *_parts(session, made, records)], also, held):
            return None
    except sa.exc.IntegrityError:
        return None
    return [one.made({}, {}) for one in made]


HOT_CREATE_VERSION: HotKind[NewVersion, ModelVersion] = HotKind(
    "create version", create_versions, replayable=False, at_once=create_at_once
)

_LOOK = f"""
    SELECT given.place, registered_models.name, registered_models.last_number,
        nextval('ids_context'), nextval('ids_record'), nextval('ids_record')
    FROM unnest(%(models)s::BIGINT[], %(workspaces)s::BIGINT[]) WITH ORDINALITY AS given (model, workspace, place)
    JOIN registered_models ON registered_models.id = given.model AND registered_models.workspace = given.workspace
    WHERE registered_models.lifecycle <> {int(Lifecycle.DELETED)}"""  # noqa: S608  (a number of our own)
_AS_READ = f"""
    SELECT registered_models.id
    FROM unnest(%(held_models)s::BIGINT[], %(held_names)s::TEXT[], %(held_lasts)s::INTEGER[]) AS read (id, name, last)
    JOIN registered_models ON registered_models.id = read.id
    WHERE registered_models.last_number = read.last AND registered_models.name = read.name
        AND registered_models.lifecycle <> {int(Lifecycle.DELETED)}
    ORDER BY registered_models.id FOR UPDATE OF registered_models"""  # noqa: S608  (likewise)


def write_versions(session: Session, made: Sequence[Numbered], ids: Sequence[int], *more: Inserted) -> list[ModelVersion]:
    """All that is theirs, with what the audit log says; but their contexts, which are there or among what `more` is to insert.

    `ids`: two records' for each. The caller holds their models' locks.
    """
    run_together(session, [*more, *_parts(session, made, ids)], _count(session, made))
    values = _values_of_producers(session, made)
    return [one.made(*values(one)) for one in made]


def _parts(session: Session, made: Sequence[Numbered], ids: Sequence[int]) -> list[Inserted]:
    tags: list[tagging.PairRow] = []
    for author in {one.new.actor.author for one in made}:
        tagged = {one.id: one.new.tags for one in made if one.new.actor.author == author}
        tags += tagging.pair_rows(session, NodeKind.CONTEXT, tagged, author)
    rows = [tuple(one.row().values()) for one in made]
    events = event_rows(session, [one.event() for one in made], ids)
    return [(_VERSIONS, rows), (tagging.TAGS, sorted(tags)), *events]


_CONTEXTS = RowInsert(contexts, [column.name for column in contexts.columns])
_VERSIONS = RowInsert(model_versions, [column.name for column in model_versions.columns])


def _wrong(new: NewVersion) -> RegistryError | None:
    try:
        new.check()
    except RegistryError as error:
        return error
    return None


_MODELS = (
    sa.select(
        registered_models.c.id,
        registered_models.c.workspace,
        registered_models.c.name,
        registered_models.c.lifecycle,
        registered_models.c.last_number,
    )
    .where(registered_models.c.id.in_(sa.bindparam("ids", expanding=True)))
    .order_by(registered_models.c.id)
    .with_for_update()
)


def lock_numbers(session: Session, new: NewVersion) -> tuple[str, int]:
    """Of the model: its name, and the version's number, which no other one gets until the transaction ends.

    Raises NotFound, NotWritable.
    """
    model = _models(session, [new]).get(new.model)
    refused = _refusal_of_model(new, model)
    if refused is not None or model is None:
        raise refused or NotFound("registered model", own_id(IdPrefix.MODEL, new.model))
    return model.name, new.number_after(model.last_number)


def _models(session: Session, wanted: Sequence[NewVersion]) -> dict[int, Row]:
    """Locked, so that no two versions of one get one number."""
    ids = sorted({new.model for new in wanted})
    return {row.id: row for row in session.all(_MODELS, {"ids": ids})}


def _producers(session: Session, wanted: Sequence[NewVersion]) -> dict[tuple[int, str], RunRef]:
    pairs = {(new.actor.workspace, new.run) for new in wanted if new.run is not None}
    return find_runs(session, [(workspace, hex) for workspace, hex in pairs if hex], held=True) if pairs else {}


def _refusal(new: NewVersion, model: Row | None, producer: RunRef | None) -> RegistryError | None:
    if new.run is not None and producer is None:
        return _refusal_of_model(new, model) or NotFound("run", f"run_{new.run}")
    return _refusal_of_model(new, model)


def _refusal_of_model(new: NewVersion, model: Row | None) -> RegistryError | None:
    if model is None or model.workspace != new.actor.workspace:
        return NotFound("registered model", own_id(IdPrefix.MODEL, new.model))
    if model.lifecycle == Lifecycle.DELETED:
        return NotWritable(f"registered model {own_id(IdPrefix.MODEL, new.model)} is deleted: restore it first")
    return None


_MODEL = sa.bindparam("model_id", type_=sa.BigInteger)
_COUNTED = (
    sa.update(registered_models)
    .where(registered_models.c.id == _MODEL)
    .values(last_number=sa.bindparam("last"), mlflow_updated_at=sa.bindparam("now", type_=sa.BigInteger))
)
_BUMPED = sa.update(contexts).where(contexts.c.id == _MODEL).values(version=contexts.c.version + sa.bindparam("more"))


_COUNTED_TOGETHER = """
    UPDATE registered_models SET last_number = new.last, mlflow_updated_at = new.now
    FROM unnest(%(counted_ids)s::BIGINT[], %(counted_lasts)s::INTEGER[], %(counted_nows)s::BIGINT[]) AS new (id, last, now)
    WHERE registered_models.id = new.id"""
_BUMPED_TOGETHER = """
    UPDATE contexts SET version = contexts.version + new.more
    FROM unnest(%(counted_ids)s::BIGINT[], %(counted_mores)s::INTEGER[]) AS new (id, more) WHERE contexts.id = new.id"""


def _count(session: Session, made: Sequence[Numbered]) -> list[tuple[str, Mapping[str, Any]]]:
    """The highest number of each model, and its version once for each of its new versions. On PostgreSQL what does it."""
    of_models: dict[int, list[Numbered]] = {}
    for one in made:
        of_models.setdefault(one.new.model, []).append(one)
    counted = [
        (model, max(one.number for one in own), max(one.new.now for one in own), len(own))
        for model, own in sorted(of_models.items())
    ]
    if session.dialect == "postgresql":
        names = ("counted_ids", "counted_lasts", "counted_nows", "counted_mores")
        given = dict(zip(names, map(array_text, zip(*counted, strict=True)), strict=True))
        return [(_COUNTED_TOGETHER, given), (_BUMPED_TOGETHER, given)]
    session.execute(_COUNTED, [{"model_id": model, "last": last, "now": now} for model, last, now, _ in counted])
    session.execute(_BUMPED, [{"model_id": model, "more": more} for model, _, _, more in counted])
    return []


def _values_of_producers(session: Session, made: Sequence[Numbered]) -> Any:
    """Gives a version's metrics and params, which are its producer's."""
    producers = sorted({one.producer.id for one in made if one.producer is not None})
    metrics = latest_values(session, producers)
    pairs = tagging.read_pairs(session, params, NodeKind.CONTEXT, producers)

    def values(one: Numbered) -> tuple[Mapping[str, Point], Mapping[str, str]]:
        run = 0 if one.producer is None else one.producer.id
        return metrics.get(run, {}), pairs.get(run, {})

    return values


def name_key(model: int, name: str) -> str:
    """Raises InvalidName: too long for the doors that show it with the model's id."""
    key = f"{model}:{check_name(name)}"
    if len(key) > MAX_KEY:
        raise InvalidName(f"name has {len(name)} characters, at most {MAX_KEY - len(key) + len(name)} are allowed", field="name")
    return key


def check_texts(**texts: str | None) -> None:
    """Raises InvalidArgument."""
    for name, text in texts.items():
        check_text(text or "", name, limit=512 if name in {"author_name", "run_text"} else tagging.MAX_VALUE)
