"""Bytes of a file into a connection without passing through Python: `scope["extensions"][SEND_FILE]` where the server can.

ASGI's own extensions (zerocopysend, pathsend) are not uvicorn's, so this one is ours: a `FileSender`, called between the start
of an answer with a Content-Length and its empty last piece.
"""

import asyncio
import os
import select

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from registry.db.coalescing import outlasting_cancellation
from storage.errors import StoreUnavailable

SEND_FILE = "lineal.send_file"
_AT_ONCE = 64 * 1024 * 1024
"""Bytes after which a thread is given back, however fast the client reads."""

_PATIENCE_MS = 2
"""How long a thread waits for the client to read on; one that takes longer is waited for without a thread."""

_LOOK_S = 1.0
"""How often it is asked whether a client that does not read is still there."""


class FileSender:
    """For the answer of one request."""

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

    async def __call__(self, descriptor: int, offset: int, length_bytes: int) -> None:
        """Send that part of the file, or as much as the client stays for.

        Raises StoreUnavailable: the file is shorter.
        """
        transport, flow = self._cycle.transport, self._cycle.flow
        transport.set_write_buffer_limits(high=0)  # nothing of the head may be left in the transport
        try:
            await flow.drain()
            if not self._cycle.disconnected:
                connection = os.dup(transport.get_extra_info("socket").fileno())
                try:
                    await self._send(connection, descriptor, offset, offset + length_bytes)
                finally:
                    os.close(connection)
        finally:
            transport.set_write_buffer_limits()
        self._cycle.expected_content_length -= length_bytes

    async def _send(self, connection: int, descriptor: int, at: int, end: int) -> None:
        loop = asyncio.get_running_loop()
        while at < end and not self._cycle.disconnected:
            sending = loop.run_in_executor(None, _sent, connection, descriptor, at, end)
            try:
                at = await asyncio.shield(sending)
            except asyncio.CancelledError:
                await outlasting_cancellation(sending)  # the descriptors are still in use
                raise
            except OSError:  # the client has gone
                self._cycle.transport.abort()
                self._cycle.disconnected = True
            if at < end:
                await self._writable(loop, connection)

    async def _writable(self, loop: asyncio.AbstractEventLoop, connection: int) -> None:
        """Or the client has gone, or a second has passed."""
        if self._cycle.disconnected:
            return
        writable: asyncio.Future[None] = loop.create_future()

        def tell() -> None:
            if not writable.done():
                writable.set_result(None)

        loop.add_writer(connection, tell)
        try:
            await asyncio.wait([writable], timeout=_LOOK_S)
        finally:
            loop.remove_writer(connection)


def _sent(connection: int, descriptor: int, at: int, end: int) -> int:
    """Up to where it is sent. Raises OSError: the connection is broken; StoreUnavailable."""
    waiting = select.poll()
    waiting.register(connection, select.POLLOUT)
    stop = min(end, at + _AT_ONCE)
    while at < stop:
        try:
            sent = os.sendfile(connection, descriptor, at, stop - at)
        except BlockingIOError:
            if not waiting.poll(_PATIENCE_MS):
                break
            continue
        if not sent:
            raise StoreUnavailable("a file was cut by someone else while it was sent")
        at += sent
    return at
