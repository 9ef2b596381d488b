"""Clients that behave badly hold up nobody but themselves."""

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing

import httpx
import pytest

from registry.api import serving
from tests.servers import Served, server

__all__ = ["server"]

IDLE = 1_000


@pytest.fixture
def many_files() -> Iterator[None]:
    """Both ends of a thousand connections are this process's."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], min(before[1], 3 * IDLE)), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def connected(server: Served) -> socket.socket:
    address = httpx.URL(server.url)
    return socket.create_connection((str(address.host), int(address.port or 0)), timeout=60)


def answered(sender: socket.socket) -> bytes:
    """All that comes until the server ends the connection."""
    answer = b""
    while piece := sender.recv(65536):
        answer += piece
    return answer


def is_served(server: Served) -> bool:
    with httpx.Client(base_url=server.url, timeout=60) as http:
        made = http.post("/api/v1/runs", json={"name": "others"}).json()
        logged = http.post(f"/api/v1/runs/{made['id']}/log", json={"metrics": [{"key": "m", "value": 1}]})
        return logged.status_code == 204 and http.get(f"/api/v1/runs/{made['id']}").json()["metrics"][0]["value"] == 1


@pytest.mark.parametrize("piece", [b"x" * 4096, b"\r\nx-more: y"], ids=["a header that never ends", "headers that never end"])
def test_a_head_that_never_ends_is_refused(server: Served, piece: bytes) -> None:
    with closing(connected(server)) as sender:
        sender.sendall(b"GET /api/v1/runs HTTP/1.1\r\nhost: x\r\nx-long: ")
        sender.sendall(piece * (serving.MAX_HEAD // len(piece) + 1))
        answer = answered(sender)

    assert answer.startswith(b"HTTP/1.1 431 ")
    assert is_served(server)


def test_a_head_as_long_as_may_be_is_read(server: Served) -> None:
    with httpx.Client(base_url=server.url) as http:
        assert http.get("/api/v1/runs", headers={"x-long": "x" * (serving.MAX_HEAD - 1024)}).status_code == 200


def test_a_head_that_does_not_come_is_given_up(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "HEAD_S", 0.2)
    with closing(connected(server)) as sender:
        sender.sendall(b"GET /api/v1/runs HTTP/1.1\r\nhost: x")
        answer = answered(sender)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert is_served(server)


def test_a_second_head_on_a_connection_has_the_same_limits(server: Served) -> None:
    with closing(connected(server)) as sender:
        sender.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        first = sender.recv(65536)
        sender.sendall(b"GET /healthz HTTP/1.1\r\nx-long: " + b"x" * (serving.MAX_HEAD + 1))
        answer = answered(sender)

    assert first.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 431 " in answer


def test_a_long_body_is_no_long_head(server: Served) -> None:
    body = b'{"tags": {"t": "' + b"x" * (4 * serving.MAX_HEAD) + b'"}}'
    with closing(connected(server)) as sender:
        head = f"POST /api/v1/runs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        sender.sendall(head.encode())
        for start in range(0, len(body), 1000):
            sender.sendall(body[start : start + 1000])
        first = sender.recv(65536)

    assert first.startswith(b"HTTP/1.1 201 ")


def test_others_are_served_beside_a_thousand_idle_connections(server: Served, many_files: None) -> None:
    with ExitStack() as idle:
        for _ in range(IDLE):
            idle.enter_context(closing(connected(server)))

        assert is_served(server)


def test_others_are_served_beside_one_who_does_not_read_a_large_answer(server: Served) -> None:
    with httpx.Client(base_url=server.url, timeout=60) as http:
        big = {"tags": {f"k{number}": "x" * 10_000 for number in range(100)}}
        for _ in range(30):
            http.post("/api/v1/runs", json=big | {"name": "big"}).raise_for_status()
    with closing(connected(server)) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(b"GET /api/v1/runs?page_size=1000 HTTP/1.1\r\nhost: x\r\n\r\n")
        first = slow.recv(15)

        assert first == b"HTTP/1.1 200 OK"
        assert is_served(server)
