"""Cached steps: what they reuse, by Argo's key, by the place of the outputs, or said to be unknown."""

import itertools
from typing import Any

import pytest
import sqlalchemy as sa

from lineage.graph import Direction, EdgeKind
from registry.catalog.actors import Actor
from registry.catalog.cache import find_reusable
from registry.catalog.lineage import find_node, walk
from registry.catalog.metrics import latest_values
from registry.catalog.steps import Step, list_steps
from registry.catalog.uses import list_uses
from registry.db.runner import Runner
from registry.db.session import Session
from registry.names import Status
from registry.tables.graph import links
from registry.tables.runs import runs
from tests.catalog.reporting import apply, new_uid, report, task

Json = dict[str, Any]


def memoized(key: str, hour: int, *, hit: bool = False, state: str = "COMPLETE", **more: Any) -> tuple[str, Json]:
    """A run's id, and its report with one step."""
    uid = new_uid()
    times = {"started_at": f"2026-01-01T{hour:02}:00:00Z", "finished_at": f"2026-01-01T{hour:02}:01:30Z"}
    own = task("train", "CACHED" if hit else state, cached=hit, cache={"key": f"cache/{key}"}, **times, **more)
    return uid, report(uid, 1, own, state="COMPLETE")


def step_of(runner: Runner, actor: Actor, uid: str) -> Step:
    [step] = runner.read(lambda session: list_steps(session, actor, uid.replace("-", "")))
    return step


def reused(runner: Runner, step: Step) -> list[tuple[int, float]]:
    query = sa.select(links.c.to_node, links.c.seconds_saved).where(links.c.from_node == step.id)
    return [(row.to_node, row.seconds_saved) for row in runner.read(lambda session: session.all(query))]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_a_memoized_step_reuses_the_newest_that_had_succeeded_whoever_is_reported_first(
    runner: Runner, actor: Actor, order: tuple[int, ...]
) -> None:
    key = new_uid()
    first, second = memoized(key, 1), memoized(key, 3)
    told = [first, second, memoized(key, 5, hit=True), memoized(key, 7, state="FAILED")]
    for place in order:
        apply(runner, actor, told[place][1])

    cached = step_of(runner, actor, told[2][0])

    assert cached.status is Status.CACHED
    assert reused(runner, cached) == [(step_of(runner, actor, second[0]).id, 90.0)]
    found = runner.read(lambda session: find_reusable(session, actor, f"argo/cache/{key}"))
    assert found is not None
    assert found.step == step_of(runner, actor, second[0]).id


def test_a_step_that_succeeded_later_is_not_what_was_reused(runner: Runner, actor: Actor) -> None:
    key = new_uid()
    cached, later = memoized(key, 2, hit=True), memoized(key, 4)
    for _, body in (cached, later):
        apply(runner, actor, body)

    assert reused(runner, step_of(runner, actor, cached[0])) == []


@pytest.mark.parametrize("first", [0, 1])
def test_outputs_of_a_cached_step_lead_to_the_step_that_made_them(runner: Runner, actor: Actor, first: int) -> None:
    """As Kubeflow Pipelines v1 and Argo show it: the object of the cached one names the same files."""
    place = {"artifacts": [{"name": "model", "uri": f"s3://{new_uid()}/model.tgz"}]}
    original, again = new_uid(), new_uid()
    bodies = [
        report(original, 1, task("train", outputs=place)),
        report(again, 1, task("train", "CACHED", outputs=place, cached=True)),
    ]
    for body in (bodies, bodies[::-1])[first]:
        apply(runner, actor, body)

    def look(session: Session) -> list[tuple[EdgeKind, bool]]:
        [(_, use)] = list_uses(session, actor, again.replace("-", ""))
        node = find_node(session, use.artifact.own_id, workspace=actor.workspace)
        graph = walk(session, node, workspace=actor.workspace, direction=Direction.UPSTREAM, depth=1)
        return [(edge.kind, edge.inferred) for edge in graph.edges]

    assert sorted(runner.read(look)) == [(EdgeKind.DERIVATION, True), (EdgeKind.OUTPUT, False)]


def test_what_nobody_says_of_a_cached_step_is_a_warning(runner: Runner, actor: Actor) -> None:
    applied = apply(runner, actor, report(new_uid(), 1, task("train", "CACHED", cached=True), task("other")))

    [warning] = applied.warnings
    assert "train" in warning
    assert "other" not in warning


# ---- what was fetched beside the object ---------------------------------------------------------------------------------


FETCHED: Json = {
    "parameters": {"rows": 7},
    "metrics": {"m/acc": 0.9},
    "metadata": {"model": {"kind": "tree"}},
    "visualizations": [{"a": 1}],
}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_what_was_fetched_stays_in_whatever_order_reports_come(runner: Runner, actor: Actor, order: tuple[int, ...]) -> None:
    uid = new_uid()
    made = {"artifacts": [{"name": "model", "uri": f"s3://{uid}/model"}], "parameters": {"own": 1}}
    bare, told = task("train", outputs=made), task("train", outputs=made, fetched=FETCHED)
    bodies = [report(uid, 2, bare), report(uid, 2, told), report(uid, 3, bare)]

    for place in order:
        apply(runner, actor, bodies[place])

    step = step_of(runner, actor, uid)
    run = runner.read(lambda session: session.scalar(sa.select(runs.c.id).where(runs.c.hex == uid.replace("-", ""))))
    values = runner.read(lambda session: latest_values(session, [run]))[run]
    [(_, use)] = runner.read(lambda session: list_uses(session, actor, uid.replace("-", "")))
    assert step.outputs == {"own": 1, "rows": 7}
    assert step.fetched["visualizations"] == [{"a": 1}]
    assert {key: point.value for key, point in values.items()} == {"train/m/acc": 0.9}
    assert use.artifact.tags == {"kind": "tree"}
