"""What lists of each record kind can be filtered and ordered by: one `Subject` per kind, and the functions that use it."""

from collections.abc import Callable, Iterable, Sequence

import sqlalchemy as sa

from registry.catalog.interning import find_names
from registry.catalog.subject_parts import (
    RUN_KEY,
    TEXT,
    column_of,
    id_column,
    metric_space,
    node_spaces,
    own_column,
    pair_space,
    sorts_by,
    times_of,
    version_metrics,
    version_params,
    word_column,
)
from registry.db.session import Session
from registry.errors import InvalidFilter
from registry.filtering import (
    FieldSpec,
    FieldType,
    FilterError,
    OrderTerm,
    Tree,
    check,
    compile_filter,
    parse_filter,
    parse_ordering,
)
from registry.filtering.keyset import SortKey
from registry.filtering.operands import Condition, Operand, Storage, rows
from registry.filtering.subject import Attribute, Query, Subject
from registry.names import ArtifactKind, DesiredState, IdPrefix, Lifecycle, NodeKind, OwnerKind, Readiness, Status
from registry.tables.graph import artifacts, params
from registry.tables.models import datasets, deployments, environments, model_versions, registered_models
from registry.tables.runs import experiments, objects, runs
from registry.tables.targets import aliases, stages

NO_NAME = -1


def condition_of(session: Session, subject: Subject, filter: str | Tree) -> Condition | None:
    """The predicate of a filter's text or unchecked tree on the subject's table; None for an empty one.

    Raises InvalidFilter: with line and column.
    """
    try:
        tree = parse_filter(filter, subject.fields) if isinstance(filter, str) else check(filter, subject.fields)
        return None if tree is None else compile_filter(tree, subject.resolver(key_numbers(session)))
    except FilterError as error:
        raise InvalidFilter(f"filter: {error.message}", line=error.line, column=error.column) from None


def terms_of(subject: Subject, order_by: str | Sequence[OrderTerm]) -> Sequence[OrderTerm]:
    """Raises InvalidFilter: with line and column."""
    try:
        return parse_ordering(order_by, subject.fields) if isinstance(order_by, str) else order_by
    except FilterError as error:
        raise _refused_order(error) from None


def ordered(session: Session, subject: Subject, query: Query, terms: Iterable[OrderTerm]) -> tuple[Query, list[SortKey]]:
    """The query with what that order reads, and its keys. Texts of tags, params and properties sort by 200 characters.

    Raises InvalidFilter: a field has no order.
    """
    keys: list[SortKey] = []
    try:
        for term in terms:
            query, more = subject.sorting(query, term, key_numbers(session))
            keys += more
    except FilterError as error:
        raise _refused_order(error) from None
    return query, keys


def _refused_order(error: FilterError) -> InvalidFilter:
    return InvalidFilter(f"order_by: {error.message}", line=error.line, column=error.column)


def key_numbers(session: Session) -> Callable[[str], int]:
    """Of a key that nobody has used, a number that no row has."""
    return lambda key: find_names(session, [key]).get(key, NO_NAME)


def _aliases(id: sa.Column[int], owner: sa.Column[int]) -> Attribute:
    operand = Operand({Storage.TEXT: aliases.c.alias}, nullable=False, scope=rows(id, owner))
    return Attribute(FieldSpec(FieldType.TEXT, is_many=True), operand)


def _readiness() -> Attribute:
    """Of an artifact: what nobody has set is READY, as `artifacts.py` shows it."""
    value = sa.func.coalesce(artifacts.c.readiness, int(Readiness.READY))
    spec = FieldSpec(FieldType.ENUM, words={word.name.lower(): int(word) for word in Readiness})
    return Attribute(spec, Operand({Storage.INTEGER: value}, nullable=False), sorts_by(value))


_SYNONYMS = {
    "attribute": "attributes",
    "metric": "metrics",
    "param": "params",
    "parameter": "params",
    "parameters": "params",
    "tag": "tags",
    "property": "properties",
}

EXPERIMENTS = Subject(
    "experiment",
    experiments.c.id,
    {
        "id": id_column(experiments.c.id, IdPrefix.EXPERIMENT),
        "name": own_column(experiments.c.name),
        "description": own_column(experiments.c.description),
        "lifecycle": word_column(experiments.c.lifecycle, Lifecycle),
        "derived": own_column(experiments.c.derived, FieldType.BOOLEAN),
        **times_of(experiments.c.id),
    },
    node_spaces(NodeKind.CONTEXT, experiments.c.id),
    _SYNONYMS,
)

RUNS = Subject(
    "run",
    runs.c.id,
    {
        "id": Attribute(RUN_KEY, Operand({Storage.TEXT: runs.c.hex}, nullable=False), sorts_by(runs.c.hex)),
        "name": own_column(runs.c.name),
        "status": word_column(runs.c.status, Status),
        "phase": own_column(runs.c.phase),
        "user": own_column(runs.c.user_name),
        "experiment": column_of(runs.c.experiment, experiments, "name", TEXT),
        "experiment_id": id_column(runs.c.experiment, IdPrefix.EXPERIMENT),
        "parent": column_of(runs.c.parent, runs, "hex", RUN_KEY),
        "lifecycle": word_column(runs.c.lifecycle, Lifecycle),
        "started_at": own_column(runs.c.started_at, FieldType.TIME),
        "ended_at": own_column(runs.c.ended_at, FieldType.TIME),
        **times_of(runs.c.id),
    },
    {
        "metrics": metric_space(OwnerKind.RUN, runs.c.id),
        "params": pair_space(params, NodeKind.CONTEXT, runs.c.id),
        **node_spaces(NodeKind.CONTEXT, runs.c.id),
    },
    _SYNONYMS | {"start_time": "started_at", "end_time": "ended_at", "user_name": "user", "experiment_name": "experiment"},
)

MODELS = Subject(
    "registered model",
    registered_models.c.id,
    {
        "id": id_column(registered_models.c.id, IdPrefix.MODEL),
        "name": own_column(registered_models.c.name),
        "description": own_column(registered_models.c.description),
        "owner": own_column(registered_models.c.owner),
        "last_number": own_column(registered_models.c.last_number, FieldType.INTEGER),
        "lifecycle": word_column(registered_models.c.lifecycle, Lifecycle),
        "aliases": _aliases(registered_models.c.id, aliases.c.model),
        **times_of(registered_models.c.id),
    },
    node_spaces(NodeKind.CONTEXT, registered_models.c.id),
    _SYNONYMS | {"alias": "aliases"},
)

VERSIONS = Subject(
    "model version",
    model_versions.c.id,
    {
        "id": id_column(model_versions.c.id, IdPrefix.VERSION),
        "model": column_of(model_versions.c.model, registered_models, "name", TEXT),
        "model_id": id_column(model_versions.c.model, IdPrefix.MODEL),
        "number": own_column(model_versions.c.number, FieldType.INTEGER),
        "name": own_column(model_versions.c.name),
        "description": own_column(model_versions.c.description),
        "author": own_column(model_versions.c.author_name),
        "lifecycle": word_column(model_versions.c.lifecycle, Lifecycle),
        "readiness": word_column(model_versions.c.readiness, Readiness),
        "stage": column_of(model_versions.c.id, stages, "stage", TEXT, key="model_version"),
        "aliases": _aliases(model_versions.c.id, aliases.c.model_version),
        "source": own_column(model_versions.c.source),
        "digest": own_column(model_versions.c.digest),
        "run": column_of(model_versions.c.run, runs, "hex", RUN_KEY),
        "artifact": id_column(model_versions.c.artifact, IdPrefix.ARTIFACT),
        **times_of(model_versions.c.id),
    },
    {
        "metrics": version_metrics(),
        "params": version_params(),
        **node_spaces(NodeKind.CONTEXT, model_versions.c.id),
    },
    _SYNONYMS | {"alias": "aliases", "model_name": "model", "version": "number", "author_name": "author", "run_id": "run"},
)

ARTIFACTS = Subject(
    "artifact",
    artifacts.c.id,
    {
        "id": id_column(artifacts.c.id, IdPrefix.ARTIFACT),
        "kind": word_column(artifacts.c.kind, ArtifactKind),
        "name": own_column(artifacts.c.name),
        "display_name": own_column(artifacts.c.display_name),
        "description": own_column(artifacts.c.description),
        "uri": own_column(artifacts.c.uri),
        "digest": own_column(artifacts.c.digest),
        "size_bytes": own_column(artifacts.c.size_bytes, FieldType.INTEGER),
        "media_type": own_column(artifacts.c.media_type),
        "readiness": _readiness(),
        "port": own_column(artifacts.c.port),
        "created_at": own_column(artifacts.c.created_at, FieldType.TIME),
        "updated_at": own_column(artifacts.c.updated_at, FieldType.TIME),
    },
    node_spaces(NodeKind.ARTIFACT, artifacts.c.id),
    _SYNONYMS | {"size": "size_bytes"},
)

DEPLOYMENTS = Subject(
    "deployment",
    deployments.c.id,
    {
        "id": id_column(deployments.c.id, IdPrefix.DEPLOYMENT),
        "name": own_column(deployments.c.name),
        "description": own_column(deployments.c.description),
        "environment": column_of(deployments.c.environment, environments, "name", TEXT),
        "environment_id": id_column(deployments.c.environment, IdPrefix.ENVIRONMENT),
        "model": column_of(deployments.c.model, registered_models, "name", TEXT),
        "model_id": id_column(deployments.c.model, IdPrefix.MODEL),
        "version_id": id_column(deployments.c.model_version, IdPrefix.VERSION),
        "desired_state": word_column(deployments.c.desired_state, DesiredState),
        "actual_state": own_column(deployments.c.actual_state),
        "runtime": own_column(deployments.c.runtime),
        "url": own_column(deployments.c.url),
        "uid": own_column(deployments.c.uid),
        "lifecycle": word_column(deployments.c.lifecycle, Lifecycle),
        **times_of(deployments.c.id),
    },
    node_spaces(NodeKind.CONTEXT, deployments.c.id),
    _SYNONYMS | {"model_name": "model", "environment_name": "environment"},
)

ENVIRONMENTS = Subject(
    "environment",
    environments.c.id,
    {
        "id": id_column(environments.c.id, IdPrefix.ENVIRONMENT),
        "name": own_column(environments.c.name),
        "description": own_column(environments.c.description),
        **times_of(environments.c.id),
    },
    node_spaces(NodeKind.CONTEXT, environments.c.id),
    _SYNONYMS,
)

OBJECTS = Subject(
    "object",
    objects.c.id,
    {
        "id": id_column(objects.c.id, IdPrefix.OBJECT),
        "cluster": own_column(objects.c.cluster),
        "namespace": own_column(objects.c.namespace),
        "kind": own_column(objects.c.kind),
        "name": own_column(objects.c.name),
        "uid": own_column(objects.c.uid),
        "owner_uid": own_column(objects.c.owner_uid),
        "phase": own_column(objects.c.phase),
        "deleted": own_column(objects.c.deleted, FieldType.BOOLEAN),
        "run": column_of(objects.c.run, runs, "hex", RUN_KEY),
        "step_id": id_column(objects.c.step, IdPrefix.STEP),
        "deployment_id": id_column(objects.c.deployment, IdPrefix.DEPLOYMENT),
        "experiment_id": id_column(objects.c.experiment, IdPrefix.EXPERIMENT),
        "received_at": own_column(objects.c.received_at, FieldType.TIME),
    },
)

DATASETS = Subject(
    "dataset",
    datasets.c.id,
    {
        "id": id_column(datasets.c.id, IdPrefix.DATASET),
        "namespace": own_column(datasets.c.namespace),
        "name": own_column(datasets.c.name),
        "description": own_column(datasets.c.description),
        "created_at": own_column(datasets.c.created_at, FieldType.TIME),
        "updated_at": own_column(datasets.c.updated_at, FieldType.TIME),
    },
)
