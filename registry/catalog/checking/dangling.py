"""Rows that point at rows which are not there. There are no foreign keys: this is what they would have refused."""

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from registry.catalog import node_types
from registry.catalog.checking.problem import Problem, named
from registry.db.session import Session
from registry.names import FragmentKind, NodeKind, OwnerKind
from registry.tables import graph, metadata, metrics, models, runs, service, targets

LIMIT = 100
"""Problems listed per reference: a broken store is not listed to its end."""

_USER_TYPES = (10, 999_999_999)


@dataclass(frozen=True)
class Reference:
    """`column` holds ids of `target`, where `only` holds; 0 and NULL mean none."""

    column: sa.Column[int]
    target: sa.Column[int]
    only: sa.ColumnElement[bool] | None = None


def _of_nodes(table: sa.Table, kind: str, node: str) -> list[Reference]:
    targets_by_kind = {NodeKind.CONTEXT: graph.contexts, NodeKind.EXECUTION: graph.executions, NodeKind.ARTIFACT: graph.artifacts}
    return [Reference(table.c[node], target.c.id, table.c[kind] == number) for number, target in targets_by_kind.items()]


def _of_owners(table: sa.Table) -> list[Reference]:
    return [
        Reference(table.c.owner, runs.runs.c.id, table.c.owner_kind == OwnerKind.RUN),
        Reference(table.c.owner, models.model_versions.c.id, table.c.owner_kind == OwnerKind.VERSION),
        Reference(table.c.owner, graph.artifacts.c.id, table.c.owner_kind == OwnerKind.LOGGED_MODEL),
    ]


def _of_types(table: sa.Table) -> Reference:
    return Reference(table.c.type_id, graph.types.c.id, table.c.type_id.between(*_USER_TYPES))


def _own_rows() -> list[Reference]:
    """The row of its own that a node of a built-in type has."""
    own = {
        node_types.EXPERIMENT: runs.experiments,
        node_types.RUN: runs.runs,
        node_types.MODEL: models.registered_models,
        node_types.VERSION: models.model_versions,
        node_types.ENVIRONMENT: models.environments,
        node_types.DEPLOYMENT: models.deployments,
    }
    found = [Reference(_CONTEXT, table.c.id, graph.contexts.c.type_id == type_id) for type_id, table in own.items()]
    return [*found, Reference(_EXECUTION, runs.steps.c.id, graph.executions.c.type_id == node_types.STEP)]


_CONTEXT, _EXECUTION, _ARTIFACT = graph.contexts.c.id, graph.executions.c.id, graph.artifacts.c.id
_VERSION, _MODEL, _RUN = models.model_versions.c.id, models.registered_models.c.id, runs.runs.c.id

REFERENCES = [
    *(
        Reference(table.c.workspace, service.workspaces.c.id)
        for table in sorted(metadata.tables.values(), key=lambda table: table.name)
        if "workspace" in table.c
    ),
    *(_of_types(table) for table in (graph.contexts, graph.executions, graph.artifacts)),
    *_own_rows(),
    Reference(graph.events.c.artifact, _ARTIFACT),
    Reference(graph.events.c.execution, _EXECUTION),
    Reference(graph.attributions.c.context, _CONTEXT),
    Reference(graph.attributions.c.artifact, _ARTIFACT),
    Reference(graph.associations.c.context, _CONTEXT),
    Reference(graph.associations.c.execution, _EXECUTION),
    Reference(graph.parent_contexts.c.child, _CONTEXT),
    Reference(graph.parent_contexts.c.parent, _CONTEXT),
    Reference(graph.derivations.c.source, _ARTIFACT),
    Reference(graph.derivations.c.target, _ARTIFACT),
    Reference(graph.artifacts.c.step, _EXECUTION),
    *_of_nodes(graph.links, "from_kind", "from_node"),
    *_of_nodes(graph.links, "to_kind", "to_node"),
    *_of_nodes(graph.tags, "kind", "node"),
    *_of_nodes(graph.params, "kind", "node"),
    *_of_nodes(graph.properties, "kind", "node"),
    Reference(graph.tags.c.name_id, graph.names.c.id),
    Reference(graph.params.c.name_id, graph.names.c.id),
    Reference(graph.properties.c.name_id, graph.names.c.id),
    Reference(metrics.series.c.name_id, graph.names.c.id),
    Reference(metrics.series.c.dataset, _ARTIFACT),
    Reference(metrics.series.c.source, _ARTIFACT),
    Reference(metrics.metric_definitions.c.name_id, graph.names.c.id),
    *_of_owners(metrics.series),
    *_of_owners(metrics.metric_points),
    Reference(runs.experiments.c.id, _CONTEXT),
    Reference(_RUN, _CONTEXT),
    Reference(runs.runs.c.experiment, runs.experiments.c.id),
    Reference(runs.runs.c.parent, _RUN),
    Reference(runs.runs.c.execution, _EXECUTION),
    Reference(runs.runs.c.pipeline, runs.pipelines.c.id),
    Reference(runs.steps.c.id, _EXECUTION),
    Reference(runs.steps.c.run, _RUN),
    Reference(runs.steps.c.parent, runs.steps.c.id),
    Reference(runs.objects.c.run, _RUN),
    Reference(runs.objects.c.step, runs.steps.c.id),
    Reference(runs.objects.c.deployment, models.deployments.c.id),
    Reference(runs.objects.c.experiment, runs.experiments.c.id),
    Reference(runs.objects.c.blob, service.blobs.c.id),
    Reference(runs.pipeline_versions.c.pipeline, runs.pipelines.c.id),
    Reference(runs.fragments.c.node, _RUN, runs.fragments.c.kind == FragmentKind.RUN_VALUES_JSON),
    Reference(_MODEL, _CONTEXT),
    Reference(_VERSION, _CONTEXT),
    Reference(models.model_versions.c.model, _MODEL),
    Reference(models.model_versions.c.run, _RUN),
    Reference(models.model_versions.c.artifact, _ARTIFACT),
    Reference(models.logged_models.c.id, _ARTIFACT),
    Reference(models.logged_models.c.experiment, runs.experiments.c.id),
    Reference(models.logged_models.c.run, _RUN),
    Reference(models.dataset_versions.c.id, _ARTIFACT),
    Reference(models.dataset_versions.c.dataset, models.datasets.c.id),
    Reference(models.environments.c.id, _CONTEXT),
    Reference(models.deployments.c.id, _CONTEXT),
    Reference(models.deployments.c.environment, models.environments.c.id),
    Reference(models.deployments.c.model, _MODEL),
    Reference(models.deployments.c.model_version, _VERSION),
    Reference(models.traffic.c.deployment, models.deployments.c.id),
    Reference(models.revisions.c.deployment, models.deployments.c.id),
    Reference(targets.aliases.c.model, _MODEL),
    Reference(targets.aliases.c.model_version, _VERSION),
    Reference(targets.stages.c.model, _MODEL),
    Reference(targets.stages.c.model_version, _VERSION),
    Reference(targets.target_moves.c.model, _MODEL),
    Reference(targets.target_moves.c.from_version, _VERSION),
    Reference(targets.target_moves.c.to_version, _VERSION),
    *_of_nodes(service.keys, "node_kind", "node"),
    *_of_nodes(service.id_aliases, "kind", "node"),
    Reference(service.audit_seals.c.event, service.audit_events.c.id),
    Reference(service.audit_waiting.c.event, service.audit_events.c.id),
    Reference(service.outbox.c.event, service.audit_events.c.id),
]


def check(session: Session) -> Iterator[Problem]:
    for reference in REFERENCES:
        table, column = reference.column.table, reference.column
        there = reference.target.table.alias("there")
        missing = (
            sa.select(*table.primary_key.columns, column.label("wanted"))
            .select_from(table.outerjoin(there, there.c[reference.target.name] == column))
            .where(column.is_not(None), column != 0, there.c[reference.target.name].is_(None))
            .limit(LIMIT)
        )
        if reference.only is not None:
            missing = missing.where(reference.only)
        for row in session.all(missing):
            gone = f"its {column.name} {row.wanted} is no row of {reference.target.table.name}"
            yield Problem(table.name, named(row[: len(table.primary_key)]), gone)
