"""docs/doors/mlflow.md, the table in the code and a running server agree on every route."""

import re
from pathlib import Path

import httpx
import pytest

from registry.api.mlflow.table import ENDPOINTS, Endpoint
from registry.settings import Settings
from tests.mlflow.calling import Caller
from tests.servers import serving

PAGE = Path(__file__).parents[2] / "docs" / "doors" / "mlflow.md"
LINKS = ("mlflow-artifacts/presigned", "mlflow-artifacts/mpu")
"""Served where the object store signs links for clients, which a folder does not."""

BASES = [f"{base}/{version}" for base in ("/api", "/ajax-api") for version in ("2.0", "3.0")]


def test_the_page_lists_every_route_and_whether_it_is_served() -> None:
    rows = re.findall(r"^\| ([EMR]) \| `(.+?)` \| `(.+?)` \| (served|later|no) \|$", PAGE.read_text("utf-8"), re.MULTILINE)

    listed = [(priority, verb, path, state == "served") for priority, verb, path, state in rows]
    assert listed == [(one.priority, one.verb, one.path, one.handler is not None) for one in ENDPOINTS]


@pytest.mark.parametrize("base", BASES)
def test_every_route_answers_under_every_spelling(sqlite_door: Caller, base: str) -> None:
    answers = {one: _called(sqlite_door, base, one) for one in ENDPOINTS}

    codes = {(one.verb, one.path): answer.json().get("error_code") for one, answer in answers.items() if answer.content}
    assert "ENDPOINT_NOT_FOUND" not in codes.values()
    unserved = {(one.verb, one.path) for one in ENDPOINTS if one.handler is None or one.path.startswith(LINKS)}
    assert {key for key, code in codes.items() if code == "NOT_IMPLEMENTED"} == unserved
    failed = {(one.verb, one.path) for one, answer in answers.items() if answer.status_code >= 500}
    assert failed == unserved


def _called(door: Caller, base: str, endpoint: Endpoint) -> httpx.Response:
    path = endpoint.path.replace("*", "/x").replace("//", "/").replace("{workspace_name}", "default")
    path = path.replace("{model_id}", "m-1").replace("{tag_key}", "k")
    verb = "PATCH" if endpoint.verb == "*" else endpoint.verb
    return door.ask(verb, path, base)


@pytest.mark.parametrize("path", ["mlflow/nothing", "mlflow/runs", "mlflow/runs/get/", "mlflow/registered-modelsx", "x"])
def test_what_is_in_no_table_is_not_found(sqlite_door: Caller, path: str) -> None:
    answer = sqlite_door.ask("GET", path, "/api/2.0")

    assert (answer.status_code, answer.json()["error_code"]) == (404, "ENDPOINT_NOT_FOUND")


def test_a_word_in_the_path_is_not_replaced_by_the_query(sqlite_door: Caller) -> None:
    assert sqlite_door.get("workspaces/default", workspace_name="other") == {"workspace": {"name": "default"}}


def test_another_verb_is_told_which_there_are(sqlite_door: Caller) -> None:
    answer = sqlite_door.ask("PUT", "experiments/search")

    assert (answer.status_code, answer.json()["error_code"], answer.headers["allow"]) == (405, "BAD_REQUEST", "GET, POST")


def test_probes_need_no_identity(sqlite_door: Caller) -> None:
    headers = {"Authorization": "Bearer nobody"}
    answers = [sqlite_door.http.get(path, headers=headers) for path in ("/health", "/version", "/api/3.0/mlflow/server-info")]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert answers[0].text == "OK"
    assert answers[1].text < "3.4"
    assert answers[2].json()["store_type"] == "SqlStore"


def test_a_static_prefix_stands_before_all_of_them(tmp_path: Path) -> None:
    with serving(Settings(data_dir=str(tmp_path), static_prefix="/mlflow")) as served, httpx.Client(base_url=served.url) as http:
        assert http.get("/mlflow/health").text == "OK"
        assert http.get("/mlflow/api/2.0/mlflow/experiments/get", params={"experiment_id": "0"}).status_code == 200
        assert http.get("/api/2.0/mlflow/experiments/get", params={"experiment_id": "0"}).status_code == 404
        refused = http.get("/mlflow/api/2.0/mlflow/experiments/get")
        assert (refused.status_code, refused.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


@pytest.mark.parametrize("prefix", ["", "/mlflow"])
def test_bodies_that_are_files_have_no_limit_whatever_stands_before_their_path(tmp_path: Path, prefix: str) -> None:
    settings = Settings(data_dir=str(tmp_path), static_prefix=prefix, max_body_bytes=100_000)
    path = f"{prefix}/api/2.0/mlflow-artifacts/artifacts/1/a.bin"
    with serving(settings) as served, httpx.Client(base_url=served.url) as http:
        put = [http.put(path, content=content) for content in (bytes(3_000_000), iter([bytes(100_000)] * 30))]

        assert [answer.status_code for answer in put] == [200, 200]
        assert len(http.get(path).content) == 3_000_000
        assert http.get(f"{prefix}/get-artifact", params={"run_id": "0" * 32, "path": "a"}).status_code == 404
