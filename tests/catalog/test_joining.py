"""A process in a pod finds its run and step, and the workflow's report finds what it logged, whoever comes first."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from registry.catalog.actors import Actor
from registry.catalog.artifacts import create_artifact
from registry.catalog.checking import check_all
from registry.catalog.joining import Joined, Pod, join_step
from registry.catalog.metrics import Batch, Point, history, log_many
from registry.catalog.runs import Run, get_run
from registry.catalog.steps import get_step, list_steps
from registry.catalog.uses import link, list_uses
from registry.catalog.workspaces import get_or_create_workspace
from registry.db.runner import Runner
from registry.errors import InvalidArgument, NotFound
from registry.names import ArtifactKind, EventType, Role, Status
from tests.catalog.reporting import apply, new_uid, owned, report, seen, task
from tests.databases import sqlite_url, started


class Story:
    """One training, told by its workflow's reports and by its own process."""

    def __init__(self) -> None:
        self.uid = new_uid()
        self.pod = Pod(node_id=f"wf-{self.uid[:8]}-1", pod_name=f"wf-{self.uid[:8]}-train-1", pod_uid=new_uid())

    def first(self, runner: Runner, actor: Actor) -> None:
        """The node is there, its pod is not known yet."""
        apply(runner, actor, report(self.uid, 1, task("train", "RUNNING", name="train"), parameters={"lr": 0.1}))

    def last(self, runner: Runner, actor: Actor) -> None:
        ended = task("train", node_id=self.pod.node_id, pod_name=self.pod.pod_name, finished_at="2026-01-01T01:00:00Z")
        apply(runner, actor, report(self.uid, 2, ended, task("report"), state="COMPLETE", parameters={"lr": 0.1}))

    def process(self, runner: Runner, actor: Actor) -> Joined:
        joined = runner.write(lambda session: join_step(session, actor, self.pod, now=100, name="train"))
        log(runner, actor, joined.run, {"loss": 0.5}, {"lr": "0.10"})
        artifact = runner.write(
            lambda session: create_artifact(session, actor, now=101, kind=ArtifactKind.MODEL, uri=f"s3://own/{self.uid}").id
        )
        said: dict[str, Any] = {"port": "model", "step": joined.step, "now": 102}
        for _ in range(2):
            runner.write(lambda session: link(session, actor, artifact, joined.run, EventType.OUTPUT, **said))
        return joined


def log(runner: Runner, actor: Actor, run: str, metrics: dict[str, float], params: dict[str, str] | None = None) -> None:
    points = [Point(key, value, 100) for key, value in metrics.items()]
    [refused] = runner.write(lambda session: log_many(session, [Batch(actor.workspace, run, points, params or {})]))
    assert refused is None


def run_of(runner: Runner, actor: Actor, hex: str) -> Run:
    return runner.read(lambda session: get_run(session, actor, hex.replace("-", "")))


def test_every_order_of_process_and_reports_gives_one_record(tmp_path: Path) -> None:
    story = Story()
    pictures = {}
    for order in itertools.permutations(("first", "last", "process")):
        folder = tmp_path / "-".join(order)
        folder.mkdir()
        with started(sqlite_url(folder)) as runner:
            actor = Actor("agent", 1, "default", Role.ADMIN)
            for who in order:
                getattr(story, who)(runner, actor)
            assert list(runner.read(lambda session: list(check_all(session)))) == []
            pictures[order] = seen(runner)

    expected = pictures["first", "last", "process"]
    for order, picture in pictures.items():
        assert [line for line in picture if line not in expected] == [], order
        assert len(picture) == len(expected), order


@pytest.mark.parametrize("order", list(itertools.permutations(("first", "last", "process"))), ids="-".join)
def test_on_every_database_the_process_logs_onto_the_reported_run_and_step(
    runner: Runner, actor: Actor, order: tuple[str, ...]
) -> None:
    story = Story()
    shown: list[Joined] = []

    for who in order:
        told = getattr(story, who)(runner, actor)
        shown += [told] if isinstance(told, Joined) else []

    run = run_of(runner, actor, story.uid)
    assert (run.status, run.params, run.metrics["loss"].value) == (Status.SUCCEEDED, {"lr": "0.10"}, 0.5)
    assert run_of(runner, actor, shown[0].run).id == run.id
    steps = {step.name: step for step in runner.read(lambda session: list_steps(session, actor, run.hex))}
    assert set(steps) == {"train", "report"}
    train = runner.read(lambda session: get_step(session, actor, shown[0].step))
    assert (train.id, train.run, train.status) == (steps["train"].id, run.own_id, Status.SUCCEEDED)
    [(_, use)] = runner.read(lambda session: list_uses(session, actor, run.hex))
    assert (use.step, use.port, use.artifact.step) == (train.id, "model", train.id)


def test_joining_again_gives_the_same(runner: Runner, actor: Actor) -> None:
    story = Story()

    joined = [story.process(runner, actor) for _ in range(2)]

    assert joined[0] == joined[1]
    assert not joined[0].reported


def test_either_name_of_the_place_is_enough(runner: Runner, actor: Actor) -> None:
    story = Story()
    waiting = story.process(runner, actor)

    by_pod = runner.write(lambda session: join_step(session, actor, Pod(pod_name=story.pod.pod_name), now=1))
    assert by_pod == waiting
    story.last(runner, actor)
    by_node = runner.write(lambda session: join_step(session, actor, Pod(node_id=story.pod.node_id), now=1))
    assert (by_node.reported, by_node.run) == (True, story.uid.replace("-", ""))


def test_a_run_id_from_the_environment_is_that_run_before_any_report(runner: Runner, actor: Actor) -> None:
    story = Story()
    story.pod = Pod(node_id=story.pod.node_id, pod_name=story.pod.pod_name, run_id=story.uid)

    joined = story.process(runner, actor)

    assert joined.run == story.uid.replace("-", "")
    story.last(runner, actor)
    run = run_of(runner, actor, joined.run)
    assert (run.name, run.status, run.metrics["loss"].value) == ("train", Status.SUCCEEDED, 0.5)


def test_a_name_that_was_used_again_means_the_run_that_the_environment_names(runner: Runner, actor: Actor) -> None:
    old, new = Story(), Story()
    new.pod = Pod(node_id=old.pod.node_id, pod_name=old.pod.pod_name, run_id=new.uid)
    old.last(runner, actor)

    joined = new.process(runner, actor)

    assert joined.run == new.uid.replace("-", "")
    assert "loss" not in run_of(runner, actor, old.uid).metrics


def test_of_two_with_one_name_the_unfinished_one_is_meant(runner: Runner, actor: Actor) -> None:
    old, new = Story(), Story()
    new.pod = old.pod
    running = task("train", "RUNNING", node_id=new.pod.node_id, pod_name=new.pod.pod_name)
    apply(runner, actor, report(new.uid, 1, running))
    old.last(runner, actor)

    assert runner.write(lambda session: join_step(session, actor, old.pod, now=1)).run == new.uid.replace("-", "")


def test_a_process_in_an_owned_workflow_waits_for_its_owner(runner: Runner, actor: Actor) -> None:
    story, trial = Story(), new_uid()
    inner = task("train", node_id=story.pod.node_id, pod_name=story.pod.pod_name)
    apply(runner, actor, owned("Workflow", "wf", story.uid, ("Trial", trial), inner))

    joined = story.process(runner, actor)

    assert not joined.reported
    body = report(trial, 1)
    body["object"]["kind"] = "Trial"
    apply(runner, actor, body)
    run = run_of(runner, actor, trial)
    assert (run.metrics["loss"].value, run_of(runner, actor, joined.run).id) == (0.5, run.id)
    assert runner.read(lambda session: get_step(session, actor, joined.step)).path == "Workflow/wf/train"


def test_an_experiment_that_the_process_names_beats_the_derived_one(runner: Runner, actor: Actor) -> None:
    for order in (("process", "last"), ("last", "process")):
        story = Story()
        for who in order:
            if who == "process":
                runner.write(partial(join_step, actor=actor, pod=story.pod, now=1, experiment="mine"))
            else:
                story.last(runner, actor)
        assert run_of(runner, actor, story.uid).experiment_name == "mine"


def test_how_the_process_ended_counts_until_the_report_says(runner: Runner, actor: Actor) -> None:
    story = Story()
    joined = story.process(runner, actor)

    ended = partial(join_step, actor=actor, pod=story.pod, now=200, status=Status.FAILED)
    runner.write(ended)

    assert run_of(runner, actor, joined.run).status is Status.FAILED
    assert runner.read(lambda session: get_step(session, actor, joined.step)).status is Status.FAILED
    story.last(runner, actor)
    runner.write(ended)
    assert run_of(runner, actor, story.uid).status is Status.SUCCEEDED


def test_sixteen_processes_of_one_pod_wait_as_one(runner: Runner, actor: Actor) -> None:
    story = Story()

    def join(_: int) -> Joined:
        return runner.write(lambda session: join_step(session, actor, story.pod, now=1))

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(join, range(16)))) == 1


def test_what_is_logged_while_the_report_comes_is_not_left_behind(runner: Runner, actor: Actor) -> None:
    """The waiting run becomes the workflow's in the midst of its process' batches."""
    stories = [Story() for _ in range(4)]
    joined = [runner.write(partial(join_step, actor=actor, pod=story.pod, now=1)) for story in stories]

    def logs(place: Joined) -> None:
        for step in range(25):
            batch = Batch(actor.workspace, place.run, [Point("loss", 1.0, step, step)])
            assert runner.write(partial(log_many, batches=[batch])) == [None]

    with ThreadPoolExecutor(8) as pool:
        ends: list[Any] = [pool.submit(logs, place) for place in joined]
        ends += [pool.submit(story.last, runner, actor) for story in stories]
        for end in ends:
            end.result(60)

    for story in stories:
        run = run_of(runner, actor, story.uid)
        points = runner.read(partial(history, owner=run.id, key="loss", limit=100))
        assert [point.step for point in points] == list(range(25))
    assert [line for line in runner.read(lambda session: list(check_all(session))) if "point" in str(line)] == []


def test_bad_places_are_refused(runner: Runner, actor: Actor) -> None:
    for pod in (Pod(), Pod(pod_uid=new_uid()), Pod(node_id="n", run_id="no uuid"), Pod(node_id="n\x00")):
        with pytest.raises(InvalidArgument):
            runner.write(partial(join_step, actor=actor, pod=pod, now=1))


def test_a_step_of_another_run_is_refused_in_a_use(runner: Runner, actor: Actor) -> None:
    joined, other = Story().process(runner, actor), Story().process(runner, actor)
    artifact = runner.write(
        lambda session: create_artifact(session, actor, now=1, kind=ArtifactKind.MODEL, uri="s3://own/other").id
    )

    with pytest.raises(NotFound):
        runner.write(lambda session: link(session, actor, artifact, joined.run, EventType.INPUT, now=1, step=other.step))


def test_another_workspace_has_pods_of_its_own(runner: Runner, actor: Actor) -> None:
    story = Story()
    number = runner.write(lambda session: get_or_create_workspace(session, "elsewhere", now=1))
    elsewhere = Actor("tester", number, "elsewhere", Role.ADMIN)

    joined, other = story.process(runner, actor), story.process(runner, elsewhere)

    assert joined.run != other.run
