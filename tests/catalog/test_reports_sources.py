"""The whole object of a final report: kept with the newest report, one row per content, alike in any order of arrival."""

import itertools
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.checking import check_all
from registry.catalog.reports.applying import apply_report
from registry.catalog.reports.record import parse
from registry.catalog.reports.sources import find_source, keep_source, source_of
from registry.db.runner import Runner
from registry.db.session import Session
from registry.errors import InvalidArgument, NotFound
from registry.names import Role
from registry.tables.service import blobs
from tests.catalog.reporting import new_uid, report, seen, task
from tests.databases import sqlite_url, started


@pytest.fixture
def uid() -> str:
    return new_uid()


def send(runner: Runner, actor: Actor, body: dict[str, Any], source: dict[str, Any] | None = None) -> str | None:
    """The key of its bytes, if the report has a source to keep."""
    encoded = msgspec.json.encode(body | {"source": source})
    parsed = parse(encoded)
    found = source_of(encoded, parsed)

    def write(session: Session) -> None:
        applied = apply_report(session, actor, parsed, now=5000)
        if found is not None:
            keep_source(session, applied.object_id, parsed, found, now=5000)

    runner.write(write)
    return None if found is None else found.key


def final(uid: str, version: int, **run: Any) -> dict[str, Any]:
    return report(uid, version, task("a"), state="COMPLETE", **run)


def kept(runner: Runner, actor: Actor, uid: str) -> str:
    return runner.read(lambda session: find_source(session, actor, uid.replace("-", "")))


def rows(runner: Runner, *keys: str | None) -> int:
    query = sa.select(sa.func.count()).where(blobs.c.key.in_(keys))
    return int(runner.read(lambda session: session.scalar(query)))


def test_the_object_of_a_final_report_is_kept_once_however_often_it_is_sent(runner: Runner, actor: Actor, uid: str) -> None:
    keys = {send(runner, actor, final(uid, 1), {"kind": "Workflow", "uid": uid}) for _ in range(2)}

    assert keys == {kept(runner, actor, uid)}
    assert rows(runner, *keys) == 1


def test_a_newer_report_brings_its_own_object_and_the_row_of_the_older_goes(runner: Runner, actor: Actor, uid: str) -> None:
    old = send(runner, actor, final(uid, 1), {"at": [uid, 1]})
    new = send(runner, actor, final(uid, 2), {"at": [uid, 2]})
    late = send(runner, actor, final(uid, 1), {"at": [uid, 1]})

    assert kept(runner, actor, uid) == new
    assert rows(runner, old, late) == 0


def test_a_run_that_goes_on_again_has_no_source(runner: Runner, actor: Actor, uid: str) -> None:
    old = send(runner, actor, final(uid, 1), {"at": [uid, 1]})

    going_on = send(runner, actor, report(uid, 2, task("a")), {"at": [uid, 2]})

    assert going_on is None
    assert rows(runner, old) == 0
    with pytest.raises(NotFound):
        kept(runner, actor, uid)


def test_one_content_of_two_objects_is_one_row_that_stays_until_both_have_gone(runner: Runner, actor: Actor, uid: str) -> None:
    other = new_uid()
    [key] = {send(runner, actor, final(one, 1), {"same": uid}) for one in (uid, other)}

    send(runner, actor, report(uid, 2, task("a")))
    after_one = rows(runner, key)
    send(runner, actor, report(other, 2, task("a")))

    assert (after_one, rows(runner, key)) == (1, 0)


def test_another_workspaces_source_is_not_found(runner: Runner, actor: Actor, uid: str) -> None:
    send(runner, actor, final(uid, 1), {"a": uid})

    with pytest.raises(NotFound):
        kept(runner, Actor("x", actor.workspace + 999, "x", Role.ADMIN), uid)


def test_who_wrote_which_field_and_the_copy_of_what_was_applied_are_left_out(uid: str) -> None:
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "a": "b"}
    source = {"metadata": {"managedFields": [{"manager": "argo"}], "annotations": annotations, "name": "n"}, "kind": "Workflow"}
    body = msgspec.json.encode(final(uid, 1) | {"source": source})

    found = source_of(body, parse(body))

    assert found is not None
    assert json.loads(found.data) == {"kind": "Workflow", "metadata": {"annotations": {"a": "b"}, "name": "n"}}


@pytest.mark.parametrize("source", [b"7", b"[]", b'{"n": 1e999}', b'{"a": ' * 5000 + b"1" + b"}" * 5000])
def test_a_source_that_is_no_object_is_refused(uid: str, source: bytes) -> None:
    body = msgspec.json.encode(final(uid, 1))

    with pytest.raises(InvalidArgument, match="source"):
        source_of(body[:-1] + b', "source": ' + source + b"}", parse(body))


def test_every_order_of_arrival_gives_one_picture_and_no_problem(tmp_path: Path) -> None:
    uid = new_uid()
    sent = [
        (final(uid, 1), {"v": 1}),
        (report(uid, 2, task("a")), None),
        (final(uid, 3), {"v": 3}),
        (final(uid, 3), {"v": "another recording of the same"}),
    ]
    pictures = []
    for number, order in enumerate(itertools.permutations(sent)):
        (tmp_path / str(number)).mkdir()
        with started(sqlite_url(tmp_path / str(number))) as runner:
            for body, source in order:
                send(runner, Actor("agent", 1, "default", Role.ADMIN), body, source)
            pictures.append(json.dumps(seen(runner)))
            assert runner.read(lambda session: list(check_all(session))) == []

    assert len(set(pictures)) == 1
    assert '"blob": "blob-1"' in pictures[0]
