"""The harness itself: what a server loses, doubles or answers too early does not pass for sound."""

import dataclasses
import uuid
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from registry.maintenance import opened
from tests.faults import cases
from tests.faults.databases import Sqlite
from tests.faults.load import Load, Writer, point, verdict
from tests.servers import Served, server

__all__ = ["server"]


@pytest.fixture
def load(server: Served) -> Load:
    """One writer that is through with two turns, and has begun a third."""
    with Load(server.url, 1) as load:
        load.wait_for(9)
    return load


def post(load: Load, path: str, **body: object) -> httpx.Response:
    answer = httpx.post(f"{load.url}/api/v1/{path}", json=body)
    assert answer.is_success, answer.text
    return answer


def first_run(writer: Writer) -> str:
    return next(iter(writer.journal.points))


def test_a_server_that_keeps_its_word_has_lost_and_doubled_nothing(load: Load) -> None:
    found = verdict(load)

    assert (found.lost, found.doubled) == ([], [])
    assert found.writes > 2 * 3 * 20


def never_created(load: Load, writer: Writer) -> None:
    writer.journal.created.append(f"{writer.prefix}never")


def never_created_with_a_key(load: Load, writer: Writer) -> None:
    writer.journal.runs["run_" + "0" * 32] = f"{writer.keyed_prefix}never"


def run_is_gone(load: Load, writer: Writer) -> None:
    writer.journal.points["run_" + "0" * 32] = [0]
    writer.journal.runs["run_" + "0" * 32] = f"{writer.keyed_prefix}gone"


def never_logged(load: Load, writer: Writer) -> None:
    writer.journal.points[first_run(writer)].insert(0, -1)


def another_value(load: Load, writer: Writer) -> None:
    """Where the point of step 70 belongs is one with another value."""
    post(load, f"runs/{first_run(writer)}/log", metrics=[point(70) | {"value": 0.5}])
    writer.journal.points[first_run(writer)].append(70)


def other_params(load: Load, writer: Writer) -> None:
    post(load, f"runs/{first_run(writer)}/log", params={"other": "1"})


def latest_is_not_the_last(load: Load, writer: Writer) -> None:
    writer.journal.points[first_run(writer)].reverse()


def never_registered(load: Load, writer: Writer) -> None:
    writer.journal.versions.insert(0, "mv_999999")


def alias_not_moved(load: Load, writer: Writer) -> None:
    """As if the last move was acknowledged and not made: the alias is with the version before."""
    model, version = writer.journal.model, writer.journal.versions[-2]
    httpx.put(f"{load.url}/api/v1/models/{model}/aliases/champion", json={"version_id": version}).raise_for_status()


def not_found(load: Load, writer: Writer) -> None:
    writer.journal.gone.append("POST /api/v1/runs/run_1/log: 404")


def made_twice(load: Load, writer: Writer) -> None:
    post(load, "runs", name=writer.journal.created[0])


def made_twice_with_a_key(load: Load, writer: Writer) -> None:
    post(load, "runs", name=writer.journal.runs[first_run(writer)])


def unknown_and_made_twice(load: Load, writer: Writer) -> None:
    writer.journal.unknown.append(writer.journal.created.pop())
    post(load, "runs", name=writer.journal.unknown[0])


def refused_and_made(load: Load, writer: Writer) -> None:
    writer.journal.refused.append(writer.journal.created.pop())


def point_besides(load: Load, writer: Writer) -> None:
    post(load, f"runs/{first_run(writer)}/log", metrics=[point(10) | {"at": 1, "value": 0.5}])


def version_besides(load: Load, writer: Writer) -> None:
    post(load, "register", model=writer.model, uri=f"s3://faults/{uuid.uuid4().hex}")


Forgery = Callable[[Load, Writer], None]
LOST: list[Forgery] = [
    never_created,
    never_created_with_a_key,
    run_is_gone,
    never_logged,
    another_value,
    other_params,
    latest_is_not_the_last,
    never_registered,
    alias_not_moved,
    not_found,
]
DOUBLED: list[Forgery] = [
    made_twice,
    made_twice_with_a_key,
    unknown_and_made_twice,
    refused_and_made,
    point_besides,
    version_besides,
]


@pytest.mark.parametrize("forge", LOST, ids=lambda forge: forge.__name__)
def test_what_is_not_there_as_it_was_acknowledged_is_lost(load: Load, forge: Forgery) -> None:
    forge(load, load.writers[0])

    assert verdict(load).lost


@pytest.mark.parametrize("forge", DOUBLED, ids=lambda forge: forge.__name__)
def test_what_is_there_besides_is_doubled(load: Load, forge: Forgery) -> None:
    forge(load, load.writers[0])

    found = verdict(load)

    assert (found.lost, bool(found.doubled)) == ([], True)


def test_what_nobody_can_say_is_neither(load: Load) -> None:
    journal = load.writers[0].journal
    journal.unknown += [journal.created.pop(), f"{load.writers[0].prefix}never"]

    found = verdict(load)

    assert (found.lost, found.doubled) == ([], [])


ANSWERED_TOO_EARLY = """
from registry.db.sqlite_writer import SqliteWriter
_run_one = SqliteWriter._run_one
def run_one(self, connection, call, answers, **options):
    _run_one(self, connection, call, answers, **options)
    for call, _session, result in answers:
        call.future.set_result(result)
    answers.clear()
SqliteWriter._run_one = run_one
"""


def test_a_server_that_answers_before_its_commit_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cases, "SLOW_COMMIT", cases.SLOW_COMMIT + ANSWERED_TOO_EARLY)
    with cases.staged(Sqlite(tmp_path), tmp_path) as stage:
        found = cases.kill_in_commit(dataclasses.replace(stage, writing=lambda url: Load(url, 6)))

    assert found.lost


def test_every_commit_on_sqlite_is_flushed(server: Served) -> None:
    """A kill does not show it: what was written and not flushed outlives a process, but not the machine."""
    database = opened(server.services.settings.db_url)
    with database.writer.connect() as connection:
        modes = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]
    database.close()

    assert modes == ["wal", 2]
