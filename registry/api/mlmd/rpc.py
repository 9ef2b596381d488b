"""The gRPC server of the door: `grpc.aio` in the event loop of the HTTP server, on a port of its own.

A call's bytes are parsed here, so that what is no message is the caller's fault and not ours. Authentication is by metadata:
`authorization: Bearer <token>` and `x-lineal-workspace`, as on HTTP.
"""

import asyncio
import itertools
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from registry.api.mlmd.descriptors import Method, health, service
from registry.api.mlmd.methods import READS, WRITES
from registry.api.mlmd.requests import check_texts
from registry.api.mlmd.writing import Call, OutOfRange
from registry.api.problems import TABLE
from registry.api.services import Services, identified, now_ms
from registry.catalog.actors import Actor
from registry.errors import InvalidArgument, NotSupported, RegistryError, TooLarge, Unavailable

log = logging.getLogger("lineal.mlmd")
MAX_MESSAGE = 100 * 1024 * 1024
LARGE = 256 * 1024
"""Bytes of a request from which on a thread takes it apart: the event loop is everybody's."""

BY_ID = {
    "GetArtifactsByID",
    "GetExecutionsByID",
    "GetContextsByID",
    "GetEventsByExecutionIDs",
    "GetEventsByArtifactIDs",
    "GetParentContextsByContexts",
    "GetChildrenContextsByContexts",
}
"""Whose ids are asked for in parts: a client that was given a lineage of 100,000 nodes may want them all."""

MAX_METADATA = 16 * 1024
MAX_ENTRIES = 20_000
"""In the lists of one request: up to three parameters of a statement each, and PostgreSQL takes 65,535."""

MAX_REASON = 4_000
"""Bytes of an error's text as it is sent; a client's limit for all metadata is 8 KB."""

DRAIN_S = 10.0
"""Seconds that calls which have begun may take after the server was told to stop."""

Context = grpc.aio.ServicerContext[bytes, bytes]


@asynccontextmanager
async def serving(services: Services, address: str, *, shared: bool = False) -> AsyncIterator[int]:
    """Serve until the block ends, then drain; gives the port. `shared`: other processes listen there too.

    Raises Unavailable: the address cannot be had.
    """
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", MAX_MESSAGE),
            ("grpc.max_send_message_length", MAX_MESSAGE),
            ("grpc.max_metadata_size", MAX_METADATA),
            ("grpc.so_reuseport", int(shared)),
        ]
    )
    server.add_generic_rpc_handlers((_Door(services),))
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise Unavailable(f"{address} is taken by another program, or is no address of this machine") from error
    await server.start()
    log.info("the ML Metadata door listens on %s:%d", address.rpartition(":")[0], port)
    try:
        yield port
    finally:
        await server.stop(DRAIN_S)


class _Door(grpc.GenericRpcHandler):
    """Finds the method; what the service does not have is UNIMPLEMENTED, by gRPC itself."""

    def __init__(self, services: Services) -> None:
        self._handlers: dict[str, Any] = {
            f"/{service().name}/{method.name}": grpc.unary_unary_rpc_method_handler(_handler(services, method))
            for method in service().methods.values()
        }
        check = health().methods["Check"]
        self._handlers[f"/{health().name}/{check.name}"] = grpc.unary_unary_rpc_method_handler(_health)

    def service(self, handler_call_details: Any) -> Any:
        return self._handlers.get(handler_call_details.method)


async def _health(raw: bytes, context: Context) -> bytes:
    """For probes, which have no credentials. NOT_FOUND for a service that is not here, as gRPC's own servers say it."""
    check = health().methods["Check"]
    try:
        asked = str(check.request.FromString(raw).service)  # type: ignore[attr-defined]
    except (DecodeError, UnicodeDecodeError):
        asked = "?"
    if asked not in {"", service().name}:
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
    return check.response(status=1).SerializeToString()


def _handler(services: Services, method: Method) -> Callable[[bytes, Context], Awaitable[bytes]]:
    async def handle(raw: bytes, context: Context) -> bytes:
        try:
            actor = await _actor(services, context)
            response = await answered(services, method, raw, actor)
        except OutOfRange as error:
            await context.abort(grpc.StatusCode.OUT_OF_RANGE, str(error))
        except RegistryError as error:
            await context.abort(getattr(grpc.StatusCode, TABLE[type(error)].grpc), _printable(error.message))
        except Exception:
            log.exception("%s failed", method.name)
            await context.abort(grpc.StatusCode.INTERNAL, "a fault of the server: it is in its log")
        return response

    return handle


async def answered(services: Services, method: Method, raw: bytes, actor: Actor) -> bytes:
    """The response's bytes.

    Raises RegistryError.
    """
    large = len(raw) > LARGE
    request = await asyncio.to_thread(_parsed, method, raw) if large else _parsed(method, raw)
    call = Call(actor, now_ms(), request, method.response(), services.settings.mlmd_lineage_max_nodes)
    if method.name in WRITES:
        prepare = WRITES[method.name]
        prepared = await asyncio.to_thread(prepare, call) if large else prepare(call)
        prepared.answer(await services.runner.awrite(prepared.work))
    elif method.name in READS:
        await services.runner.aread(lambda session: READS[method.name](session, call))
    else:
        raise NotSupported(f"{method.name} is not served")
    body: bytes = call.response.SerializeToString()
    if len(body) > MAX_MESSAGE:
        raise TooLarge(f"the answer has {len(body)} bytes, at most {MAX_MESSAGE} can be sent: ask for pages (options)")
    return body


def _parsed(method: Method, raw: bytes) -> Any:
    request: Any = method.request()
    try:
        request.ParseFromString(raw)
        if not raw.isascii() or 0 in raw:
            check_texts(request)
    except (DecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"the request is no {method.name}Request: {error}") from error
    entries = sum(len(value) for _, value in request.ListFields() if hasattr(value, "extend"))
    if entries > MAX_ENTRIES and method.name not in BY_ID:
        raise TooLarge(f"the request's lists have {entries} entries, at most {MAX_ENTRIES} are taken in a call")
    return request


async def _actor(services: Services, context: Context) -> Actor:
    """Raises Unauthenticated, NotFound (the workspace)."""
    found = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
    return await identified(
        services, found.get("authorization", ""), found.get("x-lineal-workspace"), request_id=uuid.uuid4().hex
    )


def _printable(text: str) -> str:
    """Cut where it would be longer than clients take a header to be: all but printable ASCII goes as three bytes for each."""
    plain = text.encode("utf-8", "backslashreplace").decode()[:MAX_REASON]
    size = itertools.accumulate(1 if " " <= one <= "~" and one != "%" else 3 * len(one.encode()) for one in plain)
    return plain[: sum(1 for sent in size if sent <= MAX_REASON)]
