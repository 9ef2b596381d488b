"""How SQLite reads versions with all that they show, and lists: by their ids, never by way of all tags or runs that there are.

It has no statistics unless it is asked to make them: what is slow in a large store is not slow in that of a test.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.blobs import find_digest
from registry.catalog.deployments import list_deployments
from registry.catalog.models import create_model
from registry.catalog.pages import Search
from registry.catalog.runs import list_runs
from registry.catalog.version_reads import find_version, get_version, list_versions
from registry.catalog.versions import create_version
from registry.db.counting import count_statements
from registry.db.runner import Runner
from registry.db.session import Session
from registry.names import Lifecycle, Role
from tests.databases import sqlite_url, started

LIVE, ACTIVE = Search(limit=2), Lifecycle.ACTIVE
ACTOR = Actor("tester", 1, "default", Role.ADMIN)
GIVEN = {
    "param_1": 0,
    "ids": "[1]",
    "workspace": 1,
    "model": 1,
    "id": 1,
    "number": 1,
    "name": "1",
    "alias": "a",
    "kind": 0,
    "hash": "0",
}
READS: dict[str, Callable[[Session], object]] = {
    "by id": lambda session: get_version(session, ACTOR, 2),
    "by number": lambda session: find_version(session, ACTOR, 1, number=1),
    "by name": lambda session: find_version(session, ACTOR, 1, name="1"),
    "by alias": lambda session: find_version(session, ACTOR, 1, alias="a"),
    "latest": lambda session: find_version(session, ACTOR, 1, alias="latest"),
    "page": lambda session: list_versions(session, ACTOR, Search(limit=2), model=1),
    "file": lambda session: find_digest(session, ACTOR, "a"),
}
BY_NODE = ("node=?", "owner=?", "model_version=?", "alias=?")


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    with started(sqlite_url(tmp_path_factory.mktemp("db"))) as made:
        model = made.write(lambda session: create_model(session, ACTOR, "m", now=1)).id
        made.write(lambda session: create_version(session, ACTOR, model, now=1))
        yield made


@pytest.mark.parametrize("read", READS)
def test_versions_and_files_are_read_from_their_ids(runner: Runner, read: str) -> None:
    with count_statements(runner.database) as counted:
        runner.read(READS[read])
    texts = [text for text in counted.statements if "?" not in text]  # those with parameters by name

    def explain(session: Session) -> list[str]:
        rows = [session.connection.exec_driver_sql("EXPLAIN QUERY PLAN " + text, GIVEN) for text in texts]
        return [str(row[3]) for plan in rows for row in plan]

    steps = runner.read(explain)
    assert texts
    assert [step for step in steps if step.startswith("SCAN ") and not step.startswith(("SCAN found", "SCAN json_each"))] == []
    for table in ("tags", "params", "series", "aliases", "stages"):
        found = [step for step in steps if step.startswith(f"SEARCH {table} ")]
        assert [step for step in found if not any(column in step for column in BY_NODE)] == []


LISTS: dict[str, tuple[Callable[[Session], object], str]] = {
    "versions of a model": (lambda session: list_versions(session, ACTOR, LIVE, lifecycle=ACTIVE, model=1), "model=?"),
    "runs of an experiment": (lambda session: list_runs(session, ACTOR, LIVE, lifecycle=ACTIVE, experiment=1), "experiment=?"),
    "deployments of an environment": (
        lambda session: list_deployments(session, ACTOR, LIVE, lifecycle=ACTIVE, environment=1),
        "environment=?",
    ),
}


@pytest.mark.parametrize("what", LISTS)
def test_a_page_of_what_belongs_to_a_record_is_read_from_that_record_in_order(runner: Runner, what: str) -> None:
    """And not from the whole workspace, of which it may be three in a million."""
    read, column = LISTS[what]
    noted: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, text: str, parameters: object, *_rest: object) -> None:
        noted.append((text, parameters))

    sa.event.listen(runner.database.reader, "before_cursor_execute", note)
    runner.read(read)
    sa.event.remove(runner.database.reader, "before_cursor_execute", note)
    text, parameters = next(one for one in noted if one[0].startswith("SELECT"))
    plan = runner.read(lambda session: session.connection.exec_driver_sql("EXPLAIN QUERY PLAN " + text, parameters).all())

    steps = [str(step[3]) for step in plan]
    page = steps[: steps.index("SCAN page")]
    assert any(column in step for step in page)
    assert "USE TEMP B-TREE FOR ORDER BY" not in page
