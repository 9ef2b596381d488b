"""Wire shapes of comparisons."""

from typing import Literal

from pydantic import BaseModel

from registry.api.rest.schemas import Number, RunStatusWord

Word = Literal["better", "worse", "equal"]


class CompareItem(BaseModel):
    """A model version has no status; its `at` is when it was made, a run's when it started."""

    id: str
    name: str
    status: RunStatusWord | None
    at: int | None


class CompareCell(BaseModel):
    """`delta` and `ratio` are against the baseline; null where one of the two is missing, not finite, or the baseline 0."""

    value: Number | None
    at: int | None
    step: int | None
    delta: float | None
    ratio: float | None
    verdict: Word | None
    best: bool


class CompareMetric(BaseModel):
    key: str
    direction: Literal["maximize", "minimize"] | None
    unit: str | None
    different: bool
    cells: list[CompareCell]


class CompareText(BaseModel):
    key: str
    different: bool
    values: list[str | None]


class ComparisonOut(BaseModel):
    """Cells and values stand in the order of `items`."""

    items: list[CompareItem]
    baseline: str
    metrics: list[CompareMetric]
    params: list[CompareText]
    tags: list[CompareText]
