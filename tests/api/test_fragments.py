"""`GET /api/v1/runs/{id}` of a final run: the same bytes with and without a stored fragment, and never late for its sake."""

import time

import httpx
import pytest
import sqlalchemy as sa

from registry.api import keeping
from registry.api.services import now_ms
from registry.db.counting import count_statements
from registry.errors import Unavailable
from registry.tables.runs import fragments, runs
from tests.servers import Served


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads take place an hour from now."""
    monkeypatch.setattr("registry.api.rest.runs.now_ms", lambda: now_ms() + 3_600_000)


@pytest.fixture
def run(http: httpx.Client) -> str:
    made = http.post("/api/v1/runs", json={"experiment_name": "fragments", "tags": {"é": "\u2028"}}).json()
    metrics = [{"key": "nan", "value": "NaN", "at": 1}, {"key": "big", "value": 1e308, "at": 2}]
    http.post(f"/api/v1/runs/{made['id']}/log", json={"metrics": metrics, "params": {"p": "1"}})
    http.patch(f"/api/v1/runs/{made['id']}", json={"status": "succeeded", "ended_at": 30})
    return str(made["id"])


def stored(server: Served, run: str, within_s: float = 20) -> bool:
    """Whether a fragment of the run is there within this time."""
    query = sa.select(fragments.c.node).join(runs, runs.c.id == fragments.c.node).where(runs.c.hex == run.removeprefix("run_"))
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if server.services.runner.read(lambda session: session.scalar(query)) is not None:
            return True
        time.sleep(0.01)
    return False


def test_an_answer_from_a_fragment_has_the_same_bytes_and_takes_one_statement(
    http: httpx.Client, server: Served, run: str, later: None
) -> None:
    first = http.get(f"/api/v1/runs/{run}")
    assert stored(server, run)

    with count_statements(server.services.runner.database, reads_only=True) as counted:
        again = http.get(f"/api/v1/runs/{run}")

    assert again.content == first.content
    assert again.headers["etag"] == first.headers["etag"]
    assert counted.count == 1
    assert first.json()["metrics"] == [
        {"key": "big", "value": 1e308, "at": 2, "step": 0},
        {"key": "nan", "value": "NaN", "at": 1, "step": 0},
    ]
    everything = http.get(f"/api/v1/runs/{run}", params={"fields": "metrics,params,tags"})
    assert everything.content == first.content


def test_a_write_is_seen_by_the_next_read(http: httpx.Client, server: Served, run: str, later: None) -> None:
    http.get(f"/api/v1/runs/{run}")
    assert stored(server, run)

    http.post(f"/api/v1/runs/{run}/log", json={"tags": {"after": "the end"}})

    assert http.get(f"/api/v1/runs/{run}").json()["tags"] == {"after": "the end", "é": "\u2028"}


def test_a_run_that_has_just_ended_is_answered_without_storing_anything(http: httpx.Client, server: Served, run: str) -> None:
    with count_statements(server.services.runner.database) as counted:
        answered = http.get(f"/api/v1/runs/{run}")
        time.sleep(0.2)

    assert answered.status_code == 200
    assert not [text for text in counted.statements if "INTO fragments" in text]


def test_a_database_that_takes_no_write_now_still_answers(
    http: httpx.Client, server: Served, run: str, later: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = []

    def refuse(*_call: object) -> bool:
        refused.append(1)
        raise Unavailable("the disk is full")

    monkeypatch.setattr(keeping, "keep_fragments", refuse)

    answers = [http.get(f"/api/v1/runs/{run}") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert refused
    assert not stored(server, run, within_s=0.1)


def test_a_page_from_fragments_has_the_same_bytes_and_takes_two_statements(
    http: httpx.Client, server: Served, run: str, later: None
) -> None:
    """One of the two runs goes on, and so has none."""
    unfinished = http.post("/api/v1/runs", json={"experiment_name": "fragments", "tags": {"a": "b"}}).json()["id"]
    asked = {"filter": f"id IN ('{run}', '{unfinished}')", "total": "true"}
    first = http.get("/api/v1/runs", params=asked)
    assert stored(server, run)

    with count_statements(server.services.runner.database, reads_only=True) as counted:
        again = http.get("/api/v1/runs", params={"filter": f"id = '{run}'"})
    mixed = http.get("/api/v1/runs", params=asked)

    assert counted.count == 2
    assert mixed.content == first.content == http.get("/api/v1/runs", params=asked | {"fields": "metrics,params,tags"}).content
    assert again.json()["runs"] == [one for one in first.json()["runs"] if one["id"] == run]
    assert mixed.json()["total"] == {"value": 2, "exact": True}
    assert not stored(server, unfinished, within_s=0.1)


def test_a_page_sees_what_was_written_after_its_fragments(http: httpx.Client, server: Served, run: str, later: None) -> None:
    asked = {"filter": f"id = '{run}'"}
    http.get("/api/v1/runs", params=asked)
    assert stored(server, run)

    http.post(f"/api/v1/runs/{run}/log", json={"tags": {"after": "the end"}})

    assert http.get("/api/v1/runs", params=asked).json()["runs"][0]["tags"] == {"after": "the end", "é": "\u2028"}
