"""An object that is gone from its cluster: what it left unfinished is canceled, with a reason, in whatever order it is told."""

import itertools
from pathlib import Path
from typing import Any

import msgspec
import pytest

from registry.catalog import tagging
from registry.catalog.actors import Actor
from registry.catalog.checking import check_all
from registry.catalog.reports.record import parse
from registry.catalog.reports.sources import find_source, keep_source, source_of
from registry.catalog.reports.stepping import of_run
from registry.catalog.reports.vanishing import DELETED, REASON
from registry.catalog.runs import get_run
from registry.db.runner import Runner
from registry.names import NodeKind, Role, Status
from tests.catalog.reporting import apply, new_uid, owned, report, seen, task
from tests.databases import sqlite_url, started


def gone(uid: str, kind: str = "Workflow", name: str | None = None) -> dict[str, Any]:
    """Nobody watched it go."""
    return {"object": {"kind": kind, "name": name or f"wf-{uid[:4]}", "uid": uid, "resource_version": "90", "deleted": True}}


def deleted(body: dict[str, Any], version: int) -> dict[str, Any]:
    """It went, and this was its last state."""
    return body | {"object": body["object"] | {"deleted": True, "resource_version": str(version)}}


def hex_of(uid: str) -> str:
    return uid.replace("-", "")


def shown(runner: Runner, actor: Actor, uid: str) -> tuple[Status | None, str | None]:
    """Status and reason of the run."""
    run = runner.read(lambda session: get_run(session, actor, hex_of(uid)))
    return run.status, run.tags.get(REASON)


def steps_of(runner: Runner, actor: Actor, uid: str) -> dict[str, Status]:
    run = runner.read(lambda session: get_run(session, actor, hex_of(uid)))
    found = runner.read(lambda session: of_run(session, run.id))
    return {step.path: Status(step.columns["status"]) for step in found.values()}


def test_a_run_whose_object_went_unseen_is_canceled_with_a_reason(runner: Runner, actor: Actor) -> None:
    uid = new_uid()
    apply(runner, actor, report(uid, 5, task("a"), task("b", "RUNNING")))

    said = apply(runner, actor, gone(uid))

    assert said.result == "applied"
    assert shown(runner, actor, uid) == (Status.CANCELED, DELETED)


def test_a_finished_run_stays_as_it_ended(runner: Runner, actor: Actor) -> None:
    uid = new_uid()
    apply(runner, actor, report(uid, 5, task("a"), state="COMPLETE"))

    apply(runner, actor, gone(uid))

    assert shown(runner, actor, uid) == (Status.SUCCEEDED, None)


def test_told_twice_it_is_unchanged(runner: Runner, actor: Actor) -> None:
    uid = new_uid()
    apply(runner, actor, report(uid, 5, task("a")))
    apply(runner, actor, gone(uid))

    assert apply(runner, actor, gone(uid)).result == "unchanged"


@pytest.mark.parametrize("state", ["RUNNING", "CANCELED"])
def test_a_deletion_that_was_watched_ends_alike(state: str, runner: Runner, actor: Actor) -> None:
    """The agent says CANCELED for it."""
    uid = new_uid()
    apply(runner, actor, report(uid, 5, task("a", "RUNNING"), task("b", "NEW")))

    apply(runner, actor, deleted(report(uid, 5, task("a"), task("b", "RUNNING"), state=state), 6))

    assert shown(runner, actor, uid) == (Status.CANCELED, DELETED)
    assert steps_of(runner, actor, uid) == {"a": Status.SUCCEEDED, "b": Status.CANCELED}


def test_a_run_that_was_canceled_before_its_object_went_has_no_such_reason(runner: Runner, actor: Actor) -> None:
    uid = new_uid()
    body = report(uid, 5, task("a"), state="CANCELED")

    apply(runner, actor, deleted(body | {"run": body["run"] | {"finished_at": "2026-01-01T00:00:00Z"}}, 6))

    assert shown(runner, actor, uid) == (Status.CANCELED, None)


ORDERS = [(0, 1, 2, 3, 4), (3, 2, 1, 0, 4), (4, 3, 0, 2, 1), (1, 3, 0, 4, 2), (0, 1, 3, 0, 1, 2, 4), (3, 0, 1, 2, 0, 4, 3, 1)]


@pytest.mark.parametrize("state", ["RUNNING", "CANCELED"])
@pytest.mark.parametrize("went", ["unseen", "seen", "seen and unseen"])
def test_in_whatever_order_and_how_often_it_is_told_the_record_is_the_same(went: str, state: str, tmp_path: Path) -> None:
    actor = Actor("agent", 1, "default", Role.ADMIN)
    uid = new_uid()
    last = report(uid, 7, task("a"), task("b", "RUNNING"), task("c", "NEW"))
    seen_to_go = deleted(last | {"run": last["run"] | {"state": state}}, 8)
    told = [
        report(uid, 5, task("a", "RUNNING"), task("first", "RUNNING")),
        report(uid, 6, task("a"), task("first", "RUNNING")),
        last if went == "unseen" else seen_to_go,
        gone(uid) if "unseen" in went else seen_to_go,
        last,
    ]
    pictures = []

    for number, order in enumerate(ORDERS):
        (tmp_path / str(number)).mkdir()
        with started(sqlite_url(tmp_path / str(number))) as own:
            for position in order:
                apply(own, actor, told[position])
            pictures.append((seen(own), shown(own, actor, uid), steps_of(own, actor, uid)))

    assert all(picture == pictures[0] for picture in pictures)
    assert pictures[0][1:] == (
        (Status.CANCELED, DELETED),
        {"a": Status.SUCCEEDED, "b": Status.CANCELED, "c": Status.CANCELED, "first": Status.PENDING},
    )


def test_an_object_that_belongs_to_another_is_canceled_as_a_step(runner: Runner, actor: Actor) -> None:
    uid, job = new_uid(), new_uid()
    apply(runner, actor, report(uid, 5, task("a"), state="RUNNING"))
    apply(runner, actor, owned("PyTorchJob", "job", job, ("Workflow", uid), state="RUNNING"))

    apply(runner, actor, gone(job, "PyTorchJob"))

    assert steps_of(runner, actor, uid) == {"a": Status.SUCCEEDED, "PyTorchJob/job": Status.CANCELED}
    assert shown(runner, actor, uid) == (Status.RUNNING, None)


def test_an_owned_object_is_canceled_in_whatever_order(tmp_path: Path) -> None:
    actor = Actor("agent", 1, "default", Role.ADMIN)
    uid, job = new_uid(), new_uid()
    told = [
        report(uid, 5, task("a"), state="RUNNING"),
        owned("Job", "job", job, ("Workflow", uid), task("t", "RUNNING"), state="RUNNING"),
        gone(job, "Job", "job"),
    ]
    pictures = []

    for number, order in enumerate(itertools.permutations(range(3))):
        (tmp_path / str(number)).mkdir()
        with started(sqlite_url(tmp_path / str(number))) as own:
            for position in order:
                apply(own, actor, told[position])
            pictures.append((seen(own), steps_of(own, actor, uid)))

    assert all(picture == pictures[0] for picture in pictures)
    assert pictures[0][1] == {"a": Status.SUCCEEDED, "Job/job": Status.CANCELED, "Job/job/t": Status.CANCELED}


def test_an_object_that_was_never_reported_is_remembered_only(runner: Runner, actor: Actor) -> None:
    uid = new_uid()

    said = apply(runner, actor, gone(uid))
    apply(runner, actor, report(uid, 5, task("a", "RUNNING")))

    assert (said.result, said.run_hex) == ("applied", None)
    assert shown(runner, actor, uid) == (Status.CANCELED, DELETED)


def test_a_run_that_was_started_again_as_a_new_object_goes_on(runner: Runner, actor: Actor) -> None:
    uid, again = new_uid(), new_uid()
    apply(runner, actor, report(uid, 5, task("a", "RUNNING")))
    apply(runner, actor, gone(uid))
    body = report(again, 9, task("a", "RUNNING"), id=uid)
    body["object"]["retry_generation"] = 1

    apply(runner, actor, body)

    assert shown(runner, actor, uid) == (Status.RUNNING, None)


def test_the_reason_that_a_client_wrote_stays(runner: Runner, actor: Actor) -> None:
    uid = new_uid()
    apply(runner, actor, report(uid, 5, task("a")))
    run = runner.read(lambda session: get_run(session, actor, hex_of(uid)))
    runner.write(lambda session: tagging.set_tags(session, NodeKind.CONTEXT, {run.id: {REASON: "I stopped it"}}))

    apply(runner, actor, gone(uid))

    assert shown(runner, actor, uid) == (Status.CANCELED, "I stopped it")


def test_the_whole_object_that_was_kept_stays(runner: Runner, actor: Actor) -> None:
    uid = new_uid()
    body = report(uid, 5, task("a"), state="COMPLETE")
    applied = apply(runner, actor, body)
    raw = msgspec.json.encode(body | {"source": {"kind": "Workflow"}})
    parsed = parse(raw)
    source = source_of(raw, parsed)
    assert source is not None
    runner.write(lambda session: keep_source(session, applied.object_id, parsed, source, now=1))

    apply(runner, actor, gone(uid))

    assert runner.read(lambda session: find_source(session, actor, hex_of(uid))) == source.key


def test_another_object_of_the_same_name_is_another_run(runner: Runner, actor: Actor) -> None:
    before, after = new_uid(), new_uid()
    for uid in (before, after):
        body = report(uid, 5, task("a"))
        apply(runner, actor, body | {"object": body["object"] | {"name": "same"}})

    apply(runner, actor, gone(before))

    assert [shown(runner, actor, uid)[0] for uid in (before, after)] == [Status.CANCELED, Status.RUNNING]


def test_the_store_is_sound_afterwards(runner: Runner) -> None:
    assert runner.read(lambda session: list(check_all(session))) == []
