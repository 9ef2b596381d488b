"""The route of the persistence agent: one report of one Kubernetes object."""

from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from registry.api.rest.answers import answer, problems
from registry.api.services import ActorOf, ServicesOf, now_ms
from registry.catalog.reports.applying import apply_report
from registry.catalog.reports.record import parse

router = APIRouter(prefix="/api/v1/reports", tags=["reports"])


class AppliedOut(BaseModel):
    """`stale`: a newer report of this run was here before; `unchanged`: this very one was."""

    result: Literal["applied", "unchanged", "stale"]
    run: str | None
    warnings: list[str]


@router.post(
    "",
    operation_id="applyReport",
    response_model=AppliedOut,
    responses=problems(409, 413),
    openapi_extra={
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
    },
)
async def apply(request: Request, services: ServicesOf, actor: ActorOf) -> Response:
    """A report as `lineal-agent translate` prints it (agent/report.schema.json). Idempotent; the order does not matter."""
    report, now = parse(await request.body()), now_ms()
    applied = await services.runner.awrite(lambda session: apply_report(session, actor, report, now=now), replayable=True)
    run = None if applied.run_hex is None else f"run_{applied.run_hex}"
    return answer(AppliedOut(result=applied.result, run=run, warnings=list(applied.warnings)))  # type: ignore[arg-type]
