"""What FastAPI asks for before it calls a route: coroutines, since anything else costs a hop to a thread and back each time."""

import inspect
from collections.abc import Iterator

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from registry.api.app import ROUTERS

ROUTES = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]


def asked_of(dependant: Dependant) -> Iterator[object]:
    for inner in dependant.dependencies:
        yield inner.call
        yield from asked_of(inner)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation_id)
def test_no_route_waits_for_a_thread_before_it_begins(route: APIRoute) -> None:
    assert [call for call in asked_of(route.dependant) if not inspect.iscoroutinefunction(call)] == []
