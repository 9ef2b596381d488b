"""An answer's head goes out with the first piece of its body: nobody gets half of a small answer from a server that is killed."""

import asyncio
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from registry.api.serving import HeadWithBody, config


class Written(asyncio.Transport):
    """What was written, in pieces."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        assert not self.closed
        self.pieces.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


def written(step: Callable[[HeadWithBody], None]) -> tuple[list[bytes], list[bytes]]:
    """The pieces right after the step, and when the loop has had another turn."""

    async def run() -> tuple[list[bytes], list[bytes]]:
        inner = Written()
        step(HeadWithBody(inner, asyncio.get_running_loop()))
        at_once = list(inner.pieces)
        await asyncio.sleep(0)
        return at_once, inner.pieces

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("writes", "at_once", "later"),
    [
        ([b"head", b"{}"], [b"head{}"], [b"head{}"]),
        ([b"head", b""], [b"head"], [b"head"]),
        ([b"head"], [], [b"head"]),
        ([b"head", b"{}", b"more", b"end"], [b"head{}", b"more", b"end"], [b"head{}", b"more", b"end"]),
        ([b"head", b"x" * 100_000], [b"head", b"x" * 100_000], [b"head", b"x" * 100_000]),
    ],
)
def test_a_head_waits_for_the_body_and_no_longer_than_a_turn(
    writes: Sequence[bytes], at_once: list[bytes], later: list[bytes]
) -> None:
    def step(transport: HeadWithBody) -> None:
        for piece in writes:
            transport.write(piece)

    assert written(step) == (at_once, later)


def test_what_waits_goes_out_before_the_connection_ends_or_a_file_is_sent() -> None:
    def closing(transport: HeadWithBody) -> None:
        transport.write(b"head")
        transport.close()

    def filing(transport: HeadWithBody) -> None:
        transport.write(b"head")
        transport.set_write_buffer_limits(high=0)

    assert written(closing) == written(filing) == ([b"head"], [b"head"])


def test_an_answer_that_is_still_being_made_shows_its_head() -> None:
    head_is_there = threading.Event()

    async def slow(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await asyncio.to_thread(head_is_there.wait, 30)
            await send({"type": "http.response.body", "body": b"OK"})

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = uvicorn.Server(config(slow, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            with httpx.stream("GET", f"http://127.0.0.1:{listener.getsockname()[1]}/", timeout=30) as answer:
                head_is_there.set()
                assert (answer.status_code, answer.read()) == (200, b"OK")
        finally:
            head_is_there.set()
            server.should_exit = True
            thread.join(30)
