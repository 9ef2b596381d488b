"""Reports of one run that arrive at the same time: no caller sees it, and the result is that of any order."""

import random
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.checking import check_all
from registry.catalog.dumping import canonical
from registry.catalog.runs import get_run
from registry.catalog.workspaces import get_or_create_workspace
from registry.db.runner import Runner
from registry.names import Role, Status
from registry.tables.runs import runs, steps
from tests.catalog.reporting import apply, new_uid, owned, report, task
from tests.catalog.test_merging import Story
from tests.databases import sqlite_url, started


def life(number: int) -> list[dict[str, Any]]:
    """Of one run: growing reports, and a job that belongs to it. All runs use one data set."""
    uid = new_uid()
    bodies: list[dict[str, Any]] = []
    for version in range(1, 6):
        state = "COMPLETE" if version == 5 else "RUNNING"
        tasks = [
            task(
                f"t{index}",
                inputs={"parameters": {"p": index}, "artifacts": [{"name": f"in{number}", "uri": "s3://b/shared"}]},
                outputs={"artifacts": [{"name": "o", "uri": f"s3://b/{uid}/{index}", "metadata": {"v": version}}]},
                metrics={"m/acc": version / 10},
            )
            for index in range(version)
        ]
        bodies.append(report(uid, version, *tasks, state=state, parameters={"n": number}, pipeline=f"p{number % 2}"))
    bodies.append(owned("Job", "job", new_uid(), ("Workflow", uid), task("pod")))
    for body in bodies:
        body["object"]["namespace"] = "races"
    return bodies


def races(runner: Runner, workspace: str) -> list[dict[str, Any]]:
    lines = runner.read(lambda session: list(canonical(session)))
    return [line for line in lines if line["row"].get("workspace", workspace) == workspace and line["table"] in {"runs", "steps"}]


def test_reports_that_arrive_at_once_end_as_those_that_arrive_one_by_one(runner: Runner, actor: Actor, tmp_path: Path) -> None:
    bodies = [body for number in range(6) for body in life(number)]
    with started(sqlite_url(tmp_path)) as one_by_one:
        for body in bodies:
            apply(one_by_one, Actor("agent", 1, "default", Role.ADMIN), body)
        expected = races(one_by_one, "races")
    shuffled = bodies * 2
    random.Random(7).shuffle(shuffled)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda body: apply(runner, actor, body).result, shuffled))

    # An owned job and its owner may each miss the other while neither is committed; the owner's next report joins them.
    for body in bodies:
        apply(runner, actor, body)
    assert set(results) <= {"applied", "stale", "unchanged"}
    workspace = runner.write(lambda session: get_or_create_workspace(session, "races", now=1))
    assert runner.read(lambda session: session.scalar(sa.select(sa.func.count()).where(runs.c.workspace == workspace))) == 6
    assert runner.read(lambda session: session.scalar(sa.select(sa.func.count()).where(steps.c.workspace == workspace))) == 42
    assert races(runner, "races") == expected
    assert [str(problem) for problem in runner.read(lambda session: list(check_all(session)))] == []


def test_a_run_that_is_merged_while_reports_come_is_one_run(runner: Runner, actor: Actor) -> None:
    stories = [Story() for _ in range(8)]

    def tell(part: tuple[Story, str]) -> None:
        story, who = part
        if who == "mlflow":
            story.mlflow_create(runner, actor, tagged=True)
        elif who == "mlmd":
            story.mlmd(runner, actor)
        else:
            story.agent(runner, actor)

    stories[0].mlmd(runner, actor)  # the type is there from here
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(tell, [(story, who) for story in stories for who in ("agent", "mlmd", "mlflow", "agent", "mlmd")]))

    for story in stories:
        run = runner.read(partial(get_run, actor=actor, hex=story.kfp.replace("-", "")))
        assert (run.hex, run.status) == (story.hex, Status.SUCCEEDED)
    assert [str(problem) for problem in runner.read(lambda session: list(check_all(session)))] == []
