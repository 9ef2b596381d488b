"""Deployments that reports tell of: one history whatever the order, and versions found by place, name or label."""

import dataclasses
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from agent.kinds import translate
from agent.reading import Read
from agent.report import Report
from lineage.graph import Direction, EdgeKind
from registry.catalog.actors import Actor
from registry.catalog.checking import check_all
from registry.catalog.deployment_users import users_of
from registry.catalog.deployments import (
    Deployment,
    find_deployment,
    history,
    list_deployments,
    revisions_of,
    update_deployment,
)
from registry.catalog.environments import create_environment, find_environment
from registry.catalog.lineage import find_node, walk
from registry.catalog.models import create_model
from registry.catalog.reports.applying import find_applied
from registry.catalog.reports.record import parse
from registry.catalog.versions import create_version
from registry.catalog.workspaces import get_or_create_workspace
from registry.db.runner import Runner
from registry.names import DesiredState, Role
from registry.tables.models import deployments
from tests.agent.objects import canary_sequence, service
from tests.catalog.reporting import apply, new_uid, seen
from tests.databases import sqlite_url, started

Json = dict[str, Any]


def told(content: Json, *, deleted: bool = False) -> Json:
    """The report of the object, in the default workspace, of a new object where it has no uid."""
    content["metadata"]["namespace"] = "default"
    report = translate(Read("test", 0, content, deleted))
    assert isinstance(report, Report)
    return json.loads(report.to_json())  # type: ignore[no-any-return]


def of_one_object(contents: Sequence[Json]) -> list[Json]:
    uid = new_uid()
    for content in contents:
        content["metadata"]["uid"] = uid
    return [told(content) for content in contents]


def found(runner: Runner, actor: Actor, body: Json) -> Deployment:
    name = f"{body['deployment']['name']}/{body['object']['uid']}"
    deployment = runner.read(lambda session: find_deployment(session, actor, "default", name))
    assert deployment is not None
    return deployment


def lists(runner: Runner, actor: Actor, id: int) -> list[list[tuple[str, int]]]:
    shown = runner.read(lambda session: history(session, actor, id))
    return [[(share["revision"], share["percent"]) for share in entry.shares] for entry in shown]


def new_version(runner: Runner, actor: Actor, source: str, *, model: str | None = None, name: str | None = None) -> int:
    def make(session: Any) -> int:
        made = create_model(session, actor, model or new_uid(), now=1)
        return create_version(session, actor, made.id, now=1, source=source, name=name).id

    return runner.write(make)


def test_a_canary_is_one_history_in_whichever_order_its_steps_arrive(tmp_path: Path) -> None:
    bodies = of_one_object(canary_sequence())
    pictures = []
    for number, order in enumerate(itertools.permutations(bodies)):
        (tmp_path / str(number)).mkdir()
        with started(sqlite_url(tmp_path / str(number))) as runner:
            actor = Actor("agent", 1, "default", Role.ADMIN)
            for body in [*order, order[0]]:
                apply(runner, actor, body)
            pictures.append((seen(runner), lists(runner, actor, found(runner, actor, bodies[0]).id)))
            assert [str(problem) for problem in runner.read(lambda session: list(check_all(session)))] == []

    first, second = "one-predictor-00001", "one-predictor-00002"
    assert pictures[0][1] == [[(first, 100)], [(second, 10), (first, 90)], [(second, 100)], [(second, 0), (first, 100)]]
    assert all(picture == pictures[0] for picture in pictures)


def test_the_history_says_which_version_served_what_share_then(runner: Runner, actor: Actor) -> None:
    place = new_uid()
    steps = canary_sequence()
    for content, letter in zip(steps, "abbb", strict=True):
        content["spec"]["predictor"]["model"]["storageUri"] = f"s3://{place}/{letter}"
    bodies = of_one_object(steps)
    for body in bodies:
        apply(runner, actor, body)
    one, two = (new_version(runner, actor, f"s3://{place}/{letter}") for letter in "ab")
    id = found(runner, actor, bodies[0]).id

    def then(at: int) -> list[tuple[int | None, int]]:
        [entry] = runner.read(lambda session: history(session, actor, id, at=at))
        return [(share["version"], share["percent"]) for share in entry.shares]

    start = runner.read(lambda session: history(session, actor, id))[0].at
    day = 24 * 3600 * 1000
    served = [then(start), then(start + 2 * day), then(start + 3 * day), then(start + 4 * day)]
    assert served == [[(one, 100)], [(two, 10), (one, 90)], [(two, 100)], [(two, 0), (one, 100)]]
    assert runner.read(lambda session: history(session, actor, id, at=start - 1)) == []
    assert [share["version"] for share in found(runner, actor, bodies[0]).shares] == [two, one]


def test_a_picture_whose_spec_is_newer_than_its_status_links_nothing(runner: Runner, actor: Actor) -> None:
    [body] = of_one_object([service("s3://models/b", generation=2, observed=1)])

    apply(runner, actor, body)

    id = found(runner, actor, body).id
    assert runner.read(lambda session: revisions_of(session, actor, id)) == []
    assert lists(runner, actor, id) == [[("one-predictor-00001", 100)]]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_revision_keeps_what_the_oldest_report_says_that_it_serves(
    runner: Runner, actor: Actor, order: tuple[int, int]
) -> None:
    """A controller may have seen the new spec before it has made the new revision."""
    bodies = of_one_object([service("s3://x/a", resourceVersion="1"), service("s3://x/b", generation=2, resourceVersion="2")])

    for place in order:
        apply(runner, actor, bodies[place])

    id = found(runner, actor, bodies[0]).id
    assert [one.uri for one in runner.read(lambda session: revisions_of(session, actor, id))] == ["s3://x/a"]


def test_applying_the_first_model_again_is_a_new_revision_of_the_same_version(runner: Runner, actor: Actor) -> None:
    place = f"s3://{new_uid()}/a"
    version = new_version(runner, actor, place)
    third = service(place, created="one-predictor-00003", traffic={3: 100}, generation=5, resourceVersion="15")
    bodies = of_one_object([service(place, resourceVersion="11"), third])

    for body in bodies:
        apply(runner, actor, body)

    id = found(runner, actor, bodies[0]).id
    served = {one.name[-1]: one.version for one in runner.read(lambda session: revisions_of(session, actor, id))}
    assert served == {"1": version, "3": version}


def test_ready_unknown_is_not_down(runner: Runner, actor: Actor) -> None:
    bodies = of_one_object([service(resourceVersion="1"), service(ready="Unknown", resourceVersion="2")])

    for body in bodies:
        apply(runner, actor, body)

    deployment = found(runner, actor, bodies[0])
    assert (deployment.desired_state, deployment.actual_state) == (DesiredState.DEPLOYED, "Unknown")
    assert len(lists(runner, actor, deployment.id)) == 1


def test_what_is_deleted_serves_nobody_from_then_on_and_its_history_stays(runner: Runner, actor: Actor) -> None:
    gone = service(resourceVersion="3", deletionTimestamp="2026-06-20T00:00:00Z")
    bodies = of_one_object([service(resourceVersion="1"), gone])
    bodies[1]["object"]["deleted"] = True

    for body in bodies:
        apply(runner, actor, body)

    deployment = found(runner, actor, bodies[0])
    assert (deployment.desired_state, deployment.actual_state) == (DesiredState.UNDEPLOYED, "Deleted")
    assert lists(runner, actor, deployment.id) == [[("one-predictor-00001", 100)], []]


def edges_above(runner: Runner, actor: Actor, id: str) -> list[tuple[EdgeKind, bool]]:
    def read(session: Any) -> list[tuple[EdgeKind, bool]]:
        node = find_node(session, id, workspace=actor.workspace)
        graph = walk(session, node, workspace=actor.workspace, direction=Direction.UPSTREAM, depth=1)
        return [(edge.kind, edge.inferred) for edge in graph.edges]

    return runner.read(read)


@pytest.mark.parametrize("first", ["version", "deployment"])
def test_a_version_at_the_place_of_the_model_is_what_is_deployed_whoever_comes_first(
    runner: Runner, actor: Actor, first: str
) -> None:
    place = f"s3://{new_uid()}/model"
    [body] = of_one_object([service(f"{place}/")])
    acts: list[Callable[[], object]] = [
        lambda: new_version(runner, actor, place.replace("s3:", "minio:")),
        lambda: apply(runner, actor, body),
    ]
    for act in acts if first == "version" else reversed(acts):
        act()

    deployment = found(runner, actor, body)

    assert edges_above(runner, actor, deployment.own_id) == [(EdgeKind.DEPLOYED_AS, True)]
    version = deployment.shares[0]["version"]
    assert runner.read(lambda session: users_of(session, [version])) == {version: [deployment.own_id]}


def test_a_uri_of_the_registry_names_its_version(runner: Runner, actor: Actor) -> None:
    model = new_uid()
    version = new_version(runner, actor, "s3://anywhere/else", model=model, name="v1")
    bodies = [of_one_object([service(f"model-registry://{path}")])[0] for path in (f"{model}/v1", model, f"host/{model}/v1")]
    for body in bodies:
        apply(runner, actor, body)

    shown = [found(runner, actor, body) for body in bodies]
    assert [one.shares[0]["version"] for one in shown] == [version] * 3
    assert [edges_above(runner, actor, one.own_id) for one in shown] == [[(EdgeKind.DEPLOYED_AS, False)]] * 3


def labelled(version: int, model: int | None = None) -> Json:
    labels = {"modelregistry.kubeflow.org/model-version-id": str(version)}
    return labels | ({} if model is None else {"modelregistry.kubeflow.org/registered-model-id": str(model)})


def test_labels_pin_model_and_version_until_a_client_says_otherwise(runner: Runner, actor: Actor) -> None:
    version, other = (new_version(runner, actor, f"s3://{new_uid()}/m") for _ in range(2))
    bodies = of_one_object([service("pvc://v/m", labels=labelled(version), resourceVersion=str(n)) for n in (1, 2)])
    apply(runner, actor, bodies[0])
    pinned = found(runner, actor, bodies[0])
    runner.write(lambda session: update_deployment(session, actor, pinned.id, now=5, model_version=other))

    apply(runner, actor, bodies[1])

    assert (pinned.model_version, pinned.shares[0]["version"]) == (version, version)
    assert found(runner, actor, bodies[0]).model_version == other
    assert (EdgeKind.DEPLOYED_AS, False) in edges_above(runner, actor, pinned.own_id)


def test_a_label_that_names_no_model_or_another_models_version_pins_nothing(runner: Runner, actor: Actor) -> None:
    version = new_version(runner, actor, f"s3://{new_uid()}/m")
    [one, two] = [of_one_object([service(labels=labels)])[0] for labels in (labelled(999_999), labelled(version, 999_998))]

    for body in (one, two):
        apply(runner, actor, body)

    assert [found(runner, actor, body).model for body in (one, two)] == [None, None]


def test_a_deployment_moves_into_the_workspace_of_the_model_that_its_label_names(runner: Runner, actor: Actor) -> None:
    elsewhere = runner.write(lambda session: get_or_create_workspace(session, f"team-{new_uid()}", now=1))
    owner = Actor("tester", elsewhere, "their", Role.ADMIN)
    version = new_version(runner, owner, f"s3://{new_uid()}/m")
    plain = service(resourceVersion="1")
    bodies = of_one_object([plain, service(labels=labelled(version), resourceVersion="2")])

    for body in bodies:
        apply(runner, actor, body)

    uid = bodies[0]["object"]["uid"]
    here = runner.read(lambda session: session.all(sa.select(deployments.c.workspace).where(deployments.c.uid == uid)))
    assert [row.workspace for row in here] == [elsewhere]
    moved = runner.read(lambda session: list_deployments(session, owner)).records[-1]
    assert (moved.model_version, moved.environment_name) == (version, "default")


@pytest.mark.parametrize("clients", [False, True])
def test_a_move_leaves_no_environment_behind_that_only_the_agent_knew_of(runner: Runner, actor: Actor, clients: bool) -> None:
    elsewhere = runner.write(lambda session: get_or_create_workspace(session, f"team-{new_uid()}", now=1))
    version = new_version(runner, Actor("tester", elsewhere, "their", Role.ADMIN), f"s3://{new_uid()}/m")
    place = f"room-{new_uid()}"
    bodies = of_one_object([service(resourceVersion="1"), service(labels=labelled(version), resourceVersion="2")])
    for body in bodies:
        body["deployment"]["environment"] = place
    if clients:
        owner = dataclasses.replace(actor, name="somebody")
        runner.write(lambda session: create_environment(session, owner, place, now=1))

    for body in bodies:
        apply(runner, actor, body)

    left = runner.read(lambda session: find_environment(session, actor, place))
    assert (left is not None) is clients
    assert runner.read(lambda session: [str(one) for one in check_all(session)]) == []


def test_a_move_leaves_an_environment_in_which_others_are(runner: Runner, actor: Actor) -> None:
    elsewhere = runner.write(lambda session: get_or_create_workspace(session, f"team-{new_uid()}", now=1))
    version = new_version(runner, Actor("tester", elsewhere, "their", Role.ADMIN), f"s3://{new_uid()}/m")
    place = f"room-{new_uid()}"
    stays = of_one_object([service(resourceVersion="1")])
    bodies = [*stays, *of_one_object([service(resourceVersion="1"), service(labels=labelled(version), resourceVersion="2")])]
    for body in bodies:
        body["deployment"]["environment"] = place
        apply(runner, actor, body)

    assert runner.read(lambda session: find_environment(session, actor, place)) is not None


def test_the_client_wins_where_it_made_the_deployment_first(runner: Runner, actor: Actor) -> None:
    from registry.catalog.deployments import create_deployment

    [body] = of_one_object([service()])
    name = f"one/{body['object']['uid']}"
    made = runner.write(
        lambda session: create_deployment(session, actor, name, now=1, environment="default", description="of the controller")
    )

    apply(runner, actor, body)

    deployment = found(runner, actor, body)
    assert (deployment.id, deployment.description, deployment.actual_state) == (made.id, "of the controller", "Ready")


@pytest.mark.parametrize("first", [0, 1])
def test_what_went_while_nobody_watched_is_not_wanted_any_more(runner: Runner, actor: Actor, first: int) -> None:
    """All that is known is that it is gone."""
    [body] = of_one_object([service(resourceVersion="1")])
    gone = {"object": body["object"] | {"deleted": True, "resource_version": "9"}}
    for one in ([body, gone], [gone, body])[first]:
        apply(runner, actor, one)

    deployment = found(runner, actor, body)

    assert (deployment.desired_state, deployment.actual_state) == (DesiredState.UNDEPLOYED, "Deleted")


GONE_AT = ("2026-07-01T00:00:00Z", "2026-07-02T00:00:00Z")


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_history_of_what_went_while_nobody_watched_ends_when_that_was_first_noticed(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    """Two agents notice it, one of them later; what they had seen before may arrive after that."""
    bodies = of_one_object([service(resourceVersion="1"), service(resourceVersion="2", ready="Unknown")])
    gone = [{"object": bodies[0]["object"] | {"deleted": True, "resource_version": "9", "gone_at": at}} for at in GONE_AT]
    actor = Actor("agent", 1, "default", Role.ADMIN)
    with started(sqlite_url(tmp_path)) as runner:
        for place in order:
            apply(runner, actor, [*bodies, *gone][place])
        id = found(runner, actor, bodies[0]).id
        shown = runner.read(lambda session: history(session, actor, id))

    assert [[share["revision"] for share in entry.shares] for entry in shown] == [["one-predictor-00001"], []]
    assert shown[-1].at == 1_782_864_000_000


def test_all_orders_of_a_service_that_went_unseen_give_one_picture(tmp_path: Path) -> None:
    bodies = of_one_object([service(resourceVersion="1"), service(resourceVersion="2", ready="Unknown")])
    gone = [{"object": bodies[0]["object"] | {"deleted": True, "resource_version": "9", "gone_at": at}} for at in GONE_AT]
    pictures = []
    for number, order in enumerate(itertools.permutations([*bodies, *gone])):
        (tmp_path / str(number)).mkdir()
        with started(sqlite_url(tmp_path / str(number))) as runner:
            for body in order:
                apply(runner, Actor("agent", 1, "default", Role.ADMIN), body)
            pictures.append(seen(runner))

    assert all(picture == pictures[0] for picture in pictures)


def test_a_report_that_was_here_before_is_answered_without_a_write(runner: Runner, actor: Actor) -> None:
    [body] = of_one_object([service(resourceVersion="1")])
    parsed = parse(json.dumps(body).encode())
    before = runner.read(lambda session: find_applied(session, actor, parsed))
    apply(runner, actor, body)

    after = runner.read(lambda session: find_applied(session, actor, parsed))

    assert before is None
    assert after is not None
    assert after.result == "unchanged"
