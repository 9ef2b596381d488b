"""What an import asks of a store of MLflow, whichever form it has."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from registry.catalog.importing.mlflow.records import Experiment, LoggedModel, Model, ModelPoint, Run, Uses
from registry.catalog.metrics import Point

T = TypeVar("T")
After = list[Any]
"""Where a read goes on, in the source's own words; empty at the beginning. Plain JSON."""

History = tuple[str, Sequence[Point]]
"""A run and points of it."""

POINTS_AT_ONCE = 20_000
RUNS_AT_ONCE = 200


@dataclass(frozen=True)
class Bad:
    """Something that cannot be read: a `what` called `id`, and why."""

    what: str
    id: str
    why: str


@dataclass(frozen=True)
class Batch(Generic[T]):
    """`after` None: the batch goes on, and begins anew if the import breaks off within it.

    `bad` of `lost` records or points, and of `lost_versions` of models.
    """

    records: Sequence[T]
    after: After | None
    bad: Sequence[Bad] = ()
    lost: int = 0
    lost_versions: int = 0


class Source(Protocol):
    @property
    def address(self) -> str:
        """Where it is, without credentials."""
        ...

    def remarks(self) -> list[str]:
        """What of it is not taken over at all."""
        ...

    def totals(self) -> Mapping[str, int]:
        """Rows by phase, as far as it can be known beforehand."""
        ...

    def highest_experiment(self) -> int:
        """Of those ids that are to be kept; 0 for none."""
        ...

    def experiments(self, after: After) -> Iterator[Batch[Experiment]]: ...

    def runs(self, after: After) -> Iterator[Batch[Run]]: ...

    def logged_models(self, after: After) -> Iterator[Batch[LoggedModel]]: ...

    def uses(self, after: After) -> Iterator[Batch[Uses]]: ...

    def metrics(self, after: After) -> Iterator[Batch[History]]: ...

    def model_metrics(self, after: After) -> Iterator[Batch[ModelPoint]]: ...

    def models(self, after: After) -> Iterator[Batch[Model]]: ...

    def history(self, run: Run, key: str) -> list[Point]:
        """All points of a metric, in any order."""
        ...

    def count_points(self, runs: Sequence[Run]) -> int | None:
        """Of all their metrics, exact repeats once; None where only reading them would tell."""
        ...

    def close(self) -> None: ...
