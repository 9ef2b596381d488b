"""Names of files that lead elsewhere, in every encoding: refused, and nothing changes."""

import socket

import pytest

from tests.mlflow.calling import BASE, Caller
from tests.mlflow.storing import PROXY, everything

ESCAPES = [
    "../secret",
    "a/../../secret",
    "%2e%2e/secret",
    "%2E%2E%2Fsecret",
    "a/%2e%2e/%2e%2e/secret",
    "%252e%252e/secret",
    "%252e%252e%252fsecret",
    "%25252e%25252e/secret",
    "..%5csecret",
    "%5c%5chost/share",
    "/etc/passwd",
    "%2fetc/passwd",
    "C:/secret",
    "C%3A%5csecret",
    "a//b",
    "a/./b",
    "%c0%ae%c0%ae/secret",
    "%ef%bc%8e%ef%bc%8e/secret",
    "\u2025/secret",
    "a%00.txt",
    "a%0d%0ab",
    "%ed%a0%80",
    "x" * 256,
    "/".join(["y" * 200] * 6),
    "con",
    "a. /b",
]


@pytest.mark.parametrize("path", ESCAPES)
@pytest.mark.parametrize("verb", ["PUT", "GET", "DELETE"])
def test_no_path_leads_out_of_the_workspace(sqlite_door: Caller, verb: str, path: str) -> None:
    before = everything(sqlite_door)

    status = raw_status(sqlite_door, verb, f"{PROXY}/{path}")

    assert 400 <= status < 500
    assert everything(sqlite_door) == before


@pytest.mark.parametrize("path", ESCAPES)
def test_no_name_in_a_field_leads_out_of_the_run(sqlite_door: Caller, path: str) -> None:
    run = sqlite_door.run("0")
    before = everything(sqlite_door)
    query = f"run_id={run}&path={path.replace('+', '%2B').encode().decode('latin-1')}"

    answers = [
        raw_status(sqlite_door, "GET", f"/get-artifact?{query}"),
        raw_status(sqlite_door, "GET", f"{BASE}/artifacts/list?{query}"),
        raw_status(sqlite_door, "POST", f"{BASE}/upload-artifact?{query}"),
    ]

    assert all(400 <= status < 500 for status in answers), answers
    assert everything(sqlite_door) == before


def raw_status(door: Caller, verb: str, target: str) -> int:
    """Of a request whose target is sent as it stands: clients tidy it."""
    host, _, port = door.served.url.removeprefix("http://").partition(":")
    body = b"x" if verb in {"PUT", "POST"} else b""
    head = f"{verb} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(head.encode() + body)
        return int(client.recv(64).split()[1])
