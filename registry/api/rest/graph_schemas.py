"""Wire shapes of artifacts, datasets, environments and deployments."""

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from registry.api.rest.model_schemas import ArtifactId, ReadinessWord, StageText, VersionId
from registry.api.rest.schemas import Found, In, LifecycleWord, NameText, Pairs, RunId, StepId, Text

ArtifactKindWord = Literal["other", "model", "dataset", "doc", "logged_model"]
Uri = Annotated[str, StringConstraints(min_length=1, max_length=65_535, pattern=r"^[^\x00]*$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Bytes = Annotated[int, Field(ge=0, lt=2**53)]
MediaType = Annotated[str, StringConstraints(max_length=255, pattern=r"^[^\x00]*$")]
Short = Annotated[str, StringConstraints(max_length=255, pattern=r"^[^\x00]*$")]
Port = Annotated[str, StringConstraints(max_length=512, pattern=r"^[^\x00]*$")]
Namespace = Annotated[str, StringConstraints(max_length=512, pattern=r"^[^\x00]*$")]
AliasText = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,255}$")]
ModelId = Annotated[str, StringConstraints(pattern=r"^model_[1-9][0-9]{0,17}$")]


def _as_json(value: Any) -> Any:
    """Raises ValueError: the parser lets through what JSON has not (NaN, halves of characters), or can hold one level more."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (UnicodeEncodeError, RecursionError) as error:
        raise ValueError(f"cannot be stored as JSON: {error}") from error
    return value


AnyJson = Annotated[Any, AfterValidator(_as_json)]


class ArtifactIn(In):
    """Two equal calls make two artifacts, unless they bear one Idempotency-Key."""

    kind: ArtifactKindWord = "other"
    uri: Uri | None = None
    digest: Digest | None = None
    size_bytes: Bytes | None = None
    media_type: MediaType | None = None
    display_name: NameText | None = None
    description: Text | None = None
    readiness: ReadinessWord = "ready"
    tags: Pairs


class ArtifactPatch(In):
    uri: Uri | None = None
    digest: Digest | None = None
    size_bytes: Bytes | None = None
    media_type: MediaType | None = None
    display_name: NameText | None = None
    description: Text | None = None
    readiness: ReadinessWord | None = None


class ArtifactOut(BaseModel):
    """`digest`: sha256 of the bytes, null while unverified. `producer`: the execution that made it."""

    id: str
    kind: ArtifactKindWord
    name: str | None
    display_name: str | None
    description: str | None
    uri: str | None
    digest: str | None
    size_bytes: int | None
    media_type: str | None
    readiness: ReadinessWord
    lifecycle: LifecycleWord
    producer: str | None
    port: str | None
    tags: dict[str, str]
    created_at: int
    updated_at: int
    version: int


class ArtifactPage(Found):
    artifacts: list[ArtifactOut]


class UseIn(In):
    """An artifact by its id, read or written by the run, or by a step of it."""

    artifact_id: ArtifactId
    direction: Literal["input", "output"]
    port: Port | None = None
    step: StepId | None = None
    tags: Pairs


class UseOut(BaseModel):
    """`step` is null where the run itself used it."""

    id: str
    artifact: ArtifactOut
    direction: Literal["input", "output"]
    port: str | None
    step: str | None
    at: int
    tags: dict[str, str]


class UsePage(BaseModel):
    uses: list[UseOut]
    next_page_token: str | None


class DatasetIn(In):
    name: NameText
    namespace: Namespace = ""
    description: Text | None = None


class DatasetPatch(In):
    description: Text


class DatasetOut(BaseModel):
    id: str
    namespace: str
    name: str
    description: str | None
    created_at: int
    updated_at: int
    version: int


class DatasetPage(Found):
    datasets: list[DatasetOut]


class DatasetUseIn(In):
    """A dataset's version that the run, or a step of it, read or made (`direction`).

    It is made where it is missing. `digest` is the client's word for the content.
    """

    name: NameText
    namespace: Namespace = ""
    digest: Short = ""
    source_type: Short | None = None
    source: Text | None = None
    schema_text: Text | None = None
    profile_text: Text | None = None
    uri: Uri | None = None
    direction: Literal["input", "output"] = "input"
    port: Port | None = None
    step: StepId | None = None
    tags: Pairs


class DatasetVersionOut(BaseModel):
    """`id` is the artifact's."""

    id: str
    dataset_id: str
    namespace: str
    name: str
    digest: str
    source_type: str | None
    source: str | None
    schema_text: str | None
    profile_text: str | None
    uri: str | None
    lifecycle: LifecycleWord
    tags: dict[str, str]
    created_at: int
    updated_at: int
    version: int


class DatasetVersionPage(BaseModel):
    versions: list[DatasetVersionOut]
    next_page_token: str | None


class RegisterIn(In):
    """Files are exactly one of: `output` (what `run_id` wrote under that name), `uri`, `artifact_id`."""

    model: NameText
    output: Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=r"^[^\x00]*$")] | None = None
    uri: Annotated[str, StringConstraints(min_length=1, max_length=2048, pattern=r"^[^\x00]*$")] | None = None
    artifact_id: ArtifactId | None = None
    run_id: RunId | None = None
    version_name: NameText | None = None
    description: Text | None = None
    alias: AliasText | None = None
    stage: StageText | None = None
    tags: Pairs


class EnvironmentIn(In):
    name: NameText
    description: Text | None = None


class EnvironmentPatch(In):
    description: Text


class EnvironmentOut(BaseModel):
    id: str
    name: str
    description: str | None
    lifecycle: LifecycleWord
    created_at: int
    updated_at: int
    version: int


class EnvironmentPage(Found):
    environments: list[EnvironmentOut]


class ShareIn(In):
    version: VersionId | None = None
    revision: Port | None = None
    percent: Annotated[float, Field(ge=0, le=100)]
    tag: Port | None = None


Shares = Annotated[list[ShareIn], Field(max_length=1000)]


class DeploymentIn(In):
    """`environment` is a name, made on first use. Without `model_version_id` the model's newest version is served."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=480, pattern=r"^[^\x00]*$")]
    environment: NameText
    description: Text | None = None
    model_id: ModelId | None = None
    model_version_id: VersionId | None = None
    desired_state: Literal["deployed", "undeployed"] = "deployed"
    actual_state: Short | None = None
    runtime: Short | None = None
    url: Uri | None = None
    uid: Short | None = None
    conditions: AnyJson = None
    shares: Shares | None = None
    tags: Pairs


class DeploymentPatch(In):
    description: Text | None = None
    model_id: ModelId | None = None
    model_version_id: VersionId | None = None
    unpin: bool = False
    desired_state: Literal["deployed", "undeployed"] | None = None
    actual_state: Short | None = None
    runtime: Short | None = None
    url: Uri | None = None
    uid: Short | None = None
    conditions: AnyJson = None
    shares: Shares | None = None


class ShareOut(BaseModel):
    """`uri`: what its revision serves, where a report told of it."""

    version: str | None
    revision: str | None
    uri: str | None
    percent: float
    tag: str | None


class RevisionOut(BaseModel):
    """`version`: the model version that lies at the URI, or that URI or label name. `inferred`: its place alone says so."""

    name: str
    uri: str
    version: str | None
    inferred: bool


class RevisionList(BaseModel):
    revisions: list[RevisionOut]


class DeploymentOut(BaseModel):
    """`model_version_id`: the pinned one. `shares`: the newest traffic list; each names the version that its revision serves."""

    id: str
    name: str
    description: str | None
    environment_id: str
    environment: str
    model_id: str | None
    model_name: str | None
    model_version_id: str | None
    model_version_number: int | None
    desired_state: Literal["deployed", "undeployed"]
    actual_state: str | None
    runtime: str | None
    url: str | None
    uid: str | None
    conditions: Any
    shares: list[ShareOut]
    lifecycle: LifecycleWord
    tags: dict[str, str]
    created_at: int
    updated_at: int
    version: int


class DeploymentPage(Found):
    deployments: list[DeploymentOut]


class TrafficOut(BaseModel):
    """The list in force from `at` on."""

    at: int
    shares: list[ShareOut]


class TrafficHistory(BaseModel):
    history: list[TrafficOut]
