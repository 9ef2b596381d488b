"""`dump` is everything; `canonical` is what does not depend on ids, order of arrival and times of receipt."""

import base64
import json
from pathlib import Path

import sqlalchemy as sa

from registry.catalog.actors import Actor
from registry.catalog.dumping import canonical, dump
from registry.catalog.experiments import get_or_create_experiment
from registry.catalog.outbox import audit_key
from registry.db.runner import Runner
from registry.names import Role
from registry.tables import metadata
from tests.catalog.reporting import apply, new_uid, report, seen, task
from tests.databases import sqlite_url, started

AGENT = Actor("agent", 1, "default", Role.ADMIN)


def test_a_dump_has_every_row_of_every_table_but_the_keys_and_is_json(runner: Runner, actor: Actor) -> None:
    apply(runner, actor, report(new_uid(), 1, task("a", metrics={"m/x": 1.5})))

    lines = [json.loads(json.dumps(line)) for line in runner.read(lambda session: list(dump(session)))]

    counts = {
        name: runner.read(lambda session, table=table: session.scalar(sa.select(sa.func.count()).select_from(table)))  # type: ignore[misc]
        for name, table in metadata.tables.items()
        if name != "secrets"
    }
    key = runner.read(audit_key)
    assert len(key) == 64
    assert key not in json.dumps(lines)
    assert "secrets" not in {line["table"] for line in lines}
    assert {name: sum(line["table"] == name for line in lines) for name in counts} == counts
    assert lines == sorted(lines, key=lambda line: line["table"])
    [step] = [line["row"] for line in lines if line["table"] == "steps"]
    assert json.loads(base64.b64decode(step["detail"]["base64"]))["metrics"] == {"m/x": 1.5}


def test_a_table_larger_than_a_page_is_dumped_once(tmp_path: Path) -> None:
    with started(sqlite_url(tmp_path)) as runner:
        apply(runner, AGENT, report(new_uid(), 1, *(task(f"t{index}") for index in range(4500))))

        paths = [line["row"]["path"] for line in runner.read(lambda session: list(dump(session))) if line["table"] == "steps"]

    assert sorted(paths) == sorted(f"t{index}" for index in range(4500))


def test_two_stores_with_other_ids_and_other_order_are_one_picture_and_a_difference_shows(tmp_path: Path) -> None:
    first, second = report(new_uid(), 1, task("a"), parameters={"n": 1}), report(new_uid(), 1, task("a"), parameters={"n": 2})
    pictures = []
    for number, bodies in enumerate(([first, second], [second, first], [first, report(new_uid(), 1, task("a"))])):
        (tmp_path / str(number)).mkdir()
        with started(sqlite_url(tmp_path / str(number))) as runner:
            runner.write(lambda session: get_or_create_experiment(session, AGENT, "pipelines/none", now=1, derived=True))
            for body in bodies:
                apply(runner, AGENT, body)
            pictures.append(seen(runner))

    assert pictures[0] == pictures[1]
    assert pictures[0] != pictures[2]
    assert not [line for line in pictures[0] if line["row"].get("name") == "pipelines/none"]
    assert pictures[0] == sorted(pictures[0], key=lambda line: json.dumps(line, sort_keys=True, ensure_ascii=False))


def test_what_hangs_on_which_run_shows(tmp_path: Path) -> None:
    """Two runs with swapped artifacts have the same rows but for whom they name."""
    uids = [new_uid(), new_uid()]
    pictures = []
    for number, uris in enumerate((("s3://b/1", "s3://b/2"), ("s3://b/2", "s3://b/1"))):
        (tmp_path / str(number)).mkdir()
        with started(sqlite_url(tmp_path / str(number))) as runner:
            for uid, uri, n in zip(uids, uris, (1, 2), strict=True):
                body = report(uid, 1, task("a", outputs={"artifacts": [{"name": "o", "uri": uri}]}), parameters={"n": n})
                apply(runner, AGENT, body)
            pictures.append(
                [line for line in runner.read(lambda session: list(canonical(session))) if line["table"] != "objects"]
            )

    assert pictures[0] != pictures[1]
