"""The record that a translation gives: its fields, their order, and its JSON.

`report.schema.json` beside this file is generated from these types (`schema.py`). In the JSON a scalar that is not
known is null; a list, a map or a part that is empty is absent; nothing is ever "".
"""

import json
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from agent.rendering import rendered
from agent.values import Notes, storable

State: TypeAlias = Literal["NEW", "RUNNING", "COMPLETE", "FAILED", "CANCELED", "CACHED", "UNKNOWN"]
"""A state of an execution in ML Metadata's words."""

FINAL_STATES: frozenset[str] = frozenset({"COMPLETE", "FAILED", "CANCELED", "CACHED"})

PortKind: TypeAlias = Literal["artifact", "parameter"]
Json: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """Which picture of which Kubernetes object was translated."""

    cluster: str | None
    namespace: str | None
    kind: str
    name: str | None
    uid: str | None
    resource_version: str | None
    generation: int | None
    retry_generation: int | None
    """How often Kubeflow Pipelines started this run again; None before the first time."""
    deleted: bool
    gone_at: str | None = field(default=None, metadata={"sparse": True})
    """When it was noticed that it is gone, where nobody saw it go and this is all that is known."""


@dataclass(frozen=True, slots=True)
class Owner:
    kind: str
    name: str | None
    uid: str | None


@dataclass(frozen=True, slots=True)
class Artifact:
    name: str
    """The port of the task, not the name that the artifact has in a store."""
    uri: str
    type: str | None
    metadata: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ports:
    """One side of a task. A port that takes a list has one artifact per member, in order, under the same name."""

    parameters: Json = field(default_factory=dict)
    artifacts: tuple[Artifact, ...] = ()


@dataclass(frozen=True, slots=True)
class Observed:
    """One value of a metric, as text."""

    name: str
    at: str
    """RFC 3339, UTC."""
    value: str


@dataclass(frozen=True, slots=True)
class Run:
    id: str
    name: str | None
    state: State
    phase: str | None
    started_at: str | None
    finished_at: str | None
    pipeline: str | None
    parameters: Json = field(default_factory=dict)
    """Effective values: what was given, and the pipeline's defaults for the rest. A value that is "" is None."""
    metrics: Json = field(default_factory=dict)
    """A number each; of a Trial `{latest, min, max}`, texts as its metrics collector wrote them."""
    owner: Owner | None = None
    replicas: Json = field(default_factory=dict)
    """By role: `{wanted, active, succeeded, failed}`; `wanted` is null where the object does not count in the same unit."""
    inputs: Ports = field(default_factory=Ports)
    """What the run itself reads, in no task: the data set and model that a TrainJob fetches before it starts."""
    history: tuple[Observed, ...] = ()
    """Of metrics of which more than the latest value is known. Not in the object: the agent fetches it."""
    resubmitted_from: str | None = field(default=None, metadata={"sparse": True})
    """Name of the Workflow in the namespace of which this one is a resubmission."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What stands in no object: the agent read it in files and logs that the task left. Once told it stays."""

    parameters: Json = field(default_factory=dict)
    """Values of outputs."""
    metrics: Json = field(default_factory=dict)
    metadata: Json = field(default_factory=dict)
    """Of output artifacts, by port."""
    visualizations: tuple[Json, ...] = ()
    """As the task wrote them: KFP v1's `mlpipeline-ui-metadata`."""


@dataclass(frozen=True, slots=True)
class Cache:
    """Argo's memoization: the entry that the task fills or took its result from."""

    key: str


@dataclass(frozen=True, slots=True)
class Task:
    key: str
    """Path of task names from the run, iterations as their number: `for-loop-1/2/train`. Unique in a report."""
    name: str
    display_name: str | None
    parent: str | None
    depends_on: tuple[str, ...]
    state: State
    skipped: bool
    phase: str | None
    message: str | None
    started_at: str | None
    finished_at: str | None
    attempts: int
    iteration: int | None
    cached: bool
    node_id: str | None
    """The node in which the user's container runs (the last attempt); for a group its own node."""
    pod_name: str | None
    execution_id: int | None
    log_uri: str | None
    inputs: Ports
    outputs: Ports
    metrics: Json
    fetched: Fetched | None = None
    cache: Cache | None = None


@dataclass(frozen=True, slots=True)
class Edge:
    """Data that one task made and another one used. `port` is the consumer's input name."""

    from_: str = field(metadata={"name": "from"})
    to: str
    port: str
    kind: PortKind


@dataclass(frozen=True, slots=True)
class Objective:
    metric: str | None
    type: str | None
    goal: float | None
    additional: tuple[str, ...] = ()
    strategies: Json = field(default_factory=dict)
    """Which value of a metric counts (`min`, `max`, `latest`), where it is not the one that the type asks for."""


@dataclass(frozen=True, slots=True)
class Algorithm:
    name: str | None
    settings: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One dimension of a search space; every value is the text that was written."""

    name: str
    type: str | None
    min: str | None
    max: str | None
    step: str | None
    list: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BestTrial:
    name: str | None
    """None as it was before v1beta1."""
    parameters: Json = field(default_factory=dict)
    metrics: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Suggestion:
    count: int | None
    algorithm_settings: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Experiment:
    """A search for the best parameters. Of a Suggestion, `name` and `suggestion` only."""

    name: str
    state: State | None = None
    phase: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    objective: Objective | None = None
    algorithm: Algorithm | None = None
    early_stopping: Algorithm | None = None
    search_space: tuple[Parameter, ...] = ()
    counts: Json = field(default_factory=dict)
    """As the status names them: `trials`, `trialsSucceeded`, …"""
    best_trial: BestTrial | None = None
    """As the status says; where it does not, the server finds it among the trials."""
    suggestion: Suggestion | None = None


@dataclass(frozen=True, slots=True)
class Revision:
    """What a revision serves; one of several models has an entry for each."""

    name: str
    uri: str


@dataclass(frozen=True, slots=True)
class Share:
    revision: str
    percent: int
    tag: str | None
    latest: bool


@dataclass(frozen=True, slots=True)
class ModelLabels:
    """Ids of the Model Registry that the object is labelled with."""

    registered_model_id: int | None
    model_version_id: int | None


@dataclass(frozen=True, slots=True)
class Deployment:
    name: str
    environment: str | None
    state: Literal["DEPLOYED", "UNDEPLOYED"]
    """What is wanted."""
    ready: str | None
    """The condition Ready as it is said: True, False or Unknown, which is not down."""
    message: str | None
    """Why it is not ready."""
    url: str | None
    mode: str | None
    """`Knative`, `Standard` or `ModelMesh`, in whichever spelling the object has it; `InferenceGraph`."""
    runtime: str | None
    changed_at: str | None
    """Since when the conditions and the traffic list are so."""
    revisions: tuple[Revision, ...] = ()
    """Those whose URI this picture proves; what a revision serves never changes."""
    traffic: tuple[Share, ...] = ()
    model: ModelLabels | None = None
    services: tuple[str, ...] = ()
    """Deployments that an InferenceGraph sends requests to."""


@dataclass(frozen=True, slots=True)
class Active:
    name: str
    uid: str | None


@dataclass(frozen=True, slots=True)
class Schedule:
    name: str
    phase: str | None
    enabled: bool
    interval_s: int | None
    timezone: str | None
    max_concurrency: int | None
    catchup: bool | None
    starts_at: str | None
    ends_at: str | None
    last_at: str | None
    next_at: str | None
    pipeline: str | None
    cron: tuple[str, ...] = ()
    active: tuple[Active, ...] = ()
    """Workflows that are running."""
    counts: Json = field(default_factory=dict)
    parameters: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline, or with `version` one of its versions."""

    name: str
    version: str | None
    display_name: str | None
    description: str | None
    digest: str | None
    """SHA-256 of the compiled pipeline's canonical JSON (keys sorted, no spaces)."""
    spec: str | None
    """Where the compiled pipeline is, if the object says so."""


@dataclass(frozen=True, slots=True)
class Notebook:
    name: str
    image: str | None
    state: State
    phase: str | None
    started_at: str | None
    finished_at: str | None


@dataclass(frozen=True, slots=True)
class Report:
    object: ObjectRef
    run: Run | None = None
    tasks: tuple[Task, ...] = ()
    edges: tuple[Edge, ...] = ()
    experiment: Experiment | None = None
    deployment: Deployment | None = None
    schedule: Schedule | None = None
    pipeline: Pipeline | None = None
    notebook: Notebook | None = None
    warnings: tuple[str, ...] = ()

    @property
    def is_final(self) -> bool:
        """Nothing more will come of it, unless it is started again."""
        return self.object.deleted or (self.run is not None and self.run.state in FINAL_STATES)

    def to_dict(self, *, sent: bool = True) -> Json:
        """The report as JSON values, keys in the order of the types, free-form maps sorted; equal reports are equal.

        `sent`: with what the page has no field for (`cache`, `resubmitted_from`), which is left out where a person reads.
        """
        notes = Notes()
        for line in self.warnings:
            notes.add(storable(line))
        shown = rendered(self, notes)
        for task in () if sent else shown.get("tasks", ()):
            task.pop("cache", None)
        if not sent:
            shown.get("run", {}).pop("resubmitted_from", None)
        warnings = list(notes.lines())
        if warnings:
            shown["warnings"] = warnings
        return shown

    def to_json(self, *, sent: bool = True) -> str:
        """One line of JSON without spaces. Never contains NUL, a lone surrogate, NaN or an infinity."""
        return json.dumps(self.to_dict(sent=sent), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
