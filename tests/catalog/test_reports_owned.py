"""Objects that another object owns are steps of its run, whoever is reported first."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.checking import check_all
from registry.catalog.metrics import latest_values
from registry.catalog.pages import Search
from registry.catalog.runs import list_runs
from registry.db.runner import Runner
from registry.names import Role, Status
from registry.tables.graph import associations, events
from registry.tables.runs import runs, steps
from tests.catalog.reporting import apply, new_uid, owned, report, seen, task
from tests.databases import sqlite_url, started

WORKFLOW, TRAIN_JOB, JOB_SET, JOB = new_uid(), new_uid(), new_uid(), new_uid()
DATA = {"name": "data", "uri": "s3://b/data"}
FAMILY = [
    report(WORKFLOW, 1, task("prepare", outputs={"artifacts": [DATA]}), state="COMPLETE"),
    owned("TrainJob", "fit", TRAIN_JOB, ("Workflow", WORKFLOW), parameters={"lr": 1}, metrics={"loss": 0.5}),
    owned("JobSet", "fit-set", JOB_SET, ("TrainJob", TRAIN_JOB)),
    owned("Job", "fit-job", JOB, ("JobSet", JOB_SET), task("pod", inputs={"artifacts": [DATA]}, metrics={"m/acc": 0.9})),
]


def told(folder: Path, bodies: Sequence[dict[str, Any]]) -> tuple[list[Any], list[str]]:
    folder.mkdir()
    with started(sqlite_url(folder)) as runner:
        actor = Actor("agent", 1, "default", Role.ADMIN)
        for body in bodies:
            apply(runner, actor, body)
        return seen(runner), [str(problem) for problem in runner.read(lambda session: list(check_all(session)))]


def test_every_order_of_owner_and_owned_gives_one_picture(tmp_path: Path) -> None:
    expected, problems = told(tmp_path / "first", FAMILY)
    assert problems == []

    for number, order in enumerate(itertools.permutations(FAMILY)):
        assert told(tmp_path / str(number), [*order, order[0]]) == (expected, [])


def test_what_is_owned_is_a_step_of_the_root_owners_run_with_all_that_it_tells(runner: Runner, actor: Actor) -> None:
    for body in reversed(FAMILY):
        apply(runner, actor, body)

    [run] = runner.read(lambda session: list_runs(session, actor, Search(f"id = '{WORKFLOW}'")).records)
    rows = runner.read(lambda session: session.all(sa.select(steps).where(steps.c.run == run.id).order_by(steps.c.path)))
    assert [row.path for row in rows] == [
        "TrainJob/fit",
        "TrainJob/fit/JobSet/fit-set",
        "TrainJob/fit/JobSet/fit-set/Job/fit-job",
        "TrainJob/fit/JobSet/fit-set/Job/fit-job/pod",
        "prepare",
    ]
    assert {row.status for row in rows} == {Status.SUCCEEDED}
    values = runner.read(lambda session: latest_values(session, [run.id]))[run.id]
    assert {key: point.value for key, point in values.items()} == {
        "TrainJob/fit/loss": 0.5,
        "TrainJob/fit/JobSet/fit-set/Job/fit-job/pod/m/acc": 0.9,
    }
    used = runner.read(
        lambda session: session.all(sa.select(events.c.artifact).where(events.c.execution.in_([r.id for r in rows])))
    )
    assert len(used) == 2
    assert len({row.artifact for row in used}) == 1
    members = runner.read(
        lambda session: session.scalars(sa.select(associations.c.execution).where(associations.c.context == run.id))
    )
    assert sorted(members) == sorted(row.id for row in rows)


def test_before_its_owner_is_known_there_is_no_run(runner: Runner, actor: Actor) -> None:
    uid = new_uid()

    applied = apply(runner, actor, owned("Job", "alone", uid, ("Trial", new_uid())))

    assert (applied.result, applied.run_hex) == ("applied", None)
    found = runner.read(lambda session: session.scalar(sa.select(runs.c.id).where(runs.c.hex == uid.replace("-", ""))))
    assert found is None


def test_the_same_owned_report_again_changes_nothing(runner: Runner, actor: Actor) -> None:
    body = owned("Job", "twice", new_uid(), ("Trial", new_uid()), task("pod"))
    apply(runner, actor, body)

    assert apply(runner, actor, body).result == "unchanged"


def test_a_run_of_kubeflow_pipelines_is_a_run_whoever_owns_its_workflow(runner: Runner, actor: Actor) -> None:
    run = new_uid()
    body = owned("Workflow", "child", new_uid(), ("Workflow", new_uid()), id=run)

    assert apply(runner, actor, body).run_hex == run.replace("-", "")


@pytest.mark.parametrize("kind", ["ScheduledWorkflow", "Experiment", "CronWorkflow"])
def test_what_a_schedule_or_an_experiment_owns_stays_a_run(runner: Runner, actor: Actor, kind: str) -> None:
    uid = new_uid()

    assert apply(runner, actor, owned("Workflow", "w", uid, (kind, new_uid()))).run_hex == uid.replace("-", "")
