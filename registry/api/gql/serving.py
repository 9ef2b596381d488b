"""Deployments and the environments that they live in."""

from typing import Any

import graphene

from registry.api.gql import words
from registry.api.gql.cohorts import parent, values
from registry.api.gql.connections import Connection, connection, members, page_arguments
from registry.api.gql.models import ModelVersion, RegisteredModel, get_heads
from registry.api.gql.nodes import TYPES, Node, Record, readable
from registry.api.gql.scalars import Double, Int64, Json
from registry.api.gql.values import pair_list, pairs
from registry.api.gql.words import word
from registry.catalog import deployments, environments, models, relations, traffic
from registry.catalog.objects import get_objects
from registry.catalog.revisions import Served, served_by
from registry.names import IdPrefix, own_id


class Environment(Record):
    """Where deployments live."""

    class Meta:
        interfaces = (Node,)

    name = graphene.String(required=True)
    description = graphene.String()
    lifecycle = words.Lifecycle(required=True)
    created_at = Int64(required=True)
    updated_at = Int64(required=True)
    deployments = graphene.Field(lambda: DeploymentConnection, required=True, **page_arguments())

    def resolve_lifecycle(self: Any, info: Any) -> str | None:
        return word(self.lifecycle)

    def resolve_deployments(self: Any, info: Any, first: int, after: str | None = None) -> Connection:
        find = relations.deployments_of_environments
        return members(self, info, find, deployments.get_deployments, first=first, after=after)


class Share(graphene.ObjectType):
    """How much of the traffic goes where."""

    version = graphene.ID(description="`mv_…`.")
    revision = graphene.String()
    uri = graphene.String(description="What its revision serves, where a report told of it.")
    percent = Double(required=True)
    tag = graphene.String()

    def resolve_version(self: Any, info: Any) -> str | None:
        number = self.get("version")
        return None if number is None else own_id(IdPrefix.VERSION, number)


class Revision(graphene.ObjectType):
    """What a revision serves, as reports told."""

    name = graphene.String(required=True)
    uri = graphene.String(required=True)
    version = graphene.ID(description="`mv_…` that lies there, or that the URI or a label names.")
    inferred = graphene.Boolean(required=True, description="Only the place says which version it is.")

    def resolve_version(self: Any, info: Any) -> str | None:
        return None if self.version is None else own_id(IdPrefix.VERSION, self.version)


class Traffic(graphene.ObjectType):
    """Who got which share from `at` on."""

    at = Int64(required=True)
    shares = graphene.List(graphene.NonNull(Share), required=True)

    def resolve_shares(self: Any, info: Any) -> Any:
        return list(self.shares)


class Deployment(Record):
    """A model served in an environment."""

    class Meta:
        interfaces = (Node,)

    name = graphene.String(required=True)
    description = graphene.String()
    environment = graphene.Field(Environment, required=True)
    environment_name = graphene.String(required=True)
    model = graphene.Field(RegisteredModel)
    model_name = graphene.String()
    version = graphene.Field(ModelVersion, description="That it is pinned to; null: it serves the model's newest.")
    version_number = graphene.Int()
    desired_state = words.DesiredState(required=True)
    actual_state = graphene.String(description="As the source says it.")
    runtime = graphene.String()
    url = graphene.String()
    uid = graphene.String()
    conditions = Json()
    shares = graphene.List(graphene.NonNull(Share), required=True, description="The newest traffic list.")
    revisions = graphene.List(graphene.NonNull(Revision), required=True, description="What each of its revisions serves.")
    history = graphene.List(
        graphene.NonNull(Traffic),
        required=True,
        at=Int64(description="Only the list in force at that time (ms)."),
        description="Traffic lists by time.",
    )
    objects = graphene.Field(
        "registry.api.gql.service.KubernetesObjectConnection",
        required=True,
        **page_arguments(),
        description="The Kubernetes objects that it comes from.",
    )
    lifecycle = words.Lifecycle(required=True)
    tags = pair_list()
    created_at = Int64(required=True)
    updated_at = Int64(required=True)

    def resolve_revisions(self: Any, info: Any) -> Any:
        none: list[Served] = []
        return values(self, "revisions", lambda ids: served_by(info.context.session, ids), none)

    def resolve_history(self: Any, info: Any, at: int | None = None) -> Any:
        none: list[traffic.Traffic] = []
        return values(self, ("history", at), lambda ids: traffic.read_histories(info.context.session, ids, at=at), none)

    def resolve_objects(self: Any, info: Any, first: int, after: str | None = None) -> Connection:
        return members(self, info, relations.objects_of_deployments, get_objects, first=first, after=after)

    def resolve_environment(self: Any, info: Any) -> Any:
        return parent(self, info.context, "environment", lambda one: one.environment, environments.get_environments)

    def resolve_model(self: Any, info: Any) -> Any:
        return parent(self, info.context, "model", lambda one: one.model, models.get_models)

    def resolve_version(self: Any, info: Any) -> Any:
        return parent(self, info.context, "version", lambda one: one.model_version, get_heads)

    def resolve_version_number(self: Any, info: Any) -> Any:
        return self.model_version_number

    def resolve_desired_state(self: Any, info: Any) -> str | None:
        return word(self.desired_state)

    def resolve_shares(self: Any, info: Any) -> Any:
        return list(self.shares)

    def resolve_lifecycle(self: Any, info: Any) -> str | None:
        return word(self.lifecycle)

    def resolve_tags(self: Any, info: Any) -> Any:
        return pairs(self.tags)


EnvironmentConnection: Any = connection("Environment", Environment)
DeploymentConnection: Any = connection("Deployment", Deployment)

TYPES |= {environments.Environment: Environment, deployments.Deployment: Deployment}
readable(IdPrefix.ENVIRONMENT, environments.get_environments)
readable(IdPrefix.DEPLOYMENT, deployments.get_deployments)
