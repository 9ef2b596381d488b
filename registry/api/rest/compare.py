"""Routes that put runs, or model versions, side by side."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from registry.api.rest.answers import answer, problems, word
from registry.api.rest.compare_schemas import CompareCell, CompareItem, CompareMetric, CompareText, ComparisonOut
from registry.api.rest.runs import number
from registry.api.services import ActorOf, ServicesOf
from registry.catalog import compare as catalog
from registry.names import IdPrefix, parse_id, parse_run_id

router = APIRouter(prefix="/api/v1/compare", tags=["compare"])
_RUN = "run_[0-9a-f]{32}"
_VERSION = "mv_[1-9][0-9]{0,17}"
RunIds = Annotated[str, Query(pattern=f"^{_RUN}(,{_RUN}){{1,49}}$", description="2 to 50 run ids, commas between; no id twice.")]
VersionIds = Annotated[
    str, Query(pattern=f"^{_VERSION}(,{_VERSION}){{1,49}}$", description="2 to 50 version ids, commas between; no id twice.")
]
OnlyDifferent = Annotated[bool, Query(description="Leave out rows whose values are the same for all.")]


def rendered(found: catalog.Comparison) -> ComparisonOut:
    return ComparisonOut(
        items=[
            CompareItem(
                id=item.own_id,
                name=item.name,
                status=None if item.status is None else word(item.status),
                at=item.at,
            )
            for item in found.items
        ],
        baseline=found.items[found.baseline].own_id,
        metrics=[
            CompareMetric(
                key=row.key,
                direction=None if row.direction is None else word(row.direction),
                unit=row.unit,
                different=row.different,
                cells=[_cell(cell) for cell in row.cells],
            )
            for row in found.metrics
        ],
        params=[_text(row) for row in found.params],
        tags=[_text(row) for row in found.tags],
    )


def _cell(cell: catalog.Cell) -> CompareCell:
    return CompareCell(
        value=None if cell.value is None else number(cell.value),
        at=cell.at,
        step=cell.step,
        delta=cell.delta,
        ratio=cell.ratio,
        verdict=None if cell.verdict is None else cell.verdict.value,
        best=cell.best,
    )


def _text(row: catalog.TextRow) -> CompareText:
    return CompareText(key=row.key, different=row.different, values=list(row.values))


@router.get("/runs", operation_id="compareRuns", response_model=ComparisonOut, responses=problems(404))
async def compare_runs(
    services: ServicesOf,
    actor: ActorOf,
    ids: RunIds,
    baseline: Annotated[str | None, Query(pattern=f"^{_RUN}$", description="One of the ids; the first if left out.")] = None,
    only_different: OnlyDifferent = False,
) -> Response:
    """Latest metrics with their difference to the baseline, params and tags; missing is null, never zero."""
    hexes = [parse_run_id(id) for id in ids.split(",")]
    base = None if baseline is None else parse_run_id(baseline)
    found = await services.runner.aread(
        lambda session: catalog.compare_runs(session, actor, hexes, baseline=base, only_different=only_different)
    )
    return answer(rendered(found))


@router.get("/model-versions", operation_id="compareModelVersions", response_model=ComparisonOut, responses=problems(404))
async def compare_versions(
    services: ServicesOf,
    actor: ActorOf,
    ids: VersionIds,
    baseline: Annotated[str | None, Query(pattern=f"^{_VERSION}$", description="One of the ids; the first if left out.")] = None,
    only_different: OnlyDifferent = False,
) -> Response:
    """As for runs. A version shows its own metrics and params, and those of its run where it has none of that key."""
    numbers = [parse_id(IdPrefix.VERSION, id) for id in ids.split(",")]
    base = None if baseline is None else parse_id(IdPrefix.VERSION, baseline)
    found = await services.runner.aread(
        lambda session: catalog.compare_versions(session, actor, numbers, baseline=base, only_different=only_different)
    )
    return answer(rendered(found))
