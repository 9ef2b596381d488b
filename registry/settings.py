"""The settings of a server: flags of `lineal-server serve`, or `LINEAL_*` in the environment; a flag wins.

docs/settings.md lists them all; a test compares.
"""

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from registry.errors import InvalidArgument

EVERYWHERE = "install"
"""In place of a workspace: all of them."""

ANONYMOUS = re.compile(r"(viewer|contributor|approver|admin)@(.+)")


@dataclass(frozen=True)
class Settings:
    """Every field is a flag (`--data-dir`) and a variable (`LINEAL_DATA_DIR`)."""

    http: str = "127.0.0.1:8080"
    """HOST:PORT to listen on. Loopback by default: any other host needs a token or `insecure`. Port 0 takes a free one."""

    grpc: str = ""
    """HOST:PORT of the ML Metadata door; empty: closed. The rule for hosts that are not loopback is that of `http`."""

    grpc_tls_cert: str = ""
    """PEM file of that port's certificate, then of those that it rests on; empty: no TLS. Read again when it changes."""

    grpc_tls_key: str = ""
    """PEM file of the certificate's private key."""

    anonymous_mlmd: str = ""
    """Whom the ML Metadata door takes a caller without credentials for: ROLE@WORKSPACE, or ROLE@install; empty: nobody."""

    mlmd_platform: bool = False
    """One metadata service for an installation of Kubeflow Pipelines: a run's `namespace` is its workspace."""

    mlmd_prefix: str = ""
    """What stands before the paths of the ML Metadata door on the HTTP port, beside those at the root."""

    data_dir: str = "lineal-data"
    """Folder of the embedded default: the SQLite file and the local object store. Made if missing."""

    db: str = ""
    """SQLAlchemy URL of the database; empty: SQLite in the data folder."""

    store: str = ""
    """URL of the object store (`file:///path`, `s3://bucket/prefix?endpoint=…`); empty: a folder in the data folder."""

    public_url: str = ""
    """URL at which clients reach the HTTP port, for links to files of a local store; empty: made from `http`."""

    insecure: bool = False
    """Serve without authentication on an address that is not loopback. Off: nobody should do this by accident."""

    workers: int = 1
    """Processes that share the port. More than one needs a database server: SQLite has one writer."""

    statement_timeout_s: float = 30.0
    """Seconds after which a statement is stopped and the call answers 503."""

    max_body_bytes: int = 16 * 1024 * 1024
    """Bytes of a JSON body; larger ones are refused with 413. File uploads are not limited by it."""

    max_in_flight: int = 256
    """Calls that a process works on at once, each counted once and once more per 8 KiB of body; more is refused with 429.

    The gRPC port takes on as many, each counted once; more is refused with RESOURCE_EXHAUSTED.
    """

    mlmd_lineage_max_nodes: int = 100_000
    """Artifacts and executions in one answer of the ML Metadata door's lineage; more is refused with RESOURCE_EXHAUSTED."""

    static_prefix: str = ""
    """What stands before the paths of the MLflow door, as `/mlflow`; empty: nothing."""

    log_level: str = "info"
    """debug, info, warning or error."""

    @property
    def host(self) -> str:
        return self.http.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.http.rpartition(":")[2])

    @property
    def base_url(self) -> str:
        """Without a slash at its end. Who listens on every address is reached by the machine's name."""
        host = socket.gethostname() if self.host in {"0.0.0.0", "::", ""} else self.host  # noqa: S104  (it compares)
        return self.public_url.rstrip("/") or f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def exposed(self) -> str:
        """The first address that is not loopback and wants credentials; empty if there is none."""
        wanted = (self.http, "" if self.anonymous_mlmd else self.grpc)
        return next((address for address in wanted if address and not _is_loopback(address)), "")

    @property
    def db_url(self) -> str:
        return self.db or f"sqlite:///{Path(self.data_dir).absolute() / 'lineal.db'}"

    @property
    def store_url(self) -> str:
        return self.store or (Path(self.data_dir).absolute() / "files").as_uri()


def load(flags: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Settings:
    """Flags that are None were not given.

    Raises InvalidArgument: names the setting and what is wrong with its value.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    for field in fields(Settings):
        variable = f"LINEAL_{field.name.upper()}"
        if flags.get(field.name) is not None:
            values[field.name] = flags[field.name]
        elif environ.get(variable):
            values[field.name] = _parsed(variable, environ[variable], type(field.default))
    made = Settings(**values)
    for name, address in (("http", made.http), ("grpc", made.grpc or made.http)):
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise InvalidArgument(f"{name}: {address!r} is not HOST:PORT")
    _check_doors(made)
    if made.workers < 1 or (made.workers > 1 and made.db_url.startswith("sqlite")):
        raise InvalidArgument(f"workers: {made.workers} is not possible: at least 1, and exactly 1 on SQLite")
    return made


def _check_doors(made: Settings) -> None:
    for name, prefix in (("static_prefix", made.static_prefix), ("mlmd_prefix", made.mlmd_prefix)):
        if prefix and not re.fullmatch(r"(/[\w.~-]+)+", prefix):
            raise InvalidArgument(f"{name}: {prefix!r} is not a path such as /mlflow")
    if made.public_url and not re.fullmatch(r"https?://[^/?#\s]+(/[^?#\s]*)?", made.public_url):
        raise InvalidArgument(f"public_url: {made.public_url!r} is not a URL such as https://lineal.example.org")
    if bool(made.grpc_tls_cert) != bool(made.grpc_tls_key):
        raise InvalidArgument("grpc_tls_cert and grpc_tls_key: one needs the other")
    for name, file in (("grpc_tls_cert", made.grpc_tls_cert), ("grpc_tls_key", made.grpc_tls_key)):
        if file and not os.access(file, os.R_OK):
            raise InvalidArgument(f"{name}: {file} cannot be read")
    if made.anonymous_mlmd and not ANONYMOUS.fullmatch(made.anonymous_mlmd):
        raise InvalidArgument(f"anonymous_mlmd: {made.anonymous_mlmd!r} is not ROLE@WORKSPACE, as contributor@install")


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    return host in {"127.0.0.1", "::1", "localhost"} or host.startswith("127.")


def _parsed(variable: str, text: str, kind: type) -> Any:
    try:
        if kind is bool:
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[text.lower()]
        return kind(text)
    except (KeyError, ValueError):
        raise InvalidArgument(f"{variable}: {text!r} is not a {kind.__name__}") from None
