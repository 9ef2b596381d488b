"""What surrounds every request of every door: its id, log line and counters, the limit of its body, security headers, and
the answers that no route gives (HEAD, OPTIONS, `Allow` of a 405, the last resort 500).
"""

import logging
import math
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from registry.api import problems
from registry.api.admission import Admission, weight
from registry.api.services import Services
from registry.errors import Overloaded

T = TypeVar("T")
log = logging.getLogger("lineal.server")
PROBES = {"/healthz", "/readyz", "/metrics", "/health"}
CUT_OFF = "the body was cut off"

SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]
"""Where an answer does not say otherwise."""

_SECURED = frozenset(name for name, _ in SECURITY_HEADERS)


class Verbs:
    """Which verbs each path of the given routes has."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        found: dict[str, set[str]] = {}
        for route in routes:
            path, methods = getattr(route, "path", None), getattr(route, "methods", None)
            if path and methods:
                found.setdefault(path, set()).update(methods)
        # A path with a word where another has a parameter comes first: `/steps/join` is no step.
        self._paths: Sequence[tuple[re.Pattern[str], set[str]]] = [
            (compile_path(path)[0], methods) for path, methods in sorted(found.items(), key=lambda item: item[0].count("{"))
        ]
        self._words = {path: self.of(path) for path in found if "{" not in path and self._is_shadowed(path)}

    def of(self, path: str) -> list[str]:
        """Those of the path, HEAD and OPTIONS among them, in order; empty for a path that is nowhere."""
        verbs = next((methods for pattern, methods in self._paths if pattern.match(path)), None)
        if verbs is None:
            return []
        return sorted(verbs | {"OPTIONS"} | ({"HEAD"} if "GET" in verbs else set()))

    def are_without(self, method: str, path: str) -> bool:
        """Whether the router would take a path for one with a parameter, because its own has not that verb."""
        own = self._words.get(path)
        return own is not None and method not in own

    def _is_shadowed(self, path: str) -> bool:
        return sum(1 for pattern, _ in self._paths if pattern.match(path)) > 1


Shortcut = Callable[[Scope, Receive, Send], Awaitable[Receive | None]]
"""Answers past the router and what FastAPI puts around it. What it does not take it gives back: the `receive` to read it from."""


@dataclass(frozen=True)
class Direct:
    """Which calls go to a shortcut: a whole door, or one that is hot. `method` None: any."""

    method: str | None
    paths: re.Pattern[str]
    shortcut: Shortcut


class Envelope:
    def __init__(
        self,
        app: ASGIApp,
        services: Services | None,
        verbs: Verbs,
        *,
        direct: Sequence[Direct] = (),
        streamed: Sequence[re.Pattern[str]] = (),
    ) -> None:
        """`streamed`: how paths begin whose bodies are files, which stream through and have no limit here."""
        self.app = app
        self.services = services
        self.verbs = verbs
        self.direct = direct
        self.streamed = streamed
        self.admission = Admission(services.settings.max_in_flight if services else 0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        head = _Head.of(scope["headers"])
        exchange = _Exchange(self, scope, send, head.request_id or secrets.token_hex(8))
        try:
            if exchange.admitted(self._weight(scope["path"], head)):
                await self._answer(exchange, head, receive)
            else:
                error = Overloaded("the server has as much work in hand as it takes on; try again in a second")
                await problems.of_error(Request(scope), error)(scope, receive, exchange.send)
        except ClientDisconnect:  # no fault of ours; the answer is for the log line and the counters
            await problems.problem(Request(scope), 400, "invalid-argument", CUT_OFF)(scope, receive, exchange.send)
        except Exception:
            log.exception("a request failed", extra={"data": {"request_id": exchange.request_id}})
            answer = problems.problem(Request(scope), 500, "internal", "the server failed; its log has the reason")
            await answer(scope, receive, exchange.send)
        finally:
            exchange.end()

    async def _answer(self, exchange: "_Exchange", head: "_Head", receive: Receive) -> None:
        scope, send = exchange.scope, exchange.send
        method, path = scope["method"], scope["path"]
        for direct in self.direct:
            if direct.method in {None, method} and direct.paths.match(path):
                left = await self._limited(direct.shortcut, scope, head, receive, send)
                if left is None:
                    return
                receive = left
        if self.verbs.are_without(method, path):
            refused = problems.problem(Request(scope), 405, "method-not-allowed", "Method Not Allowed")
            await refused(scope, receive, send)
            return
        if method in {"HEAD", "OPTIONS"} and (verbs := self.verbs.of(path)):
            if method == "OPTIONS":
                await Response(status_code=204, headers={"Allow": ", ".join(verbs)})(scope, receive, send)
                return
            scope["state"]["head"] = True
            exchange.scope = {**scope, "method": "GET"}  # the HTTP server leaves the body out
        await self._limited(self.app, exchange.scope, head, receive, send)

    def _weight(self, path: str, head: "_Head") -> int:
        """0 for what has to be answered under any load, and for streams, which wait more than they work."""
        if self.services is None or path in PROBES or self._streams(path):
            return 0
        return weight(head.length, chunked=head.chunked)

    def _streams(self, path: str) -> bool:
        return any(pattern.match(path) for pattern in self.streamed)

    async def _limited(
        self, app: Callable[[Scope, Receive, Send], Awaitable[T]], scope: Scope, head: "_Head", receive: Receive, send: Send
    ) -> T | None:
        """Refuse a body over the limit: by its announced length at once, else when it has come."""
        if self._streams(scope["path"]):
            return await app(scope, receive, send)
        limit = self.services.settings.max_body_bytes if self.services else 0
        if head.length > limit:
            await _too_large(scope, limit)(scope, receive, send)
            return None
        if head.chunked:
            body = await received(receive, limit)
            if len(body) > limit:
                await _too_large(scope, limit)(scope, receive, send)
                return None
            receive = replaying(body, receive)
        return await app(scope, receive, send)


class _Exchange:
    """One request and its answer: what is held for it, and what the log line and the counters tell of it."""

    def __init__(self, envelope: Envelope, scope: Scope, send: Send, request_id: str) -> None:
        self.scope = scope
        self.request_id = request_id
        self._envelope = envelope
        self._send = send
        self._method = scope["method"]
        self._began = time.perf_counter()
        self._status = 500
        self._taken = 0
        scope.setdefault("state", {})["request_id"] = request_id

    def admitted(self, weight: int) -> bool:
        if not self._envelope.admission.admit(weight):
            return False
        self._taken = weight
        return True

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._release()  # the work is done, however slowly the client reads
            status = self._status = message["status"]
            allow = ", ".join(self._envelope.verbs.of(self.scope["path"])) if status == 405 else ""
            message["headers"] = _completed(message.get("headers", ()), self.request_id, allow)
        await self._send(message)

    def end(self) -> None:
        self._release()
        seconds, services = time.perf_counter() - self._began, self._envelope.services
        route = getattr(self.scope.get("route"), "path", "other")
        if services is not None:
            services.observer.note(self._method, route, self._status, seconds)
        if log.isEnabledFor(logging.INFO):
            data = {"method": self._method, "route": route, "status": self._status, "ms": round(seconds * 1000, 2)}
            log.info("request", extra={"data": data | {"request_id": self.request_id}})

    def _release(self) -> None:
        self._envelope.admission.release(self._taken)
        self._taken = 0


def _completed(headers: Iterable[tuple[bytes, bytes]], request_id: str, allow: str) -> list[tuple[bytes, bytes]]:
    """Of an answer: its own headers, and ours where it has none of that name. `allow`: all verbs, where the router knows one."""
    own = [one for one in headers if one[0] != b"allow"] if allow else list(headers)
    given = {name for name, _ in own}
    own.append((b"x-request-id", request_id.encode()))
    own += SECURITY_HEADERS if given.isdisjoint(_SECURED) else [one for one in SECURITY_HEADERS if one[0] not in given]
    if allow:
        own.append((b"allow", allow.encode()))
    return own


async def received(receive: Receive, limit: float = math.inf) -> bytes:
    """The body, up to the first piece over the limit. Raises ClientDisconnect."""
    whole = bytearray()
    while len(whole) <= limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        piece = message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(whole) + piece if whole else bytes(piece)
        whole += piece
    return bytes(whole)


def replaying(body: bytes, upstream: Receive) -> Receive:
    """A body that has been read already, for whom it is read to next."""
    whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return whole.pop() if whole else await upstream()

    return receive


def _too_large(scope: Scope, limit: int) -> Response:
    return problems.problem(Request(scope), 413, "too-large", f"the body is over {limit} bytes")


@dataclass(frozen=True, slots=True)
class _Head:
    """What the envelope needs of a request's headers."""

    length: int
    """0 where none is announced, or what is announced is no number."""

    chunked: bool
    request_id: str | None
    """The caller's, if it can stand in a header and a log line."""

    @classmethod
    def of(cls, headers: Iterable[tuple[bytes, bytes]]) -> "_Head":
        length, chunked, request_id = 0, False, None
        for name, value in headers:
            if name == b"content-length":
                length = int(value) if value.isdigit() else 0
            elif name == b"transfer-encoding":
                chunked = True
            elif name == b"x-request-id":
                text = value.decode("latin-1")
                request_id = text if text and len(text) <= 128 and text.isascii() and text.isprintable() else None
        return cls(length, chunked, request_id)
