"""Reports have two ways in, a quick one and the declared one. Nobody can tell by the answer which it was."""

import json
import uuid
from typing import Any

import httpx
import pytest

QUICK, ROUTED = "application/json", "application/json; charset=utf-8"
"""The shortcut takes the plain type alone."""


def going_on(uid: str, version: int = 1, **task: Any) -> dict[str, Any]:
    ref = {"kind": "Workflow", "name": "w", "uid": uid, "resource_version": str(version)}
    tasks = [{"key": "a", "name": "a", "state": "RUNNING", **task}]
    return {"object": ref, "run": {"id": uid, "state": "RUNNING", "name": "w"}, "tasks": tasks, "warnings": ["odd"]}


def send(http: httpx.Client, body: bytes, media_type: str, **headers: str) -> httpx.Response:
    return http.post("/api/v1/reports", content=body, headers={"Content-Type": media_type, **headers})


@pytest.mark.parametrize("media_type", [QUICK, ROUTED])
def test_a_report_is_applied_known_and_overtaken_on_either_way(http: httpx.Client, media_type: str) -> None:
    uid = str(uuid.uuid4())
    bodies = [json.dumps(going_on(uid, version)).encode() for version in (2, 2, 1)]

    answers = [send(http, body, media_type).json() for body in bodies]

    run = f"run_{uuid.UUID(uid).hex}"
    assert answers == [{"result": result, "run": run, "warnings": ["odd"]} for result in ("applied", "unchanged", "stale")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"object": {"kind": "Workflow"}}',
        b'{"object": {"kind": "Workflow", "name": "a\\u0000"}}',
        b'{"object": {"kind": "Workflow", "name": "a"}, "source": 7}',
        b'{"object": {"kind": "Workflow", "name": "\xff"}}',
        json.dumps(going_on(str(uuid.uuid4()), parent="nobody")).encode(),
    ],
)
def test_what_is_no_report_is_refused_alike_on_either_way(http: httpx.Client, body: bytes) -> None:
    quick, routed = (send(http, body, media_type) for media_type in (QUICK, ROUTED))

    own = {"request_id", "instance"}
    shown = [{name: value for name, value in one.json().items() if name not in own} for one in (quick, routed)]
    assert (quick.status_code, quick.headers["content-type"]) == (routed.status_code, routed.headers["content-type"])
    assert quick.status_code == 400
    assert shown[0] == shown[1]


def test_another_type_of_content_is_refused(http: httpx.Client) -> None:
    answer = send(http, json.dumps(going_on(str(uuid.uuid4()))).encode(), "text/plain")

    assert answer.status_code == 400
    assert "application/json" in answer.text
