"""Experiments, runs and steps, what they used, and their metrics over time."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import graphene

from registry.api.gql import words
from registry.api.gql.cohorts import Context, One, by_id, parent, values
from registry.api.gql.connections import Connection, connection, members, page_arguments, paged
from registry.api.gql.nodes import READERS, TYPES, Node, Record, readable
from registry.api.gql.scalars import DoubleArray, Int64, Int64Array, Json
from registry.api.gql.values import checked_keys, keys_argument, metric_list, pair_list, pairs
from registry.api.gql.words import word
from registry.catalog import artifacts, experiments, relations, runs, steps
from registry.catalog.actors import Actor
from registry.catalog.objects import get_objects, notebooks_of_runs
from registry.catalog.relations import EventRow, Series, Window
from registry.catalog.run_lookup import find_runs
from registry.catalog.searching import find_searches
from registry.db.session import Session
from registry.errors import InvalidArgument, NotFound
from registry.names import INPUT_EVENTS, OUTPUT_EVENTS, EventType, IdPrefix, run_hex_or_none

HEAD = runs.Fields([], [], [])
"""No metrics, params and tags: they are read where they are asked for."""

MAX_POINTS = 2_000


def get_heads(session: Session, actor: Actor, ids: Sequence[int]) -> list[runs.Run]:
    return runs.get_runs(session, actor, ids, HEAD)


def runs_by_own_id(context: Context, ids: Sequence[str]) -> dict[str, One[runs.Run]]:
    """By any id that a run answers to; two statements, three where merged ones are among them."""
    workspace = context.actor.workspace
    hexes = {id: hex for id in ids if (hex := run_hex_or_none(id)) is not None}
    refs = find_runs(context.session, [(workspace, hex) for hex in hexes.values()]) if hexes else {}
    found = by_id(get_heads(context.session, context.actor, sorted({ref.id for ref in refs.values()})))
    return {id: found[refs[workspace, hex].id] for id, hex in hexes.items() if (workspace, hex) in refs}


def run_of(one: One[Any], context: Context, name: str, id_of: Callable[[Any], str | None]) -> One[runs.Run] | None:
    """The run whose id the record holds."""
    id = id_of(one.record)

    def load(records: Sequence[Any]) -> Mapping[str, One[runs.Run]]:
        return runs_by_own_id(context, sorted({id for record in records if (id := id_of(record)) is not None}))

    return None if id is None else one.cohort.once(name, load).get(id)


def _run_values(one: One[runs.Run], info: Any, name: str, keys: Sequence[str] | None) -> Mapping[str, Any]:
    """Metrics, params or tags of the run, read for its whole cohort."""
    context: Context = info.context
    wanted = checked_keys(keys)
    of: dict[str, Any] = {"metrics": [], "params": [], "tags": []} | {name: wanted}

    def load(ids: Sequence[int]) -> dict[int, Mapping[str, Any]]:
        found = runs.get_runs(context.session, context.actor, ids, runs.Fields(**of))
        return {run.id: getattr(run, name) for run in found}

    if wanted == ():
        return {}
    return values(one, (name, wanted), load, {})


def _uses(
    one: One[Any], info: Any, find: Callable[..., Any], types: Sequence[EventType], first: int, after: str | None
) -> Connection:
    context: Context = info.context

    def load(ids: Sequence[int], window: Window) -> tuple[Mapping[int, relations.Uses], dict[int, One[EventRow]]]:
        found = find(context.session, context.actor, ids, types, window)
        return found, by_id(row for uses in found.values() for row in uses.rows)

    return paged(one, info, f"{find.__name__} {types[0].name}", load, first=first, after=after)


class BestTrial(graphene.ObjectType):
    """Values are texts, as the trial's object has them."""

    name = graphene.String(required=True)
    run = graphene.ID(description="`run_…`, if the trial was reported.")
    parameters = Json(required=True)
    metrics = Json(required=True)
    recomputed = graphene.Boolean(required=True, description="The search does not say; it is the best of the trials here.")

    def resolve_run(self: Any, info: Any) -> str | None:
        return None if self.run_hex is None else f"run_{self.run_hex}"


class Search(graphene.ObjectType):
    """A search for parameters, as the objects of Katib say; numbers are the texts that were written."""

    said = Json(required=True, description="Objective, algorithm, search space, counts, state and times.")
    suggestion = Json(required=True, description="What the algorithm's own object says.")
    best_trial = graphene.Field(BestTrial)


class Experiment(Record):
    """What groups runs."""

    class Meta:
        interfaces = (Node,)

    name = graphene.String(required=True)
    description = graphene.String()
    artifact_location = graphene.String()
    lifecycle = words.Lifecycle(required=True)
    derived = graphene.Boolean(required=True, description="Made for runs that named none.")
    tags = pair_list()
    created_at = Int64(required=True)
    updated_at = Int64(required=True)
    runs = graphene.Field(
        lambda: RunConnection, required=True, **page_arguments(), description="Active ones in the order of their making."
    )

    def resolve_lifecycle(self: Any, info: Any) -> str | None:
        return word(self.lifecycle)

    def resolve_tags(self: Any, info: Any) -> Any:
        return pairs(self.tags)

    search = graphene.Field(Search, description="What it searches for, if it is a search for parameters (Katib).")
    objects = graphene.Field(
        "registry.api.gql.service.KubernetesObjectConnection",
        required=True,
        **page_arguments(),
        description="The Kubernetes objects that it comes from.",
    )

    def resolve_search(self: Any, info: Any) -> Any:
        return values(self, "search", lambda ids: find_searches(info.context.session, ids), None)

    def resolve_objects(self: Any, info: Any, first: int, after: str | None = None) -> Connection:
        return members(self, info, relations.objects_of_experiments, get_objects, first=first, after=after)

    def resolve_runs(self: Any, info: Any, first: int, after: str | None = None) -> Connection:
        return members(self, info, relations.runs_of_experiments, get_heads, first=first, after=after)


class MetricSeries(graphene.ObjectType):
    """The first points of a metric by timestamp, step and value, in columns. The rest has the REST API in pages."""

    key = graphene.String(required=True)
    steps = Int64Array(required=True)
    times = Int64Array(required=True, description="Milliseconds since 1970-01-01 UTC.")
    values = DoubleArray(required=True)
    more = graphene.Boolean(required=True, description="There are points behind these.")

    def resolve_steps(self: Any, info: Any) -> Any:
        return [point.step for point in self.points]

    def resolve_times(self: Any, info: Any) -> Any:
        return [point.at for point in self.points]

    def resolve_values(self: Any, info: Any) -> Any:
        return [point.value for point in self.points]


class Run(Record):
    """One execution of training, of a pipeline, of an evaluation: whoever told of it first."""

    class Meta:
        interfaces = (Node,)

    name = graphene.String(required=True)
    experiment = graphene.Field(Experiment)
    experiment_name = graphene.String()
    status = words.Status()
    phase = graphene.String(description="The source's own word for the status.")
    lifecycle = words.Lifecycle(required=True)
    started_at = Int64()
    ended_at = Int64()
    user = graphene.String()
    artifact_root = graphene.String()
    created_at = Int64(required=True)
    updated_at = Int64(required=True)
    parent = graphene.Field(lambda: Run)
    children = graphene.Field(lambda: RunConnection, required=True, **page_arguments(), description="Nested runs, by id.")
    metrics = metric_list(keys=keys_argument())
    params = pair_list(keys=keys_argument())
    tags = pair_list(keys=keys_argument())
    metric_history = graphene.List(
        graphene.NonNull(MetricSeries),
        required=True,
        keys=graphene.List(graphene.NonNull(graphene.String), required=True),
        points=graphene.Int(required=True, default_value=1000, description=f"Of each series; at most {MAX_POINTS}."),
    )
    steps = graphene.Field(lambda: StepConnection, required=True, **page_arguments(), description="What its workflow did, by id.")
    inputs = graphene.Field(
        lambda: UseConnection,
        required=True,
        **page_arguments(),
        description="What it and its steps read, in the order of telling.",
    )
    outputs = graphene.Field(lambda: UseConnection, required=True, **page_arguments(), description="What it and its steps wrote.")
    versions = graphene.Field(
        "registry.api.gql.models.ModelVersionConnection",
        required=True,
        **page_arguments(),
        description="What was registered of it.",
    )
    objects = graphene.Field(
        "registry.api.gql.service.KubernetesObjectConnection",
        required=True,
        **page_arguments(),
        description="The Kubernetes objects that it and its steps come from.",
    )

    notebook = graphene.Field(
        "registry.api.gql.service.KubernetesObject", description="That it was logged from, by its tag `lineal.notebook`."
    )

    def resolve_notebook(self: Any, info: Any) -> Any:
        context: Context = info.context

        def read(ids: Sequence[int]) -> Mapping[int, Any]:
            found = notebooks_of_runs(context.session, context.actor, ids)
            ones = by_id(list({one.id: one for one in found.values()}.values()))
            return {run: ones[one.id] for run, one in found.items()}

        return values(self, "notebook", read, None)

    def resolve_objects(self: Any, info: Any, first: int, after: str | None = None) -> Connection:
        return members(self, info, relations.objects_of_runs, get_objects, first=first, after=after)

    def resolve_experiment(self: Any, info: Any) -> Any:
        return parent(self, info.context, "experiment", lambda run: run.experiment, experiments.get_experiments)

    def resolve_status(self: Any, info: Any) -> str | None:
        return word(self.status)

    def resolve_lifecycle(self: Any, info: Any) -> str | None:
        return word(self.lifecycle)

    def resolve_user(self: Any, info: Any) -> Any:
        return self.user_name

    def resolve_parent(self: Any, info: Any) -> Any:
        return run_of(self, info.context, "parent", lambda run: run.parent)

    def resolve_children(self: Any, info: Any, first: int, after: str | None = None) -> Connection:
        return members(self, info, relations.children_of_runs, get_heads, first=first, after=after)

    def resolve_metrics(self: Any, info: Any, keys: Sequence[str] | None = None) -> Any:
        return list(_run_values(self, info, "metrics", keys).values())

    def resolve_params(self: Any, info: Any, keys: Sequence[str] | None = None) -> Any:
        return pairs(_run_values(self, info, "params", keys))

    def resolve_tags(self: Any, info: Any, keys: Sequence[str] | None = None) -> Any:
        return pairs(_run_values(self, info, "tags", keys))

    def resolve_metric_history(self: Any, info: Any, keys: Sequence[str], points: int) -> Sequence[Series]:
        if not 1 <= points <= MAX_POINTS:
            raise InvalidArgument(f"points is 1 to {MAX_POINTS}", field="points")
        context: Context = info.context
        key = ("history", checked_keys(keys), points)
        return values(self, key, lambda ids: relations.series_of_runs(context.session, ids, keys, points), [])

    def resolve_steps(self: Any, info: Any, first: int, after: str | None = None) -> Connection:
        return members(self, info, relations.steps_of_runs, steps.get_steps, first=first, after=after)

    def resolve_inputs(self: Any, info: Any, first: int, after: str | None = None) -> Connection:
        return _uses(self, info, relations.uses_of_runs, INPUT_EVENTS, first, after)

    def resolve_outputs(self: Any, info: Any, first: int, after: str | None = None) -> Connection:
        return _uses(self, info, relations.uses_of_runs, OUTPUT_EVENTS, first, after)

    def resolve_versions(self: Any, info: Any, first: int, after: str | None = None) -> Connection:
        from registry.api.gql.models import get_heads as get_versions

        return members(self, info, relations.versions_of_runs, get_versions, first=first, after=after)


class Step(Record):
    """What a run's workflow did at one of its nodes."""

    class Meta:
        interfaces = (Node,)

    path = graphene.String(required=True, description="Names from the run down; an iteration is its number.")
    name = graphene.String(required=True)
    display_name = graphene.String()
    run = graphene.Field(Run)
    parent = graphene.Field(lambda: Step, description="The loop or nested pipeline that it is in.")
    children = graphene.Field(lambda: StepConnection, required=True, **page_arguments())
    status = words.Status()
    phase = graphene.String()
    message = graphene.String()
    iteration = graphene.Int()
    attempts = graphene.Int()
    started_at = Int64()
    ended_at = Int64()
    node_id = graphene.String()
    pod_name = graphene.String()
    log_uri = graphene.String()
    fingerprint = graphene.String()
    detail = Json(required=True, description="What the source says beside: parameters, what it depends on.")
    inputs = graphene.Field(lambda: UseConnection, required=True, **page_arguments())
    outputs = graphene.Field(lambda: UseConnection, required=True, **page_arguments())

    def resolve_run(self: Any, info: Any) -> Any:
        return run_of(self, info.context, "run", lambda step: step.run)

    def resolve_parent(self: Any, info: Any) -> Any:
        return parent(self, info.context, "parent", lambda step: step.parent, steps.get_steps)

    def resolve_children(self: Any, info: Any, first: int, after: str | None = None) -> Connection:
        return members(self, info, relations.children_of_steps, steps.get_steps, first=first, after=after)

    def resolve_status(self: Any, info: Any) -> str | None:
        return word(self.status)

    def resolve_detail(self: Any, info: Any) -> Any:
        return dict(self.detail)

    def resolve_inputs(self: Any, info: Any, first: int, after: str | None = None) -> Connection:
        return _uses(self, info, relations.uses_of_steps, INPUT_EVENTS, first, after)

    def resolve_outputs(self: Any, info: Any, first: int, after: str | None = None) -> Connection:
        return _uses(self, info, relations.uses_of_steps, OUTPUT_EVENTS, first, after)


class Use(graphene.ObjectType):
    """That an artifact was read or written."""

    artifact = graphene.Field("registry.api.gql.artifacts.Artifact", required=True)
    port = graphene.String(description="Under which name.")
    step = graphene.Field(Step, description="The step that did it; null where the run itself did.")
    at = Int64(required=True)

    def resolve_artifact(self: Any, info: Any) -> Any:
        return parent(self, info.context, "artifact", lambda use: use.artifact, artifacts.get_artifacts)

    def resolve_step(self: Any, info: Any) -> Any:
        return parent(self, info.context, "step", lambda use: use.step, steps.get_steps)


ExperimentConnection: Any = connection("Experiment", Experiment)
RunConnection: Any = connection("Run", Run)
StepConnection: Any = connection("Step", Step)
UseConnection: Any = connection("Use", Use)


def _step_or_none(session: Session, actor: Actor, number: int) -> steps.Step | None:
    try:
        return steps.get_step(session, actor, number)
    except NotFound:
        return None


TYPES |= {experiments.Experiment: Experiment, runs.Run: Run, steps.Step: Step}
READERS[IdPrefix.RUN] = runs_by_own_id
readable(IdPrefix.EXPERIMENT, experiments.get_experiments)
readable(IdPrefix.STEP, steps.get_steps, _step_or_none)
