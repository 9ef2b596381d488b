"""The types of the schema. A resolver calls one catalog function; what is not visible is null."""

from collections.abc import Callable, Sequence
from typing import Any

import graphene

from registry.api.gql.execution import Context
from registry.api.gql.scalars import Double, Int64
from registry.catalog import compare as comparing
from registry.catalog import experiments, models, runs, versions
from registry.catalog.metrics import Point
from registry.errors import InvalidArgument, NotFound
from registry.names import IdPrefix, Lifecycle, parse_id, parse_run_id
from registry.tables.models import registered_models
from registry.tables.runs import runs as run_table

MAX_FIRST = 200


def word(value: Any) -> str | None:
    return None if value is None else value.name.lower()


def first_of(first: int) -> int:
    if not 1 <= first <= MAX_FIRST:
        raise InvalidArgument(f"first is 1 to {MAX_FIRST}", field="first")
    return first


class KeyValue(graphene.ObjectType):
    key = graphene.String(required=True)
    value = graphene.String(required=True)


def pairs(values: Any) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


class Metric(graphene.ObjectType):
    """The latest point of a series."""

    key = graphene.String(required=True)
    value = Double(required=True)
    at = Int64(required=True, description="Milliseconds since 1970-01-01 UTC.")
    step = Int64(required=True)


class Node(graphene.Interface):
    id = graphene.ID(required=True)

    @classmethod
    def resolve_type(cls, instance: Any, info: Any) -> type:
        kinds: dict[type, type] = {
            runs.Run: Run,
            experiments.Experiment: Experiment,
            models.RegisteredModel: RegisteredModel,
            versions.ModelVersion: ModelVersion,
        }
        return kinds[type(instance)]


class Experiment(graphene.ObjectType):
    class Meta:
        interfaces = (Node,)

    name = graphene.String(required=True)
    description = graphene.String()
    lifecycle = graphene.String(required=True)
    tags = graphene.List(graphene.NonNull(KeyValue), required=True)

    def resolve_id(self: Any, info: Any) -> str:
        return str(self.own_id)

    def resolve_lifecycle(self: Any, info: Any) -> str | None:
        return word(self.lifecycle)

    def resolve_tags(self: Any, info: Any) -> Any:
        return pairs(self.tags)


class Run(graphene.ObjectType):
    class Meta:
        interfaces = (Node,)

    name = graphene.String(required=True)
    experiment_name = graphene.String()
    status = graphene.String()
    lifecycle = graphene.String(required=True)
    started_at = Int64()
    ended_at = Int64()
    user = graphene.String()
    parent = graphene.ID()
    metrics = graphene.List(graphene.NonNull(Metric), required=True, keys=graphene.List(graphene.NonNull(graphene.String)))
    params = graphene.List(graphene.NonNull(KeyValue), required=True)
    tags = graphene.List(graphene.NonNull(KeyValue), required=True)

    def resolve_id(self: Any, info: Any) -> str:
        return str(self.own_id)

    def resolve_status(self: Any, info: Any) -> str | None:
        return word(self.status)

    def resolve_lifecycle(self: Any, info: Any) -> str | None:
        return word(self.lifecycle)

    def resolve_user(self: Any, info: Any) -> Any:
        return self.user_name

    def resolve_metrics(self: Any, info: Any, keys: Sequence[str] | None = None) -> list[Point]:
        return [point for key, point in self.metrics.items() if keys is None or key in keys]

    def resolve_params(self: Any, info: Any) -> Any:
        return pairs(self.params)

    def resolve_tags(self: Any, info: Any) -> Any:
        return pairs(self.tags)


class Alias(graphene.ObjectType):
    alias = graphene.String(required=True)
    number = graphene.Int(required=True)


class RegisteredModel(graphene.ObjectType):
    class Meta:
        interfaces = (Node,)

    name = graphene.String(required=True)
    description = graphene.String()
    owner = graphene.String()
    lifecycle = graphene.String(required=True)
    aliases = graphene.List(graphene.NonNull(Alias), required=True)
    tags = graphene.List(graphene.NonNull(KeyValue), required=True)

    def resolve_id(self: Any, info: Any) -> str:
        return str(self.own_id)

    def resolve_lifecycle(self: Any, info: Any) -> str | None:
        return word(self.lifecycle)

    def resolve_aliases(self: Any, info: Any) -> Any:
        return [{"alias": alias, "number": number} for alias, number in self.aliases.items()]

    def resolve_tags(self: Any, info: Any) -> Any:
        return pairs(self.tags)


class ModelVersion(graphene.ObjectType):
    class Meta:
        interfaces = (Node,)

    model_name = graphene.String(required=True)
    number = graphene.Int(required=True)
    name = graphene.String(required=True)
    description = graphene.String()
    lifecycle = graphene.String(required=True)
    readiness = graphene.String(required=True)
    stage = graphene.String()
    aliases = graphene.List(graphene.NonNull(graphene.String), required=True)
    source = graphene.String()
    run = graphene.ID()
    metrics = graphene.List(graphene.NonNull(Metric), required=True)
    params = graphene.List(graphene.NonNull(KeyValue), required=True)
    tags = graphene.List(graphene.NonNull(KeyValue), required=True)

    def resolve_id(self: Any, info: Any) -> str:
        return str(self.own_id)

    def resolve_lifecycle(self: Any, info: Any) -> str | None:
        return word(self.lifecycle)

    def resolve_readiness(self: Any, info: Any) -> str | None:
        return word(self.readiness)

    def resolve_metrics(self: Any, info: Any) -> Any:
        return list(self.metrics.values())

    def resolve_params(self: Any, info: Any) -> Any:
        return pairs(self.params)

    def resolve_tags(self: Any, info: Any) -> Any:
        return pairs(self.tags)


class CompareItem(graphene.ObjectType):
    id = graphene.ID(required=True)
    name = graphene.String(required=True)

    def resolve_id(self: Any, info: Any) -> str:
        return str(self.own_id)


class Cell(graphene.ObjectType):
    """A value against the baseline's; null where the item has none, which is not zero."""

    value = Double()
    delta = Double()
    ratio = Double()
    verdict = graphene.String(description="better, worse or equal, by the metric's direction.")
    best = graphene.Boolean(required=True)

    def resolve_verdict(self: Any, info: Any) -> str | None:
        return None if self.verdict is None else str(self.verdict)


class MetricRow(graphene.ObjectType):
    key = graphene.String(required=True)
    direction = graphene.String()
    different = graphene.Boolean(required=True)
    cells = graphene.List(graphene.NonNull(Cell), required=True)

    def resolve_direction(self: Any, info: Any) -> str | None:
        return word(self.direction)


class TextRow(graphene.ObjectType):
    key = graphene.String(required=True)
    different = graphene.Boolean(required=True)
    values = graphene.List(graphene.String, required=True)


class Comparison(graphene.ObjectType):
    """Side by side: one cell per item, in the order of the ids."""

    items = graphene.List(graphene.NonNull(CompareItem), required=True)
    baseline = graphene.Int(required=True, description="Index into `items`.")
    metrics = graphene.List(graphene.NonNull(MetricRow), required=True)
    params = graphene.List(graphene.NonNull(TextRow), required=True)
    tags = graphene.List(graphene.NonNull(TextRow), required=True)


def ids_argument() -> Any:
    return graphene.List(graphene.NonNull(graphene.ID), required=True)


class Query(graphene.ObjectType):
    node = graphene.Field(Node, id=graphene.ID(required=True), description="By its id; null if it is not here.")
    run = graphene.Field(Run, id=graphene.ID(required=True))
    runs = graphene.List(
        graphene.NonNull(Run),
        required=True,
        experiment_id=graphene.ID(),
        first=graphene.Int(default_value=50),
        description="Active runs in the order of their making.",
    )
    models = graphene.List(graphene.NonNull(RegisteredModel), required=True, first=graphene.Int(default_value=50))
    model_version = graphene.Field(
        ModelVersion,
        id=graphene.ID(),
        model=graphene.String(),
        number=graphene.Int(),
        alias=graphene.String(),
        description="By id, or by the model's name and a number or alias.",
    )

    versions = graphene.List(
        graphene.NonNull(ModelVersion),
        required=True,
        model_id=graphene.ID(required=True),
        first=graphene.Int(default_value=50),
        description="Of one model, in the order of their making.",
    )
    compare_runs = graphene.Field(
        Comparison,
        required=True,
        ids=ids_argument(),
        baseline=graphene.ID(),
        only_different=graphene.Boolean(default_value=False),
    )
    compare_model_versions = graphene.Field(
        Comparison,
        required=True,
        ids=ids_argument(),
        baseline=graphene.ID(),
        only_different=graphene.Boolean(default_value=False),
    )

    def resolve_versions(self: Any, info: Any, model_id: str, first: int) -> Any:
        context: Context = info.context
        model = parse_id(IdPrefix.MODEL, model_id)
        return versions.list_versions(context.session, context.actor, model=model, limit=first_of(first))

    def resolve_compare_runs(
        self: Any, info: Any, ids: Sequence[str], only_different: bool, baseline: str | None = None
    ) -> comparing.Comparison:
        context: Context = info.context
        return comparing.compare_runs(
            context.session,
            context.actor,
            [parse_run_id(id) for id in ids],
            baseline=None if baseline is None else parse_run_id(baseline),
            only_different=only_different,
        )

    def resolve_compare_model_versions(
        self: Any, info: Any, ids: Sequence[str], only_different: bool, baseline: str | None = None
    ) -> comparing.Comparison:
        context: Context = info.context
        return comparing.compare_versions(
            context.session,
            context.actor,
            [parse_id(IdPrefix.VERSION, id) for id in ids],
            baseline=None if baseline is None else parse_id(IdPrefix.VERSION, baseline),
            only_different=only_different,
        )

    def resolve_node(self: Any, info: Any, id: str) -> Any:
        context: Context = info.context
        session, actor = context.session, context.actor
        readers: dict[str, Callable[[], Any]] = {
            "run": lambda: runs.get_run(session, actor, parse_run_id(id)),
            "exp": lambda: experiments.get_experiment(session, actor, parse_id(IdPrefix.EXPERIMENT, id)),
            "model": lambda: models.get_model(session, actor, parse_id(IdPrefix.MODEL, id)),
            "mv": lambda: versions.get_version(session, actor, parse_id(IdPrefix.VERSION, id)),
        }
        read = readers.get(id.partition("_")[0])
        if read is None:
            return None
        try:
            return read()
        except NotFound:
            return None

    def resolve_run(self: Any, info: Any, id: str) -> Any:
        context: Context = info.context
        try:
            return runs.get_run(context.session, context.actor, parse_run_id(id))
        except NotFound:
            return None

    def resolve_runs(self: Any, info: Any, first: int, experiment_id: str | None = None) -> Any:
        context: Context = info.context
        where = [run_table.c.lifecycle == Lifecycle.ACTIVE]
        if experiment_id is not None:
            where.append(run_table.c.experiment == parse_id(IdPrefix.EXPERIMENT, experiment_id))
        return runs.list_runs(context.session, context.actor, *where, order=[run_table.c.id], limit=first_of(first))

    def resolve_models(self: Any, info: Any, first: int) -> Any:
        context: Context = info.context
        return models.list_models(context.session, context.actor, order=[registered_models.c.id], limit=first_of(first))

    def resolve_model_version(
        self: Any,
        info: Any,
        id: str | None = None,
        model: str | None = None,
        number: int | None = None,
        alias: str | None = None,
    ) -> Any:
        context: Context = info.context
        try:
            if id is not None:
                return versions.get_version(context.session, context.actor, parse_id(IdPrefix.VERSION, id))
            found = models.find_model(context.session, context.actor, model or "")
            if found is None:
                return None
            return versions.find_version(context.session, context.actor, found.id, number=number, alias=alias)
        except NotFound:
            return None


schema = graphene.Schema(query=Query, types=[Experiment, Run, RegisteredModel, ModelVersion])
