"""Two transactions that meet at one run: the second waits for the first, then sees what has become of the run.

On SQLite, which has one writer, the second simply comes after it.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import msgspec

from registry.catalog.actors import Actor
from registry.catalog.artifacts import create_artifact
from registry.catalog.checking import check_all
from registry.catalog.joining import Joined, Pod, join_step
from registry.catalog.merging import adopt_kfp_run
from registry.catalog.metrics import Batch, Point, log_many
from registry.catalog.models import get_or_create_model
from registry.catalog.reports.applying import Applied, apply_report
from registry.catalog.reports.record import parse
from registry.catalog.run_creation import create_run
from registry.catalog.runs import get_run, set_run_lifecycle, update_run
from registry.catalog.uses import link, list_uses
from registry.catalog.versions import create_version
from registry.db.runner import Runner
from registry.db.session import Session
from registry.names import ArtifactKind, EventType, Lifecycle, Status
from tests.catalog.reporting import apply, new_uid, owned, report, task
from tests.catalog.test_joining import Story, run_of
from tests.catalog.test_merging import Story as PluginStory

T = TypeVar("T")
LONG_ENOUGH_S = 0.3
"""For the second to come to the lock that the first holds."""


def meeting(runner: Runner, first: Callable[[Session], Any], second: Callable[[Session], T]) -> T:
    """What `second` answers that is begun when `first` has done its work and not yet committed."""
    begun: list[Future[T]] = []
    with ThreadPoolExecutor(1) as pool:

        def hold(session: Session) -> None:
            first(session)
            if not begun:
                begun.append(pool.submit(runner.write, second))
                time.sleep(LONG_ENOUGH_S)

        runner.write(hold)
        return begun[0].result(30)


def last(story: Story, actor: Actor) -> Callable[[Session], Applied]:
    ended = task("train", node_id=story.pod.node_id, pod_name=story.pod.pod_name, finished_at="2026-01-01T01:00:00Z")
    told = parse(msgspec.json.encode(report(story.uid, 2, ended, state="COMPLETE")))
    return lambda session: apply_report(session, actor, told, now=5000)


def joins(story: Story, actor: Actor, pod: Pod | None = None, **said: Any) -> Callable[[Session], Joined]:
    return lambda session: join_step(session, actor, pod or story.pod, now=1, **said)


def dangling(runner: Runner) -> list[str]:
    return [str(line) for line in runner.read(lambda session: list(check_all(session)))]


def test_a_process_that_joins_while_its_waiting_run_is_taken_up_gets_the_reported_one(runner: Runner, actor: Actor) -> None:
    story = Story()
    runner.write(joins(story, actor))

    joined = meeting(runner, last(story, actor), joins(story, actor, experiment="mine", status=Status.FAILED))

    run = run_of(runner, actor, joined.run)
    assert (joined.reported, run.hex) == (True, story.uid.replace("-", ""))
    assert (run.experiment_name, run.status) == ("mine", Status.SUCCEEDED)


def test_two_that_take_up_one_step_at_the_same_time_find_the_same(runner: Runner, actor: Actor) -> None:
    story = Story()
    meeting(runner, last(story, actor), joins(story, actor))  # neither has seen the other: both are there

    other = meeting(runner, joins(story, actor), joins(story, actor))

    assert (other.reported, other.run) == (True, story.uid.replace("-", ""))
    assert dangling(runner) == []


def test_the_first_report_and_a_process_that_knows_its_run_make_one_run(runner: Runner, actor: Actor) -> None:
    for comes_first in ("report", "process"):
        story = Story()
        named = joins(story, actor, Pod(node_id=story.pod.node_id, run_id=story.uid))
        if comes_first == "report":
            meeting(runner, last(story, actor), named)
        else:
            meeting(runner, named, last(story, actor))

        joined = runner.write(named)
        assert (joined.reported, joined.run) == (True, story.uid.replace("-", "")), comes_first
    assert dangling(runner) == []


def test_what_is_written_to_a_run_that_is_being_taken_up_goes_to_the_one_it_becomes(runner: Runner, actor: Actor) -> None:
    def deleted(session: Session, hex: str) -> Any:
        return set_run_lifecycle(session, actor, hex, Lifecycle.DELETED, now=9)

    def made(session: Session, hex: str) -> Any:
        return create_run(session, actor, now=9, experiment=None, parent=hex)

    def registered(session: Session, hex: str) -> Any:
        model = get_or_create_model(session, actor, f"model-{hex}", now=9)
        return create_version(session, actor, model.id, now=9, run=hex)

    def linked(session: Session, hex: str) -> Any:
        artifact = create_artifact(session, actor, now=9, kind=ArtifactKind.MODEL, uri=f"s3://own/{hex}")
        return link(session, actor, artifact.id, hex, EventType.OUTPUT, now=9)

    def renamed(session: Session, hex: str) -> Any:
        return update_run(session, actor, hex, now=9, name="mine")

    runs = {}
    for write in (renamed, linked, registered, made, deleted):
        story = Story()
        waiting = runner.write(joins(story, actor))
        meeting(runner, last(story, actor), partial(write, hex=waiting.run))
        runs[write] = run_of(runner, actor, story.uid)

    assert runs[renamed].name == "mine"
    assert runs[deleted].lifecycle is Lifecycle.DELETED
    assert len(runner.read(lambda session: list_uses(session, actor, runs[linked].hex))) == 1
    assert dangling(runner) == []


def test_a_step_is_used_while_its_run_is_taken_up(runner: Runner, actor: Actor) -> None:
    story = Story()
    waiting = runner.write(joins(story, actor))

    def used(session: Session) -> bool:
        artifact = create_artifact(session, actor, now=9, kind=ArtifactKind.MODEL, uri=f"s3://own/{story.uid}")
        return link(session, actor, artifact.id, waiting.run, EventType.OUTPUT, now=9, step=waiting.step)

    assert meeting(runner, last(story, actor), used)


def test_an_output_of_a_run_that_is_being_merged_is_not_left_behind(runner: Runner, actor: Actor) -> None:
    story = PluginStory()
    story.mlflow_create(runner, actor, tagged=False)
    story.agent(runner, actor)
    artifact = runner.write(
        lambda session: create_artifact(session, actor, now=9, kind=ArtifactKind.MODEL, uri=f"s3://own/{story.hex}").id
    )

    meeting(
        runner,
        lambda session: link(session, actor, artifact, story.hex, EventType.OUTPUT, now=9),
        lambda session: adopt_kfp_run(session, actor, story.hex, story.kfp, now=6000),
    )

    uses = runner.read(lambda session: list_uses(session, actor, story.hex))
    assert artifact in {use.artifact.id for _, use in uses}


def test_a_merge_gives_no_version_that_one_of_the_two_has_had(runner: Runner, actor: Actor) -> None:
    story = PluginStory()
    story.agent(runner, actor)
    story.mlflow_create(runner, actor, tagged=False)
    for now in range(5):
        shown = runner.write(lambda session, now=now: update_run(session, actor, story.hex, now=now, name="nice"))  # type: ignore[misc]

    story.mlflow_tag(runner, actor)

    assert run_of(runner, actor, story.hex).version > shown.version


def test_how_a_process_ended_moves_the_version_of_its_run(runner: Runner, actor: Actor) -> None:
    story = Story()
    joined = runner.write(joins(story, actor))
    before = run_of(runner, actor, joined.run).version

    runner.write(joins(story, actor, status=Status.FAILED))

    assert run_of(runner, actor, joined.run).version > before


def test_a_name_that_was_used_again_is_no_run_that_waits_for_another_workflow(runner: Runner, actor: Actor) -> None:
    old, new = Story(), Story()
    first = runner.write(joins(old, actor, Pod(node_id=old.pod.node_id, run_id=old.uid)))

    second = runner.write(joins(old, actor, Pod(node_id=old.pod.node_id, run_id=new.uid)))

    assert (first.run, second.run) == (old.uid.replace("-", ""), new.uid.replace("-", ""))


def test_a_report_takes_up_no_process_that_named_another_run(runner: Runner, actor: Actor) -> None:
    old, new = Story(), Story()
    new.pod = old.pod
    joined = runner.write(joins(old, actor, Pod(node_id=old.pod.node_id, run_id=old.uid)))
    batch = Batch(actor.workspace, joined.run, [Point("loss", 1.0, 1)])
    assert runner.write(lambda session: log_many(session, [batch])) == [None]

    runner.write(last(new, actor))

    assert run_of(runner, actor, joined.run).hex == old.uid.replace("-", "")
    assert runner.read(lambda session: get_run(session, actor, new.uid.replace("-", ""))).metrics == {}


def test_the_uid_of_an_owned_workflow_means_its_owners_run_whoever_comes_first(runner: Runner, actor: Actor) -> None:
    for comes_first in ("reports", "process"):
        trial, workflow, node = new_uid(), new_uid(), new_uid()
        pod = Pod(node_id=node, run_id=workflow)
        body = report(trial, 1)
        body["object"]["kind"] = "Trial"
        joins_it = joins(Story(), actor, pod)
        shown = [runner.write(joins_it)] if comes_first == "process" else []
        apply(runner, actor, body)
        apply(runner, actor, owned("Workflow", "wf", workflow, ("Trial", trial), task("train", node_id=node)))
        shown.append(runner.write(joins_it))

        assert shown[-1].reported, comes_first
        assert {run_of(runner, actor, joined.run).hex for joined in shown} == {trial.replace("-", "")}, comes_first
