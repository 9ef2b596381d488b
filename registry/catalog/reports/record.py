"""The form of a report, as `lineal-agent translate` prints it (agent/report.schema.json). Absent and null mean the same."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec

from registry.errors import InvalidArgument
from registry.names import Status, check_text

State = Literal["NEW", "RUNNING", "COMPLETE", "FAILED", "CANCELED", "CACHED", "UNKNOWN"]
STATUS = {
    "NEW": Status.PENDING,
    "RUNNING": Status.RUNNING,
    "COMPLETE": Status.SUCCEEDED,
    "FAILED": Status.FAILED,
    "CANCELED": Status.CANCELED,
    "CACHED": Status.CACHED,
    "UNKNOWN": Status.UNKNOWN,
}
Json = dict[str, Any]
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class ObjectRef(msgspec.Struct, frozen=True):
    kind: str
    cluster: str | None = None
    namespace: str | None = None
    name: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    generation: Int64 | None = None
    retry_generation: Int64 | None = None
    deleted: bool = False
    gone_at: str | None = None


class Owner(msgspec.Struct, frozen=True):
    kind: str
    name: str | None = None
    uid: str | None = None


class Artifact(msgspec.Struct, frozen=True):
    name: str
    uri: str
    type: str | None = None
    metadata: Json = {}


class Ports(msgspec.Struct, frozen=True):
    parameters: Json = {}
    artifacts: tuple[Artifact, ...] = ()


class Observed(msgspec.Struct, frozen=True):
    name: str
    at: str
    value: str


class Run(msgspec.Struct, frozen=True):
    id: str
    state: State
    name: str | None = None
    phase: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    pipeline: str | None = None
    parameters: Json = {}
    metrics: Json = {}
    owner: Owner | None = None
    replicas: Json = {}
    inputs: Ports = Ports()
    history: tuple[Observed, ...] = ()
    resubmitted_from: str | None = None


class Fetched(msgspec.Struct, frozen=True):
    parameters: Json = {}
    metrics: Json = {}
    metadata: Json = {}
    visualizations: tuple[Json, ...] = ()


class Cache(msgspec.Struct, frozen=True):
    key: str


class Task(msgspec.Struct, frozen=True):
    key: str
    name: str
    state: State
    display_name: str | None = None
    parent: str | None = None
    depends_on: tuple[str, ...] = ()
    skipped: bool = False
    phase: str | None = None
    message: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    attempts: int | None = None
    iteration: int | None = None
    cached: bool = False
    node_id: str | None = None
    pod_name: str | None = None
    execution_id: Int64 | None = None
    log_uri: str | None = None
    inputs: Ports = Ports()
    outputs: Ports = Ports()
    metrics: Json = {}
    fetched: Fetched | None = None
    cache: Cache | None = None

    @property
    def status(self) -> Status:
        if self.skipped:
            return Status.SKIPPED
        return Status.CACHED if self.cached else STATUS[self.state]


class Edge(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    from_: str
    to: str
    port: str
    kind: Literal["artifact", "parameter"]


class Experiment(msgspec.Struct, frozen=True):
    name: str
    state: State | None = None
    phase: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    objective: Json = {}
    algorithm: Json = {}
    early_stopping: Json = {}
    search_space: tuple[Json, ...] = ()
    counts: Json = {}
    best_trial: Json = {}
    suggestion: Json = {}


class Revision(msgspec.Struct, frozen=True):
    name: str
    uri: str


class Share(msgspec.Struct, frozen=True):
    revision: str
    percent: Annotated[int, msgspec.Meta(ge=0, le=100)]
    tag: str | None = None
    latest: bool = False


class ModelLabels(msgspec.Struct, frozen=True):
    registered_model_id: Int64 | None = None
    model_version_id: Int64 | None = None


class Deployment(msgspec.Struct, frozen=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=240)]
    environment: Annotated[str, msgspec.Meta(min_length=1, max_length=512)] | None = None
    state: Literal["DEPLOYED", "UNDEPLOYED"] = "DEPLOYED"
    ready: str | None = None
    message: str | None = None
    url: str | None = None
    mode: str | None = None
    runtime: str | None = None
    changed_at: str | None = None
    revisions: tuple[Revision, ...] = ()
    traffic: tuple[Share, ...] = ()
    model: ModelLabels | None = None
    services: tuple[str, ...] = ()


class Report(msgspec.Struct, frozen=True):
    """`schedule`, `pipeline` and `notebook` are kept as they come, to be shown with the object."""

    object: ObjectRef
    run: Run | None = None
    tasks: tuple[Task, ...] = ()
    edges: tuple[Edge, ...] = ()
    experiment: Experiment | None = None
    deployment: Deployment | None = None
    schedule: Json = {}
    pipeline: Json = {}
    notebook: Json = {}
    warnings: tuple[str, ...] = ()

    @property
    def status(self) -> Status:
        """Of the run or experiment; an object that is gone before its end was canceled. Other kinds end by being deleted."""
        state = self.run.state if self.run else self.experiment.state if self.experiment else None
        found = Status.UNKNOWN if state is None else STATUS[state]
        return Status.CANCELED if self.object.deleted and not found.is_final else found

    @property
    def phase(self) -> str | None:
        """The source's own word."""
        if self.run or self.experiment:
            said: Any = self.run.phase if self.run else self.experiment.phase if self.experiment else None
        elif self.deployment:
            said = self.deployment.ready and f"Ready={self.deployment.ready}"
        else:
            said = self.schedule.get("phase") or self.notebook.get("phase")
        return said if isinstance(said, str) else None


def parse(body: bytes) -> Report:
    """Raises InvalidArgument: says where the body is no report."""
    try:
        text = body.decode()
        report = kept(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidArgument(f"the body is no report: {error}") from error
    check_text(text, "report")
    if "\\u0000" in text and _NUL.search(text):
        raise InvalidArgument("report contains a NUL character")
    keys = [task.key for task in report.tasks]
    if len(keys) != len(set(keys)):
        raise InvalidArgument("two tasks of the report have the same key")
    return report


kept = msgspec.json.Decoder(Report).decode
"""A report that was parsed before."""


def canonical(report: Report) -> bytes:
    """Equal reports are equal bytes."""
    return msgspec.json.encode(report, order="sorted")


def millis(text: str | None) -> int | None:
    """Of an RFC 3339 time; None for none, or for text that is no time."""
    if text is None:
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    stamp = int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1000)
    return stamp if stamp >= 0 else None


def worded(value: Any) -> str:
    """A parameter's value as text: strings as they are, all else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value, order="sorted").decode()
