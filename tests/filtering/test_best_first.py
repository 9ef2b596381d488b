"""Pages in the order of a metric that come from the index of its values are the pages that looking at all records gives."""

import math
import random
import secrets
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from registry.catalog import best_first, pages
from registry.catalog.actors import Actor
from registry.catalog.experiments import create_experiment
from registry.catalog.fragments import RunRead, list_run_reads
from registry.catalog.metrics import Batch, Point, log_many
from registry.catalog.pages import Page, Search
from registry.catalog.run_creation import create_run
from registry.catalog.run_search import Asked, search_runs
from registry.catalog.workspaces import get_workspace
from registry.db.runner import Runner
from registry.db.session import Session
from registry.filtering.keyset import Place
from registry.names import FragmentKind, Role
from tests.databases import sqlite_url, started

VALUES = (None, math.nan, math.inf, -math.inf, 0.25, 0.5, 0.5, 0.5, 1.0, 2.5, -3.0)


@pytest.fixture(scope="module")
def filled(runner: Runner, actor: Actor) -> tuple[int, dict[str, float | None]]:
    """An experiment, and the values of its 120 runs by their ids; every second run's values are in another experiment."""
    return runner.write(lambda session: _fill(session, actor, random.Random(7)))


def _fill(session: Session, actor: Actor, rng: random.Random) -> tuple[int, dict[str, float | None]]:
    here, elsewhere = (create_experiment(session, actor, secrets.token_hex(8), now=1_000).id for _ in range(2))
    values: dict[str, float | None] = {}
    for number in range(240):
        value = rng.choice(VALUES)
        hex = secrets.token_hex(16)
        create_run(session, actor, now=3_000 + number, experiment=(here, elsewhere)[number % 2], hex=hex, started_at=number % 5)
        if value is not None:
            log_many(session, [Batch(actor.workspace, hex, [Point("score", value, at=1)], {"odd": str(number % 4 // 2)})])
        if number % 2 == 0:
            values[hex] = value
    return here, values


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """120 runs are many."""
    monkeypatch.setattr(best_first, "FEWEST_ENTRIES", 40)


Find = Callable[[Session, Place | None], Page[RunRead]]


def _at(find: Find, after: Place | None, session: Session) -> Page[RunRead]:
    return find(session, after)


def walked(runner: Runner, find: Find) -> list[str]:
    """The ids of all pages."""
    found: list[str] = []
    after: Place | None = None
    while True:
        page = runner.read(partial(_at, find, after))
        found += [one.run.hex for one in page.records]
        if page.end is None:
            return found
        after = page.end


def of_mlflow(actor: Actor, experiment: int, order: str, filter: str, limit: int) -> Find:
    return lambda session, after: search_runs(
        session, actor, [experiment], Asked(filter, [order], after=after, limit=limit), now=10_000
    )


def of_core(actor: Actor, experiment: int, order: str, filter: str, limit: int) -> Find:
    return lambda session, after: list_run_reads(
        session, actor, Search(filter, order, after, limit), FragmentKind.RUN_VALUES_JSON, experiment=experiment, now=10_000
    )


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("door", [of_mlflow, of_core])
@pytest.mark.parametrize("order", ["metrics.score DESC", "metrics.score ASC"])
@pytest.mark.parametrize("filter", ["", "metrics.score > 0.25", "params.odd = '1'", "metrics.score < 1 AND params.odd = '0'"])
@pytest.mark.parametrize("limit", [9, 25])
def test_pages_from_the_index_are_those_of_all_records(
    runner: Runner,
    actor: Actor,
    filled: tuple[int, dict[str, float | None]],
    monkeypatch: pytest.MonkeyPatch,
    door: Callable[[Actor, int, str, str, int], Find],
    order: str,
    filter: str,
    limit: int,
) -> None:
    experiment, values = filled
    find = door(actor, experiment, order, filter, limit)

    tried: list[object] = []

    def note(*given: Any, **named: Any) -> object:
        tried.append(best_first.best_first(*given, **named))
        return tried[-1]

    monkeypatch.setattr(pages, "best_first", note)
    from_index = walked(runner, find)
    monkeypatch.setattr(pages, "may_be_best_first", lambda *_a, **_k: False)
    from_all = walked(runner, find)

    assert from_index == from_all
    assert any(made is not None for made in tried)
    if not filter:
        assert sorted(from_all) == sorted(values)
        seen = [value for value in (values[hex] for hex in from_all) if value is not None and not math.isnan(value)]
        assert seen == sorted(seen, reverse=order.endswith("DESC"))


class Statements:
    def __init__(self) -> None:
        self.seen: list[tuple[str, Sequence[object]]] = []

    def __call__(self, _connection: object, _cursor: object, text: str, given: Sequence[object], *_rest: object) -> None:
        self.seen.append((text, given))


@pytest.mark.usefixtures("few")
def test_the_best_are_looked_up_from_the_index_on_and_nothing_else_is_read(tmp_path: Path) -> None:
    statements = Statements()
    with started(sqlite_url(tmp_path)) as runner:
        actor = Actor("tester", runner.read(lambda session: get_workspace(session, "default")), "default", Role.ADMIN)
        experiment, _ = runner.write(lambda session: _fill(session, actor, random.Random(7)))
        find = of_mlflow(actor, experiment, "metrics.score DESC", "metrics.score > 0.25 AND params.odd = '1'", 3)
        runner.read(lambda session: find(session, None))
        event.listen(runner.database.reader, "before_cursor_execute", statements)
        runner.read(lambda session: find(session, None))
        event.remove(runner.database.reader, "before_cursor_execute", statements)
        pages_asked = [(text, given) for text, given in statements.seen if "top" in text]
        assert len(pages_asked) == 1
        text, given = pages_asked[0]
        with runner.database.reader.connect() as connection:
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", tuple(given))]

    assert any("series USING INDEX ix_series_owner_kind_name_id_value_owner" in step for step in plan)
    assert not any("ix_runs" in step or "LIST SUBQUERY" in step for step in plan)  # nor all that the filter is true for


@pytest.mark.usefixtures("few")
def test_few_records_are_looked_at_as_a_whole(runner: Runner, actor: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_named: object) -> None:
        raise AssertionError("best_first was called")

    monkeypatch.setattr(pages, "best_first", fail)
    experiment = runner.write(lambda session: create_experiment(session, actor, secrets.token_hex(8), now=1_000).id)
    hex = secrets.token_hex(16)
    runner.write(lambda session: create_run(session, actor, now=3_000, experiment=experiment, hex=hex))

    assert walked(runner, of_mlflow(actor, experiment, "metrics.score DESC", "", 5)) == [hex]
