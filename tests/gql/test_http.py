"""GraphQL over HTTP: statuses, media types, errors."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from registry.catalog import models
from registry.db.session import Session
from registry.errors import StatementTimeout
from registry.settings import Settings
from tests.servers import serving

RESPONSE = "application/graphql-response+json"
GOOD: dict[str, Any] = {"query": "{ models { nodes { id } } }"}
WRONG: dict[str, Any] = {
    "a field that is not": {"query": "{ nothing }"},
    "no document": {"query": "{"},
    "too dear": {"query": "{ searchRuns(first: 200) { nodes { versions(first: 200) { nodes { id } } } } }"},
    "no such operation": {"query": "query A { models { nodes { id } } }", "operationName": "B"},
    "no variable": {"query": "query ($id: ID!) { run(id: $id) { id } }"},
    "a variable of another type": {"query": "query ($n: Int!) { models(first: $n) { nodes { id } } }", "variables": {"n": "x"}},
    "no mutation": {"query": "mutation { x }"},
}


def media_type(response: httpx.Response) -> str:
    return response.headers["content-type"].partition(";")[0]


@pytest.mark.parametrize(
    "accept", ["*/*", RESPONSE, f"application/json;q=0.9, {RESPONSE}", "application/*", "text/html, */*;q=0.1"]
)
def test_the_answer_has_the_media_type_of_graphql(http: httpx.Client, accept: str) -> None:
    answer = http.post("/graphql", json=GOOD, headers={"Accept": accept})

    assert (answer.status_code, media_type(answer)) == (200, RESPONSE)
    assert answer.json() == {"data": {"models": {"nodes": []}}}


@pytest.mark.parametrize(
    "accept", ["application/json", f"application/json, {RESPONSE};q=0.5", f"application/json, {RESPONSE};q=0"]
)
def test_one_that_takes_json_gets_json(http: httpx.Client, accept: str) -> None:
    assert media_type(http.post("/graphql", json=GOOD, headers={"Accept": accept})) == "application/json"


@pytest.mark.parametrize("case", WRONG)
def test_what_is_not_begun_is_400_and_has_no_data(http: httpx.Client, case: str) -> None:
    answer = http.post("/graphql", json=WRONG[case])

    assert answer.status_code == 400
    assert answer.json().keys() == {"errors"}
    assert answer.json()["errors"][0]["extensions"] == {"code": "BAD_REQUEST", "requestId": answer.headers["x-request-id"]}


@pytest.mark.parametrize("case", WRONG)
def test_one_that_takes_json_only_is_told_by_errors_alone(http: httpx.Client, case: str) -> None:
    answer = http.post("/graphql", json=WRONG[case], headers={"Accept": "application/json"})

    assert (answer.status_code, answer.json().keys()) == (200, {"errors"})


def test_an_error_of_a_field_leaves_the_others(http: httpx.Client) -> None:
    answer = http.post("/graphql", json={"query": '{ models { nodes { id } } run(id: "x") { id } }'})

    [error] = answer.json()["errors"]
    assert answer.status_code == 200
    assert answer.json()["data"] == {"models": {"nodes": []}, "run": None}
    assert error["path"] == ["run"]
    assert error["locations"] == [{"line": 1, "column": 27}]
    assert error["extensions"] == {
        "code": "BAD_INPUT",
        "type": "urn:lineal:problem:invalid-name",
        "field": "run_id",
        "requestId": answer.headers["x-request-id"],
    }


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"{}", b'{"query": 7}', b'{"query": "{ x }", "variables": []}', b"\xff"])
def test_a_body_that_is_no_request_is_400(http: httpx.Client, body: bytes) -> None:
    answer = http.post("/graphql", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_INPUT"


@pytest.mark.parametrize("field", ["variables", "extensions"])
def test_a_body_that_is_nested_too_deep_is_400(http: httpx.Client, field: str) -> None:
    body = f'{{"query": "{{ models {{ nodes {{ id }} }} }}", "{field}": ' + '{"a":' * 5_000 + "1" + "}" * 5_000 + "}"

    answer = http.post("/graphql", content=body, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (400, "BAD_INPUT")


def test_operations_are_not_batched(http: httpx.Client) -> None:
    assert http.post("/graphql", json=[GOOD, GOOD]).status_code == 400


@pytest.mark.parametrize("sent", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_a_form_of_another_site_cannot_send_one(http: httpx.Client, sent: str) -> None:
    answer = http.post("/graphql", content=b'{"query": "{ models { nodes { id } } }"}', headers={"Content-Type": sent})

    assert answer.status_code == 415


def test_there_is_no_get(http: httpx.Client) -> None:
    answer = http.get("/graphql", params={"query": "{ models { nodes { id } } }"})

    assert (answer.status_code, answer.headers["allow"]) == (405, "OPTIONS, POST")


def test_one_that_takes_neither_is_406(http: httpx.Client) -> None:
    assert http.post("/graphql", json=GOOD, headers={"Accept": "text/html"}).status_code == 406


@pytest.mark.parametrize("character", ["\x00", "\ud800"])
def test_characters_that_no_database_takes_are_refused(http: httpx.Client, character: str) -> None:
    query = "query ($text: String!) { models(filter: $text) { nodes { id } } }"
    escaped = f"\\u{ord(character):04x}"

    answer = http.post(
        "/graphql",
        content=f'{{"query": "{query}", "variables": {{"text": "name = \'{escaped}\'"}}}}',
        headers={"Content-Type": "application/json"},
    )

    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_INPUT"


def test_a_fault_of_ours_says_nothing_but_the_request_s_id(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("the secret of the house")

    monkeypatch.setattr(models, "find_model", broken)

    answer = http.post("/graphql", json={"query": '{ model(name: "m") { id } }'})

    assert answer.status_code == 500
    [error] = answer.json()["errors"]
    assert error["extensions"] == {"code": "INTERNAL", "requestId": answer.headers["x-request-id"]}
    assert "secret" not in answer.text


def test_a_statement_that_took_too_long_is_told_by_its_code(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(_session: Session, *_: object, **__: object) -> None:
        raise StatementTimeout("the statement took too long and was stopped")

    monkeypatch.setattr(models, "find_model", slow)

    [error] = http.post("/graphql", json={"query": '{ model(name: "m") { id } }'}).json()["errors"]

    assert error["extensions"]["code"] == "TIMEOUT"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server that wants a token."""
    with serving(Settings(data_dir=str(tmp_path_factory.mktemp("guarded")))) as served:
        served.services.login = True
        with httpx.Client(base_url=served.url) as client:
            yield client


def test_who_has_no_token_is_told_in_graphql_s_form(guarded: httpx.Client) -> None:
    answer = guarded.post("/graphql", json=GOOD)

    assert (answer.status_code, answer.headers["www-authenticate"], media_type(answer)) == (401, "Bearer", RESPONSE)
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


def test_the_schema_is_not_shown_to_who_has_no_token(guarded: httpx.Client) -> None:
    assert guarded.post("/graphql", json={"query": "{ __schema { types { name } } }"}).status_code == 401
