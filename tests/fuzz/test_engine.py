"""The fuzzer against a server with a planted fault: a check that cannot fail proves nothing."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import pytest
import uvicorn
from fastapi import FastAPI, Header, HTTPException, Response

from tests.fuzz.engine import fuzz

ENTRY = '[[expected]]\noperations = ["double"]\nstatus = 400\nreason = "no schema says which numbers are odd"\n'


def guard(authorization: str) -> None:
    if authorization != "Bearer secret":
        raise HTTPException(401)


def sound(number: int, authorization: str) -> Response:
    guard(authorization)
    return Response(f'{{"value": {2 * number}}}', media_type="application/json")


def failing(number: int, authorization: str) -> Response:
    guard(authorization)
    return Response(status_code=500) if number > 5 else sound(number, authorization)


def undocumented(number: int, authorization: str) -> Response:
    guard(authorization)
    return Response(status_code=418)


def misshapen(number: int, authorization: str) -> Response:
    guard(authorization)
    return Response('{"value": "two"}', media_type="application/json")


def refusing(number: int, authorization: str) -> Response:
    guard(authorization)
    return Response(status_code=400)


def open_to_all(number: int, authorization: str) -> Response:
    return sound(number, "Bearer secret")


@contextmanager
def serving(answer: Callable[[int, str], Response]) -> Iterator[str]:
    app = FastAPI(openapi_url="/openapi.json")

    @app.get("/double/{number}", operation_id="double")
    def double(number: int, authorization: Annotated[str, Header()] = "") -> Response:
        return answer(number, authorization)

    @app.get("/ping", operation_id="ping")
    def ping() -> None: ...

    document = app.openapi()
    operation: dict[str, Any] = document["paths"]["/double/{number}"]["get"]
    operation["parameters"] = [p for p in operation["parameters"] if p["in"] == "path"]
    operation["security"] = [{"bearer": []}]
    value = {"type": "object", "properties": {"value": {"type": "integer"}}, "required": ["value"]}
    operation["responses"] = {"200": {"description": "", "content": {"application/json": {"schema": value}}}}
    operation["responses"] |= {status: {"description": ""} for status in ("400", "401", "422")}
    document["components"] = {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}}
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/openapi.json"
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.mark.parametrize(
    ("answer", "entries", "check"),
    [
        (sound, "", None),
        (failing, "", "not_a_server_error, status 500"),
        (undocumented, "", "status_code_conformance, status 418"),
        (misshapen, "", "response_schema_conformance, status 200"),
        (refusing, "", "positive_data_acceptance, status 400"),
        (refusing, ENTRY, None),
        (open_to_all, "", "ignored_auth, status 200"),
    ],
)
def test_a_planted_fault_is_found_and_what_is_explained_is_none(
    capsys: pytest.CaptureFixture[str], answer: Callable[[int, str], Response], entries: str, check: str | None
) -> None:
    with serving(answer) as url:
        status = fuzz(url, "secret", seed=1, expected=entries, examples=8)
    printed = capsys.readouterr().out
    last = printed.splitlines()[-1]

    if check is None:
        assert (status, last) == (0, "operations 2 of 2, 0 findings")
    else:
        assert (status, last) == (1, f"operations 2 of 2, {printed.count('fuzz: finding:')} findings")
        assert f"finding: GET /double/{{number}}: {check}" in printed
