"""Calls that wait: they hold up nobody else, are bounded in number, and leave nothing behind when their callers give up."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from registry.api.mlmd import calls, web
from registry.api.mlmd.descriptors import reflection
from registry.settings import Settings
from tests.mlmd.door import Door, fresh, message, raw_call
from tests.servers import Served, serving


@contextlib.contextmanager
def writer_kept_busy(served: Served, connections: int) -> Iterator[None]:
    """No write begins inside the block: SQLite's one writer, or the threads of a database server's, wait."""
    release, begun = threading.Event(), threading.Semaphore(0)

    def wait(_session: Any) -> None:
        begun.release()
        release.wait(60)

    held = [served.services.runner.begin_write(wait) for _ in range(connections)]
    for _ in held:
        assert begun.acquire(timeout=60)
    try:
        yield
    finally:
        release.set()
        for one in held:
            one.result(60)


def busy(door: Door) -> contextlib.AbstractContextManager[None]:
    return writer_kept_busy(door.served, 1 if door.served.services.runner.database.is_sqlite else 8)


def put_type(channel: grpc.Channel, name: str, timeout: float = 60) -> Any:
    """The call, begun."""
    request = message("PutArtifactTypeRequest", artifact_type=message("ArtifactType", name=name))
    return raw_call(channel, "PutArtifactType").future(request.SerializeToString(), timeout=timeout)


def waited_for(found: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not found():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_write_whose_caller_gives_up_while_it_waits_never_begins(door: Door) -> None:
    late, cancelled, kept = fresh("late"), fresh("cancelled"), fresh("kept")
    with grpc.insecure_channel(door.address) as channel:
        with busy(door):
            begun = [put_type(channel, late, timeout=0.5), put_type(channel, cancelled), put_type(channel, kept)]
            with pytest.raises(grpc.RpcError, match="DEADLINE_EXCEEDED"):
                begun[0].result()
            begun[1].cancel()
            # a read comes after what was told of both on the same connection
            raw_call(channel, "GetArtifactTypes")(b"", timeout=60)
        assert begun[2].result()

    assert door.refusal("GetArtifactType", type_name=kept) == "OK"
    assert door.refusal("GetArtifactType", type_name=late) == "NOT_FOUND"
    assert door.refusal("GetArtifactType", type_name=cancelled) == "NOT_FOUND"


def test_a_grpc_web_call_that_is_cut_off_while_it_waits_never_begins(sqlite_door: Door) -> None:
    name = fresh("cut")
    raw = message("PutArtifactTypeRequest", artifact_type=message("ArtifactType", name=name)).SerializeToString()
    body = b"\x00" + len(raw).to_bytes(4, "big") + raw
    scope = {
        "type": "http",
        "method": "POST",
        "headers": [(b"content-type", b"application/grpc-web+proto")],
        "path_params": {"method": "PutArtifactType"},
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(_message: Any) -> None:
        pytest.fail("it was answered")

    async def cut_off() -> None:
        with contextlib.ExitStack() as held:
            held.enter_context(busy(sqlite_door))
            call = asyncio.ensure_future(web.Door(sqlite_door.served.services)(scope, receive, send))
            await asyncio.sleep(0.3)  # it waits in the writer's queue; were it not there yet, it would not get there
            call.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(cut_off())

    assert sqlite_door.refusal("GetArtifactType", type_name=name) == "NOT_FOUND"


def test_a_read_that_nobody_waits_for_does_not_begin(sqlite_door: Door) -> None:
    class Gone:
        def is_active(self) -> bool:
            return False

        def add_callback(self, _callback: Callable[[], Any]) -> bool:
            return False

    with pytest.raises(calls.Refused, match="gave up"):
        calls.answered(sqlite_door.served.services, "GetArtifacts", b"", {}, Gone())


def test_writes_that_wait_hold_up_no_read_and_no_probe(door: Door) -> None:
    with grpc.insecure_channel(door.address) as channel, busy(door):
        begun = [put_type(channel, fresh("waits")) for _ in range(60)]
        health: Any = channel.unary_unary("/grpc.health.v1.Health/Check")

        assert raw_call(channel, "GetArtifacts")(b"", timeout=30) == b""
        assert health(b"", timeout=30) == b"\x08\x01"
        assert not any(call.done() for call in begun)
    assert door.refusal("GetArtifacts") == "OK"


def test_tools_that_leave_their_streams_open_hold_up_nobody(sqlite_door: Door) -> None:
    release = threading.Event()

    def questions() -> Iterator[bytes]:
        release.wait(60)
        yield from ()

    with grpc.insecure_channel(sqlite_door.address) as channel:
        stream: Any = channel.stream_stream(f"/{reflection()[0].name}/ServerReflectionInfo")
        streams = [stream(questions(), timeout=60) for _ in range(40)]

        assert sqlite_door.refusal("GetArtifacts") == "OK"
        release.set()
        assert [list(one) for one in streams] == [[]] * 40


def test_more_calls_than_the_server_takes_on_are_refused_at_once(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path), grpc="127.0.0.1:0", max_in_flight=2)
    with serving(settings) as served, Door(served) as door, grpc.insecure_channel(door.address) as channel:
        with busy(door):
            kept = {name: put_type(channel, name) for name in ("one", "two")}

            def full() -> bool:
                """Two are in hand. One that came while this question was is asked again."""
                kept.update({name: put_type(channel, name) for name, call in kept.items() if call.done()})
                return door.refusal("GetArtifacts") == "RESOURCE_EXHAUSTED"

            waited_for(full)
            assert door.refusal("PutArtifactType", artifact_type=message("ArtifactType", name="three")) == "RESOURCE_EXHAUSTED"
        assert all(call.result() for call in kept.values())
        waited_for(lambda: door.refusal("GetArtifacts") == "OK")

        assert sorted(one.name for one in door.call("GetArtifactTypes").artifact_types) == ["one", "two"]
