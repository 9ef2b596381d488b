"""Making registered models: what a call asks for, and what has queued in one set-based pass; on PostgreSQL two statements.

Whoever asks for a name that is taken is told so and writes nothing, alone or in a group: that is how MLflow's clients look
whether a model is there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from registry.catalog import node_types, tagging
from registry.catalog.actors import Actor
from registry.catalog.nodes import node_row
from registry.catalog.outbox import Event, event_rows
from registry.db.coalescing import Answers, HotKind
from registry.db.ids import below_limit
from registry.db.row_inserts import Plain, RowInsert, array_text, ignored, run_together, text_array
from registry.db.session import Session
from registry.errors import AlreadyExists, RegistryError
from registry.names import IdPrefix, Lifecycle, NodeKind, Origin, check_name, check_text, own_id
from registry.tables.graph import contexts
from registry.tables.models import registered_models


@dataclass(frozen=True)
class RegisteredModel:
    """`aliases`: alias to version number. `last_number`: the highest number ever given. `version` is the ETag."""

    id: int
    name: str
    description: str | None
    owner: str | None
    last_number: int
    lifecycle: Lifecycle
    origin: Origin
    aliases: Mapping[str, int]
    tags: Mapping[str, str]
    created_at: int
    updated_at: int
    mlflow_updated_at: int
    version: int

    @property
    def own_id(self) -> str:
        return own_id(IdPrefix.MODEL, self.id)


@dataclass(frozen=True)
class NewModel:
    actor: Actor
    name: str
    now: int
    description: str | None = None
    owner: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    origin: Origin = Origin.REST

    @property
    def key(self) -> tuple[int, str]:
        """What no two have. In this order all who make several write them."""
        return self.actor.workspace, self.name

    def check(self) -> None:
        """Raises InvalidArgument."""
        check_name(self.name)
        check_text(self.description or "", "description", limit=tagging.MAX_VALUE)
        check_text(self.owner or "", "owner", limit=512)
        tagging.check_tags(self.tags)

    def node(self, id: int) -> tuple[Plain, ...]:
        workspace, name = self.key
        return tuple(node_row(id, type_id=node_types.MODEL, workspace=workspace, now=self.now, name=name, name_key=name).values())

    def row(self, id: int) -> tuple[Plain, ...]:
        """In the order of the table's columns."""
        own = (self.name, self.description, self.owner, 0, int(Lifecycle.ACTIVE), int(self.origin))
        return (id, self.actor.workspace, *own, self.now)

    def event(self, id: int) -> Event:
        return Event(self.actor, "model.created", own_id(IdPrefix.MODEL, id), self.now, after={"name": self.name})

    def made(self, id: int) -> RegisteredModel:
        """As it would be read back."""
        return RegisteredModel(
            id=id,
            name=self.name,
            description=self.description,
            owner=self.owner,
            last_number=0,
            lifecycle=Lifecycle.ACTIVE,
            origin=self.origin,
            aliases={},
            tags=dict(sorted(self.tags.items())),
            created_at=self.now,
            updated_at=self.now,
            mlflow_updated_at=self.now,
            version=1,
        )


Answer = RegisteredModel | RegistryError
_Drawn = tuple[int, int, Sequence[int]]
"""The place of a model among those wanted, its id, and the two of its records."""


def create_models(session: Session, wanted: Sequence[NewModel]) -> Answers[RegisteredModel]:
    """Of each its model, or why there is none: InvalidArgument, AlreadyExists (a deleted model's name is free). Of several with
    one name the first is made. At most eight statements, one more with tags.
    """
    answers = _answers(wanted)
    good = _writable(wanted, answers)
    if not good:
        return _complete(answers)
    drawn = session.next_ids_of({"context": len(good), "record": 2 * len(good)})
    ids, records = drawn["context"], drawn["record"]
    there = set(ids)
    if _NAMED.run(session, [wanted[place].node(id) for place, id in zip(good, ids, strict=True)]) < len(good):
        there = set(session.scalars(sa.select(contexts.c.id).where(contexts.c.id.in_(ids))))
    made = []
    for at, (place, id) in enumerate(zip(good, ids, strict=True)):
        if id in there:
            made.append((place, id, records[2 * at : 2 * at + 2]))
        else:
            answers[place] = _taken(wanted[place])
    run_together(session, _rows(session, wanted, made))
    return _made(wanted, answers, made)


def create_at_once(session: Session, wanted: Sequence[NewModel]) -> Answers[RegisteredModel] | None:
    """Asks for ids of those whose name is free, and writes them all. None: somebody else took one of the names in between."""
    answers = _answers(wanted)
    good = _writable(wanted, answers)
    if len({wanted[place].key for place in good}) < len(good):
        return None
    made = _draw_free(session, wanted, good)
    for place in set(good) - {place for place, *_ in made}:
        answers[place] = _taken(wanted[place])
    if made:
        nodes = (_CONTEXTS, [wanted[place].node(id) for place, id, _ in made])
        try:
            run_together(session, [nodes, *_rows(session, wanted, made)])
        except sa.exc.IntegrityError:
            return None
    return _made(wanted, answers, made)


HOT_CREATE_MODEL: HotKind[NewModel, RegisteredModel] = HotKind(
    "create model", create_models, replayable=False, at_once=create_at_once
)

_COLUMNS = [column.name for column in contexts.columns]
_NAMED, _CONTEXTS = RowInsert(contexts, _COLUMNS, ignored), RowInsert(contexts, _COLUMNS)
_MODELS = RowInsert(registered_models, [column.name for column in registered_models.columns])
_FREE = f"""
    SELECT given.place - 1, nextval('ids_context'), nextval('ids_record'), nextval('ids_record')
    FROM unnest(%(workspaces)s::BIGINT[], %(names)s::TEXT[]) WITH ORDINALITY AS given (workspace, name, place)
    WHERE NOT EXISTS (
        SELECT 1 FROM contexts
        WHERE contexts.scope = given.workspace AND contexts.type_id = {int(node_types.MODEL)} AND contexts.name_key = given.name
    )"""  # noqa: S608  (a number of our own)


def _answers(wanted: Sequence[NewModel]) -> list[Answer | None]:
    answers: list[Answer | None] = []
    for new in wanted:
        try:
            new.check()
        except RegistryError as error:
            answers.append(error)
        else:
            answers.append(None)
    return answers


def _writable(wanted: Sequence[NewModel], answers: Sequence[Answer | None]) -> list[int]:
    """The places of those that nothing is wrong with, in the order in which they are written."""
    return sorted((place for place, answer in enumerate(answers) if answer is None), key=lambda place: wanted[place].key)


def _draw_free(session: Session, wanted: Sequence[NewModel], places: Sequence[int]) -> list[_Drawn]:
    if not places:
        return []
    keys = [wanted[place].key for place in places]
    given = {"workspaces": array_text([workspace for workspace, _ in keys]), "names": text_array([name for _, name in keys])}
    rows = sorted(session.rows(_FREE, given))
    below_limit("context", [id for _, id, *_ in rows])
    return [(places[at], id, records) for at, id, *records in rows]


def _rows(session: Session, wanted: Sequence[NewModel], made: Sequence[_Drawn]) -> list[Any]:
    """What belongs to them but their contexts."""
    tags: list[tagging.PairRow] = []
    for author in {wanted[place].actor.author for place, *_ in made}:
        tagged = {id: wanted[place].tags for place, id, _ in made if wanted[place].actor.author == author}
        tags += tagging.pair_rows(session, NodeKind.CONTEXT, tagged, author)
    events = [wanted[place].event(id) for place, id, _ in made]
    ids = [id for _, _, (id, _) in made] + [id for _, _, (_, id) in made]
    models = (_MODELS, [wanted[place].row(id) for place, id, _ in made])
    return [models, (tagging.TAGS, sorted(tags)), *event_rows(session, events, ids)]


def _made(wanted: Sequence[NewModel], answers: list[Answer | None], made: Sequence[_Drawn]) -> Answers[RegisteredModel]:
    for place, id, _ in made:
        answers[place] = wanted[place].made(id)
    return _complete(answers)


def _complete(answers: Sequence[Answer | None]) -> Answers[RegisteredModel]:
    return [answer for answer in answers if answer is not None]


def _taken(new: NewModel) -> AlreadyExists:
    return AlreadyExists("registered model", new.name)
