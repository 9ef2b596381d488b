"""HTTP/1.1 as uvicorn speaks it, with what it leaves open: how long a request's head may be, how long it may take to come,
answers that go out whole, and files sent by the kernel (`zero_copy.py`).
"""

import asyncio
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from registry.api.zero_copy import SEND_FILE, FileSender

MAX_HEAD = 64 * 1024
"""Bytes of request line and headers; a piece that ends the head may bring it over that."""

HEAD_S = 20.0
"""From a request's first byte to the end of its head."""


def config(app: ASGIApp, **options: Any) -> uvicorn.Config:
    """How every server of ours runs the application; `options` are uvicorn's."""
    return uvicorn.Config(
        app,
        http=BoundedHttp,
        ws="none",
        log_config=None,
        access_log=False,  # the request line is ours, with the request id
        proxy_headers=False,  # no answer depends on the caller's address
        server_header=False,
        timeout_graceful_shutdown=30,
        **options,
    )


_JOINED = 64 * 1024
"""Bytes of a body's first piece from which on copying it costs more than a second call to the kernel."""


class HeadWithBody(asyncio.Transport):
    """The transport of one exchange. An answer's head waits for the first piece of its body, for as long as the application
    gives no other thing a turn: a server that dies between the two leaves a client with half an answer, and clients that try
    again where there is none do not where there is half of one.
    """

    def __init__(self, inner: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._inner = inner
        self._loop = loop
        self._head: bytes | None = None
        self._flushing: asyncio.Handle | None = None

    def write(self, data: Any) -> None:
        if self._head is None:
            self._head = data
            self._flushing = self._loop.call_soon(self._flush)
        elif self._head and len(data) <= _JOINED:
            head, self._head = self._head, b""
            self._forget()
            self._inner.write(head + data)
        else:
            self._flush()
            self._inner.write(data)

    def _flush(self) -> None:
        self._forget()
        if self._head:
            head, self._head = self._head, b""
            self._inner.write(head)

    def _forget(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None

    def close(self) -> None:
        self._flush()
        self._inner.close()

    def abort(self) -> None:
        self._forget()
        self._inner.abort()

    def is_closing(self) -> bool:
        return self._inner.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._inner.get_extra_info(name, default)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._flush()
        self._inner.set_write_buffer_limits(high, low)


class BoundedHttp(HttpToolsProtocol):
    """A head that is too long is answered 431, one that does not come 408; both end the connection."""

    _in_head = True
    _head_bytes = 0
    _late: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if not self._in_head or not self._head_bytes or self.transport.is_closing():
            return
        if self._head_bytes > MAX_HEAD:
            self._refuse(b"431 Request Header Fields Too Large")
        elif self._late is None:
            self._late = self.loop.call_later(HEAD_S, self._refuse, b"408 Request Timeout")

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._forget()
        scope = self.scope
        super().on_headers_complete()
        self.cycle.transport = HeadWithBody(self.transport, self.loop)
        if self.scheme == "http":  # what TLS sends has to pass through it
            extensions: Any = {SEND_FILE: FileSender(self.cycle)}
            scope["extensions"] = extensions

    def on_message_complete(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _forget(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _refuse(self, status: bytes) -> None:
        self._forget()
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            self.transport.close()
