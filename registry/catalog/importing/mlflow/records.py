"""What a store of MLflow holds, whichever form it has: its own ids, words and URIs. Times are ms UTC."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from registry.catalog.metrics import Point
from registry.catalog.run_inputs import DatasetInput

DEFAULT_EXPERIMENT = "0"
DELETED_STAGE = "Deleted_Internal"
"""Of a version that was deleted: its row stays, so that its number is not given again."""


@dataclass(frozen=True)
class Experiment:
    id: str
    name: str
    location: str | None
    is_deleted: bool
    created_at: int | None
    updated_at: int | None
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Run:
    """`status` is MLflow's word. `name` and `user` also stand among the tags of newer stores."""

    id: str
    experiment: str
    name: str | None
    user: str | None
    status: str
    started_at: int | None
    ended_at: int | None
    is_deleted: bool
    deleted_at: int | None
    artifact_uri: str | None
    tags: Mapping[str, str]
    params: Mapping[str, str]


@dataclass(frozen=True)
class Uses:
    """What a run read and made: `models` by their ids; `made` with the step of each."""

    run: str
    inputs: Sequence[DatasetInput] = ()
    models: Sequence[str] = ()
    made: Sequence[tuple[str, int]] = ()


@dataclass(frozen=True)
class LoggedModel:
    id: str
    experiment: str
    name: str
    model_type: str | None
    run: str | None
    location: str
    status: str
    is_deleted: bool
    created_at: int
    updated_at: int
    tags: Mapping[str, str]
    params: Mapping[str, str]


@dataclass(frozen=True)
class ModelPoint:
    """A point that a run measured on a logged model; `dataset` is name and digest."""

    model: str
    run: str | None
    dataset: tuple[str, str] | None
    point: Point


@dataclass(frozen=True)
class Version:
    """`location`: where its files are, if the store says more than `source`. `model_id`: the logged model that it was made of."""

    number: int
    created_at: int | None
    updated_at: int | None
    description: str | None
    user: str | None
    stage: str | None
    source: str | None
    location: str | None
    run: str | None
    run_link: str | None
    status: str | None
    status_message: str | None
    tags: Mapping[str, str]
    model_id: str | None = None

    @property
    def is_deleted(self) -> bool:
        return self.stage == DELETED_STAGE


@dataclass(frozen=True)
class Model:
    """A registered model or a prompt; `aliases`: to the number of the version."""

    name: str
    description: str | None
    created_at: int | None
    updated_at: int | None
    tags: Mapping[str, str]
    aliases: Mapping[str, int]
    versions: Sequence[Version] = field(default_factory=list)
