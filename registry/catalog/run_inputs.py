"""The datasets that runs read, as MLflow shows them: with the run, not as records of their own."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.datasets import log_dataset
from registry.catalog.runs import Run
from registry.db.session import Session
from registry.names import INPUT_EVENTS, EventType
from registry.tables.graph import events
from registry.tables.models import dataset_versions, datasets


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


def log_inputs(session: Session, actor: Actor, run: str, inputs: Sequence[DatasetInput], *, now: int) -> None:
    """The run (32 hex) read them. Said again it changes nothing, the tags neither. Raises as `log_dataset`."""
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


def find_inputs(session: Session, runs: Sequence[Run]) -> dict[int, list[DatasetInput]]:
    """By the run's id, in the order in which they were said. One statement, none for runs that never read or wrote anything."""
    by_execution = {run.execution: run.id for run in runs if run.execution is not None}
    found: dict[int, list[DatasetInput]] = {}
    if not by_execution:
        return found
    query = (
        sa.select(events.c.execution, events.c.tags, dataset_versions, datasets.c.name)
        .join(dataset_versions, dataset_versions.c.id == events.c.artifact)
        .join(datasets, datasets.c.id == dataset_versions.c.dataset)
        .where(events.c.execution.in_(list(by_execution)), events.c.type.in_(INPUT_EVENTS))
        .order_by(events.c.id)
    )
    for row in session.all(query):
        tags = {} if row.tags is None else json.loads(row.tags)
        one = DatasetInput(row.name, row.digest, row.source_type, row.source, row.schema_text, row.profile_text, tags)
        found.setdefault(by_execution[row.execution], []).append(one)
    return found
