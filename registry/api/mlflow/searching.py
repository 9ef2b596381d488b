"""Calls that search runs and experiments."""

from collections.abc import Sequence
from typing import Any

import orjson

from registry.api.mlflow import wire
from registry.api.mlflow.calls import Answer, Call
from registry.api.mlflow.fields import invalid
from registry.api.mlflow.limits import MAX_EXPERIMENTS, page_size
from registry.catalog.fragments import Built, RunRead
from registry.catalog.pages import Page
from registry.catalog.run_inputs import find_uses
from registry.catalog.run_search import Asked, search_experiments, search_runs
from registry.db.session import Session
from registry.filtering.keyset import place_of, token_of
from registry.names import FragmentKind

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

    def read(session: Session) -> tuple[Page[RunRead], list[tuple[bytes, Built | None]]]:
        page = search_runs(session, call.actor, ids, asked, now=call.now)
        uses = find_uses(session, [one.run for one in page.records])
        return page, [wire.read_run(call, one, uses.get(one.run.id)) for one in page.records]

    page, shown = await call.runner.aread(read)
    call.services.keeper.keep(FragmentKind.RUN_VALUES_MLFLOW, [built for _, built in shown if built is not None])
    if not shown:
        return {}
    end = orjson.dumps(wire.given(next_page_token=_token(page, query)))[1:]
    return b'{"runs":[' + b",".join([run for run, _ in shown]) + (b"]" if end == b"}" else b"],") + end


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
