"""Artifacts and datasets: who made them, what was made of them."""

from collections.abc import Sequence
from typing import Any

import graphene

from registry.api.gql import words
from registry.api.gql.cohorts import Context, parent
from registry.api.gql.connections import Connection, connection, members, page_arguments
from registry.api.gql.nodes import TYPES, Node, Record, readable
from registry.api.gql.runs import Run, Step, get_heads
from registry.api.gql.scalars import Int64
from registry.api.gql.values import pair_list, pairs
from registry.api.gql.words import word
from registry.catalog import artifacts, datasets, relations
from registry.catalog.actors import Actor
from registry.catalog.steps import get_steps
from registry.db.session import Session
from registry.errors import NotFound
from registry.names import IdPrefix


class Artifact(Record):
    """Files, and what is known of them."""

    class Meta:
        interfaces = (Node,)

    kind = words.ArtifactKind(required=True)
    name = graphene.String()
    display_name = graphene.String()
    description = graphene.String()
    uri = graphene.String()
    digest = graphene.String(description="SHA-256 of the bytes; null while unverified.")
    size_bytes = Int64()
    media_type = graphene.String()
    readiness = words.Readiness(required=True)
    lifecycle = words.Lifecycle(required=True)
    port = graphene.String(description="The name under which it was first written.")
    tags = pair_list()
    created_at = Int64(required=True)
    updated_at = Int64(required=True)
    producer = graphene.Field(Run, description="The run that wrote it, itself or in a step: the first, if several did.")
    step = graphene.Field(Step, description="The step that wrote it first; null where the run itself did.")
    versions = graphene.Field(
        "registry.api.gql.models.ModelVersionConnection", required=True, **page_arguments(), description="Whose files it is."
    )
    dataset = graphene.Field(lambda: Dataset, description="The dataset of which it is a version.")
    dataset_version = graphene.Field(lambda: DatasetVersion)

    def resolve_kind(self: Any, info: Any) -> str | None:
        return word(self.kind)

    def resolve_readiness(self: Any, info: Any) -> str | None:
        return word(self.readiness)

    def resolve_lifecycle(self: Any, info: Any) -> str | None:
        return word(self.lifecycle)

    def resolve_tags(self: Any, info: Any) -> Any:
        return pairs(self.tags)

    def resolve_producer(self: Any, info: Any) -> Any:
        context: Context = info.context
        run_of = self.cohort.once(
            "runs", lambda records: relations.producers_of_artifacts(context.session, context.actor, _ids(records))
        )
        return parent(self, context, "producer", lambda artifact: run_of.get(artifact.id), get_heads)

    def resolve_step(self: Any, info: Any) -> Any:
        return parent(self, info.context, "step", lambda artifact: artifact.step, get_steps)

    def resolve_versions(self: Any, info: Any, first: int, after: str | None = None) -> Connection:
        from registry.api.gql.models import get_heads as get_versions

        return members(self, info, relations.versions_of_artifacts, get_versions, first=first, after=after)

    def resolve_dataset(self: Any, info: Any) -> Any:
        context: Context = info.context
        of = self.cohort.once("datasets", lambda records: relations.datasets_of_artifacts(context.session, _ids(records)))
        return parent(self, context, "dataset", lambda artifact: of.get(artifact.id), datasets.get_datasets)

    def resolve_dataset_version(self: Any, info: Any) -> Any:
        return parent(self, info.context, "dataset_version", lambda artifact: artifact.id, datasets.get_dataset_versions)


class DatasetVersion(graphene.ObjectType):
    """One content of a dataset; it is an artifact, whose id it has."""

    id = graphene.ID(required=True)
    digest = graphene.String(required=True, description="The client's word for the content; empty for none.")
    source_type = graphene.String()
    source = graphene.String()
    schema = graphene.String()
    profile = graphene.String()
    uri = graphene.String()
    lifecycle = words.Lifecycle(required=True)
    tags = pair_list()
    created_at = Int64(required=True)
    dataset = graphene.Field(lambda: Dataset, required=True)
    artifact = graphene.Field(Artifact)

    def resolve_id(self: Any, info: Any) -> str:
        return str(self.own_id)

    def resolve_lifecycle(self: Any, info: Any) -> str | None:
        return word(self.lifecycle)

    def resolve_tags(self: Any, info: Any) -> Any:
        return pairs(self.tags)

    def resolve_dataset(self: Any, info: Any) -> Any:
        return parent(self, info.context, "dataset", lambda version: version.dataset, datasets.get_datasets)

    def resolve_artifact(self: Any, info: Any) -> Any:
        return parent(self, info.context, "artifact", lambda version: version.id, artifacts.get_artifacts)


class Dataset(Record):
    """A named line of contents."""

    class Meta:
        interfaces = (Node,)

    namespace = graphene.String(required=True, description="Empty for none.")
    name = graphene.String(required=True)
    description = graphene.String()
    created_at = Int64(required=True)
    updated_at = Int64(required=True)
    versions = graphene.Field(lambda: DatasetVersionConnection, required=True, **page_arguments())

    def resolve_versions(self: Any, info: Any, first: int, after: str | None = None) -> Connection:
        return members(self, info, relations.versions_of_datasets, datasets.get_dataset_versions, first=first, after=after)


ArtifactConnection: Any = connection("Artifact", Artifact)
DatasetConnection: Any = connection("Dataset", Dataset)
DatasetVersionConnection: Any = connection("DatasetVersion", DatasetVersion)


def _artifact_or_none(session: Session, actor: Actor, number: int) -> artifacts.Artifact | None:
    try:
        return artifacts.get_artifact(session, actor, number)
    except NotFound:
        return None


def _ids(records: Sequence[Any]) -> list[int]:
    return [record.id for record in records]


TYPES |= {artifacts.Artifact: Artifact, datasets.Dataset: Dataset}
readable(IdPrefix.ARTIFACT, artifacts.get_artifacts, _artifact_or_none)
readable(IdPrefix.DATASET, datasets.get_datasets)
