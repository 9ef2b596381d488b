"""Probes, identities, workspaces, and what surrounds every request."""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from jsonschema import Draft202012Validator

from registry.api.problems import TABLE
from registry.api.services import now_ms
from registry.catalog.actors import Actor
from registry.catalog.tokens import create_token
from registry.errors import InvalidArgument, RegistryError
from registry.names import Role
from registry.settings import Settings, load
from storage.errors import StorageError
from tests.api.test_runs import problem
from tests.servers import Served, serving

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, dict[str, str]]]:
    """A server that asks for a token, and one secret per role."""
    folder = tmp_path_factory.mktemp("guarded")
    secrets = {}
    with serving(Settings(data_dir=str(folder))) as first:
        for role in Role:
            actor = Actor("setup", 1, "default", Role.ADMIN)
            made = first.services.runner.write(partial(create_token, actor=actor, name=role.name, role=role, now=now_ms()))
            secrets[role.name.lower()] = made[1]
    with serving(Settings(data_dir=str(folder), http="0.0.0.0:0")) as served:
        yield served, secrets


def ask(served: Served, token: str | None, method: str = "GET", path: str = "/api/v1/runs", **rest: object) -> httpx.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx.request(method, served.url + path, headers=headers | dict(rest.pop("headers", {})), **rest)  # type: ignore[arg-type, call-overload]


def test_the_probes_answer_without_a_token(guarded: tuple[Served, dict[str, str]]) -> None:
    served, _ = guarded

    assert [httpx.get(served.url + path).text for path in ("/healthz", "/readyz")] == ["ok", "ok"]


def test_the_metrics_count_requests_by_route_not_by_path(http: httpx.Client) -> None:
    http.get("/api/v1/runs/run_" + "1" * 32)

    text = http.get("/metrics").text

    assert 'route="/api/v1/runs/{id}",status="404"' in text
    assert "1" * 32 not in text
    assert "lineal_commits_total " in text


def test_credentials_of_another_kind_are_never_taken_for_none(tmp_path: Path) -> None:
    with serving(Settings(data_dir=str(tmp_path))) as served:
        asked = httpx.get(f"{served.url}/api/v1/runs", headers={"Authorization": "Basic bmU6bm8="})

    problem(asked, 401, "unauthenticated")


def test_no_token_and_a_wrong_token_are_401(guarded: tuple[Served, dict[str, str]]) -> None:
    served, _ = guarded

    for token in (None, "lin_wrong"):
        assert "www-authenticate" in ask(served, token).headers
        problem(ask(served, token), 401, "unauthenticated")


def test_a_role_has_its_rights_and_no_more(guarded: tuple[Served, dict[str, str]]) -> None:
    served, secrets = guarded

    assert ask(served, secrets["viewer"]).status_code == 200
    problem(ask(served, secrets["viewer"], "POST", json={}), 403, "not-permitted")
    assert ask(served, secrets["contributor"], "POST", json={}).status_code == 201
    problem(ask(served, secrets["contributor"], path="/api/v1/tokens"), 403, "not-permitted")
    assert ask(served, secrets["admin"], path="/api/v1/tokens").status_code == 200


def test_a_token_does_not_reach_another_workspace(guarded: tuple[Served, dict[str, str]]) -> None:
    served, secrets = guarded
    ask(served, secrets["admin"], "POST", "/api/v1/workspaces", json={"name": "other"})

    answer = ask(served, secrets["admin"], headers={"X-Lineal-Workspace": "other"})

    problem(answer, 404, "not-found")


def test_a_revoked_and_an_expired_token_end(guarded: tuple[Served, dict[str, str]]) -> None:
    served, secrets = guarded
    made = ask(served, secrets["admin"], "POST", "/api/v1/tokens", json={"name": "t", "role": "viewer"}).json()
    before = ask(served, made["token"]).status_code

    revoked = ask(served, secrets["admin"], "DELETE", f"/api/v1/tokens/{made['id']}").status_code

    assert (before, revoked) == (200, 204)
    problem(ask(served, made["token"]), 401, "unauthenticated")
    past = ask(served, secrets["admin"], "POST", "/api/v1/tokens", json={"name": "t", "role": "viewer", "expires_at": 1})
    problem(past, 400, "invalid-argument")


def test_an_open_address_without_a_token_is_refused_at_start(tmp_path: Path) -> None:
    with (
        pytest.raises(InvalidArgument, match="nobody could log in"),
        serving(Settings(data_dir=str(tmp_path), http="0.0.0.0:0")),
    ):
        pass


def test_a_taken_port_is_one_line_and_exit_2(server: Served, tmp_path: Path) -> None:
    at = server.url.removeprefix("http://")
    command = [sys.executable, "-m", "registry.main", "serve", "--http", at, "--data-dir", str(tmp_path)]

    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "is taken" in ended.stderr


def test_a_request_id_of_the_caller_comes_back_if_it_is_harmless(http: httpx.Client) -> None:
    assert http.get("/healthz", headers={"X-Request-Id": "abc-1"}).headers["x-request-id"] == "abc-1"
    assert http.get("/healthz", headers={"X-Request-Id": "x" * 500}).headers["x-request-id"] != "x" * 500


def test_answers_cannot_run_in_a_page_and_are_not_kept(http: httpx.Client) -> None:
    headers = http.get("/api/v1/runs").headers

    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"


def test_every_error_class_has_a_line_in_the_table() -> None:
    def below(kind: type[Exception]) -> set[type[Exception]]:
        return {kind} | {deeper for sub in kind.__subclasses__() for deeper in below(sub)}

    raised = {kind for root in (RegistryError, StorageError) for kind in below(root) if not kind.__name__.startswith("_")}

    assert raised - {RegistryError, StorageError} == set(TABLE)


@pytest.mark.parametrize(
    ("name", "value"), [("LINEAL_HTTP", "nonsense"), ("LINEAL_MAX_BODY_BYTES", "many"), ("LINEAL_INSECURE", "perhaps")]
)
def test_a_wrong_setting_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(InvalidArgument):
        load({}, {name: value})


def test_a_flag_wins_over_the_environment() -> None:
    assert load({"http": "127.0.0.1:1"}, {"LINEAL_HTTP": "127.0.0.1:2", "LINEAL_LOG_LEVEL": "debug"}) == Settings(
        http="127.0.0.1:1", log_level="debug"
    )


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/api/v1/runs", "GET, HEAD, OPTIONS, POST"), ("/api/v1/models/model_1", "DELETE, GET, HEAD, OPTIONS, PATCH")],
)
def test_a_wrong_verb_names_all_right_ones(http: httpx.Client, path: str, allowed: str) -> None:
    refused = http.put(path)
    asked = http.options(path)

    problem(refused, 405, "method-not-allowed")
    assert refused.headers["allow"] == allowed
    assert (asked.status_code, asked.headers["allow"]) == (204, allowed)


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_a_word_in_a_path_is_not_taken_for_a_parameter_by_another_verb(http: httpx.Client, method: str) -> None:
    """`/steps/join` has POST only, and looks like `/steps/{id}`, which has GET."""
    refused = http.request(method, "/api/v1/steps/join")

    assert (refused.status_code, refused.headers["allow"]) == (405, "OPTIONS, POST")
    assert http.options("/api/v1/steps/join").headers["allow"] == "OPTIONS, POST"
    assert http.get("/api/v1/steps/step_1").status_code == 404


def test_head_is_get_without_the_body(http: httpx.Client) -> None:
    got, head = http.get("/api/v1/runs"), http.head("/api/v1/runs")

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"]
    assert http.head("/api/v1/nowhere").status_code == 404


@pytest.mark.parametrize("query", ["nonsense=1", "name=a&name=b", "page_size=1&page_size=2"])
def test_a_query_parameter_that_is_unknown_or_given_twice_is_refused(http: httpx.Client, query: str) -> None:
    problem(http.get(f"/api/v1/experiments?{query}"), 400, "invalid-argument")


def test_a_fault_of_ours_tells_nothing_but_the_request_id(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(server.services.runner, "aread", broken)

    answer = httpx.get(f"{server.url}/api/v1/runs")

    body = problem(answer, 500, "internal")
    assert "secret" not in str(body)


@pytest.mark.parametrize("sent_as", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
@pytest.mark.parametrize("path", ["runs", "reports", "steps/join"])
def test_a_form_of_another_site_cannot_send_a_body(http: httpx.Client, path: str, sent_as: str) -> None:
    body = b'{"object": {"kind": "Workflow", "uid": "form"}}' if path == "reports" else b"{}"

    refused = http.post(f"/api/v1/{path}", content=body, headers={"Content-Type": sent_as})

    problem(refused, 400, "invalid-argument")


def test_no_workspaces_files_lie_in_the_folder_of_another(http: httpx.Client) -> None:
    problem(http.post("/api/v1/workspaces", json={"name": "default/b"}), 400, "invalid-name")

    assert "default/b" not in {one["name"] for one in http.get("/api/v1/workspaces").json()["workspaces"]}


def test_an_unknown_workspace_is_not_found(http: httpx.Client) -> None:
    problem(http.get("/api/v1/runs", headers={"X-Lineal-Workspace": "nobody"}), 404, "not-found")


def test_a_record_of_another_workspace_is_not_found(http: httpx.Client) -> None:
    http.post("/api/v1/workspaces", json={"name": "elsewhere"})
    run = http.post("/api/v1/runs", json={}).json()["id"]

    problem(http.get(f"/api/v1/runs/{run}", headers={"X-Lineal-Workspace": "elsewhere"}), 404, "not-found")


@pytest.mark.parametrize(
    ("report", "status"),
    [
        ({"object": {"kind": "Workflow", "uid": "u"}}, 200),
        ({"object": {"kind": "Workflow", "name": "n"}, "run": {"id": "run_" + "0" * 32, "state": "NEW"}}, 200),
        ({}, 400),
        ({"object": {"kind": "Workflow"}}, 400),
        ({"object": {"kind": "Workflow", "name": "n"}, "run": {"id": "a", "state": "NEW"}}, 200),
        ({"object": {"kind": "Workflow", "name": "n"}, "run": {"id": "", "state": "NEW"}}, 400),
        ({"object": {"kind": "InferenceService", "uid": "u"}, "deployment": {"name": ""}}, 400),
        ({"object": {"kind": "Experiment", "uid": "u"}, "experiment": {"name": "n", "state": "DONE"}}, 400),
        ({"object": {"kind": "", "uid": "u"}}, 400),
        ({"object": {"kind": "Workflow", "uid": "u" * 256}}, 400),
        ({"object": {"kind": 7, "uid": "u"}}, 400),
        ({"object": {"kind": "Workflow\x00", "uid": "u"}}, 400),
        ({"object": {"kind": "Workflow", "uid": "u"}, "tasks": [{"key": "a"}]}, 400),
    ],
)
def test_the_document_says_what_a_report_is(http: httpx.Client, report: dict[str, object], status: int) -> None:
    document = http.get("/api/v1/openapi.json").json()
    body = document["paths"]["/api/v1/reports"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    validator = Draft202012Validator({**body, "components": document["components"]})

    assert http.post("/api/v1/reports", json=report).status_code == status
    assert validator.is_valid(report) == (status == 200)
