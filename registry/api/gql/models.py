"""Registered models, their versions, and the history of their aliases and stages."""

from collections.abc import Mapping, Sequence
from typing import Any

import graphene

from registry.api.gql import words
from registry.api.gql.artifacts import Artifact
from registry.api.gql.cohorts import Context, One, by_id, parent, values
from registry.api.gql.connections import Connection, Edge, checked_first, connection, last_id, members, page_arguments
from registry.api.gql.lineages import LineageGraph, walk_arguments, walked
from registry.api.gql.nodes import TYPES, Node, Record, readable
from registry.api.gql.runs import Run, run_of
from registry.api.gql.scalars import Int64
from registry.api.gql.values import checked_keys, keys_argument, metric_list, pair_list, pairs
from registry.api.gql.words import word
from registry.catalog import artifacts, model_creation, models, relations, targets, version_reads
from registry.catalog.actors import Actor
from registry.catalog.runs import Fields
from registry.catalog.targets import Move
from registry.db.session import Session
from registry.filtering.keyset import token_of
from registry.names import IdPrefix, own_id

HEAD = Fields([], [], [])


def get_heads(session: Session, actor: Actor, ids: Sequence[int]) -> list[version_reads.ModelVersion]:
    return version_reads.get_versions(session, actor, ids, HEAD)


def _version_values(one: One[version_reads.ModelVersion], info: Any, name: str, keys: Sequence[str] | None) -> Mapping[str, Any]:
    """Metrics, params or tags of the version, read for its whole cohort."""
    context: Context = info.context
    wanted = checked_keys(keys)
    of: dict[str, Any] = {"metrics": [], "params": [], "tags": []} | {name: wanted}

    def load(ids: Sequence[int]) -> dict[int, Mapping[str, Any]]:
        found = version_reads.get_versions(context.session, context.actor, ids, Fields(**of))
        return {version.id: getattr(version, name) for version in found}

    if wanted == ():
        return {}
    return values(one, (name, wanted), load, {})


class Alias(graphene.ObjectType):
    alias = graphene.String(required=True)
    number = graphene.Int(required=True, description="Of the version that it names.")


class TargetMove(graphene.ObjectType):
    """An alias or a stage that went from one version to another."""

    kind = words.TargetKind(required=True)
    target = graphene.String(required=True, description="The alias or the stage.")
    from_version = graphene.Field(lambda: ModelVersion)
    to_version = graphene.Field(lambda: ModelVersion)
    actor = graphene.String(required=True)
    reason = graphene.String()
    at = Int64(required=True)

    def resolve_kind(self: Any, info: Any) -> str | None:
        return word(self.kind)

    def resolve_from_version(self: Any, info: Any) -> Any:
        return parent(self, info.context, "from", lambda move: move.from_version, get_heads)

    def resolve_to_version(self: Any, info: Any) -> Any:
        return parent(self, info.context, "to", lambda move: move.to_version, get_heads)


class RegisteredModel(Record):
    """A named line of versions."""

    class Meta:
        interfaces = (Node,)

    name = graphene.String(required=True)
    description = graphene.String()
    owner = graphene.String()
    lifecycle = words.Lifecycle(required=True)
    last_number = graphene.Int(required=True, description="The highest number ever given.")
    aliases = graphene.List(graphene.NonNull(Alias), required=True)
    tags = pair_list()
    created_at = Int64(required=True)
    updated_at = Int64(required=True)
    versions = graphene.Field(
        lambda: ModelVersionConnection, required=True, **page_arguments(), description="Those that are not deleted, newest first."
    )
    moves = graphene.Field(
        lambda: TargetMoveConnection, required=True, **page_arguments(), description="Of its aliases and stages, newest first."
    )
    deployments = graphene.Field("registry.api.gql.serving.DeploymentConnection", required=True, **page_arguments())

    def resolve_lifecycle(self: Any, info: Any) -> str | None:
        return word(self.lifecycle)

    def resolve_aliases(self: Any, info: Any) -> Any:
        return [{"alias": alias, "number": number} for alias, number in self.aliases.items()]

    def resolve_tags(self: Any, info: Any) -> Any:
        return pairs(self.tags)

    def resolve_versions(self: Any, info: Any, first: int, after: str | None = None) -> Connection:
        return members(self, info, relations.versions_of_models, get_heads, first=first, after=after)

    def resolve_moves(self: Any, info: Any, first: int, after: str | None = None) -> Connection:
        context: Context = info.context
        query = ("moves", context.actor.workspace, self.record.id)
        before, limit = last_id(after, *query), checked_first(first)

        def load(models: Sequence[model_creation.RegisteredModel]) -> tuple[dict[int, list[Move]], dict[int, One[Move]]]:
            ids = [model.id for model in models]
            found = targets.moves_of_models(context.session, context.actor, ids, before=before, limit=limit + 1)
            return found, by_id(move for moves in found.values() for move in moves)

        found, ones = self.cohort.once(("moves", limit, before), load)
        own = found.get(self.record.id, [])
        edges = [Edge(ones[move.id], token_of([move.id], *query)) for move in own[:limit]]
        return Connection(edges, len(own) > limit, bool(after), None)

    def resolve_deployments(self: Any, info: Any, first: int, after: str | None = None) -> Connection:
        from registry.catalog.deployments import get_deployments

        return members(self, info, relations.deployments_of_models, get_deployments, first=first, after=after)


class ModelVersion(Record):
    """A numbered version of a registered model. Shows its run's metrics and params with its own in their place."""

    class Meta:
        interfaces = (Node,)

    model = graphene.Field(RegisteredModel, required=True)
    model_name = graphene.String(required=True)
    number = graphene.Int(required=True)
    name = graphene.String(required=True)
    description = graphene.String()
    author = graphene.String()
    lifecycle = words.Lifecycle(required=True)
    readiness = words.Readiness(required=True)
    status_message = graphene.String()
    stage = graphene.String()
    aliases = graphene.List(graphene.NonNull(graphene.String), required=True)
    source = graphene.String()
    digest = graphene.String(description="SHA-256 of its files; null while unverified.")
    run_id = graphene.ID()
    run = graphene.Field(Run, description="That it was made by.")
    artifact_id = graphene.ID()
    artifact = graphene.Field(Artifact, description="Its files.")
    created_at = Int64(required=True)
    updated_at = Int64(required=True)
    metrics = metric_list(keys=keys_argument())
    params = pair_list(keys=keys_argument())
    tags = pair_list(keys=keys_argument())
    deployments = graphene.Field(
        "registry.api.gql.serving.DeploymentConnection", required=True, **page_arguments(), description="Pinned to it."
    )
    lineage = graphene.Field(LineageGraph, required=True, **walk_arguments())

    def resolve_model(self: Any, info: Any) -> Any:
        return parent(self, info.context, "model", lambda version: version.model, models.get_models)

    def resolve_author(self: Any, info: Any) -> Any:
        return self.author_name

    def resolve_lifecycle(self: Any, info: Any) -> str | None:
        return word(self.lifecycle)

    def resolve_readiness(self: Any, info: Any) -> str | None:
        return word(self.readiness)

    def resolve_run_id(self: Any, info: Any) -> Any:
        return self.record.run

    def resolve_run(self: Any, info: Any) -> Any:
        return run_of(self, info.context, "run", lambda version: version.run)

    def resolve_artifact_id(self: Any, info: Any) -> str | None:
        return None if self.record.artifact is None else own_id(IdPrefix.ARTIFACT, self.record.artifact)

    def resolve_artifact(self: Any, info: Any) -> Any:
        return parent(self, info.context, "artifact", lambda version: version.artifact, artifacts.get_artifacts)

    def resolve_metrics(self: Any, info: Any, keys: Sequence[str] | None = None) -> Any:
        return list(_version_values(self, info, "metrics", keys).values())

    def resolve_params(self: Any, info: Any, keys: Sequence[str] | None = None) -> Any:
        return pairs(_version_values(self, info, "params", keys))

    def resolve_tags(self: Any, info: Any, keys: Sequence[str] | None = None) -> Any:
        return pairs(_version_values(self, info, "tags", keys))

    def resolve_deployments(self: Any, info: Any, first: int, after: str | None = None) -> Connection:
        from registry.catalog.deployments import get_deployments

        return members(self, info, relations.deployments_of_versions, get_deployments, first=first, after=after)

    def resolve_lineage(self: Any, info: Any, **walk: Any) -> Any:
        return walked(info.context, self.own_id, **walk)


RegisteredModelConnection: Any = connection("RegisteredModel", RegisteredModel)
ModelVersionConnection: Any = connection("ModelVersion", ModelVersion)
TargetMoveConnection: Any = connection("TargetMove", TargetMove, counted=False)

TYPES |= {model_creation.RegisteredModel: RegisteredModel, version_reads.ModelVersion: ModelVersion}
readable(IdPrefix.MODEL, models.get_models)
readable(IdPrefix.VERSION, get_heads)
