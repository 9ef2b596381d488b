"""The settings of `lineal-agent run`: its flags, or variables in the environment; a flag wins.

docs/agent.md lists them all; a test compares.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlsplit

from agent.kind import Kind
from agent.kinds import KINDS

DEFAULT_SERVER = "http://127.0.0.1:8080"
_SHARED = {"server": "LINEAL_SERVER", "token": "LINEAL_TOKEN", "workspace": "LINEAL_WORKSPACE"}
"""Variables that the client and the other commands read, too."""


class WrongSetting(ValueError):
    """Names the setting and what is wrong with its value."""


@dataclass(frozen=True)
class Settings:
    """Every field is a flag (`--state-dir`) and a variable (`LINEAL_AGENT_STATE_DIR`)."""

    server: str = DEFAULT_SERVER
    """Address of the server."""

    token: str = ""
    """API token of the server."""

    token_file: str = ""
    """File with the token, read anew each minute; a projected service account token, say."""

    workspace: str = ""
    """Of objects without a namespace; empty: the token's."""

    cluster: str = ""
    """Name of the cluster, part of its objects' identity; empty: the home cluster. Several into one server need names."""

    kubeconfig: str = ""
    """File, or several with a colon between. Empty: KUBECONFIG, else the pod's service account, else ~/.kube/config."""

    context: str = ""
    """Of the kubeconfig; empty: its current one."""

    namespaces: str = ""
    """Names with commas between, each watched by itself; empty: the whole cluster."""

    kinds: str = ""
    """Names with commas between, as `Workflow,Trial`; empty: all that the agent knows."""

    selector: str = ""
    """Labels that objects must have, as `team=a,app!=test`."""

    state_dir: str = "lineal-agent-data"
    """Folder of what outlives a restart: positions, reports that wait, dead letters. Made if missing."""

    writers: int = 4
    """Reports that are sent at the same time."""

    queue_reports: int = 1000
    """Reports that wait in memory; more make the watch wait."""

    queue_bytes: int = 16 * 1024 * 1024
    """Bytes of them."""

    spool_bytes: int = 1024 * 1024 * 1024
    """Bytes that wait on disk, compressed, while the server is away; more make the watch wait."""

    page: int = 100
    """Objects in a page of a list, where the API server has no streaming list."""

    http: str = "127.0.0.1:8081"
    """HOST:PORT of /metrics and /healthz. Port 0 takes a free one."""

    stale_s: float = 300.0
    """Seconds without a word from the API server after which /healthz fails."""

    drain_s: float = 20.0
    """Seconds after SIGTERM for what waits to be sent; the rest goes to disk."""

    lease: str = ""
    """NAMESPACE/NAME of a Lease by which one of several agents works; empty: each works."""

    mark_persisted: bool = False
    """Label finished pipeline Workflows `pipeline/persistedFinalState` once they are kept, so that Kubeflow may remove them."""

    katib_db: str = ""
    """HOST:PORT of katib-db-manager, which has the histories of trials' metrics."""

    artifact_store: str = ""
    """Store of the cluster's pipelines, as `s3://mlpipeline?endpoint=http://minio:9000`: metrics files and logs of tasks."""

    argo_server: str = ""
    """Address of Argo's server, which has the nodes of Workflows that are too large."""

    argo_token_file: str = ""
    """File with the token for it, read anew each minute."""

    log_level: str = "info"
    """debug, info, warning or error."""

    @property
    def chosen_kinds(self) -> list[Kind]:
        wanted = _names(self.kinds)
        return [kind for kind in KINDS if not wanted or kind.name in wanted]

    @property
    def scopes(self) -> list[str | None]:
        """Namespaces; None for all."""
        return [*_names(self.namespaces)] or [None]


def load(flags: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Settings:
    """Flags that are None were not given. Raises WrongSetting."""
    values: dict[str, Any] = {}
    for field in fields(Settings):
        variable = variable_of(field.name)
        if flags.get(field.name) is not None:
            values[field.name] = flags[field.name]
        elif environ.get(variable):
            values[field.name] = _parsed(variable, environ[variable], type(field.default))
    made = Settings(**values)
    address = urlsplit(made.server)
    if address.scheme not in {"http", "https"} or not address.hostname:
        raise WrongSetting(f"server: {made.server!r} is not an address like {DEFAULT_SERVER}")
    host, _, port = made.http.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise WrongSetting(f"http: {made.http!r} is not HOST:PORT")
    unknown = set(_names(made.kinds)) - {kind.name for kind in KINDS}
    if unknown:
        raise WrongSetting(f"kinds: there is no {', '.join(sorted(unknown))}; there are {', '.join(k.name for k in KINDS)}")
    if made.lease and [bool(part) for part in made.lease.split("/")] != [True, True]:
        raise WrongSetting(f"lease: {made.lease!r} is not NAMESPACE/NAME")
    for name in ("writers", "queue_reports", "queue_bytes", "spool_bytes", "page"):
        if getattr(made, name) < 1:
            raise WrongSetting(f"{name}: {getattr(made, name)} is not possible: at least 1")
    return made


def variable_of(name: str) -> str:
    return _SHARED.get(name, f"LINEAL_AGENT_{name.upper()}")


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _parsed(variable: str, text: str, kind: type) -> Any:
    try:
        if kind is bool:
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[text.lower()]
        return kind(text)
    except (KeyError, ValueError):
        raise WrongSetting(f"{variable}: {text!r} is not a {kind.__name__}") from None
