"""Reads of runs that have ended: from stored bytes, the same as from their rows, and never after the run has moved on."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from registry.catalog import runs as catalog
from registry.catalog.actors import Actor
from registry.catalog.fragments import SETTLED_MS
from registry.catalog.run_lookup import get_run_ref
from registry.db.counting import count_statements
from registry.names import Role, Status
from registry.tables.runs import fragments
from tests.mlflow.calling import Caller, metric, pairs

ACTOR = Actor("tester", 1, "default", Role.ADMIN)


@pytest.fixture
def ended(door: Caller) -> tuple[str, str]:
    """An experiment and a run in it that ended long ago."""
    experiment = door.experiment()
    run = door.run(experiment, run_name="ended", tags=pairs(own="1"))
    points = [metric("m", 0.5), metric("nan", "NaN"), metric("up", "Infinity")]
    door.post("runs/log-batch", run_id=run, metrics=points, params=pairs(p="1"))
    long_ago = int(time.time() * 1000) - 2 * SETTLED_MS
    door.served.services.runner.write(
        lambda session: catalog.update_run(session, ACTOR, run, now=long_ago, status=Status.SUCCEEDED, ended_at=long_ago)
    )
    return experiment, run


def until_stored(door: Caller, run: str) -> None:
    """They are stored after the answer."""
    end = time.monotonic() + 30
    while not door.served.services.runner.read(lambda session: _is_stored(session, run)):
        assert time.monotonic() < end
        time.sleep(0.01)


def _is_stored(session: Any, run: str) -> bool:
    ref = get_run_ref(session, 1, run)
    return bool(session.all(fragments.select().where(fragments.c.node == ref.id)))


def cost(door: Caller, ask: Callable[[], Any]) -> tuple[int, Any]:
    with count_statements(door.served.services.runner.database, reads_only=True) as counted:
        answer = ask()
    return len([one for one in counted.statements if "FROM workspaces" not in one]), answer


def test_a_run_is_read_from_what_is_stored_of_it(door: Caller, ended: tuple[str, str]) -> None:
    experiment, run = ended
    first = door.get("runs/get", run_id=run)
    found = door.post("runs/search", experiment_ids=[experiment])
    until_stored(door, run)

    assert cost(door, lambda: door.get("runs/get", run_id=run)) == (1, first)
    assert cost(door, lambda: door.post("runs/search", experiment_ids=[experiment])) == (2, found)
    assert found == {"runs": [first["run"]]}
    assert {one["key"]: one["value"] for one in first["run"]["data"]["metrics"]}["nan"] == "NaN"


def test_a_run_that_has_moved_on_is_not(door: Caller, ended: tuple[str, str]) -> None:
    _, run = ended
    door.get("runs/get", run_id=run)
    until_stored(door, run)

    door.post("runs/set-tag", run_id=run, key="own", value="2")
    door.post("runs/set-tag", run_id=run, key="mlflow.runName", value="renamed")
    door.post("runs/log-metric", run_id=run, **metric("m", 0.75, step=1))

    shown = door.get("runs/get", run_id=run)["run"]
    assert shown["info"]["run_name"] == "renamed"
    assert door.tags(run) == {"own": "2", "mlflow.runName": "renamed"}
    assert [one["value"] for one in shown["data"]["metrics"] if one["key"] == "m"] == [0.75]


def test_a_tag_that_is_a_column_is_shown_once(door: Caller, ended: tuple[str, str]) -> None:
    """Our own door keeps rows under these keys as it does under all."""
    _, run = ended
    answer = door.http.post(f"/api/v1/runs/run_{run}/log", json={"tags": {"mlflow.runName": "row", "mlflow.user": "row"}})
    assert answer.status_code == 204

    tags = door.get("runs/get", run_id=run)["run"]["data"]["tags"]

    assert sorted((one["key"], one["value"]) for one in tags) == [
        ("mlflow.runName", "ended"),
        ("mlflow.user", "row"),
        ("own", "1"),
    ]
