"""Rows that point at rows which are not there. There are no foreign keys: this is what they would have refused."""

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from registry.catalog.checking.problem import Problem
from registry.db.session import Session
from registry.names import NodeKind, OwnerKind
from registry.tables import graph, metrics, models, runs, service, targets

LIMIT = 100
"""Problems listed per reference: a broken store is not listed to its end."""


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


_CONTEXT, _EXECUTION, _ARTIFACT = graph.contexts.c.id, graph.executions.c.id, graph.artifacts.c.id
_VERSION, _MODEL, _RUN = models.model_versions.c.id, models.registered_models.c.id, runs.runs.c.id

REFERENCES = [
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
    Reference(runs.objects.c.blob, service.blobs.c.id),
    Reference(runs.pipeline_versions.c.pipeline, runs.pipelines.c.id),
    Reference(_MODEL, _CONTEXT),
    Reference(_VERSION, _CONTEXT),
    Reference(models.model_versions.c.model, _MODEL),
    Reference(models.model_versions.c.run, _RUN),
    Reference(models.model_versions.c.artifact, _ARTIFACT),
    Reference(models.dataset_versions.c.id, _ARTIFACT),
    Reference(models.dataset_versions.c.dataset, models.datasets.c.id),
    Reference(models.environments.c.id, _CONTEXT),
    Reference(models.deployments.c.id, _CONTEXT),
    Reference(models.deployments.c.environment, models.environments.c.id),
    Reference(models.deployments.c.model, _MODEL),
    Reference(models.deployments.c.model_version, _VERSION),
    Reference(models.traffic.c.deployment, models.deployments.c.id),
    Reference(targets.aliases.c.model, _MODEL),
    Reference(targets.aliases.c.model_version, _VERSION),
    Reference(targets.stages.c.model_version, _VERSION),
    *_of_nodes(service.keys, "node_kind", "node"),
    *_of_nodes(service.id_aliases, "kind", "node"),
    Reference(service.audit_seals.c.event, service.audit_events.c.id),
]


def check(session: Session) -> Iterator[Problem]:
    for reference in REFERENCES:
        target = reference.target.table.alias("target")
        query = (
            sa.select(reference.column)
            .distinct()
            .select_from(reference.column.table.outerjoin(target, target.c[reference.target.name] == reference.column))
            .where(reference.column.is_not(None), reference.column != 0, target.c[reference.target.name].is_(None))
            .limit(LIMIT)
        )
        if reference.only is not None:
            query = query.where(reference.only)
        for missing in session.scalars(query):
            name = reference.column.table.name
            yield Problem(name, f"{reference.column.name}={missing}", f"no such row in {reference.target.table.name}")
