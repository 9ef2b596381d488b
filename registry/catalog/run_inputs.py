"""What runs read and made, as MLflow shows it: with the run, not as records of their own. Datasets, and logged models."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.datasets import log_dataset
from registry.catalog.logged_models import find_ids
from registry.catalog.runs import Run
from registry.catalog.uses import link
from registry.db.session import Session
from registry.errors import NotFound
from registry.names import INPUT_EVENTS, OUTPUT_EVENTS, EventType
from registry.tables.graph import events
from registry.tables.models import dataset_versions, datasets, logged_models
from registry.tables.runs import runs as runs_table

MAX_SUMMARIES = 1_000


@dataclass(frozen=True)
class DatasetInput:
    """`digest`: the client's own word for the content; `tags` are of the input, not of the dataset."""

    name: str
    digest: str
    source_type: str | None
    source: str | None
    schema: str | None
    profile: str | None
    tags: Mapping[str, str]


@dataclass(frozen=True)
class ModelOutput:
    """`step`: of the training that made it."""

    model_id: str
    step: int


@dataclass
class RunUses:
    """In the order in which they were said."""

    datasets: list[DatasetInput] = field(default_factory=list)
    read: list[str] = field(default_factory=list)
    made: list[ModelOutput] = field(default_factory=list)


@dataclass(frozen=True)
class DatasetSummary:
    """What the runs of an experiment read it for; `context` None: they did not say."""

    experiment: int
    name: str
    digest: str
    context: str | None


def log_inputs(
    session: Session, actor: Actor, run: str, inputs: Sequence[DatasetInput], models: Sequence[str] = (), *, now: int
) -> None:
    """The run (32 hex) read them. Said again it changes nothing, the tags neither.

    Raises as `log_dataset`; NotFound: a logged model is not here.
    """
    for one in inputs:
        log_dataset(
            session,
            actor,
            run,
            one.name,
            now=now,
            tags=one.tags,
            type=EventType.INPUT,
            digest=one.digest,
            source_type=one.source_type,
            source=one.source,
            schema=one.schema,
            profile=one.profile,
        )
    for artifact in _artifacts(session, actor, models).values():
        link(session, actor, artifact, run, EventType.INPUT, now=now)


def log_outputs(session: Session, actor: Actor, run: str, models: Sequence[ModelOutput], *, now: int) -> None:
    """The run (32 hex) made them. Said again it changes nothing, the step neither.

    Raises NotFound (the run or a model is not here), NotWritable (the run is deleted).
    """
    found = _artifacts(session, actor, [one.model_id for one in models])
    for one in models:
        link(session, actor, found[one.model_id], run, EventType.OUTPUT, now=now, index=one.step)


def _artifacts(session: Session, actor: Actor, models: Sequence[str]) -> dict[str, int]:
    found = find_ids(session, actor, models)
    for model_id in models:
        if model_id not in found:
            raise NotFound("logged model", model_id)
    return {model_id: found[model_id] for model_id in models}


def find_uses(session: Session, runs: Sequence[Run]) -> dict[int, RunUses]:
    """By the run's id. One statement, none for runs that never read or wrote anything."""
    by_execution = {run.execution: run.id for run in runs if run.execution is not None}
    found: dict[int, RunUses] = {}
    if not by_execution:
        return found
    for row in session.all(_USES, {"executions": list(by_execution)}):
        uses = found.setdefault(by_execution[row.execution], RunUses())
        if row.name is not None and row.type in INPUT_EVENTS:
            tags = {} if row.tags is None else json.loads(row.tags)
            one = DatasetInput(row.name, row.digest, row.source_type, row.source, row.schema_text, row.profile_text, tags)
            uses.datasets.append(one)
        elif row.model_id is not None and row.type == EventType.INPUT:
            uses.read.append(row.model_id)
        elif row.model_id is not None and row.type in OUTPUT_EVENTS:
            steps = [step for step in json.loads(row.path or b"[]") if isinstance(step, int)]
            uses.made.append(ModelOutput(row.model_id, steps[-1] if steps else 0))
    return found


_USES = (
    sa.select(events.c.execution, events.c.type, events.c.path, events.c.tags, dataset_versions, datasets.c.name)
    .add_columns(logged_models.c.model_id)
    .join(dataset_versions, dataset_versions.c.id == events.c.artifact, isouter=True)
    .join(datasets, datasets.c.id == dataset_versions.c.dataset, isouter=True)
    .join(logged_models, logged_models.c.id == events.c.artifact, isouter=True)
    .where(events.c.execution.in_(sa.bindparam("executions", expanding=True)))
    .order_by(events.c.id)
)


def summarise_datasets(session: Session, actor: Actor, experiments: Sequence[int]) -> list[DatasetSummary]:
    """What runs of the experiments read, each once; at most 1,000. One statement."""
    query = (
        sa.select(runs_table.c.experiment, datasets.c.name, dataset_versions.c.digest, events.c.purpose)
        .join(events, events.c.execution == runs_table.c.execution)
        .join(dataset_versions, dataset_versions.c.id == events.c.artifact)
        .join(datasets, datasets.c.id == dataset_versions.c.dataset)
        .where(runs_table.c.workspace == actor.workspace, runs_table.c.experiment.in_(experiments))
        .where(events.c.type.in_(INPUT_EVENTS))
        .distinct()
        .order_by(runs_table.c.experiment, datasets.c.name, dataset_versions.c.digest, events.c.purpose)
        .limit(MAX_SUMMARIES)
    )
    return [DatasetSummary(row.experiment, row.name, row.digest, row.purpose) for row in session.all(query)]
