"""The composition root of the server: what is opened at start, every router, what happens to each request.

`create_app` makes the routes (enough for OpenAPI); `open_services` opens the database and the store.
"""

import asyncio
import contextlib
import logging
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from registry import migrate
from registry.api import problems
from registry.api.rest import experiments, reports, runs, service
from registry.api.services import Services, now_ms
from registry.catalog.idempotency import sweep
from registry.catalog.sealing import seal
from registry.catalog.tokens import any_token
from registry.catalog.workspaces import bootstrap
from registry.db.engine import open_database
from registry.db.runner import Runner
from registry.errors import InvalidArgument
from registry.settings import Settings
from storage.config import open_store

log = logging.getLogger("lineal.server")
SEAL_EVERY_S = 1.0
SWEEP_EVERY_S = 3600.0
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def open_services(settings: Settings) -> Services:
    """Open the database (migrating it) and the store.

    Raises:
        InvalidArgument: an address that is not loopback, with no token in the store and without `insecure`.
        Unavailable: database or store cannot be used, or another server holds the SQLite file.
    """
    Path(settings.data_dir).mkdir(parents=True, exist_ok=True)
    database = open_database(settings.db_url, statement_timeout_s=settings.statement_timeout_s)
    database.hold()
    migrate.upgrade(database)
    runner = Runner(database)
    runner.write(lambda session: bootstrap(session, now=now_ms()), replayable=True)
    login = not (settings.is_loopback or settings.insecure)
    if login and not runner.read(any_token):
        runner.close()
        raise InvalidArgument(
            f"{settings.http} is not loopback and nobody could log in: make a token first "
            "(lineal-server token create NAME --role admin), or serve with --insecure"
        )
    store = open_store(settings.store_url)
    store.prepare()
    return Services(settings, runner, store, login)


def create_app(services: Services | None = None) -> FastAPI:
    """Without services only to read its OpenAPI."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        assert services is not None, "an app without services serves nothing"  # noqa: S101
        chores = [
            asyncio.create_task(_every(SEAL_EVERY_S, lambda: services.runner.awrite(seal, replayable=True))),
            asyncio.create_task(
                _every(SWEEP_EVERY_S, lambda: services.runner.awrite(lambda session: sweep(session, now=now_ms())))
            ),
        ]
        yield
        for chore in chores:
            chore.cancel()
        await asyncio.gather(*chores, return_exceptions=True)
        await asyncio.to_thread(services.runner.close)

    app = FastAPI(
        title="Lineal",
        version="1",
        description="The metadata and model registry store for Kubernetes ML. Ids, errors and paging: docs/rest.md.",
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    app.state.services = services
    for router in (service.probes, experiments.router, runs.router, reports.router, service.router):
        app.include_router(router)
    problems.install(app)
    app.add_middleware(Requests, services=services)
    return app


async def _every(seconds: float, chore: Any) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await chore()
        except Exception:
            log.exception("a background task failed and will be tried again")


class Requests:
    """Around every request: its id, its log line and metrics, the limit of its body, the security headers, the last resort."""

    def __init__(self, app: ASGIApp, services: Services | None) -> None:
        self.app = app
        self.services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = _usable_id(headers.get("x-request-id")) or secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        began, status = time.perf_counter(), 500

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                outgoing = MutableHeaders(scope=message)
                outgoing["X-Request-Id"] = request_id
                for name, value in SECURITY_HEADERS.items():
                    outgoing.setdefault(name, value)
            await send(message)

        try:
            await self._limited(scope, headers, receive, sending)
        except Exception:
            log.exception("a request failed", extra={"data": {"request_id": request_id}})
            answer = problems.problem(Request(scope), 500, "internal", "the server failed; its log has the reason")
            await answer(scope, receive, sending)
        finally:
            self._note(scope, status, time.perf_counter() - began, request_id)

    async def _limited(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        """Refuse a body over the limit: by its announced length at once, else when it has come."""
        limit = self.services.settings.max_body_bytes if self.services else 0
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > limit:
            await problems.problem(Request(scope), 413, "too-large", f"the body is over {limit} bytes")(scope, receive, send)
            return
        if "transfer-encoding" in headers:
            received = bytearray()
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                received += message.get("body", b"")
                more = message.get("more_body", False)
                if len(received) > limit:
                    answer = problems.problem(Request(scope), 413, "too-large", f"the body is over {limit} bytes")
                    await answer(scope, receive, send)
                    return
            whole: list[Message] = [{"type": "http.request", "body": bytes(received), "more_body": False}]
            upstream = receive

            async def replayed() -> Message:
                return whole.pop() if whole else await upstream()

            receive = replayed
        await self.app(scope, receive, send)

    def _note(self, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        route = getattr(scope.get("route"), "path", "other")
        if self.services is not None:
            self.services.observer.note(scope["method"], route, status, seconds)
        data = {
            "method": scope["method"],
            "route": route,
            "status": status,
            "ms": round(seconds * 1000, 2),
            "request_id": request_id,
        }
        log.info("request", extra={"data": data})


def _usable_id(given: str | None) -> str | None:
    """A caller's request id, if it can stand in a header and a log line."""
    return given if given and len(given) <= 128 and given.isascii() and given.isprintable() else None
