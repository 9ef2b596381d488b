"""ML Metadata's own client, connected to a server of ours: `pip install lineal[mlmd]`, then `lineal.mlmd.store()`.

Its calls carry the token and the workspace of this environment. Everything else is as its own documentation says.
"""

import contextlib
import importlib
import io
import os
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lineal.errors import LinealError

DEFAULT_ADDRESS = "127.0.0.1:9080"
MAX_MESSAGE_BYTES = 100 * 1024 * 1024


def store(
    address: str | None = None,
    *,
    token: str | None = None,
    workspace: str | None = None,
    certificate: str | Path | None = None,
    timeout_s: float | None = None,
) -> Any:
    """A connected `ml_metadata.MetadataStore`.

    `address` (HOST:PORT) defaults to LINEAL_MLMD, `token` to LINEAL_TOKEN, `workspace` to LINEAL_WORKSPACE. `certificate`: a PEM
    file of who is trusted, for a port with TLS. `timeout_s`: of a call; None waits.

    Raises LinealError: the package is not installed, or the address is none.
    """
    package = _package()
    proto = importlib.import_module("ml_metadata.proto.metadata_store_pb2")
    where = address or os.environ.get("LINEAL_MLMD") or DEFAULT_ADDRESS
    host, _, port = where.rpartition(":")
    if not host or not port.isdigit():
        raise LinealError(f"{where!r} is not HOST:PORT")
    config = proto.MetadataStoreClientConfig(host=host, port=int(port))
    config.channel_arguments.max_receive_message_length = MAX_MESSAGE_BYTES
    if certificate is not None:
        config.ssl_config.custom_ca = Path(certificate).read_text("ascii")
    if timeout_s is not None:
        config.client_timeout_sec = timeout_s
    sent = []
    if found := token or os.environ.get("LINEAL_TOKEN"):
        sent.append(("authorization", f"Bearer {found}"))
    if found := workspace or os.environ.get("LINEAL_WORKSPACE"):
        sent.append(("x-lineal-workspace", found))
    return _connected(package, config, sent)


def _connected(package: Any, config: Any, sent: list[tuple[str, str]]) -> Any:
    import grpc

    class Sending(grpc.UnaryUnaryClientInterceptor):
        def intercept_unary_unary(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
            return continuation(details._replace(metadata=[*(details.metadata or ()), *sent]), request)

    class Store(package.MetadataStore):  # type: ignore[misc]  # of the installed version
        def _get_channel(self, config: Any) -> Any:
            return grpc.intercept_channel(super()._get_channel(config), Sending())

    return Store(config)


def _package() -> Any:
    """`ml_metadata`. Its C++ part, which newer versions cannot load on older systems, is not used over the network."""
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # where it says that it could not load that part
            package = importlib.import_module("ml_metadata")
            if hasattr(package, "MetadataStore"):
                return package
            for name in [name for name in sys.modules if name.partition(".")[0] == "ml_metadata"]:
                del sys.modules[name]
            stub = types.ModuleType("ml_metadata.metadata_store.pywrap.metadata_store_extension")
            stub.metadata_store = types.ModuleType("metadata_store")  # type: ignore[attr-defined]
            sys.modules[stub.__name__] = stub
            package = importlib.import_module("ml_metadata")
    except ImportError as error:
        raise LinealError("ML Metadata's client is not installed: pip install 'lineal[mlmd]'") from error
    if not hasattr(package, "MetadataStore"):
        raise LinealError("the installed ml-metadata cannot be used: its MetadataStore is missing")
    return package
