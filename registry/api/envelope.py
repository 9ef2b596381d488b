"""What surrounds every request of every door: its id, log line and counters, the limit of its body, security headers, and
the answers that no route gives (HEAD, OPTIONS, `Allow` of a 405, the last resort 500).
"""

import logging
import re
import secrets
import time
from collections.abc import Iterable, Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from registry.api import problems
from registry.api.admission import Admission, weight
from registry.api.services import Services
from registry.errors import Overloaded

log = logging.getLogger("lineal.server")
PROBES = {"/healthz", "/readyz", "/metrics", "/health"}
STREAMED = "/api/v1/files/"
"""Bodies under this path are files: they stream through and have no limit here."""

CUT_OFF = "the body was cut off"

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


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


class Envelope:
    def __init__(self, app: ASGIApp, services: Services | None, verbs: Verbs) -> None:
        self.app = app
        self.services = services
        self.verbs = verbs
        self.admission = Admission(services.settings.max_in_flight if services else 0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = _usable_id(headers.get("x-request-id")) or secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        method, path, began, status = scope["method"], scope["path"], time.perf_counter(), 500
        taken = 0

        async def sending(message: Message) -> None:
            nonlocal status, taken
            if message["type"] == "http.response.start":
                self.admission.release(taken)  # the work is done, however slowly the client reads
                taken = 0
                status = message["status"]
                outgoing = MutableHeaders(scope=message)
                outgoing["X-Request-Id"] = request_id
                for name, value in SECURITY_HEADERS.items():
                    outgoing.setdefault(name, value)
                if status == 405 and (verbs := self.verbs.of(path)):
                    outgoing["Allow"] = ", ".join(verbs)
            await send(message)

        inner: Scope = scope
        try:
            if self.verbs.are_without(method, path):
                refused = problems.problem(Request(scope), 405, "method-not-allowed", "Method Not Allowed")
                await refused(scope, receive, sending)
                return
            if method in {"HEAD", "OPTIONS"} and (verbs := self.verbs.of(path)):
                if method == "OPTIONS":
                    await Response(status_code=204, headers={"Allow": ", ".join(verbs)})(scope, receive, sending)
                    return
                scope["state"]["head"] = True
                inner = {**scope, "method": "GET"}  # the HTTP server leaves the body out
            wanted = self._weight(path, headers)
            if not self.admission.admit(wanted):
                error = Overloaded("the server has as much work in hand as it takes on; try again in a second")
                await problems.of_error(Request(scope), error)(scope, receive, sending)
                return
            taken = wanted
            await self._limited(inner, headers, receive, sending)
        except ClientDisconnect:  # no fault of ours; the answer is for the log line and the counters
            await problems.problem(Request(scope), 400, "invalid-argument", CUT_OFF)(scope, receive, sending)
        except Exception:
            log.exception("a request failed", extra={"data": {"request_id": request_id}})
            answer = problems.problem(Request(scope), 500, "internal", "the server failed; its log has the reason")
            await answer(scope, receive, sending)
        finally:
            self.admission.release(taken)
            self._note(method, inner, status, time.perf_counter() - began, request_id)

    def _weight(self, path: str, headers: Headers) -> int:
        """0 for what has to be answered under any load, and for streams, which wait more than they work."""
        if self.services is None or path in PROBES or path.startswith(STREAMED):
            return 0
        return weight(headers.get("content-length"), chunked="transfer-encoding" in headers)

    async def _limited(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        """Refuse a body over the limit: by its announced length at once, else when it has come."""
        if scope["path"].startswith(STREAMED):
            await self.app(scope, receive, send)
            return
        limit = self.services.settings.max_body_bytes if self.services else 0
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > limit:
            await _too_large(scope, limit)(scope, receive, send)
            return
        if "transfer-encoding" in headers:
            received = await _received(receive, limit)
            if len(received) > limit:
                await _too_large(scope, limit)(scope, receive, send)
                return
            receive = _replaying(bytes(received), receive)
        await self.app(scope, receive, send)

    def _note(self, method: str, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        route = getattr(scope.get("route"), "path", "other")
        if self.services is not None:
            self.services.observer.note(method, route, status, seconds)
        data = {"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 2), "request_id": request_id}
        log.info("request", extra={"data": data})


async def _received(receive: Receive, limit: int) -> bytearray:
    """The body, up to the first piece over the limit. Raises ClientDisconnect."""
    received = bytearray()
    more = True
    while more and len(received) <= limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        received += message.get("body", b"")
        more = message.get("more_body", False)
    return received


def _replaying(body: bytes, upstream: Receive) -> Receive:
    whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return whole.pop() if whole else await upstream()

    return receive


def _too_large(scope: Scope, limit: int) -> Response:
    return problems.problem(Request(scope), 413, "too-large", f"the body is over {limit} bytes")


def _usable_id(given: str | None) -> str | None:
    """A caller's request id, if it can stand in a header and a log line."""
    return given if given and len(given) <= 128 and given.isascii() and given.isprintable() else None
