"""Wire shapes of the REST API. Answers have no defaults, so that generated clients get required fields; times are ms UTC.

What a JSON Schema can say about the input is said here, so that a body the schema allows is not refused for its form.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from typing_extensions import TypedDict

NO_NUL = r"^[^\x00\uD800-\uDFFF]*$"
Text = Annotated[str, StringConstraints(max_length=1_000_000, pattern=r"^[^\x00]*$")]
NameText = Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=r"^[^\x00]*$")]
KeyText = Annotated[str, StringConstraints(min_length=1, max_length=250, pattern=r"^[^\x00]*$")]
Pairs = Annotated[dict[KeyText, Text], Field(max_length=10_000, default_factory=dict)]
"""Tags or params; empty where left out."""

Millis = Annotated[int, Field(ge=0, lt=2**53)]
StatusWord = Literal["unknown", "pending", "running", "succeeded", "failed", "cached", "canceled"]
RunStatusWord = Literal["unknown", "pending", "running", "succeeded", "failed", "cached", "canceled", "skipped"]
LifecycleWord = Literal["active", "archived", "deleted"]
Number = float | Literal["NaN", "Infinity", "-Infinity"]
"""JSON has no NaN and no infinities: they travel as these words."""

ExperimentId = Annotated[str, StringConstraints(pattern=r"^exp_[1-9][0-9]{0,17}$")]
RunId = Annotated[str, StringConstraints(pattern=r"^run_[0-9a-f]{32}$")]
StepId = Annotated[str, StringConstraints(pattern=r"^step_[1-9][0-9]{0,17}$")]


class In(BaseModel):
    """A body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    data: dict[str, Any] | None = None


class TotalOut(BaseModel):
    """`exact` is false where there are more than 10,000."""

    value: int
    exact: bool


class Found(BaseModel):
    """How each page of a list with a filter ends; `total` is null where it was not asked for."""

    next_page_token: str | None
    total: TotalOut | None


class ExperimentIn(In):
    name: NameText
    description: Text | None = None
    artifact_location: Annotated[str, StringConstraints(max_length=2048, pattern=r"^[^\x00]*$")] | None = None
    tags: Pairs


class ExperimentPatch(In):
    name: NameText | None = None
    description: Text | None = None


class ExperimentOut(BaseModel):
    id: str
    name: str
    description: str | None
    artifact_location: str | None
    lifecycle: LifecycleWord
    derived: bool
    tags: dict[str, str]
    created_at: int
    updated_at: int
    version: int


class ExperimentPage(Found):
    experiments: list[ExperimentOut]


class RunIn(In):
    """`experiment_name` makes the experiment where it is missing."""

    experiment_id: ExperimentId | None = None
    experiment_name: NameText | None = None
    id: RunId | None = None
    name: NameText | None = None
    status: StatusWord = "running"
    started_at: Millis | None = None
    user: Annotated[str, StringConstraints(max_length=512, pattern=r"^[^\x00]*$")] | None = None
    parent: RunId | None = None
    tags: Pairs


class RunPatch(In):
    name: NameText | None = None
    status: StatusWord | None = None
    ended_at: Millis | None = None


# What is hot on the way out is a TypedDict: a plain dictionary that the type checker and OpenAPI know.


class MetricOut(TypedDict):
    key: str
    value: Number
    at: int
    step: int


class RunOut(TypedDict):
    id: str
    name: str
    experiment_id: str | None
    experiment_name: str | None
    status: RunStatusWord | None
    phase: str | None
    started_at: int | None
    ended_at: int | None
    user: str | None
    parent: str | None
    artifact_root: str | None
    lifecycle: LifecycleWord
    created_at: int
    updated_at: int
    version: int
    metrics: list[MetricOut]
    params: dict[str, str]
    tags: dict[str, str]


class RunPage(TypedDict):
    runs: list[RunOut]
    next_page_token: str | None
    total: TotalOut | None


class MetricIn(In):
    key: KeyText
    value: Number
    at: Millis | None = None
    step: Annotated[int, Field(ge=-(2**53) + 1, lt=2**53)] = 0


Metrics = Annotated[list[MetricIn], Field(max_length=100_000, default_factory=list)]


class LogIn(In):
    """Everything or nothing of it is written; sending it again changes nothing."""

    metrics: Metrics
    params: Pairs
    tags: Pairs


class HistoryPage(TypedDict):
    metrics: list[MetricOut]
    next_page_token: str | None


class StepOut(BaseModel):
    """`inputs` and `outputs` are parameters as the workflow had them; `visualizations` what a v1 component wrote for the UI."""

    id: str
    run: str | None
    parent: str | None
    path: str
    name: str
    display_name: str | None
    status: RunStatusWord | None
    phase: str | None
    message: str | None
    iteration: int | None
    attempts: int | None
    started_at: int | None
    ended_at: int | None
    node_id: str | None
    pod_name: str | None
    log_uri: str | None
    fingerprint: str | None
    depends_on: list[str]
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    visualizations: list[dict[str, Any]]


class JoinIn(In):
    """What the environment of a process in a pod says; at least one of `node_id` and `pod_name`.

    `run_id`: a KFP run id or the uid of the Workflow. `name`: of the step, `experiment`: of the run, while nothing else names
    them. `status`: how the process ended; the workflow's report overrules it.
    """

    node_id: NameText | None = None
    pod_name: NameText | None = None
    pod_uid: NameText | None = None
    run_id: Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$")] | None = None
    name: NameText | None = None
    experiment: NameText | None = None
    status: Literal["running", "succeeded", "failed", "canceled"] | None = None


class JoinOut(BaseModel):
    """`reported`: the workflow's report is there, and its word on the states of run and step stands."""

    run: str
    step: str
    reported: bool


class ReusableOut(BaseModel):
    """`seconds`: how long the step ran."""

    step: str
    run: str | None
    seconds: float
    outputs: list[str]


class StepPage(BaseModel):
    steps: list[StepOut]
    next_page_token: str | None


class MetricDefinitionIn(In):
    direction: Literal["maximize", "minimize"]
    unit: Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00]*$")] | None = None


class MetricDefinitionOut(BaseModel):
    key: str
    direction: Literal["maximize", "minimize"]
    unit: str | None


class MetricDefinitionPage(BaseModel):
    metrics: list[MetricDefinitionOut]
    next_page_token: str | None


class AuditEventOut(BaseModel):
    """`seq` and `hash` are null until the event is sealed, about a second after it was written."""

    id: str
    at: int
    actor: str
    action: str
    object: str
    before: Any
    after: Any
    request_id: str | None
    seq: int | None
    hash: str | None


class AuditPage(BaseModel):
    events: list[AuditEventOut]
    next_page_token: str | None


class AuditVerification(BaseModel):
    """`problems` is empty for an intact chain; events that are not sealed yet are counted, not proved."""

    sealed: int
    head: str
    unsealed: int
    problems: list[str]


class TokenIn(In):
    name: NameText
    role: Literal["viewer", "contributor", "approver", "admin"]
    expires_at: Millis | None = None


class TokenOut(BaseModel):
    id: str
    name: str
    role: Literal["viewer", "contributor", "approver", "admin"]
    created_by: str
    created_at: int
    expires_at: int | None
    revoked_at: int | None


class TokenMade(TokenOut):
    """The only time that the secret is shown."""

    token: str


class TokenPage(BaseModel):
    tokens: list[TokenOut]
    next_page_token: str | None


class WorkspaceIn(In):
    name: NameText


class WorkspaceOut(BaseModel):
    id: str
    name: str
    created_at: int


class WorkspaceList(BaseModel):
    workspaces: list[WorkspaceOut]
