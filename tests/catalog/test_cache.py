"""A cached step has the outputs of the newest step that succeeded with its fingerprint."""

from typing import Any

import pytest
import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.cache import find_reusable, mark_cached, set_fingerprint
from registry.catalog.steps import get_step
from registry.db.runner import Runner
from registry.errors import Conflict, InvalidArgument, NotFound
from registry.names import EventType, LinkKind, Status
from registry.tables.graph import events, links
from registry.tables.runs import steps
from tests.catalog.reporting import apply, new_uid, report, task


def step_of(runner: Runner, uid: str) -> int:
    query = sa.select(steps.c.id).where(steps.c.path == f"train-{uid}")
    return int(runner.read(lambda session: session.scalar(query)))


def ran(runner: Runner, actor: Actor, *, state: str = "COMPLETE", day: int = 1, **fields: Any) -> int:
    uid = new_uid()
    made = {"artifacts": [{"name": "model", "uri": f"s3://b/{uid}"}]}
    times = {"started_at": f"2026-01-0{day}T00:00:00Z", "finished_at": f"2026-01-0{day}T00:01:30Z"}
    apply(runner, actor, report(uid, 1, task(f"train-{uid}", state, outputs=made, **times, **fields)))
    step = step_of(runner, uid)
    runner.write(lambda session: set_fingerprint(session, actor, step, "same"))
    return step


def test_the_newest_step_that_succeeded_is_reused(runner: Runner, actor: Actor) -> None:
    newest = ran(runner, actor, day=3)
    ran(runner, actor, day=2)
    ran(runner, actor, state="FAILED", day=4)

    found = runner.read(lambda session: find_reusable(session, actor, "same"))

    assert found is not None
    assert (found.step, found.seconds, len(found.outputs)) == (newest, 90.0, 1)
    assert runner.read(lambda session: find_reusable(session, actor, "other")) is None


def test_a_cached_step_has_the_originals_outputs_and_says_what_it_saved(runner: Runner, actor: Actor) -> None:
    original = ran(runner, actor)
    uid = new_uid()
    apply(runner, actor, report(uid, 1, task(f"train-{uid}", "RUNNING")))
    step = step_of(runner, uid)

    for _ in range(2):
        runner.write(lambda session: mark_cached(session, actor, step, original, now=9000))

    query = sa.select(events.c.artifact, events.c.type, events.c.port).order_by(events.c.artifact)
    outputs = runner.read(lambda session: session.all(query.where(events.c.execution == step)))
    assert outputs == runner.read(lambda session: session.all(query.where(events.c.execution == original)))
    assert [row.type for row in outputs] == [EventType.OUTPUT]
    found = runner.read(lambda session: session.all(sa.select(links).where(links.c.from_node == step)))
    assert [(row.kind, row.to_node, row.seconds_saved) for row in found] == [(LinkKind.REUSED_FROM, original, 90.0)]
    assert runner.read(lambda session: get_step(session, actor, step)).status is Status.CACHED
    apply(runner, actor, report(uid, 2, task(f"train-{uid}", "COMPLETE")))
    assert runner.read(lambda session: get_step(session, actor, step)).status is Status.CACHED
    assert len(runner.read(lambda session: session.all(query.where(events.c.execution == step)))) == 1


@pytest.mark.parametrize(("state", "error"), [("FAILED", Conflict), ("RUNNING", Conflict)])
def test_only_what_succeeded_is_reused(runner: Runner, actor: Actor, state: str, error: type[Exception]) -> None:
    original, step = ran(runner, actor, state=state), ran(runner, actor)

    with pytest.raises(error):
        runner.write(lambda session: mark_cached(session, actor, step, original, now=1))

    assert runner.read(lambda session: get_step(session, actor, step)).status is Status.SUCCEEDED


def test_a_step_is_not_reused_from_itself_or_from_nowhere(runner: Runner, actor: Actor) -> None:
    step = ran(runner, actor)

    with pytest.raises(InvalidArgument):
        runner.write(lambda session: mark_cached(session, actor, step, step, now=1))
    with pytest.raises(NotFound):
        runner.write(lambda session: mark_cached(session, actor, step, 999_999, now=1))
