"""Lists: totals that end at 10,000, and names that two want at the same time."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from registry.catalog.actors import Actor
from registry.catalog.datasets import list_datasets
from registry.catalog.experiments import create_experiment, list_experiments, update_experiment
from registry.catalog.pages import COUNTED, Search, Total
from registry.catalog.workspaces import get_or_create_workspace
from registry.db.runner import Runner
from registry.db.session import Session
from registry.errors import AlreadyExists
from registry.names import sha256
from registry.tables.models import datasets


def test_a_total_is_exact_up_to_ten_thousand_and_says_where_it_is_not(runner: Runner, actor: Actor) -> None:
    workspace = runner.write(lambda session: get_or_create_workspace(session, "many", now=1))
    many = dataclasses.replace(actor, workspace=workspace)

    def fill(session: Session) -> None:
        common = {"workspace": workspace, "namespace": "", "description": None, "created_at": 1, "updated_at": 1, "version": 1}
        ids = session.next_ids("record", COUNTED + 1)
        session.insert(datasets, [{"id": id, "name": f"{id}", "name_hash": sha256(f"{id}"), **common} for id in ids])

    runner.write(fill)
    all_of_them = runner.read(lambda session: list_datasets(session, many, Search(limit=2, total=True)))
    one_less = Search(f"id != '{all_of_them.records[0].own_id}'", limit=2, total=True)
    beyond = Search("name != ''", after=all_of_them.end, limit=2, total=True)

    assert all_of_them.total == Total(COUNTED, exact=False)
    assert runner.read(lambda session: list_datasets(session, many, one_less)).total == Total(COUNTED, exact=True)
    assert runner.read(lambda session: list_datasets(session, many, beyond)).total == Total(COUNTED, exact=False)
    assert runner.read(lambda session: list_datasets(session, many)).total is None


def test_of_two_experiments_that_take_one_name_at_the_same_time_one_is_refused(runner: Runner, actor: Actor) -> None:
    for name in ("one", "two", "three", "four", "five"):
        made = [runner.write(partial(create_experiment, actor=actor, name=name + end, now=1)).id for end in "ab"]
        with ThreadPoolExecutor(2) as pool:
            rename = partial(update_experiment, actor=actor, name=name, now=2)
            done = [pool.submit(runner.write, partial(rename, id=id)) for id in made]

        assert {type(future.exception()) for future in done} == {AlreadyExists, type(None)}
        assert len(runner.read(partial(list_experiments, actor=actor, name=name)).records) == 1
