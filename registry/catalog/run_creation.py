"""Making runs: what a call asks for, one at a time with care, or what has queued in one set-based pass."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from registry.catalog import node_types, tagging
from registry.catalog.actors import Actor
from registry.catalog.nodes import node_row
from registry.catalog.run_lookup import RunRef, find_runs
from registry.catalog.runs import Run
from registry.db.row_inserts import RowInsert, run_together
from registry.db.session import Session
from registry.errors import AlreadyExists, NotFound, NotWritable, RegistryError
from registry.names import (
    IdPrefix,
    Lifecycle,
    NodeKind,
    Origin,
    Status,
    check_name,
    check_text,
    new_run_hex,
    own_id,
    run_hex_or_none,
)
from registry.tables.graph import contexts
from registry.tables.runs import experiments, runs
from storage.locations import under


@dataclass(frozen=True)
class NewRun:
    """`hex`: its id. `parent`: the id of a run that has to be there.

    `parent_text`: what MLflow's clients call its parent; a text that is no run's id is kept and names none.
    """

    actor: Actor
    now: int
    hex: str
    experiment: int | None = None
    name: str | None = None
    status: Status | None = Status.RUNNING
    started_at: int | None = None
    user_name: str | None = None
    parent: str | None = None
    parent_text: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    origin: Origin = Origin.REST

    @property
    def shown(self) -> str:
        return self.name or f"run-{self.hex[:8]}"

    @property
    def parent_hex(self) -> str | None:
        return self.parent or (None if self.parent_text is None else run_hex_or_none(self.parent_text))

    def check(self) -> None:
        """Raises InvalidArgument."""
        check_name(self.shown)
        check_text(self.user_name or "", "user", limit=512)
        tagging.check_tags(self.tags)


@dataclass(frozen=True)
class Home:
    """What a new run must know of its experiment."""

    name: str
    lifecycle: Lifecycle
    location: str | None


def create_run(session: Session, actor: Actor, *, now: int, experiment: int | None, hex: str | None = None, **fields: Any) -> int:
    """Make a run and return its context id; `fields` are those of `NewRun`. Four statements, five with tags.

    Raises:
        InvalidArgument: a text that cannot be kept.
        NotFound: the experiment or the parent is not in this workspace.
        NotWritable: the experiment is deleted.
        AlreadyExists: `hex` is taken.
    """
    new = NewRun(actor, now, hex or new_run_hex(), experiment, **fields)
    new.check()
    home = _homes(session, [new]).get((new.actor.workspace, new.experiment or 0))
    parent = _parents(session, [new]).get((new.actor.workspace, new.parent_hex or ""))
    refused = refusal(new, home, parent)
    if refused is not None:
        raise refused
    made = session.next_id("context")
    if not (
        session.insert_if_absent(runs, run_row(new, made, home, parent))
        and session.insert_if_absent(contexts, node_of(new, made))
    ):
        raise AlreadyExists("run", f"run_{new.hex}")
    if new.tags:
        tagging.set_tags(session, NodeKind.CONTEXT, {made: new.tags}, author=new.actor.author)
    return made


def create_runs(session: Session, wanted: Sequence[NewRun]) -> list[Run | RegistryError]:
    """Of each its run, or why there is none: InvalidArgument, NotFound, NotWritable. At most six statements.

    Raises:
        AlreadyExists: the only one's `hex` is taken. Of several this is SQLAlchemy's IntegrityError, and none is made.
    """
    answers: list[Run | RegistryError | None] = [wrong(new) for new in wanted]
    homes, parents = _homes(session, wanted), _parents(session, wanted)
    made: list[tuple[int, NewRun, Home | None, RunRef | None]] = []
    for index, new in enumerate(wanted):
        home = homes.get((new.actor.workspace, new.experiment or 0))
        parent = parents.get((new.actor.workspace, new.parent_hex or ""))
        answers[index] = answers[index] or refusal(new, home, parent)
        if answers[index] is None:
            made.append((index, new, home, parent))
    ids = session.next_ids("context", len(made))
    drawn = list(zip(ids, made, strict=True))
    tags: list[tagging.PairRow] = []
    for author in {new.actor.author for _, new, _, _ in made}:
        tagged = {id: new.tags for id, (_, new, _, _) in drawn if new.actor.author == author}
        tags += tagging.pair_rows(session, NodeKind.CONTEXT, tagged, author)
    rows = [tuple(run_row(new, id, home, parent).values()) for id, (_, new, home, parent) in drawn]
    nodes = [tuple(node_of(new, id).values()) for id, (_, new, _, _) in drawn]
    try:
        run_together(session, [(_RUNS, rows), (_CONTEXTS, nodes), (tagging.TAGS, sorted(tags))])
    except sa.exc.IntegrityError as error:
        if len(wanted) > 1:
            raise
        raise AlreadyExists("run", f"run_{wanted[0].hex}") from error
    for id, (index, new, home, parent) in drawn:
        answers[index] = made_run(new, id, home, parent)
    return [answer for answer in answers if answer is not None]


def wrong(new: NewRun) -> RegistryError | None:
    try:
        new.check()
    except RegistryError as error:
        return error
    return None


_HOMES = sa.select(
    experiments.c.id, experiments.c.workspace, experiments.c.name, experiments.c.lifecycle, experiments.c.artifact_location
).where(experiments.c.id.in_(sa.bindparam("ids", expanding=True)))


def _homes(session: Session, wanted: Sequence[NewRun]) -> dict[tuple[int, int], Home]:
    """By workspace and experiment."""
    ids = {new.experiment for new in wanted if new.experiment is not None}
    rows = session.all(_HOMES, {"ids": sorted(ids)}) if ids else ()
    return {(row.workspace, row.id): Home(row.name, Lifecycle(row.lifecycle), row.artifact_location) for row in rows}


def _parents(session: Session, wanted: Sequence[NewRun]) -> dict[tuple[int, str], RunRef]:
    pairs = {(new.actor.workspace, new.parent_hex) for new in wanted if new.parent_hex is not None}
    return find_runs(session, [(workspace, hex) for workspace, hex in pairs if hex], held=True) if pairs else {}


def refusal(new: NewRun, home: Home | None, parent: RunRef | None) -> RegistryError | None:
    if new.experiment is not None and home is None:
        return NotFound("experiment", own_id(IdPrefix.EXPERIMENT, new.experiment))
    if home is not None and home.lifecycle is Lifecycle.DELETED:
        return NotWritable(f"experiment {own_id(IdPrefix.EXPERIMENT, new.experiment or 0)} is deleted: restore it first")
    if new.parent is not None and parent is None:
        return NotFound("run", f"run_{new.parent}")
    return None


def run_row(new: NewRun, id: int, home: Home | None, parent: RunRef | None) -> dict[str, Any]:
    """In the order of the table's columns."""
    author = int(new.actor.author)
    return {
        "id": id,
        "workspace": new.actor.workspace,
        "hex": new.hex,
        "experiment": new.experiment,
        "experiment_author": author,
        "name": new.shown,
        "name_author": author,
        "status": None if new.status is None else int(new.status),
        "status_author": author,
        "phase": None,
        "started_at": new.now if new.started_at is None else new.started_at,
        "ended_at": None,
        "user_name": new.user_name,
        "parent": None if parent is None else parent.id,
        "parent_text": new.parent_text,
        "artifact_root": artifact_root(new, None if home is None else home.location),
        "lifecycle": int(Lifecycle.ACTIVE),
        "origin": int(new.origin),
        "execution": None,
        "pipeline": None,
        "final_at": new.now if new.status is not None and new.status.is_final else None,
    }


def node_of(new: NewRun, id: int) -> dict[str, Any]:
    key = f"{new.experiment or ''}:{new.hex}"
    return node_row(id, type_id=node_types.RUN, workspace=new.actor.workspace, now=new.now, name=new.shown, name_key=key)


def artifact_root(new: NewRun, location: str | None) -> str:
    """MLflow's runs keep their files under their experiment's location, all others under one folder."""
    if new.origin is not Origin.MLFLOW:
        return f"{new.actor.workspace_name}/runs/{new.hex}/artifacts"
    return under(location or f"{new.actor.workspace_name}/{new.experiment}", f"{new.hex}/artifacts")


_RUNS = RowInsert(runs, [column.name for column in runs.columns])
_CONTEXTS = RowInsert(contexts, [column.name for column in contexts.columns])


def made_run(new: NewRun, id: int, home: Home | None, parent: RunRef | None) -> Run:
    """As it would be read back."""
    row = run_row(new, id, home, parent)
    return Run(
        id=id,
        hex=new.hex,
        name=new.shown,
        experiment=new.experiment,
        experiment_name=None if home is None else home.name,
        status=new.status,
        phase=None,
        started_at=row["started_at"],
        ended_at=None,
        user_name=new.user_name,
        parent=None if parent is None else f"run_{parent.hex}",
        parent_text=new.parent_text,
        artifact_root=row["artifact_root"],
        lifecycle=Lifecycle.ACTIVE,
        origin=new.origin,
        execution=None,
        created_at=new.now,
        updated_at=new.now,
        version=1,
        metrics={},
        params={},
        tags=dict(sorted(new.tags.items())),
    )
