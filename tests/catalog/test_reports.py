"""Reports are applied idempotently, never backwards, and in any order with one result. What a client wrote stays."""

import dataclasses
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from agent.kinds import translate
from agent.reading import Unreadable, read_file
from registry.catalog import tagging
from registry.catalog.actors import Actor
from registry.catalog.checking import check_all
from registry.catalog.dumping import canonical
from registry.catalog.experiments import create_experiment
from registry.catalog.metrics import Batch, latest_values, log_many
from registry.catalog.pages import Search
from registry.catalog.reports.applying import Applied, apply_report, find_applied
from registry.catalog.reports.record import parse
from registry.catalog.runs import get_run, list_runs, update_run
from registry.catalog.workspaces import get_or_create_workspace
from registry.db.counting import count_statements
from registry.db.runner import Runner
from registry.db.session import Session
from registry.errors import InvalidArgument, NotPermitted
from registry.names import NodeKind, Role, Status, new_run_hex
from registry.tables.graph import artifacts, events, params, tags
from registry.tables.runs import experiments, runs, steps
from tests.catalog.reporting import apply, new_uid, report, task
from tests.databases import sqlite_url, started

SAMPLES = os.environ.get("LINEAL_SAMPLES")
FOLDERS = ("argo", "kfp-v1", "kfp-v2", "compressed", "watch", "katib", "kserve", "training", "scheduled")


def picture(session: Session, workspace: int | None = None) -> list[Any]:
    """All that reports say, without ids and times of receipt."""
    found = []
    query = sa.select(runs, experiments.c.name.label("experiment_name")).join(
        experiments, experiments.c.id == runs.c.experiment, isouter=True
    )
    if workspace is not None:
        query = query.where(runs.c.workspace == workspace)
    for run in session.all(query.order_by(runs.c.hex)):
        own = session.all(sa.select(steps).where(steps.c.run == run.id).order_by(steps.c.path))
        paths = {step.id: step.path for step in own}
        values = tagging.read_pairs(session, params, NodeKind.EXECUTION, list(paths))
        flow = session.all(
            sa.select(
                events.c.execution, events.c.type, events.c.port, events.c.at, artifacts.c.id, artifacts.c.uri, artifacts.c.step
            )
            .join(artifacts, artifacts.c.id == events.c.artifact)
            .where(events.c.execution.in_(list(paths)))
        )
        described = tagging.read_pairs(session, tags, NodeKind.ARTIFACT, [event.id for event in flow])
        found.append(
            (
                (run.hex, run.name, run.status, run.phase, run.experiment_name, run.started_at, run.ended_at),
                tagging.read_pairs(session, params, NodeKind.CONTEXT, [run.id])[run.id],
                sorted((key, point.value, point.at) for key, point in latest_values(session, [run.id])[run.id].items()),
                [
                    (
                        step.path,
                        paths.get(step.parent),
                        step.status,
                        step.phase,
                        step.message,
                        step.attempts,
                        step.detail,
                        values[step.id],
                    )
                    for step in own
                ],
                sorted(
                    (
                        paths[event.execution],
                        event.type,
                        event.port,
                        event.at,
                        event.uri,
                        paths.get(event.step) or "",
                        str(described[event.id]),
                    )
                    for event in flow
                ),
            )
        )
    return found


@pytest.fixture
def uid() -> str:
    hex = new_run_hex()
    return f"{hex[:8]}-{hex[8:12]}-{hex[12:16]}-{hex[16:20]}-{hex[20:]}"


def hex_of(uid: str) -> str:
    return uid.replace("-", "")


def test_a_report_makes_run_steps_params_metrics_and_lineage(runner: Runner, actor: Actor, uid: str) -> None:
    model = {"name": "model", "uri": "s3://b/model", "type": "system.Model", "metadata": {"framework": "sklearn"}}
    body = report(
        uid,
        1,
        task("train", inputs={"parameters": {"lr": 0.1}}, outputs={"artifacts": [model]}, metrics={"eval/acc": 0.9}),
        task("deploy", inputs={"artifacts": [model]}),
        state="COMPLETE",
        parameters={"epochs": 3},
        finished_at="2026-01-01T00:00:00Z",
    )

    applied = apply(runner, actor, body)

    run = runner.read(lambda session: get_run(session, actor, hex_of(uid)))
    assert applied.result == "applied"
    assert (run.name, run.experiment_name, run.status) == ("train", "pipelines/churn", Status.SUCCEEDED)
    assert run.params == {"epochs": "3"}
    assert run.metrics["train/eval/acc"].value == 0.9
    [seen] = [one for one in runner.read(picture) if one[0][0] == hex_of(uid)]
    assert [(path, kind, port, uri, maker) for path, kind, port, _, uri, maker, _ in seen[4]] == [
        ("deploy", 3, "model", "s3://b/model", "train"),
        ("train", 4, "model", "s3://b/model", "train"),
    ]


def test_the_same_report_again_changes_nothing_and_costs_few_statements(runner: Runner, actor: Actor, uid: str) -> None:
    body = report(uid, 1, *(task(f"t{index}") for index in range(100)))
    apply(runner, actor, body)
    before = runner.read(lambda session: get_run(session, actor, hex_of(uid)))

    with count_statements(runner.database) as counted:
        again = apply(runner, actor, body)

    assert again.result == "unchanged"
    assert counted.count <= 8
    assert runner.read(lambda session: get_run(session, actor, hex_of(uid))) == before


def test_the_statements_of_a_report_do_not_grow_with_its_tasks(runner: Runner, actor: Actor) -> None:
    known = task("t", inputs={"parameters": {"p": 1}}, outputs={"artifacts": [{"name": "o", "uri": "s3://b/known"}]})
    apply(runner, actor, report(new_run_hex(), 1, known))  # the derived experiment and the names are there from here
    counts = []
    for size in (5, 200):
        uid = new_run_hex()
        tasks = [
            task(
                f"t{index}",
                inputs={"parameters": {"p": index}},
                outputs={"artifacts": [{"name": "o", "uri": f"s3://b/{uid}/{index}"}]},
            )
            for index in range(size)
        ]
        with count_statements(runner.database) as counted:
            apply(runner, actor, report(uid, 1, *tasks))
        counts.append(counted.count)

    assert counts[0] == counts[1]
    assert counts[1] <= 40, counts


def test_an_older_report_changes_nothing_that_a_newer_one_says(runner: Runner, actor: Actor, uid: str) -> None:
    apply(runner, actor, report(uid, 5, task("a", "COMPLETE"), state="COMPLETE"))

    late = apply(runner, actor, report(uid, 3, task("a", "RUNNING"), task("b", "FAILED"), state="RUNNING"))

    run = runner.read(lambda session: get_run(session, actor, hex_of(uid)))
    [seen] = [one for one in runner.read(picture) if one[0][0] == hex_of(uid)]
    assert late.result == "stale"
    assert run.status is Status.SUCCEEDED
    assert [(step[0], step[2]) for step in seen[3]] == [("a", Status.SUCCEEDED), ("b", Status.PENDING)]


def test_a_retry_removes_nodes_and_a_report_without_tasks_removes_none(runner: Runner, actor: Actor, uid: str) -> None:
    apply(runner, actor, report(uid, 1, task("a"), task("b", "FAILED"), state="FAILED"))
    apply(runner, actor, report(uid, 2, task("a"), state="RUNNING"))
    apply(runner, actor, report(uid, 3, state="RUNNING"))

    [seen] = [one for one in runner.read(picture) if one[0][0] == hex_of(uid)]
    assert [(step[0], step[2]) for step in seen[3]] == [("a", Status.SUCCEEDED), ("b", Status.PENDING)]


@pytest.mark.parametrize("client_first", [True, False])
def test_what_a_client_wrote_stays(runner: Runner, actor: Actor, uid: str, client_first: bool) -> None:
    apply(runner, actor, report(uid, 1))

    def client_writes() -> None:
        runner.write(lambda session: update_run(session, actor, hex_of(uid), now=6000, name="mine", status=Status.FAILED))
        batch = Batch(actor.workspace, hex_of(uid), params={"lr": "0.10"})
        assert runner.write(lambda session: log_many(session, [batch])) == [None]

    def agent_reports() -> None:
        apply(runner, actor, report(uid, 2, parameters={"lr": 0.1, "n": 1}, state="COMPLETE"))

    for write in (client_writes, agent_reports) if client_first else (agent_reports, client_writes):
        write()

    run = runner.read(lambda session: get_run(session, actor, hex_of(uid)))
    assert (run.name, run.status) == ("mine", Status.FAILED)
    assert run.params == {"lr": "0.10", "n": "1"}


def test_a_client_takes_over_a_param_that_the_agent_wrote(runner: Runner, actor: Actor, uid: str) -> None:
    apply(runner, actor, report(uid, 1, parameters={"lr": "0.10"}))

    answer = runner.write(lambda session: log_many(session, [Batch(actor.workspace, hex_of(uid), params={"lr": "0.1"})]))

    assert answer == [None]
    assert runner.read(lambda session: get_run(session, actor, hex_of(uid))).params == {"lr": "0.1"}


def test_a_final_state_of_a_client_yields_to_a_higher_retry_generation(runner: Runner, actor: Actor, uid: str) -> None:
    apply(runner, actor, report(uid, 1))
    runner.write(lambda session: update_run(session, actor, hex_of(uid), now=6000, status=Status.FAILED))
    body = report(uid, 2)
    body["object"]["retry_generation"] = 1

    apply(runner, actor, body)

    assert runner.read(lambda session: get_run(session, actor, hex_of(uid))).status is Status.RUNNING


def test_a_namespace_is_a_workspace_and_only_administrators_write_into_another(runner: Runner, actor: Actor, uid: str) -> None:
    body = report(uid, 1)
    body["object"]["namespace"] = "team-a"
    contributor = dataclasses.replace(actor, role=Role.CONTRIBUTOR)

    with pytest.raises(NotPermitted):
        apply(runner, contributor, body)
    apply(runner, actor, body)

    team = runner.write(lambda session: get_or_create_workspace(session, "team-a", now=1))
    there = dataclasses.replace(actor, workspace=team, workspace_name="team-a")
    assert runner.read(lambda session: get_run(session, there, hex_of(uid))).name == "train"


def test_a_run_that_a_client_made_under_the_workflows_id_is_the_same_run(runner: Runner, actor: Actor, uid: str) -> None:
    from registry.catalog.run_creation import create_run

    def make(session: Session) -> None:
        experiment = create_experiment(session, actor, f"named {uid}", now=1).id
        create_run(session, actor, now=1, experiment=experiment, hex=hex_of(uid), name="client's")

    runner.write(make)
    apply(runner, actor, report(uid, 1, task("a")))

    run = runner.read(lambda session: get_run(session, actor, hex_of(uid)))
    assert (run.name, run.experiment_name) == ("client's", f"named {uid}")


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"\xff",
        b'{"object": {"kind": 7}}',
        b'{"object": {"kind": "Workflow"}, "run": {"id": "x", "state": "LOST"}}',
        b'{"object": {"kind": "Workflow", "name": "a\\u0000"}}',
        b'{"object": {"kind": "Workflow", "name": "a\\\\\\u0000"}}',
        b'{"object": {"kind": "Workflow", "name": "a\\ud800"}}',
        b'{"object": {"kind": "Workflow", "name": "a", "generation": 9223372036854775808}}',
        b'{"object": {"kind": "Workflow", "name": "a"}, "run": {"id": "x", "state": "NEW", "parameters": []}}',
        b'{"object": {"kind": "Workflow", "name": "a"}, "tasks": [{"key": "a", "name": "a", "state": "NEW", "attempts": "1"}]}',
        b'{"object": {"kind": "W"}, "tasks": [' + b", ".join([b'{"key": "a", "name": "a", "state": "NEW"}'] * 2) + b"]}",
    ],
)
def test_what_is_no_report_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidArgument):
        parse(body)


def test_a_backslash_before_the_letters_of_an_escape_is_text() -> None:
    body = b'{"object": {"kind": "Workflow", "name": "a\\\\u0000"}, "run": null, "unknown": 1}'

    assert parse(body).object.name == "a\\u0000"


def test_a_run_without_an_id_is_refused_and_changes_nothing(runner: Runner, actor: Actor, uid: str) -> None:
    body = report(uid, 1)
    body["run"]["id"] = ""

    with pytest.raises(InvalidArgument):
        apply(runner, actor, body)

    listed = runner.read(lambda session: list_runs(session, actor, Search(f"id = '{uid}'")).records)
    assert listed == []


def test_a_task_whose_parent_is_missing_is_refused(runner: Runner, actor: Actor, uid: str) -> None:
    with pytest.raises(InvalidArgument, match="parent"):
        apply(runner, actor, report(uid, 1, task("a/b", parent="a")))


# ---- every recorded object, in any order ----


def sample_reports() -> Iterator[bytes]:
    for folder in FOLDERS:
        for path in sorted((Path(str(SAMPLES)) / "k8s" / folder).iterdir()):
            for read in read_file(str(path)):
                translated = read if isinstance(read, Unreadable) else translate(read)
                if not isinstance(translated, Unreadable):
                    yield translated.to_json().encode()


def replayed(folder: Path, bodies: list[bytes]) -> tuple[list[Any], list[str]]:
    folder.mkdir()
    with started(sqlite_url(folder)) as runner:
        actor = Actor("agent", 1, "default", Role.ADMIN)
        for body in bodies:
            parsed = parse(body)
            runner.write(lambda session, parsed=parsed: apply_report(session, actor, parsed, now=5000))  # type: ignore[misc]
        seen = runner.read(lambda session: [json.dumps(line) for line in canonical(session)])
        return seen, [str(problem) for problem in runner.read(lambda session: list(check_all(session)))]


if SAMPLES:

    def test_20_shuffled_replays_with_each_object_sent_twice_end_alike(tmp_path: Path) -> None:
        bodies = list(sample_reports())
        first, problems = replayed(tmp_path / "first", bodies)
        assert len(bodies) > 60
        assert problems == []

        for seed in range(20):
            shuffled = bodies * 2
            random.Random(seed).shuffle(shuffled)
            assert replayed(tmp_path / str(seed), shuffled) == (first, [])


def test_a_report_that_was_here_before_is_known_without_a_write(runner: Runner, actor: Actor) -> None:
    body = report(new_uid(), 1, task("train", "RUNNING"))
    parsed = parse(msgspec.json.encode(body))
    assert runner.read(lambda session: find_applied(session, actor, parsed)) is None

    applied = apply(runner, actor, body)

    known = runner.read(lambda session: find_applied(session, actor, parsed))
    assert known == Applied("unchanged", applied.run_hex, (), applied.object_id)
    assert apply(runner, actor, body) == known


def test_a_report_that_a_newer_one_has_overtaken_is_not_known(runner: Runner, actor: Actor) -> None:
    uid = new_uid()
    first = report(uid, 1, task("train", "RUNNING"))
    apply(runner, actor, first)
    apply(runner, actor, report(uid, 2, task("train")))

    parsed = parse(msgspec.json.encode(first))

    assert runner.read(lambda session: find_applied(session, actor, parsed)) is None
    assert apply(runner, actor, first).result == "stale"


def test_who_may_not_write_into_the_namespace_is_not_told_that_a_report_is_known(runner: Runner, actor: Actor) -> None:
    body = report(new_uid(), 1, task("train"))
    body["object"]["namespace"] = "team-known"
    apply(runner, actor, body)
    stranger = dataclasses.replace(actor, role=Role.CONTRIBUTOR)

    parsed = parse(msgspec.json.encode(body))

    assert runner.read(lambda session: find_applied(session, actor, parsed)) is not None
    assert runner.read(lambda session: find_applied(session, stranger, parsed)) is None


def test_an_id_that_is_no_uuid_is_a_run_all_the_same(runner: Runner, actor: Actor) -> None:
    """Documents and old installations have such uids."""
    uid = f"xx{new_uid()}"
    body = report(uid, 1)

    first, again = apply(runner, actor, body), apply(runner, actor, body)

    assert (first.result, again.result) == ("applied", "unchanged")
    assert first.run_hex == again.run_hex
