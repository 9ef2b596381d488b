"""What a picture shows of a node: flat cards, read in bulk, one statement per kind of node."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from lineage.graph import Node, NodeCard, NodeKind
from registry.catalog import node_types
from registry.catalog.lineage_edges import BATCH, of, visible_artifacts
from registry.db.session import Session
from registry.names import ArtifactKind, DesiredState, IdPrefix, Lifecycle, Readiness, Status, own_id
from registry.tables.graph import artifacts, contexts, executions, types
from registry.tables.models import dataset_versions, datasets, deployments, model_versions, registered_models
from registry.tables.runs import runs, steps


class CardKind(StrEnum):
    """The words by which lineage is filtered."""

    ARTIFACT = "ARTIFACT"
    DATASET = "DATASET"
    DEPLOYMENT = "DEPLOYMENT"
    EXECUTION = "EXECUTION"
    MODEL = "MODEL"
    MODEL_VERSION = "MODEL_VERSION"
    RUN = "RUN"
    STEP = "STEP"


_BUILT_IN = {type.id: type.name for type in node_types.BUILT_IN.values()}
_ARTIFACT_KINDS = {
    ArtifactKind.DATASET: CardKind.DATASET,
    ArtifactKind.MODEL: CardKind.MODEL,
    ArtifactKind.LOGGED_MODEL: CardKind.MODEL,
}


@dataclass(frozen=True)
class SqlCards:
    """A `CardSource` over what one workspace may see."""

    session: Session
    workspace: int

    def cards(self, nodes: Sequence[Node]) -> Mapping[Node, NodeCard]:
        """See `CardSource.cards`. One statement per kind of node and 10,000 nodes. Deleted nodes are tombstones.

        Contexts that take no part in lineage (experiments, models, environments) have no card.
        """
        found: dict[Node, NodeCard] = {}
        for kind, read in _READERS.items():
            ids = [node.id for node in nodes if node.kind is kind]
            for begin in range(0, len(ids), BATCH):
                found |= {card.node: card for card in read(self.session, self.workspace, ids[begin : begin + BATCH])}
        return found


def _artifact_cards(session: Session, workspace: int, ids: list[int]) -> Iterator[NodeCard]:
    query = (
        sa.select(
            artifacts.c.id,
            artifacts.c.kind,
            artifacts.c.type_id,
            artifacts.c.name,
            artifacts.c.display_name,
            artifacts.c.port,
            artifacts.c.uri,
            artifacts.c.readiness,
            artifacts.c.created_at,
            artifacts.c.deleted_at,
            types.c.name.label("type_name"),
            datasets.c.id.label("dataset"),
            datasets.c.name.label("dataset_name"),
        )
        .join(types, types.c.id == artifacts.c.type_id, isouter=True)
        .join(dataset_versions, dataset_versions.c.id == artifacts.c.id, isouter=True)
        .join(datasets, datasets.c.id == dataset_versions.c.dataset, isouter=True)
        .where(artifacts.c.id.in_(ids), visible_artifacts(workspace))
    )
    for row in session.all(query):
        shown = own_id(IdPrefix.ARTIFACT, row.id)
        last = (row.uri or "").rstrip("/").rpartition("/")[2]
        yield NodeCard(
            Node(NodeKind.ARTIFACT, row.id),
            _ARTIFACT_KINDS.get(ArtifactKind(row.kind), CardKind.ARTIFACT),
            row.dataset_name or row.display_name or row.name or row.port or last or shown,
            type=_type(row),
            status=(Readiness.READY if row.readiness is None else Readiness(row.readiness)).name.lower(),
            created_at=row.created_at,
            shown_id=shown,
            group=None if row.dataset is None else own_id(IdPrefix.DATASET, row.dataset),
            deleted=row.deleted_at is not None,
        )


def _execution_cards(session: Session, workspace: int, ids: list[int]) -> Iterator[NodeCard]:
    query = (
        sa.select(
            executions.c.id,
            executions.c.type_id,
            executions.c.name,
            executions.c.created_at,
            executions.c.deleted_at,
            types.c.name.label("type_name"),
            steps.c.id.label("step"),
            steps.c.name.label("step_name"),
            steps.c.display_name,
            steps.c.status,
            runs.c.hex,
        )
        .join(types, types.c.id == executions.c.type_id, isouter=True)
        .join(steps, steps.c.id == executions.c.id, isouter=True)
        .join(runs, runs.c.id == steps.c.run, isouter=True)
        .where(executions.c.id.in_(ids), of(executions, workspace))
    )
    for row in session.all(query):
        is_step = row.step is not None
        shown = own_id(IdPrefix.STEP if is_step else IdPrefix.EXECUTION, row.id)
        yield NodeCard(
            Node(NodeKind.EXECUTION, row.id),
            CardKind.STEP if is_step else CardKind.EXECUTION,
            row.display_name or row.step_name or row.name or shown,
            type=_type(row),
            status=_status(row.status),
            created_at=row.created_at,
            shown_id=shown,
            group=None if row.hex is None else f"run_{row.hex}",
            deleted=row.deleted_at is not None,
        )


def _context_cards(session: Session, workspace: int, ids: list[int]) -> Iterator[NodeCard]:
    query = (
        sa.select(
            contexts.c.id,
            contexts.c.type_id,
            contexts.c.created_at,
            types.c.name.label("type_name"),
            sa.func.coalesce(runs.c.lifecycle, model_versions.c.lifecycle, deployments.c.lifecycle).label("lifecycle"),
            runs.c.hex,
            runs.c.name.label("run_name"),
            runs.c.status,
            model_versions.c.model,
            model_versions.c.number,
            model_versions.c.readiness,
            registered_models.c.name.label("model_name"),
            deployments.c.name.label("deployment_name"),
            deployments.c.actual_state,
            deployments.c.desired_state,
            deployments.c.environment,
        )
        .join(types, types.c.id == contexts.c.type_id, isouter=True)
        .join(runs, runs.c.id == contexts.c.id, isouter=True)
        .join(model_versions, model_versions.c.id == contexts.c.id, isouter=True)
        .join(registered_models, registered_models.c.id == model_versions.c.model, isouter=True)
        .join(deployments, deployments.c.id == contexts.c.id, isouter=True)
        .where(contexts.c.id.in_(ids), of(contexts, workspace))
    )
    for row in session.all(query):
        if row.lifecycle is not None:
            kind, name, status, shown, group = _context_words(row)
            yield NodeCard(
                Node(NodeKind.CONTEXT, row.id),
                kind,
                name,
                type=_type(row),
                status=status,
                created_at=row.created_at,
                shown_id=shown,
                group=group,
                deleted=row.lifecycle == Lifecycle.DELETED,
            )


def _context_words(row: sa.Row[Any]) -> tuple[CardKind, str, str | None, str, str | None]:
    """Kind, name, status, id and group."""
    if row.hex is not None:
        return CardKind.RUN, row.run_name, _status(row.status), f"run_{row.hex}", None
    if row.number is not None:
        status = Lifecycle.ARCHIVED if row.lifecycle == Lifecycle.ARCHIVED else Readiness(row.readiness)
        model = own_id(IdPrefix.MODEL, row.model)
        shown = own_id(IdPrefix.VERSION, row.id)
        return CardKind.MODEL_VERSION, f"{row.model_name or model}/{row.number}", status.name.lower(), shown, model
    state = row.actual_state or DesiredState(row.desired_state).name.lower()
    group = own_id(IdPrefix.ENVIRONMENT, row.environment)
    return CardKind.DEPLOYMENT, row.deployment_name, state, own_id(IdPrefix.DEPLOYMENT, row.id), group


def _status(value: int | None) -> str | None:
    return None if value is None else Status(value).name.lower()


def _type(row: sa.Row[Any]) -> str | None:
    found: str | None = _BUILT_IN.get(row.type_id, row.type_name)
    return found


_READERS = {
    NodeKind.ARTIFACT: _artifact_cards,
    NodeKind.CONTEXT: _context_cards,
    NodeKind.EXECUTION: _execution_cards,
}
