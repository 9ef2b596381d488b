"""What proves to the API server who the agent is: nothing but the certificate, a token, a token file, a program's answer."""

import asyncio
import json
import os
import ssl
import tempfile
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from agent.values import as_map, text

TOKEN_AGE_S = 60.0
"""Bound service account tokens are written anew before they end; whoever reads the file each minute never has an old one."""
EXEC_TIMEOUT_S = 60.0
EARLY_S = 30.0
"""A program's credentials are asked for again this long before they end."""


class AccessError(Exception):
    """The cluster cannot be reached as configured; the text says what to mend."""


class Credentials(Protocol):
    async def headers(self) -> dict[str, str]:
        """For the next request. Raises AccessError."""

    def forget(self) -> None:
        """The server did not accept the last ones."""


@dataclass(slots=True)
class Fixed:
    """A token that does not change, or none: then the client certificate says who we are."""

    token: str | None = None

    async def headers(self) -> dict[str, str]:
        return _bearer(self.token)

    def forget(self) -> None:
        """There are no others."""


@dataclass(slots=True)
class TokenFile:
    path: Path
    _token: str | None = None
    _read_at: float = 0.0

    async def headers(self) -> dict[str, str]:
        if self._token is None or time.monotonic() - self._read_at > TOKEN_AGE_S:
            try:
                self._token, self._read_at = self.path.read_text("utf-8").strip(), time.monotonic()
            except (OSError, UnicodeDecodeError) as error:
                raise AccessError(f"the token file cannot be read: {error}") from error
        return _bearer(self._token)

    def forget(self) -> None:
        self._token = None


@dataclass(slots=True)
class Program:
    """A credential plugin of a kubeconfig (`client.authentication.k8s.io`), which prints an ExecCredential."""

    command: list[str]
    environ: dict[str, str]
    api_version: str
    context: ssl.SSLContext
    """Takes the client certificate, if the program gives one."""
    _token: str | None = None
    _ends_at: float = 0.0
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def headers(self) -> dict[str, str]:
        async with self._turn:
            if time.time() >= self._ends_at - EARLY_S:
                self._take(await self._run())
        return _bearer(self._token)

    def forget(self) -> None:
        self._ends_at = 0.0

    async def _run(self) -> bytes:
        info = {"apiVersion": self.api_version, "kind": "ExecCredential", "spec": {"interactive": False}}
        environ = {**os.environ, **self.environ, "KUBERNETES_EXEC_INFO": json.dumps(info)}
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(*self.command, env=environ, stdout=pipe, stderr=pipe)
        except OSError as error:
            raise AccessError(f"the credential plugin {self.command[0]!r} cannot be started: {error}") from error
        try:
            printed, said = await asyncio.wait_for(process.communicate(), EXEC_TIMEOUT_S)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise AccessError(f"the credential plugin {self.command[0]!r} took longer than {EXEC_TIMEOUT_S:.0f} s") from None
        if process.returncode:
            last = said.decode("utf-8", "replace").strip().splitlines()[-1:]
            raise AccessError(f"the credential plugin {self.command[0]!r} failed: {' '.join(last) or process.returncode}")
        return printed

    def _take(self, printed: bytes) -> None:
        try:
            status = as_map(as_map(json.loads(printed)).get("status"))
        except ValueError:
            status = {}
        self._token = text(status.get("token"))
        certificate, key = text(status.get("clientCertificateData")), text(status.get("clientKeyData"))
        if certificate and key:
            load_pair(self.context, certificate.encode(), key.encode())
        elif self._token is None:
            raise AccessError(f"the credential plugin {self.command[0]!r} printed no token and no certificate")
        self._ends_at = self._end_of(text(status.get("expirationTimestamp")))

    def _end_of(self, ends: str | None) -> float:
        if ends is None:
            return float("inf")
        try:
            return datetime.fromisoformat(ends).timestamp()
        except (ValueError, OverflowError) as error:
            raise AccessError(f"the credential plugin {self.command[0]!r} says a wrong time: {error}") from error


def load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Have the context show this certificate; ssl takes files only. Raises AccessError."""
    with tempfile.TemporaryDirectory() as folder:  # which nobody else may read
        pair = Path(folder) / "pair.pem"
        pair.write_bytes(certificate + b"\n" + key)
        try:
            context.load_cert_chain(pair)
        except (ssl.SSLError, OSError) as error:
            raise AccessError(f"the client certificate and its key cannot be used: {error}") from error


def _bearer(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}
