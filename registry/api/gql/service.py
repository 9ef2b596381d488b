"""Pipelines, Kubernetes objects, workspaces, tokens, and nodes that only ML Metadata has a word for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import graphene

from registry.api.gql import words
from registry.api.gql.cohorts import Context, One, by_id, parent, values
from registry.api.gql.connections import connection
from registry.api.gql.models import get_heads as get_versions
from registry.api.gql.nodes import READERS, TYPES, Node, Record, numbered, readable
from registry.api.gql.runs import Experiment, Run, Step, get_heads
from registry.api.gql.scalars import Int64, Json
from registry.api.gql.serving import Deployment
from registry.api.gql.words import word
from registry.catalog import objects, pipelines, relations, tokens
from registry.catalog.actors import Actor
from registry.catalog.deployments import get_deployments
from registry.catalog.environments import get_environments
from registry.catalog.experiments import get_experiments
from registry.catalog.graph_reads import nodes_by_id
from registry.catalog.models import get_models
from registry.catalog.steps import get_steps
from registry.catalog.workspaces import list_workspaces
from registry.db.session import Session
from registry.errors import NotFound
from registry.names import IdPrefix, NodeKind, own_id


class Pipeline(Record):
    """What runs are made from."""

    class Meta:
        interfaces = (Node,)

    name = graphene.String(required=True)
    description = graphene.String()
    created_at = Int64(required=True)


class PipelineVersion(Record):
    class Meta:
        interfaces = (Node,)

    name = graphene.String(required=True)
    digest = graphene.String(description="SHA-256 of the spec as given; null without one.")
    created_at = Int64(required=True)
    pipeline = graphene.Field(Pipeline, required=True)

    def resolve_pipeline(self: Any, info: Any) -> Any:
        return parent(self, info.context, "pipeline", lambda version: version.pipeline, _one_by_one(pipelines.get_pipeline))


class KubernetesObject(Record):
    """That a run, step or deployment comes from, as the newest report said."""

    class Meta:
        interfaces = (Node,)

    cluster = graphene.String(required=True, description="Empty for the home cluster.")
    namespace = graphene.String(required=True)
    kind = graphene.String(required=True)
    name = graphene.String(required=True)
    uid = graphene.String()
    resource_version = graphene.String()
    phase = graphene.String()
    deleted = graphene.Boolean(required=True)
    received_at = Int64(required=True)
    owner_uid = graphene.String(description="Of the object that owns it.")
    run = graphene.Field(Run)
    step = graphene.Field(Step)
    deployment = graphene.Field(Deployment)
    experiment = graphene.Field(Experiment, description="The search that it is, or belongs to.")
    details = Json(
        required=True,
        description="What its newest report says and no other field shows: a schedule, replicas, texts.",
    )

    def resolve_experiment(self: Any, info: Any) -> Any:
        return parent(self, info.context, "experiment", lambda one: one.experiment, get_experiments)

    def resolve_details(self: Any, info: Any) -> Any:
        nothing: Mapping[str, Any] = {}
        return values(self, "details", lambda ids: objects.read_details(info.context.session, ids), nothing)

    def resolve_run(self: Any, info: Any) -> Any:
        return parent(self, info.context, "run", lambda one: one.run, get_heads)

    def resolve_step(self: Any, info: Any) -> Any:
        return parent(self, info.context, "step", lambda one: one.step, get_steps)

    def resolve_deployment(self: Any, info: Any) -> Any:
        return parent(self, info.context, "deployment", lambda one: one.deployment, get_deployments)


class Workspace(Record):
    class Meta:
        interfaces = (Node,)

    name = graphene.String(required=True)
    created_at = Int64(required=True)


class Token(Record):
    """An API token without its secret; for administrators."""

    class Meta:
        interfaces = (Node,)

    name = graphene.String(required=True)
    role = words.Role(required=True)
    created_by = graphene.String(required=True)
    created_at = Int64(required=True)
    expires_at = Int64()
    revoked_at = Int64()

    def resolve_role(self: Any, info: Any) -> str | None:
        return word(self.role)


class GraphNode(Record):
    """A context or execution that is no record of ours: ML Metadata's clients made it."""

    class Meta:
        interfaces = (Node,)

    name = graphene.String()
    type = graphene.String(required=True)
    created_at = Int64(required=True)
    updated_at = Int64(required=True)


@dataclass(frozen=True)
class _Workspace:
    id: int
    name: str
    created_at: int

    @property
    def own_id(self) -> str:
        return own_id(IdPrefix.WORKSPACE, self.id)


@dataclass(frozen=True)
class _GraphNode:
    id: int
    own_id: str
    name: str | None
    type: str
    created_at: int
    updated_at: int


def _one_by_one(get: Callable[[Session, Actor, int], Any]) -> Callable[[Session, Actor, Sequence[int]], list[Any]]:
    """For kinds of which nobody asks for many."""

    def read(session: Session, actor: Actor, ids: Sequence[int]) -> list[Any]:
        found = []
        for id in ids:
            try:
                found.append(get(session, actor, id))
            except NotFound:
                continue
        return found

    return read


def _own_workspace(session: Session, actor: Actor, ids: Sequence[int]) -> list[_Workspace]:
    """The actor's; others are not here."""
    return [_Workspace(*row) for row in list_workspaces(session) if row[0] in ids and row[0] == actor.workspace]


def _tokens(session: Session, actor: Actor, ids: Sequence[int]) -> list[tokens.Token]:
    """Raises NotPermitted."""
    found = [token for id in ids for token in tokens.list_tokens(session, actor, after=id - 1, limit=1)]
    return [token for token in found if token.id in ids]


def _contexts(context: Context, ids: Sequence[str]) -> Mapping[str, One[Any]]:
    """The record that the context is; one that is none of ours as a node of the graph."""
    session, actor = context.session, context.actor
    numbers = numbered(IdPrefix.CONTEXT, ids)
    wanted = sorted(set(numbers.values()))
    found: dict[int, One[Any]] = {}
    for read in (get_heads, get_experiments, get_models, get_versions, get_deployments, get_environments, _graph_contexts):
        missing = [number for number in wanted if number not in found]
        found |= by_id(read(session, actor, missing)) if missing else {}
    return {id: found[number] for id, number in numbers.items() if number in found}


def _graph_contexts(session: Session, actor: Actor, ids: Sequence[int]) -> list[_GraphNode]:
    return _graph_nodes(session, actor, NodeKind.CONTEXT, IdPrefix.CONTEXT, ids)


def _graph_nodes(session: Session, actor: Actor, kind: NodeKind, prefix: IdPrefix, ids: Sequence[int]) -> list[_GraphNode]:
    return [
        _GraphNode(node.id, own_id(prefix, node.id), node.name, node.type.name, node.created_at, node.updated_at)
        for node in nodes_by_id(session, actor, kind, ids)
    ]


def _executions(context: Context, ids: Sequence[str]) -> Mapping[str, One[Any]]:
    """The step or run that the execution is; another one as a node of the graph."""
    session, actor = context.session, context.actor
    numbers = numbered(IdPrefix.EXECUTION, ids)
    wanted = sorted(set(numbers.values()))
    found: dict[int, One[Any]] = dict(by_id(get_steps(session, actor, wanted)))
    run_of = relations.runs_of_executions(session, actor, [number for number in wanted if number not in found])
    runs = by_id(get_heads(session, actor, sorted(set(run_of.values()))))
    found |= {number: runs[run] for number, run in run_of.items() if run in runs}
    missing = [number for number in wanted if number not in found]
    found |= by_id(_graph_nodes(session, actor, NodeKind.EXECUTION, IdPrefix.EXECUTION, missing))
    return {id: found[number] for id, number in numbers.items() if number in found}


KubernetesObjectConnection: Any = connection("KubernetesObject", KubernetesObject)

TYPES |= {
    pipelines.Pipeline: Pipeline,
    pipelines.PipelineVersion: PipelineVersion,
    objects.KubernetesObject: KubernetesObject,
    _Workspace: Workspace,
    tokens.Token: Token,
    _GraphNode: GraphNode,
}
readable(IdPrefix.PIPELINE, _one_by_one(pipelines.get_pipeline))
readable(IdPrefix.PIPELINE_VERSION, _one_by_one(pipelines.get_pipeline_version))
readable(IdPrefix.OBJECT, objects.get_objects)
readable(IdPrefix.WORKSPACE, _own_workspace)
readable(IdPrefix.TOKEN, _tokens)
READERS[IdPrefix.CONTEXT] = _contexts
READERS[IdPrefix.EXECUTION] = _executions
ALL = tuple(TYPES.values())
"""Every type that is a node: no module that has one comes after this."""
