"""An execution id in a report is believed if that execution lies in the context of the report's run."""

import sqlalchemy as sa

from registry.catalog import tagging
from registry.catalog.actors import Actor
from registry.catalog.checking import check_all
from registry.catalog.nodes import node_row
from registry.catalog.runs import get_run
from registry.catalog.steps import list_steps
from registry.db.runner import Runner
from registry.db.session import Session
from registry.names import EventType, NodeKind, Status
from registry.tables.graph import artifacts, associations, events, executions, params, types
from registry.tables.runs import steps
from registry.tables.service import id_aliases
from tests.catalog.reporting import apply, new_uid, report, task


def user_type(session: Session, actor: Actor) -> int:
    """Made once."""
    name = {"kind": int(NodeKind.EXECUTION), "scope": actor.workspace, "name": "system.ContainerExecution", "version": ""}
    found = session.scalar(sa.select(types.c.id).where(types.c.name == name["name"]))
    if found is None:
        found = session.next_id("type")
        null = [column.name for column in types.c if column.nullable]
        session.insert(types, {"id": found, **name, **dict.fromkeys(null), "properties": b"{}"})
    return int(found)


def typed_execution(runner: Runner, actor: Actor, uid: str | None) -> int:
    """As ML Metadata's client puts one, in the run's context."""

    def put(session: Session) -> int:
        made = session.next_id("execution")
        session.insert(
            executions, node_row(made, type_id=user_type(session, actor), workspace=actor.workspace, now=1, name=f"run/{made}")
        )
        if uid is not None:
            run = get_run(session, actor, uid.replace("-", "")).id
            session.insert(associations, {"context": run, "execution": made})
        return made

    return runner.write(put)


def body(uid: str, version: int, execution: int | None) -> dict[str, object]:
    model = {"name": "model", "uri": f"s3://b/{uid}"}
    train = task("train", outputs={"artifacts": [model]}, inputs={"parameters": {"lr": 1}}, execution_id=execution)
    return report(uid, version, train, task("use", inputs={"artifacts": [model]}), task("train/sub", parent="train"))


def test_a_step_that_the_agent_made_merges_into_its_execution(runner: Runner, actor: Actor) -> None:
    uid = new_uid()
    apply(runner, actor, body(uid, 1, None))
    execution = typed_execution(runner, actor, uid)
    run = uid.replace("-", "")
    before = {step.path: step.id for step in runner.read(lambda session: list_steps(session, actor, run))}

    for version in (2, 3):
        apply(runner, actor, body(uid, version, execution))

    after = {step.path: step for step in runner.read(lambda session: list_steps(session, actor, run))}
    assert {path: step.id for path, step in after.items()} == before | {"train": execution}
    assert (after["train/sub"].parent, after["train"].status) == (execution, Status.SUCCEEDED)
    query = sa.select(events.c.execution, events.c.type, artifacts.c.step).join(artifacts, artifacts.c.id == events.c.artifact)
    flow = runner.read(lambda session: session.all(query.where(artifacts.c.uri == f"s3://b/{uid}").order_by(events.c.type)))
    assert [(row.execution, row.type, row.step) for row in flow] == [
        (before["use"], EventType.INPUT, execution),
        (execution, EventType.OUTPUT, execution),
    ]
    pairs = runner.read(lambda session: tagging.read_pairs(session, params, NodeKind.EXECUTION, [execution, before["train"]]))
    assert pairs == {execution: {"lr": "1"}}
    alias = sa.select(id_aliases.c.node).where(id_aliases.c.old_id == before["train"], id_aliases.c.kind == NodeKind.EXECUTION)
    assert runner.read(lambda session: session.scalar(alias)) == execution
    assert [str(problem) for problem in runner.read(lambda session: list(check_all(session)))] == []


def test_a_new_task_is_the_execution_that_it_names(runner: Runner, actor: Actor) -> None:
    uid = new_uid()
    apply(runner, actor, report(uid, 1))
    execution = typed_execution(runner, actor, uid)

    apply(runner, actor, body(uid, 2, execution))

    found = runner.read(lambda session: session.first(sa.select(steps).where(steps.c.id == execution)))
    node = runner.read(lambda session: session.first(sa.select(executions).where(executions.c.id == execution)))
    assert found is not None
    assert node is not None
    known = runner.write(lambda session: user_type(session, actor))
    assert (found.path, node.type_id, node.name) == ("train", known, f"run/{execution}")


def test_an_execution_of_another_run_is_not_believed(runner: Runner, actor: Actor) -> None:
    uid, other = new_uid(), new_uid()
    apply(runner, actor, report(other, 1))
    elsewhere, nowhere = typed_execution(runner, actor, other), typed_execution(runner, actor, None)

    apply(runner, actor, body(uid, 1, elsewhere))
    apply(runner, actor, body(uid, 2, nowhere))

    found = runner.read(lambda session: list_steps(session, actor, uid.replace("-", "")))
    assert len(found) == 3
    assert not {elsewhere, nowhere} & {step.id for step in found}


def test_events_that_a_client_put_on_a_typed_execution_stay(runner: Runner, actor: Actor) -> None:
    uid = new_uid()
    apply(runner, actor, report(uid, 1))
    execution = typed_execution(runner, actor, uid)
    apply(runner, actor, body(uid, 2, execution))

    apply(runner, actor, report(uid, 3, task("train", execution_id=execution)))

    query = sa.select(events.c.type).where(events.c.execution == execution)
    assert runner.read(lambda session: session.scalars(query)) == [EventType.OUTPUT]
