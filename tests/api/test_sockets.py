"""Nagle's algorithm is off on every connection: with it a call on a connection that is kept would wait 40 ms for an ACK.

With more than one worker uvicorn's own listening socket names no protocol, and asyncio leaves such connections as they are; ours
is made before the workers, which share it. uvloop does it in any case, so the loop here is asyncio's.
"""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from registry import main
from registry.api.serving import config
from registry.settings import Settings


async def answering(scope: Scope, _receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"OK"})


@contextmanager
def on(listener: socket.socket) -> Iterator[uvicorn.Server]:
    before = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(None)  # uvloop's, where a server of another test has set it, goes before what uvicorn is told
    server = uvicorn.Server(config(answering, lifespan="off", loop="asyncio"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    try:
        yield server
    finally:
        server.should_exit = True
        thread.join(30)
        asyncio.set_event_loop_policy(before)


def delays(listener: socket.socket) -> list[bool]:
    """Of the connections that are kept after a call."""
    host, port = listener.getsockname()[:2]
    with on(listener) as server, httpx.Client(base_url=f"http://{host}:{port}") as http:
        assert http.get("/").text == "OK"
        sockets = [connection.transport.get_extra_info("socket") for connection in server.server_state.connections]
        return [not one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for one in sockets]


@pytest.mark.parametrize("workers", [1, 2])
def test_no_connection_waits_for_more_to_send(workers: int) -> None:
    with ExitStack() as open_:
        listener = open_.enter_context(main._listening(Settings(http="127.0.0.1:0", workers=workers)))
        assert listener is not None

        assert delays(listener) == [False]


def test_a_socket_that_names_no_protocol_would_wait() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        assert delays(listener) == [True]
