"""Where the cluster is and who we are there: a kubeconfig's context, or the pod's own service account.

The form of a kubeconfig: kubernetes.io/docs/reference/config-api/kubeconfig.v1.
"""

import base64
import binascii
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from agent.cluster.credentials import AccessError, Credentials, Fixed, Program, TokenFile, load_pair
from agent.values import as_list, as_map, text

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class Access:
    server: str
    """Without a slash at the end."""
    context: ssl.SSLContext
    credentials: Credentials
    namespace: str
    """The one that the context or the pod is in."""
    server_name: str | None = None
    """That the server's certificate has to be for, where it is not the address's."""
    proxy: str | None = None
    headers: tuple[tuple[str, str], ...] = field(default=())
    """Of every request: whom to act as."""


def find_access(kubeconfig: str | None, context: str | None, environ: Mapping[str, str] = os.environ) -> Access:
    """The named kubeconfig, else that of KUBECONFIG, else the pod's service account, else ~/.kube/config.

    Raises AccessError.
    """
    named = kubeconfig or environ.get("KUBECONFIG")
    if named:
        return from_kubeconfig([Path(part) for part in named.split(os.pathsep) if part], context)
    if environ.get("KUBERNETES_SERVICE_HOST") and not context:
        return in_cluster(environ)
    return from_kubeconfig([Path.home() / ".kube" / "config"], context)


def in_cluster(environ: Mapping[str, str], folder: Path = SERVICE_ACCOUNT) -> Access:
    """Raises AccessError: not in a pod, or it has no service account."""
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host:
        raise AccessError("this is no pod: KUBERNETES_SERVICE_HOST is not set")
    try:
        authority = ssl.create_default_context(cafile=str(folder / "ca.crt"))
        namespace = (folder / "namespace").read_text("utf-8").strip()
    except (OSError, ssl.SSLError) as error:
        raise AccessError(f"the pod has no service account in {folder}: {error}") from error
    return Access(
        f"https://{f'[{host}]' if ':' in host else host}:{port}", authority, TokenFile(folder / "token"), namespace or "default"
    )


def from_kubeconfig(files: list[Path], context: str | None = None) -> Access:
    """Of several files the first that has an entry of a name gives it, as kubectl does. Raises AccessError."""
    merged = _Merged()
    for file in files:
        merged.add(file)
    if not merged.found:
        raise AccessError(f"there is no kubeconfig: {', '.join(map(str, files))}")
    name = context or merged.current
    if name is None:
        raise AccessError("the kubeconfig has no current-context; name one")
    chosen = merged.entry("contexts", name)
    cluster, user = (
        merged.entry("clusters", text(chosen.data.get("cluster"))),
        merged.entry("users", text(chosen.data.get("user"))),
    )
    server = text(cluster.data.get("server"))
    if server is None or not server.startswith(("https://", "http://")):
        raise AccessError(f"the kubeconfig's cluster for context {name!r} names no server")
    trust = _trust(cluster)
    return Access(
        server.rstrip("/"),
        trust,
        _credentials(user, trust),
        text(chosen.data.get("namespace")) or "default",
        server_name=text(cluster.data.get("tls-server-name")),
        proxy=text(cluster.data.get("proxy-url")),
        headers=_acting_as(user.data),
    )


@dataclass(frozen=True, slots=True)
class _Entry:
    """One cluster, user or context. Paths in it start from the folder of its file."""

    data: dict[str, Any]
    folder: Path

    def path(self, key: str) -> Path | None:
        named = text(self.data.get(key))
        return self.folder / named if named else None

    def bytes(self, key: str) -> bytes | None:
        """Of `KEY-data`, else of the file that KEY names."""
        inline, file = text(self.data.get(f"{key}-data")), self.path(key)
        try:
            return base64.b64decode(inline, validate=True) if inline else file.read_bytes() if file else None
        except (OSError, binascii.Error) as error:
            raise AccessError(f"the kubeconfig's {key} cannot be read: {error}") from error


class _Merged:
    def __init__(self) -> None:
        self.current: str | None = None
        self.found = False
        self._entries: dict[tuple[str, str], _Entry] = {}

    def add(self, file: Path) -> None:
        if not file.exists():
            return
        try:
            content = as_map(yaml.safe_load(file.read_text("utf-8")))
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            raise AccessError(f"the kubeconfig {file} cannot be read: {' '.join(str(error).split())}") from error
        self.found = True
        self.current = self.current or text(content.get("current-context"))
        for section, member in (("clusters", "cluster"), ("users", "user"), ("contexts", "context")):
            for item in map(as_map, as_list(content.get(section))):
                key = (section, text(item.get("name")) or "")
                self._entries.setdefault(key, _Entry(as_map(item.get(member)), file.parent))

    def entry(self, section: str, name: str | None) -> _Entry:
        found = self._entries.get((section, name or ""))
        if found is None:
            raise AccessError(f"the kubeconfig has no {name!r} among its {section}")
        return found


def _trust(cluster: _Entry) -> ssl.SSLContext:
    authority = cluster.bytes("certificate-authority")
    try:
        context = ssl.create_default_context(cadata=authority.decode() if authority else None)
    except (ssl.SSLError, ValueError) as error:
        raise AccessError(f"the kubeconfig's certificate-authority cannot be used: {error}") from error
    if cluster.data.get("insecure-skip-tls-verify") is True:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _credentials(user: _Entry, context: ssl.SSLContext) -> Credentials:
    certificate, key = user.bytes("client-certificate"), user.bytes("client-key")
    if certificate and key:
        load_pair(context, certificate, key)
    program = as_map(user.data.get("exec"))
    command = text(program.get("command"))
    if command:
        local = "/" in command and not Path(command).is_absolute()
        arguments = [str(argument) for argument in as_list(program.get("args"))]
        variables = {str(item.get("name")): str(item.get("value")) for item in map(as_map, as_list(program.get("env")))}
        version = text(program.get("apiVersion")) or "client.authentication.k8s.io/v1"
        return Program([str(user.folder / command) if local else command, *arguments], variables, version, context)
    if user.data.get("auth-provider"):
        raise AccessError("the kubeconfig's user has an auth-provider, which Kubernetes 1.26 removed; use its exec plugin")
    file = user.path("tokenFile")
    return TokenFile(file) if file else Fixed(text(user.data.get("token")))


def _acting_as(user: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    name = text(user.get("as"))
    groups = [("Impersonate-Group", str(group)) for group in as_list(user.get("as-groups"))]
    return (("Impersonate-User", name), *groups) if name else ()
