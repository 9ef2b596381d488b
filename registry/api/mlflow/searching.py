"""Calls that search runs and experiments."""

from collections.abc import Sequence
from typing import Any

from registry.api.mlflow import wire
from registry.api.mlflow.calls import Answer, Call
from registry.api.mlflow.fields import invalid
from registry.api.mlflow.limits import MAX_EXPERIMENTS, page_size
from registry.catalog.pages import Page
from registry.catalog.run_inputs import RunUses, find_uses
from registry.catalog.run_search import Asked, search_experiments, search_runs
from registry.catalog.runs import Run
from registry.db.session import Session
from registry.filtering.keyset import place_of, token_of

VIEWS = ("ACTIVE_ONLY", "DELETED_ONLY", "ALL")
"""In the order of MLflow's numbers, from 1."""


async def runs(call: Call) -> Answer:
    """Without experiments nothing is found."""
    limit = page_size(call.fields.integer("max_results"), default=1000)
    ids = sorted({call.experiment_id(text) for text in call.fields.texts("experiment_ids")})
    if len(ids) > MAX_EXPERIMENTS:
        raise invalid("experiment_ids", len(ids), f"at most {MAX_EXPERIMENTS} experiments at a time")
    asked, query = _asked(call, "run_view_type", limit, "mlflow runs", ids)
    if not ids:
        return {}

    def read(session: Session) -> tuple[Page[Run], dict[int, RunUses]]:
        page = search_runs(session, call.actor, ids, asked)
        return page, find_uses(session, page.records)

    page, uses = await call.runner.aread(read)
    shown = [wire.run(call, record, uses.get(record.id)) for record in page.records]
    return wire.given(runs=shown, next_page_token=_token(page, query))


async def experiments(call: Call) -> Answer:
    limit = page_size(call.fields.integer("max_results"))
    asked, query = _asked(call, "view_type", limit, "mlflow experiments")
    page = await call.runner.aread(lambda session: search_experiments(session, call.actor, asked, default=call.default))
    shown = [wire.experiment(call, record) for record in page.records]
    return wire.given(experiments=shown, next_page_token=_token(page, query))


def _asked(call: Call, view_field: str, limit: int, *what: object) -> tuple[Asked, Sequence[object]]:
    """And the query that its tokens are valid for. Raises InvalidPageToken."""
    view = call.fields.word(view_field, VIEWS) or "ACTIVE_ONLY"
    filter, order_by = call.fields.text("filter") or "", call.fields.texts("order_by")
    query = (*what, call.actor.workspace, view, filter, order_by)
    token = call.fields.text("page_token")
    after = place_of(token, *query) if token else None
    asked = Asked(filter, order_by, view != "DELETED_ONLY", view != "ACTIVE_ONLY", after, limit)
    return asked, query


def _token(page: Page[Any], query: Sequence[object]) -> str | None:
    return None if page.end is None else token_of(page.end, *query)
