"""The gRPC server of the door, on a port of its own: a thread for each call that is in hand (docs/decisions/0009).

gRPC's server in the event loop costs three times as much a call: a task, and a thread for the read that the loop waits for.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from registry.api.mlmd import reflection
from registry.api.mlmd.calls import MAX_MESSAGE, Refused, answered
from registry.api.mlmd.descriptors import health, service
from registry.api.services import Services
from registry.errors import Unavailable
from registry.settings import Settings

log = logging.getLogger("lineal.mlmd")
MAX_METADATA = 16 * 1024
DRAIN_S = 10.0
"""Seconds that calls which have begun may take after the server was told to stop."""

SILENT_MS = 60_000
"""After so long without a word a connection is asked whether somebody is there: who is not would keep a thread."""

TOOLS = 8
"""Streams of server reflection that are answered at once; they may stay open for as long as a tool likes, and others wait."""


@asynccontextmanager
async def serving(services: Services, address: str, *, shared: bool = False) -> AsyncIterator[int]:
    """Serve until the block ends, then drain; gives the port. `shared`: other processes listen there too.

    Raises Unavailable: the address cannot be had, or the certificate is not the key's.
    """
    limit = max(1, services.settings.max_in_flight)
    threads, tools = ThreadPoolExecutor(limit, thread_name_prefix="mlmd"), ThreadPoolExecutor(TOOLS)
    server = grpc.server(
        threads,
        maximum_concurrent_rpcs=limit,
        options=[
            ("grpc.max_receive_message_length", MAX_MESSAGE),
            ("grpc.max_send_message_length", MAX_MESSAGE),
            ("grpc.max_metadata_size", MAX_METADATA),
            ("grpc.so_reuseport", int(shared)),
            ("grpc.keepalive_time_ms", SILENT_MS),
        ],
    )
    server.add_generic_rpc_handlers((_Door(services, tools),))
    secure = _credentials(services.settings)
    try:
        port = server.add_insecure_port(address) if secure is None else server.add_secure_port(address, secure)
    except RuntimeError as error:
        pair = ", or certificate and key are no pair" if secure else ""
        raise Unavailable(f"{address} is taken by another program, or is no address of this machine{pair}") from error
    server.start()
    log.info("the ML Metadata door listens on %s:%d%s", address.rpartition(":")[0], port, " with TLS" if secure else "")

    def drain() -> None:
        server.stop(DRAIN_S).wait()
        threads.shutdown()  # who was cut off may still have a statement running
        tools.shutdown()

    try:
        yield port
    finally:
        await asyncio.to_thread(drain)


def _credentials(settings: Settings) -> grpc.ServerCredentials | None:
    """The files are looked at again with every connection: a certificate that was renewed needs no restart."""
    if not settings.grpc_tls_cert:
        return None
    certificate, key = Path(settings.grpc_tls_cert), Path(settings.grpc_tls_key)

    def pair() -> tuple[bytes, bytes]:
        return key.read_bytes(), certificate.read_bytes()

    held = pair()

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        nonlocal held
        try:
            found = pair()
        except OSError as error:
            log.warning("the certificate cannot be read, the one from before goes on: %s", error)
            return None
        if found == held:
            return None
        held = found
        return grpc.ssl_server_certificate_configuration([held])

    first = grpc.ssl_server_certificate_configuration([held])
    return grpc.dynamic_ssl_server_credentials(first, renewed)  # type: ignore[arg-type]  # None is how it is told: as before


class _Door(grpc.GenericRpcHandler):
    """Finds the method; what the service does not have is UNIMPLEMENTED, by gRPC itself."""

    def __init__(self, services: Services, tools: ThreadPoolExecutor) -> None:
        self._handlers: dict[str, Any] = {
            f"/{service().name}/{name}": grpc.unary_unary_rpc_method_handler(_handler(services, name))
            for name in service().methods
        }
        self._handlers[f"/{health().name}/Check"] = grpc.unary_unary_rpc_method_handler(_health)
        for asked in reflection.services():
            handle: Any = reflection.handler(asked)
            handle.experimental_thread_pool = tools  # grpc's own word
            self._handlers[f"/{asked.name}/ServerReflectionInfo"] = grpc.stream_stream_rpc_method_handler(handle)

    def service(self, handler_call_details: Any) -> Any:
        return self._handlers.get(handler_call_details.method)


def _health(raw: bytes, context: grpc.ServicerContext) -> bytes:
    """For probes, which have no credentials. NOT_FOUND for a service that is not here, as gRPC's own servers say it."""
    check = health().methods["Check"]
    try:
        asked = str(check.request.FromString(raw).service)  # type: ignore[attr-defined]
    except (DecodeError, UnicodeDecodeError):
        asked = "?"
    if asked not in {"", service().name}:
        context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
    return check.response(status=1).SerializeToString()


def _handler(services: Services, name: str) -> Callable[[bytes, grpc.ServicerContext], bytes]:
    def handle(raw: bytes, context: grpc.ServicerContext) -> bytes:
        metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        try:
            return answered(services, name, raw, metadata, context)
        except Refused as refused:
            context.abort(getattr(grpc.StatusCode, refused.code), refused.text)

    return handle
