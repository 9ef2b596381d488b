"""The log call has two ways in, a quick one and the declared one. Nobody can tell by the answer which it was."""

import json
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from registry.catalog.metrics import MAX_POINTS

QUICK, DECLARED = "application/json", "application/json; charset=utf-8"


def point(**fields: Any) -> dict[str, Any]:
    return {"key": "m", "value": 1, "at": 1} | fields


BODIES: Mapping[str, str] = {
    "nothing": "",
    "null": "null",
    "a list": "[]",
    "a field that is not": '{"metric": []}',
    "two values": "{} {}",
    "the last of two": '{"tags": {"k": "1"}, "tags": {"k": "2"}}',
    "a NUL in a tag": '{"tags": {"k": "a\\u0000"}}',
    "a NUL in a key": '{"params": {"a\\u0000": "v"}}',
    "a NUL in a metric": '{"metrics": [{"key": "a\\u0000", "value": 1, "at": 1}]}',
    "a backslash before u0000": '{"tags": {"k": "\\\\u0000"}}',
    "half a character": '{"tags": {"k": "\\ud800"}}',
    "an empty key": '{"tags": {"": "v"}}',
    "a long key": json.dumps({"tags": {"k" * 251: "v"}}),
    "a key as long as may be": json.dumps({"tags": {"é" * 250: "v"}}),
    "a long value": json.dumps({"tags": {"k": "v" * 1_000_001}}),
    "a value as long as may be": json.dumps({"tags": {"k": "v" * 1_000_000}}),
    "too many params": json.dumps({"params": {f"k{number}": "" for number in range(10_001)}}),
    "too many tags": json.dumps({"tags": {f"k{number}": "" for number in range(10_001)}}),
    "too many points": json.dumps({"metrics": [point()] * (MAX_POINTS + 1)}),
    "NaN": json.dumps({"metrics": [point(value="NaN")]}),
    "another word": json.dumps({"metrics": [point(value="nan")]}),
    "a number as text": json.dumps({"metrics": [point(value="1.5")]}),
    "a truth": json.dumps({"metrics": [point(value=True)]}),
    "a number beyond doubles": '{"metrics": [{"key": "m", "at": 1, "value": 1' + "0" * 400 + "}]}",
    "no value": '{"metrics": [{"key": "m"}]}',
    "a time before all": json.dumps({"metrics": [point(at=-1)]}),
    "the last time": json.dumps({"metrics": [point(at=2**53 - 1)]}),
    "a time after all": json.dumps({"metrics": [point(at=2**53)]}),
    "the least step": json.dumps({"metrics": [point(step=-(2**53) + 1)]}),
    "a step below": json.dumps({"metrics": [point(step=-(2**53))]}),
    "a step above": json.dumps({"metrics": [point(step=2**53)]}),
    "a step that is none": json.dumps({"metrics": [point(step=None)]}),
    "a broken step": json.dumps({"metrics": [point(step=0.5)]}),
}


def answered(http: httpx.Client, body: str, sent_as: str) -> tuple[int, Any, Any]:
    """Status, problem, and what the run has then."""
    run = http.post("/api/v1/runs", json={}).json()["id"]
    logged = http.post(f"/api/v1/runs/{run}/log", content=body.encode(), headers={"Content-Type": sent_as})
    said = {name: value for name, value in logged.json().items() if name != "instance"} if logged.content else None
    held = http.get(f"/api/v1/runs/{run}").json()
    return logged.status_code, said, {name: held[name] for name in ("metrics", "params", "tags")}


@pytest.mark.parametrize("case", BODIES)
def test_both_ways_in_answer_and_store_the_same(http: httpx.Client, case: str) -> None:
    assert answered(http, BODIES[case], QUICK) == answered(http, BODIES[case], DECLARED)


@pytest.mark.parametrize("sent_as", [QUICK, DECLARED])
@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/api/v1/runs/run_" + "0" * 32 + "/log", {}, 404),
        ("/api/v1/runs/run_" + "0" * 31 + "/log", {}, 400),
        ("/api/v1/runs/run_" + "0" * 32 + "/log?at=1", {}, 400),
        ("/api/v1/runs/run_" + "0" * 32 + "/log", {"Authorization": "Bearer no"}, 401),
        ("/api/v1/runs/run_" + "0" * 32 + "/log", {"X-Lineal-Workspace": "nobody"}, 404),
    ],
)
def test_both_ways_in_ask_who_and_where(
    http: httpx.Client, sent_as: str, path: str, headers: dict[str, str], status: int
) -> None:
    refused = http.post(path, content=b'{"tags": {"k": "v"}}', headers={"Content-Type": sent_as} | headers)

    assert refused.status_code == status
