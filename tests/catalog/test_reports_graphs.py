"""InferenceGraphs that reports tell of: in lineage they come from the services that they name."""

import itertools
from typing import Any

import pytest

from lineage.graph import Direction, EdgeKind
from registry.catalog.actors import Actor
from registry.catalog.lineage import find_node, walk
from registry.db.runner import Runner
from tests.agent.objects import service
from tests.catalog.reporting import apply, new_uid
from tests.catalog.test_reports_deployments import Json, found, of_one_object, told


def graph_of(uid: str, version: int, *services: str) -> Json:
    steps = [{"serviceName": name, "weight": 10} for name in services]
    spec = {"nodes": {"root": {"routerType": "Splitter", "steps": steps}}}
    metadata = {"name": "graph", "uid": uid, "resourceVersion": str(version), "creationTimestamp": "2026-06-01T00:00:00Z"}
    return told({"kind": "InferenceGraph", "apiVersion": "serving.kserve.io/v1alpha1", "metadata": metadata, "spec": spec})


def named_service(name: str) -> Json:
    [body] = of_one_object([service()])
    body["object"]["name"] = body["deployment"]["name"] = name
    return body


def sources_of(runner: Runner, actor: Actor, body: Json) -> set[str]:
    """The deployments whose answers it gives on, by their own ids."""

    def read(session: Any) -> set[str]:
        node = find_node(session, found(runner, actor, body).own_id, workspace=actor.workspace)
        graph = walk(session, node, workspace=actor.workspace, direction=Direction.UPSTREAM, depth=1)
        return {f"dep_{edge.source.id}" for edge in graph.edges if edge.kind is EdgeKind.DEPLOYED_AS and not edge.inferred}

    return runner.read(read)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_graph_comes_from_the_services_that_it_names_whichever_is_told_first(
    runner: Runner, actor: Actor, order: tuple[int, ...]
) -> None:
    names = [f"svc-{new_uid()[:8]}" for _ in range(2)]
    services = [named_service(name) for name in names]
    graph = graph_of(new_uid(), 1, *names)
    bodies = [*services, graph]

    for place in order:
        apply(runner, actor, bodies[place])

    assert sources_of(runner, actor, graph) == {found(runner, actor, one).own_id for one in services}
    node = runner.read(lambda session: find_node(session, found(runner, actor, services[0]).own_id, workspace=actor.workspace))
    below = runner.read(lambda session: walk(session, node, workspace=actor.workspace, direction=Direction.DOWNSTREAM, depth=1))
    assert [f"dep_{edge.target.id}" for edge in below.edges] == [found(runner, actor, graph).own_id]


def test_a_graph_comes_from_the_services_of_its_newest_picture_that_are_there(runner: Runner, actor: Actor) -> None:
    stays, leaves, goes = (named_service(f"svc-{new_uid()[:8]}") for _ in range(3))
    names = [one["object"]["name"] for one in (stays, leaves, goes)]
    uid = new_uid()
    for body in (stays, leaves, goes, graph_of(uid, 5, names[0], names[2]), graph_of(uid, 4, *names)):
        apply(runner, actor, body)
    apply(runner, actor, {"object": goes["object"] | {"deleted": True, "resource_version": "9"}})

    assert sources_of(runner, actor, graph_of(uid, 5)) == {found(runner, actor, stays).own_id}


def test_a_graph_has_nothing_to_do_with_services_of_another_namespace(runner: Runner, actor: Actor) -> None:
    body = named_service(f"svc-{new_uid()[:8]}")
    body["object"]["cluster"] = "east"
    graph = graph_of(new_uid(), 1, body["object"]["name"])
    for one in (body, graph):
        apply(runner, actor, one)

    assert sources_of(runner, actor, graph) == set()
