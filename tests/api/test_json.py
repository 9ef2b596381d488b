"""JSON that we only keep: whatever was stored can be read again, and what could not be is refused."""

import json
import uuid
from typing import Any

import httpx
import pytest

from tests.api.test_runs import problem


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, nested(300)], ids=["a great integer", "a low one", "300 levels"])
def test_what_a_step_was_given_is_read_as_it_was_told(http: httpx.Client, value: Any) -> None:
    uid = str(uuid.uuid4())
    given = {"key": "t", "name": "t", "state": "COMPLETE", "inputs": {"parameters": {"p": value}}}
    report = {"object": {"kind": "Workflow", "uid": uid}, "run": {"id": uid, "state": "COMPLETE"}, "tasks": [given]}
    run = http.post("/api/v1/reports", json=report).json()["run"]

    [step] = http.get(f"/api/v1/runs/{run}/steps").json()["steps"]
    body = {"query": f'{{ run(id: "{run}") {{ steps {{ nodes {{ detail }} }} }} }}'}
    [shown] = http.post("/graphql", json=body).json()["data"]["run"]["steps"]["nodes"]

    assert step["inputs"]["p"] == shown["detail"]["inputs"]["p"] == value


@pytest.mark.parametrize("value", [2**64, nested(300)], ids=["a great integer", "300 levels"])
def test_conditions_are_read_as_they_were_told(http: httpx.Client, value: Any) -> None:
    made = http.post("/api/v1/deployments", json={"name": uuid.uuid4().hex, "environment": "e", "conditions": value})

    assert made.status_code == 201
    assert http.get(f"/api/v1/deployments/{made.json()['id']}").json()["conditions"] == value


@pytest.mark.parametrize("text", ["NaN", "1e400", json.dumps("\ud800"), json.dumps({"\ud800": 1})])
def test_conditions_that_are_no_json_are_refused(http: httpx.Client, text: str) -> None:
    body = f'{{"name": "never", "environment": "e", "conditions": {text}}}'

    refused = http.post("/api/v1/deployments", content=body, headers={"Content-Type": "application/json"})

    problem(refused, 400, "invalid-argument")
