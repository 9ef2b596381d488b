"""The door on the HTTP port: grpc-web, binary and as text, so that a browser (the UI of Kubeflow Pipelines) needs no proxy.

A body is frames of one byte of flags, four of length and that many bytes: 0x00 a message, 0x80 the trailers, as lines
`name:value`. The text form is the same in base64, of which a client may send several pieces, each with its own padding.
https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
"""

import asyncio
import base64
import binascii
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from registry.db.coalescing import outlasting_cancellation

if TYPE_CHECKING:
    from registry.api.services import Services

SERVICE = "ml_metadata.MetadataStoreService"
PATHS = re.compile(rf"/{re.escape(SERVICE)}/")
"""What paths of this door have in them, whatever stands before."""

BINARY, TEXT = "application/grpc-web", "application/grpc-web-text"
MESSAGE, COMPRESSED, TRAILERS = 0x00, 0x01, 0x80
CODES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""By number."""

_OF_STATUS = {400: "INVALID_ARGUMENT", 413: "RESOURCE_EXHAUSTED", 429: "RESOURCE_EXHAUSTED", 404: "UNIMPLEMENTED"}
_PIECE = re.compile(rb"[^=]+=*")


class Malformed(Exception):
    """The body is not one message: the name of a code, and why."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def routes(services: "Services | None", prefix: str) -> list[BaseRoute]:
    """At the root, where the UI looks, and under `prefix` (`/x`), if there is one."""
    door = Door(services)
    return [
        Route(f"{base}/{SERVICE}/{{method}}", door, methods=["POST"], include_in_schema=False)
        for base in dict.fromkeys(("", prefix))
    ]


class Door:
    """An ASGI application. `services` None: only its routes are wanted."""

    def __init__(self, services: "Services | None") -> None:
        self._services = services
        self._threads = ThreadPoolExecutor(max(1, services.settings.max_in_flight) if services else 1, thread_name_prefix="mlmd")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        kind = _kind(request)
        if kind is None:
            answer = Response(f"this path speaks {BINARY} and {TEXT}\n", 415, media_type="text/plain")
        else:
            answer = await self._answer(request, kind, str(scope["path_params"]["method"]))
        await answer(scope, receive, send)

    async def _answer(self, request: Request, kind: str, method: str) -> Response:
        from registry.api.mlmd.calls import Refused, answered  # the messages; most servers need not read them

        assert self._services is not None, "an app without services serves nothing"  # noqa: S101
        try:
            raw = unframed(await request.body(), kind)
            visit = _Visit()
            loop = asyncio.get_running_loop()
            call = loop.run_in_executor(self._threads, answered, self._services, method, raw, request.headers, visit)
            try:
                return framed(kind, await asyncio.shield(call), "OK", "")
            except asyncio.CancelledError:
                visit.end()
                await outlasting_cancellation(call)
                raise
        except (Malformed, Refused) as refused:
            return framed(kind, None, refused.code, str(refused))


class _Visit:
    """The caller of one request, as `calls.Caller`."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._callbacks: list[Callable[[], Any]] = []
        self._active = True

    def is_active(self) -> bool:
        return self._active

    def add_callback(self, callback: Callable[[], Any]) -> bool:
        with self._lock:
            if self._active:
                self._callbacks.append(callback)
            return self._active

    def end(self) -> None:
        with self._lock:
            self._active = False
        for callback in self._callbacks:
            callback()


def _kind(request: Request) -> str | None:
    """BINARY or TEXT; None for anything else, also for messages that are not protobuf's."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return next((kind for kind in (BINARY, TEXT) if given in {kind, f"{kind}+proto"}), None)


def unframed(body: bytes, kind: str) -> bytes:
    """The one message of a request. Raises Malformed."""
    if kind == TEXT:
        try:
            body = b"".join(base64.b64decode(piece, validate=True) for piece in _PIECE.findall(body))
        except (binascii.Error, ValueError) as error:
            raise Malformed("INVALID_ARGUMENT", f"the body is no base64: {error}") from error
    if len(body) < 5 or len(body) - 5 != int.from_bytes(body[1:5], "big"):
        raise Malformed("INVALID_ARGUMENT", "the body is not one frame: flags, four bytes of length, and that many bytes")
    if body[0] & COMPRESSED:
        raise Malformed("UNIMPLEMENTED", "compressed messages are not taken")
    if body[0] != MESSAGE:
        raise Malformed("INVALID_ARGUMENT", f"the frame's flags are 0x{body[0]:02x}, a message has 0x00")
    return body[5:]


def framed(kind: str, message: bytes | None, code: str, text: str, headers: Mapping[str, str] | None = None) -> Response:
    """The answer: the message, if there is one, and the trailers."""
    lines = f"grpc-status:{CODES.index(code)}\r\n"
    if text:
        lines += f"grpc-message:{quote(text, safe=_PLAIN)}\r\n"
    body = b"" if message is None else _frame(MESSAGE, message)
    body += _frame(TRAILERS, lines.encode("ascii"))
    if kind == TEXT:
        body = base64.b64encode(body)
    return Response(body, headers={**(headers or {}), "content-type": f"{kind}+proto"})


_PLAIN = "".join(chr(one) for one in range(0x20, 0x7F) if chr(one) != "%")


def _frame(flags: int, content: bytes) -> bytes:
    return bytes([flags]) + len(content).to_bytes(4, "big") + content


def shape(request: Request, status: int, _kind_of_problem: str, detail: str, headers: Mapping[str, str]) -> Response | None:
    """What another layer refuses of this door (a body that is too long, overload), as a status; None for other clients."""
    kind = _kind(request)
    if kind is None:
        return None
    return framed(kind, None, _OF_STATUS.get(status, "INTERNAL"), detail, headers)
