"""Routes of what a workspace says of its metrics: which way is better."""

from fastapi import APIRouter, Response

from registry.api.rest.answers import answer, problems, word
from registry.api.rest.paging import PageSize, PageToken, cut, text_position
from registry.api.rest.runs import KeyPath
from registry.api.rest.schemas import MetricDefinitionIn, MetricDefinitionOut, MetricDefinitionPage
from registry.api.services import ActorOf, ServicesOf, now_ms
from registry.catalog import metric_definitions as catalog
from registry.names import Direction, Role

router = APIRouter(prefix="/api/v1/metrics", tags=["metrics"])


def rendered(definition: catalog.MetricDefinition) -> MetricDefinitionOut:
    return MetricDefinitionOut(key=definition.key, direction=word(definition.direction), unit=definition.unit)


@router.get("", operation_id="listMetricDefinitions", response_model=MetricDefinitionPage, responses=problems())
async def list_definitions(
    services: ServicesOf, actor: ActorOf, page_size: PageSize = 100, page_token: PageToken = None
) -> Response:
    """Those that were defined, by key."""
    query = ("metric definitions", actor.workspace)
    after = text_position(page_token, *query)
    found = await services.runner.aread(
        lambda session: catalog.list_definitions(session, actor, after=after, limit=page_size + 1)
    )
    page, token = cut(found, page_size, lambda definition: [definition.key], *query)
    return answer(MetricDefinitionPage(metrics=[rendered(one) for one in page], next_page_token=token))


@router.put("/{key:path}", operation_id="defineMetric", response_model=MetricDefinitionOut, responses=problems(404, 413))
async def define(key: KeyPath, body: MetricDefinitionIn, services: ServicesOf, actor: ActorOf) -> Response:
    """Say which way the metric is better, in the whole workspace; comparisons use it."""
    actor.require(Role.CONTRIBUTOR)
    now, direction = now_ms(), Direction[body.direction.upper()]
    made = await services.runner.awrite(
        lambda session: catalog.define_metric(session, actor, key, direction, now=now, unit=body.unit), replayable=True
    )
    return answer(rendered(made))
