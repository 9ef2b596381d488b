"""What is refused is refused in MLflow's form, with a status that the client does not try again, and changes nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from registry.api.mlflow import errors
from registry.api.problems import TABLE
from registry.catalog.actors import Actor
from registry.catalog.dumping import canonical
from registry.catalog.tokens import create_token
from registry.catalog.workspaces import get_or_create_workspace
from registry.names import Role
from registry.settings import Settings
from tests.mlflow.calling import BASE, Caller, metric
from tests.servers import serving

INVALID = (400, "INVALID_PARAMETER_VALUE")
GONE = (404, "RESOURCE_DOES_NOT_EXIST")
NOBODY = "0" * 32
RETRIED = {408, 429, 500, 502, 503, 504}

BAD: list[tuple[str, str, dict[str, Any], tuple[int, str]]] = [
    ("GET", "experiments/get", {}, INVALID),
    ("GET", "experiments/get", {"experiment_id": "abc"}, INVALID),
    ("GET", "experiments/get", {"experiment_id": "777"}, GONE),
    ("GET", "experiments/get-by-name", {"experiment_name": "nobody's"}, GONE),
    ("POST", "experiments/create", {"name": "Default"}, (400, "RESOURCE_ALREADY_EXISTS")),
    ("POST", "experiments/create", {"name": 5}, INVALID),
    ("POST", "experiments/create", {"name": "x" * 501}, INVALID),
    ("POST", "experiments/create", {"name": "a\0b"}, INVALID),
    ("POST", "experiments/create", {"name": "x", "artifact_location": "s3://b/x#y"}, INVALID),
    ("POST", "experiments/restore", {"experiment_id": "0"}, GONE),
    ("POST", "experiments/search", {}, INVALID),
    ("POST", "experiments/search", {"max_results": 50_001}, INVALID),
    ("POST", "experiments/search", {"max_results": 1, "page_token": "bad"}, INVALID),
    ("POST", "experiments/search", {"max_results": 1, "filter": "colour = 'red'"}, INVALID),
    ("POST", "experiments/set-experiment-tag", {"experiment_id": "0", "key": "k", "value": "x" * 20_001}, INVALID),
    ("POST", "experiments/delete-experiment-tag", {"experiment_id": "0", "key": "none"}, GONE),
    ("POST", "runs/create", {}, INVALID),
    ("POST", "runs/create", {"experiment_id": "777"}, GONE),
    ("POST", "runs/create", {"experiment_id": "0", "experimentId": "0"}, INVALID),
    ("POST", "runs/create", {"experiment_id": "0", "start_time": "x"}, INVALID),
    ("POST", "runs/create", {"experiment_id": "0", "tags": "x"}, INVALID),
    ("GET", "runs/get", {}, INVALID),
    ("GET", "runs/get", {"run_id": NOBODY}, GONE),
    ("GET", "runs/get", {"run_id": "../x"}, GONE),
    ("POST", "runs/delete", {"run_id": NOBODY}, GONE),
    ("POST", "runs/log-metric", {"run_id": NOBODY, **metric("m", 1.0)}, GONE),
    ("GET", "metrics/get-history", {"run_id": NOBODY}, INVALID),
    ("GET", "metrics/get-history", {"run_id": NOBODY, "metric_key": "m", "max_results": 0}, INVALID),
    ("GET", "metrics/get-history-bulk", {"metric_key": "m"}, INVALID),
    ("GET", "metrics/get-history-bulk-interval", {"run_ids": [NOBODY], "metric_key": "m", "start_step": 1}, INVALID),
    ("GET", "metrics/get-history-bulk-interval", {"run_ids": [NOBODY], "metric_key": "m", "max_results": 2501}, INVALID),
    ("POST", "runs/search", {"experiment_ids": ["0"], "filter": "metrics.m > 'x'"}, INVALID),
    ("POST", "runs/search", {"experiment_ids": ["0"], "filter": "params.p = 1"}, INVALID),
    ("POST", "runs/search", {"experiment_ids": ["0"], "filter": "lifecycle_stage = 'active'"}, INVALID),
    ("POST", "runs/search", {"experiment_ids": ["0"], "filter": "metrics.m = 1 ; DROP TABLE runs"}, INVALID),
    ("POST", "runs/search", {"experiment_ids": ["0"], "filter": " AND ".join(["params.p = 'x'"] * 3000)}, INVALID),
    ("POST", "runs/search", {"experiment_ids": ["0"], "order_by": ["metrics.m", "metrics.m"]}, INVALID),
    ("POST", "runs/search", {"experiment_ids": ["0"], "order_by": ["metrics.m up"]}, INVALID),
    ("POST", "runs/search", {"experiment_ids": ["abc"]}, INVALID),
    ("POST", "runs/search", {"experiment_ids": "0"}, INVALID),
    ("POST", "runs/search", {"experiment_ids": [str(number) for number in range(1, 30_002)]}, INVALID),
    ("POST", "runs/search", {"experiment_ids": ["0"], "filter": " "}, INVALID),
    ("POST", "experiments/search", {"max_results": 1, "filter": "\n\t"}, INVALID),
    ("GET", "registered-models/search", {"filter": " "}, INVALID),
    ("GET", "model-versions/search", {"filter": " "}, INVALID),
    ("POST", "logged-models/search", {"experiment_ids": ["0"], "filter": " "}, INVALID),
    ("POST", "registered-models/create", {"name": "a\0b"}, INVALID),
    ("POST", "registered-models/create", {"name": "x" * 513}, INVALID),
    ("POST", "registered-models/create", {"name": "x", "description": "x" * 1_000_001}, INVALID),
    ("POST", "registered-models/create", {"name": "x", "tags": [{"key": "../k", "value": "v"}]}, INVALID),
    ("POST", "registered-models/create", {"name": "x", "tags": [{"key": "k", "value": "x" * 100_001}]}, INVALID),
    ("GET", "registered-models/search", {"filter": " AND ".join(["name = 'x'"] * 201)}, INVALID),
    ("GET", "registered-models/search", {"filter": "name = 'x'; DROP TABLE runs"}, INVALID),
    ("GET", "registered-models/search", {"filter": "name = 'x' --"}, INVALID),
    ("GET", "registered-models/search", {"order_by": ["name; DROP TABLE runs"]}, INVALID),
    ("GET", "model-versions/search", {"filter": "version_number = 1e400"}, INVALID),
    ("GET", "model-versions/search", {"filter": "run_id = 5"}, INVALID),
    ("POST", "model-versions/create", {"name": "'; DROP TABLE runs", "source": "s3://b/m"}, GONE),
    ("POST", "logged-models", {"experiment_id": "0", "name": "a\0b"}, INVALID),
    ("POST", "logged-models", {"experiment_id": "0", "params": [{"key": "k" * 251, "value": "v"}]}, INVALID),
    ("POST", "logged-models/search", {"experiment_ids": ["0"], "filter": "name = 'x' OR 1 = 1"}, INVALID),
    ("POST", "logged-models/search", {"experiment_ids": ["0"], "order_by": ["name"]}, INVALID),
    ("POST", "runs/outputs", {"run_id": NOBODY, "models": [{"model_id": "m-1"}]}, GONE),
    ("POST", "runs/outputs", {"run_id": NOBODY, "models": [{"step": 1}]}, INVALID),
    ("POST", "runs/log-inputs", {"run_id": NOBODY, "models": [{"model_id": "m-1"}]}, GONE),
    ("POST", "runs/log-metric", {"run_id": NOBODY, "model_id": "m-1", **metric("m", 1.0)}, GONE),
    ("POST", "runs/log-model", {"run_id": NOBODY, "model_json": "[" * 100_000}, INVALID),
]


@pytest.mark.parametrize(("verb", "path", "fields", "expected"), BAD)
def test_bad_input_is_refused_and_changes_nothing(
    sqlite_door: Caller, verb: str, path: str, fields: dict[str, Any], expected: tuple[int, str]
) -> None:
    sqlite_door.get("experiments/get", experiment_id="0")
    before = _dump(sqlite_door)

    assert sqlite_door.refused(verb, path, **fields) == expected
    assert _dump(sqlite_door) == before


LOGGED: list[tuple[str, dict[str, Any]]] = [
    ("log-metric", metric("m", "abc")),
    ("log-metric", metric("m", None)),
    ("log-metric", metric("m", 1.0, timestamp=-1)),
    ("log-metric", {"key": "m", "value": 1, "timestamp": 1.5}),
    ("log-metric", {"key": "m", "value": 1}),
    ("log-metric", metric("a/../b", 1.0)),
    ("log-metric", metric("a$", 1.0)),
    ("log-metric", metric("m" * 251, 1.0)),
    ("log-metric", metric("m", 1.0, step=2**63)),
    ("log-parameter", {"key": "n", "value": 7}),
    ("log-parameter", {"key": "/abs", "value": "7"}),
    ("set-tag", {"key": "t", "value": 7}),
    ("set-tag", {"key": "lineal.lifecycle", "value": "active"}),
    ("log-batch", {"metrics": [metric("m", 1.0)] * 1001}),
    ("log-batch", {"params": [{"key": f"p{number}", "value": "1"} for number in range(101)]}),
    ("log-batch", {"metrics": [metric("m", 1.0)] * 950, "tags": [{"key": f"t{number}"} for number in range(60)]}),
    ("log-batch", {"params": [{"key": "z", "value": "1"}, {"key": "z", "value": "1"}]}),
    ("log-batch", {"metrics": ["a"]}),
    ("log-batch", {"metrics": [metric("m", 1.0), {**metric("m", 2.0), "key": ["m"]}]}),
    ("log-batch", {"metrics": [metric("m", 1.0), {**metric("m", 2.0), "timestamp": 2**63}]}),
    ("log-batch", {"metrics": [metric("good", 1.0), {"key": "a", "value": 1}]}),
    ("log-batch", {"metrics": [metric("new", 1.0)], "params": [{"key": "p", "value": "other"}]}),
]


@pytest.fixture(scope="module")
def logged_run(sqlite_door: Caller) -> str:
    run = sqlite_door.run("0")
    sqlite_door.post("runs/log-parameter", run_id=run, key="p", value="first")
    return run


@pytest.mark.parametrize(("path", "fields"), LOGGED)
def test_a_batch_with_one_bad_part_writes_nothing(
    sqlite_door: Caller, logged_run: str, path: str, fields: dict[str, Any]
) -> None:
    before = _dump(sqlite_door)

    assert sqlite_door.refused("POST", f"runs/{path}", run_id=logged_run, **fields) == INVALID
    assert _dump(sqlite_door) == before


@pytest.mark.parametrize("body", [b"{bad", b"[1]", b'"x"', b"[" * 100_000, b"\xff\xfe"])
def test_a_body_that_is_no_object_is_a_bad_request(sqlite_door: Caller, body: bytes) -> None:
    answer = sqlite_door.http.post(f"{BASE}/runs/create", content=body, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()["error_code"]) == (400, "BAD_REQUEST")


def test_a_body_of_another_type_is_refused(sqlite_door: Caller) -> None:
    answer = sqlite_door.http.post(f"{BASE}/runs/create", content=b"{}", headers={"Content-Type": "text/plain"})

    assert (answer.status_code, answer.json()["error_code"]) == INVALID


def test_what_surrounds_the_door_speaks_its_form_too(sqlite_door: Caller) -> None:
    answer = sqlite_door.ask("POST", "runs/log-batch", run_id=NOBODY, metrics=[metric("m", "x" * 17_000_000)])

    assert (answer.status_code, answer.json()["error_code"]) == (413, "INVALID_PARAMETER_VALUE")


def test_only_what_can_mend_itself_has_a_status_that_the_client_tries_again() -> None:
    retried = {mapped.mlflow for mapped in TABLE.values() if errors.STATUS.get(mapped.mlflow, mapped.status) in RETRIED}

    assert retried == {"REQUEST_LIMIT_EXCEEDED", "TEMPORARILY_UNAVAILABLE", "INTERNAL_ERROR"}


def test_a_token_is_a_bearer_or_a_password_and_its_workspace_is_its_own(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path))
    with serving(settings) as served, Caller(served) as door:
        runner = served.services.runner
        other = runner.write(lambda session: get_or_create_workspace(session, "team", now=1))
        actor = Actor("admin", other, "team", Role.ADMIN)
        _, secret = runner.write(lambda session: create_token(session, actor, "robot", Role.VIEWER, now=1))

        def ask(verb: str, path: str, headers: dict[str, str], auth: tuple[str, str] | None = None) -> tuple[int, Any]:
            fields: dict[str, Any] = {"params": {"experiment_id": "0"}} if verb == "GET" else {"json": {"name": "x"}}
            answer = door.http.request(verb, f"{BASE}/{path}", headers=headers, auth=auth or _NO_AUTH, **fields)
            return answer.status_code, answer.json().get("error_code") or answer.json()["experiment"]["workspace"]

        bearer = {"Authorization": f"Bearer {secret}"}
        get = "experiments/get"
        assert ask("GET", get, bearer) == (200, "team")
        assert ask("GET", get, {}, ("anybody", secret)) == (200, "team")
        assert ask("GET", get, {}, ("anybody", "wrong")) == (401, "UNAUTHENTICATED")
        assert ask("GET", get, bearer | {"X-MLFLOW-WORKSPACE": "team"}) == (200, "team")
        assert ask("GET", get, bearer | {"X-MLFLOW-WORKSPACE": "default"}) == (403, "PERMISSION_DENIED")
        assert ask("GET", get, bearer | {"X-MLFLOW-WORKSPACE": "none"}) == GONE
        assert ask("GET", get, {"X-MLFLOW-WORKSPACE": "team"}) == (200, "team")
        assert ask("POST", "experiments/create", bearer) == (403, "PERMISSION_DENIED")


def _NO_AUTH(request: Any) -> Any:  # noqa: N802  (stands for a value)
    return request


def _dump(door: Caller) -> str:
    return json.dumps(door.served.services.runner.read(lambda session: list(canonical(session))), sort_keys=True, default=str)
