"""Wire shapes of registered models, their versions, aliases and stages."""

from typing import Annotated, Literal

from pydantic import BaseModel, StringConstraints
from typing_extensions import TypedDict

from registry.api.rest.schemas import (
    Found,
    In,
    KeyText,
    LifecycleWord,
    MetricOut,
    Metrics,
    NameText,
    Pairs,
    RunId,
    Text,
    TotalOut,
)

ReadinessWord = Literal["ready", "pending", "failed"]
VersionId = Annotated[str, StringConstraints(pattern=r"^mv_[1-9][0-9]{0,17}$")]
ArtifactId = Annotated[str, StringConstraints(pattern=r"^art_[1-9][0-9]{0,17}$")]
OwnerText = Annotated[str, StringConstraints(max_length=512, pattern=r"^[^\x00]*$")]
Reason = Annotated[str, StringConstraints(max_length=10_000, pattern=r"^[^\x00]*$")]
StageText = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]


class ModelIn(In):
    name: NameText
    description: Text | None = None
    owner: OwnerText | None = None
    tags: Pairs


class ModelPatch(In):
    name: NameText | None = None
    description: Text | None = None
    owner: OwnerText | None = None


class ModelOut(BaseModel):
    """`aliases`: alias to version number. `last_number`: the highest number that a version was ever given."""

    id: str
    name: str
    description: str | None
    owner: str | None
    last_number: int
    lifecycle: LifecycleWord
    aliases: dict[str, int]
    tags: dict[str, str]
    created_at: int
    updated_at: int
    version: int


class ModelPage(Found):
    models: list[ModelOut]


class TagsIn(In):
    tags: dict[KeyText, Text]


class VersionIn(In):
    """Files are an artifact, or lie where `source` says. A name that is a decimal above the counter is the number."""

    name: NameText | None = None
    description: Text | None = None
    author: OwnerText | None = None
    source: Annotated[str, StringConstraints(max_length=2048, pattern=r"^[^\x00]*$")] | None = None
    run_id: RunId | None = None
    artifact_id: ArtifactId | None = None
    readiness: ReadinessWord = "ready"
    status_message: Text | None = None
    tags: Pairs


class VersionPatch(In):
    name: NameText | None = None
    description: Text | None = None
    author: OwnerText | None = None
    readiness: ReadinessWord | None = None
    status_message: Text | None = None


class VersionOut(TypedDict):
    """Metrics and params are its own and those of its run; where both have a key, its own is shown."""

    id: str
    model_id: str
    model_name: str
    number: int
    name: str
    description: str | None
    author: str | None
    lifecycle: LifecycleWord
    readiness: ReadinessWord
    status_message: str | None
    stage: str | None
    aliases: list[str]
    source: str | None
    run_id: str | None
    artifact_id: str | None
    digest: str | None
    created_at: int
    updated_at: int
    version: int
    metrics: list[MetricOut]
    params: dict[str, str]
    tags: dict[str, str]


class VersionPage(TypedDict):
    versions: list[VersionOut]
    next_page_token: str | None
    total: TotalOut | None


class VersionLogIn(In):
    metrics: Metrics
    params: Pairs


class AliasIn(In):
    """`expected`: who must hold the alias now (null: nobody), else 412; left out, whoever holds it."""

    version_id: VersionId
    expected: VersionId | None = None
    reason: Reason | None = None


class StageIn(In):
    """`None` takes the stage away. `archive_existing`: the stage's other holders become `Archived`."""

    stage: StageText
    archive_existing: bool = False
    reason: Reason | None = None


class MoveOut(BaseModel):
    """One line of the history of an alias or stage."""

    id: str
    kind: Literal["alias", "stage"]
    target: str
    from_version: str | None
    to_version: str | None
    actor: str
    reason: str | None
    at: int


class MovePage(BaseModel):
    moves: list[MoveOut]
    next_page_token: str | None


class MoveList(BaseModel):
    """What changed; empty if it was so already."""

    moves: list[MoveOut]
