"""A newer report of a run costs what has changed since, and what has not changed stays as it is."""

from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from registry.catalog import tagging
from registry.catalog.actors import Actor
from registry.catalog.reports.applying import apply_report
from registry.catalog.reports.record import parse
from registry.catalog.reports.running import find_run
from registry.catalog.reports.sources import is_kept, keep_source, source_of
from registry.db.counting import count_statements
from registry.db.runner import Runner
from registry.db.session import Session
from registry.names import NodeKind, Status
from registry.tables.graph import artifacts, events, executions, params
from registry.tables.runs import runs, steps
from tests.catalog.reporting import apply, new_uid, report, task

Json = dict[str, Any]


@pytest.fixture
def uid() -> str:
    return new_uid()


def chain(uid: str, length: int, **changes: Json) -> list[Json]:
    """Tasks of which each reads what the one before wrote. `changes`: fields of tasks, by name."""
    tasks = []
    for index in range(length):
        read = [{"name": "in", "uri": f"s3://{uid}/{index - 1}"}] if index else []
        made = [{"name": "out", "uri": f"s3://{uid}/{index}"}]
        said: Json = {"inputs": {"parameters": {"lr": index}, "artifacts": read}, "outputs": {"artifacts": made}}
        said |= {"started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:01:00Z"}
        tasks.append(task(f"t{index}", **{**said, **changes.get(f"t{index}", {})}))
    return tasks


def of_run(uid: str) -> Any:
    return sa.select(runs.c.id).where(runs.c.hex == uid.replace("-", "")).scalar_subquery()


def versions(runner: Runner, uid: str) -> dict[str, int]:
    """Of the steps' executions, by path."""
    query = sa.select(steps.c.path, executions.c.version).join(executions, executions.c.id == steps.c.id)
    return {row.path: row.version for row in runner.read(lambda session: session.all(query.where(steps.c.run == of_run(uid))))}


def flow(runner: Runner, uid: str) -> set[tuple[str, int, str, int]]:
    """Path, type, URI and time of all events."""
    query = sa.select(steps.c.path, events.c.type, artifacts.c.uri, events.c.at).where(steps.c.run == of_run(uid))
    query = query.join(events, events.c.execution == steps.c.id).join(artifacts, artifacts.c.id == events.c.artifact)
    rows = runner.read(lambda session: session.all(query))
    return {(row.path, row.type, row.uri, row.at) for row in rows}


def status_of(runner: Runner, uid: str, path: str) -> int:
    query = sa.select(steps.c.status).where(steps.c.run == of_run(uid), steps.c.path == path)
    return int(runner.read(lambda session: session.scalar(query)))


@pytest.mark.parametrize("length", [5, 200])
def test_one_changed_task_costs_the_same_few_statements_however_many_there_are(
    runner: Runner, actor: Actor, uid: str, length: int
) -> None:
    apply(runner, actor, report(uid, 1, *chain(uid, length)))

    with count_statements(runner.database) as message:
        apply(runner, actor, report(uid, 2, *chain(uid, length, t3={"message": "slow"})))
    with count_statements(runner.database) as time:
        apply(runner, actor, report(uid, 3, *chain(uid, length, t3={"message": "slow", "finished_at": "2026-01-01T00:02:00Z"})))

    locks = 0 if runner.database.dialect == "sqlite" else 8
    assert message.count <= 13 + locks, message.statements
    assert time.count <= 17 + locks, time.statements


def test_only_the_step_that_changed_moves_its_version(runner: Runner, actor: Actor, uid: str) -> None:
    apply(runner, actor, report(uid, 1, *chain(uid, 4)))
    before = versions(runner, uid)

    apply(runner, actor, report(uid, 2, *chain(uid, 4, t2={"state": "FAILED"})))

    assert versions(runner, uid) == before | {"t2": before["t2"] + 1}
    assert status_of(runner, uid, "t2") == Status.FAILED


def test_a_step_that_newer_reports_repeat_is_pending_only_once_one_leaves_it_out(runner: Runner, actor: Actor, uid: str) -> None:
    for version in (1, 2, 3):
        apply(runner, actor, report(uid, version, *chain(uid, 3)))
    repeated = status_of(runner, uid, "t2")

    apply(runner, actor, report(uid, 4, *chain(uid, 2)))

    assert (repeated, status_of(runner, uid, "t2")) == (Status.SUCCEEDED, Status.PENDING)


def test_a_report_between_two_that_were_here_adds_what_it_alone_lists(runner: Runner, actor: Actor, uid: str) -> None:
    for version, length in ((1, 2), (4, 2), (3, 3), (5, 2)):
        apply(runner, actor, report(uid, version, *chain(uid, length)))

    assert [status_of(runner, uid, f"t{index}") for index in range(3)] == [Status.SUCCEEDED, Status.SUCCEEDED, Status.PENDING]


@pytest.mark.parametrize(("first", "then", "text"), [(1, True, "true"), (True, 1, "1"), (1, 1.0, "1.0"), (0, False, "false")])
def test_values_that_are_equal_in_python_alone_are_told_apart(
    runner: Runner, actor: Actor, uid: str, first: Any, then: Any, text: str
) -> None:
    for version, value in ((1, first), (2, then)):
        parameters: Json = {"x": value}
        apply(runner, actor, report(uid, version, task("a", inputs={"parameters": parameters}), parameters=parameters))

    def read(session: Session) -> list[str]:
        found = []
        for kind, query in (
            (NodeKind.CONTEXT, sa.select(runs.c.id).where(runs.c.hex == uid.replace("-", ""))),
            (NodeKind.EXECUTION, sa.select(steps.c.id).where(steps.c.run == of_run(uid))),
        ):
            id = session.scalar(query)
            found.append(tagging.read_pairs(session, params, kind, [id])[id]["x"])
        return found

    assert runner.read(read) == [text, text]


def test_what_flows_elsewhere_is_as_before_when_one_task_makes_something_else(runner: Runner, actor: Actor, uid: str) -> None:
    apply(runner, actor, report(uid, 1, *chain(uid, 5)))
    before = flow(runner, uid)

    made = {"outputs": {"artifacts": [{"name": "out", "uri": f"s3://{uid}/new"}]}}
    apply(runner, actor, report(uid, 2, *chain(uid, 5, t2=made)))

    after = flow(runner, uid)
    assert {(path, type_, uri) for path, type_, uri, _ in before - after} == {("t2", 4, f"s3://{uid}/2")}
    assert {(path, uri) for path, type_, uri, _ in after - before if type_ == 4} == {("t2", f"s3://{uid}/new")}
    assert ("t3", 3, f"s3://{uid}/2") in {one[:3] for one in after}


def test_an_edge_that_is_told_later_alone_gives_its_artifact_to_the_right_maker(runner: Runner, actor: Actor, uid: str) -> None:
    place = [{"name": "o", "uri": f"s3://{uid}/same"}]
    makers = [task(key, outputs={"artifacts": place}) for key in ("a", "b")]
    reader = task("c", inputs={"artifacts": [{"name": "in", "uri": f"s3://{uid}/same"}]})
    body = report(uid, 1, *makers, reader)
    apply(runner, actor, body)

    apply(
        runner, actor, report(uid, 2, *makers, reader) | {"edges": [{"from": "b", "to": "c", "port": "in", "kind": "artifact"}]}
    )

    query = (
        sa.select(artifacts.c.step)
        .join(events, events.c.artifact == artifacts.c.id)
        .join(steps, steps.c.id == events.c.execution)
    )
    found = runner.read(lambda session: session.scalars(query.where(steps.c.run == of_run(uid), events.c.type == 3)))
    [maker] = runner.read(
        lambda session: session.scalars(sa.select(steps.c.id).where(steps.c.run == of_run(uid), steps.c.path == "b"))
    )
    assert found == [maker]


def test_an_object_that_is_kept_is_known_to_be_so_and_another_is_not(runner: Runner, actor: Actor, uid: str) -> None:
    encoded = msgspec.json.encode(report(uid, 1, task("a"), state="COMPLETE") | {"source": {"kind": "Workflow", "uid": uid}})
    parsed = parse(encoded)
    source = source_of(encoded, parsed)
    assert source is not None

    def keep(session: Session) -> tuple[int, bool]:
        applied = apply_report(session, actor, parsed, now=5000)
        before = is_kept(session, applied.object_id, source)
        keep_source(session, applied.object_id, parsed, source, now=5000)
        return applied.object_id, before

    id, before = runner.write(keep)

    assert not before
    assert runner.read(lambda session: is_kept(session, id, source))


def test_an_object_that_names_another_run_than_before_is_found_by_that_id_too(runner: Runner, actor: Actor, uid: str) -> None:
    other = new_uid()
    made = apply(runner, actor, report(uid, 1, task("a")))

    told = apply(runner, actor, report(uid, 2, task("a"), id=other))

    assert told.run_hex == made.run_hex == uid.replace("-", "")
    found = runner.read(lambda session: find_run(session, actor, other.replace("-", ""), "0" * 32))
    assert found is not None
    assert found[1] == made.run_hex
