"""What a picture shows of a node: flat cards, read in bulk, one statement per kind of node."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from lineage.graph import Node, NodeCard, NodeKind
from registry.catalog import node_types
from registry.catalog.lineage_edges import BATCH
from registry.catalog.lineage_selects import SHARED, WORKSPACE, number
from registry.db.row_reads import RowRead, Rows, among
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

    __hash__ = str.__hash__


_BUILT_IN = {type.id: type.name for type in node_types.BUILT_IN.values()}
_ARTIFACT_KINDS = {int(kind): CardKind.ARTIFACT for kind in ArtifactKind} | {
    int(ArtifactKind.DATASET): CardKind.DATASET,
    int(ArtifactKind.MODEL): CardKind.MODEL,
    int(ArtifactKind.LOGGED_MODEL): CardKind.MODEL,
}
_READINESS = {None: "ready"} | {int(one): one.name.lower() for one in Readiness}
_ARTIFACT_ID, _STEP_ID, _EXECUTION_ID = (f"{one.value}_" for one in (IdPrefix.ARTIFACT, IdPrefix.STEP, IdPrefix.EXECUTION))
_STATUS = {None: None} | {int(one): one.name.lower() for one in Status}


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
        for kind, (read, cards_of) in _READERS.items():
            wanted = {node.id: node for node in nodes if node.kind is kind}
            ids = list(wanted)
            for begin in range(0, len(ids), BATCH):
                rows = read.run(self.session, ids[begin : begin + BATCH], workspace=self.workspace)
                found.update({card.node: card for card in cards_of(wanted, rows)})
        return found


def _of_artifacts() -> sa.Select[Any]:
    joined = (
        sa.join(artifacts, types, types.c.id == artifacts.c.type_id, isouter=True)
        .join(dataset_versions, dataset_versions.c.id == artifacts.c.id, isouter=True)
        .join(datasets, datasets.c.id == dataset_versions.c.dataset, isouter=True)
    )
    return (
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
            types.c.name,
            datasets.c.id,
            datasets.c.name,
        )
        .select_from(joined)
        .where(among(artifacts.c.id), (artifacts.c.workspace + number(0)).in_((WORKSPACE, number(SHARED))))
    )


def _artifact_cards(nodes: Mapping[int, Node], rows: Rows) -> Iterable[NodeCard]:
    for (
        id, kind, type_id, name, display_name, port, uri, readiness, created_at, deleted_at, type_name, dataset, dataset_name
    ) in rows:  # fmt: skip
        shown = f"{_ARTIFACT_ID}{id}"
        yield NodeCard(
            nodes[id],
            _ARTIFACT_KINDS[kind],
            dataset_name or display_name or name or port or (uri or "").rstrip("/").rpartition("/")[2] or shown,
            _BUILT_IN.get(type_id, type_name),
            _READINESS[readiness],
            created_at,
            shown,
            None if dataset is None else own_id(IdPrefix.DATASET, dataset),
            deleted_at is not None,
        )


def _of_executions() -> sa.Select[Any]:
    joined = (
        sa.join(executions, types, types.c.id == executions.c.type_id, isouter=True)
        .join(steps, steps.c.id == executions.c.id, isouter=True)
        .join(runs, runs.c.id == steps.c.run, isouter=True)
    )
    return (
        sa.select(
            executions.c.id,
            executions.c.type_id,
            executions.c.name,
            executions.c.created_at,
            executions.c.deleted_at,
            types.c.name,
            steps.c.id,
            steps.c.name,
            steps.c.display_name,
            steps.c.status,
            runs.c.hex,
        )
        .select_from(joined)
        .where(among(executions.c.id), executions.c.workspace + number(0) == WORKSPACE)
    )


def _execution_cards(nodes: Mapping[int, Node], rows: Rows) -> Iterable[NodeCard]:
    for id, type_id, name, created_at, deleted_at, type_name, step, step_name, display_name, status, hex in rows:
        shown = f"{_EXECUTION_ID if step is None else _STEP_ID}{id}"
        yield NodeCard(
            nodes[id],
            CardKind.EXECUTION if step is None else CardKind.STEP,
            display_name or step_name or name or shown,
            _BUILT_IN.get(type_id, type_name),
            _STATUS[status],
            created_at,
            shown,
            None if hex is None else f"run_{hex}",
            deleted_at is not None,
        )


def _of_contexts() -> sa.Select[Any]:
    joined = (
        sa.join(contexts, types, types.c.id == contexts.c.type_id, isouter=True)
        .join(runs, runs.c.id == contexts.c.id, isouter=True)
        .join(model_versions, model_versions.c.id == contexts.c.id, isouter=True)
        .join(registered_models, registered_models.c.id == model_versions.c.model, isouter=True)
        .join(deployments, deployments.c.id == contexts.c.id, isouter=True)
    )
    lifecycle = sa.func.coalesce(runs.c.lifecycle, model_versions.c.lifecycle, deployments.c.lifecycle)
    return (
        sa.select(
            contexts.c.id,
            contexts.c.type_id,
            contexts.c.created_at,
            types.c.name,
            lifecycle.label("lifecycle"),
            runs.c.hex,
            runs.c.name,
            runs.c.status,
            model_versions.c.model,
            model_versions.c.number,
            model_versions.c.readiness,
            registered_models.c.name,
            deployments.c.name,
            deployments.c.actual_state,
            deployments.c.desired_state,
            deployments.c.environment,
        )
        .select_from(joined)
        .where(among(contexts.c.id), contexts.c.workspace + number(0) == WORKSPACE, lifecycle.is_not(None))
    )


def _context_cards(nodes: Mapping[int, Node], rows: Rows) -> Iterable[NodeCard]:
    for id, type_id, created_at, type_name, lifecycle, *own in rows:
        kind, name, status, shown, group = _context_words(id, lifecycle, own)
        is_deleted = lifecycle == Lifecycle.DELETED
        type = _BUILT_IN.get(type_id, type_name)
        yield NodeCard(nodes[id], kind, name, type, status, created_at, shown, group, is_deleted)


def _context_words(id: int, lifecycle: int, own: Sequence[Any]) -> tuple[CardKind, str, str | None, str, str | None]:
    """Kind, name, status, id and group."""
    hex, run_name, status, model, number, readiness, model_name, name, actual_state, desired_state, environment = own
    if hex is not None:
        return CardKind.RUN, run_name, _STATUS[status], f"run_{hex}", None
    if number is not None:
        word = Lifecycle.ARCHIVED.name.lower() if lifecycle == Lifecycle.ARCHIVED else _READINESS[readiness]
        of_model = own_id(IdPrefix.MODEL, model)
        return CardKind.MODEL_VERSION, f"{model_name or of_model}/{number}", word, own_id(IdPrefix.VERSION, id), of_model
    state = actual_state or DesiredState(desired_state).name.lower()
    group = own_id(IdPrefix.ENVIRONMENT, environment)
    return CardKind.DEPLOYMENT, name, state, own_id(IdPrefix.DEPLOYMENT, id), group


_READERS: dict[NodeKind, tuple[RowRead, Callable[[Mapping[int, Node], Rows], Iterable[NodeCard]]]] = {
    NodeKind.ARTIFACT: (RowRead(_of_artifacts), _artifact_cards),
    NodeKind.CONTEXT: (RowRead(_of_contexts), _context_cards),
    NodeKind.EXECUTION: (RowRead(_of_executions), _execution_cards),
}
