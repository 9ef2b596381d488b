"""The root of the schema. A resolver calls one catalog function; what is not visible is null."""

from collections.abc import Sequence
from typing import Any

import graphene

from registry.api.gql import comparing, lineages, service, words
from registry.api.gql.artifacts import Artifact, ArtifactConnection, Dataset, DatasetConnection
from registry.api.gql.cohorts import Context, One, alone
from registry.api.gql.connections import Connection, listed, search_arguments, text
from registry.api.gql.lineages import ImpactConnection, LineageGraph, LineagePaths
from registry.api.gql.models import HEAD as NO_VALUES
from registry.api.gql.models import ModelVersion, ModelVersionConnection, RegisteredModel, RegisteredModelConnection
from registry.api.gql.nodes import Node, find_nodes
from registry.api.gql.runs import HEAD, Experiment, ExperimentConnection, Run, RunConnection, Step
from registry.api.gql.serving import Deployment, DeploymentConnection, Environment, EnvironmentConnection
from registry.catalog import (
    artifacts,
    compare,
    datasets,
    deployments,
    environments,
    experiments,
    models,
    objects,
    runs,
    version_reads,
)
from registry.errors import InvalidArgument
from registry.names import ArtifactKind, IdPrefix, Lifecycle, parse_id, parse_run_id

MAX_IDS = 100


def _optional(prefix: IdPrefix, id: str | None) -> int | None:
    return None if id is None else parse_id(prefix, id)


def _lifecycle(given: Any) -> Lifecycle:
    return Lifecycle[str(getattr(given, "value", given)).upper()]


def _lifecycle_argument() -> Any:
    return words.Lifecycle(required=True, default_value="active")


def _one(context: Context, id: str, prefix: IdPrefix) -> One[Any] | None:
    """Raises InvalidName: not an id of that prefix."""
    if prefix is IdPrefix.RUN:
        id = f"run_{parse_run_id(id)}"
    else:
        parse_id(prefix, id)
    return find_nodes(context, [id])[0]


def _by_id(type: Any, **arguments: Any) -> Any:
    return graphene.Field(type, id=graphene.ID(required=True), description="Null if it is not here.", **arguments)


class Query(graphene.ObjectType):
    node = graphene.Field(Node, id=graphene.ID(required=True), description="Any record by its id; null if it is not here.")
    nodes = graphene.List(
        Node,
        required=True,
        ids=graphene.List(graphene.NonNull(graphene.ID), required=True),
        description=f"In the order of the ids, at most {MAX_IDS}; null for each that is not here.",
    )
    experiment = graphene.Field(Experiment, id=graphene.ID(), name=graphene.String(), description="By its id or its name.")
    experiments = graphene.Field(ExperimentConnection, required=True, lifecycle=_lifecycle_argument(), **search_arguments())
    run = _by_id(Run)
    search_runs = graphene.Field(
        RunConnection,
        required=True,
        experiment=graphene.ID(description="Only those of this experiment."),
        lifecycle=_lifecycle_argument(),
        **search_arguments(),
        description="Those that the filter is true for; by id where no order is given.",
    )
    step = _by_id(Step)
    model = graphene.Field(RegisteredModel, id=graphene.ID(), name=graphene.String(), description="By its id or its name.")
    models = graphene.Field(RegisteredModelConnection, required=True, lifecycle=_lifecycle_argument(), **search_arguments())
    model_version = graphene.Field(
        ModelVersion,
        id=graphene.ID(),
        model=graphene.String(),
        number=graphene.Int(),
        alias=graphene.String(),
        description="By id, or by the model's name and a number or alias.",
    )
    versions = graphene.Field(
        ModelVersionConnection,
        required=True,
        model=graphene.ID(description="Only those of this model."),
        run=graphene.ID(description="Only those that this run made."),
        lifecycle=_lifecycle_argument(),
        **search_arguments(),
    )
    artifact = _by_id(Artifact)
    artifacts = graphene.Field(ArtifactConnection, required=True, kind=words.ArtifactKind(), **search_arguments())
    dataset = graphene.Field(
        Dataset,
        id=graphene.ID(),
        name=graphene.String(),
        namespace=graphene.String(required=True, default_value=""),
        description="By id or name.",
    )
    datasets = graphene.Field(DatasetConnection, required=True, **search_arguments())
    deployment = _by_id(Deployment)
    deployments = graphene.Field(
        DeploymentConnection,
        required=True,
        model=graphene.ID(),
        environment=graphene.ID(),
        lifecycle=_lifecycle_argument(),
        **search_arguments(),
    )
    environment = _by_id(Environment)
    environments = graphene.Field(EnvironmentConnection, required=True, **search_arguments())
    object = _by_id(service.KubernetesObject)
    objects = graphene.Field(
        service.KubernetesObjectConnection,
        required=True,
        kind=graphene.String(description="`Notebook`, `CronWorkflow`, `Trial`, …"),
        name=graphene.String(),
        **search_arguments(),
        description="The Kubernetes objects that reports told of.",
    )
    compare_runs = graphene.Field(comparing.Comparison, required=True, **comparing.compare_arguments())
    compare_model_versions = graphene.Field(comparing.Comparison, required=True, **comparing.compare_arguments())
    lineage = graphene.Field(
        LineageGraph,
        required=True,
        node=graphene.ID(required=True),
        **lineages.walk_arguments(),
        description="What a node comes from and what it went into, level by level; what was left out is said.",
    )
    lineage_paths = graphene.Field(
        LineagePaths, required=True, **lineages.path_arguments(), description="How two records hang together."
    )
    impact = graphene.Field(
        ImpactConnection,
        required=True,
        **lineages.impact_arguments(),
        description="Everything that depends on it (upstream: that it depends on), nearest first.",
    )

    def resolve_node(self: Any, info: Any, id: str) -> Any:
        return find_nodes(info.context, [id])[0]

    def resolve_nodes(self: Any, info: Any, ids: Sequence[str]) -> Any:
        if len(ids) > MAX_IDS:
            raise InvalidArgument(f"at most {MAX_IDS} ids", field="ids")
        return find_nodes(info.context, ids)

    def resolve_experiment(self: Any, info: Any, id: str | None = None, name: str | None = None) -> Any:
        context: Context = info.context
        if _exactly_one(id=id, name=name) == "id":
            return _one(context, str(id), IdPrefix.EXPERIMENT)
        return alone(experiments.find_experiment(context.session, context.actor, text(str(name), "name")))

    def resolve_experiments(self: Any, info: Any, lifecycle: Any, **search: Any) -> Connection:
        return listed(info, experiments.list_experiments, lifecycle=_lifecycle(lifecycle), **search)

    def resolve_run(self: Any, info: Any, id: str) -> Any:
        return _one(info.context, id, IdPrefix.RUN)

    def resolve_search_runs(self: Any, info: Any, lifecycle: Any, experiment: str | None = None, **search: Any) -> Connection:
        number = _optional(IdPrefix.EXPERIMENT, experiment)
        return listed(info, runs.list_runs, lifecycle=_lifecycle(lifecycle), experiment=number, fields=HEAD, **search)

    def resolve_step(self: Any, info: Any, id: str) -> Any:
        return _one(info.context, id, IdPrefix.STEP)

    def resolve_model(self: Any, info: Any, id: str | None = None, name: str | None = None) -> Any:
        context: Context = info.context
        if _exactly_one(id=id, name=name) == "id":
            return _one(context, str(id), IdPrefix.MODEL)
        return alone(models.find_model(context.session, context.actor, text(str(name), "name")))

    def resolve_models(self: Any, info: Any, lifecycle: Any, **search: Any) -> Connection:
        return listed(info, models.list_models, lifecycle=_lifecycle(lifecycle), **search)

    def resolve_model_version(
        self: Any,
        info: Any,
        id: str | None = None,
        model: str | None = None,
        number: int | None = None,
        alias: str | None = None,
    ) -> Any:
        context: Context = info.context
        if _exactly_one(id=id, model=model) == "id":
            return _one(context, str(id), IdPrefix.VERSION)
        found = models.find_model(context.session, context.actor, text(str(model), "model"))
        if found is None:
            return None
        by: dict[str, Any] = {"number": number, "alias": None if alias is None else text(alias, "alias")}
        return alone(version_reads.find_version(context.session, context.actor, found.id, **by, fields=NO_VALUES))

    def resolve_versions(
        self: Any, info: Any, lifecycle: Any, model: str | None = None, run: str | None = None, **search: Any
    ) -> Connection:
        of: dict[str, Any] = {"model": _optional(IdPrefix.MODEL, model), "run": None if run is None else parse_run_id(run)}
        return listed(info, version_reads.list_versions, lifecycle=_lifecycle(lifecycle), **of, fields=NO_VALUES, **search)

    def resolve_artifact(self: Any, info: Any, id: str) -> Any:
        return _one(info.context, id, IdPrefix.ARTIFACT)

    def resolve_artifacts(self: Any, info: Any, kind: Any = None, **search: Any) -> Connection:
        return listed(info, artifacts.list_artifacts, kind=None if kind is None else ArtifactKind[kind.value.upper()], **search)

    def resolve_dataset(self: Any, info: Any, namespace: str, id: str | None = None, name: str | None = None) -> Any:
        context: Context = info.context
        if _exactly_one(id=id, name=name) == "id":
            return _one(context, str(id), IdPrefix.DATASET)
        return alone(
            datasets.find_dataset(context.session, context.actor, text(str(name), "name"), namespace=text(namespace, "namespace"))
        )

    def resolve_datasets(self: Any, info: Any, **search: Any) -> Connection:
        return listed(info, datasets.list_datasets, **search)

    def resolve_deployment(self: Any, info: Any, id: str) -> Any:
        return _one(info.context, id, IdPrefix.DEPLOYMENT)

    def resolve_deployments(
        self: Any, info: Any, lifecycle: Any, model: str | None = None, environment: str | None = None, **search: Any
    ) -> Connection:
        of: dict[str, Any] = {
            "model": _optional(IdPrefix.MODEL, model),
            "environment": _optional(IdPrefix.ENVIRONMENT, environment),
        }
        return listed(info, deployments.list_deployments, lifecycle=_lifecycle(lifecycle), **of, **search)

    def resolve_environment(self: Any, info: Any, id: str) -> Any:
        return _one(info.context, id, IdPrefix.ENVIRONMENT)

    def resolve_environments(self: Any, info: Any, **search: Any) -> Connection:
        return listed(info, environments.list_environments, **search)

    def resolve_object(self: Any, info: Any, id: str) -> Any:
        return _one(info.context, id, IdPrefix.OBJECT)

    def resolve_objects(self: Any, info: Any, kind: str | None = None, name: str | None = None, **search: Any) -> Connection:
        of: dict[str, Any] = {key: text(value, key) for key, value in (("kind", kind), ("name", name)) if value is not None}
        return listed(info, objects.list_objects, **of, **search)

    def resolve_compare_runs(self: Any, info: Any, ids: Sequence[str], only_different: bool, baseline: str | None = None) -> Any:
        context: Context = info.context
        return compare.compare_runs(
            context.session,
            context.actor,
            [parse_run_id(id) for id in ids],
            baseline=None if baseline is None else parse_run_id(baseline),
            only_different=only_different,
        )

    def resolve_compare_model_versions(
        self: Any, info: Any, ids: Sequence[str], only_different: bool, baseline: str | None = None
    ) -> Any:
        context: Context = info.context
        return compare.compare_versions(
            context.session,
            context.actor,
            [parse_id(IdPrefix.VERSION, id) for id in ids],
            baseline=_optional(IdPrefix.VERSION, baseline),
            only_different=only_different,
        )

    def resolve_lineage(self: Any, info: Any, node: str, **walk: Any) -> Any:
        return lineages.walked(info.context, node, **walk)

    def resolve_lineage_paths(self: Any, info: Any, **between: Any) -> Any:
        return lineages.paths(info.context, **between)

    def resolve_impact(self: Any, info: Any, **of: Any) -> Connection:
        return lineages.impact(info.context, **of)


def _exactly_one(**given: str | None) -> str:
    """The name of the one that is given. Raises InvalidArgument."""
    names = [name for name, value in given.items() if value is not None]
    if len(names) != 1:
        raise InvalidArgument(f"give exactly one of {', '.join(given)}", field=next(iter(given)))
    return names[0]


schema = graphene.Schema(query=Query, types=list(service.ALL))
